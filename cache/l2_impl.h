/*
 * l2_impl.h - what l2.c and l2_request.c share.
 */
#ifndef SUIMON_CACHE_L2_IMPL_H
#define SUIMON_CACHE_L2_IMPL_H

#include "backoff.h"
#include "l2.h"
#include "l2_fill.h"
#include "l2_value.h"
#include "list.h"
#include "pool.h"
#include "redis.h"

struct l2 {
	struct l2_options opt;
	struct bus_view *view;     /* the bus's */
	struct redis *conn;        /* owned */
	struct pool *requests;     /* owned */
	struct list waiting;       /* struct l2_request.node, by deadline */
	struct event *limit;       /* owned; the first deadline */
	struct event *retry;       /* owned; the end of a back-off */
	struct backoff backoff;
	unsigned late;             /* in a row */
	uint64_t lost_ns;          /* bus_clock; since when nothing was answered in time; 0: all is well */
	bool told;                 /* of that */
	size_t value_max;          /* bytes of a value with its key, by max_result as it was seen last */
	struct l2_fills fills;
};

/* One look-up's commands. Lives until the last reply, though the look-up may have been given up. */
struct l2_request {
	struct list_node node;
	struct l2 *l2;
	struct cache_lookup *l;    /* NULL: nobody waits any more */
	uint64_t deadline;         /* bus_clock */
	struct redis_reply *value; /* owned; of GET */
	long long pttl;            /* ms; negative: no such key, or no end */
	unsigned open;             /* replies to come */
	bool second;               /* absent tokens have been set */
};

/* What a value must have been stored with to be good for this look-up: all but its data. */
void l2_expected(const struct cache_lookup *l, struct l2_value *v);
size_t l2_value_max(struct l2 *l2); /* bytes of a value with its key; the connection takes so much from then on */
void l2_answered(struct l2 *l2); /* in time */
void l2_on_limit(evutil_socket_t fd, short what, void *l2); /* the first deadline has come */

#endif
