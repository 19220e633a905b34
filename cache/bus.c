#include "bus_impl.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "random.h"

#define TICK_MS 250
#define ATTEMPT_NS (3 * NS_PER_SEC)  /* from the first address to the first heartbeat back */
#define REPLY_MAX (64 * 1024)
#define OUTPUT_MAX (4 * 1024 * 1024)

void bus_set_state(struct bus *b, enum bus_state to)
{
	static const bool allowed[][7] = {
		[BUS_OFF] = {[BUS_RESOLVING] = true, [BUS_OFF] = true},
		[BUS_RESOLVING] = {[BUS_ASKING] = true, [BUS_CONNECTING] = true, [BUS_OFF] = true},
		[BUS_ASKING] = {[BUS_RESOLVING] = true, [BUS_OFF] = true},
		[BUS_CONNECTING] = {[BUS_SUBSCRIBING] = true, [BUS_OFF] = true},
		[BUS_SUBSCRIBING] = {[BUS_PROVING] = true, [BUS_OFF] = true},
		[BUS_PROVING] = {[BUS_LIVE] = true, [BUS_OFF] = true},
		[BUS_LIVE] = {[BUS_OFF] = true},
	};

	if (!allowed[b->state][to])
		log_impossible("cache", "impossible change of the bus's state", "from=%d to=%d", (int)b->state, (int)to);
	b->state = to;
	atomic_store_explicit(&b->view.up, to >= BUS_SUBSCRIBING, memory_order_relaxed);
}

static void on_schema_told(void *arg, struct redis_reply *reply)
{
	struct bus *b = arg;

	if (!redis_reply_is(reply, REDIS_REPLY_INTEGER))
		atomic_store_explicit(&b->schema, true, memory_order_release);
	redis_reply_free(reply);
}

/* Before the tables' invalidations: who hears those knows already that his catalog is old. */
static enum rc send_schema(struct bus *b)
{
	struct bus_msg m;

	if (!atomic_exchange_explicit(&b->schema, false, memory_order_acq_rel))
		return RC_OK;
	bus_msg_begin(&m, BUS_MSG_SCHEMA, b->settle.id, 0);
	if (redis_send(b->cmd, 3, (const struct span[]){span_str("PUBLISH"), rkey_span(&b->opt.keys->bus), span_of(m.bytes, m.len)},
		       on_schema_told, b) == RC_OK)
		return RC_OK;
	atomic_store_explicit(&b->schema, true, memory_order_release);
	return RC_ERROR;
}

void bus_send_settles(struct bus *b)
{
	if (b->state < BUS_PROVING)
		return;
	if (send_schema(b) != RC_OK || settle_send(&b->settle, b->cmd) != RC_OK || ledger_send(b) != RC_OK)
		bus_fail(b, "Redis takes no more commands");
}

static void on_subscribed(struct bus *b)
{
	if (b->state != BUS_SUBSCRIBING)
		return;
	bus_set_state(b, BUS_PROVING);
	b->proven_ns = 0;
	bus_heartbeat(b);
	ledger_read(b);
	bus_send_settles(b);
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
		bus_hear(b, redis_reply_text(reply->element[2]));
	else if (push_is(reply, "pong", 2) && redis_reply_is(reply->element[1], REDIS_REPLY_STRING))
		bus_pong(b, redis_reply_text(reply->element[1]));
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
	bus_set_state(b, BUS_SUBSCRIBING);
	if (redis_subscribe(b->sub, rkey_span(&b->opt.keys->bus)) != RC_OK)
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
	char quoted[200];

	if (!b->told_why)
		log_warn("cache", "Redis or the invalidation bus is down; the database answers", "host=%s port=%u why=%s",
			 b->asked.host, (unsigned)b->asked.port, log_quote(quoted, sizeof(quoted), span_str(why)));
	b->told_why = true;
}

