/*
 * sqslog.c - see sqslog.h: a lane's face to other threads, its beginning and its end.
 */
#include "sqslog_impl.h"

#include <stdio.h>
#include <xxhash.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"
#include "mem.h"
#include "random.h"
#include "sigthread.h"

#define PENDING_MAX (16u << 20) /* of a lane, accepted and not yet sent */
#define MESSAGE_BYTES (256u << 10) /* until SQS says what it takes */
#define SMALL_REPLY (64u << 10)
#define RECEIVE_REPLY (12u << 20)
#define DOWN_GRACE_NS (NS_PER_SEC / 2) /* an answer that comes late refuses nobody */
#define REFUSED_PAUSE_NS NS_PER_SEC

/* ---- what others say of it ---- */

void sqslog_good(struct sqslog *l)
{
	pthread_mutex_lock(&l->lock);
	l->down_ns = 0;
	pthread_mutex_unlock(&l->lock);
	if (l->told)
		log_info("queue", "SQS answers again", "queue=%s", l->url);
	l->told = false;
}

void sqslog_bad(struct sqslog *l, const char *why)
{
	char quoted[200];

	pthread_mutex_lock(&l->lock);
	if (!l->down_ns)
		l->down_ns = clock_mono_ns();
	pthread_mutex_unlock(&l->lock);
	if (!l->told)
		log_warn("queue", "SQS does not answer", "queue=%s reason=%s", l->url, log_quote(quoted, sizeof(quoted), span_str(why)));
	l->told = true;
}

void sqslog_refuse(struct sqslog *l, const char *why)
{
	pthread_mutex_lock(&l->lock);
	l->refused = why;
	l->refused_until_ns = clock_mono_ns() + REFUSED_PAUSE_NS;
	pthread_mutex_unlock(&l->lock);
}

