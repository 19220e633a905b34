/*
 * clock.h - monotonic time for measuring, wall time for people and records, and what comes between them.
 */
#ifndef SUIMON_CLOCK_H
#define SUIMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_SEC UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

static inline uint64_t clock_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

#define CLOCK_JUMP_US 1000000 /* what adjusts a clock gently stays far below in a second */

/* The wall clock, watched: is it set, or was the machine asleep, for which the monotonic clock stands still? */
struct clock_watch {
	int64_t apart_us; /* the wall clock from the monotonic one, when it was looked at last */
	bool known;
};

/* By how much the wall clock has gone otherwise than the monotonic one since the last call, in microseconds; 0 for what is
 * below CLOCK_JUMP_US, and at the first call. */
int64_t clock_watch_note(struct clock_watch *w, uint64_t mono_ns, uint64_t wall_us);
int64_t clock_watch_look(struct clock_watch *w); /* the same, now */

#endif
