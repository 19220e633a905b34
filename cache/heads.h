/*
 * heads.h - what many keys begin with, kept once for all the entries that have it: the account with its session's variables, and of
 * a prepared statement its text. Thread-safe; one lock, which fills and entries that go take, hits never.
 */
#ifndef SUIMON_CACHE_HEADS_H
#define SUIMON_CACHE_HEADS_H

#include <stdatomic.h>
#include <stdint.h>

#include "map.h"
#include "rc.h"
#include "span.h"

struct heads;

struct head {
	struct map_node node;
	struct heads *in;
	_Atomic uint32_t refs; /* becomes 0 under the lock only */
	uint32_t len;
	char bytes[];
};

struct heads *heads_new(void) must_check; /* NULL: no memory */
void heads_free(struct heads *h); /* NULL is allowed; heads that somebody holds stay good until they are dropped */
/* A reference to the one of these bytes, which are copied if it is new. NULL: no memory. */
struct head *heads_take(struct heads *h, struct span bytes) must_check;
void head_drop(struct head *d); /* NULL is allowed */
/* Of all that are held, and of one, with what they cost beside their bytes. */
uint64_t heads_bytes(const struct heads *h);
uint32_t head_charge(const struct head *d); /* NULL: 0 */

static inline struct span head_span(const struct head *d)
{
	return d ? span_of(d->bytes, d->len) : span_of(NULL, 0);
}

#endif
