/*
 * thread.h - statements that work with connections' numbers: KILL, the question for one's own, and others.
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

/* KILL [HARD|SOFT] [CONNECTION] USER name[@host]: name and host point into the text; host is "%" where none is said. RC_DECLINED: anything
 * else, CURRENT_USER and names with something escaped among it. */
enum rc sql_kill_user_parse(struct span text, unsigned mode, struct span *name, struct span *host) must_check;

/* True for "SELECT CONNECTION_ID()", with or without a name for the column, and nothing else. */
bool sql_asks_connection_id(struct span text, unsigned mode);

/* Whole numbers from least to most that stand in a text as they are, in order; at points into it. Returns how many, at most cap. */
struct sql_number { struct span at; uint64_t number; };
size_t sql_numbers(struct span text, unsigned mode, uint64_t least, uint64_t most, struct sql_number *out,
		   size_t cap) must_check;

#endif
