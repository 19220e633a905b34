/*
 * arena.h - memory of stored results, apart from all other memory: only so is it known what they really take. Thread-safe.
 *
 * With jemalloc an arena of its own, shared by all stores of the process. Else the process's allocator, and nothing is known.
 */
#ifndef SUIMON_CACHE_ARENA_H
#define SUIMON_CACHE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "rc.h"

void *arena_alloc(size_t size) must_check; /* uninitialised; NULL when out of memory */
void arena_free(void *p);                  /* of arena_alloc; NULL is allowed */
/* Gives pages on which nothing lives back to the system. Bytes of memory that it has then: what lives, what is left between, and its own.
 * Tens of microseconds. 0: not known. */
uint64_t arena_resident(void);

#endif
