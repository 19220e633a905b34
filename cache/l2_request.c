/*
 * l2_request.c - one look-up in Redis: its commands, their replies, its limit.
 */
#include <string.h>

#include "bound.h"
#include "l2_impl.h"
#include "mem.h"
#include "random.h"
#include "rkey.h"

#define LATE_MAX 3           /* in a row: then the breaker opens */

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
	if (rc == RC_OK)
		flight_end(q->l2->opt.flights, l, FLIGHT_STORED);
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

void l2_expected(const struct cache_lookup *l, struct l2_value *v)
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

static struct entry *entry_of(const struct l2_request *q, const struct l2_value *v, struct span data)
{
	uint64_t now = clock_mono_ns(), ms = v->ttl_ms < (uint64_t)q->pttl ? v->ttl_ms : (uint64_t)q->pttl;
	const struct cache_lookup *l = q->l;
	struct entry_parts p = {
		.key = entry_key_of(l->key, l->key_head), .heads = store_heads(q->l2->opt.store), .tables = q->l2->opt.tables, .data = data, .tags = l->tags, .versions = l->versions, .ntags = l->ntags, .epoch = l->epoch,
		.rule = l->rule_key, .rows = v->rows, .cost_ns = v->cost_ns, .results_status = v->status, .read_ns = now,
		.expires_ns = ms > (UINT64_MAX - now) / NS_PER_MS ? UINT64_MAX : now + ms * NS_PER_MS,
	};

	return entry_new(&p);
}

/* Nobody says when it was read: its session may have been shown something newer since. */
static bool too_old(struct l2 *l2, struct cache_lookup *l)
{
	if (likely(!l->bound) || cache_bound_tags(l->bound, l->tags, l->ntags) <= l->bound_past_ns || l->stale_ok)
		return false;
	if (!l->refused)
		stats_count(l2->opt.sink, STATS_C_CACHE_BOUND, 1);
	l->refused = true;
	return true;
}

/* The value that came, if it is good; a reference for the caller. */
static struct entry *good_value(struct l2_request *q)
{
	struct l2 *l2 = q->l2;
	struct store_effects fx = {0};
	struct l2_value got, want;
	struct entry *e;
	struct span data;
	uint8_t *unpacked;

	if (!redis_reply_is(q->value, REDIS_REPLY_STRING))
		return NULL;
	if (l2_value_decode(redis_reply_text(q->value), &got) != RC_OK || q->pttl == -1) {
		stats_count(l2->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
		return NULL;
	}
	l2_expected(q->l, &want);
	if (q->pttl <= 0 || !span_eq(got.key, want.key) || !l2_value_same_tokens(&got, &want) || !still_current(l2, q->l) ||
	    too_old(l2, q->l))
		return NULL;
	if (l2_value_unpack(&got, l2_value_max(l2), &data, &unpacked) != RC_OK) {
		stats_count(l2->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
		return NULL;
	}
	e = entry_of(q, &got, data);
	mem_free(unpacked);
	if (!e)
		return NULL;
	(void)!store_put(l2->opt.store, e, q->l->key_hash, clock_mono_ns(), &fx); /* good without, too */
	stats_count(l2->opt.sink, STATS_C_CACHE_EVICTIONS, fx.evicted);
	return e;
}

/* ---- replies ---- */

/* The name of the i-th token asked for: the one of all, then the tags'. */
static struct rkey token_name(const struct l2_request *q, unsigned i)
{
	const struct rkeys *k = q->l2->opt.keys;

	return i == 0 ? rkey_token_all(k) : rkey_token(k, rkey_slot(q->l->tags[i - 1]));
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
		name[i] = token_name(q, i);
		argv[1 + i] = rkey_span(&name[i]);
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
		struct rkey name = token_name(q, i);
		uint8_t token[RKEY_TOKEN_LEN];
		struct span argv[4] = {span_str("SET"), rkey_span(&name), span_of(token, sizeof(token)), span_str("NX")};

		if (reply->element[i]->type != REDIS_REPLY_NIL)
			continue;
		if (random_bytes(token, sizeof(token)) != RC_OK || redis_send(q->l2->conn, 4, argv, NULL, NULL) != RC_OK)
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
		l2_answered(l2);
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

void l2_on_limit(evutil_socket_t fd, short what, void *arg)
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
	struct rkey name = rkey_value(q->l2->opt.keys, q->l->key);
	struct span get[2] = {span_str("GET"), rkey_span(&name)}, pttl[2] = {span_str("PTTL"), rkey_span(&name)};

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
	(void)l2_value_max(l2); /* before the value comes */
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
