/*
 * redislog.h - the Redis engine: a lane is a stream, and what belongs to it.
 *
 *   append (any thread) → pending → the loop's thread: one script for all that is pending, [WAIT] → tickets posted
 *   next (the drain's thread) → the loop's thread: a script that hands out a stretch → records
 *
 * A record's sequence is its entry's id, milliseconds << 22 | number: ordered for ever, also across a Redis that lost its data.
 * At most one batch of a lane is under way. It bears a number, which Redis remembers with it: after a lost connection it
 * is sent again, and stored once.
 *
 * Keys, of one slot: {suimon:q:NAME:LANES:LANE}:s the stream, :i what is in it (last, bytes, count), :p:PRODUCER its last batch.
 */
#ifndef SUIMON_REDISLOG_H
#define SUIMON_REDISLOG_H

#include "redishub.h"

#define REDISLOG_RECORD_MAX (1u << 20) /* bytes of a record: larger ones are not queued */

/* hub outlives it; close only when the hub's thread has ended. NULL: no memory. */
struct queue_engine *redislog_open(struct redishub *hub, const struct queue_lane_options *opt) must_check;

#endif
