#include "bus.h"

#include <pthread.h>
#include <string.h>

#include "backoff.h"
#include "bus_msg.h"
#include "log.h"
#include "mem.h"
#include "redis.h"
#include "settle.h"

#define TICK_MS 250
#define ATTEMPT_NS (3 * NS_PER_SEC)  /* from the first address to the first heartbeat back */
#define BARRIER_NS (5 * NS_PER_MS)   /* between two that were asked for */
#define REPLY_MAX (64 * 1024)
#define OUTPUT_MAX (4 * 1024 * 1024)

enum bus_state {
	BUS_OFF,         /* not begun, or waiting to try again */
	BUS_RESOLVING,
	BUS_CONNECTING,  /* both connections */
	BUS_SUBSCRIBING, /* both are up */
	BUS_PROVING,     /* subscribed; our first heartbeat is under way */
	BUS_LIVE,
};

struct bus {
	struct bus_options opt;
	struct bus_view view;
	enum bus_state state;
	struct redis *sub, *cmd;  /* owned */
	struct event *tick;       /* owned; all the time */
	struct event *retry;      /* owned; the end of a back-off */
	struct event *barrier;    /* owned; the earliest time for the next one */
	struct resolve *resolve;  /* owned while RESOLVING */
	struct resolve_address addr[RESOLVE_ADDRESSES];
	unsigned naddr, next;     /* next: the one to try */
	struct backoff backoff;
	uint64_t attempt_ns;      /* bus_clock; when this attempt began */
	uint64_t heartbeat_ns;    /* bus_clock; when the last one was sent */
	uint64_t ping_ns;         /* bus_clock; the barrier's ping sent last ... */
	bool ping_open;           /* ... and not yet back */
	bool started;
	bool told_why;            /* the first failure of a row is logged at length */
	struct mail kick;
	_Atomic bool kicked, want_barrier;
	pthread_mutex_t lock;     /* of peer */
	struct resolve_address peer;
	struct settle settle;
};

static void bus_fail(struct bus *b, const char *why);

/* The one place where the state changes. */
static void set_state(struct bus *b, enum bus_state to)
{
	static const bool allowed[][6] = {
		[BUS_OFF] = {[BUS_RESOLVING] = true, [BUS_OFF] = true},
		[BUS_RESOLVING] = {[BUS_CONNECTING] = true, [BUS_OFF] = true},
		[BUS_CONNECTING] = {[BUS_SUBSCRIBING] = true, [BUS_OFF] = true},
		[BUS_SUBSCRIBING] = {[BUS_PROVING] = true, [BUS_OFF] = true},
		[BUS_PROVING] = {[BUS_LIVE] = true, [BUS_OFF] = true},
		[BUS_LIVE] = {[BUS_OFF] = true},
	};

	if (!allowed[b->state][to])
		log_fatal("cache", "impossible change of the bus's state", "from=%d to=%d", (int)b->state, (int)to);
	b->state = to;
	atomic_store_explicit(&b->view.up, to >= BUS_SUBSCRIBING, memory_order_relaxed);
}

/* ---- heartbeats, barriers and the lease ---- */

static void publish_heartbeat(struct bus *b)
{
	uint64_t now = bus_clock();
	struct bus_msg m;

	bus_msg_begin(&m, BUS_MSG_HEARTBEAT, b->settle.id, now);
	b->heartbeat_ns = now;
	if (redis_send(b->cmd, 3, (const struct span[]){span_str("PUBLISH"), span_str(RKEY_BUS), span_of(m.bytes, m.len)}, NULL,
		       NULL) != RC_OK)
		bus_fail(b, "Redis takes no more commands");
}

static void pass_barrier(struct bus *b, uint64_t sent)
{
	if (sent <= atomic_load_explicit(&b->view.barrier, memory_order_relaxed) || b->state != BUS_LIVE)
		return;
	/* Release: who sees the barrier sees the bumps of all messages before it. */
	atomic_store_explicit(&b->view.barrier, sent, memory_order_release);
	b->opt.changed(b->opt.arg);
}

static void become_live(struct bus *b)
{
	/* What was missed is not known. The bump comes first: who finds the lease finds the new epoch. */
	versions_bump_all(b->opt.versions, clock_mono_ns(), 0, false);
	pthread_mutex_lock(&b->lock);
	b->peer = b->addr[b->next];
	pthread_mutex_unlock(&b->lock);
	atomic_store_explicit(&b->view.run, redis_run(b->cmd), memory_order_release);
	set_state(b, BUS_LIVE);
	b->told_why = false;
	backoff_good(&b->backoff, bus_clock());
	log_info("cache", "Redis and the invalidation bus are up", "host=%s port=%u", b->opt.url->host,
		 (unsigned)b->opt.url->port);
}

