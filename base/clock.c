/*
 * clock.c - see clock.h.
 */
#include "clock.h"

#define AT_ONCE_NS (100 * NS_PER_MS)

int64_t clock_watch_note(struct clock_watch *w, uint64_t mono_ns, uint64_t wall_us)
{
	int64_t apart = (int64_t)(wall_us - mono_ns / 1000), by = apart - w->apart_us;
	bool jumped = w->known && (by > CLOCK_JUMP_US || by < -CLOCK_JUMP_US);

	w->apart_us = apart;
	w->known = true;
	return jumped ? by : 0;
}

int64_t clock_watch_look(struct clock_watch *w)
{
	uint64_t before = clock_mono_ns(), wall = clock_wall_us();

	/* Stopped between the two, it would take its own pause for a jump. */
	return clock_mono_ns() - before < AT_ONCE_NS ? clock_watch_note(w, before, wall) : 0;
}
