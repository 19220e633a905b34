#include "cache.h"

#include <pthread.h>

#include "bus.h"
#include "entry.h"
#include "l2.h"
#include "list.h"
#include "log.h"
#include "map.h"
#include "mem.h"
#include "redis_url.h"
#include "store.h"
#include "versions.h"

#define LAG_WINDOW_NS (5 * NS_PER_SEC)
#define KEY_ROOM (64 * 1024) /* of a value in Redis, for its key */

struct cache {
	struct versions *versions; /* owned */
	struct store *store;       /* owned */
	struct redis_url url;      /* empty without Redis */
	struct bus *bus;           /* owned; NULL without Redis */
	struct stats *stats;
	struct stats_sink *control; /* the bus's */
	struct stats_sink *others;  /* of threads that have none; under lock */
	_Atomic uint64_t max_result, stale_ns;
	uint64_t last_run;         /* of the control loop: what the workers were told of */
	pthread_mutex_t lock;
	struct list workers;       /* struct cache_worker.node; under lock */
	struct list nudges;        /* struct nudge.node, all ever made; under lock */
};

/* A mail to a worker. It outlives the worker, for it may be under way when that goes. */
struct nudge {
	struct mail mail;
	struct list_node node;
	struct cache_worker *worker; /* NULL: gone. The worker's thread only */
	_Atomic bool posted;
};

struct cache_worker {
	struct cache *c;
	struct loop *loop;
	struct stats_sink *sink;
	struct bus_view *view; /* the bus's; NULL without Redis */
	struct l2 *l2;         /* owned; NULL without Redis */
	struct nudge *nudge;   /* the cache's */
	struct list_node node;
};

/* ---- workers and the bus ---- */

static void on_nudge(struct mail *mail)
{
	struct nudge *n = container_of(mail, struct nudge, mail);

	(void)atomic_exchange_explicit(&n->posted, false, memory_order_acq_rel);
	if (n->worker)
		l2_wake(n->worker->l2);
}

static void nudge_post(struct cache_worker *w)
{
	if (!atomic_exchange_explicit(&w->nudge->posted, true, memory_order_acq_rel))
		loop_post(w->loop, &w->nudge->mail);
}

/* On the control loop. */
static void on_bus_changed(void *arg)
{
	struct cache *c = arg;
	uint64_t run = atomic_load_explicit(&bus_view(c->bus)->run, memory_order_relaxed);
	bool another = run != c->last_run;

	c->last_run = run;
	pthread_mutex_lock(&c->lock);
	list_each(&c->workers, n) {
		struct cache_worker *w = container_of(n, struct cache_worker, node);

		if (l2_waits(w->l2) || another)
			nudge_post(w);
	}
	pthread_mutex_unlock(&c->lock);
}

static enum rc worker_second_level(struct cache_worker *w)
{
	struct cache *c = w->c;
	struct l2_options opt = {.loop = w->loop, .url = &c->url, .versions = c->versions, .store = c->store, .bus = c->bus,
				 .sink = w->sink,
				 .value_max = atomic_load_explicit(&c->max_result, memory_order_relaxed) + KEY_ROOM};

	w->nudge = mem_zalloc(sizeof(*w->nudge));
	if (!w->nudge)
		return RC_ERROR;
	w->nudge->mail.run = on_nudge;
	w->nudge->worker = w;
	pthread_mutex_lock(&c->lock);
	list_push_back(&c->nudges, &w->nudge->node);
	pthread_mutex_unlock(&c->lock);
	w->view = bus_view(c->bus);
	w->l2 = l2_new(&opt);
	return w->l2 ? RC_OK : RC_ERROR;
}

struct cache_worker *cache_worker_new(struct cache *c, struct loop *loop, struct stats_sink *sink)
{
	struct cache_worker *w = mem_zalloc(sizeof(*w));

