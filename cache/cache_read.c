/*
 * cache_read.c - a read's way through the cache: look-up, and after a miss perhaps a fill.
 */
#include "bound.h"
#include "cache_impl.h"
#include "clock.h"
#include "log.h"
#include "map.h"

static void count_effects(struct stats_sink *sink, const struct store_effects *fx)
{
	if (unlikely(fx->evicted))
		stats_count(sink, STATS_C_CACHE_EVICTIONS, fx->evicted);
	if (unlikely(fx->expired))
		stats_count(sink, STATS_C_CACHE_EXPIRATIONS, fx->expired);
}

static uint64_t stale_if_error(const struct cache_worker *w)
{
	return atomic_load_explicit(&w->c->stale_ns, memory_order_relaxed);
}

/* What is stored, also past its time as long as that may be of use. */
static struct entry *ask_store(struct cache_worker *w, const struct cache_lookup *l)
{
	uint64_t stale_ns = stale_if_error(w);
	struct store_effects fx = {0};
	struct entry *e;
	enum rc rc;

	if (l->refresh_ns > stale_ns)
		stale_ns = l->refresh_ns;
	rc = store_get(w->c->store, entry_key_of(l->key, l->key_head), l->key_hash, loop_now_ns(w->loop), stale_ns, &fx, &e);
	count_effects(w->sink, &fx);
	return rc == RC_OK ? e : NULL;
}

static void take_versions(const struct versions *v, struct cache_lookup *l)
{
	if (l->tell_tags)
		l->tell_tags(l);
	l->tell_tags = NULL;
	l->epoch = versions_epoch(v);
	for (unsigned i = 0; i < l->ntags; i++)
		l->versions[i] = versions_get(v, rkey_slot(l->tags[i]));
}

static bool live(const struct cache_worker *w)
{
	return !w->view || bus_view_live(w->view);
}

/* How long ago its time was over (nanoseconds). */
static uint64_t past(const struct cache_worker *w, const struct entry *e)
{
	uint64_t now = loop_now_ns(w->loop), expires = entry_expires_ns(e);

	return now > expires ? now - expires : 0;
}

/* It is past its time, or writes may be missing. Will it do? If nobody fetches it anew, this look-up does, and leads. */
static bool stale_will_do(struct cache_worker *w, struct cache_lookup *l, const struct entry *e, bool followed)
{
	uint64_t over = past(w, e);

	if (l->stale_ok && over < stale_if_error(w)) {
		stats_count(w->sink, STATS_C_CACHE_STALE_ERROR, 1);
		return true;
	}
	if (!followed || over >= l->refresh_ns || !flight_under_way(&w->c->flights, l))
		return false;
	stats_count(w->sink, STATS_C_CACHE_STALE_REFRESH, 1);
	return true;
}

/* Servers have shown its session something that it hangs on, and it need not have that. While no server answers it will do. */
static bool too_old(const struct cache_lookup *l, const struct entry *e)
{
	uint64_t shown = cache_bound_slots(l->bound, entry_slots(e), e->pub.ntags);

	return shown > entry_has(e) && shown > l->bound_past_ns && !l->stale_ok;
}

/* A hit, or the versions that a fill needs. */
static enum rc ask_memory(struct cache_worker *w, struct cache_lookup *l, const struct cache_entry **out)
{
	struct entry *e = ask_store(w, l);
	bool followed = cache_is_followed(w->c);

	if (e && unlikely(l->bound) && too_old(l, e)) {
		stats_count(w->sink, STATS_C_CACHE_BOUND, 1);
		l->refused = true;
		entry_unref(e);
		e = NULL;
	}
	if (e && likely(followed) && loop_now_ns(w->loop) < entry_expires_ns(e)) {
		*out = &e->pub;
		stats_count(w->sink, STATS_C_CACHE_HITS, 1);
		return RC_OK;
	}
	take_versions(w->c->versions, l);
	if (!e)
		return RC_DECLINED;
	if (stale_will_do(w, l, e, followed)) {
		*out = &e->pub;
		stats_count(w->sink, STATS_C_CACHE_HITS, 1);
		return RC_OK;
	}
	entry_unref(e);
	return RC_DECLINED;
}

static enum rc join(struct cache_worker *w, struct cache_lookup *l)
{
	const struct timeval soon = {.tv_sec = 1};

