/*
 * drainapply.c - the drain over one connection: a batch applied, and what comes of it for those who wait and watch. Most
 * of it serves several connections, too (drainshare.c).
 */
#include "drain_impl.h"

#include <inttypes.h>

#include "clock.h"
#include "log.h"

/* Adds what a record wrote; the same tables once. */
void drain_note_tables(struct drain *d, struct span tables)
{
	struct span seen = span_of(iobuf_data(&d->tables), iobuf_len(&d->tables));

	if (!tables.len || (seen.len && memmem(seen.p, seen.len, tables.p, tables.len)))
		return;
	if (iobuf_append(&d->tables, tables.p, tables.len) != RC_OK)
		log_error("queue", "out of memory: an invalidation may be late", NULL);
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
	pthread_mutex_lock(&d->lock);
	d->oldest_us = d->next < d->count ? d->items[d->next].rec.r.time_us : 0;
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
		if (!d->items[d->next].skip && !d->items[d->next].dead)
			drain_note_tables(d, d->items[d->next].rec.r.tables);
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

void drain_settle(struct drain *d, enum apply_result result, size_t n, const char *reason)
{
	switch (result) {
	case APPLY_DONE:
		d->part = d->part && d->part < DRAIN_BATCH_MAX ? d->part * 2 : 0;
		drain_set_state(d, QUEUE_RUNNING, "");
		break;
	case APPLY_SMALLER:
		d->part = n > 1 ? n / 2 : 1;
		break;
	case APPLY_HALT:
		drain_set_state(d, QUEUE_HALTED, reason);
		drain_forget_batch(d);
		break;
	case APPLY_RECONNECT:
		/* An idle connection that the server has closed is not worth a word. */
		if (d->failures)
			drain_set_state(d, QUEUE_WAITING, reason);
		d->failures++;
		drain_disconnect(d);
		break;
	case APPLY_RETRY:
	case APPLY_WAIT:
	case APPLY_STRICTLY:
	case APPLY_ALONE:
		drain_set_state(d, QUEUE_WAITING, reason);
		drain_back_off(d);
		break;
	}
	if (d->next == d->count)
		drain_drop_items(d);
}

void drain_apply_loaded(struct drain *d)
{
	size_t n = d->count - d->next;
	uint64_t start = clock_mono_ns();
	enum apply_result result;

	if (d->part && d->part < n)
		n = d->part;
	result = applier_run(&d->applier, d->items + d->next, n);
	after_commit(d, clock_mono_ns() - start);
	drain_settle(d, result, n, d->applier.reason);
}
