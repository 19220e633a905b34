/*
 * drainloop.c - the drain's thread: load a batch, apply it, tell; and what it does when it cannot.
 */
#include "drain_impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "qthread.h"
#include "secret.h"

#define BATCH_ROWS_MAX 10000u
#define BATCH_BYTES_MAX (8u << 20)
#define CHECKPOINT_EVERY_NS NS_PER_SEC
#define BACKOFF_FIRST_NS (20 * NS_PER_MS)
#define BACKOFF_MAX_NS (3 * NS_PER_SEC)

static void set_state(struct drain *d, enum queue_state state, const char *reason)
{
	char text[256];
	bool changed;

	pthread_mutex_lock(&d->lock);
	changed = d->state != state || strncmp(d->reason, reason, sizeof(d->reason) - 1) != 0;
	d->state = state;
	snprintf(d->reason, sizeof(d->reason), "%.*s", (int)sizeof(d->reason) - 1, reason);
	pthread_mutex_unlock(&d->lock);
	if (!changed)
		return;
	if (state == QUEUE_RUNNING)
		log_info("queue", "applying", "applied_seq=%" PRIu64, d->applier.position.seq);
	else
		log_warn("queue", state == QUEUE_HALTED ? "applying has halted" : "applying waits", "reason=%s",
			 log_quote(text, sizeof(text), span_str(reason)));
}

/* Until there is news for the thread, or ns have passed. */
static void nap(struct drain *d, uint64_t ns)
{
	uint64_t until = clock_mono_ns() + ns;

	pthread_mutex_lock(&d->lock);
	while (!d->stopping && !d->kicked && clock_mono_ns() < until)
		qthread_wait_until(&d->work, &d->lock, until);
	d->kicked = false;
	pthread_mutex_unlock(&d->lock);
}

static void back_off(struct drain *d)
{
	uint64_t ns = BACKOFF_FIRST_NS;

	for (unsigned i = 0; i < d->failures && ns < BACKOFF_MAX_NS; i++)
		ns *= 2;
	d->failures++;
	pthread_mutex_lock(&d->lock);
	d->retries++;
	pthread_mutex_unlock(&d->lock);
	if (d->parts.sink)
		stats_count(d->parts.sink, STATS_C_QUEUE_RETRIES, 1);
	nap(d, ns < BACKOFF_MAX_NS ? ns : BACKOFF_MAX_NS);
}

static void drop_items(struct drain *d)
{
	for (size_t i = 0; i < d->count; i++)
		mem_free(d->items[i].error);
	iobuf_consume(&d->arena, iobuf_len(&d->arena));
	d->count = d->next = 0;
}

/* They are to be loaded again. */
static void forget_batch(struct drain *d)
{
	drop_items(d);
	d->need_seek = true;
}

static void write_checkpoint(struct drain *d)
{
	struct qdir_checkpoint c = d->parts.known;

	pthread_mutex_lock(&d->lock);
	c.applied_seq = d->applied_seq;
	c.applied_total += d->applied;
	c.dead_total += d->dead;
	pthread_mutex_unlock(&d->lock);
	c.durable_seq = d->parts.engine->ops->durable(d->parts.engine);
	d->checkpoint_ns = clock_mono_ns();
	if (qdir_checkpoint_write(d->parts.dir, &c) != RC_OK)
		log_warn("queue", "the checkpoint cannot be written", "dir=%s", d->parts.dir->path);
}

/* Adds what a record wrote; the same tables once. */
static void note_tables(struct drain *d, struct span tables)
{
	struct span seen = span_of(iobuf_data(&d->tables), iobuf_len(&d->tables));

	if (!tables.len || (seen.len && memmem(seen.p, seen.len, tables.p, tables.len)))
		return;
	if (iobuf_append(&d->tables, tables.p, tables.len) != RC_OK)
		log_error("queue", "out of memory: an invalidation may be late", NULL);
}

static void announce(struct drain *d, uint64_t upto, const char *gtid)
{
	if (iobuf_len(&d->tables) && d->hooks.on_applied)
		d->hooks.on_applied(d->hooks.arg, span_of(iobuf_data(&d->tables), iobuf_len(&d->tables)), span_str(gtid));
	iobuf_consume(&d->tables, iobuf_len(&d->tables));
	d->announced_seq = upto;
}

/* Records that were committed without anybody having been told, because the answer to COMMIT or the process was lost. */
static enum rc announce_committed(struct drain *d, uint64_t position, char *err, size_t cap)
{
	struct queue_engine *e = d->parts.engine;
	struct span body;
	struct record rec;
	uint64_t seq = d->announced_seq;
	enum rc rc;

