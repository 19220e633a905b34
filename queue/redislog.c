/*
 * redislog.c - see redislog.h.
 */
#include "redislog_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"
#include "random.h"

#define PENDING_MAX (16u << 20) /* of a lane, accepted and not yet sent */
#define REPLY_MAX (8u << 20)
#define OUTPUT_MAX (16u << 20)
#define TICK_MS 25
#define DOWN_GRACE_NS (NS_PER_SEC / 2) /* a connection that comes back at once refuses nobody */
#define FETCH_PATIENCE_NS (5 * NS_PER_SEC)
#define NUMBER_MAX ((UINT64_C(1) << REDISLOG_NUMBER_BITS) - 1)
#define MILLIS_MAX (UINT64_MAX >> REDISLOG_NUMBER_BITS)

static struct redislog *self(struct queue_engine *e)
{
	return container_of(e, struct redislog, engine);
}

enum rc redislog_parse_id(struct span text, uint64_t *seq)
{
	unsigned long long ms, number;
	char copy[REDISLOG_ID_MAX], *end;

	if (!text.len || text.len >= sizeof(copy) || text.p[0] < '0' || text.p[0] > '9')
		return RC_ERROR;
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	ms = strtoull(copy, &end, 10);
	if (*end != '-' || end[1] < '0' || end[1] > '9' || ms > MILLIS_MAX)
		return RC_ERROR;
	number = strtoull(end + 1, &end, 10);
	if (*end || number > NUMBER_MAX)
		return RC_ERROR;
	*seq = (uint64_t)ms << REDISLOG_NUMBER_BITS | number;
	return RC_OK;
}

struct span redislog_put_id(char out[REDISLOG_ID_MAX], const char *before, uint64_t seq)
{
	int n = snprintf(out, REDISLOG_ID_MAX, "%s%" PRIu64 "-%" PRIu64, before, seq >> REDISLOG_NUMBER_BITS, seq & NUMBER_MAX);

	return span_of(out, (size_t)n);
}

struct span redislog_number(char out[24], uint64_t v)
{
	return span_of(out, (size_t)snprintf(out, 24, "%" PRIu64, v));
}

static void on_kick(struct mail *m)
{
	struct redislog *l = container_of(m, struct redislog, kick);

	pthread_mutex_lock(&l->lock);
	l->kicked = false;
	pthread_mutex_unlock(&l->lock);
	redislog_flush(l);
	redislog_ask(l);
}

/* lock held. */
void redislog_kick(struct redislog *l)
{
	if (!l->kicked)
		loop_post(l->hub->loop, &l->kick);
	l->kicked = true;
}

static const char foreign[] = "another Redis has the queue's name in the database: see the log";
static const char unasked[] = "the database has not said yet whether this Redis is the queue's";
static const char too_large[] = "the statement is too large for the queue";

/* NULL: the record may come in; else why not, and what that counts as. lock held. */
static const char *refusal(struct redislog *l, size_t size, enum stats_counter *counter)
{
	uint64_t now = clock_mono_ns();

	*counter = STATS_C_QUEUE_DECLINED_STOPPING;
	if (l->stopping)
		return "the queue is stopping";
	*counter = STATS_C_QUEUE_DECLINED_DISK;
	if (l->owner == QUEUE_OWNER_OTHER)
		return foreign;
	if (l->down_ns && now - l->down_ns > DOWN_GRACE_NS)
		return "the queue's Redis does not answer";
	if (l->held_ns && now - l->held_ns > REDISLOG_HELD_PATIENCE_NS && !redislog_open_to(l)) /* the next tick notes that it is */
		return unasked;
	if (l->refused_until_ns) {
		if (now < l->refused_until_ns)
			return l->refused;
		l->refused_until_ns = 0;
	}
	*counter = STATS_C_QUEUE_DECLINED_FULL;
	if (l->opt.max_bytes && l->bytes + iobuf_len(&l->box.bodies) + size > l->opt.max_bytes)
		return "the queue is full";
	if (iobuf_len(&l->box.bodies) + size > PENDING_MAX)
		return "the queue's Redis does not keep up";
	return NULL;
}

/* lock held. */
static enum rc append_locked(struct redislog *l, const struct record *rec, size_t size, struct queue_ticket *t,
			     const char **why)
{
	enum stats_counter counter;

	t->unfit = l->opt.max_bytes && size > l->opt.max_bytes;
	*why = t->unfit ? too_large : refusal(l, size, &counter);
	if (*why) {
		if (l->opt.front && !t->unfit)
			stats_count(l->opt.front, counter, 1);
		return RC_DECLINED;
	}
	if (outbox_put(&l->box, rec, size, t) != RC_OK) {
		*why = "out of memory";
		return RC_DECLINED;
	}
	redislog_kick(l);
	return RC_AGAIN;
}