/* Our own heartbeat, sent at `sent`, came back through the subscription. */
static void on_heartbeat(struct bus *b, uint64_t sent)
{
	uint64_t now = bus_clock();

	if (sent > now || now - sent >= BUS_LEASE_NS || sent < b->attempt_ns)
		return; /* not one of this connection, or too old to prove anything */
	if (b->state == BUS_PROVING)
		become_live(b);
	if (b->state != BUS_LIVE)
		return;
	if (sent + BUS_LEASE_NS > atomic_load_explicit(&b->view.lease_until, memory_order_relaxed))
		atomic_store_explicit(&b->view.lease_until, sent + BUS_LEASE_NS, memory_order_release);
	pass_barrier(b, sent);
}

/* A ping through the subscription: its answer comes behind all that was published before it. */
static void send_barrier(struct bus *b)
{
	const struct timeval soon = {.tv_usec = BARRIER_NS / 1000};
	uint8_t bytes[8];
	struct wirebuf w = {.p = bytes, .end = bytes + sizeof(bytes)};
	uint64_t now;

	if (b->state != BUS_LIVE || b->ping_open || evtimer_pending(b->barrier, NULL))
		return;
	if (!atomic_exchange_explicit(&b->want_barrier, false, memory_order_acq_rel))
		return;
	now = bus_clock();
	(void)!wirebuf_uint(&w, 8, now); /* it fits */
	b->ping_ns = now;
	b->ping_open = true;
	(void)event_add(b->barrier, &soon); /* if it cannot be added, the next may come sooner */
	if (redis_send_push(b->sub, 2, (const struct span[]){span_str("PING"), span_of(bytes, 8)}) != RC_OK)
		bus_fail(b, "Redis takes no more commands");
}

static void on_barrier(evutil_socket_t fd, short what, void *arg)
{
	send_barrier(arg);
}

static void on_pong(struct bus *b, struct span payload)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	uint64_t sent;

	if (mbuf_u64(&m, &sent) != RC_OK || !b->ping_open || sent != b->ping_ns)
		return;
	b->ping_open = false;
	pass_barrier(b, sent);
	send_barrier(b);
}

/* ---- what others tell ---- */

static void hear_writes(struct bus *b, struct bus_msg_in *in)
{
	uint64_t now = clock_mono_ns();
	struct versions_pos pos;
	uint32_t slot;
	enum rc rc;

	while ((rc = bus_msg_next(in, now, &slot, &pos)) == RC_OK) {
		versions_bump(b->opt.versions, slot, &pos, now, false);
		stats_count(b->opt.sink, STATS_C_CACHE_BUS_RECEIVED, 1);
	}
	if (rc == RC_ERROR)
		versions_bump_all(b->opt.versions, now, 0, false);
}

