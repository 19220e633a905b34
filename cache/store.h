/*
 * store.h - the in-process store: sharded, bounded in bytes, S3-FIFO, a lock a shard. Thread-safe.
 *
 *            new                      hit while in small
 *   fill ---------> [ small, 10 % ] ----------------------> [ main, 90 % ] ---> out, unless hit: round again
 *     |                   | no second hit                      ^
 *     |                   v                                    |
 *     |              ghost: its hash only                      |
 *     +---- key among the ghosts ------------------------------+
 *
 * A scan passes through small and never touches main. A hit moves nothing: it counts up to 3 in the entry.
 * Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
 */
#ifndef SUIMON_CACHE_STORE_H
#define SUIMON_CACHE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "entry.h"
#include "rc.h"
#include "span.h"
#include "versions.h"

#define STORE_FREQ_MAX 3

struct store;

/* What one call did to other entries, for the caller to count; added to, never reset. */
struct store_effects {
	uint64_t evicted; /* left to make room */
	uint64_t expired; /* found past their time */
};

/* limit: bytes of memory for all entries, keys, their heads and overhead included; 0 stores nothing. v is kept. NULL: no memory. */
struct store *store_new(const struct versions *v, uint64_t limit) must_check;
/* Counts entries and bytes there, by table; before anything is stored. t is kept, and is that which entries are made with. */
struct tables;
void store_count_in(struct store *s, struct tables *t);
struct heads *store_heads(const struct store *s); /* where the keys' heads of its entries are kept */
void store_free(struct store *s); /* NULL is allowed; references that others hold stay good */
void store_clear(struct store *s);
void store_set_limit(struct store *s, uint64_t limit, struct store_effects *fx);

/* RC_OK: a reference for the caller. RC_DECLINED: not there, not current, or expired for more than stale_ns. hash is
 * map_hash of all of key. */
enum rc store_get(struct store *s, struct entry_key key, uint64_t hash, uint64_t now, uint64_t stale_ns,
		  struct store_effects *fx, struct entry **e) must_check;
/*
 * Is a result that took the server cost_ns worth a place? While there is room, and if the key was asked for lately (before it
 * was turned away or left): yes. Else not if it is much cheaper than what is stored (an eighth of the mean).
 */
bool store_admits(struct store *s, uint64_t hash, uint64_t cost_ns) must_check;
/* Takes a reference of its own. Replaces an entry of the same key. RC_AGAIN: that one is good, may be newer, and stays. RC_DECLINED: larger than half the limit, or no memory. */
enum rc store_put(struct store *s, struct entry *e, uint64_t hash, uint64_t now, struct store_effects *fx) must_check;

uint64_t store_bytes(const struct store *s); /* as they are counted */
/* As memory has them, where that is known (arena.h), those that others still hold included; else as counted. Tens of microseconds. */
uint64_t store_resident(const struct store *s);
uint64_t store_entries(const struct store *s);
uint64_t store_limit(const struct store *s);

#endif
