/*
 * numbers.h - sessions' numbers in statements that look at the server's own list of connections.
 *
 * A client knows sessions by suimon's numbers, the server's list (PROCESSLIST, SHOW EXPLAIN FOR, innodb_trx) has its own.
 * Where such a statement says a session's number, the server is told the number of the connection that the session has:
 *
 *   numbers_begin → every worker is asked in turn for its sessions (numbers_look) → the text is changed and planned again
 */
#ifndef SUIMON_NUMBERS_H
#define SUIMON_NUMBERS_H

#include "request.h"

/* True for a normalised text that looks at the server's connections. */
bool numbers_matter(const char *text) must_check;
/* True for a normalised text that lists the server's connections by number: SHOW PROCESSLIST. */
bool numbers_listed(const char *text) must_check;
/* r->st and its plan are made. RC_OK: nothing to change, run it. RC_AGAIN: under way; command_again follows. RC_ERROR: answered. */
enum rc numbers_begin(struct request *r) must_check;

#endif