	if (position <= d->announced_seq)
		return RC_OK;
	rc = e->ops->seek(e, d->announced_seq, err, cap);
	while (rc != RC_ERROR && seq < position) {
		rc = e->ops->next(e, &seq, &body, err, cap);
		if (rc == RC_AGAIN)
			break;
		if (rc == RC_OK && record_decode(body, &rec) == RC_OK)
			note_tables(d, rec.r.tables);
	}
	d->need_seek = true;
	if (rc == RC_ERROR)
		return rc;
	announce(d, position, "");
	return RC_OK;
}

/* Tells the engine, everybody who waits, and the totals. */
static void move_applied(struct drain *d, uint64_t seq)
{
	d->parts.engine->ops->applied(d->parts.engine, seq);
	pthread_mutex_lock(&d->lock);
	d->applied_seq = seq;
	list_each_safe(&d->waiters, n, tmp) {
		struct queue_waiter *w = container_of(n, struct queue_waiter, node);

		if (w->seq > seq)
			continue;
		list_remove(&d->waiters, n);
		if (w->loop)
			loop_post(w->loop, &w->mail);
		else
			w->mail.run(&w->mail);
	}
	pthread_mutex_unlock(&d->lock);
}

/* The position the database has, against what the log has. */
static enum rc check_position(struct drain *d, uint64_t position, char *err, size_t cap)
{
	uint64_t durable = d->parts.engine->ops->durable(d->parts.engine);

	if (position > durable) {
		snprintf(err, cap, "the database has applied up to %" PRIu64 ", the log ends at %" PRIu64
				   ": the directory is an older copy of itself", position, durable);
		set_state(d, QUEUE_HALTED, err);
		return RC_ERROR;
	}
	if (position < d->applied_seq)
		log_error("queue", "the database has lost records that it had committed; those still in the log are applied again",
			  "position=%" PRIu64 " was=%" PRIu64, position, d->applied_seq);
	return RC_OK;
}

static enum rc connect_to(struct drain *d, struct queue_target *target)
{
	char err[256] = "";
	uint64_t position;

	if (applier_connect(&d->applier, target, d->applied_seq) != RC_OK) {
		set_state(d, QUEUE_WAITING, d->applier.reason);
		return RC_ERROR;
	}
	position = d->applier.position.seq;
	if (check_position(d, position, err, sizeof(err)) != RC_OK)
		return RC_ERROR;
	if (announce_committed(d, position, err, sizeof(err)) != RC_OK) {
		set_state(d, QUEUE_HALTED, err);
		return RC_ERROR;
	}
	forget_batch(d);
	if (d->connected_once && position > d->applied_seq) {
		pthread_mutex_lock(&d->lock);
		d->applied += position - d->applied_seq; /* their COMMIT was never answered */
		pthread_mutex_unlock(&d->lock);
	}
	d->connected_once = true;
	move_applied(d, position);
	set_state(d, QUEUE_RUNNING, "");
	return RC_OK;
}

static enum rc connect_now(struct drain *d)
{
	struct queue_target target;
	enum rc rc;

	memset(&target, 0, sizeof(target));
	rc = d->hooks.target ? d->hooks.target(d->hooks.arg, &target) : RC_DECLINED;
	if (rc == RC_OK)
		rc = connect_to(d, &target);
	else
		set_state(d, QUEUE_WAITING, rc == RC_DECLINED ? "there is no primary just now"
							      : "there is no account to apply with: set queue.user");
	secret_unref(target.password);
	if (rc == RC_OK)
		return RC_OK;
	applier_disconnect(&d->applier);
	return RC_ERROR;
}

/* How many records the rate allows now; waits if it is none. */
static size_t allowance(struct drain *d, size_t want, uint64_t rate)
{
	uint64_t now = clock_mono_ns();
	double most;

	if (!rate)
		return want;
	most = (double)rate / 10 > 1 ? (double)rate / 10 : 1;
	d->tokens += (double)(now - d->tokens_ns) / (double)NS_PER_SEC * (double)rate;
	d->tokens_ns = now;
	if (d->tokens > most)
		d->tokens = most;
	if (d->tokens < 1) {
		nap(d, (uint64_t)((1 - d->tokens) / (double)rate * (double)NS_PER_SEC) + NS_PER_MS);
		return 0;
	}
	return (double)want < d->tokens ? want : (size_t)d->tokens;
}

static enum rc reserve_items(struct drain *d, size_t n)
{
	struct apply_item *items;

	if (n <= d->items_cap)
		return RC_OK;
	items = mem_realloc(d->items, n * sizeof(*items));
	if (!items)
		return RC_ERROR;
	d->items = items;
	d->items_cap = n;
	return RC_OK;
}

/* One more record into the batch. RC_DECLINED: no memory. */
static enum rc load_one(struct drain *d, char *err, size_t cap)
{
	struct queue_engine *e = d->parts.engine;
	struct apply_item *it = &d->items[d->count];
	struct span body;
	uint64_t seq;
	enum rc rc = e->ops->next(e, &seq, &body, err, cap);

