/*
 * lockers.h - which statement a lock of the server's is about: the last one that wrote or locked on a thread of the server, and
 * on each table there.
 *
 * A fixed table, written by workers without a lock. Two that share a place lose the older, and a reader believes nothing that
 * changed while it looked: what is not known is not told.
 */
#ifndef SUIMON_LOCKERS_H
#define SUIMON_LOCKERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "span.h"

#define LOCKERS_MOST 8192 /* a power of two */
#define LOCKERS_STUCK_NS UINT64_C(500000000) /* a statement that takes longer may wait for a lock */

struct lockers {
	struct {
		_Atomic uint64_t key, digest;
	} at[LOCKERS_MOST];
	_Atomic uint64_t stuck_ns; /* when one was last seen at it for longer than LOCKERS_STUCK_NS; monotonic */
};

struct request;

/* It is about to be sent: it writes, or locks what it reads. */
void lockers_note(struct lockers *l, const struct request *r);
/* It has not been answered yet. */
void lockers_look(struct lockers *l, const struct request *r, uint64_t now_ns);
/* The digest, 0: not known. table: "schema.table", letter case set aside; empty: the last statement, on whatever tables. Any thread. */
uint64_t lockers_find(struct lockers *l, uint64_t slot, uint32_t thread, struct span schema, struct span table);

#endif
