/*
 * pool.h - named pools of same-size objects, owned by one thread, with live counts.
 *
 * An object comes back zeroed from pool_get (or the first part of it: pool_new_part). Freed objects are kept on a free list up to `keep`; in debug builds
 * they are poisoned (ASan) while they lie there. A pool is used by one thread at a time.
 */
#ifndef SUIMON_POOL_H
#define SUIMON_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "rc.h"

struct pool;

/* name: a literal, kept by pointer. size: bytes an object. keep: most free objects kept for reuse. NULL: out of memory. */
struct pool *pool_new(const char *name, size_t size, size_t keep) must_check;
/* Large objects of which little is used each time: only the first `clear` bytes come back zeroed, what is behind them has to
 * be written before it is read. In builds with ASan it comes back filled with 0xa5. */
struct pool *pool_new_part(const char *name, size_t size, size_t clear, size_t keep) must_check;
void pool_free(struct pool *pool); /* every object must have come back; NULL is allowed */
void *pool_get(struct pool *pool) must_check;
void pool_put(struct pool *pool, void *object); /* NULL object is allowed */
size_t pool_live(const struct pool *pool);

#endif
