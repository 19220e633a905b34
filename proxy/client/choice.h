/*
 * choice.h - what a client has chosen that its server reports of the session's variables (session_track_system_variables).
 *
 * Servers report all of them to suimon, which passes on what a client would have got. A client that chooses, as MariaDB Connector/J
 * does at each login, would leave its connection reporting less. So where the choice is one that can be understood, its SET
 * is sent with the choice first, and at once taken back; the server has judged it, and the session keeps it:
 *
 *   SET autocommit=1, session_track_system_variables='a,b'
 *     -> SET SESSION session_track_system_variables='a,b',SESSION session_track_system_variables='*',autocommit=1
 *
 * First, because servers forget what the same statement has changed before. What it is cannot be seen in between: who asks for the
 * variable gets a connection that has the choice itself, as one has whose choice is not understood (hidden.c, PIN_SESSION_STATE).
 */
#ifndef SUIMON_CHOICE_H
#define SUIMON_CHOICE_H

#include "request.h"

struct choice;   /* a session's */
struct choosing; /* a request that makes one */

/* r->st is made, and names what is reported. RC_OK: run it, changed or as it is. RC_ERROR: answered. */
enum rc choice_begin(struct request *r) must_check;
void choice_made(struct request *r); /* the server has said OK to it */
void choice_forget(struct session *s);
void choosing_free(struct choosing *c); /* NULL is allowed */
/* c: a session's, not NULL. Has it chosen the variable? */
bool choice_has(const struct choice *c, struct span variable) must_check;
/* Would the very statement that chooses have the server report the variable, which has been chosen? */
bool choosing_reports(const struct choosing *c, struct span variable) must_check;
/* Is it reported to sessions that have not chosen? */
bool choice_default_has(struct span variable) must_check;
/* Appends to sql what SETs the variable to what the client takes it for; c may be NULL. */
enum rc choice_put(const struct choice *c, struct iobuf *sql) must_check;

#endif
