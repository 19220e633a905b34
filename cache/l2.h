/*
 * l2.h - Redis as the second level, as one worker sees it: look-ups within a few milliseconds, fills, a breaker.
 *
 *   l2_lookup: GET value, PTTL value, MGET tokens in one pipeline, the value first
 *      all tokens there -----------------------> hit if they are the value's own; else a miss that may be filled
 *      some absent: SET NX random ones, MGET --> a miss that may be filled
 *      too late, an error ---------------------> a miss that is not stored in Redis
 *
 *   l2_fill: waits until the bus has heard all that was published before the tokens were read; then, if no version has
 *   moved, SET value PX ttl. A replica's answer could else miss a write that is in the token already and not yet known here.
 *
 * Three answers too late in a row, or a lost connection, open the breaker: Redis is not asked for 100 ms, and up to 5 s
 * if it goes on; then one connection attempt is the probe. Belongs to its worker's thread.
 */
#ifndef SUIMON_CACHE_L2_H
#define SUIMON_CACHE_L2_H

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "cache.h"
#include "entry.h"
#include "flight.h"
#include "loop.h"
#include "rc.h"
#include "redis_url.h"
#include "stats.h"
#include "store.h"
#include "versions.h"

#define L2_LIMIT_NS (5 * NS_PER_MS) /* for one look-up */

struct l2;

struct l2_options {
	struct loop *loop;
	const struct redis_url *url;  /* kept */
	const struct rkeys *keys;     /* kept */
	struct versions *versions;    /* kept, as are the next four */
	struct store *store;
	struct tables *tables;        /* where the store counts */
	struct bus *bus;
	struct flights *flights;
	struct stats_sink *sink;
	const _Atomic uint64_t *max_result; /* kept; bytes: larger results stay out of Redis */
};

struct l2 *l2_new(const struct l2_options *opt) must_check; /* NULL: no memory */
void l2_free(struct l2 *l2);  /* NULL is allowed; look-ups under way are cancelled */
void l2_wake(struct l2 *l2);  /* the bus changed, or passed a barrier */
bool l2_waits(struct l2 *l2); /* fills wait for a barrier */

/* The caller has found the bus live and then taken l->versions and l->epoch. RC_AGAIN: l->done will be called. RC_DECLINED:
 * not asked. */
enum rc l2_lookup(struct l2 *l2, struct cache_lookup *l) must_check;
void l2_cancel(struct cache_lookup *l);

/* Needs l->tokens_known. parts is copied. RC_OK: sent, or waits for a barrier. RC_DECLINED: not stored in Redis. */
enum rc l2_fill(struct l2 *l2, const struct cache_lookup *l, const struct entry_parts *parts, uint64_t ttl_ns) must_check;

#endif
