/*
 * outbox.c - see outbox.h.
 */
#include "outbox.h"

#include "bytes.h"
#include "clock.h"

void outbox_init(struct outbox *o, pthread_mutex_t *lock, pthread_cond_t *answered)
{
	*o = (struct outbox){.lock = lock, .answered = answered};
	iobuf_init(&o->bodies, 0);
	ticket_line_init(&o->line);
}

void outbox_reset(struct outbox *o)
{
	iobuf_reset(&o->bodies);
}

enum rc outbox_put(struct outbox *o, const struct record *rec, size_t size, struct queue_ticket *t)
{
	uint8_t *p = iobuf_reserve(&o->bodies, OUTBOX_LENGTH_BYTES + size);

	if (!p)
		return RC_ERROR;
	record_encode(rec, bytes_put(p, OUTBOX_LENGTH_BYTES, size));
	iobuf_commit(&o->bodies, OUTBOX_LENGTH_BYTES + size);
	t->rc = RC_AGAIN;
	t->error = NULL;
	t->seq = 0;
	ticket_push(&o->line, t);
	if (!o->n++)
		o->since_ns = clock_mono_ns();
	o->waiting++;
	return RC_OK;
}

size_t outbox_length(const uint8_t *p)
{
	return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

size_t outbox_take(struct outbox *o, size_t most, size_t most_bytes, struct iobuf *bodies, struct ticket_line *line)
{
	size_t n = 0, bytes = iobuf_len(bodies);

	while (o->n && n < most) {
		size_t len = OUTBOX_LENGTH_BYTES + outbox_length(iobuf_data(&o->bodies));

		if (bytes + len > most_bytes || iobuf_append(bodies, iobuf_data(&o->bodies), len) != RC_OK)
			break;
		iobuf_consume(&o->bodies, len);
		ticket_push(line, ticket_pop(&o->line));
		bytes += len;
		o->n--;
		n++;
	}
	if (n)
		o->since_ns = clock_mono_ns();
	return n;
}

void outbox_answer(struct outbox *o, struct ticket_line *line, enum rc rc, const char *error, uint64_t seq)
{
	struct queue_ticket *t;
	size_t n = 0;

	for (; (t = ticket_pop(line)) != NULL; n++) {
		t->seq = seq;
		ticket_answer(t, rc, error);
	}
	pthread_mutex_lock(o->lock);
	o->waiting -= n;
	if (!o->waiting)
		pthread_cond_broadcast(o->answered);
	pthread_mutex_unlock(o->lock);
}

void outbox_count_unfit(struct stats_sink *sink, size_t n)
{
	if (sink)
		stats_count(sink, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, n);
}

void outbox_count(struct stats_sink *sink, enum rc rc, size_t n, size_t bytes, uint64_t took_ns)
{
	if (!sink || !n)
		return;
	if (rc == RC_OK) {
		stats_count(sink, STATS_C_QUEUE_ENQUEUED, n);
		stats_count(sink, STATS_C_QUEUE_ACKNOWLEDGED, n);
		stats_count(sink, STATS_C_QUEUE_BYTES, bytes);
		stats_count(sink, STATS_C_QUEUE_SYNCS, 1);
		stats_count(sink, STATS_C_QUEUE_SYNC_TIME, took_ns);
	} else {
		stats_count(sink, rc == RC_DECLINED ? STATS_C_QUEUE_DECLINED_DISK : STATS_C_QUEUE_ERRORS, n);
	}
}

void outbox_give_back(struct outbox *o, struct stats_sink *sink, const char *why)
{
	struct ticket_line line;
	size_t n;

	pthread_mutex_lock(o->lock);
	n = o->n;
	o->n = 0;
	iobuf_consume(&o->bodies, iobuf_len(&o->bodies));
	ticket_take(&o->line, &line);
	pthread_mutex_unlock(o->lock);
	outbox_count(sink, RC_DECLINED, n, 0, 0);
	outbox_answer(o, &line, RC_DECLINED, why, 0);
}
