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
	struct span rest; /* of the text, from the semicolon on behind which further statements stand; else empty */
};
/* RC_DECLINED: not a KILL of a connection by its number (KILL QUERY ID, KILL USER, KILL of an expression). */
enum rc sql_kill_parse(struct span text, unsigned mode, struct sql_kill *out) must_check;

/* KILL [HARD|SOFT] [CONNECTION] USER name[@host]: name and host point into the text; host is "%" where none is said. RC_DECLINED: anything
 * else, CURRENT_USER and names with something escaped among it. */
enum rc sql_kill_user_parse(struct span text, unsigned mode, struct span *name, struct span *host) must_check;

/* SQL_F_CONNECTION_ID, SQL_F_FOUND_ROWS, SQL_F_ROW_COUNT or SQL_F_LAST_INSERT_ID for "SELECT CONNECTION_ID()" and its like, with or without a
 * name for the column, and nothing else; 0 for any other text. */
uint64_t sql_asks_alone(struct span text, unsigned mode);
/* The same for each column where there are several, "SELECT FOUND_ROWS(), ROW_COUNT()". Returns how many; 0: something else is among them, or
 * they are more than most. */
unsigned sql_asks_each(struct span text, unsigned mode, uint64_t *what, unsigned most);

/* How many rows its LIMIT passes over; 0: none. RC_DECLINED: that is no literal, not on every server, stands in parentheses, or there is more than one LIMIT. */
enum rc sql_offset(struct span text, unsigned mode, uint64_t *n) must_check;

/* Whole numbers from least to most that stand in a text as they are, in order; at points into it. Returns how many, at most cap. */
struct sql_number { struct span at; uint64_t number; };
size_t sql_numbers(struct span text, unsigned mode, uint64_t least, uint64_t most, struct sql_number *out,
		   size_t cap) must_check;

#endif