static enum rc redislog_append(struct queue_engine *e, const struct record *rec, struct queue_ticket *t, const char **why)
{
	struct redislog *l = self(e);
	size_t size = record_size(rec);
	enum rc rc;

	t->unfit = !size || size > REDISLOG_RECORD_MAX;
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

static void on_start(struct mail *m)
{
	struct redislog *l = container_of(m, struct redislog, kick);
	const struct timeval every = {.tv_usec = TICK_MS * 1000};

	l->kick.run = on_kick;
	if (event_add(l->tick, &every) != 0)
		log_fatal("queue", "a timer cannot be set", NULL);
	redislink_open(&l->link);
	on_kick(m);
}

static enum rc redislog_start(struct queue_engine *e)
{
	struct redislog *l = self(e);

	pthread_mutex_lock(&l->lock);
	l->kick.run = on_start;
	redislog_kick(l);
	pthread_mutex_unlock(&l->lock);
	return RC_OK;
}

static void redislog_stop(struct queue_engine *e, uint64_t until_ns)
{
	struct redislog *l = self(e);

	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	l->stop_until_ns = until_ns;
	/* The tick answers what is left then. */
	while (l->box.waiting && l->hub->running)
		pthread_cond_wait(&l->answered, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static void redislog_close(struct queue_engine *e)
{
	struct redislog *l = self(e);

	redislink_reset(&l->link);
	if (l->tick)
		event_free(l->tick);
	iobuf_reset(&l->batch.bodies);
	outbox_reset(&l->box);
	iobuf_reset(&l->got);
	iobuf_reset(&l->fetched);
	pthread_cond_destroy(&l->answered);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->reading);
	mem_free(l);
}

static void redislog_tune(struct queue_engine *e, const struct queue_options *opt)
{
	struct redislog *l = self(e);

	pthread_mutex_lock(&l->lock);
	l->opt.max_bytes = opt->max_bytes / l->hub->hub.lanes;
	pthread_mutex_unlock(&l->lock);
}

static enum rc redislog_seek(struct queue_engine *e, uint64_t after_seq, char *err, size_t cap)
{
	struct redislog *l = self(e);

	l->cursor = after_seq;
	l->got_record = 0;
	iobuf_consume(&l->got, iobuf_len(&l->got));
	return RC_OK;
}

/* Has the loop's thread fetch a stretch behind `after` into l->fetched. RC_DECLINED: why. reading and lock held. */
static enum rc fetch(struct redislog *l, uint64_t after, const char **why)
{
	uint64_t until = clock_mono_ns() + FETCH_PATIENCE_NS;
	enum redislog_fetch got;

	if (l->down_ns && l->down_ns + DOWN_GRACE_NS < until)
		until = l->down_ns + DOWN_GRACE_NS;
	l->fetch = FETCH_WANTED;
	l->fetch_after = after;
	l->fetch_why = "the queue's Redis does not answer";
	redislog_kick(l);
	while ((l->fetch == FETCH_WANTED || l->fetch == FETCH_ASKED) && clock_mono_ns() < until)
		sigthread_wait_until(&l->answered, &l->lock, until);
	got = l->fetch;
	l->fetch_ignore += got == FETCH_ASKED;
	l->fetch = FETCH_NONE;
	*why = l->fetch_why;
	return got == FETCH_DONE ? RC_OK : RC_DECLINED;
}

/* The same, into a buffer. RC_AGAIN: there is nothing. */
static enum rc fetch_into(struct redislog *l, uint64_t after, struct iobuf *out, char *err, size_t cap)
{
	const char *why = "";
	struct iobuf before;
	enum rc rc = RC_AGAIN;

	pthread_mutex_lock(&l->reading);
	pthread_mutex_lock(&l->lock);
	if (!l->known || l->durable > after)
		rc = fetch(l, after, &why);
	if (rc == RC_OK) {
		before = *out;
		*out = l->fetched;
		l->fetched = before;
		iobuf_consume(&l->fetched, iobuf_len(&l->fetched));
		/* What it had last is not there any more: nothing to wait for. */
		if (!iobuf_len(out) && l->durable > after)
			l->durable = after;
	}
	pthread_mutex_unlock(&l->lock);
	pthread_mutex_unlock(&l->reading);
	if (rc == RC_DECLINED)
		snprintf(err, cap, "%s", why);
	return rc == RC_OK && !iobuf_len(out) ? RC_AGAIN : rc;
}

static uint64_t get_number(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = n; i > 0; i--)
		v = v << 8 | p[i - 1];
	return v;
}

/* The first record of a stretch, which is of our own making: take_entry() has checked it. Returns its bytes. */
static size_t first_of(const struct iobuf *stretch, uint64_t *seq, struct span *body)
{
	const uint8_t *p = iobuf_data(stretch);

	*seq = get_number(p, 8);
	*body = span_of(p + 12, (size_t)get_number(p + 8, 4));
	return 12 + body->len;
}

/* May what is read be applied? fetched: it was, so that this Redis has said which it is. */
static bool may_read(struct redislog *l, bool fetched)
{
	bool may;

	pthread_mutex_lock(&l->lock);
	may = fetched ? redislog_is_ours(l) : l->owner == QUEUE_OWNER_US;
	pthread_mutex_unlock(&l->lock);
	return may;
}

static enum rc redislog_next(struct queue_engine *e, uint64_t *seq, struct span *body, char *err, size_t cap)
{
	struct redislog *l = self(e);
	bool may = may_read(l, false);
	enum rc rc = RC_OK;

