/*
 * ghost.h - keys that left the store lately, by fingerprint: a set-associative table with time stamps. An old ghost is
 * one with more than `window` younger ones. Source: Yang et al., "FIFO queues are all you need for cache eviction", 4.2.
 */
#ifndef SUIMON_CACHE_GHOST_H
#define SUIMON_CACHE_GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghost {
	uint64_t *cells; /* owned; NULL before the first ghost; fingerprint << 32 | time */
	size_t size;     /* cells, a power of two */
	uint32_t time;   /* ghosts added so far */
};

void ghost_reset(struct ghost *g);
void ghost_add(struct ghost *g, uint64_t hash, size_t window); /* without memory nothing is remembered */
bool ghost_take(struct ghost *g, uint64_t hash, size_t window); /* was there; is not any more */

#endif