	if (unlikely(l->refused)) /* what is under way may be older, too */
		l->may_wait = false;
	if (l->flight.state == CACHE_LEADING || flight_join(&w->c->flights, l, loop_now_ns(w->loop)) == RC_OK)
		return RC_OK;
	if (!evtimer_pending(w->patience, NULL) && event_add(w->patience, &soon) != 0) {
		flight_leave(&w->c->flights, l);
		return RC_OK;
	}
	stats_count(w->sink, STATS_C_CACHE_SHARED, 1);
	return RC_AGAIN;
}

enum rc cache_get(struct cache_worker *w, struct cache_lookup *l, const struct cache_entry **e)
{
	l->worker = w;
	l->request = NULL;
	l->tokens_known = l->refused = l->outdone = false;
	l->epoch = 0;
	l->rule_key = l->rule && tables_rule(w->c->tables, l->rule) ? tables_key(l->rule) : 0;
	l->flight = (struct cache_flight){.state = CACHE_ALONE};
	if (l->ntags > CACHE_MAX_TAGS || !live(w)) {
		stats_count(w->sink, STATS_C_CACHE_MISSES, 1);
		return RC_DECLINED;
	}
	l->key_hash = map_hash(l->key.p, l->key.len);
	if (ask_memory(w, l, e) == RC_OK)
		return RC_OK;
	if (cache_is_followed(w->c) && (join(w, l) == RC_AGAIN || (w->l2 && l2_lookup(w->l2, l) == RC_AGAIN)))
		return RC_AGAIN; /* counted when it ends */
	stats_count(w->sink, STATS_C_CACHE_MISSES, 1);
	return RC_DECLINED;
}

bool cache_may_answer(const struct cache_lookup *l)
{
	return l->epoch != 0 && cache_is_followed(l->worker->c);
}

enum rc cache_get_stale(struct cache_lookup *l, const struct cache_entry **out)
{
	struct cache_worker *w = l->worker;
	struct entry *e;

	if (l->epoch == 0 || stale_if_error(w) == 0 || !live(w))
		return RC_DECLINED;
	e = ask_store(w, l);
	if (!e)
		return RC_DECLINED;
	if (past(w, e) >= stale_if_error(w)) {
		entry_unref(e);
		return RC_DECLINED;
	}
	stats_count(w->sink, STATS_C_CACHE_STALE_ERROR, 1);
	*out = &e->pub;
	return RC_OK;
}

/* ---- shared misses ---- */

/* Its leader has ended, or it has waited long enough: it looks again, and if need be it asks the server itself. */
static void resume(struct cache_worker *w, struct cache_lookup *l, enum flight_end how)
{
	const struct cache_entry *e = NULL;

	l->epoch = 0;
	if (live(w)) {
		if (ask_memory(w, l, &e) == RC_OK) {
			l->done(l, RC_OK, e);
			return;
		}
		if (how == FLIGHT_FAILED && cache_is_followed(w->c) && join(w, l) == RC_AGAIN)
			return;
	}
	stats_count(w->sink, STATS_C_CACHE_MISSES, 1);
	l->done(l, RC_DECLINED, NULL);
}

void cache_resume_landed(struct cache_worker *w)
{
	struct cache_lookup *l;
	enum flight_end how;

	while ((l = flight_landed(&w->c->flights, w, loop_now_ns(w->loop), &how)))
		resume(w, l, how);
}

void cache_patience(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval soon = {.tv_sec = 1};
	struct cache_worker *w = arg;

	cache_resume_landed(w);
	if (flights_waits(&w->c->flights, w) && event_add(w->patience, &soon) != 0)
		log_error("cache", "cannot set a timer; reads that wait for others may wait long", NULL);
}

void cache_lookup_cancel(struct cache_lookup *l)
{
	struct flights *f = &l->worker->c->flights;

	flight_leave(f, l);
	l2_cancel(l);
	flight_end(f, l, FLIGHT_FAILED);
}

void cache_abandon(struct cache_lookup *l, bool failed)
{
	flight_end(&l->worker->c->flights, l, failed ? FLIGHT_FAILED : FLIGHT_REFUSED);
}

void cache_needs(struct cache *c, const cache_tag *tags, unsigned ntags, struct cache_needs *out)
{
	versions_needs(c->versions, tags, ntags, clock_mono_ns(), out);
}

