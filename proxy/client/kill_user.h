/*
 * kill_user.h - KILL USER (MariaDB): the server ends the account's connections, suimon its sessions, most of which have none at that moment.
 *
 * The server judges: it kills what the killer may kill, and says how many. Where it has killed none, for want of rights or of connections,
 * no session is ended.
 */
#ifndef SUIMON_KILL_USER_H
#define SUIMON_KILL_USER_H

#include "request.h"

/* A KILL was answered by the server. Where it was a KILL USER that took effect, the account's sessions end, on every worker. */
void kill_user_ran(struct request *r);

#endif
