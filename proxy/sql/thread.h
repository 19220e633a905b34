/*
 * thread.h - the two statements that work with a connection's number: KILL, and the question for one's own.
 */
#ifndef SUIMON_THREAD_H
#define SUIMON_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"
#include "span.h"

struct sql_kill {
	bool query;       /* KILL QUERY: the statement; else the connection */
	const char *how;  /* "", "HARD ", "SOFT "; a literal */
	uint64_t id;
};
/* RC_DECLINED: not a KILL of a connection by its number (KILL QUERY ID, KILL USER, KILL of an expression). */
enum rc sql_kill_parse(struct span text, unsigned mode, struct sql_kill *out) must_check;

/* True for "SELECT CONNECTION_ID()", with or without a name for the column, and nothing else. */
bool sql_asks_connection_id(struct span text, unsigned mode);

#endif
