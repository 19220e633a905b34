/*
 * wallclock.c - see wallclock.h.
 */
#include "wallclock.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"

#define SAID_AGAIN_NS (10 * NS_PER_SEC)

static struct {
	struct event *tick;
	struct stats_sink *sink; /* not owned */
	struct clock_watch watch;
	uint64_t said_ns; /* monotonic; 0: never */
	int64_t by_us;    /* since then */
	unsigned jumps;
} wallclock;

/* A clock that is set again and again is not worth a line each time. */
static void say(void)
{
	uint64_t now = clock_mono_ns(), by = (uint64_t)llabs(wallclock.by_us);

	if (!wallclock.jumps || (wallclock.said_ns && now - wallclock.said_ns < SAID_AGAIN_NS))
		return;
	log_warn("main", "the wall clock has jumped",
		 "by=%c%" PRIu64 ".%03" PRIu64 "s jumps=%u concerns=\"NOW() of writes queued from now on; the times in logs, traces and dead "
		 "letters; requests to SQS, which refuses those that are 15 minutes off\"",
		 wallclock.by_us < 0 ? '-' : '+', by / 1000000, by / 1000 % 1000, wallclock.jumps);
	wallclock.said_ns = now;
	wallclock.by_us = 0;
	wallclock.jumps = 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	int64_t by = clock_watch_look(&wallclock.watch);

	if (by) {
		stats_count(wallclock.sink, STATS_C_CLOCK_JUMPS, 1);
		wallclock.by_us += by;
		wallclock.jumps++;
	}
	say();
}

enum rc wallclock_begin(struct loop *control, struct stats_sink *sink)
{
	struct timeval tv = {.tv_sec = 1};

	wallclock.sink = sink;
	(void)clock_watch_look(&wallclock.watch);
	wallclock.tick = event_new(loop_base(control), -1, EV_PERSIST, on_tick, NULL);
	return wallclock.tick && event_add(wallclock.tick, &tv) == 0 ? RC_OK : RC_ERROR;
}

void wallclock_end(void)
{
	if (wallclock.tick)
		event_free(wallclock.tick);
	wallclock.tick = NULL;
}
