/*
 * topology.h - which servers there are, and which of them takes the writes.
 *
 * The monitor's threads and the workers report what they see of a server (topology_saw, topology_doubt); who the primary
 * is follows from that in one place, topology_judge:
 *
 *   - the present primary stays while it answers and takes writes, whatever else takes them: writes are never split
 *   - when it does not, the one other server that takes writes becomes the primary. A server counts as taking them if it
 *     is not read-only and was promoted: it was seen read-only before, or it replicates from nobody
 *   - where several do, nobody is chosen: it is logged, and suimon_writable_servers tells
 *
 * The list grows when discovery finds a server. One that is gone gives its place to a new one when no connection to it is
 * left; it stays in memory all the same (sessions may point to it).
 */
#ifndef SUIMON_TOPOLOGY_H
#define SUIMON_TOPOLOGY_H

#include "backend.h"

struct topology {
	_Atomic(struct backend *) *all; /* owned, as what it points to; [0] is the configured primary */
	_Atomic size_t n;
	size_t cap;                     /* places in all */
	_Atomic(struct backend *) primary;
	_Atomic uint32_t writable;      /* servers that seem to take writes: more than one is somebody's mistake */
	_Atomic uint64_t moves;         /* how often the primary has changed */
	pthread_mutex_t lock;           /* one judgement, one change of the list at a time */
	/* Set before the threads start; may be NULL. */
	void *moved_arg, *look_arg;
	/* Another server is the primary. Under lock, on the thread that noticed: post, do not wait. */
	void (*on_moved)(void *arg, struct backend *from, struct backend *to);
	void (*on_look)(void *arg);     /* the monitor's: look again now. Any thread */
	_Atomic uint64_t looked_ns;
	struct backend *retired;        /* whose place another has; owned */
};

struct topology *topology_new(const struct settings *s) must_check;
void topology_free(struct topology *t);
/* The one that is written to, whatever its state; never NULL. */
struct backend *topology_primary(const struct topology *t);
static inline bool topology_primary_usable(const struct topology *t) { return backend_usable(topology_primary(t)); }
static inline bool topology_is_primary(const struct topology *t, const struct backend *b)
{
	return topology_primary(t) == b;
}
struct backend *topology_find(const struct topology *t, const char *text);

struct topology_wish { /* what a read wants of its replica; all zero: nothing. It is proven later (seen.h) */
	const struct backend *prefer; /* the one that its session read from last; NULL: none */
	uint64_t read_ns;             /* when that was: another one must be past it. 0: need not */
	uint64_t window_ns;           /* ... or so much time must have gone by since */
	unsigned group;               /* settings_group: one of these and no other. 0: one of no group */
};
/* The replica a read should go to: up, by weight and least outstanding. NULL: none. wish may be NULL. */
struct backend *topology_replica(const struct topology *t, const struct topology_wish *wish);

/* What a check has seen of b, which answered. */
struct topology_sight {
	bool read_only;
	bool may_ask;    /* whether it replicates is known: */
	bool replicates; /* it has a source */
};
void topology_saw(struct topology *t, struct backend *b, const struct topology_sight *s);
/* The servers of the cluster, as one of them has listed them. */
#define TOPOLOGY_LISTED_MOST 32
struct topology_listing {
	char host[TOPOLOGY_LISTED_MOST][256];
	size_t n;
	bool complete; /* by the one who knows: who is not in it is gone */
};
/* Those that are new join as replicas, on the configured primary's port. */
void topology_listed(struct topology *t, const struct topology_listing *l);
/* b has answered a write with an error that says that it is read-only. */
void topology_doubt(struct topology *t, struct backend *b);
/* Something happened that may have changed the roles: has the monitor look now. Often called, seldom acted on. */
void topology_look(struct topology *t);
/* Decides who is the primary by what is known now. */
void topology_judge(struct topology *t);
/* How long b has been known to refuse writes (nanoseconds); 0: it takes them, as far as is known. */
uint64_t topology_read_only_for(const struct backend *b);

#endif
