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

static void schema_heard(void *arg)
{
	struct cache *c = arg;

	if (c->schema_changed)
		c->schema_changed(c->arg);
}

/* ?name=WORD */
static enum rc take_option(void *arg, struct span key, struct span value)
{
	struct cache *c = arg;

	return span_eq(key, span_str("name")) && value.len ? rkeys_init(&c->keys, value) : RC_ERROR;
}

static enum rc make_bus(struct cache *c, const char *url, struct loop *control)
{
	struct bus_options opt = {.loop = control, .url = &c->url, .keys = &c->keys, .versions = c->versions, .sink = c->control,
				  .changed = cache_bus_changed, .schema = schema_heard, .arg = c};
	char why[160], quoted[200];

	if (!url || !*url)
		return RC_OK;
	if (rkeys_init(&c->keys, span_str("")) != RC_OK)
		return RC_ERROR;
	if (redis_url_parse_with(url, &c->url, take_option, c, why, sizeof(why)) != RC_OK || redis_url_secure(&c->url, why, sizeof(why)) != RC_OK) {
		log_error("cache", "cache.redis is wrong; of its own it takes ?name=WORD (letters, digits, - and _)", "why=%s",
			  log_quote(quoted, sizeof(quoted), span_str(why)));
		return RC_ERROR;
	}
	c->bus_id = rkey_bus_id(url);
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
	flights_init(&c->flights);
	c->stats = stats;
	atomic_init(&c->followed_until, CACHE_UNFOLLOWING);
	c->schema_changed = opt->schema_changed;
	c->arg = opt->arg;
	set_options(c, opt);
	c->versions = versions_new(opt->lag_window_ns ? opt->lag_window_ns : LAG_WINDOW_NS);
	if (c->versions)
		c->store = store_new(c->versions, opt->memory);
	c->tables = tables_new();
	if (c->store)
		store_count_in(c->store, c->tables);
	c->control = stats_sink_new(stats, false);
	c->others = stats_sink_new(stats, false);
	if (!c->store || !c->tables || !c->control || !c->others || make_bus(c, opt->redis, control) != RC_OK) {
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
	tables_free(c->tables);
	versions_free(c->versions);
	redis_url_reset(&c->url);
	flights_reset(&c->flights);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

uint64_t cache_bus_id(const struct cache *c)
{
	return c->bus_id;
}

void cache_reconfigure(struct cache *c, const struct cache_options *opt)
{
	struct store_effects fx = {0};

	set_options(c, opt);
	versions_set_lag_window(c->versions, opt->lag_window_ns ? opt->lag_window_ns : LAG_WINDOW_NS);
	store_set_limit(c->store, opt->memory, &fx);
	pthread_mutex_lock(&c->lock);
	stats_count(c->others, STATS_C_CACHE_EVICTIONS, fx.evicted);
	pthread_mutex_unlock(&c->lock);
}

/* ---- invalidation ---- */

#ifdef CACHE_INVALIDATES_NOTHING /* suimon_broken, which tests/history must find out */
#define INVALIDATES false
#else
#define INVALIDATES true
#endif

static void bump_tags(struct cache *c, const cache_tag *tags, unsigned ntags, const struct cache_pos *pos, uint64_t lag_ns)
{
	uint64_t now = clock_mono_ns();
	struct versions_pos write = versions_pos_of(c->versions, pos, now, lag_ns);

	for (unsigned i = 0; INVALIDATES && i < ntags; i++) {
		versions_bump(c->versions, rkey_slot(tags[i]), &write, now, c->bus != NULL);
		if (tables_counts(tags[i]) || (tags[i] & CACHE_TAG_KIND) == CACHE_TAG_ROWS) /* one of them a write */
			tables_invalidated(tables_find(c->tables, tables_key(tags[i])));
		if (c->bus)
			bus_dirty(c->bus, rkey_slot(tags[i]));
	}
	if (c->bus && ntags)
		bus_kick(c->bus);
}

static void bump_all(struct cache *c, uint64_t lag_ns)
{
	if (!INVALIDATES)
		return;
	versions_bump_all(c->versions, clock_mono_ns(), lag_ns, c->bus != NULL);
	if (!c->bus)
		return;
	bus_dirty_all(c->bus, lag_ns);
	bus_kick(c->bus);
}

uint64_t cache_stamp(struct cache *c, const cache_tag *tags, unsigned ntags)
{
	uint64_t stamp = versions_epoch(c->versions);

	for (unsigned i = 0; i < ntags; i++)
		stamp = stamp * UINT64_C(0x9e3779b97f4a7c15) + versions_get(c->versions, rkey_slot(tags[i]));
	return stamp;
}

const char *cache_cause_name(enum cache_cause cause)
{
	static const char *const names[] = {
		[CACHE_BY_WRITE] = "write",	  [CACHE_BY_LOSS] = "lost",	      [CACHE_BY_QUEUE] = "queue",
		[CACHE_BY_BINLOG] = "binlog", [CACHE_BY_FAILOVER] = "failover", [CACHE_BY_SCHEMA] = "schema",
		[CACHE_BY_FLUSH] = "flush",
	};

	return names[cause];
}

static enum stats_counter cause_counter(enum cache_cause cause)
{
	_Static_assert(STATS_C_CACHE_INVALIDATIONS_FLUSH - STATS_C_CACHE_INVALIDATIONS_WRITE == CACHE_BY_FLUSH &&
		       CACHE_BY_FLUSH == CACHE_CAUSES - 1, "a counter a cause");
	return (enum stats_counter)(STATS_C_CACHE_INVALIDATIONS_WRITE + (unsigned)cause);
}

static void count_others(struct cache *c, enum cache_cause cause, unsigned n)
{
	pthread_mutex_lock(&c->lock);
	stats_count(c->others, cause_counter(cause), n);
	pthread_mutex_unlock(&c->lock);
}

void cache_invalidate(struct cache_worker *w, enum cache_cause cause, const cache_tag *tags, unsigned ntags,
		      const struct cache_pos *pos, uint64_t lag_window_ns)
{
	bump_tags(w->c, tags, ntags, pos, lag_window_ns);
	stats_count(w->sink, cause_counter(cause), ntags);
}

void cache_invalidate_all(struct cache_worker *w, enum cache_cause cause, uint64_t lag_window_ns)
{
	bump_all(w->c, lag_window_ns);
	stats_count(w->sink, cause_counter(cause), 1);
}

void cache_invalidate_from(struct cache *c, enum cache_cause cause, const cache_tag *tags, unsigned ntags,
			   const struct cache_pos *pos, uint64_t lag_window_ns)
{
	bump_tags(c, tags, ntags, pos, lag_window_ns);
	count_others(c, cause, ntags);
}

void cache_invalidate_all_from(struct cache *c, enum cache_cause cause, uint64_t lag_window_ns)
{
	bump_all(c, lag_window_ns);
	count_others(c, cause, 1);
}

void cache_distrust(struct cache *c, uint64_t lag_window_ns)
{
	if (INVALIDATES)
		versions_bump_all(c->versions, clock_mono_ns(), lag_window_ns, false);
}

void cache_renumber(struct cache *c, enum cache_cause cause, uint64_t lag_window_ns)
{
	if (INVALIDATES)
		versions_renumber(c->versions, clock_mono_ns(), lag_window_ns, c->bus != NULL);
	store_clear(c->store);
	count_others(c, cause, 1);
	if (!c->bus || !INVALIDATES)
		return;
	bus_dirty_anew(c->bus, lag_window_ns);
	bus_kick(c->bus);
}

void cache_primary_at(struct cache *c, const struct cache_pos *pos, unsigned n, uint64_t asked_ns)
{
	versions_primary_at(c->versions, pos, n, asked_ns);
}

void cache_flush(struct cache *c, enum cache_cause cause)
{
	versions_drop_all(c->versions, c->bus != NULL);
	store_clear(c->store);
	count_others(c, cause, 1);
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

enum rc cache_leave(struct cache *c)
{
	return c->bus ? bus_leave(c->bus) : RC_OK;
}

/* ---- by table ---- */

void cache_table_name(struct cache *c, struct span schema, struct span table)
{
	tables_name(c->tables, cache_tag_table(schema, table), schema, table);
}

bool cache_table_named(struct cache *c, cache_tag table)
{
	return tables_find(c->tables, tables_key(table)) != &c->tables->other;
}

static void count(struct table_counts *n, enum cache_outcome what, enum cache_refusal why, uint32_t saved_us)
{
	atomic_fetch_add_explicit(what == CACHE_HIT    ? &n->hits
				  : what == CACHE_MISS ? &n->misses
				  : what == CACHE_FILL ? &n->fills
						       : &n->refused[why],
				  1, memory_order_relaxed);
	if (saved_us)
		atomic_fetch_add_explicit(&n->saved_us, saved_us, memory_order_relaxed);
}

void cache_table_count(struct cache *c, const cache_tag *tags, unsigned ntags, uint64_t rule, enum cache_outcome what,
		       enum cache_refusal why, uint32_t saved_us)
{
	struct table_counts *n = rule ? tables_rule(c->tables, rule) : NULL;

	if (n)
		count(n, what, why, saved_us);
	for (unsigned i = 0; i < ntags; i++)
		if (tables_counts(tags[i]))
			count(tables_find(c->tables, tables_key(tags[i])), what, why, saved_us);
}

static uint64_t not_below_zero(_Atomic int64_t *v)
{
	int64_t n = atomic_load_explicit(v, memory_order_relaxed);

	return n > 0 ? (uint64_t)n : 0; /* comings and goings of other threads may be seen out of order */
}

static void show(struct table_counts *n, const char *name, cache_table_fn fn, void *arg)
{
	struct cache_table out = {.name = name, .entries = not_below_zero(&n->entries), .bytes = not_below_zero(&n->bytes),
				  .hits = n->hits, .misses = n->misses, .fills = n->fills, .invalidations = n->invalidations,
				  .saved_us = n->saved_us};

	for (unsigned r = 0; r < CACHE_REFUSALS; r++)
		out.refused[r] = n->refused[r];
	fn(arg, &out);
}

void cache_tables(struct cache *c, cache_table_fn fn, void *arg)
{
	for (unsigned i = 0; i < TABLES_MOST; i++)
		if (atomic_load_explicit(&c->tables->all[i].tag, memory_order_acquire) && c->tables->all[i].name)
			show(&c->tables->all[i], c->tables->all[i].name, fn, arg);
	show(&c->tables->other, NULL, fn, arg);
}

enum rc cache_rule(struct cache *c, uint64_t rule, cache_table_fn fn, void *arg)
{
	struct table_counts *n = tables_rule(c->tables, rule);

	if (!n)
		return RC_DECLINED;
	show(n, NULL, fn, arg);
	return RC_OK;
}

/* ---- totals ---- */

void cache_totals(struct cache *c, struct cache_totals *out)
{
	*out = (struct cache_totals){
		.entries = store_entries(c->store),
		.bytes = store_bytes(c->store),
		.resident = store_resident(c->store),
		.limit = store_limit(c->store),
		.hits = stats_sum(c->stats, STATS_C_CACHE_HITS),
		.hits_redis = stats_sum(c->stats, STATS_C_CACHE_HITS_REDIS),
		.misses = stats_sum(c->stats, STATS_C_CACHE_MISSES),
		.fills = stats_sum(c->stats, STATS_C_CACHE_FILLS),
		.evictions = stats_sum(c->stats, STATS_C_CACHE_EVICTIONS),
		.expirations = stats_sum(c->stats, STATS_C_CACHE_EXPIRATIONS),
		.saved_ns = stats_sum(c->stats, STATS_C_CACHE_SAVED_TIME),
		.bus_received = stats_sum(c->stats, STATS_C_CACHE_BUS_RECEIVED),
		.redis_configured = c->bus != NULL,
		.follows = atomic_load_explicit(&c->followed_until, memory_order_relaxed) != CACHE_UNFOLLOWING,
		.followed = cache_is_followed(c),
	};
	for (unsigned r = CACHE_REFUSED_VERSION; r < CACHE_REFUSALS; r++)
		out->refused[r] = stats_sum(c->stats, cache_refusal_counter(r));
	for (unsigned i = 0; i < CACHE_CAUSES; i++)
		out->invalidations[i] = stats_sum(c->stats, cause_counter((enum cache_cause)i));
	if (!c->bus)
		return;
	out->redis_up = atomic_load_explicit(&bus_view(c->bus)->up, memory_order_relaxed);
	out->bus_live = bus_view_live(bus_view(c->bus));
}