void bus_fail(struct bus *b, const char *why)
{
	bool was_live = b->state == BUS_LIVE;

	if (b->state == BUS_OFF)
		return; /* the other connection's end, which this one's end brought about */
	/* First of all nobody may believe it any more. */
	atomic_store_explicit(&b->view.lease_until, 0, memory_order_release);
	atomic_store_explicit(&b->view.run, 0, memory_order_release);
	bus_set_state(b, BUS_OFF);
	b->ping_open = false;
	announce_forget(&b->announce);
	stats_count(b->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
	log_failure(b, why);
	if (b->naddr)
		b->next = (b->next + 1) % b->naddr;
	redis_close(b->sub, why);
	redis_close(b->cmd, why);
	if (b->scout)
		redis_close(b->scout, why);
	retry_later(b);
	if (was_live)
		b->opt.changed(b->opt.arg);
}

static const struct redis_ops bus_redis_ops = {.up = on_up, .down = on_down, .push = on_push};

static void connect_both(struct bus *b)
{
	const struct resolve_address *to = &b->addr[b->next];

	bus_set_state(b, BUS_CONNECTING);
	redis_open(b->sub, &to->addr, to->len, b->asked.host);
	if (b->state == BUS_CONNECTING)
		redis_open(b->cmd, &to->addr, to->len, b->asked.host);
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
	if (!b->scout || b->found) {
		connect_both(b);
		return;
	}
	bus_set_state(b, BUS_ASKING);
	redis_open(b->scout, &a[b->next].addr, a[b->next].len, b->asked.host);
}

/* The node that was chosen. */
static void look_up(struct bus *b)
{
	bus_set_state(b, BUS_RESOLVING);
	b->resolve = resolve_start(b->opt.loop, b->asked.host, b->asked.port, on_resolved, b);
	if (!b->resolve)
		bus_fail(b, "out of memory");
}

void bus_find(struct bus *b, const struct bus_node *owner)
{
	b->asked = *owner;
	b->found = true;
	look_up(b);
}

static void attempt(struct bus *b)
{
	const char *host = b->opt.url->host;

	if (b->state != BUS_OFF || b->resolve)
		return;
	b->attempt_ns = bus_clock();
	b->found = false;
	b->asked.port = b->opt.url->port;
	if (b->scout) { /* another node each time: this one may be what failed */
		const struct redis_seed *s = &b->opt.url->seeds[b->seed++ % b->opt.url->nseeds];

		host = s->host;
		b->asked.port = s->port;
	}
	(void)snprintf(b->asked.host, sizeof(b->asked.host), "%s", host);
	look_up(b);
}

static void on_barrier(evutil_socket_t fd, short what, void *arg)
{
	bus_send_barrier(arg);
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
	if (b->state == BUS_LIVE && now - b->heartbeat_ns >= BUS_HEARTBEAT_NS - TICK_MS * NS_PER_MS / 2) {
		bus_heartbeat(b);
		ledger_read(b);
		if (b->state == BUS_LIVE && redis_check_run(b->cmd) != RC_OK)
			bus_fail(b, "Redis takes no more commands");
	}
	atomic_store_explicit(&b->view.heard, ledger_all_heard(b), memory_order_release);
	bus_send_settles(b);
	bus_send_barrier(b);
}

enum rc bus_leave(struct bus *b)
{
	if (b->state != BUS_LIVE || announce_held(&b->announce))
		return RC_DECLINED;
	if (!b->leaving) {
		b->leaving = true;
		bus_heartbeat(b);
	}
	return b->left ? RC_OK : RC_AGAIN;
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
	bus_send_settles(b);
	bus_send_barrier(b);
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

void bus_dirty_anew(struct bus *b, uint64_t lag_ns)
{
	settle_mark_anew(&b->settle, lag_ns);
}

void bus_dirty_drop(struct bus *b)
{
	settle_mark_drop(&b->settle);
}

void bus_schema(struct bus *b)
{
	atomic_store_explicit(&b->schema, true, memory_order_release);
}

struct announce *bus_announce(struct bus *b)
{
	return &b->announce;
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

enum rc bus_peer(struct bus *b, struct bus_peer *out)
{
	if (atomic_load_explicit(&b->view.run, memory_order_acquire) == 0)
		return RC_DECLINED;
	pthread_mutex_lock(&b->lock);
	*out = b->peer;
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

	if (b->opt.url->nseeds && bus_make_scout(b) != RC_OK)
		return RC_ERROR;
	b->sub = redis_new(base, &redis);
	b->cmd = redis_new(base, &redis);
	b->tick = event_new(base, -1, EV_PERSIST, on_tick, b);
	b->retry = evtimer_new(base, on_retry, b);
	b->barrier = evtimer_new(base, on_barrier, b);
	if (!b->sub || !b->cmd || !b->tick || !b->retry || !b->barrier)
		return RC_ERROR;
	return random_bytes(b->settle.id, sizeof(b->settle.id));
}

struct bus *bus_new(const struct bus_options *opt)
{
	struct bus *b = mem_zalloc(sizeof(*b));

	if (!b)
		return NULL;
	b->opt = *opt;
	b->kick.run = on_kick;
	pthread_mutex_init(&b->lock, NULL);
	settle_init(&b->settle, opt->versions, opt->keys, on_refused, b);
	announce_init(&b->announce);
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
	redis_free(b->scout);
	redis_free(b->sub);
	redis_free(b->cmd);
	if (b->tick)
		event_free(b->tick);
	if (b->retry)
		event_free(b->retry);
	if (b->barrier)
		event_free(b->barrier);
	announce_reset(&b->announce);
	pthread_mutex_destroy(&b->lock);
	mem_free(b);
}
