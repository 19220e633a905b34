/*
 * drainapply.c - the drain over one connection: a batch applied, and what comes of it for those who wait and watch. Most
 * of it serves several connections, too (drainshare.c).
 */
#include "drain_impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define TRIES_TOGETHER 2 /* of a batch, before it becomes smaller */

/* The first schema and table of them. */
static struct span first_pair(struct span tables)
{
	size_t schema = strnlen(tables.p, tables.len), table = 0;

	if (schema < tables.len)
		table = strnlen(tables.p + schema + 1, tables.len - schema - 1);
	return span_of(tables.p, schema + 1 + table < tables.len ? schema + table + 2 : tables.len);
}

static bool has_pair(struct span seen, struct span pair)
{
	while (seen.len) {
		struct span first = first_pair(seen);

		if (span_eq(first, pair))
			return true;
		seen = span_of(seen.p + first.len, seen.len - first.len);
	}
	return false;
}

void drain_note_tables(struct iobuf *into, struct span tables)
{
	while (tables.len) {
		struct span pair = first_pair(tables);

		if (!has_pair(span_of(iobuf_data(into), iobuf_len(into)), pair) &&
		    iobuf_append(into, pair.p, pair.len) != RC_OK)
			log_error("queue", "out of memory: an invalidation may be late", NULL);
		tables = span_of(tables.p + pair.len, tables.len - pair.len);
	}
}

void drain_foretell(struct drain *d, size_t n)
{
	if (!d->hooks.on_applying)
		return;
	iobuf_consume(&d->writing, iobuf_len(&d->writing));
	for (size_t i = 0; i < n; i++)
		if (!d->items[d->next + i].skip)
			drain_note_tables(&d->writing, d->items[d->next + i].rec.r.tables);
	d->hooks.on_applying(d->hooks.arg, span_of(iobuf_data(&d->writing), iobuf_len(&d->writing)));
}

void drain_announce(struct drain *d, uint64_t upto, const char *gtid)
{
	if (iobuf_len(&d->tables) && d->hooks.on_applied)
		d->hooks.on_applied(d->hooks.arg, span_of(iobuf_data(&d->tables), iobuf_len(&d->tables)),
				    span_str(gtid));
	iobuf_consume(&d->tables, iobuf_len(&d->tables));
	d->announced_seq = upto;
}

void drain_move_applied(struct drain *d, uint64_t seq, uint64_t safe)
{
	d->parts.engine->ops->applied(d->parts.engine, safe);
	d->safe_seq = safe;
	if (seq > d->told_seq)
		d->told_seq = seq;
	drain_follow(d, seq);
}

void drain_note_oldest(struct drain *d)
{
	uint64_t durable = d->parts.engine->ops->durable(d->parts.engine);

	pthread_mutex_lock(&d->lock);
	if (d->next < d->count)
		ages_set(&d->ages, d->items[d->next].seq, d->items[d->next].rec.r.time_us, clock_mono_ns(), clock_wall_us());
	else if (durable > (d->count ? d->items[d->count - 1].seq : d->applied_seq))
		ages_pass(&d->ages);
	else
		ages_unset(&d->ages);
	pthread_mutex_unlock(&d->lock);
}

void drain_count_batch(struct drain *d, uint64_t rows, uint64_t buried)
{
	uint64_t second = clock_mono_ns() / NS_PER_SEC, i = second % DRAIN_RATE_SECONDS;

	pthread_mutex_lock(&d->lock);
	d->applied += rows - buried;
	d->dead += buried;
	d->batches++;
	d->last_batch_rows = rows;
	if (d->rate_second[i] != second)
		d->rate_count[i] = 0;
	d->rate_second[i] = second;
	d->rate_count[i] += rows;
	pthread_mutex_unlock(&d->lock);
	d->tokens -= (double)rows;
	if (!d->parts.sink)
		return;
	stats_count(d->parts.sink, STATS_C_QUEUE_APPLIED, rows - buried);
	stats_count(d->parts.sink, STATS_C_QUEUE_DEAD, buried);
	stats_count(d->parts.sink, STATS_C_QUEUE_BATCHES, 1);
}

