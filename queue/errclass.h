/*
 * errclass.h - what a database's error means for the record that met it: one table.
 */
#ifndef SUIMON_ERRCLASS_H
#define SUIMON_ERRCLASS_H

enum errclass {
	ERRCLASS_PERMANENT, /* the same statement will fail the same way: a dead letter */
	ERRCLASS_RETRY,     /* the transaction lost a race: again on this connection */
	ERRCLASS_WAIT,      /* the server or our rights do not allow it just now: again later */
	ERRCLASS_RECONNECT, /* the connection or this server's role is gone */
	ERRCLASS_SMALLER,   /* the transaction is too large: again in parts, and alone it fails for good */
};

/* code: an error number of the server or of the client library. */
enum errclass errclass_of(unsigned code);
const char *errclass_name(enum errclass c);

#endif
