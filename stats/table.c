/*
 * table.c - a sink's rows: found by digest, schema and user; made for what the registry admits; given up when it
 * evicts.
 *
 * A statement seen for the first time while the registry is full stays outside, unless it is slow: it is admitted when
 * it comes again soon (the door remembers). So a flood of statements seen once each leaves the table as it is.
 */
#include "core.h"
#include "costs.h"

#include "mem.h"

#define SWEEP 4 /* rows looked at for eviction when one is added */

static bool row_eq(const struct map_node *node, const void *key)
{
	return stats_registry_is(container_of(node, struct stats_row, node)->digest, key);
}

struct stats_table *stats_table_new(struct stats_sink *k, uint32_t cap)
{
	struct stats_table *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->sink = k;
	t->stats = k->stats;
	t->cap = cap;
	map_init(&t->map, row_eq);
	t->row = mem_zalloc(cap * sizeof(*t->row));
	t->free_slot = mem_alloc(cap * sizeof(*t->free_slot));
	t->other = stats_row_new(NULL);
	for (unsigned i = 0; i < STATS_ROUTES; i++)
		hist_init(&t->route[i]);
	if (t->row && t->free_slot && t->other)
		return t;
	stats_table_free(t);
	return NULL;
}

void stats_table_free(struct stats_table *t)
{
	if (!t)
		return;
	stats_limbo_empty(t);
	for (uint32_t i = 0; t->row && i < atomic_load(&t->used); i++)
		stats_row_free(t->stats, atomic_load(&t->row[i]));
	stats_row_free(t->stats, t->other);
	for (unsigned i = 0; i < STATS_ROUTES; i++)
		hist_reset(&t->route[i]);
	for (unsigned i = 0; i < STATS_NPLUS1_MAX; i++)
		mem_free(atomic_load(&t->loop[i]));
	stats_costs_free(t);
	map_reset(&t->map);
	mem_free(t->row);
	mem_free(t->free_slot);
	mem_free(t);
}

static void row_drop(struct stats *s, struct stats_limbo *l)
{
	stats_row_free(s, container_of(l, struct stats_row, limbo));
}

/* The registry has evicted its digest: its numbers go to "other". A reader may miss them for a moment. */
static void row_retire(struct stats_table *t, struct stats_row *r)
{
	t->retired++;
	map_remove(&t->map, &r->node);
	atomic_store(&t->row[r->at], NULL);
	t->free_slot[t->nfree++] = r->at;
	stats_registry_leave(t->stats, r);
	if (stats_row_fold(t->other, r) != RC_OK)
		stats_count(t->sink, STATS_C_STATS_OUT_OF_MEMORY, 1);
	stats_count(t->sink, STATS_C_DIGESTS_REPLACED, 1);
	r->limbo.drop = row_drop;
	stats_limbo_put(t, &r->limbo);
}

static bool row_evicted(const struct stats_row *r)
{
	return atomic_load_explicit(&r->digest->evicted, memory_order_relaxed);
}

/* Looks at the next n slots for rows to give up. */
static void sweep(struct stats_table *t, uint32_t n)
{
	uint32_t used = atomic_load_explicit(&t->used, memory_order_relaxed);

	for (; n > 0 && used > 0; n--) {
		struct stats_row *r;

		t->sweep = (t->sweep + 1) % used;
		r = atomic_load_explicit(&t->row[t->sweep], memory_order_relaxed);
		if (r && row_evicted(r))
			row_retire(t, r);
	}
}

void stats_table_sweep(struct stats_table *t)
{
	sweep(t, atomic_load_explicit(&t->used, memory_order_relaxed));
	stats_limbo_empty(t);
}

static bool slot_take(struct stats_table *t, uint32_t *at)
{
	uint32_t used = atomic_load_explicit(&t->used, memory_order_relaxed);

	if (t->nfree == 0 && used == t->cap)
		sweep(t, used);
	if (t->nfree > 0) {
		*at = t->free_slot[--t->nfree];
	} else if (used < t->cap) {
		*at = used;
		atomic_store_explicit(&t->used, used + 1, memory_order_relaxed);
	} else {
		return false;
	}
	return true;
}

/* Takes over the reference to d. */
static struct stats_row *row_publish(struct stats_table *t, struct stats_digest *d, uint64_t hash)
{
	struct stats_row *r = stats_row_new(d);
	uint32_t at;

	if (!r) {
		stats_registry_unref(t->stats, d);
		return NULL;
	}
	if (map_insert(&t->map, &r->node, hash) != RC_OK) {
		stats_row_free(t->stats, r);
		return NULL;
	}
	if (!slot_take(t, &at)) {
		map_remove(&t->map, &r->node);
		stats_row_free(t->stats, r);
		return NULL;
	}
	r->at = at;
	stats_registry_join(t->stats, r);
	atomic_store(&t->row[at], r);
	return r;
}

/* True when this hash was here not long ago, else it is remembered. */
static bool door_knows(struct stats_table *t, uint64_t hash)
{
	uint16_t *slot = &t->door[hash & (STATS_DOOR - 1)], mark = (uint16_t)(hash >> 48) | 1;
	bool known = *slot == mark;

	*slot = mark;
	return known;
}

static struct stats_row *row_admit(struct stats_table *t, uint64_t hash, const struct stats_event *e)
{
	struct stats *s = t->stats;
	struct stats_digest *d;
	struct stats_row *r;
	bool admit;

	stats_limbo_empty(t);
	if (t->nlimbo >= STATS_LIMBO_MAX)
		return t->other;
	admit = !stats_registry_full(s) || e->total_ns > stats_get(&s->slow_ns) || door_knows(t, hash);
	d = stats_registry_get(s, hash, e, admit);
	if (!d)
		return t->other;
	sweep(t, SWEEP);
	r = row_publish(t, d, hash);
	return r ? r : t->other;
}

struct stats_row *stats_table_find(struct stats_table *t, uint64_t hash, const struct stats_event *e)
{
	struct map_node *node = map_find(&t->map, hash, e);

	return node ? container_of(node, struct stats_row, node) : NULL;
}

static struct stats_row *row_of(struct stats_table *t, uint64_t hash, const struct stats_event *e)
{
	struct stats_row *r = stats_table_find(t, hash, e);

	if (unlikely(!r))
		return row_admit(t, hash, e);
	if (likely(!row_evicted(r)))
		return r;
	row_retire(t, r);
	return row_admit(t, hash, e);
}

struct stats_row *stats_table_row(struct stats_table *t, uint64_t hash, const struct stats_event *e)
{
	struct stats_place *p = e->place;
	struct stats_row *r;

	if (p && likely(p->row && p->retired == t->retired && !row_evicted(p->row)))
		return p->row;
	r = row_of(t, hash, e);
	if (p) {
		p->row = r->digest ? r : NULL;
		p->retired = t->retired;
	}
	return r;
}
