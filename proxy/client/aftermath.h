/*
 * aftermath.h - what a session's last statement leaves to be asked for (FOUND_ROWS(), ROW_COUNT(), warnings), where the connection that
 * is to be asked has not run it: the cache or the queue has answered it, or a replica has and the question must go to the primary.
 *
 *   aftermath_hit | aftermath_queued | aftermath_ran → the next statement, if it asks: aftermath_bring → the hidden statement that
 *   leaves the same → the question
 */
#ifndef SUIMON_AFTERMATH_H
#define SUIMON_AFTERMATH_H

#include <stdbool.h>
#include <stdint.h>

#include "iobuf.h"
#include "rc.h"

struct backend;
struct request;

enum aftermath_kind {
	AFTERMATH_THERE,  /* on the connection that ran it */
	AFTERMATH_HIT,    /* a cached result: no connection has it */
	AFTERMATH_QUEUED, /* a write that waits in the queue: the same */
	AFTERMATH_FOUND,  /* of a hit, or a read on another server, and behind it only statements that have found no rows, or failed:
	                   * FOUND_ROWS() is still its */
	AFTERMATH_WARNED, /* a read that left warnings on a replica, and behind it only statements that leave them as they are: text makes
	                   * them anew */
};

struct aftermath {
	uint8_t kind;     /* enum aftermath_kind */
	uint32_t len;     /* of text */
	uint64_t rows;    /* sent or affected, as its reply said */
	const struct backend *found_on; /* the replica that the last statement has read from; NULL: it was none, or what it found is not known */
	uint64_t found;   /* ... so many rows */
	bool failed;      /* AFTERMATH_FOUND: the last statement has; ROW_COUNT() is -1 then, as behind a read */
	char *text;       /* owned; AFTERMATH_WARNED only, else NULL */
	const struct backend *warned_on; /* AFTERMATH_WARNED: the replica */
	bool followed;    /* ... by a statement on another server, which has ROW_COUNT() */
	bool found_since; /* ... that found rows: FOUND_ROWS() is there, too */
};

void aftermath_reset(struct aftermath *a); /* frees what it has; as if nothing had run */
void aftermath_hit(struct request *r);     /* r was answered by the cache */
void aftermath_queued(struct request *r);  /* ... by the queue */
/* ... by the server whose connection it still has. had: warnings of r's session were on that connection before. */
void aftermath_ran(struct request *r, bool had);
/* What is to be run before r, that it finds what it asks for: appended to sql. RC_DECLINED: nothing. RC_ERROR: no memory. */
enum rc aftermath_bring(struct request *r, struct iobuf *sql) must_check;

#endif
