/*
 * claims.h - which lanes this process applies, when several share a queue: about as many each, a lane by one at a time.
 *
 * One thread, one connection. On it the process holds a lock that says it is there; counting those it knows how many lanes
 * are its share, tells so many drains that they are wanted (their connections hold the lanes' locks) and others that they
 * are not. It also reads how far the lanes are that others apply, whether people have paused the queue, and whether it is
 * this queue's store that the positions are of (mark.h).
 */
#ifndef SUIMON_CLAIMS_H
#define SUIMON_CLAIMS_H

#include "deadtable.h"
#include "drain.h"

struct claims;

struct claims_options {
	char id_hex[2 * QUEUE_ID_BYTES + 1]; /* the queue's; a lane's has its number in place of the last 8 digits */
	struct drain **drains; /* not owned; a lane each */
	unsigned lanes;
	struct deadtable *table; /* not owned */
	struct waits *waits;     /* not owned */
	struct queue_hooks hooks;
};

struct claims *claims_new(const struct claims_options *opt) must_check; /* NULL: no memory */
enum rc claims_start(struct claims *c) must_check;
void claims_stop(struct claims *c);
void claims_free(struct claims *c); /* NULL is allowed */

/* Any thread. */
void claims_nudge(struct claims *c);                  /* somebody waits for lanes that others apply */
void claims_set_paused(struct claims *c, bool paused); /* in every process, soon */
bool claims_reached(struct claims *c, char *why, size_t cap); /* false: why the database is not */

/* The bytes of a lane's id. */
void claims_lane_id(uint8_t out[QUEUE_ID_BYTES], const uint8_t queue[QUEUE_ID_BYTES], uint32_t lane);
#define CLAIMS_NO_LANE UINT32_MAX /* the queue itself: its letters, its pause */

#endif
