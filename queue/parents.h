/*
 * parents.h - how long a row is waited for whose foreign key's parent may be in another lane (or a parent whose children
 * may yet be deleted there). Pure.
 *
 * A lane that meets such a row is held: all of it is tried again later, in order. What counts is the time for which it was
 * tried, by the monotonic clock: neither the age of a record, which the clock of another host has noted and which is large
 * behind an outage, nor the time in which nothing was tried. A record that was there when the hold began, or a mark of it
 * was made, has waited since: behind the one refused it could not be tried, and so a lane full of orphans is held no
 * longer than for one. The hold ends when what was refused goes through. Or it becomes a dead letter, and in the
 * PARENTS_PATIENCE_NS that follow no other of those that were there is waited for: however many orphans an outage has left,
 * they hold their lane for half of the time. A restart and another owner of the lane begin anew.
 */
#ifndef SUIMON_PARENTS_H
#define SUIMON_PARENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

#define PARENTS_PATIENCE_NS (10 * NS_PER_SEC)
#define PARENTS_MARKS 16

struct parents {
	struct parents_mark {
		uint64_t seq;      /* the last record that was there */
		uint64_t tried_ns; /* as below, then */
	} mark[PARENTS_MARKS]; /* both grow; none: the lane is not held */
	size_t n;
	uint64_t tried_ns; /* for so long it was tried, as far as only differences tell */
	uint64_t asked_ns; /* when it was refused last */
	uint64_t over_ns;  /* when the first orphan was given up; 0: none yet */
	uint64_t held_seq; /* what was refused last */
};

/* A batch begins. */
void parents_begin(struct parents *p, uint64_t now_ns);
/* Record seq was refused for want of its parent, and the lane is known up to last_seq. True: the parent may come yet. */
bool parents_wait(struct parents *p, uint64_t seq, uint64_t last_seq, uint64_t now_ns);
/* All up to seq are applied, and none of them was given up for that. */
void parents_came(struct parents *p, uint64_t seq);

#endif