/* ---- fill ---- */

const char *cache_refusal_name(enum cache_refusal r)
{
	static const char *const names[CACHE_REFUSALS] = {
		[CACHE_STORED] = "stored", [CACHE_REFUSED_VERSION] = "version", [CACHE_REFUSED_LAG] = "lag",
		[CACHE_REFUSED_SIZE] = "size", [CACHE_REFUSED_WARNINGS] = "warnings", [CACHE_REFUSED_ERROR] = "error",
		[CACHE_REFUSED_STATUS] = "status", [CACHE_REFUSED_MEMORY] = "memory", [CACHE_REFUSED_CHEAP] = "cheap",
		[CACHE_REFUSED_BUS] = "bus", [CACHE_REFUSED_TODAY] = "today",
	};

	return (unsigned)r < CACHE_REFUSALS ? names[r] : "unknown";
}

void cache_refused(struct cache_worker *w, enum cache_refusal why)
{
	if (why > CACHE_STORED && why < CACHE_REFUSALS)
		stats_count(w->sink, cache_refusal_counter(why), 1);
}

/* CACHE_STORED: nothing speaks against it. */
static enum cache_refusal may_fill(const struct cache_worker *w, const struct cache_lookup *l, size_t len)
{
	const struct versions *v = w->c->versions;

	if (l->epoch == 0)
		return w->view && l->ntags <= CACHE_MAX_TAGS ? CACHE_REFUSED_BUS : CACHE_REFUSED_STATUS;
	if (len > atomic_load_explicit(&w->c->max_result, memory_order_relaxed))
		return CACHE_REFUSED_SIZE;
	if (l->epoch != versions_epoch(v))
		return CACHE_REFUSED_VERSION;
	for (unsigned i = 0; i < l->ntags; i++) {
		if (l->versions[i] != versions_get(v, rkey_slot(l->tags[i])))
			return CACHE_REFUSED_VERSION;
	}
	return CACHE_STORED;
}

static enum cache_refusal fill_both(struct cache_worker *w, struct cache_lookup *l, const struct entry_parts *p,
				    uint64_t ttl_ns)
{
	struct store_effects fx = {0};
	struct entry *e = entry_new(p);
	bool stored;
	enum rc rc;

	if (!e)
		return CACHE_REFUSED_MEMORY;
	rc = store_put(w->c->store, e, l->key_hash, loop_now_ns(w->loop), &fx);
	stored = rc == RC_OK || rc == RC_AGAIN;
	l->outdone = rc != RC_OK;
	entry_unref(e);
	count_effects(w->sink, &fx);
	if (w->l2 && l->tokens_known && rc != RC_AGAIN && l2_fill(w->l2, l, p, ttl_ns) == RC_OK)
		stored = true;
	return stored ? CACHE_STORED : CACHE_REFUSED_MEMORY;
}

enum cache_refusal cache_fill(struct cache_worker *w, struct cache_lookup *l, struct span reply, uint64_t ttl_ns,
			      uint64_t rows, uint64_t cost_ns, uint16_t results_status)
{
	enum cache_refusal why = may_fill(w, l, reply.len);
	uint64_t now = loop_now_ns(w->loop);
	struct entry_parts p = {
		.key = entry_key_of(l->key, l->key_head), .heads = store_heads(w->c->store), .tables = w->c->tables, .data = reply, .tags = l->tags, .versions = l->versions, .ntags = l->ntags, .epoch = l->epoch,
		.rule = l->rule_key, .rows = rows, .cost_ns = cost_ns, .results_status = results_status,
		.read_ns = clock_mono_ns(), .has_ns = l->has_ns,
		.expires_ns = ttl_ns > UINT64_MAX - now ? UINT64_MAX : now + ttl_ns,
	};

	if (why == CACHE_STORED && !store_admits(w->c->store, l->key_hash, cost_ns))
		why = CACHE_REFUSED_CHEAP;
	if (why == CACHE_STORED)
		why = fill_both(w, l, &p, ttl_ns);
	flight_end(&w->c->flights, l, why == CACHE_STORED ? FLIGHT_STORED : FLIGHT_REFUSED);
	if (why == CACHE_STORED)
		stats_count(w->sink, STATS_C_CACHE_FILLS, 1);
	cache_refused(w, why);
	return why;
}
