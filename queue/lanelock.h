/*
 * lanelock.h - which process applies a lane: a named lock of the database, held by the connection that applies. It goes with
 * that connection, however it ends, so nobody has to trust a clock. What keeps a former owner from applying is not this
 * but the epoch (position.h): a server that forgets its locks, or a cluster that has them per node, costs only tries.
 */
#ifndef SUIMON_LANELOCK_H
#define SUIMON_LANELOCK_H

#include "dbconn.h"

#define LANELOCK_NAME_MAX 64
#define LANELOCK_IDLE_SECONDS 30 /* a connection not heard of for so long is closed by the server, and its locks with it */

/* suimon:ID or suimon:ID:mNUMBER */
void lanelock_name(char out[LANELOCK_NAME_MAX], const char *id_hex, int member);
/* RC_DECLINED: another connection has it. RC_ERROR: the connection's code and error. */
enum rc lanelock_take(struct dbconn *c, const char *name) must_check;
/* Lets the server notice when this end is gone. */
enum rc lanelock_patience(struct dbconn *c) must_check;

#endif
