/*
 * settle.h - this instance's own writes on their way to Redis: what is dirty, what has been sent, what is acknowledged.
 * Marking is for any thread; the rest for the control loop's.
 */
#ifndef SUIMON_CACHE_SETTLE_H
#define SUIMON_CACHE_SETTLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus_msg.h"
#include "rc.h"
#include "redis.h"
#include "versions.h"

#define SETTLE_BATCHES 16 /* sent and not yet acknowledged; more writes wait as dirty bits */

struct settle;

struct settle_batch {
	struct settle *settle;
	bool used;
	bool all, anew, drop; /* the token of all, and which message; anew: all, too */
	uint64_t lag_ns;     /* with all */
	uint32_t own_all;
	unsigned n;
	uint32_t slot[BUS_MSG_WRITES];
	uint32_t own[BUS_MSG_WRITES]; /* bumps of the slot that are settled with this batch */
};

struct settle {
	struct versions *versions;
	const struct rkeys *keys;
	uint8_t id[BUS_MSG_ID];
	_Atomic uint64_t dirty[RKEY_SLOTS / 64];
	_Atomic bool any;             /* some bit of dirty may be set */
	_Atomic bool all, anew, drop;
	_Atomic uint64_t all_lag_ns;  /* the longest wanted */
	struct settle_batch batch[SETTLE_BATCHES];
	struct redis *to;             /* not owned; where the last batch went */
	void (*refused)(void *arg);   /* Redis answered a batch with an error, or takes no more; not inside settle_send */
	void *arg;
};

/* v and k are kept. */
void settle_init(struct settle *s, struct versions *v, const struct rkeys *k, void (*refused)(void *arg), void *arg);

void settle_mark(struct settle *s, uint32_t slot);
void settle_mark_all(struct settle *s, uint64_t lag_ns);
void settle_mark_anew(struct settle *s, uint64_t lag_ns); /* all, and positions are counted anew */
void settle_mark_drop(struct settle *s);

/* Nothing is dirty, and all that was sent is acknowledged. */
bool settle_done(const struct settle *s) must_check;
/* Sends what is dirty, as far as batches reach; the rest when some come back. RC_ERROR: the connection takes no more. */
enum rc settle_send(struct settle *s, struct redis *to) must_check;

#endif
