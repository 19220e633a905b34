#include "l2.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "backoff.h"
#include "rkey.h"
#include "l2_fill.h"
#include "l2_value.h"
#include "list.h"
#include "log.h"
#include "mem.h"
#include "pool.h"
#include "redis.h"

#define LATE_MAX 3           /* in a row: then the breaker opens */
#define REQUESTS_KEPT 64
#define OUTPUT_SLACK (4 * 1024 * 1024)

struct l2 {
	struct l2_options opt;
	struct bus_view *view;     /* the bus's */
	struct redis *conn;        /* owned */
	struct pool *requests;     /* owned */
	struct list waiting;       /* struct l2_request.node, by deadline */
	struct event *limit;       /* owned; the first deadline */
	struct event *retry;       /* owned; the end of a back-off */
	struct backoff backoff;
	unsigned late;             /* in a row */
	struct l2_fills fills;
};

/* One look-up's commands. Lives until the last reply, though the look-up may have been given up. */
struct l2_request {
	struct list_node node;
	struct l2 *l2;
	struct cache_lookup *l;    /* NULL: nobody waits any more */
	uint64_t deadline;         /* bus_clock */
	struct redis_reply *value; /* owned; of GET */
	long long pttl;            /* ms; negative: no such key, or no end */
	unsigned open;             /* replies to come */
	bool second;               /* absent tokens have been set */
};

/* ---- the end of a look-up ---- */

static void release(struct l2_request *q)
{
	if (q->l || q->open)
		return;
	redis_reply_free(q->value);
	pool_put(q->l2->requests, q);
}

static void detach(struct l2_request *q)
{
	list_remove(&q->l2->waiting, &q->node);
	q->l->request = NULL;
	q->l = NULL;
}

/* The caller releases q, unless replies are still to come. */
static void finish(struct l2_request *q, enum rc rc, struct entry *e)
{
	struct cache_lookup *l = q->l;

	detach(q);
	stats_count(q->l2->opt.sink, rc == RC_OK ? STATS_C_CACHE_HITS_REDIS : STATS_C_CACHE_MISSES, 1);
	l->done(l, rc, e ? &e->pub : NULL);
}

void l2_cancel(struct cache_lookup *l)
{
	struct l2_request *q = l->request;

	if (!q)
		return;
	detach(q);
	release(q);
}

static bool still_current(const struct l2 *l2, const struct cache_lookup *l)
{
	if (l->epoch != versions_epoch(l2->opt.versions))
		return false;
	for (unsigned i = 0; i < l->ntags; i++) {
		if (l->versions[i] != versions_get(l2->opt.versions, rkey_slot(l->tags[i])))
			return false;
	}
	return true;
}

/* What a value must have been stored with to be good for this look-up. */
static void expected(const struct cache_lookup *l, struct l2_value *v)
{
	v->run = l->run;
	v->ntags = l->ntags;
	v->key = l->key;
	memcpy(v->token_all, l->token_all, RKEY_TOKEN_LEN);
	for (unsigned i = 0; i < l->ntags; i++) {
		v->slots[i] = rkey_slot(l->tags[i]);
		memcpy(v->tokens[i], l->tokens[i], RKEY_TOKEN_LEN);
	}
}

static struct entry *entry_of(const struct l2_request *q, const struct l2_value *v)
{
	uint64_t now = clock_mono_ns(), ms = v->ttl_ms < (uint64_t)q->pttl ? v->ttl_ms : (uint64_t)q->pttl;
	const struct cache_lookup *l = q->l;
	struct entry_parts p = {
		.key = l->key, .data = v->data, .tags = l->tags, .versions = l->versions, .ntags = l->ntags, .epoch = l->epoch,
		.rows = v->rows, .cost_ns = v->cost_ns, .stored_ns = now, .results_status = v->status,
		.expires_ns = ms > (UINT64_MAX - now) / NS_PER_MS ? UINT64_MAX : now + ms * NS_PER_MS,
	};

	return entry_new(&p);
}

/* The value that came, if it is good; a reference for the caller. */
static struct entry *good_value(struct l2_request *q)
{
	struct l2 *l2 = q->l2;
	struct store_effects fx = {0};
	struct l2_value got, want;
	struct entry *e;

