/*
 * cache_read.c - a read's way through the cache: look-up, and after a miss perhaps a fill.
 */
#include "cache_impl.h"
#include "clock.h"
#include "map.h"

static void count_effects(struct stats_sink *sink, const struct store_effects *fx)
{
	if (unlikely(fx->evicted))
		stats_count(sink, STATS_C_CACHE_EVICTIONS, fx->evicted);
	if (unlikely(fx->expired))
		stats_count(sink, STATS_C_CACHE_EXPIRATIONS, fx->expired);
}

static enum rc ask_store(struct cache_worker *w, const struct cache_lookup *l, const struct cache_entry **out)
{
	uint64_t stale_ns = l->stale_ok ? atomic_load_explicit(&w->c->stale_ns, memory_order_relaxed) : 0;
	struct store_effects fx = {0};
	struct entry *e;
	enum rc rc = store_get(w->c->store, l->key, l->key_hash, loop_now_ns(w->loop), stale_ns, &fx, &e);

	count_effects(w->sink, &fx);
	if (rc == RC_OK)
		*out = &e->pub;
	return rc;
}

static void take_versions(const struct versions *v, struct cache_lookup *l)
{
	l->epoch = versions_epoch(v);
	for (unsigned i = 0; i < l->ntags; i++)
		l->versions[i] = versions_get(v, rkey_slot(l->tags[i]));
}

enum rc cache_get(struct cache_worker *w, struct cache_lookup *l, const struct cache_entry **e)
{
	l->worker = w;
	l->request = NULL;
	l->tokens_known = false;
	l->epoch = 0;
	if (l->ntags > CACHE_MAX_TAGS || (w->view && !bus_view_live(w->view))) {
		stats_count(w->sink, STATS_C_CACHE_MISSES, 1);
		return RC_DECLINED;
	}
	l->key_hash = map_hash(l->key.p, l->key.len);
	if (ask_store(w, l, e) == RC_OK) {
		stats_count(w->sink, STATS_C_CACHE_HITS, 1);
		return RC_OK;
	}
	take_versions(w->c->versions, l);
	if (w->l2 && l2_lookup(w->l2, l) == RC_AGAIN)
		return RC_AGAIN; /* counted when it ends */
	stats_count(w->sink, STATS_C_CACHE_MISSES, 1);
	return RC_DECLINED;
}

void cache_lookup_cancel(struct cache_lookup *l)
{
	l2_cancel(l);
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
		[CACHE_REFUSED_BUS] = "bus",
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

static enum cache_refusal fill_both(struct cache_worker *w, const struct cache_lookup *l, const struct entry_parts *p,
				    uint64_t ttl_ns)
{
	struct store_effects fx = {0};
	struct entry *e = entry_new(p);
	bool stored = false;

	if (!e)
		return CACHE_REFUSED_MEMORY;
	if (store_put(w->c->store, e, l->key_hash, p->stored_ns, &fx) == RC_OK)
		stored = true;
	entry_unref(e);
	count_effects(w->sink, &fx);
	if (w->l2 && l->tokens_known && l2_fill(w->l2, l, p, ttl_ns) == RC_OK)
		stored = true;
	return stored ? CACHE_STORED : CACHE_REFUSED_MEMORY;
}

enum cache_refusal cache_fill(struct cache_worker *w, const struct cache_lookup *l, struct span reply, uint64_t ttl_ns,
			      uint64_t rows, uint64_t cost_ns, uint16_t results_status)
{
	enum cache_refusal why = may_fill(w, l, reply.len);
	uint64_t now = loop_now_ns(w->loop);
	struct entry_parts p = {
		.key = l->key, .data = reply, .tags = l->tags, .versions = l->versions, .ntags = l->ntags, .epoch = l->epoch,
		.rows = rows, .cost_ns = cost_ns, .stored_ns = now, .results_status = results_status,
		.expires_ns = ttl_ns > UINT64_MAX - now ? UINT64_MAX : now + ttl_ns,
	};

	if (why == CACHE_STORED)
		why = fill_both(w, l, &p, ttl_ns);
	if (why == CACHE_STORED)
		stats_count(w->sink, STATS_C_CACHE_FILLS, 1);
	cache_refused(w, why);
	return why;
}
