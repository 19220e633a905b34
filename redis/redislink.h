/*
 * redislink.h - a connection to Redis that comes back by itself: names resolved, addresses and a cluster's nodes tried in turn,
 * with back-off; and where a cluster says "moved", there it goes. Belongs to one loop's thread.
 *
 *   off → resolving → connecting → up → off (again after a while)
 */
#ifndef SUIMON_REDISLINK_H
#define SUIMON_REDISLINK_H

#include <event2/event.h>

#include "backoff.h"
#include "loop.h"
#include "redis.h"
#include "resolve.h"

struct redislink_ops {
	void (*up)(void *arg);
	void (*down)(void *arg); /* after every callback had its NULL */
};

struct redislink {
	const char *area;
	struct loop *loop;           /* not owned */
	const struct redis_url *url; /* not owned */
	const struct redislink_ops *ops;
	void *arg;
	struct redis *conn;      /* owned */
	struct resolve *resolve; /* owned while it runs */
	struct event *retry;     /* owned */
	struct backoff backoff;
	struct resolve_address addr[RESOLVE_ADDRESSES]; /* of host */
	unsigned naddr, next;
	unsigned seed;  /* of a cluster: the node to ask when the last one is lost */
	char host[256]; /* where to go, with port */
	uint16_t port;
	bool moved; /* host was named by a node, not by the URL */
	bool told;  /* that it is down: once */
	char why[200]; /* it is down; empty: it is up, or nothing is known yet */
};

/* area: whose log lines it writes, a literal. RC_ERROR: no memory; redislink_reset is due all the same. reply_max, output_max: bytes. */
enum rc redislink_init(struct redislink *l, const char *area, struct loop *loop, const struct redis_url *url,
		       const struct redislink_ops *ops, void *arg, size_t reply_max, size_t output_max) must_check;
void redislink_open(struct redislink *l); /* the loop's thread; once */
/* The connection is of no use: another one, after a while. */
void redislink_again(struct redislink *l, const char *why);
/* An error of a node: if it says that the slot is elsewhere, goes there and returns true. */
bool redislink_follow(struct redislink *l, struct span error);
void redislink_reset(struct redislink *l); /* when the loop's thread has ended */

static inline bool redislink_up(const struct redislink *l)
{
	return redis_state(l->conn) == REDIS_UP;
}

#endif
