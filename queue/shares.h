/*
 * shares.h - how far the records are applied when several connections drain, each a share of the keys (Q2, Q3).
 *
 * A row of suimon.applied with shard 0 says that all records up to its seq are applied. One with shard
 * workers << 8 | worker says that of the records whose key falls to this one of so many, all up to its seq are.
 * Both stay true whatever the number of connections is later, so it may change from start to start.
 */
#ifndef SUIMON_SHARES_H
#define SUIMON_SHARES_H

#include <stdbool.h>
#include <stdint.h>

#include "dbconn.h"
#include "position.h"
#include "span.h"

#define SHARES_MAX 256u        /* rows ahead of shard 0 that are kept in mind; more are a refusal to start */
#define SHARES_WORKERS_MAX 64u /* as the configuration's bound */

struct share {
	uint32_t shard;
	uint64_t seq;
};

struct shares {
	struct share at[SHARES_MAX];
	size_t n;
};

/* The number in suimon.applied. */
uint32_t shares_shard(unsigned workers, unsigned worker);
/* Which of so many a key falls to: the same for ever, for it decides what a row means. */
unsigned shares_worker(struct span key, unsigned workers);

/* All rows ahead of p, which is shard 0's and was read on the same connection. Waits for a transaction of a lost
 * connection that still holds one. RC_ERROR: the connection's code and error. */
enum rc shares_read(struct shares *s, const struct position *p, struct dbconn *c) must_check;
/* A share has come this far. RC_ERROR: too many. */
enum rc shares_note(struct shares *s, uint32_t shard, uint64_t seq) must_check;
/* Is this record applied, as far as the shares tell? */
bool shares_have(const struct shares *s, uint64_t seq, struct span key);
uint64_t shares_of(const struct shares *s, uint32_t shard); /* 0: not known */
uint64_t shares_highest(const struct shares *s);
/* All up to seq are applied: what says no more than that is forgotten. */
void shares_level(struct shares *s, uint64_t seq);

#endif
