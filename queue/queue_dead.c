/*
 * queue_dead.c - dead letters worked by people: in the queue's directory, or in the database.
 */
#include "log.h"
#include "mem.h"
#include "queue_impl.h"

struct copied_letter {
	uint64_t id;
	char *body; /* owned */
	size_t len;
};

static void copy_letter(void *arg, const struct dead_letter *l)
{
	struct copied_letter *c = arg;

	c->id = l->id;
	c->len = l->body.len;
	c->body = mem_dup(l->body.p, l->body.len);
}

static enum rc retry_letter(struct queue *q, const struct copied_letter *c)
{
	struct record rec;
	enum dead_fate fate;
	uint64_t seq, by_seq;

	if (!c->body || record_decode(span_of(c->body, c->len), &rec) != RC_OK)
		return RC_ERROR;
	rec.retry_of = c->id;
	if (queue_append_now(q, &rec, &seq) != RC_OK)
		return RC_ERROR;
	/* The drain may have been faster, and somebody else's retry too: that one counts, ours will be passed over. */
	if (q->shared)
		return deadtable_mark(&q->table, c->id, true) == RC_ERROR ? RC_ERROR : RC_OK;
	if (dead_mark(q->dead, c->id, DEAD_RETRIED, seq) == RC_ERROR)
		return RC_ERROR;
	return dead_fate_of(q->dead, c->id, &fate, &by_seq) == RC_OK && by_seq == seq ? RC_OK : RC_DECLINED;
}

static enum rc each(struct queue *q, uint64_t from_id, unsigned limit, dead_fn fn, void *arg)
{
	return q->shared ? deadtable_each(&q->table, from_id, limit, fn, arg) : dead_each(q->dead, from_id, limit, fn, arg);
}

enum rc queue_dead_retry(struct queue *q, uint64_t id)
{
	struct copied_letter c = {0};
	enum rc rc = each(q, id, 1, copy_letter, &c);

	if (rc == RC_OK)
		rc = c.id == id && id ? retry_letter(q, &c) : RC_DECLINED;
	mem_free(c.body);
	return rc;
}

enum rc queue_dead_discard(struct queue *q, uint64_t id)
{
	return q->shared ? deadtable_mark(&q->table, id, false) : dead_mark(q->dead, id, DEAD_DISCARDED, 0);
}

enum rc queue_bury(struct queue *q, uint64_t seq)
{
	for (unsigned i = 0; i < q->lanes; i++) {
		if (drain_bury(q->lane[i].drain, seq) != RC_OK)
			continue;
		log_warn("queue", "a record is put aside by hand", "seq=%llu", (unsigned long long)seq);
		return RC_OK;
	}
	return RC_DECLINED;
}
