/*
 * ghost.h - keys that left the store lately, by fingerprint: a set-associative table with time stamps. An old ghost is
 * one with more than about `window` younger ones. A table that grows begins anew: they are hints. Source: Yang et al., "FIFO queues are all you need for cache eviction", 4.2.
 */
#ifndef SUIMON_CACHE_GHOST_H
#define SUIMON_CACHE_GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghost {
	uint32_t *cells; /* owned; NULL before the first ghost; fingerprint << 16 | tick; 0: empty */
	size_t size;     /* cells, a power of two */
	uint32_t time;   /* ghosts added so far */
	uint8_t shift;   /* so many of them, as a power of two, are a tick: a table's size is TICKS of them at most */
};

void ghost_reset(struct ghost *g);
void ghost_fit(struct ghost *g, size_t window); /* a table that is too large by much for what comes begins anew */
void ghost_add(struct ghost *g, uint64_t hash, size_t window); /* without memory nothing is remembered */
bool ghost_take(struct ghost *g, uint64_t hash, size_t window); /* was there; is not any more */

#endif
