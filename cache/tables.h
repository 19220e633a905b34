/*
 * tables.h - what the cache does with each table and each rule, for people: bounded, and exact only in what it counts, not
 * in when.
 *
 * A table has a place once it has been named; what has none (they are taken, or it was never named) is counted together. A
 * rule has one from when it is first asked for, and keeps it over reloads; where none is left it is not counted.
 * Any thread, no lock but for giving places.
 */
#ifndef SUIMON_CACHE_TABLES_H
#define SUIMON_CACHE_TABLES_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache.h"

#define TABLES_MOST 4096 /* places; a power of two */
#define TABLES_NAMED 768
#define TABLES_RULES 2048 /* twice as many as a configuration has at most */

struct table_counts {
	_Atomic uint32_t tag;  /* upper half of the table's tag or of the rule's id, never 0; 0: free */
	char *name;            /* "schema.table"; owned; set before tag is; NULL: a rule's */
	_Atomic int64_t entries, bytes; /* in process; an entry counts for its rule and each table it depends on */
	_Atomic uint64_t hits, misses, fills, invalidations, saved_us, refused[CACHE_REFUSALS];
};

struct tables {
	pthread_mutex_t lock; /* for naming */
	struct table_counts all[TABLES_MOST], other;
	unsigned named, rules; /* places given; under lock */
};

struct tables *tables_new(void) must_check;
void tables_free(struct tables *t); /* NULL is allowed */
void tables_name(struct tables *t, cache_tag tag, struct span schema, struct span table);

/* The rule's place. NULL: it has none, and no more are given. */
struct table_counts *tables_rule(struct tables *t, uint64_t rule);
/* Never NULL. */
struct table_counts *tables_find(struct tables *t, uint32_t tag);

static inline uint32_t tables_key(uint64_t tag)
{
	uint32_t key = (uint32_t)(tag >> 32);

	return key ? key : 1;
}

static inline bool tables_counts(cache_tag tag)
{
	return (tag & CACHE_TAG_KIND) == CACHE_TAG_TABLE;
}

/* Where it is counted, for whoever comes again: its place now, or that of all the others. */
static inline uint16_t tables_place(struct tables *t, uint32_t tag)
{
	struct table_counts *n = tables_find(t, tag);

	_Static_assert(TABLES_MOST < UINT16_MAX, "a place fits, and that of the others");
	return n == &t->other ? TABLES_MOST : (uint16_t)(n - t->all);
}

static inline struct table_counts *tables_at(struct tables *t, uint16_t place)
{
	return place == TABLES_MOST ? &t->other : &t->all[place];
}

static inline void tables_add_entry(struct tables *t, uint16_t place, int64_t entries, int64_t bytes)
{
	struct table_counts *n = tables_at(t, place);

	atomic_fetch_add_explicit(&n->entries, entries, memory_order_relaxed);
	atomic_fetch_add_explicit(&n->bytes, bytes, memory_order_relaxed);
}

static inline void tables_invalidated(struct table_counts *n)
{
	atomic_fetch_add_explicit(&n->invalidations, 1, memory_order_relaxed);
}

#endif
