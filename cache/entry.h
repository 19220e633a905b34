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
#include "clock.h"
#include "heads.h"
#include "list.h"
#include "map.h"
#include "rc.h"
#include "span.h"
#include "versions.h"

/*
 * What it depends on is kept small: the slots, and one number, the sum of their versions and of the epoch. Each of these only
 * grows, so the sum is the same only while all of them are.
 */
struct entry {
	struct cache_entry pub;
	struct head *head;     /* what its key begins with; a reference; NULL: all of the key is here */
	uint64_t stamp;        /* versions and epoch before the read was sent, added up */
	struct map_node node;  /* the store's, as fifo */
	struct list_node fifo;
	_Atomic uint32_t refs;
	uint32_t key_len;      /* of what is here */
	uint8_t freq;          /* the store's, from here on: hits since it was queued, at most STORE_FREQ_MAX */
	bool in_main : 1;
	bool ruled : 1;        /* the last of places is its rule's */
	uint16_t places[];     /* pub.ntables of them, where it is counted (tables.h); then pub.ntags slots; key; data */
};

/* A key in its two parts. */
struct entry_key { struct span head, rest; };

struct tables;

/* What an entry is made of. All is copied. */
struct entry_parts {
	struct entry_key key;
	struct heads *heads;      /* where the key's head is kept; may be NULL if it is empty */
	struct tables *tables;    /* where it is counted; NULL: nowhere */
	struct span data;
	const cache_tag *tags;
	const uint64_t *versions; /* one a tag */
	unsigned ntags;
	uint64_t epoch;
	uint32_t rule; /* its tables_key; 0: none */
	uint64_t rows, cost_ns;
	uint64_t expires_ns;      /* monotonic; one that is further away than 49 days is never */
	uint64_t read_ns, has_ns; /* what was committed after the one is not in it, by the other is; has_ns 0: not known */
	uint16_t results_status;
};

#define ENTRY_BEHIND_UNKNOWN UINT32_MAX
#define ENTRY_LIVES_ON UINT32_MAX

struct entry *entry_new(const struct entry_parts *p) must_check; /* one reference, the caller's; NULL: no memory */
void entry_unref(struct entry *e);
/* The same in other memory, which may be used better, for whoever has the only reference, and sees to pointers. NULL: no memory; e stays. */
struct entry *entry_move(struct entry *e) must_check;

static inline void entry_ref(struct entry *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
}

static inline const uint16_t *entry_slots(const struct entry *e)
{
	return e->places + e->pub.ntables;
}

/* head_len: as cache_lookup's key_head. */
static inline struct entry_key entry_key_of(struct span key, size_t head_len)
{
	return (struct entry_key){.head = span_of(key.p, head_len), .rest = span_of(key.p + head_len, key.len - head_len)};
}

static inline struct entry_key entry_key(const struct entry *e)
{
	return (struct entry_key){.head = head_span(e->head), .rest = span_of((const char *)(entry_slots(e) + e->pub.ntags), e->key_len)};
}

static inline bool entry_key_eq(struct entry_key a, struct entry_key b)
{
	return span_eq(a.rest, b.rest) && span_eq(a.head, b.head);
}

static inline const uint8_t *entry_data(const struct entry *e)
{
	struct span key = entry_key(e).rest;

	return (const uint8_t *)key.p + key.len;
}

uint32_t entry_charge(const struct entry *e); /* bytes the store counts for it; its head is counted by itself */

/* All that the primary had committed by then is in it; 0: not known. */
static inline uint64_t entry_has(const struct entry *e)
{
	return e->pub.behind_us == ENTRY_BEHIND_UNKNOWN ? 0 : e->pub.read_ns - e->pub.behind_us * UINT64_C(1000);
}

/* Monotonic: its time is over then, to the millisecond. */
static inline uint64_t entry_expires_ns(const struct entry *e)
{
	return e->pub.lives_ms == ENTRY_LIVES_ON ? UINT64_MAX : e->pub.read_ns + e->pub.lives_ms * NS_PER_MS;
}

/* e is its maker's alone yet. `old` is the same answer, and alive: when that was so holds for e, too. */
void entry_confirm(struct entry *e, const struct entry *old);

/* Nothing it depends on was written since it was read. */
static inline bool entry_current(const struct entry *e, const struct versions *v)
{
	const uint16_t *slots = entry_slots(e);
	uint64_t sum = versions_epoch(v);

	for (uint8_t i = 0; i < e->pub.ntags; i++)
		sum += versions_get(v, slots[i]);
	return sum == e->stamp;
}

#endif
