/*
 * redis_impl.h - what redis*.c share.
 */
#ifndef SUIMON_REDIS_IMPL_H
#define SUIMON_REDIS_IMPL_H

#include "iobuf.h"
#include "redis.h"

struct waiting {
	redis_reply_fn fn; /* NULL: the reply does not matter */
	void *arg;
};

struct redis {
	struct redis_options opt;
	enum redis_state state;
	int fd;
	struct tls *tls;         /* owned while open; NULL: in the clear */
	char host[256];          /* what it is connected to; of a cluster any of its nodes */
	uint64_t run;            /* both of these, hashed */
	uint64_t process;        /* hash of run_id */
	uint64_t history;        /* hash of master_replid; 0: the server names none */
	uint64_t opened;         /* counts redis_open, so that a callback that closed and reopened shows */
	struct event_base *base; /* not owned */
	struct event *readable, *writable; /* owned while open */
	struct event *flush;     /* owned; run at the end of a turn that sent something */
	struct event *limit;     /* owned; of connecting and greeting */
	redisReader *reader;     /* owned while open */
	struct redis_reply_budget budget;
	struct iobuf out;
	struct waiting *ring;    /* owned; a queue of `count` from `head` */
	size_t head, count, size;
	bool pushing;            /* replies are messages of a subscription */
	bool told;               /* that the account lacks a right: once, for it is lacked again and again */
};

/* Whatever the state, for what comes before it is up. */
enum rc redis_send_now(struct redis *r, unsigned argc, const struct span *argv, redis_reply_fn fn, void *arg) must_check;
enum rc redis_greet(struct redis *r) must_check; /* up() or a close will come of it */

#endif
