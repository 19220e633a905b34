/*
 * bus.h - the invalidation bus over Redis: tells the other instances of this one's writes, and hears of theirs.
 *
 * Two connections on the control loop, to one server: a subscription, and one for commands.
 *
 *   off --> resolving --> connecting --> subscribing --> proving --> live
 *    ^          |             |               |              |         |
 *    +----------+-------------+--- back-off --+--------------+---------+  lost, silent, or Redis refuses writes
 *
 * Proving: a heartbeat is published and must come back through the subscription. Then everything stored locally is
 * dropped by a bump of the epoch (what was missed is not known), and the bus is live. It stays live on a lease: 3
 * seconds from when the last heartbeat that came back was sent, by a clock that goes on while the machine sleeps.
 *
 * Before it is live the entries of the other instances in the ledger are read, and what they announce is invalidated: one
 * of them may have died, and this one may be what was started in its place (ledger.h).
 *
 * Sending. A write marks its slot dirty, once; the control loop takes all dirty slots together and sends DEL of their
 * tokens and PUBLISH as one script. When that is acknowledged the slots are settled. What fails stays dirty, so the
 * backlog of a long outage is one bit a slot.
 */
#ifndef SUIMON_CACHE_BUS_H
#define SUIMON_CACHE_BUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "announce.h"
#include "clock.h"
#include "loop.h"
#include "rc.h"
#include "redis_url.h"
#include "resolve.h"
#include "stats.h"
#include "versions.h"

#define BUS_LEASE_NS (3 * NS_PER_SEC)
#define BUS_HEARTBEAT_NS NS_PER_SEC

struct bus;

struct bus_options {
	struct loop *loop;           /* the control loop */
	const struct redis_url *url; /* kept */
	const struct rkeys *keys;    /* kept */
	struct versions *versions;   /* kept */
	struct stats_sink *sink;     /* used on the control loop only */
	void (*changed)(void *arg);  /* on the control loop: it became live or ceased to, a barrier was passed, or an
				      * announcement was acknowledged */
	void (*schema)(void *arg);   /* on the control loop: what the catalog says may have changed */
	void *arg;
};

/* What other threads look at. */
struct bus_view {
	_Atomic uint64_t lease_until; /* bus_clock; 0: not live */
	_Atomic uint64_t barrier;     /* bus_clock; what was published before it has been heard */
	_Atomic uint64_t heard;       /* bus_clock; of the other instances each has lived then, or is gone and invalidated; UINT64_MAX: all have */
	_Atomic uint64_t run;         /* the server's run whose tokens may be believed; 0: none */
	_Atomic bool up;              /* both connections are */
};

/* NULL: no memory. Starts by itself once the loop runs. */
struct bus *bus_new(const struct bus_options *opt) must_check;
void bus_free(struct bus *b); /* NULL is allowed; the control loop has ended */
/*
 * The end is near, nothing is written any more, and all of it is settled: from now on the ledger says nothing of this instance, so that
 * nobody stands in for it. RC_AGAIN: Redis has not said yet that it is so; ask again soon. RC_DECLINED: the bus is not live, or
 * a write has not ended, and the entry stays. On the control loop.
 */
enum rc bus_leave(struct bus *b) must_check;

/* Goes on while the machine sleeps: a lease must run out then too. */
static inline uint64_t bus_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* ---- any thread ---- */

struct bus_view *bus_view(struct bus *b);

static inline bool bus_view_live(const struct bus_view *v)
{
	return atomic_load_explicit(&v->lease_until, memory_order_acquire) > bus_clock();
}

/* After versions_bump(own). The slot is sent with the positions it has by then. */
void bus_dirty(struct bus *b, uint32_t slot);
void bus_dirty_all(struct bus *b, uint64_t lag_ns); /* after versions_bump_all(own) */
void bus_dirty_anew(struct bus *b, uint64_t lag_ns); /* after versions_renumber(own) */
void bus_dirty_drop(struct bus *b);                 /* after versions_drop_all(own) */
void bus_schema(struct bus *b);                     /* the schema has changed here */
void bus_kick(struct bus *b);                       /* once after any of these, and after an announcement */
struct announce *bus_announce(struct bus *b);
void bus_want_barrier(struct bus *b);               /* bus_view.barrier will soon be later than now, if the bus is live */
struct bus_peer {
	struct resolve_address to;
	char host[256]; /* the name or address that was looked up */
};
/* The server that the bus talks to. RC_DECLINED: none just now. */
enum rc bus_peer(struct bus *b, struct bus_peer *out) must_check;

#endif
