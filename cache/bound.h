/*
 * bound.h - what servers have shown a session past the cache, as far as it binds its next hits: what a session reads does not go back.
 *
 * C1 is about writes that were acknowledged here. A server shows a session more than those: what another instance has written and
 * not told yet, what went past all of them, what is committed and still being answered. A hit on a result from before would take it back. So
 * a session keeps which tables and rows servers have shown it, and when, and a result is not served to it that
 *
 *   - hangs on one of these,
 *   - need not have what was committed by then (cache_entry.read_ns, behind_us), and
 *   - of which the cache does not know by now that no write was before then that it has not heard of (cache_heard).
 *
 * The row of a reading binds as a write to it would (cache.h): results of this row, of the whole table, and of what the table's other
 * keys name. So the tags given here are those of such a write.
 *
 * Bounded. Of a table so many rows are kept; the oldest that has no room binds the whole table. Of so many tables; the one that was
 * shown longest ago and has no room binds everything. A session's own; its worker's thread.
 */
#ifndef SUIMON_CACHE_BOUND_H
#define SUIMON_CACHE_BOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"

#define BOUND_TABLES 8
#define BOUND_PARTS 12 /* rows of a table, and what goes with them */

struct bound_table {
	uint16_t slot;
	uint8_t n;
	uint16_t part[BOUND_PARTS];
	uint64_t part_ns[BOUND_PARTS]; /* when each was shown last */
	uint64_t whole_ns;             /* ... and the table without its rows being named; 0: never */
	uint64_t last_ns;              /* ... and anything of it */
};

struct cache_bound {
	uint64_t last_ns; /* when anything was shown last (monotonic) */
	uint64_t all_ns;  /* ... and what is not known by table */
	unsigned n;
	struct bound_table table[BOUND_TABLES];
};

/* The table was shown by now, all of it as far as is known. */
void cache_bound_table(struct cache_bound *b, cache_tag table, uint64_t now);
/* Some of its rows; parts: the tags that a write to these rows bumps. */
void cache_bound_rows(struct cache_bound *b, cache_tag table, const cache_tag *parts, unsigned n, uint64_t now);
void cache_bound_all(struct cache_bound *b, uint64_t now); /* nobody knows what */

/* When something was shown last that a result of these slots, or tags, hangs on; 0: never. */
uint64_t cache_bound_slots(const struct cache_bound *b, const uint16_t *slots, unsigned n);
uint64_t cache_bound_tags(const struct cache_bound *b, const cache_tag *tags, unsigned n);

#endif
