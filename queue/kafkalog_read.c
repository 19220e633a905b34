/*
 * kafkalog_read.c - a lane's records, read by the drain from where the database's position says; and by people.
 *
 * No consumer group: a group's offsets would say who has been handed what, but what must be known is what the database has
 * committed, and with what epoch. So the partition is taken by its number, from an offset that suimon.applied gives.
 */
#include "kafkalog_impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"

#define ASK_MS 3000
#define FETCH_PATIENCE_NS (5 * NS_PER_SEC)
#define FETCH_SLICE_MS 100
#define PEEK_PATIENCE_NS (5 * NS_PER_SEC)

static const char silent[] = "the queue's Kafka does not answer";

/* librdkafka's threads, with locks of theirs held: nothing may be asked of it here. */
static void on_arrival(rd_kafka_t *rk, void *arg)
{
	struct kafkalog *l = arg;

	atomic_store(&l->arrived, true);
	l->opt.wake(l->opt.wake_arg);
}

static void let_go(struct kafkalog *l)
{
	if (l->held)
		rd_kafka_message_destroy(l->held);
	l->held = NULL;
}

void kafkalog_leave(struct kafkalog *l)
{
	let_go(l);
	l->placed = false;
	if (l->fetching)
		(void)rd_kafka_consume_stop(l->hub->in.rkt, (int32_t)l->opt.lane);
	l->fetching = false;
}

void kafkalog_quiet(struct kafkalog *l)
{
	kafkalog_leave(l);
	if (!l->fetched)
		return;
	rd_kafka_queue_cb_event_enable(l->fetched, NULL, NULL);
	rd_kafka_queue_destroy(l->fetched);
	l->fetched = NULL;
}

static enum rc fetch_from(struct kafkalog *l, uint64_t offset, char *err, size_t cap)
{
	kafkalog_leave(l);
	if (!l->fetched) {
		l->fetched = rd_kafka_queue_new(l->hub->in.rk);
		rd_kafka_queue_cb_event_enable(l->fetched, on_arrival, l);
	}
	if (rd_kafka_consume_start_queue(l->hub->in.rkt, (int32_t)l->opt.lane, (int64_t)offset, l->fetched) != 0) {
		snprintf(err, cap, "Kafka's library does not read: %s", rd_kafka_err2str(rd_kafka_last_error()));
		return RC_AGAIN;
	}
	l->fetching = l->placed = true;
	return RC_OK;
}

static bool is_ours(struct kafkalog *l)
{
	bool ours;

	pthread_mutex_lock(&l->lock);
	ours = kafkalog_is_ours(l);
	pthread_mutex_unlock(&l->lock);
	return ours;
}

static bool has_restarted(struct kafkalog *l)
{
	bool restarted;

	pthread_mutex_lock(&l->lock);
	restarted = l->restarted;
	pthread_mutex_unlock(&l->lock);
	return restarted;
}

/* Begins to fetch behind the cursor. RC_AGAIN: not just now, err. RC_DECLINED: as seek says, what was there is lost. RC_ERROR: err. */
static enum rc place(struct kafkalog *l, char *err, size_t cap)
{
	rd_kafka_resp_err_t rc;
	int64_t low = 0, high = 0;
	bool lost;

	rc = rd_kafka_query_watermark_offsets(l->hub->in.rk, l->hub->url.topic, (int32_t)l->opt.lane, &low, &high, ASK_MS);
	if (rc != RD_KAFKA_RESP_ERR_NO_ERROR || low < 0 || high < low) {
		snprintf(err, cap, "%s: %s", silent, rd_kafka_err2str(rc));
		return RC_AGAIN;
	}
	kafkalog_note_end(l, (uint64_t)high, l->cursor);
	if (l->cursor > (uint64_t)high) {
		snprintf(err, cap,
			 "the topic in Kafka ends at %" PRId64 ", the database has applied up to %" PRIu64
			 ": it was made anew, or has lost records",
			 high, l->cursor);
		return has_restarted(l) ? RC_ERROR : RC_AGAIN;
	}
	lost = l->cursor < (uint64_t)low;
	if (lost) {
		snprintf(err, cap, "the topic in Kafka begins at %" PRId64, low);
		l->cursor = (uint64_t)low;
	}
	if (fetch_from(l, l->cursor, err, cap) != RC_OK)
		return RC_AGAIN;
	return lost ? RC_DECLINED : RC_OK;
}

enum rc kafkalog_seek(struct queue_engine *e, uint64_t after_seq, char *err, size_t cap)
{
	struct kafkalog *l = kafkalog_of(e);
	enum rc rc;

	kafkalog_leave(l);
	l->cursor = after_seq;
	rc = place(l, err, cap);
	return rc == RC_AGAIN ? RC_OK : rc; /* next tries it again, and says so */
}

/* Is there something behind the cursor, of which the fetch has not told yet? RC_DECLINED: it does not answer. */
static enum rc expects(struct kafkalog *l)
{
	enum rc rc = RC_AGAIN;

	pthread_mutex_lock(&l->lock);
	if (l->durable > l->cursor)
		rc = l->stopping ? RC_AGAIN : kafkalog_is_down(l, clock_mono_ns()) ? RC_DECLINED : RC_OK;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

/* The next message or error. RC_AGAIN: none. RC_DECLINED: one is due and does not come. */
static enum rc take_message(struct kafkalog *l, char *err, size_t cap)
{
	uint64_t until = clock_mono_ns() + FETCH_PATIENCE_NS;
	enum rc rc = RC_OK;

