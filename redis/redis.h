/*
 * redis.h - one connection to Redis on a loop: pipelined commands, each with a callback; or a subscription.
 *
 *   redis_open ---> connecting [---> securing] ---> greeting (AUTH, SELECT, INFO) ---> up ---> closed
 *                        |                 |                                     ^
 *                        +-----------------+------- failed, timed out -----------+
 *
 * hiredis formats commands and reads replies; the socket is ours. Every reply is bounded in bytes, elements and depth; a
 * reply nobody asked for closes the connection. Belongs to one loop's thread.
 *
 * The greeting learns the server's run. Tokens and values are only comparable within one: a server that came back from an old
 * snapshot, or another one after a failover, may have forgotten the last writes; and so has a process that was the primary,
 * became a replica of one that had not heard of them, and is the primary again.
 */
#ifndef SUIMON_REDIS_H
#define SUIMON_REDIS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "rc.h"
#include "redis_reply.h"
#include "redis_url.h"
#include "span.h"

#define REDIS_ARGS_MAX 520 /* of one command */

enum redis_state {
	REDIS_CLOSED,
	REDIS_CONNECTING, /* the socket is */
	REDIS_SECURING,   /* TLS is being agreed on */
	REDIS_GREETING,   /* logging in, learning the run id */
	REDIS_UP,
};

struct redis;

/* The callee owns the reply. NULL: the connection went before it came. */
typedef void (*redis_reply_fn)(void *arg, struct redis_reply *reply);

struct redis_ops {
	void (*up)(void *arg);
	/* After every waiting callback had its NULL; may call redis_open, not redis_free. why may hold bytes of the server's:
	 * to be quoted. */
	void (*down)(void *arg, const char *why);
	void (*push)(void *arg, struct redis_reply *reply); /* a subscription's messages; the callee owns the reply */
};

struct redis_options {
	const struct redis_url *url;   /* kept; for TLS, AUTH and SELECT */
	const struct redis_ops *ops;   /* kept */
	void *arg;                     /* for ops */
	size_t reply_max, output_max;  /* bytes */
};

struct redis *redis_new(struct event_base *base, const struct redis_options *opt) must_check; /* NULL: no memory */
/* Never lowers one: what was asked for under a higher limit is still to come. */
void redis_raise_limits(struct redis *r, size_t reply_max, size_t output_max);
void redis_free(struct redis *r); /* NULL is allowed; calls back as redis_close does, without down() */
/* Begins to connect; up() or down() will tell, down() perhaps before this returns. Only when closed. host: the name or address that
 * `to` is of; copied. A certificate is to be made for it, or for the URL's own host. */
void redis_open(struct redis *r, const struct sockaddr_storage *to, socklen_t len, const char *host);
void redis_close(struct redis *r, const char *why);

enum redis_state redis_state(const struct redis *r);
size_t redis_waiting(const struct redis *r); /* commands whose reply is to come */
uint64_t redis_run(const struct redis *r); /* of the server's process and of its history of writes; never 0 while up */
/* Asks whether it is at the same run still; if not, the connection is closed. RC_ERROR as redis_send. */
enum rc redis_check_run(struct redis *r) must_check;

/* Appends a command. RC_ERROR: not up, no memory, or too much waits already; fn will not be called. fn NULL: the reply does
 * not matter. Never calls back before it returns. */
enum rc redis_send(struct redis *r, unsigned argc, const struct span *argv, redis_reply_fn fn, void *arg) must_check;
/* The same; from now on every reply goes to push(). Nothing else may be waiting; redis_send_push only from then on. */
enum rc redis_subscribe(struct redis *r, struct span channel) must_check;
enum rc redis_send_push(struct redis *r, unsigned argc, const struct span *argv) must_check;

#endif
