/*
 * kafkalog.c - see kafkalog.h: what is written, and what became of it.
 */
#include "kafkalog_impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"
#include "mem.h"
#include "outbox.h"
#include "sigthread.h"

#define WAITING_MAX (16u << 20)               /* bytes of a lane, accepted and not answered */
#define SILENCE_NS (3 * NS_PER_SEC)           /* with messages that wait: it does not answer */
#define FAILED_PAUSE_NS (3 * NS_PER_SEC)      /* until it is tried again: whoever tries waits long */
#define SHORTER_PATIENCE_NS (5 * NS_PER_SEC)  /* a new leader may say for a moment that it has less */
#define SEEN_MOST 4096                        /* records that the mean size remembers */

static const char unknown[] = "the queue's Kafka did not answer: whether the write will be applied is unknown";
static const char placeless[] = "the queue's Kafka has stored the write without saying where: it will be applied, and was not waited for";
static const char gone[] = "the queue's Kafka does not answer";
static const char refused[] = "the queue's Kafka refuses to store: see the log";
static const char foreign[] = "another Kafka has the queue's name in the database: see the log";
static const char too_large[] = "the statement is too large for the queue";
static const char again_from_0[] = "the queue's topic in Kafka has begun anew, below what is applied: see the log";

/* ---- coming in ---- */

void kafkalog_seen(struct kafkalog *l, size_t bytes)
{
	if (l->seen_count == SEEN_MOST) {
		l->seen_count /= 2;
		l->seen_bytes /= 2;
	}
	l->seen_count++;
	l->seen_bytes += bytes;
}

/* lock held. */
static uint64_t depth(const struct kafkalog *l)
{
	return l->durable > l->applied ? l->durable - l->applied : 0;
}

/* Kafka tells numbers of messages, not of bytes: those by the mean size of what passed here. lock held. */
static uint64_t stored_bytes(const struct kafkalog *l)
{
	return l->seen_count ? depth(l) * (l->seen_bytes / l->seen_count) : 0;
}

/* NULL: the record may come in; else why not, and what that counts as. lock held. */
static const char *refusal(struct kafkalog *l, size_t size, enum stats_counter *counter)
{
	uint64_t now = clock_mono_ns();
	const char *fault = atomic_load(&l->hub->fault);

	*counter = STATS_C_QUEUE_DECLINED_STOPPING;
	if (l->stopping)
		return "the queue is stopping";
	*counter = STATS_C_QUEUE_DECLINED_DISK;
	if (fault)
		return fault;
	if (l->restarted)
		return again_from_0;
	if (l->owner != QUEUE_OWNER_UNKNOWN && !kafkalog_is_ours(l))
		return foreign;
	if (now < l->failed_until_ns || kafkalog_is_down(l, now) || (l->waiting && now - l->progress_ns > SILENCE_NS))
		return gone;
	*counter = STATS_C_QUEUE_DECLINED_FULL;
	if (l->opt.max_bytes && l->applied_known && stored_bytes(l) + l->waiting_bytes + size > l->opt.max_bytes)
		return "the queue is full";
	if (l->waiting_bytes + size > WAITING_MAX)
		return "the queue's Kafka does not keep up";
	return NULL;
}

/* Until it is answered the ticket says in seq what was applied before. lock held. NULL: it is on its way. */
static const char *produce(struct kafkalog *l, const struct record *rec, size_t size, struct queue_ticket *t)
{
	uint8_t *p = iobuf_reserve(&l->encoded, size);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__STATE;

	if (!p)
		return "out of memory";
	record_encode(rec, p);
	t->rc = RC_AGAIN;
	t->error = NULL;
	t->seq = l->applied;
	pthread_rwlock_rdlock(&l->hub->producing);
	if (l->hub->out.rkt)
		err = rd_kafka_produce(l->hub->out.rkt, (int32_t)l->opt.lane, RD_KAFKA_MSG_F_COPY, p, size, NULL, 0, t) == 0
			      ? RD_KAFKA_RESP_ERR_NO_ERROR
			      : rd_kafka_last_error();
	pthread_rwlock_unlock(&l->hub->producing);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return NULL;
	if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return "the queue's Kafka does not keep up";
	t->unfit = err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
	return t->unfit ? too_large : gone;
}