/* The items up to the position are committed. */
static void after_commit(struct drain *d, uint64_t took_ns)
{
	uint64_t position = d->applier.position.seq, rows = 0;

	for (; d->next < d->count && d->items[d->next].seq <= position; d->next++, rows++) {
		if (d->items[d->next].again || (!d->items[d->next].skip && !d->items[d->next].dead))
			drain_note_tables(&d->tables, d->items[d->next].rec.r.tables);
	}
	if (!rows)
		return;
	drain_announce(d, position, d->applier.gtid);
	shares_level(&d->shares, position);
	drain_count_batch(d, rows, d->applier.buried); /* before those who wait can look */
	drain_note_oldest(d);
	drain_move_applied(d, position, position);
	drain_adapt(d, rows, took_ns);
	d->failures = 0;
	drain_checkpoint_if_due(d);
}

void drain_put_aside(struct drain *d)
{
	struct apply_item *it = NULL;
	char why[320] = "";

	pthread_mutex_lock(&d->lock);
	for (size_t i = d->next; d->bury_seq && i < d->count && !it; i++)
		it = d->items[i].seq == d->bury_seq ? &d->items[i] : NULL;
	if (it)
		snprintf(why, sizeof(why), "put aside by hand%s%s", d->bury_reason[0] ? "; it had waited: " : "", d->bury_reason);
	pthread_mutex_unlock(&d->lock);
	if (!it)
		return;
	it->bury = true;
	it->code = d->failed_code;
	mem_free(it->error);
	it->error = mem_strdup(why);
}

/* A batch of which one keeps all waiting becomes smaller until it is that one: those before it go on, and it is known. A failure that
 * was the record's own waits for another lane, and they all do so together. */
static void find_culprit(struct drain *d, size_t n)
{
	if (d->failures < TRIES_TOGETHER || errclass_of(d->failed_code) == ERRCLASS_PERMANENT)
		return;
	if (n > 1)
		d->part = n > 4 ? n / 4 : 1;
}

static void note_waited(struct drain *d, enum apply_result result, size_t n)
{
	uint64_t seq = result == APPLY_HALT ? d->applier.halted_seq : n == 1 && d->next < d->count ? d->items[d->next].seq : 0;

	pthread_mutex_lock(&d->lock);
	d->waited_seq = result == APPLY_DONE || result == APPLY_SMALLER ? 0 : seq;
	pthread_mutex_unlock(&d->lock);
}

void drain_settle(struct drain *d, enum apply_result result, size_t n, const char *reason)
{
	note_waited(d, result, n);
	switch (result) {
	case APPLY_DONE:
		d->part = d->part && d->part < DRAIN_BATCH_MAX ? d->part * 2 : 0;
		drain_set_state(d, QUEUE_RUNNING, "");
		break;
	case APPLY_SMALLER:
		d->part = n > 1 ? n / 2 : 1;
		if (n == 1) { /* the position's row had no room behind it */
			drain_set_state(d, QUEUE_WAITING, reason);
			drain_back_off(d);
		}
		break;
	case APPLY_HALT:
		drain_set_state(d, QUEUE_HALTED, reason);
		drain_forget_batch(d);
		break;
	case APPLY_RECONNECT:
		/* An idle connection that the server has closed is not worth a word. */
		if (d->failures)
			drain_set_state(d, QUEUE_WAITING, reason);
		find_culprit(d, n);
		drain_disconnect(d);
		/* Nor is it worth a pause; but what takes connections may go on to refuse whatever is applied. */
		if (d->failures)
			drain_back_off(d);
		else
			d->failures++;
		break;
	case APPLY_RETRY:
	case APPLY_WAIT:
	case APPLY_STRICTLY:
	case APPLY_ALONE:
		drain_set_state(d, QUEUE_WAITING, reason);
		find_culprit(d, n);
		drain_back_off(d);
		break;
	}
	if (d->next == d->count)
		drain_drop_items(d);
}

void drain_apply_first(struct drain *d, size_t n)
{
	uint64_t start = clock_mono_ns();
	enum apply_result result;

	drain_foretell(d, n);
	drain_put_aside(d);
	result = applier_run(&d->applier, d->items + d->next, n);
	d->failed_code = d->applier.conn.code;
	after_commit(d, clock_mono_ns() - start);
	drain_foretell(d, 0);
	drain_settle(d, result, n, d->applier.reason);
}

void drain_apply_loaded(struct drain *d)
{
	size_t n = d->count - d->next;

	drain_apply_first(d, d->part && d->part < n ? d->part : n);
}