	if (!w)
		return NULL;
	w->c = c;
	w->loop = loop;
	w->sink = sink;
	if (!c->bus)
		return w;
	if (worker_second_level(w) != RC_OK) {
		cache_worker_free(w);
		return NULL;
	}
	pthread_mutex_lock(&c->lock);
	list_push_back(&c->workers, &w->node);
	pthread_mutex_unlock(&c->lock);
	nudge_post(w); /* the bus may be up already */
	return w;
}

void cache_worker_free(struct cache_worker *w)
{
	if (!w)
		return;
	if (list_linked(&w->node)) {
		pthread_mutex_lock(&w->c->lock);
		list_remove(&w->c->workers, &w->node);
		pthread_mutex_unlock(&w->c->lock);
	}
	if (w->nudge)
		w->nudge->worker = NULL;
	l2_free(w->l2);
	mem_free(w);
}

/* ---- the cache ---- */

static void set_options(struct cache *c, const struct cache_options *opt)
{
	atomic_store_explicit(&c->max_result, opt->max_result, memory_order_relaxed);
	atomic_store_explicit(&c->stale_ns, opt->stale_if_error_ns, memory_order_relaxed);
}

static enum rc make_bus(struct cache *c, const char *url, struct loop *control)
{
	struct bus_options opt = {.loop = control, .url = &c->url, .versions = c->versions, .sink = c->control,
				  .changed = on_bus_changed, .arg = c};
	char why[160];

	if (!url || !*url)
		return RC_OK;
	if (redis_url_parse(url, &c->url, why, sizeof(why)) != RC_OK) {
		log_error("cache", "cache.redis is wrong", "why=\"%s\"", why);
		return RC_ERROR;
	}
	c->bus = bus_new(&opt);
	return c->bus ? RC_OK : RC_ERROR;
}

struct cache *cache_new(const struct cache_options *opt, struct loop *control, struct stats *stats)
{
	struct cache *c = mem_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	list_init(&c->workers);
	list_init(&c->nudges);
	c->stats = stats;
	set_options(c, opt);
	c->versions = versions_new(opt->lag_window_ns ? opt->lag_window_ns : LAG_WINDOW_NS);
	if (c->versions)
		c->store = store_new(c->versions, opt->memory);
	c->control = stats_sink_new(stats, false);
	c->others = stats_sink_new(stats, false);
	if (!c->store || !c->control || !c->others || make_bus(c, opt->redis, control) != RC_OK) {
		cache_free(c);
		return NULL;
	}
	return c;
}