	iobuf_consume(&l->got, l->got_record);
	l->got_record = 0;
	if (may && !iobuf_len(&l->got)) {
		rc = fetch_into(l, l->cursor, &l->got, err, cap);
		may = rc != RC_OK || may_read(l, true);
	}
	if (!may) {
		iobuf_consume(&l->got, iobuf_len(&l->got));
		snprintf(err, cap, "%s", unasked);
		return RC_DECLINED;
	}
	if (rc != RC_OK)
		return rc;
	l->got_record = first_of(&l->got, seq, body);
	l->cursor = *seq;
	return RC_OK;
}

static enum rc redislog_peek(struct queue_engine *e, uint64_t after_seq, unsigned limit,
			     void (*fn)(void *arg, uint64_t seq, struct span body), void *arg)
{
	struct redislog *l = self(e);
	struct iobuf stretch;
	struct span body;
	char err[128];
	enum rc rc = RC_OK;

	iobuf_init(&stretch, 0);
	while (limit && (rc = fetch_into(l, after_seq, &stretch, err, sizeof(err))) == RC_OK) {
		for (; limit && iobuf_len(&stretch); limit--) {
			size_t len = first_of(&stretch, &after_seq, &body);

			fn(arg, after_seq, body);
			iobuf_consume(&stretch, len);
		}
	}
	iobuf_reset(&stretch);
	return rc == RC_OK || rc == RC_AGAIN ? RC_OK : RC_ERROR;
}

static void redislog_applied(struct queue_engine *e, uint64_t seq)
{
	struct redislog *l = self(e);

	pthread_mutex_lock(&l->lock);
	if (seq > l->applied) {
		l->applied = seq;
		redislog_kick(l);
	}
	pthread_mutex_unlock(&l->lock);
}

/* Not removed here: whoever applied it may have to read once more what it wrote to, for the caches. */
static void redislog_follow(struct queue_engine *e, uint64_t seq)
{
	struct redislog *l = self(e);

	pthread_mutex_lock(&l->lock);
	if (seq > l->followed)
		l->followed = seq;
	pthread_mutex_unlock(&l->lock);
}

static void redislog_attend(struct queue_engine *e, bool attended)
{
	struct redislog *l = self(e);

	pthread_mutex_lock(&l->lock);
	l->attended = attended;
	pthread_mutex_unlock(&l->lock);
}

bool redislog_is_ours(const struct redislog *l)
{
	return l->known && l->owner == QUEUE_OWNER_US && l->mark && l->mark == l->ours;
}

bool redislog_open_to(struct redislog *l)
{
	return redislog_is_ours(l) || (l->known && l->mark && l->owner == QUEUE_OWNER_UNKNOWN && l->unasked && l->durable);
}

static uint64_t redislog_mark(struct queue_engine *e, bool *fresh)
{
	struct redislog *l = self(e);
	uint64_t mark;

	pthread_mutex_lock(&l->lock);
	mark = l->known ? l->mark : 0;
	*fresh = !l->durable;
	pthread_mutex_unlock(&l->lock);
	return mark;
}

static void redislog_judge(struct queue_engine *e, enum queue_owner owner, uint64_t mark)
{
	struct redislog *l = self(e);

	pthread_mutex_lock(&l->lock);
	l->owner = owner;
	l->unasked |= owner == QUEUE_OWNER_UNKNOWN;
	if (owner == QUEUE_OWNER_US)
		l->ours = mark;
	l->met |= redislog_is_ours(l);
	redislog_kick(l);
	pthread_mutex_unlock(&l->lock);
}

static uint64_t redislog_durable(struct queue_engine *e)
{
	struct redislog *l = self(e);
	uint64_t seq;

	pthread_mutex_lock(&l->lock);
	seq = l->durable;
	pthread_mutex_unlock(&l->lock);
	return seq;
}

static uint64_t redislog_own(struct queue_engine *e)
{
	struct redislog *l = self(e);
	uint64_t seq;

	pthread_mutex_lock(&l->lock);
	seq = l->own;
	pthread_mutex_unlock(&l->lock);
	return seq;
}

static bool redislog_failed(struct queue_engine *e, const char **why)
{
	struct redislog *l = self(e);
	bool other;

	pthread_mutex_lock(&l->lock);
	other = l->owner == QUEUE_OWNER_OTHER;
	pthread_mutex_unlock(&l->lock);
	*why = foreign;
	return other; /* whatever else it is, it is asked again */
}

static void redislog_totals(struct queue_engine *e, struct queue_totals *out)
{
	struct redislog *l = self(e);

	pthread_mutex_lock(&l->lock);
	out->last_seq = l->durable;
	out->depth = l->count;
	out->bytes = l->bytes + iobuf_len(&l->box.bodies);
	out->fsyncs = l->asks;
	out->fsync_ns_last = l->ask_ns_last;
	out->fsync_ns_total = l->ask_ns_total;
	pthread_mutex_unlock(&l->lock);
}

static const struct queue_engine_ops redislog_ops = {
	.name = "redis",
	.append = redislog_append,
	.start = redislog_start,
	.stop = redislog_stop,
	.close = redislog_close,
	.tune = redislog_tune,
	.seek = redislog_seek,
	.next = redislog_next,
	.applied = redislog_applied,
	.follow = redislog_follow,
	.attend = redislog_attend,
	.peek = redislog_peek,
	.own = redislog_own,
	.mark = redislog_mark,
	.judge = redislog_judge,
	.durable = redislog_durable,
	.failed = redislog_failed,
	.totals = redislog_totals,
};

static void on_up(void *arg)
{
	struct redislog *l = arg;

	pthread_mutex_lock(&l->lock);
	l->down_ns = 0;
	pthread_mutex_unlock(&l->lock);
	redislog_greet(l);
	redislog_look(l);
	redislog_flush(l);
	redislog_ask(l);
}

static void on_down(void *arg)
{
	struct redislog *l = arg;

	pthread_mutex_lock(&l->lock);
	if (!l->down_ns)
		l->down_ns = clock_mono_ns();
	l->known = l->met = false;
	pthread_mutex_unlock(&l->lock);
	redislog_batch_lost(l);
	redislog_ask_lost(l);
}

static const struct redislink_ops link_ops = {.up = on_up, .down = on_down};

static enum rc name_keys(struct redislog *l)
{
	uint64_t who;
	char tag[REDISHUB_NAME_MAX + 24];