/* lock held. */
static enum rc append_locked(struct kafkalog *l, const struct record *rec, size_t size, struct queue_ticket *t, const char **why)
{
	enum stats_counter counter = STATS_C_QUEUE_DECLINED_FULL;

	t->unfit = l->opt.max_bytes && size > l->opt.max_bytes;
	*why = t->unfit ? too_large : refusal(l, size, &counter);
	if (!*why) {
		counter = STATS_C_QUEUE_DECLINED_DISK;
		*why = produce(l, rec, size, t);
	}
	if (*why) {
		if (l->opt.front && !t->unfit)
			stats_count(l->opt.front, counter, 1);
		return RC_DECLINED;
	}
	if (!l->waiting++)
		l->progress_ns = clock_mono_ns();
	l->waiting_bytes += size;
	return RC_AGAIN;
}

static enum rc kafkalog_append(struct queue_engine *e, const struct record *rec, struct queue_ticket *t, const char **why)
{
	struct kafkalog *l = kafkalog_of(e);
	size_t size = record_size(rec);
	enum rc rc;

	t->unfit = !size || size > KAFKALOG_RECORD_MAX;
	if (t->unfit) {
		*why = too_large;
		return RC_DECLINED;
	}
	pthread_mutex_lock(&l->lock);
	rc = append_locked(l, rec, size, t, why);
	pthread_mutex_unlock(&l->lock);
	FAILPOINT("after-append");
	return rc;
}

/* ---- what became of it ---- */