void cache_free(struct cache *c)
{
	struct list_node *n;

	if (!c)
		return;
	bus_free(c->bus);
	while ((n = list_pop_front(&c->nudges)))
		mem_free(container_of(n, struct nudge, node));
	store_free(c->store);
	versions_free(c->versions);
	redis_url_reset(&c->url);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

void cache_reconfigure(struct cache *c, const struct cache_options *opt)
{
	struct store_effects fx = {0};

	set_options(c, opt);
	store_set_limit(c->store, opt->memory, &fx);
	pthread_mutex_lock(&c->lock);
	stats_count(c->others, STATS_C_CACHE_EVICTIONS, fx.evicted);
	pthread_mutex_unlock(&c->lock);
}

/* ---- look-up ---- */

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

void cache_primary_at(struct cache *c, const struct cache_pos *pos, unsigned n, uint64_t asked_ns)
{
	versions_primary_at(c->versions, pos, n, asked_ns);
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

static enum stats_counter refusal_counter(unsigned r)
{
	return (enum stats_counter)(STATS_C_CACHE_REFUSED_VERSION + (r - CACHE_REFUSED_VERSION));
}

void cache_refused(struct cache_worker *w, enum cache_refusal why)
{
	if (why > CACHE_STORED && why < CACHE_REFUSALS)
		stats_count(w->sink, refusal_counter(why), 1);
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

/* ---- invalidation ---- */

static void bump_tags(struct cache *c, const cache_tag *tags, unsigned ntags, const struct cache_pos *pos, uint64_t lag_ns)
{
	uint64_t now = clock_mono_ns();
	struct versions_pos write = versions_pos_of(c->versions, pos, now, lag_ns);

	for (unsigned i = 0; i < ntags; i++) {
		versions_bump(c->versions, rkey_slot(tags[i]), &write, now, c->bus != NULL);
		if (c->bus)
			bus_dirty(c->bus, rkey_slot(tags[i]));
	}
	if (c->bus && ntags)
		bus_kick(c->bus);
}

static void bump_all(struct cache *c, uint64_t lag_ns)
{
	versions_bump_all(c->versions, clock_mono_ns(), lag_ns, c->bus != NULL);
	if (!c->bus)
		return;
	bus_dirty_all(c->bus, lag_ns);
	bus_kick(c->bus);
}

void cache_invalidate(struct cache_worker *w, const cache_tag *tags, unsigned ntags, const struct cache_pos *pos,
		      uint64_t lag_window_ns)
{
	bump_tags(w->c, tags, ntags, pos, lag_window_ns);
	stats_count(w->sink, STATS_C_CACHE_INVALIDATIONS, ntags);
}

void cache_invalidate_all(struct cache_worker *w, uint64_t lag_window_ns)
{
	bump_all(w->c, lag_window_ns);
	stats_count(w->sink, STATS_C_CACHE_INVALIDATIONS, 1);
}

void cache_invalidate_from(struct cache *c, const cache_tag *tags, unsigned ntags, const struct cache_pos *pos,
			   uint64_t lag_window_ns)
{
	bump_tags(c, tags, ntags, pos, lag_window_ns);
	pthread_mutex_lock(&c->lock);
	stats_count(c->others, STATS_C_CACHE_INVALIDATIONS, ntags);
	pthread_mutex_unlock(&c->lock);
}

void cache_flush(struct cache *c)
{
	versions_drop_all(c->versions, c->bus != NULL);
	store_clear(c->store);
	if (!c->bus)
		return;
	bus_dirty_drop(c->bus);
	bus_kick(c->bus);
}

bool cache_settled(struct cache *c)
{
	if (!c->bus)
		return true;
	for (uint32_t slot = 0; slot < RKEY_SLOTS; slot++) {
		if (!versions_settled(c->versions, slot))
			return false;
	}
	return versions_settled_all(c->versions);
}

/* ---- totals ---- */

void cache_totals(struct cache *c, struct cache_totals *out)
{
	*out = (struct cache_totals){
		.entries = store_entries(c->store),
		.bytes = store_bytes(c->store),
		.limit = store_limit(c->store),
		.hits = stats_sum(c->stats, STATS_C_CACHE_HITS),
		.hits_redis = stats_sum(c->stats, STATS_C_CACHE_HITS_REDIS),
		.misses = stats_sum(c->stats, STATS_C_CACHE_MISSES),
		.fills = stats_sum(c->stats, STATS_C_CACHE_FILLS),
		.evictions = stats_sum(c->stats, STATS_C_CACHE_EVICTIONS),
		.expirations = stats_sum(c->stats, STATS_C_CACHE_EXPIRATIONS),
		.invalidations = stats_sum(c->stats, STATS_C_CACHE_INVALIDATIONS),
		.bus_received = stats_sum(c->stats, STATS_C_CACHE_BUS_RECEIVED),
		.redis_configured = c->bus != NULL,
	};
	for (unsigned r = CACHE_REFUSED_VERSION; r < CACHE_REFUSALS; r++)
		out->refused[r] = stats_sum(c->stats, refusal_counter(r));
	if (!c->bus)
		return;
	out->redis_up = atomic_load_explicit(&bus_view(c->bus)->up, memory_order_relaxed);
	out->bus_live = bus_view_live(bus_view(c->bus));
}
