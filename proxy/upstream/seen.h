/*
 * seen.h - what a session has read, as far as it binds its next read: its reads do not go back in time (R2).
 *
 * The invariant: a read runs only on a server that has all that its session has seen. The primary has all, always (a
 * replica is taken to have nothing that its primary has not). A replica must prove it, on the connection that the read
 * will use, and seen_prove is the one place that says how:
 *
 *   - it is the server that was read from last, and the same process: the connection was open when that read was sent
 *   - the monitor found it past all that the primary had committed when that read had ended, while the connection was open
 *   - it has the position that the primary told after that read had ended, or is waited for until it has
 *   - where the primary gives no positions, enough time has gone by; and the server read from last is believed
 *
 * What a server was once known to have it may have lost in a crash. Therefore the connection's age: one that was open
 * when the server had something, and is open still, leads to the process that had it.
 *
 * A read that ran anywhere without a proof (eventual; no primary answers, R4) is never recorded as seen: it would make
 * its server the one that is believed.
 */
#ifndef SUIMON_SEEN_H
#define SUIMON_SEEN_H

#include "topology.h"

struct seen {
	const struct backend *on; /* where it read last, primary or replica */
	uint64_t sent_ns;         /* when that read was sent, */
	uint64_t ns;              /* and when it had been answered (monotonic). 0: nothing was seen */
};

/* A read that was sent to b at sent_ns, with proof, has been answered. */
static inline void seen_read(struct seen *s, const struct backend *b, uint64_t sent_ns, uint64_t now_ns)
{
	*s = (struct seen){.on = b, .sent_ns = sent_ns, .ns = now_ns};
}

enum seen_proof {
	SEEN_PROVEN,
	SEEN_BY_POSITION, /* when it has reached the floor */
	SEEN_UNKNOWN,     /* not by what is known now */
};
/* Has replica b all that s has seen? By a connection that has been open since ready_ns; window_ns: the time that is enough.
 * SEEN_BY_POSITION: *floor is advanced to where b must be. */
enum seen_proof seen_prove(const struct seen *s, const struct topology *t, struct backend *b, uint64_t ready_ns,
			   uint64_t window_ns, struct gtid_pos *floor) must_check;
/* Which replica is worth proving? As topology_replica; NULL: none is likely to. */
struct backend *seen_choose(const struct seen *s, const struct topology *t, uint64_t window_ns);
/* Does the primary's position, as it is known, bound what s has seen? */
bool seen_bounded(const struct seen *s, const struct topology *t);

#endif
