/*
 * drainload.c - the drain's batches: read from the engine, as many records as are there, allowed and worth waiting for.
 */
#include "drain_impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"

#define BATCH_BYTES_MAX (8u << 20)
#define LEAST_SHARE 10 /* the controller goes no lower than this part of batch_rows */
/* While a batch gathers it is looked for more so often: not for each group of the log, whose clients want the processor. */
#define GATHER_LOOK_NS (5 * NS_PER_MS)

void drain_drop_items(struct drain *d)
{
	for (size_t i = 0; i < d->count; i++)
		mem_free(d->items[i].error);
	iobuf_consume(&d->arena, iobuf_len(&d->arena));
	d->count = d->next = 0;
}

void drain_forget_batch(struct drain *d)
{
	drain_drop_items(d);
	d->need_seek = true;
}

/* lock held. */
static uint64_t most_rows(const struct drain *d)
{
	return d->batch_rows < 1 ? 1 : d->batch_rows > DRAIN_BATCH_MAX ? DRAIN_BATCH_MAX : d->batch_rows;
}

uint64_t drain_batch_rows(struct drain *d)
{
	uint64_t rows;

	pthread_mutex_lock(&d->lock);
	if (!d->rows_now || d->rows_now > most_rows(d))
		d->rows_now = most_rows(d);
	rows = d->rows_now;
	pthread_mutex_unlock(&d->lock);
	return rows;
}

void drain_adapt(struct drain *d, uint64_t rows, uint64_t took_ns)
{
	uint64_t most, least, now;

	pthread_mutex_lock(&d->lock);
	most = most_rows(d);
	least = most / LEAST_SHARE ? most / LEAST_SHARE : 1;
	now = d->rows_now;
	if (took_ns > d->batch_target_ns)
		now = rows * d->batch_target_ns / took_ns; /* what would have fitted */
	else if (rows >= now)
		now += now / 4 + 1; /* full, and quick enough */
	d->rows_now = now < least ? least : now > most ? most : now;
	pthread_mutex_unlock(&d->lock);
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
		drain_nap(d, (uint64_t)((1 - d->tokens) / (double)rate * (double)NS_PER_SEC) + NS_PER_MS);
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

/* One more record into the batch. RC_DECLINED: not just now, err says why. */
static enum rc load_one(struct drain *d, char *err, size_t cap)
{
	struct queue_engine *e = d->parts.engine;
	struct apply_item *it = &d->items[d->count];
	struct span body;
	uint64_t seq;
	enum rc rc = e->ops->next(e, &seq, &body, err, cap);

	if (rc != RC_OK)
		return rc;
	if (iobuf_append(&d->arena, body.p, body.len) != RC_OK) {
		snprintf(err, cap, "out of memory");
		return RC_DECLINED;
	}
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
	struct queue_engine *e = d->parts.engine;
	const char *p = (const char *)iobuf_data(&d->arena);

	for (size_t i = 0; i < d->count; i++) {
		struct apply_item *it = &d->items[i];

		it->body.p = p;
		p += it->body.len;
		it->skip = !it->body.len;
		if (it->skip)
			continue;
		if (record_decode(it->body, &it->rec) != RC_OK) {
			snprintf(err, cap, "record %" PRIu64 " cannot be understood: a newer version wrote it",
				 it->seq);
			return RC_ERROR;
		}
		it->again = e->ops->stale && e->ops->stale(e, it->seq);
		it->skip = it->again || shares_have(&d->shares, it->seq, it->rec.r.order_key);
	}
	return RC_OK;
}

/* Something is to be applied at once. lock held. */
static bool urgent(const struct drain *d)
{
	return d->stopping || d->paused || d->hurry || waits_any(d->parts.waits);
}

/* Waits for more records for the batch. False: it is to be applied as it is. */
static bool wait_for_more(struct drain *d, uint64_t until_ns)
{
	uint64_t now = clock_mono_ns();
	bool more;

	pthread_mutex_lock(&d->lock);
	more = !urgent(d) && now < until_ns;
	if (more) {
		d->gathering = true;
		sigthread_wait_until(&d->work, &d->lock, until_ns - now < GATHER_LOOK_NS ? until_ns : now + GATHER_LOOK_NS);
		d->gathering = false;
	}
	d->woken = false;
	pthread_mutex_unlock(&d->lock);
	return more;
}

/* RC_DECLINED: not just now, err says why. RC_ERROR: the log cannot be read. */
static enum rc fill_batch(struct drain *d, size_t most, uint64_t wait_ns, char *err, size_t cap)
{
	struct queue_engine *e = d->parts.engine;
	uint64_t until = clock_mono_ns() + wait_ns;
	enum rc rc = RC_OK;

	if (d->need_seek)
		rc = e->ops->seek(e, d->applied_seq, err, cap);
	if (rc == RC_DECLINED)
		log_error("queue", "records that the database does not have are no longer in the log: they are lost",
			  "position=%" PRIu64, d->applied_seq);
	if (rc == RC_ERROR)
		return RC_ERROR;
	if (rc == RC_AGAIN)
		return RC_DECLINED;
	if (reserve_items(d, most) != RC_OK) {
		snprintf(err, cap, "out of memory");
		return RC_DECLINED;
	}
	d->need_seek = false;
	do {
		rc = load_some(d, most, err, cap);
	} while (rc == RC_AGAIN && d->count && d->count < most && wait_for_more(d, until));
	if (rc == RC_ERROR || rc == RC_DECLINED)
		return rc;
	return decode_items(d, err, cap);
}

void drain_load_batch(struct drain *d)
{
	char err[256] = "";
	uint64_t rows = drain_batch_rows(d) * (d->team ? d->team->n : 1), wait_ns, rate;
	size_t most;
	enum rc rc;

	pthread_mutex_lock(&d->lock);
	wait_ns = d->batch_wait_ns;
	rate = d->rate;
	pthread_mutex_unlock(&d->lock);
	most = allowance(d, rows > DRAIN_BATCH_MAX ? DRAIN_BATCH_MAX : rows, rate);
	if (!most)
		return;
	rc = fill_batch(d, most, wait_ns, err, sizeof(err));
	if (rc != RC_OK) {
		drain_forget_batch(d);
		drain_set_state(d, rc == RC_DECLINED ? QUEUE_WAITING : QUEUE_HALTED, err);
		drain_back_off(d);
		return;
	}
	drain_note_oldest(d);
	if (d->count)
		return;
	pthread_mutex_lock(&d->lock);
	d->hurry = false;
	pthread_mutex_unlock(&d->lock);
}
