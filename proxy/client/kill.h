/*
 * kill.h - KILL of a session by the number its client knows it by.
 *
 *   kill_begin → every worker is asked in turn whose session it is (kill_look)
 *     nobody's: the statement goes to the server as it is: it may name one of the server's own threads
 *     one's, with a server connection: held there, so that nobody else gets it meanwhile
 *     one's, without: a connection of its account stands in for it; the same account's needs no judge
 *   → the killer's account runs KILL on the server against that connection: the server judges (kill_judge)
 *   → what it allowed is done to the session (kill_settle) → the killer is answered (kill_end)
 */
#ifndef SUIMON_KILL_H
#define SUIMON_KILL_H

#include "request.h"
#include "thread.h"

/* Text, or a prepared statement with its values: RC_OK: not a KILL of a session here, run it. RC_AGAIN: under way; the
 * request goes on or ends by itself. RC_ERROR: answered. */
enum rc kill_statement(struct request *r) must_check;
/* It has run too long: KILL QUERY by its own account. Its session takes no further command until the server has answered. Where that comes to
 * nothing and it runs on, limited_kill_failed follows. RC_ERROR: no memory. */
enum rc kill_overdue(struct request *r) must_check;
enum rc kill_command(struct request *r, struct span payload) must_check; /* COM_PROCESS_KILL; the same */

#endif
