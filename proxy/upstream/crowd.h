/*
 * crowd.h - a server that has no connection left for us, or none for one account: kept beside either of them.
 *
 * While it lasts requests wait for connections there are, and one new one is tried for every now and then. Any thread.
 */
#ifndef SUIMON_CROWD_H
#define SUIMON_CROWD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "rc.h"

#define CROWD_TRY_NS (100 * NS_PER_MS)
#define CROWD_LAST_NS (3 * CROWD_TRY_NS) /* longer than it takes to be told so again */

struct crowd { _Atomic uint64_t until_ns, tried_ns; }; /* monotonic; 0: not crowded, never tried */

static inline bool crowd_is(const struct crowd *c)
{
	uint64_t until = atomic_load_explicit(&c->until_ns, memory_order_relaxed);

	return unlikely(until != 0) && clock_mono_ns() < until;
}

static inline void crowd_begin(struct crowd *c)
{
	atomic_store_explicit(&c->until_ns, clock_mono_ns() + CROWD_LAST_NS, memory_order_relaxed);
}

static inline void crowd_end(struct crowd *c)
{
	if (unlikely(atomic_load_explicit(&c->until_ns, memory_order_relaxed)))
		atomic_store_explicit(&c->until_ns, 0, memory_order_relaxed);
}

/* May the caller try for a new connection? Where it is crowded, one caller an interval may. */
static inline bool crowd_may_try(struct crowd *c)
{
	uint64_t now, last = atomic_load_explicit(&c->tried_ns, memory_order_relaxed);

	if (!crowd_is(c))
		return true;
	now = clock_mono_ns();
	return now - last >= CROWD_TRY_NS - NS_PER_MS &&
	       atomic_compare_exchange_strong_explicit(&c->tried_ns, &last, now, memory_order_relaxed, memory_order_relaxed);
}

#endif
