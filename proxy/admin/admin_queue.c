/*
 * admin_queue.c - /api/queue: the durable queue's numbers, its records, and working it by hand.
 *
 * Listing reads the log's files on the control loop: bounded by `limit` records.
 */
#include "admin_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "queue_json.h"

#define LIST_MOST 1000

static int answer_totals(struct call *c, bool predictions)
{
	struct queue_totals t;
	enum rc rc = RC_OK;
	struct jsonw w;

	if (c->a->in->queue) {
		queue_totals(c->a->in->queue, &t);
		t.enqueued =
			stats_sum(c->a->in->stats, STATS_C_QUEUE_ENQUEUED); /* since start, as applied and dead are */
	}
	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	queue_json_totals(&w, c->a->in->queue ? &t : NULL);
	if (predictions)
		rc = stats_put_queue_predictions(c->a->in->stats, &w);
	jsonw_close(&w, '}');
	return call_done(c, rc == RC_OK ? jsonw_end(&w) : rc);
}

int get_queue(struct call *c)
{
	return answer_totals(c, true);
}

/* ---- records ---- */

typedef enum rc (*list_fn)(struct queue *q, uint64_t from, unsigned limit, queue_view_fn fn, void *arg);

static int list(struct call *c, const char *name, list_fn fn)
{
	uint64_t from, limit;
	struct jsonw w;
	struct queue_json_list l = {.w = &w, .samples = c->samples, .statement_most = QUEUE_JSON_STATEMENT};
	enum rc rc = RC_OK;

	if (call_number(c, "from", 0, 0, UINT64_MAX, &from) != RC_OK ||
	    call_number(c, "limit", 100, 1, LIST_MOST, &limit) != RC_OK)
		return 400;
	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	jsonw_open(&w, name, '[');
	if (c->a->in->queue)
		rc = fn(c->a->in->queue, from, (unsigned)limit, queue_json_view, &l);
	jsonw_close(&w, ']');
	jsonw_close(&w, '}');
	if (rc != RC_OK)
		return call_error(c, 500, "the queue's files cannot be read; the log says why");
	return call_done(c, jsonw_end(&w));
}

int get_queue_dead(struct call *c)
{
	return list(c, "dead", queue_list_dead);
}

int get_queue_pending(struct call *c)
{
	return list(c, "pending", queue_list_pending);
}

static enum rc number_of(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out ? RC_OK : RC_ERROR;
}

/* One record with its whole statement. */
static int show(struct call *c, const char *what, list_fn fn)
{
	struct jsonw w;
	struct queue_json_list l = {.w = &w, .samples = c->samples, .statement_most = SIZE_MAX};

	if (number_of(c->arg, &l.only) != RC_OK)
		return call_error(c, 400, "'%s' is not allowed, allowed is a number", c->arg);
	jsonw_init(&w, &c->out);
	if (c->a->in->queue && fn(c->a->in->queue, l.only, 1, queue_json_view, &l) != RC_OK)
		return call_error(c, 500, "the queue's files cannot be read; the log says why");
	if (!l.shown)
		return call_error(c, 404, "there is no %s %" PRIu64, what, l.only);
	return call_done(c, jsonw_end(&w));
}

int get_queue_dead_one(struct call *c)
{
	return show(c, "dead letter", queue_list_dead);
}

int get_queue_pending_one(struct call *c)
{
	return show(c, "pending record", queue_list_pending);
}

/* ---- working it ---- */

static int work(struct call *c, void (*fn)(struct queue *q))
{
	if (!c->a->in->queue)
		return call_error(c, 409, "the queue is off: no rule asks for it");
	fn(c->a->in->queue);
	return answer_totals(c, false);
}

int post_queue_pause(struct call *c)
{
	return work(c, queue_pause);
}

int post_queue_resume(struct call *c)
{
	return work(c, queue_resume);
}

int post_queue_drain(struct call *c)
{
	return work(c, queue_drain_now);
}

static int work_letter(struct call *c, enum rc (*fn)(struct queue *q, uint64_t id))
{
	uint64_t id;
	enum rc rc = RC_DECLINED;

	if (number_of(c->arg, &id) != RC_OK)
		return call_error(c, 404, "there is no dead letter '%s'", c->arg);
	if (c->a->in->queue)
		rc = fn(c->a->in->queue, id);
	if (rc == RC_DECLINED)
		return call_error(c, 404, "there is no dead letter %" PRIu64, id);
	if (rc != RC_OK)
		return call_error(c, 409, "dead letter %" PRIu64 " could not be worked; the log says why", id);
	return answer_totals(c, false);
}

int post_queue_retry(struct call *c)
{
	return work_letter(c, queue_dead_retry);
}

int post_queue_discard(struct call *c)
{
	return work_letter(c, queue_dead_discard);
}

int post_queue_bury(struct call *c)
{
	uint64_t seq;

	if (number_of(c->arg, &seq) != RC_OK)
		return call_error(c, 404, "there is no record '%s'", c->arg);
	if (!c->a->in->queue || queue_bury(c->a->in->queue, seq) != RC_OK)
		return call_error(c, 409, "record %" PRIu64 " is not what the queue waits for: see waits_for in /api/queue", seq);
	return answer_totals(c, false);
}