/* What is not understood may have been about anything. */
static void hear_nonsense(struct bus *b)
{
	stats_count(b->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
	log_warn("cache", "a message on the invalidation bus is not understood; everything stored is dropped", NULL);
	versions_bump_all(b->opt.versions, clock_mono_ns(), 0, false);
}

static void hear(struct bus *b, struct span payload)
{
	struct bus_msg_in in;

	if (bus_msg_read(payload, &in) != RC_OK) {
		hear_nonsense(b);
		return;
	}
	if (memcmp(in.id, b->settle.id, BUS_MSG_ID) == 0) {
		if (in.kind == BUS_MSG_HEARTBEAT)
			on_heartbeat(b, in.number);
		return;
	}
	switch (in.kind) {
	case BUS_MSG_HEARTBEAT:
		break;
	case BUS_MSG_WRITE:
		hear_writes(b, &in);
		break;
	case BUS_MSG_ALL:
		stats_count(b->opt.sink, STATS_C_CACHE_BUS_RECEIVED, 1);
		versions_bump_all(b->opt.versions, clock_mono_ns(), in.number, false);
		break;
	case BUS_MSG_DROP:
		stats_count(b->opt.sink, STATS_C_CACHE_BUS_RECEIVED, 1);
		versions_drop_all(b->opt.versions, false);
		break;
	}
}

static void send_settles(struct bus *b)
{
	if (b->state >= BUS_PROVING && settle_send(&b->settle, b->cmd) != RC_OK)
		bus_fail(b, "Redis takes no more commands");
}

static void on_subscribed(struct bus *b)
{
	if (b->state != BUS_SUBSCRIBING)
		return;
	set_state(b, BUS_PROVING);
	publish_heartbeat(b);
	send_settles(b);
}

static bool push_is(const struct redis_reply *reply, const char *kind, size_t n)
{
	return redis_reply_is(reply, REDIS_REPLY_ARRAY) && reply->n == n && redis_reply_is(reply->element[0], REDIS_REPLY_STRING) &&
	       span_eq(redis_reply_text(reply->element[0]), span_str(kind));
}

static void on_push(void *arg, struct redis_reply *reply)
{
	struct bus *b = arg;

	if (push_is(reply, "message", 3) && redis_reply_is(reply->element[2], REDIS_REPLY_STRING))
		hear(b, redis_reply_text(reply->element[2]));
	else if (push_is(reply, "pong", 2) && redis_reply_is(reply->element[1], REDIS_REPLY_STRING))
		on_pong(b, redis_reply_text(reply->element[1]));
	else if (push_is(reply, "subscribe", 3))
		on_subscribed(b);
	else
		bus_fail(b, "the subscription was refused or answered with something else");
	redis_reply_free(reply);
}

/* ---- coming up and going down ---- */

static void on_up(void *arg)
{
	struct bus *b = arg;

	if (redis_state(b->sub) != REDIS_UP || redis_state(b->cmd) != REDIS_UP)
		return;
	if (redis_run(b->sub) != redis_run(b->cmd)) {
		bus_fail(b, "two connections reach two servers");
		return;
	}
	set_state(b, BUS_SUBSCRIBING);
	if (redis_subscribe(b->sub, span_str(RKEY_BUS)) != RC_OK)
		bus_fail(b, "out of memory");
}

static void on_down(void *arg, const char *why)
{
	bus_fail(arg, why);
}

static void retry_later(struct bus *b)
{
	uint64_t ns = backoff_failed(&b->backoff, bus_clock());
	const struct timeval wait = {.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_usec = (suseconds_t)(ns % NS_PER_SEC / 1000)};

	if (event_add(b->retry, &wait) != 0)
		log_error("cache", "cannot set a timer; Redis stays off until the next tick", NULL);
}

static void log_failure(struct bus *b, const char *why)
{
	if (!b->told_why)
		log_warn("cache", "Redis or the invalidation bus is down; the database answers", "host=%s port=%u why=\"%s\"",
			 b->opt.url->host, (unsigned)b->opt.url->port, why);
	b->told_why = true;
}

static void bus_fail(struct bus *b, const char *why)
{
	bool was_live = b->state == BUS_LIVE;

	if (b->state == BUS_OFF)
		return; /* the other connection's end, which this one's end brought about */
	/* First of all nobody may believe it any more. */
	atomic_store_explicit(&b->view.lease_until, 0, memory_order_release);
	atomic_store_explicit(&b->view.run, 0, memory_order_release);
	set_state(b, BUS_OFF);
	b->ping_open = false;
	stats_count(b->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
	log_failure(b, why);
	if (b->naddr)
		b->next = (b->next + 1) % b->naddr;
	redis_close(b->sub, why);
	redis_close(b->cmd, why);
	retry_later(b);
	if (was_live)
		b->opt.changed(b->opt.arg);
}

static const struct redis_ops bus_redis_ops = {.up = on_up, .down = on_down, .push = on_push};

static void connect_both(struct bus *b)
{
	const struct resolve_address *to = &b->addr[b->next];

	set_state(b, BUS_CONNECTING);
	redis_open(b->sub, &to->addr, to->len);
	if (b->state == BUS_CONNECTING)
		redis_open(b->cmd, &to->addr, to->len);
}

static void on_resolved(void *arg, const struct resolve_address *a, unsigned n, const char *why)
{
	struct bus *b = arg;

	b->resolve = NULL;
	if (b->state != BUS_RESOLVING)
		return;
	if (n == 0) {
		bus_fail(b, why);
		return;
	}
	memcpy(b->addr, a, n * sizeof(*a));
	b->naddr = n;
	b->next %= n;
	connect_both(b);
}

static void attempt(struct bus *b)
{
	if (b->state != BUS_OFF || b->resolve)
		return;
	set_state(b, BUS_RESOLVING);
	b->attempt_ns = bus_clock();
	b->resolve = resolve_start(b->opt.loop, b->opt.url->host, b->opt.url->port, on_resolved, b);
	if (!b->resolve)
		bus_fail(b, "out of memory");
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	attempt(arg);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct bus *b = arg;
	uint64_t now = bus_clock();

	if (b->state == BUS_OFF && !evtimer_pending(b->retry, NULL))
		attempt(b);
	/* The system's resolver has limits of its own. */
	if (b->state > BUS_RESOLVING && b->state < BUS_LIVE && now - b->attempt_ns > ATTEMPT_NS)
		bus_fail(b, "no heartbeat came back");
	if (b->state == BUS_LIVE && now >= atomic_load_explicit(&b->view.lease_until, memory_order_relaxed)) {
		stats_count(b->opt.sink, STATS_C_CACHE_BUS_SILENCES, 1);
		bus_fail(b, "the bus fell silent");
	}
	if (b->state == BUS_LIVE && now - b->heartbeat_ns >= BUS_HEARTBEAT_NS - TICK_MS * NS_PER_MS / 2)
		publish_heartbeat(b);
	send_settles(b);
	send_barrier(b);
}

/* ---- other threads ---- */

static void start(struct bus *b)
{
	const struct timeval every = {.tv_usec = TICK_MS * 1000};

	b->started = true;
	if (event_add(b->tick, &every) != 0)
		log_error("cache", "cannot set a timer; Redis stays off", NULL);
	attempt(b);
}

static void on_kick(struct mail *mail)
{
	struct bus *b = container_of(mail, struct bus, kick);

	/* Before the marks are looked at: who marks after this posts again. */
	(void)atomic_exchange_explicit(&b->kicked, false, memory_order_acq_rel);
	if (!b->started)
		start(b);
	send_settles(b);
	send_barrier(b);
}

void bus_kick(struct bus *b)
{
	if (!atomic_exchange_explicit(&b->kicked, true, memory_order_acq_rel))
		loop_post(b->opt.loop, &b->kick);
}

void bus_dirty(struct bus *b, uint32_t slot)
{
	settle_mark(&b->settle, slot);
}

void bus_dirty_all(struct bus *b, uint64_t lag_ns)
{
	settle_mark_all(&b->settle, lag_ns);
}

void bus_dirty_drop(struct bus *b)
{
	settle_mark_drop(&b->settle);
}

void bus_want_barrier(struct bus *b)
{
	if (!atomic_exchange_explicit(&b->want_barrier, true, memory_order_acq_rel))
		bus_kick(b);
}

struct bus_view *bus_view(struct bus *b)
{
	return &b->view;
}

enum rc bus_peer(struct bus *b, struct resolve_address *to)
{
	if (atomic_load_explicit(&b->view.run, memory_order_acquire) == 0)
		return RC_DECLINED;
	pthread_mutex_lock(&b->lock);
	*to = b->peer;
	pthread_mutex_unlock(&b->lock);
	return RC_OK;
}

/* Redis answered a settle with an error: a read-only replica, or a user without the right. */
static void on_refused(void *arg)
{
	bus_fail(arg, "Redis refuses EVAL of DEL and PUBLISH");
}

static enum rc make_parts(struct bus *b)
{
	struct event_base *base = loop_base(b->opt.loop);
	struct redis_options redis = {.url = b->opt.url, .ops = &bus_redis_ops, .arg = b, .reply_max = REPLY_MAX,
				      .output_max = OUTPUT_MAX};

	b->sub = redis_new(base, &redis);
	b->cmd = redis_new(base, &redis);
	b->tick = event_new(base, -1, EV_PERSIST, on_tick, b);
	b->retry = evtimer_new(base, on_retry, b);
	b->barrier = evtimer_new(base, on_barrier, b);
	if (!b->sub || !b->cmd || !b->tick || !b->retry || !b->barrier)
		return RC_ERROR;
	return rkey_random(b->settle.id, sizeof(b->settle.id));
}

struct bus *bus_new(const struct bus_options *opt)
{
	struct bus *b = mem_zalloc(sizeof(*b));

	if (!b)
		return NULL;
	b->opt = *opt;
	b->kick.run = on_kick;
	pthread_mutex_init(&b->lock, NULL);
	settle_init(&b->settle, opt->versions, on_refused, b);
	if (make_parts(b) != RC_OK) {
		bus_free(b);
		return NULL;
	}
	bus_kick(b);
	return b;
}

void bus_free(struct bus *b)
{
	if (!b)
		return;
	if (b->resolve)
		resolve_cancel(b->resolve);
	redis_free(b->sub);
	redis_free(b->cmd);
	if (b->tick)
		event_free(b->tick);
	if (b->retry)
		event_free(b->retry);
	if (b->barrier)
		event_free(b->barrier);
	pthread_mutex_destroy(&b->lock);
	mem_free(b);
}