	if (rc != RC_OK)
		return rc;
	if (iobuf_append(&d->arena, body.p, body.len) != RC_OK)
		return RC_DECLINED;
	*it = (struct apply_item){.seq = seq, .body = {.len = body.len}};
	d->count++;
	return RC_OK;
}

static enum rc load_some(struct drain *d, size_t most, char *err, size_t cap)
{
	enum rc rc = RC_OK;

	while (rc == RC_OK && d->count < most && iobuf_len(&d->arena) < BATCH_BYTES_MAX)
		rc = load_one(d, err, cap);
	return rc;
}

/* Their bodies do not move any more. */
static enum rc decode_items(struct drain *d, char *err, size_t cap)
{
	const char *p = (const char *)iobuf_data(&d->arena);

	for (size_t i = 0; i < d->count; i++) {
		struct apply_item *it = &d->items[i];

		it->body.p = p;
		p += it->body.len;
		if (record_decode(it->body, &it->rec) != RC_OK) {
			snprintf(err, cap, "record %" PRIu64 " cannot be understood: a newer version wrote it", it->seq);
			return RC_ERROR;
		}
	}
	return RC_OK;
}

/* Something is to be applied at once. lock held. */
static bool urgent(const struct drain *d)
{
	return d->stopping || d->paused || d->hurry || !list_empty(&d->waiters);
}

/* Waits for more records for the batch. False: it is to be applied as it is. */
static bool wait_for_more(struct drain *d, uint64_t until_ns)
{
	bool more;

	pthread_mutex_lock(&d->lock);
	more = !urgent(d) && clock_mono_ns() < until_ns;
	if (more && !d->woken)
		qthread_wait_until(&d->work, &d->lock, until_ns);
	d->woken = false;
	pthread_mutex_unlock(&d->lock);
	return more;
}

/* RC_DECLINED: no memory. RC_ERROR: the log cannot be read. */
static enum rc fill_batch(struct drain *d, size_t most, uint64_t wait_ns, char *err, size_t cap)
{
	struct queue_engine *e = d->parts.engine;
	uint64_t until = clock_mono_ns() + wait_ns;
	enum rc rc = RC_OK;

	if (d->need_seek)
		rc = e->ops->seek(e, d->applier.position.seq, err, cap);
	if (rc == RC_DECLINED)
		log_error("queue", "records that the database does not have are no longer in the log: they are lost",
			  "position=%" PRIu64, d->applier.position.seq);
	if (rc == RC_ERROR)
		return RC_ERROR;
	if (reserve_items(d, most) != RC_OK)
		return RC_DECLINED;
	d->need_seek = false;
	do {
		rc = load_some(d, most, err, cap);
	} while (rc == RC_AGAIN && d->count && d->count < most && wait_for_more(d, until));
	if (rc == RC_ERROR || rc == RC_DECLINED)
		return rc;
	return decode_items(d, err, cap);
}

static void load_batch(struct drain *d)
{
	char err[256] = "";
	uint64_t rows, wait_ns, rate;
	size_t most;
	enum rc rc;

	pthread_mutex_lock(&d->lock);
	rows = d->batch_rows;
	wait_ns = d->batch_wait_ns;
	rate = d->rate;
	pthread_mutex_unlock(&d->lock);
	most = allowance(d, rows < 1 ? 1 : rows > BATCH_ROWS_MAX ? BATCH_ROWS_MAX : rows, rate);
	if (!most)
		return;
	rc = fill_batch(d, most, wait_ns, err, sizeof(err));
	if (rc != RC_OK) {
		forget_batch(d);
		set_state(d, rc == RC_DECLINED ? QUEUE_WAITING : QUEUE_HALTED, rc == RC_DECLINED ? "out of memory" : err);
		back_off(d);
		return;
	}
	pthread_mutex_lock(&d->lock);
	d->oldest_us = d->count ? d->items[0].rec.r.time_us : 0;
	if (!d->count)
		d->hurry = false;
	pthread_mutex_unlock(&d->lock);
}

static void count_batch(struct drain *d, uint64_t rows)
{
	uint64_t second = clock_mono_ns() / NS_PER_SEC, i = second % DRAIN_RATE_SECONDS, buried = d->applier.buried;

	pthread_mutex_lock(&d->lock);
	d->applied += rows - buried;
	d->dead += buried;
	d->batches++;
	d->last_batch_rows = rows;
	if (d->rate_second[i] != second)
		d->rate_count[i] = 0;
	d->rate_second[i] = second;
	d->rate_count[i] += rows;
	d->oldest_us = d->next < d->count ? d->items[d->next].rec.r.time_us : 0;
	pthread_mutex_unlock(&d->lock);
	d->tokens -= (double)rows;
	if (!d->parts.sink)
		return;
	stats_count(d->parts.sink, STATS_C_QUEUE_APPLIED, rows - buried);
	stats_count(d->parts.sink, STATS_C_QUEUE_DEAD, buried);
	stats_count(d->parts.sink, STATS_C_QUEUE_BATCHES, 1);
}