/* Whom its cluster did not reach in time is no news; what it refuses is. */
static bool silent(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT || err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
	       err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT || err == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

/* lock held. */
static void note_stored(struct kafkalog *l, uint64_t seq, size_t bytes, uint64_t took_ns)
{
	if (seq > l->durable)
		l->durable = seq;
	if (seq > l->own)
		l->own = seq;
	l->down_ns = l->failed_until_ns = 0;
	l->asks++;
	l->ask_ns_last = took_ns;
	l->ask_ns_total += took_ns;
	kafkalog_seen(l, bytes);
}

/* seq: 0, or of the record stored; floor: what was applied before it was sent. RC_ERROR: it was stored where nobody looks. */
static enum rc note_answer(struct kafkalog *l, const rd_kafka_message_t *m, uint64_t seq, uint64_t floor, uint64_t took_ns)
{
	bool misplaced = seq && seq <= floor;
	uint64_t now = clock_mono_ns();

	pthread_mutex_lock(&l->lock);
	l->waiting--;
	l->waiting_bytes -= m->len;
	l->progress_ns = now;
	if (seq && !misplaced)
		note_stored(l, seq, m->len, took_ns);
	else if (m->err && m->err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
		l->failed_until_ns = now + FAILED_PAUSE_NS;
	l->restarted |= misplaced;
	if (!l->waiting)
		pthread_cond_broadcast(&l->answered);
	pthread_mutex_unlock(&l->lock);
	if (!misplaced)
		return RC_OK;
	log_error("queue", "the topic in Kafka has begun anew: what is written to it would be taken for applied; nothing is queued any more",
		  "lane=%u stored=%" PRIu64 " applied=%" PRIu64 " do=\"another topic in queue.url; or stop all suimons of this queue and "
		  "delete its rows of suimon.applied\"", l->opt.lane, seq, floor);
	return RC_ERROR;
}

void kafkalog_delivered(struct kafkalog *l, const rd_kafka_message_t *m)
{
	struct queue_ticket *t = m->_private;
	int64_t took = rd_kafka_message_latency(m);
	uint64_t took_ns = took > 0 ? (uint64_t)took * 1000 : 0;
	bool never_sent = rd_kafka_message_status(m) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
	uint64_t seq = !m->err && m->offset >= 0 ? (uint64_t)m->offset + 1 : 0, floor = t->seq;
	enum rc rc = seq ? RC_OK : never_sent && m->err ? RC_DECLINED : RC_ERROR;
	const char *why = rc == RC_OK ? NULL : !m->err ? placeless : rc == RC_ERROR ? unknown : silent(m->err) ? gone : refused;

	FAILPOINT("before-answer");
	if (m->err && !silent(m->err))
		log_error("queue", "Kafka does not store", "lane=%u error=%s sent=%s", l->opt.lane, rd_kafka_err2name(m->err),
			  never_sent ? "no" : "perhaps");
	if (note_answer(l, m, seq, floor, took_ns) != RC_OK) {
		rc = RC_ERROR;
		why = again_from_0;
	}
	t->unfit = rc == RC_DECLINED && m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
	if (t->unfit)
		outbox_count_unfit(l->opt.sink, 1);
	else
		outbox_count(l->opt.sink, rc, 1, m->len, took_ns);
	t->seq = rc == RC_OK ? l->opt.number(l->opt.wake_arg, seq) : 0;
	ticket_answer(t, rc, why);
	if (rc == RC_OK)
		l->opt.wake(l->opt.wake_arg);
}

/* ---- how far it is ---- */

void kafkalog_note_down(struct kafkalog *l)
{
	pthread_mutex_lock(&l->lock);
	if (!l->down_ns)
		l->down_ns = clock_mono_ns();
	pthread_mutex_unlock(&l->lock);
}

/* For longer than a change of leaders takes? lock held. */
static bool stays_shorter(struct kafkalog *l, uint64_t now)
{
	if (!l->shorter_ns)
		l->shorter_ns = now;
	return now - l->shorter_ns > SHORTER_PATIENCE_NS;
}

void kafkalog_note_end(struct kafkalog *l, uint64_t end, uint64_t applied_before)
{
	uint64_t now = clock_mono_ns(), was;
	bool more, restarted = false, forgotten = false;

	pthread_mutex_lock(&l->lock);
	was = l->durable;
	more = end > was;
	if (end < applied_before)
		restarted = !l->restarted && stays_shorter(l, now);
	else if (end < was)
		forgotten = stays_shorter(l, now);
	else
		l->shorter_ns = 0;
	l->restarted |= restarted;
	if (more || forgotten)
		l->durable = end;
	if (forgotten && l->own > end)
		l->own = end;
	l->down_ns = 0;
	pthread_mutex_unlock(&l->lock);
	if (restarted)
		log_error("queue", "the topic in Kafka ends before what is applied: it was made anew, or has lost records; nothing is queued any more",
			  "lane=%u end=%" PRIu64 " applied=%" PRIu64 " do=\"another topic in queue.url; or stop all suimons of this queue "
			  "and delete its rows of suimon.applied\"", l->opt.lane, end, applied_before);
	if (forgotten)
		log_error("queue", "Kafka has forgotten records of the queue: those not applied are lost",
			  "lane=%u last=%" PRIu64 " was=%" PRIu64, l->opt.lane, end, was);
	if (more)
		l->opt.wake(l->opt.wake_arg);
}

uint64_t kafkalog_applied(struct kafkalog *l)
{
	uint64_t seq;

	pthread_mutex_lock(&l->lock);
	seq = l->applied;
	pthread_mutex_unlock(&l->lock);
	return seq;
}

uint64_t kafkalog_removable(struct kafkalog *l)
{
	uint64_t seq = 0;

	pthread_mutex_lock(&l->lock);
	if (l->attended && kafkalog_is_ours(l) && !l->restarted && !l->down_ns && l->applied > l->removed && l->applied <= l->durable)
		seq = l->applied;
	pthread_mutex_unlock(&l->lock);
	return seq;
}

void kafkalog_note_removed(struct kafkalog *l, uint64_t seq)
{
	pthread_mutex_lock(&l->lock);
	l->removed = seq;
	pthread_mutex_unlock(&l->lock);
}

static void note_applied(struct queue_engine *e, uint64_t seq)
{
	struct kafkalog *l = kafkalog_of(e);

	pthread_mutex_lock(&l->lock);
	l->applied = seq;
	l->applied_known = true;
	pthread_mutex_unlock(&l->lock);
}

/* ---- the engine ---- */

static enum rc kafkalog_start(struct queue_engine *e)
{
	return RC_OK; /* the hub's threads do it all */
}

static void kafkalog_stop(struct queue_engine *e, uint64_t until_ns)
{
	struct kafkalog *l = kafkalog_of(e);

	kafkahub_hurry(l->hub, until_ns);
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	/* The poller gives up what is left when the hurry is over. */
	while (l->waiting && kafkahub_running(l->hub))
		sigthread_wait_until(&l->answered, &l->lock, clock_mono_ns() + NS_PER_SEC);
	pthread_mutex_unlock(&l->lock);
}

static void kafkalog_close(struct queue_engine *e)
{
	struct kafkalog *l = kafkalog_of(e);

	kafkalog_quiet(l);
	iobuf_reset(&l->encoded);
	pthread_cond_destroy(&l->answered);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

static void kafkalog_tune(struct queue_engine *e, const struct queue_options *opt)
{
	struct kafkalog *l = kafkalog_of(e);

	pthread_mutex_lock(&l->lock);
	l->opt.max_bytes = opt->max_bytes / l->hub->hub.lanes;
	pthread_mutex_unlock(&l->lock);
}

static void kafkalog_attend(struct queue_engine *e, bool attended)
{
	struct kafkalog *l = kafkalog_of(e);

	if (!attended)
		kafkalog_leave(l);
	pthread_mutex_lock(&l->lock);
	l->attended = attended;
	pthread_mutex_unlock(&l->lock);
}

static uint64_t kafkalog_own(struct queue_engine *e)
{
	return atomic_load(&kafkalog_of(e)->own);
}

static uint64_t kafkalog_mark(struct queue_engine *e, bool *fresh)
{
	*fresh = false; /* a cluster does not lose its id */
	return atomic_load(&kafkalog_of(e)->hub->mark);
}

static void kafkalog_judge(struct queue_engine *e, enum queue_owner owner, uint64_t mark)
{
	struct kafkalog *l = kafkalog_of(e);

	pthread_mutex_lock(&l->lock);
	l->owner = owner;
	l->ours = mark;
	pthread_mutex_unlock(&l->lock);
}

static bool kafkalog_failed(struct queue_engine *e, const char **why)
{
	struct kafkalog *l = kafkalog_of(e);
	bool restarted, other;

	pthread_mutex_lock(&l->lock);
	restarted = l->restarted;
	other = l->owner == QUEUE_OWNER_OTHER;
	pthread_mutex_unlock(&l->lock);
	*why = restarted ? again_from_0 : foreign;
	return restarted || other; /* whatever else it is, it is asked again */
}

static void kafkalog_totals(struct queue_engine *e, struct queue_totals *out)
{
	struct kafkalog *l = kafkalog_of(e);

	pthread_mutex_lock(&l->lock);
	out->last_seq = l->durable;
	out->depth = depth(l);
	out->bytes = stored_bytes(l) + l->waiting_bytes;
	out->fsyncs = l->asks;
	out->fsync_ns_last = l->ask_ns_last;
	out->fsync_ns_total = l->ask_ns_total;
	pthread_mutex_unlock(&l->lock);
}

static const struct queue_engine_ops kafkalog_ops = {
	.name = "kafka",
	.append = kafkalog_append,
	.start = kafkalog_start,
	.stop = kafkalog_stop,
	.close = kafkalog_close,
	.tune = kafkalog_tune,
	.seek = kafkalog_seek,
	.next = kafkalog_next,
	.applied = note_applied,
	.follow = note_applied,
	.attend = kafkalog_attend,
	.peek = kafkalog_peek,
	.own = kafkalog_own,
	.mark = kafkalog_mark,
	.judge = kafkalog_judge,
	.durable = kafkalog_durable,
	.failed = kafkalog_failed,
	.totals = kafkalog_totals,
};

struct queue_engine *kafkalog_open(struct kafkahub *hub, const struct queue_lane_options *opt)
{
	struct kafkalog *l = mem_zalloc(sizeof(*l));

	if (!l || sigthread_cond_init(&l->answered) != RC_OK) {
		mem_free(l);
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	l->engine.ops = &kafkalog_ops;
	l->hub = hub;
	l->opt = *opt;
	iobuf_init(&l->encoded, 0);
	hub->lane[opt->lane] = l;
	return &l->engine;
}
