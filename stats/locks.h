/*
 * locks.h - what statements have waited for locks, or failed over them, for the other files of this layer.
 */
#ifndef SUIMON_STATS_LOCKS_H
#define SUIMON_STATS_LOCKS_H

#include "core.h"

/* All of one statement, and whom it waited for most, those first. */
#define LOCKS_HOLDERS 4
struct locks_of {
	uint64_t timeouts, deadlocks, failed_ns; /* what the server ended, and the time it took until then */
	uint64_t waits, waited_ns, longest_ns;   /* what was seen waiting */
	uint64_t first_ns, last_ns;              /* when, monotonic */
	struct stats_lock holder[LOCKS_HOLDERS];
	unsigned nholders;
};
void locks_failed(struct stats *s, const struct stats_event *e); /* the server has ended it over a lock */
/* RC_DECLINED: none. */
enum rc locks_of(struct stats *s, uint64_t waiter, struct locks_of *out) must_check;

#endif
