#include "l2_impl.h"

#include "log.h"
#include "mem.h"

#define REQUESTS_KEPT 64
#define OUTPUT_SLACK (4 * 1024 * 1024)
#define KEY_ROOM (64 * 1024) /* of a value, for its key */
#define TELL_NS (2 * BUS_LEASE_NS) /* of a loss that is all of Redis's the bus tells before */

static size_t present_max(const struct l2 *l2)
{
	return atomic_load_explicit(l2->opt.max_result, memory_order_relaxed) + KEY_ROOM;
}

static size_t reply_max(const struct l2 *l2)
{
	return l2->value_max + L2_VALUE_OVERHEAD + 4096;
}

static size_t output_max(const struct l2 *l2)
{
	return 2 * l2->value_max + OUTPUT_SLACK;
}

size_t l2_value_max(struct l2 *l2)
{
	size_t max = present_max(l2);

	if (unlikely(max != l2->value_max)) {
		l2->value_max = max;
		redis_raise_limits(l2->conn, reply_max(l2), output_max(l2)); /* what was stored by a larger one may yet come */
	}
	return max;
}

enum rc l2_fill(struct l2 *l2, const struct cache_lookup *l, const struct entry_parts *parts, uint64_t ttl_ns)
{
	struct l2_value v = {.ttl_ms = ttl_ns / NS_PER_MS, .rows = parts->rows, .cost_ns = parts->cost_ns,
			     .status = parts->results_status, .data = parts->data};
	enum rc rc;

	if (v.ttl_ms == 0 || l->run != redis_run(l2->conn) || l->key.len + parts->data.len > l2_value_max(l2))
		return RC_DECLINED;
	l2_expected(l, &v);
	rc = l2_fills_add(&l2->fills, l, &v);
	if (rc == RC_OK && l2_fills_flush(&l2->fills, l2->conn))
		bus_want_barrier(l2->opt.bus);
	return rc;
}

bool l2_waits(struct l2 *l2)
{
	return atomic_exchange_explicit(&l2->fills.waits, false, memory_order_acq_rel);
}

/* ---- the connection and its breaker ---- */

static void open_conn(struct l2 *l2)
{
	struct bus_peer peer;

	if (redis_state(l2->conn) != REDIS_CLOSED || evtimer_pending(l2->retry, NULL))
		return;
	if (bus_peer(l2->opt.bus, &peer) == RC_OK)
		redis_open(l2->conn, &peer.to.addr, peer.to.len, peer.host);
	else
		l2->lost_ns = 0; /* the bus has told it, and will wake us */
}

static void on_up(void *arg)
{
	struct l2 *l2 = arg;

	l2->late = 0;
	if (redis_run(l2->conn) != atomic_load_explicit(&l2->view->run, memory_order_acquire))
		redis_close(l2->conn, "not the server that the bus talks to");
}

static void on_down(void *arg, const char *why)
{
	struct l2 *l2 = arg;
	struct bus_peer peer;
	bool was_good = l2->backoff.since != 0;
	uint64_t ns = backoff_failed(&l2->backoff, bus_clock());
	const struct timeval wait = {.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_usec = (suseconds_t)(ns % NS_PER_SEC / 1000)};

	char quoted[200];

	if (was_good || !l2->lost_ns)
		l2->lost_ns = bus_clock();
	l2->late = 0;
	stats_count(l2->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
	log_debug("cache", "a worker's connection to Redis ended", "why=%s retry_ms=%llu",
		  log_quote(quoted, sizeof(quoted), span_str(why)), (unsigned long long)(ns / NS_PER_MS));
	if (!l2->told && bus_clock() - l2->lost_ns >= TELL_NS && bus_peer(l2->opt.bus, &peer) == RC_OK) {
		log_warn("cache", "a worker cannot use Redis, though the invalidation bus does", "why=%s",
			 log_quote(quoted, sizeof(quoted), span_str(why)));
		l2->told = true;
	}
	if (event_add(l2->retry, &wait) != 0)
		log_error("cache", "cannot set a timer; Redis stays unused until the bus changes", NULL);
}

void l2_answered(struct l2 *l2)
{
	backoff_good(&l2->backoff, bus_clock());
	if (l2->told)
		log_info("cache", "a worker uses Redis again", NULL);
	l2->told = false;
	l2->lost_ns = 0;
}

static void on_push(void *arg, struct redis_reply *reply)
{
	redis_reply_free(reply); /* never subscribed */
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	open_conn(arg);
}

void l2_wake(struct l2 *l2)
{
	uint64_t run = atomic_load_explicit(&l2->view->run, memory_order_acquire);

	if (run && redis_run(l2->conn) && redis_run(l2->conn) != run)
		redis_close(l2->conn, "the bus talks to another server now");
	open_conn(l2);
	if (l2_fills_flush(&l2->fills, l2->conn))
		bus_want_barrier(l2->opt.bus);
}

static const struct redis_ops l2_redis_ops = {.up = on_up, .down = on_down, .push = on_push};

struct l2 *l2_new(const struct l2_options *opt)
{
	struct event_base *base = loop_base(opt->loop);
	struct l2 *l2 = mem_zalloc(sizeof(*l2));
	struct redis_options redis;

	if (!l2)
		return NULL;
	l2->opt = *opt;
	l2->value_max = present_max(l2);
	l2->view = bus_view(opt->bus);
	list_init(&l2->waiting);
	l2_fills_init(&l2->fills, opt->keys, opt->versions, l2->view, opt->sink);
	redis = (struct redis_options){.url = opt->url, .ops = &l2_redis_ops, .arg = l2,
				       .reply_max = reply_max(l2), .output_max = output_max(l2)};
	l2->conn = redis_new(base, &redis);
	l2->requests = pool_new("l2_request", sizeof(struct l2_request), REQUESTS_KEPT);
	l2->limit = evtimer_new(base, l2_on_limit, l2);
	l2->retry = evtimer_new(base, on_retry, l2);
	if (!l2->conn || !l2->requests || !l2->limit || !l2->retry) {
		l2_free(l2);
		return NULL;
	}
	return l2;
}

void l2_free(struct l2 *l2)
{
	struct list_node *n;

	if (!l2)
		return;
	while ((n = list_first(&l2->waiting)))
		l2_cancel(container_of(n, struct l2_request, node)->l);
	redis_free(l2->conn); /* brings the abandoned requests back to the pool */
	pool_free(l2->requests);
	l2_fills_reset(&l2->fills);
	if (l2->limit)
		event_free(l2->limit);
	if (l2->retry)
		event_free(l2->retry);
	mem_free(l2);
}
