/*
 * aftermath.h - what a session's last statement leaves to be asked for (FOUND_ROWS(), ROW_COUNT(), warnings), where the connection that
 * is to be asked has not run it: the cache or the queue has answered it, a replica has and the question must go to the primary, or its
 * connection has gone to another session.
 *
 *   aftermath_hit | aftermath_queued | aftermath_ran → the next statement, if it asks: aftermath_bring → the hidden statement that
 *   leaves the same → the question; or the question, and in its answer the number that is known
 *
 * The numbers, and LAST_INSERT_ID(), are known from replies. What a reply does not say (the total of SQL_CALC_FOUND_ROWS, what a procedure has left) the connection is
 * asked when another session needs it (lease_left.c), and only then: so the answer is right however busy the pool is, and no connection
 * has to be kept for a session that may never ask.
 */
#ifndef SUIMON_AFTERMATH_H
#define SUIMON_AFTERMATH_H

#include <stdbool.h>
#include <stdint.h>

#include "iobuf.h"
#include "rc.h"

struct backend;
struct request;
struct session;

enum aftermath_kind {
	AFTERMATH_THERE,  /* on the connection that ran it */
	AFTERMATH_HIT,    /* a cached result: no connection has it */
	AFTERMATH_QUEUED, /* a write that waits in the queue: the same */
	AFTERMATH_WARNED, /* a read that left warnings on a replica, and behind it only statements that leave them as they are: text makes
	                   * them anew */
};

struct aftermath {
	uint8_t kind;     /* enum aftermath_kind */
	uint32_t len;     /* of text */
	uint64_t rows;    /* AFTERMATH_HIT, AFTERMATH_QUEUED: sent or affected */
	uint64_t found;   /* FOUND_ROWS(); AFTERMATH_NOT_KNOWN */
	int64_t count;    /* ROW_COUNT(); AFTERMATH_NO_COUNT: not known */
	bool found_there; /* the connection that the session used last has it */
	bool count_there; /* ... this, too */
	bool calculated;  /* found is the total of SQL_CALC_FOUND_ROWS */
	bool id_there;    /* LAST_INSERT_ID() may be one that no reply has told (a procedure's): that connection has it */
	char *text;       /* owned; AFTERMATH_WARNED only, else NULL */
	const struct backend *warned_on; /* AFTERMATH_WARNED: the replica */
};
#define AFTERMATH_NOT_KNOWN UINT64_MAX
#define AFTERMATH_NO_COUNT INT64_MIN

void aftermath_reset(struct aftermath *a); /* frees what it has; as if nothing had run */
void aftermath_hit(struct request *r);     /* r was answered by the cache */
void aftermath_queued(struct request *r);  /* ... by the queue */
/* ... by the server whose connection it still has. had: warnings of r's session were on that connection before. */
void aftermath_ran(struct request *r, bool had);
/* Ends the warnings that there are, on every server. */
#define AFTERMATH_CLEAR "SELECT NULL FROM (SELECT 0) d LIMIT 0"

void aftermath_moved(struct session *s);     /* it gets a connection that it did not use last, or that was asked what it knew */
void aftermath_elsewhere(struct session *s); /* the connection that it has knows nothing (any more) */
void aftermath_brought(struct request *r);   /* ... has been told what r is to ask it */
bool aftermath_clears(const struct request *r) must_check;   /* it ends the warnings of what ran before, by the rules of the server that has run it */
bool aftermath_is_sole(const struct session *s) must_check; /* nobody but the connection used last knows what may be asked for */
/* r may set LAST_INSERT_ID() to what no reply tells. */
bool aftermath_may_set_id(const struct request *r) must_check;
/* A reply has told LAST_INSERT_ID(), or what it is taken for; sure: that is what its connection would answer, whosever it answered before. */
void aftermath_told_id(struct request *r, uint64_t id, bool sure);
bool aftermath_has_id(const struct session *s) must_check; /* the connection that it has knows its LAST_INSERT_ID() */
/* What is to be run before r, that it finds what it asks for: appended to sql. RC_DECLINED: nothing. RC_ERROR: no memory. */
enum rc aftermath_bring(struct request *r, struct iobuf *sql) must_check;

#endif
