/*
 * errclass.c - see errclass.h. What is not in the table is the statement's own fault.
 *
 * Sources: the error references of MariaDB and of MySQL 8.
 */
#include "errclass.h"

#include <stddef.h>

#include "rc.h"

struct row {
	unsigned first, last;
	enum errclass class;
};

/* Ascending. */
static const struct row rows[] = {
	{1020, 1020, ERRCLASS_RETRY},     /* record has changed since last read */
	{1021, 1021, ERRCLASS_WAIT},      /* disk full */
	{1026, 1026, ERRCLASS_WAIT},      /* error when a file is written */
	{1028, 1028, ERRCLASS_WAIT},      /* sort aborted */
	{1030, 1030, ERRCLASS_WAIT},      /* error from the storage engine */
	{1036, 1036, ERRCLASS_WAIT},      /* table is read only */
	{1037, 1038, ERRCLASS_WAIT},      /* out of memory, of sort memory */
	{1040, 1041, ERRCLASS_WAIT},      /* too many connections, out of resources */
	{1042, 1043, ERRCLASS_RECONNECT}, /* bad host, bad handshake */
	{1044, 1045, ERRCLASS_WAIT},      /* access denied: a GRANT is missing */
	{1047, 1047, ERRCLASS_RECONNECT}, /* a Galera node that is not ready */
	{1053, 1053, ERRCLASS_RECONNECT}, /* shutdown in progress */
	{1077, 1081, ERRCLASS_RECONNECT}, /* shutting down, aborting, no socket */
	{1114, 1114, ERRCLASS_WAIT},      /* the table(space) is full */
	{1129, 1130, ERRCLASS_WAIT},      /* host blocked, not allowed */
	{1142, 1143, ERRCLASS_WAIT},      /* denied to this command, column */
	{1152, 1152, ERRCLASS_RECONNECT}, /* aborted connection */
	{1154, 1161, ERRCLASS_RECONNECT}, /* network errors */
	{1180, 1181, ERRCLASS_RECONNECT}, /* COMMIT, ROLLBACK failed */
	{1184, 1184, ERRCLASS_RECONNECT}, /* aborted connection */
	{1197, 1197, ERRCLASS_SMALLER},   /* max_binlog_cache_size */
	{1203, 1203, ERRCLASS_WAIT},      /* too many connections of this user */
	{1205, 1206, ERRCLASS_RETRY},     /* lock wait timeout, lock table full */
	{1213, 1213, ERRCLASS_RETRY},     /* deadlock */
	{1223, 1223, ERRCLASS_WAIT},      /* FLUSH TABLES WITH READ LOCK is held */
	{1226, 1227, ERRCLASS_WAIT},      /* resources of the user, a privilege is missing */
	{1290, 1290, ERRCLASS_RECONNECT}, /* --read-only: no primary any more */
	{1317, 1317, ERRCLASS_RECONNECT}, /* interrupted by KILL */
	{1370, 1370, ERRCLASS_WAIT},      /* denied for a routine */
	{1412, 1412, ERRCLASS_RETRY},     /* table definition has changed */
	{1428, 1428, ERRCLASS_RETRY},     /* table was altered */
	{1613, 1615, ERRCLASS_RETRY},     /* XA timeout, deadlock; needs to be prepared again */
	{1637, 1637, ERRCLASS_WAIT},      /* too many concurrent transactions */
	{1689, 1689, ERRCLASS_RETRY},     /* wait for a lock aborted by a pending exclusive one */
	{1698, 1698, ERRCLASS_WAIT},      /* access denied without a password */
	{1705, 1705, ERRCLASS_SMALLER},   /* max_binlog_stmt_cache_size */
	{1792, 1792, ERRCLASS_RECONNECT}, /* read-only transaction */
	{1836, 1836, ERRCLASS_RECONNECT}, /* read-only mode */
	{1874, 1874, ERRCLASS_RECONNECT}, /* InnoDB is read-only */
	{1927, 1927, ERRCLASS_RECONNECT}, /* connection was killed */
	{1969, 1969, ERRCLASS_WAIT},      /* max_statement_time (MariaDB) */
	{2000, 2999, ERRCLASS_RECONNECT}, /* the client library: refused, gone away, lost, timed out */
	{3024, 3024, ERRCLASS_WAIT},      /* max_execution_time */
	{3058, 3058, ERRCLASS_RETRY},     /* user-level deadlock */
	{3100, 3101, ERRCLASS_RETRY},     /* group replication refused the transaction */
	{3168, 3169, ERRCLASS_RECONNECT}, /* server isn't available, session was killed */
	{3572, 3572, ERRCLASS_RETRY},     /* lock not granted at once */
	{4031, 4031, ERRCLASS_RECONNECT}, /* disconnected for inactivity */
};

enum errclass errclass_of(unsigned code)
{
	for (size_t i = 0; i < countof(rows); i++) {
		if (code >= rows[i].first && code <= rows[i].last)
			return rows[i].class;
	}
	return ERRCLASS_PERMANENT;
}

const char *errclass_name(enum errclass c)
{
	static const char *const names[] = {"permanent", "retry", "wait", "reconnect", "smaller"};

	return names[c];
}
