#include "cache_impl.h"

#include "clock.h"
#include "log.h"
#include "mem.h"

#define LAG_WINDOW_NS (5 * NS_PER_SEC)

static void set_options(struct cache *c, const struct cache_options *opt)
{
	atomic_store_explicit(&c->max_result, opt->max_result, memory_order_relaxed);
	atomic_store_explicit(&c->stale_ns, opt->stale_if_error_ns, memory_order_relaxed);
}

static enum rc make_bus(struct cache *c, const char *url, struct loop *control)
{
	struct bus_options opt = {.loop = control, .url = &c->url, .versions = c->versions, .sink = c->control,
				  .changed = cache_bus_changed, .arg = c};
	char why[160], quoted[200];

	if (!url || !*url)
		return RC_OK;
	if (redis_url_parse(url, &c->url, why, sizeof(why)) != RC_OK) {
		log_error("cache", "cache.redis is wrong", "why=%s", log_quote(quoted, sizeof(quoted), span_str(why)));
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

void cache_primary_at(struct cache *c, const struct cache_pos *pos, unsigned n, uint64_t asked_ns)
{
	versions_primary_at(c->versions, pos, n, asked_ns);
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
		out->refused[r] = stats_sum(c->stats, cache_refusal_counter(r));
	if (!c->bus)
		return;
	out->redis_up = atomic_load_explicit(&bus_view(c->bus)->up, memory_order_relaxed);
	out->bus_live = bus_view_live(bus_view(c->bus));
}
