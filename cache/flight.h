/*
 * flight.h - shared misses (C7): one miss, one query; identical look-ups that come meanwhile wait for its result.
 *
 *   miss -> nobody else is after this key: LEADING ---- flight_end(stored) ----> everyone looks into the store again
 *        -> somebody is, and nothing it      |
 *           depends on was written since     +----- flight_end(refused) ----> everyone asks the server itself
 *           he began: WAITING                +----- flight_end(failed) -----> one of them leads, the others wait for him
 *
 * A waiter joins only if the versions it finds are those that the leader took before his read: then every write that was
 * acknowledged before the waiter came was so before the leader's read began, and C1 holds for both. What the waiter gets at
 * the end it gets from the store, by a look-up of its own. Bounded: so many a leader, so long a waiter, so often.
 *
 * A waiter lives on its own worker's loop, its leader perhaps on another's: what they share is under the flights' lock, and
 * the end travels by the worker's nudge.
 */
#ifndef SUIMON_CACHE_FLIGHT_H
#define SUIMON_CACHE_FLIGHT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "list.h"
#include "map.h"
#include "rc.h"

#define FLIGHT_WAITERS 1000                         /* of one leader */
#define FLIGHT_LIMIT_NS (UINT64_C(10) * 1000000000) /* a waiter's patience: then it asks the server itself */
#define FLIGHT_JOINS 3                              /* of one look-up, after leaders that failed */

enum flight_end { FLIGHT_STORED, FLIGHT_REFUSED, FLIGHT_FAILED };

struct flights {
	pthread_mutex_t lock;
	struct map map; /* struct cache_flight.node of those that lead, by key */
};

void flights_init(struct flights *f);
void flights_reset(struct flights *f);

/* After a miss whose versions were taken. RC_OK: it leads, or is on its own: it asks the server. RC_AGAIN: it waits. */
enum rc flight_join(struct flights *f, struct cache_lookup *l, uint64_t now) must_check;
/* Somebody fetches this key just now; else the caller does from now on. */
bool flight_under_way(struct flights *f, struct cache_lookup *l) must_check;
bool flights_waits(struct flights *f, const struct cache_worker *w) must_check; /* somebody of this worker's does */
/* A leader is done; anyone else: nothing. Workers whose look-ups are to be resumed are woken. */
void flight_end(struct flights *f, struct cache_lookup *l, enum flight_end how);
/* It waits no more. */
void flight_leave(struct flights *f, struct cache_lookup *l);
/* The worker's next look-up whose flight has ended, or whose patience has; NULL: none. *how: FLIGHT_REFUSED for the latter. */
struct cache_lookup *flight_landed(struct flights *f, struct cache_worker *w, uint64_t now, enum flight_end *how);

#endif