	if (random_bytes(&who, sizeof(who)) != RC_OK)
		return RC_ERROR;
	snprintf(tag, sizeof(tag), "{suimon:q:%s:%u:%u}", l->hub->name, l->hub->hub.lanes, l->opt.lane);
	snprintf(l->stream.text, sizeof(l->stream.text), "%s:s", tag);
	snprintf(l->info.text, sizeof(l->info.text), "%s:i", tag);
	snprintf(l->producer.text, sizeof(l->producer.text), "%s:p:%016" PRIx64, tag, who);
	return RC_OK;
}

struct queue_engine *redislog_open(struct redishub *hub, const struct queue_lane_options *opt)
{
	struct redislog *l = mem_zalloc(sizeof(*l));

	if (!l || sigthread_cond_init(&l->answered) != RC_OK) {
		mem_free(l);
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->reading, NULL);
	l->engine.ops = &redislog_ops;
	l->hub = hub;
	l->opt = *opt;
	l->down_ns = clock_mono_ns();
	iobuf_init(&l->batch.bodies, 0);
	outbox_init(&l->box, &l->lock, &l->answered);
	iobuf_init(&l->got, 0);
	iobuf_init(&l->fetched, 0);
	ticket_line_init(&l->batch.line);
	l->tick = event_new(loop_base(hub->loop), -1, EV_PERSIST, redislog_on_tick, l);
	if (redislink_init(&l->link, "queue", hub->loop, &hub->url, &link_ops, l, REPLY_MAX, OUTPUT_MAX) == RC_OK && l->tick &&
	    name_keys(l) == RC_OK)
		return &l->engine;
	redislog_close(&l->engine);
	return NULL;
}