	l->held = rd_kafka_consume_queue(l->fetched, 0);
	while (!l->held && (rc = expects(l)) == RC_OK && clock_mono_ns() < until)
		l->held = rd_kafka_consume_queue(l->fetched, FETCH_SLICE_MS);
	if (l->held)
		return RC_OK;
	if (rc == RC_AGAIN)
		return RC_AGAIN;
	snprintf(err, cap, "%s", silent);
	return RC_DECLINED;
}

static enum rc refuse_message(struct kafkalog *l, const char *text, char *err, size_t cap)
{
	snprintf(err, cap, "%s at offset %" PRId64 " of partition %u%s%s", text, l->held->offset, l->opt.lane,
		 l->held->err ? ": " : "", l->held->err ? rd_kafka_err2str(l->held->err) : "");
	l->placed = false;
	return RC_DECLINED;
}

enum rc kafkalog_next(struct queue_engine *e, uint64_t *seq, struct span *body, char *err, size_t cap)
{
	struct kafkalog *l = kafkalog_of(e);
	enum rc rc = RC_OK;

	let_go(l);
	if (!is_ours(l)) {
		snprintf(err, cap, "the database has not said yet whether this Kafka is the queue's");
		return RC_DECLINED;
	}
	if (!l->placed)
		rc = place(l, err, cap);
	if (rc == RC_DECLINED)
		l->placed = false; /* to be found, and told, by the seek that follows */
	if (rc != RC_OK)
		return rc == RC_ERROR ? RC_ERROR : RC_DECLINED;
	do {
		let_go(l);
		rc = take_message(l, err, cap);
	} while (rc == RC_OK && !l->held->err && (uint64_t)l->held->offset < l->cursor);
	if (rc != RC_OK)
		return rc;
	if (l->held->err)
		return refuse_message(l, "Kafka does not hand out the queue", err, cap);
	if (!l->held->payload || !l->held->len || l->held->len > KAFKALOG_RECORD_MAX)
		return refuse_message(l, "the queue's topic in Kafka holds a message that is not suimon's", err, cap);
	*seq = l->cursor = (uint64_t)l->held->offset + 1;
	*body = span_of(l->held->payload, l->held->len);
	pthread_mutex_lock(&l->lock);
	kafkalog_seen(l, l->held->len);
	if (*seq > l->durable)
		l->durable = *seq;
	pthread_mutex_unlock(&l->lock);
	return RC_OK;
}

uint64_t kafkalog_durable(struct queue_engine *e)
{
	struct kafkalog *l = kafkalog_of(e);
	int64_t low, high = 0;
	uint64_t seq;

	if (atomic_exchange(&l->arrived, false) &&
	    rd_kafka_get_watermark_offsets(l->hub->in.rk, l->hub->url.topic, (int32_t)l->opt.lane, &low, &high) !=
		    RD_KAFKA_RESP_ERR_NO_ERROR)
		high = 0;
	pthread_mutex_lock(&l->lock);
	if (high > 0 && (uint64_t)high > l->durable)
		l->durable = (uint64_t)high;
	seq = l->durable;
	pthread_mutex_unlock(&l->lock);
	return seq;
}

/* ---- for people ---- */

/* Hands out what lies between two offsets. RC_ERROR: not all came in time. */
static enum rc hand_out(struct kafkalog *l, rd_kafka_topic_t *rkt, uint64_t end, unsigned limit,
			void (*fn)(void *arg, uint64_t seq, struct span body), void *arg)
{
	uint64_t until = clock_mono_ns() + PEEK_PATIENCE_NS, at = 0;

	while (limit && at < end) {
		rd_kafka_message_t *m = rd_kafka_consume(rkt, (int32_t)l->opt.lane, FETCH_SLICE_MS);
		bool bad = m ? m->err != RD_KAFKA_RESP_ERR_NO_ERROR : clock_mono_ns() > until;

		if (m && !bad) {
			at = (uint64_t)m->offset + 1;
			fn(arg, at, span_of(m->payload, m->len));
			limit--;
		}
		if (m)
			rd_kafka_message_destroy(m);
		if (bad)
			return RC_ERROR;
	}
	return RC_OK;
}

/* peeking held. */
static enum rc peek(struct kafkalog *l, uint64_t after_seq, unsigned limit,
		    void (*fn)(void *arg, uint64_t seq, struct span body), void *arg)
{
	struct kafkahub_client *c = &l->hub->peek;
	int64_t low = 0, high = 0;
	enum rc rc;

	if (kafkahub_peeker(l->hub) != RC_OK ||
	    rd_kafka_query_watermark_offsets(c->rk, l->hub->url.topic, (int32_t)l->opt.lane, &low, &high, ASK_MS) !=
		    RD_KAFKA_RESP_ERR_NO_ERROR)
		return RC_ERROR;
	if (low > 0 && after_seq < (uint64_t)low)
		after_seq = (uint64_t)low;
	if (high <= 0 || after_seq >= (uint64_t)high)
		return RC_OK;
	if (rd_kafka_consume_start(c->rkt, (int32_t)l->opt.lane, (int64_t)after_seq) != 0)
		return RC_ERROR;
	rc = hand_out(l, c->rkt, (uint64_t)high, limit, fn, arg);
	(void)rd_kafka_consume_stop(c->rkt, (int32_t)l->opt.lane);
	return rc;
}

enum rc kafkalog_peek(struct queue_engine *e, uint64_t after_seq, unsigned limit,
		      void (*fn)(void *arg, uint64_t seq, struct span body), void *arg)
{
	struct kafkalog *l = kafkalog_of(e);
	enum rc rc;

	pthread_mutex_lock(&l->hub->peeking);
	rc = peek(l, after_seq, limit, fn, arg);
	pthread_mutex_unlock(&l->hub->peeking);
	return rc;
}