	if (!redis_reply_is(q->value, REDIS_REPLY_STRING))
		return NULL;
	if (l2_value_decode(redis_reply_text(q->value), &got) != RC_OK || q->pttl == -1) {
		stats_count(l2->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
		return NULL;
	}
	expected(q->l, &want);
	if (q->pttl <= 0 || !span_eq(got.key, want.key) || !l2_value_same_tokens(&got, &want) || !still_current(l2, q->l))
		return NULL;
	e = entry_of(q, &got);
	if (!e)
		return NULL;
	(void)!store_put(l2->opt.store, e, q->l->key_hash, e->pub.stored_ns, &fx); /* good without, too */
	stats_count(l2->opt.sink, STATS_C_CACHE_EVICTIONS, fx.evicted);
	return e;
}

/* ---- replies ---- */

static struct span span_name(const struct rkey *n)
{
	return span_of(n->text, n->len);
}

/* The name of the i-th token asked for: the one of all, then the tags'. */
static struct rkey token_name(const struct cache_lookup *l, unsigned i)
{
	return i == 0 ? rkey_token_all() : rkey_token(rkey_slot(l->tags[i - 1]));
}

static void on_value(void *arg, struct redis_reply *reply)
{
	struct l2_request *q = arg;

	q->open--;
	q->value = reply;
	release(q);
}

static void on_pttl(void *arg, struct redis_reply *reply)
{
	struct l2_request *q = arg;

	q->open--;
	q->pttl = redis_reply_is(reply, REDIS_REPLY_INTEGER) ? reply->integer : -2;
	redis_reply_free(reply);
	release(q);
}

static void on_tokens(void *arg, struct redis_reply *reply);

static enum rc ask_tokens(struct l2_request *q)
{
	struct rkey name[CACHE_MAX_TAGS + 1];
	struct span argv[CACHE_MAX_TAGS + 2] = {span_str("MGET")};

	for (unsigned i = 0; i <= q->l->ntags; i++) {
		name[i] = token_name(q->l, i);
		argv[1 + i] = span_name(&name[i]);
	}
	if (redis_send(q->l2->conn, q->l->ntags + 2, argv, on_tokens, q) != RC_OK)
		return RC_ERROR;
	q->open++;
	return RC_OK;
}

/* Absent must never equal absent: each absent token becomes a random one, ours or another instance's, and is read again. */
static enum rc set_absent(struct l2_request *q, const struct redis_reply *reply)
{
	for (unsigned i = 0; i < reply->n; i++) {
		struct rkey name = token_name(q->l, i);
		uint8_t token[RKEY_TOKEN_LEN];
		struct span argv[4] = {span_str("SET"), span_name(&name), span_of(token, sizeof(token)), span_str("NX")};

		if (reply->element[i]->type != REDIS_REPLY_NIL)
			continue;
		if (rkey_random(token, sizeof(token)) != RC_OK || redis_send(q->l2->conn, 4, argv, NULL, NULL) != RC_OK)
			return RC_ERROR;
	}
	q->second = true;
	return ask_tokens(q);
}

/* RC_OK: all there. RC_DECLINED: some absent. RC_ERROR: not an answer to MGET. */
static enum rc take_tokens(struct cache_lookup *l, const struct redis_reply *reply)
{
	enum rc rc = RC_OK;