static bool begins_as(const char *type, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(type, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

bool sqslog_fault(struct sqslog *l, const struct sqshttp_call *c, const char *doing)
{
	static const char *const passing[] = {"RequestThrottled", "Throttling", "KmsThrottled", "OverLimit", "TooManyRequests"};
	static const char *const whom[] = {"ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "InvalidSecurity",
					   "InvalidSignature", "SignatureDoesNotMatch", "RequestExpired"};
	bool again = c->status == 429;
	struct sqsreply_error e;
	char type[100], text[300];

	sqsreply_fault(sqshttp_reply(c), &e);
	if (begins_as(e.type, whom, countof(whom))) {
		sqscred_refused(&l->hub->cred);
		again = l->hub->cred.source != SQSCRED_ENVIRONMENT;
	}
	again |= begins_as(e.type, passing, countof(passing));
	log_write(again ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "queue", doing, "queue=%s status=%ld error=%s text=%s", l->url, c->status,
		  log_quote(type, sizeof(type), span_str(e.type)), log_quote(text, sizeof(text), span_str(e.text)));
	return again;
}

/* ---- the engine's operations ---- */

const char sqslog_too_large[] = "the statement is too large for a message of the queue's SQS";

/* For a message of its own, or for the queue when it is empty. lock held. */
static bool is_too_large(const struct sqslog *l, size_t size)
{
	return !size || size + OUTBOX_LENGTH_BYTES > sqsmsg_raw_most(l->message_bytes) - SQSMSG_HEAD_BYTES ||
	       (l->opt.max_bytes && size > l->opt.max_bytes);
}

/* NULL: the record may come in; else why not, and what that counts as. lock held. */
static const char *refusal(struct sqslog *l, size_t size, enum stats_counter *counter)
{
	uint64_t now = clock_mono_ns(), bytes = iobuf_len(&l->box.bodies) + size, stored = 0;

	*counter = STATS_C_QUEUE_DECLINED_STOPPING;
	if (l->stopping)
		return "the queue is stopping";
	*counter = STATS_C_QUEUE_DECLINED_DISK;
	if (l->down_ns && now - l->down_ns > DOWN_GRACE_NS)
		return "the queue's SQS does not answer";
	if (l->refused_until_ns) {
		if (now < l->refused_until_ns)
			return l->refused;
		l->refused_until_ns = 0;
	}
	*counter = STATS_C_QUEUE_DECLINED_FULL;
	for (unsigned i = 0; i < l->nmarks; i++)
		stored += l->mark[i].bytes;
	if (l->opt.max_bytes && stored + bytes > l->opt.max_bytes)
		return "the queue is full";
	return bytes > PENDING_MAX ? "the queue's SQS does not keep up" : NULL;
}

static enum rc sqslog_append(struct queue_engine *e, const struct record *rec, struct queue_ticket *t, const char **why)
{
	struct sqslog *l = sqslog_self(e);
	size_t size = record_size(rec);
	enum stats_counter counter;
	bool first;

	pthread_mutex_lock(&l->lock);
	first = !l->box.n;
	t->unfit = is_too_large(l, size);
	*why = t->unfit ? sqslog_too_large : refusal(l, size, &counter);
	if (*why && l->opt.front && !t->unfit)
		stats_count(l->opt.front, counter, 1);
	if (!*why && outbox_put(&l->box, rec, size, t) != RC_OK)
		*why = "out of memory";
	pthread_mutex_unlock(&l->lock);
	if (*why)
		return RC_DECLINED;
	if (first)
		sqshttp_wake(&l->hub->http);
	FAILPOINT("after-append");
	return RC_AGAIN;
}

static enum rc sqslog_start(struct queue_engine *e)
{
	return RC_OK; /* the hub's thread turns it from its first turn on */
}

static void sqslog_stop(struct queue_engine *e, uint64_t until_ns)
{
	struct sqslog *l = sqslog_self(e);

	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	l->stop_until_ns = until_ns;
	/* Its turn answers what is left then. */
	while (l->box.waiting && sqshub_running(l->hub))
		pthread_cond_wait(&l->answered, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static void sqslog_close(struct queue_engine *e)
{
	struct sqslog *l = sqslog_self(e);

	l->hub->lane[l->opt.lane] = NULL;
	sqshttp_call_close(&l->send);
	sqshttp_call_close(&l->receive);
	sqshttp_call_close(&l->drop);
	sqshttp_call_close(&l->look);
	sqslog_release(l, true);
	iobuf_reset(&l->batch.records);
	iobuf_reset(&l->out);
	outbox_reset(&l->box);
	producers_reset(&l->producers);
	pthread_cond_destroy(&l->answered);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

static void sqslog_tune(struct queue_engine *e, const struct queue_options *opt)
{
	struct sqslog *l = sqslog_self(e);

	pthread_mutex_lock(&l->lock);
	l->opt.max_bytes = opt->max_bytes / l->hub->hub.lanes;
	pthread_mutex_unlock(&l->lock);
}

static void sqslog_attend(struct queue_engine *e, bool attended)
{
	struct sqslog *l = sqslog_self(e);

	pthread_mutex_lock(&l->lock);
	l->attended = attended;
	pthread_mutex_unlock(&l->lock);
	sqshttp_wake(&l->hub->http);
}

static void sqslog_follow(struct queue_engine *e, uint64_t seq)
{
	struct sqslog *l = sqslog_self(e);

	pthread_mutex_lock(&l->lock);
	sqslog_forget_marks(l, seq);
	pthread_mutex_unlock(&l->lock);
}

static uint64_t sqslog_own(struct queue_engine *e)
{
	struct sqslog *l = sqslog_self(e);
	uint64_t seq;

	pthread_mutex_lock(&l->lock);
	seq = l->own;
	pthread_mutex_unlock(&l->lock);
	return seq;
}

static bool sqslog_failed(struct queue_engine *e, const char **why)
{
	return false; /* whatever it is, it is asked again */
}

static void sqslog_totals(struct queue_engine *e, struct queue_totals *out)
{
	struct sqslog *l = sqslog_self(e);

	pthread_mutex_lock(&l->lock);
	out->depth = l->messages > l->nhand ? l->messages - l->nhand : 0; /* of others: messages are all that SQS counts */
	out->bytes = iobuf_len(&l->box.bodies);
	for (unsigned i = 0; i < l->nhand; i++)
		out->depth += l->hand[i].done ? 0 : l->hand[i].m.count;
	for (unsigned i = 0; i < l->nmarks; i++)
		out->bytes += l->mark[i].bytes;
	for (uint64_t own = 0, i = 0; i < l->nmarks; i++) {
		own += l->mark[i].records;
		out->depth = own > out->depth ? own : out->depth;
	}
	out->last_seq = !l->known ? 0 : l->own > l->last_seq ? l->own : l->last_seq;
	out->fsyncs = l->asks;
	out->fsync_ns_last = l->ask_ns_last;
	out->fsync_ns_total = l->ask_ns_total;
	pthread_mutex_unlock(&l->lock);
}

static const struct queue_engine_ops sqslog_ops = {
	.name = "sqs",
	.append = sqslog_append,
	.start = sqslog_start,
	.stop = sqslog_stop,
	.close = sqslog_close,
	.tune = sqslog_tune,
	.seek = sqslog_seek,
	.next = sqslog_next,
	.stale = sqslog_stale,
	.begin = sqslog_begin,
	.note = sqslog_note,
	.applied = sqslog_applied,
	.attend = sqslog_attend,
	.follow = sqslog_follow,
	.peek = sqslog_peek,
	.own = sqslog_own,
	.durable = sqslog_durable,
	.failed = sqslog_failed,
	.totals = sqslog_totals,
};

struct queue_engine *sqslog_engine(struct sqslog *l)
{
	return &l->engine;
}

bool sqslog_turn(struct sqslog *l, bool ending)
{
	if (!ending)
		sqslog_send_turn(l);
	return sqslog_take_turn(l, clock_mono_ns(), ending);
}

/* ---- its beginning ---- */

static enum rc open_calls(struct sqslog *l)
{
	struct sqshttp *http = &l->hub->http;

	if (sqshttp_call_open(http, &l->send, SMALL_REPLY, sqslog_on_sent, l) != RC_OK ||
	    sqshttp_call_open(http, &l->receive, RECEIVE_REPLY, sqslog_on_received, l) != RC_OK ||
	    sqshttp_call_open(http, &l->drop, SMALL_REPLY, sqslog_on_dropped, l) != RC_OK)
		return RC_ERROR;
	return sqshttp_call_open(http, &l->look, SMALL_REPLY, sqslog_on_looked, l);
}

struct sqslog *sqslog_open(struct sqshub *hub, const char *url, const struct queue_lane_options *opt)
{
	struct sqslog *l = mem_zalloc(sizeof(*l));

	if (!l || sigthread_cond_init(&l->answered) != RC_OK) {
		mem_free(l);
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	l->engine.ops = &sqslog_ops;
	l->hub = hub;
	l->opt = *opt;
	l->down_ns = clock_mono_ns();
	l->message_bytes = MESSAGE_BYTES;
	l->queue = XXH3_64bits_withSeed(hub->url.name, strlen(hub->url.name), hub->hub.seed);
	snprintf(l->url, sizeof(l->url), "%s", url);
	snprintf(l->group, sizeof(l->group), "lane-%u", opt->lane);
	outbox_init(&l->box, &l->lock, &l->answered);
	iobuf_init(&l->batch.records, 0);
	iobuf_init(&l->out, 0);
	ticket_line_init(&l->batch.line);
	if (random_bytes(&l->producer, sizeof(l->producer)) == RC_OK && open_calls(l) == RC_OK)
		return l;
	sqslog_close(&l->engine);
	return NULL;
}
