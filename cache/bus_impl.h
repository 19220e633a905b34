/*
 * bus_impl.h - what bus*.c share.
 */
#ifndef SUIMON_CACHE_BUS_IMPL_H
#define SUIMON_CACHE_BUS_IMPL_H

#include <pthread.h>

#include "backoff.h"
#include "bus.h"
#include "ledger.h"
#include "redis.h"
#include "settle.h"

enum bus_state {
	BUS_OFF,         /* not begun, or waiting to try again */
	BUS_RESOLVING,
	BUS_ASKING,      /* a node of the cluster, who owns our keys */
	BUS_CONNECTING,  /* both connections */
	BUS_SUBSCRIBING, /* both are up */
	BUS_PROVING,     /* subscribed; our first heartbeat is under way */
	BUS_LIVE,
};

struct bus_node {
	char host[256];
	uint16_t port;
};

struct bus {
	struct bus_options opt;
	struct bus_view view;
	enum bus_state state;
	struct redis *sub, *cmd;  /* owned */
	struct redis *scout;      /* owned; NULL but with a cluster */
	struct bus_node asked;    /* whose name was looked up last; with a cluster a node of it */
	bool found;               /* with a cluster: that is the owner */
	unsigned seed;            /* ... the next to ask */
	struct event *tick;       /* owned; all the time */
	struct event *retry;      /* owned; the end of a back-off */
	struct event *barrier;    /* owned; the earliest time for the next one */
	struct resolve *resolve;  /* owned while RESOLVING */
	struct resolve_address addr[RESOLVE_ADDRESSES];
	unsigned naddr, next;     /* next: the one to try */
	struct backoff backoff;
	uint64_t attempt_ns;      /* bus_clock; when this attempt began */
	uint64_t heartbeat_ns;    /* bus_clock; when the last one was sent */
	uint64_t ping_ns;         /* bus_clock; the barrier's ping sent last ... */
	bool ping_open;           /* ... and not yet back */
	bool started;
	bool told_why;            /* the first failure of a row is logged at length */
	bool leaving, left;       /* this instance ends in order: it is to have no entry in the ledger; it has none */
	struct mail kick;
	_Atomic bool kicked, want_barrier;
	pthread_mutex_t lock;     /* of peer */
	struct bus_peer peer;
	struct settle settle;
	struct announce announce;
	struct ledger ledger;
	uint64_t proven_ns;       /* bus_clock; when the heartbeat was sent that came back while PROVING; 0: none */
	_Atomic bool schema;      /* a change of the schema is to be told */
};

void bus_set_state(struct bus *b, enum bus_state to); /* the one place where the state changes */
void bus_fail(struct bus *b, const char *why);
enum rc bus_make_scout(struct bus *b) must_check;
void bus_find(struct bus *b, const struct bus_node *owner); /* to be connected to */
void bus_send_settles(struct bus *b);
void bus_prove(struct bus *b);        /* heartbeat back, ledger read: if both, it is live */

void bus_heartbeat(struct bus *b);    /* publishes one */
void bus_send_barrier(struct bus *b); /* if one is wanted, none is under way, and the last was long enough ago */
void bus_pong(struct bus *b, struct span payload);
void bus_hear(struct bus *b, struct span payload);

#endif
