/*
 * versions.h - the version table: what makes a stored result current or dead (promises C1, C2).
 *
 * A fixed table of slots; a tag hashes to one. Each slot has a version that every write bumps, and the position of the
 * last writes, which a replica must have applied before its answer may be stored under that version. Thread-safe.
 *
 * Memory order. The version is one atomic word. Hits only load it (acquire). A bump first writes the position and the
 * mark "unsettled", then increments the version with release: who has loaded the new version sees the position and the
 * mark; who has loaded the old one may see either, and what he stores under the old version is dead. The position is
 * wider than a word and is kept under the slot's spin lock; only writes and misses take it, never a hit.
 */
#ifndef SUIMON_CACHE_VERSIONS_H
#define SUIMON_CACHE_VERSIONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "rkey.h"
#include "rc.h"

#define VERSIONS_POSITIONS 2 /* GTID domains remembered a slot; a third makes the oldest "unknown" for a lag window */
#define VERSIONS_FLOOR 8     /* domains of the primary's own position */

/* Positions of the writes behind a slot's version. */
struct versions_pos {
	struct cache_pos pos[VERSIONS_POSITIONS];
	unsigned n;
	uint64_t unknown_at;    /* monotonic; when the last write of unknown position was bumped */
	uint64_t unknown_until; /* monotonic; replicas are not believed before; 0: no such write */
};

struct versions_slot {
	_Alignas(64) _Atomic uint64_t version;
	_Atomic uint32_t own;     /* this process's own bumps ... */
	_Atomic uint32_t settled; /* ... and how many of them Redis has acknowledged */
	_Atomic uint32_t lock;    /* of pos, history */
	uint32_t history;         /* of which the positions are */
	struct versions_pos pos;
};

struct versions {
	struct versions_slot *slots; /* RKEY_SLOTS, aligned inside `memory` */
	void *memory;                /* owned */
	_Atomic uint64_t lag_window_ns; /* where a write brings none of its own */
	_Atomic uint64_t epoch;      /* part of every version; never 0 */
	_Atomic uint32_t own_all, settled_all; /* bumps of the epoch that Redis is to hear of */
	_Atomic uint32_t history;    /* goes up when positions are counted anew: those of a former one say nothing */
	_Atomic uint64_t gap_until;  /* monotonic; before it, writes of unknown position may be behind any slot */
	_Atomic uint32_t lock;       /* of what follows */
	uint64_t gap_at;
	struct cache_pos floor[VERSIONS_FLOOR]; /* the primary's position when it was asked last */
	unsigned nfloor;
	uint64_t floor_asked;        /* monotonic; 0: never */
};

struct versions *versions_new(uint64_t lag_window_ns) must_check; /* NULL: no memory */
void versions_free(struct versions *v); /* NULL is allowed */
void versions_set_lag_window(struct versions *v, uint64_t ns); /* of bumps from now on; any thread */

static inline uint64_t versions_get(const struct versions *v, uint32_t slot)
{
	return atomic_load_explicit(&v->slots[slot].version, memory_order_acquire);
}

static inline uint64_t versions_epoch(const struct versions *v)
{
	return atomic_load_explicit(&v->epoch, memory_order_acquire);
}

/* Load the version first: a bump marks the slot before it increments the version. */
static inline bool versions_settled(const struct versions *v, uint32_t slot)
{
	return atomic_load_explicit(&v->slots[slot].own, memory_order_acquire) ==
	       atomic_load_explicit(&v->slots[slot].settled, memory_order_acquire);
}

static inline bool versions_settled_all(const struct versions *v)
{
	return atomic_load_explicit(&v->own_all, memory_order_acquire) ==
	       atomic_load_explicit(&v->settled_all, memory_order_acquire);
}

/* One write's position as a bump takes it. pos NULL: unknown, until now + lag_ns (0: the table's own window). */
struct versions_pos versions_pos_of(const struct versions *v, const struct cache_pos *pos, uint64_t now, uint64_t lag_ns);

/* A write to the slot. own: Redis is to hear of it; the slot is unsettled until versions_settle. */
void versions_bump(struct versions *v, uint32_t slot, const struct versions_pos *write, uint64_t now, bool own);
/* A write to anything, position unknown for lag_ns (0: the table's own window). */
void versions_bump_all(struct versions *v, uint64_t now, uint64_t lag_ns, bool own);
/* The same, and the server that is written to now, or what it has, is not what it was (a failover, a binary log begun anew): no
 * position from before is one of a write that it has, nor one that a replica of it will reach. */
void versions_renumber(struct versions *v, uint64_t now, uint64_t lag_ns, bool own);
/* Drops everything stored without any write behind it. */
void versions_drop_all(struct versions *v, bool own);

void versions_read(struct versions *v, uint32_t slot, struct versions_pos *out);
/* What a server must have applied for its answer to be stored under versions loaded before this call. */
void versions_needs(struct versions *v, const cache_tag *tags, unsigned ntags, uint64_t now, struct cache_needs *out);
/* The primary, asked at asked_ns (monotonic, before the question was sent), answered that it was at pos: every write
 * of unknown position bumped before asked_ns is at or before it. n above VERSIONS_FLOOR: not kept. */
void versions_primary_at(struct versions *v, const struct cache_pos *pos, unsigned n, uint64_t asked_ns);

/* For the one thread that settles: the count to give back once Redis has acknowledged what was sent after this call. */
uint32_t versions_own(const struct versions *v, uint32_t slot);
void versions_settle(struct versions *v, uint32_t slot, uint32_t own);
uint32_t versions_own_all(const struct versions *v);
void versions_settle_all(struct versions *v, uint32_t own);

#endif