	if (!redis_reply_is(reply, REDIS_REPLY_ARRAY) || reply->n != l->ntags + 1)
		return RC_ERROR;
	for (unsigned i = 0; i < reply->n; i++) {
		const struct redis_reply *t = reply->element[i];

		if (redis_reply_is(t, REDIS_REPLY_NIL)) {
			rc = RC_DECLINED;
			continue;
		}
		if (!redis_reply_is(t, REDIS_REPLY_STRING) || t->len != RKEY_TOKEN_LEN)
			return RC_ERROR;
		memcpy(i == 0 ? l->token_all : l->tokens[i - 1], t->str, RKEY_TOKEN_LEN);
	}
	return rc;
}

static void tokens_known(struct l2_request *q)
{
	struct cache_lookup *l = q->l;
	struct entry *e;

	l->run = redis_run(q->l2->conn);
	l->tokens_at = bus_clock();
	l->tokens_known = true;
	e = q->second ? NULL : good_value(q); /* a value with an absent token was not good */
	finish(q, e ? RC_OK : RC_DECLINED, e);
}

static void on_tokens(void *arg, struct redis_reply *reply)
{
	struct l2_request *q = arg;
	struct l2 *l2 = q->l2;
	enum rc rc;

	q->open--;
	if (reply && q->l) { /* in time */
		l2->late = 0;
		backoff_good(&l2->backoff, bus_clock());
	}
	if (q->l) {
		rc = take_tokens(q->l, reply);
		if (rc == RC_OK)
			tokens_known(q);
		else if (rc == RC_ERROR || q->second || set_absent(q, reply) != RC_OK)
			finish(q, RC_DECLINED, NULL);
		if (rc == RC_ERROR && reply)
			stats_count(l2->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
	}
	redis_reply_free(reply);
	release(q);
}

/* ---- asking ---- */

static enum rc arm_limit(struct l2 *l2)
{
	struct list_node *n = list_first(&l2->waiting);
	uint64_t now = bus_clock(), deadline;
	struct timeval wait = {.tv_usec = 1};

	if (!n || evtimer_pending(l2->limit, NULL))
		return RC_OK;
	deadline = container_of(n, struct l2_request, node)->deadline;
	if (deadline > now)
		wait.tv_usec = (suseconds_t)((deadline - now) / 1000 + 1);
	return event_add(l2->limit, &wait) == 0 ? RC_OK : RC_ERROR;
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct l2 *l2 = arg;
	uint64_t now = bus_clock();
	struct list_node *n;

	while ((n = list_first(&l2->waiting)) && container_of(n, struct l2_request, node)->deadline <= now) {
		struct l2_request *q = container_of(n, struct l2_request, node);

		stats_count(l2->opt.sink, STATS_C_CACHE_REDIS_TIMEOUTS, 1);
		l2->late++;
		finish(q, RC_DECLINED, NULL); /* q stays: its replies are to come yet */
	}
	if (l2->late >= LATE_MAX)
		redis_close(l2->conn, "three answers too late in a row");
	if (arm_limit(l2) != RC_OK)
		redis_close(l2->conn, "cannot set a timer");
}

static enum rc send_lookup(struct l2_request *q)
{
	struct rkey name = rkey_value(q->l->key);
	struct span get[2] = {span_str("GET"), span_name(&name)}, pttl[2] = {span_str("PTTL"), span_name(&name)};

	if (redis_send(q->l2->conn, 2, get, on_value, q) != RC_OK)
		return RC_ERROR;
	q->open++;
	if (redis_send(q->l2->conn, 2, pttl, on_pttl, q) != RC_OK)
		return RC_ERROR;
	q->open++;
	return ask_tokens(q);
}

/* Redis may be believed about all of the look-up's tags. Read after the versions: see versions.h. */
static bool may_ask(const struct l2 *l2, const struct cache_lookup *l)
{
	uint64_t run = redis_run(l2->conn);

	if (run == 0 || run != atomic_load_explicit(&l2->view->run, memory_order_acquire))
		return false;
	if (!versions_settled_all(l2->opt.versions))
		return false;
	for (unsigned i = 0; i < l->ntags; i++) {
		if (!versions_settled(l2->opt.versions, rkey_slot(l->tags[i])))
			return false;
	}
	return true;
}

enum rc l2_lookup(struct l2 *l2, struct cache_lookup *l)
{
	struct l2_request *q;

	if (!may_ask(l2, l))
		return RC_DECLINED;
	q = pool_get(l2->requests);
	if (!q)
		return RC_DECLINED;
	q->l2 = l2;
	q->l = l;
	q->pttl = -2;
	q->deadline = bus_clock() + L2_LIMIT_NS;
	if (send_lookup(q) != RC_OK) {
		q->l = NULL;
		release(q); /* now, or with the replies to what was sent */
		return RC_DECLINED;
	}
	l->request = q;
	list_push_back(&l2->waiting, &q->node);
	if (arm_limit(l2) != RC_OK) {
		l2_cancel(l);
		return RC_DECLINED;
	}
	return RC_AGAIN;
}

/* ---- fills ---- */

enum rc l2_fill(struct l2 *l2, const struct cache_lookup *l, const struct entry_parts *parts, uint64_t ttl_ns)
{
	struct l2_value v = {.ttl_ms = ttl_ns / NS_PER_MS, .rows = parts->rows, .cost_ns = parts->cost_ns,
			     .status = parts->results_status, .data = parts->data};
	enum rc rc;

	if (v.ttl_ms == 0 || l->run != redis_run(l2->conn) || parts->key.len + parts->data.len > l2->opt.value_max)
		return RC_DECLINED;
	expected(l, &v);
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
	struct resolve_address to;

	if (redis_state(l2->conn) != REDIS_CLOSED || evtimer_pending(l2->retry, NULL))
		return;
	if (bus_peer(l2->opt.bus, &to) == RC_OK) /* else the bus will wake us */
		redis_open(l2->conn, &to.addr, to.len);
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
	uint64_t ns = backoff_failed(&l2->backoff, bus_clock());
	const struct timeval wait = {.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_usec = (suseconds_t)(ns % NS_PER_SEC / 1000)};

	l2->late = 0;
	stats_count(l2->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
	log_info("cache", "a worker's connection to Redis ended", "why=\"%s\" retry_ms=%llu", why,
		 (unsigned long long)(ns / NS_PER_MS));
	if (event_add(l2->retry, &wait) != 0)
		log_error("cache", "cannot set a timer; Redis stays unused until the bus changes", NULL);
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
	l2->view = bus_view(opt->bus);
	list_init(&l2->waiting);
	l2_fills_init(&l2->fills, opt->versions, l2->view, opt->sink);
	redis = (struct redis_options){.url = opt->url, .ops = &l2_redis_ops, .arg = l2,
				       .reply_max = opt->value_max + L2_VALUE_OVERHEAD + 4096,
				       .output_max = 2 * opt->value_max + OUTPUT_SLACK};
	l2->conn = redis_new(base, &redis);
	l2->requests = pool_new("l2_request", sizeof(struct l2_request), REQUESTS_KEPT);
	l2->limit = evtimer_new(base, on_limit, l2);
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
