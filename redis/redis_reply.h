/*
 * redis_reply.h - replies of Redis as hiredis's reader builds them, in our memory and within a budget of bytes.
 */
#ifndef SUIMON_REDIS_REPLY_H
#define SUIMON_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/read.h>

#include "rc.h"
#include "span.h"

#define REDIS_REPLY_ELEMENTS_MAX 256

struct redis_reply {
	int type;          /* REDIS_REPLY_* of hiredis */
	long long integer;
	size_t len;        /* bytes of str */
	size_t n;          /* elements of an array */
	struct redis_reply **element; /* owned; an element may be NULL only in a reply that never became complete */
	char str[];        /* STRING, STATUS, ERROR; a NUL behind it */
};

/* What one top-level reply may take; the reader's privdata. */
struct redis_reply_budget {
	size_t used, max; /* bytes */
};

extern redisReplyObjectFunctions redis_reply_functions; /* hiredis wants it writable */
void redis_reply_free(struct redis_reply *r);           /* NULL is allowed */

static inline bool redis_reply_is(const struct redis_reply *r, int type) { return r && r->type == type; }
static inline struct span redis_reply_text(const struct redis_reply *r) { return span_of(r->str, r->len); }

#endif
