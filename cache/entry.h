/*
 * entry.h - a stored reply with its key and the versions it was read under, in one piece of memory.
 *
 * Immutable but for what the store keeps of it (under its shard's lock) and the reference count. The store holds one
 * reference; whoever was handed the public part holds another, from any thread, after it has left the store too.
 */
#ifndef SUIMON_CACHE_ENTRY_H
#define SUIMON_CACHE_ENTRY_H

#include <stdatomic.h>
#include <stdint.h>

#include "cache.h"
#include "list.h"
#include "map.h"
#include "rc.h"
#include "span.h"
#include "versions.h"

struct entry_tag {
	uint64_t version; /* of the slot, before the read was sent */
	uint32_t slot;
	uint32_t table;   /* tables_key, for counting; 0: it stands for no table */
};

struct entry {
	struct cache_entry pub;
	_Atomic uint32_t refs;
	uint32_t ntags;
	uint64_t epoch;
	struct span key;       /* inside this memory */
	size_t charge;         /* bytes the store counts for it */
	struct map_node node;  /* the store's, from here on */
	struct list_node fifo;
	uint8_t freq;          /* hits since it was queued, at most STORE_FREQ_MAX */
	bool in_main;
	struct entry_tag tags[];
};

/* What an entry is made of. All is copied. */
struct entry_parts {
	struct span key;
	struct span data;
	const cache_tag *tags;
	const uint64_t *versions; /* one a tag */
	unsigned ntags;
	uint64_t epoch;
	uint64_t rows, cost_ns, stored_ns, expires_ns;
	uint16_t results_status;
};

struct entry *entry_new(const struct entry_parts *p) must_check; /* one reference, the caller's; NULL: no memory */
void entry_unref(struct entry *e);

static inline void entry_ref(struct entry *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
}

/* Nothing it depends on was written since it was read. */
static inline bool entry_current(const struct entry *e, const struct versions *v)
{
	if (e->epoch != versions_epoch(v))
		return false;
	for (uint32_t i = 0; i < e->ntags; i++) {
		if (e->tags[i].version != versions_get(v, e->tags[i].slot))
			return false;
	}
	return true;
}

#endif