/* The items up to the position are committed. */
static void after_commit(struct drain *d)
{
	uint64_t position = d->applier.position.seq, rows = 0;

	for (; d->next < d->count && d->items[d->next].seq <= position; d->next++, rows++) {
		if (!d->items[d->next].skip && !d->items[d->next].dead)
			note_tables(d, d->items[d->next].rec.r.tables);
	}
	if (!rows)
		return;
	announce(d, position, d->applier.gtid);
	move_applied(d, position);
	count_batch(d, rows);
	d->failures = 0;
	if (clock_mono_ns() - d->checkpoint_ns >= CHECKPOINT_EVERY_NS)
		write_checkpoint(d);
}

static void apply_loaded(struct drain *d)
{
	size_t n = d->count - d->next;
	enum apply_result result;

	if (d->part && d->part < n)
		n = d->part;
	result = applier_run(&d->applier, d->items + d->next, n);
	after_commit(d);
	switch (result) {
	case APPLY_DONE:
		d->part = d->part && d->part < BATCH_ROWS_MAX ? d->part * 2 : 0;
		set_state(d, QUEUE_RUNNING, "");
		break;
	case APPLY_SMALLER:
		d->part = n > 1 ? n / 2 : 1;
		break;
	case APPLY_HALT:
		set_state(d, QUEUE_HALTED, d->applier.reason);
		forget_batch(d);
		return;
	case APPLY_RECONNECT:
		/* An idle connection that the server has closed is not worth a word. */
		if (d->failures)
			set_state(d, QUEUE_WAITING, d->applier.reason);
		d->failures++;
		break;
	case APPLY_RETRY:
	case APPLY_WAIT:
		set_state(d, QUEUE_WAITING, d->applier.reason);
		back_off(d);
		break;
	}
	if (d->next == d->count)
		drop_items(d);
}

/* So that people see how old the oldest record is, though nothing is being applied. */
static void look_at_oldest(struct drain *d)
{
	struct queue_engine *e = d->parts.engine;
	char err[256];
	struct span body;
	struct record rec;
	uint64_t seq;
	bool known;

	pthread_mutex_lock(&d->lock);
	known = d->oldest_us != 0;
	pthread_mutex_unlock(&d->lock);
	if (known || e->ops->durable(e) <= d->applied_seq)
		return;
	d->need_seek = true;
	if (e->ops->seek(e, d->applied_seq, err, sizeof(err)) == RC_ERROR ||
	    e->ops->next(e, &seq, &body, err, sizeof(err)) != RC_OK || record_decode(body, &rec) != RC_OK)
		return;
	pthread_mutex_lock(&d->lock);
	d->oldest_us = rec.r.time_us;
	pthread_mutex_unlock(&d->lock);
}

enum step { STEP_STOP, STEP_IDLE, STEP_GO };

/* What to do next; sleeps when it is nothing. */
static enum step next_step(struct drain *d)
{
	bool more = d->next < d->count || d->parts.engine->ops->durable(d->parts.engine) > d->applied_seq;
	enum step step = STEP_GO;

	pthread_mutex_lock(&d->lock);
	if (d->stopping)
		step = STEP_STOP;
	else if (d->paused || d->state == QUEUE_HALTED || !more)
		step = STEP_IDLE;
	if (step == STEP_IDLE && !more)
		d->hurry = false;
	pthread_mutex_unlock(&d->lock);
	return step;
}

static void idle(struct drain *d)
{
	look_at_oldest(d);
	pthread_mutex_lock(&d->lock);
	if (!d->stopping && !d->kicked && !d->woken)
		qthread_wait_until(&d->work, &d->lock, clock_mono_ns() + NS_PER_SEC);
	d->kicked = d->woken = false;
	pthread_mutex_unlock(&d->lock);
}

void *drain_loop(void *arg)
{
	struct drain *d = arg;
	enum step step;

	mysql_thread_init();
	while ((step = next_step(d)) != STEP_STOP) {
		if (step == STEP_IDLE)
			idle(d);
		else if (!d->applier.conn.my && connect_now(d) != RC_OK)
			back_off(d);
		else if (d->next == d->count)
			load_batch(d);
		else
			apply_loaded(d);
	}
	write_checkpoint(d);
	forget_batch(d);
	applier_disconnect(&d->applier);
	mysql_thread_end();
	return NULL;
}
