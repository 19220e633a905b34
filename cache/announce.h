/*
 * announce.h - what this instance may be writing just now, so that others can invalidate it should this one die.
 *
 * A write holds the slots of its tables from before it is sent until its outcome has been invalidated. Held slots, and
 * those that were held lately, are this instance's entry in Redis (ledger.h); a slot is *known* once Redis has
 * acknowledged an entry that names it. So all but the first write to a table in a while find it known and wait for nothing.
 *
 * Slots are those of tables (rkey.h); what is about anything has a number of its own. Thread-safe: one lock, taken by
 * writes only. No Redis in here.
 */
#ifndef SUIMON_CACHE_ANNOUNCE_H
#define SUIMON_CACHE_ANNOUNCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rkey.h"

#define ANNOUNCE_MOST 512              /* slots; while there are more, the entry says "anything" */
#define ANNOUNCE_ALL RKEY_TABLE_SLOTS  /* in place of a slot: anything */
#define ANNOUNCE_BYTES (2 * ANNOUNCE_MOST) /* of an entry at most: two a slot, little-endian */
/* How long a slot stays after its last write: longer than a write nobody sees the end of is invalidated again. */
#define ANNOUNCE_LINGER_NS (UINT64_C(90) * 1000000000)

struct announce_slot {
	uint64_t used_ns;  /* when it was let go last; the caller's clock */
	uint64_t sent;     /* number of the first entry that named it; 0: none yet */
	uint32_t held;
	uint16_t slot;
	bool known;
};

struct announce {
	pthread_mutex_t lock;
	_Atomic bool late;      /* Redis did not acknowledge in time: nobody waits until it does again */
	bool wanted;            /* a slot has not been sent yet; under lock, as all that follows */
	uint64_t entry;         /* number of the last entry made */
	unsigned n;             /* of slots; the first is ANNOUNCE_ALL's and always there */
	struct announce_slot slots[ANNOUNCE_MOST];
	uint16_t place[RKEY_TABLE_SLOTS + 1]; /* by slot: 1 + where it stands; 0: it does not */
};

void announce_init(struct announce *a);
void announce_reset(struct announce *a);

/* Holds the n slots; those for which there is no room become ANNOUNCE_ALL, so that announce_release takes what is there
 * afterwards. True: all are known. */
bool announce_hold(struct announce *a, uint16_t *slots, unsigned n) must_check;
bool announce_known(struct announce *a, const uint16_t *slots, unsigned n) must_check;
void announce_release(struct announce *a, const uint16_t *slots, unsigned n, uint64_t now);

/* ---- the thread that talks to Redis ---- */

bool announce_wanted(struct announce *a) must_check; /* some slot waits to be sent */
bool announce_held(struct announce *a) must_check;   /* some write has not ended */
/* The present entry; settled: what has not been held for a while may go. Returns its length; *number is for announce_acknowledge. */
size_t announce_entry(struct announce *a, bool settled, uint64_t now, uint8_t bytes[ANNOUNCE_BYTES],
		      uint64_t *number);
void announce_acknowledge(struct announce *a, uint64_t number); /* Redis has this entry */
void announce_forget(struct announce *a);                       /* what Redis has is not known any more */

#endif
