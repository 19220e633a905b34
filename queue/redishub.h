/*
 * redishub.h - the Redis engine as a whole: what its URL says, and the thread that speaks for all its lanes.
 *
 *   redis://[user:password@]host:port/db?name=suimon&lanes=8&wait=0&wait_aof=0      (redislog.h: a lane)
 */
#ifndef SUIMON_REDISHUB_H
#define SUIMON_REDISHUB_H

#include "engine.h"
#include "redis_url.h"
#include "urltext.h"

#define REDISHUB_NAME_MAX (URLTEXT_WORD_MOST + 1)
#define REDISHUB_LANES_MAX 64u

struct redishub {
	struct queue_hub hub;
	struct redis_url url;
	char name[REDISHUB_NAME_MAX];
	unsigned wait;     /* replicas that must have a record before it is acknowledged */
	unsigned wait_aof; /* 1: it must be in the append-only file of the primary; with wait: of the replicas, too */
	struct loop *loop; /* owned */
	bool running;
};

extern const struct queue_hub_ops redishub_ops;

#endif
