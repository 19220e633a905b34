/*
 * sqlconn.h - a connection to a server for background work (monitor, catalog, adviser): libmariadb with real limits.
 *
 * Every call ends within its time limit, whatever the server does, and sqlconn_interrupt ends it at once: each wait for
 * the socket is ours (libmariadb's io_wait hook), with a deadline for the whole statement and an ear for the interrupt.
 * A connection belongs to one thread; only sqlconn_interrupt may be called from others.
 */
#ifndef SUIMON_SQLCONN_H
#define SUIMON_SQLCONN_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"
#include "secret.h"
#include "span.h"
#include "tls.h"

struct sqlconn;

struct sqlconn_target {
	const char *host; /* a name, an address, or the path of a unix socket when port is 0; not owned */
	uint16_t port;
	const char *user;
	struct secret *password; /* NULL: none; not owned */
	struct tls_policy tls;   /* with TLS_VERIFY_IDENTITY, host is what the certificate must name */
	bool compress;           /* by zlib, where the server has it */
	uint64_t connect_ns;     /* most time for connecting and logging in; a name's resolution is not counted */
};

/* One row of a result: values and column names, valid during the call. A NULL value has p NULL. */
struct sqlconn_row {
	unsigned n;
	const struct span *value;
	const struct span *name;
};
/* Anything but RC_OK ends the statement: sqlconn_query answers with it. */
typedef enum rc (*sqlconn_row_fn)(void *arg, const struct sqlconn_row *row);

struct sqlconn *sqlconn_new(void) must_check; /* NULL: out of memory or descriptors */
void sqlconn_free(struct sqlconn *c);         /* closes it; NULL is allowed */

/* Logs in with utf8mb4, autocommit on, no local infile. Closes what was open. RC_ERROR: sqlconn_errno says why. */
enum rc sqlconn_connect(struct sqlconn *c, const struct sqlconn_target *t) must_check;
void sqlconn_close(struct sqlconn *c);
bool sqlconn_is_open(const struct sqlconn *c);

/* Runs one statement within limit_ns and gives each row of its result to row (NULL: rows are dropped). RC_ERROR with
 * sqlconn_errno: the server refused it, or the connection is lost (then it is closed). */
enum rc sqlconn_query(struct sqlconn *c, struct span sql, uint64_t limit_ns, sqlconn_row_fn row, void *arg) must_check;
/* By column name, letter case set aside; p NULL: no such column, or NULL. */
struct span sqlconn_field(const struct sqlconn_row *row, const char *name);

/* Of the last call that failed: the server's error, or libmariadb's (2000 to 2999), or 0 when it was not theirs. */
unsigned sqlconn_errno(const struct sqlconn *c);
const char *sqlconn_error(const struct sqlconn *c); /* for people */
/* Was the last failure an answer of the server (it is alive), rather than a lost or impossible connection? */
bool sqlconn_refused(const struct sqlconn *c);
bool sqlconn_late(const struct sqlconn *c); /* the last failure was the time limit */

/* What the server is. Only while open. */
bool sqlconn_is_mariadb(const struct sqlconn *c);
unsigned long sqlconn_version(const struct sqlconn *c);    /* 101119 = 10.11.19 */
const char *sqlconn_version_text(const struct sqlconn *c); /* without MariaDB's "5.5.5-" */

/* For whoever connects by libmariadb itself: right before the connect, in its thread, the options that a policy asks for; right behind it,
 * be it that it failed (connected), false where what it insists on was not there: then nothing of the login has been sent. is_unix: over a
 * unix socket nothing is asked for. */
struct st_mysql;
enum rc sqlconn_tls_ask(struct st_mysql *my, const struct tls_policy *p, bool is_unix) must_check; /* RC_ERROR: no memory */
void sqlconn_forget_password(struct st_mysql *my); /* libmariadb's copy lies where a core dump shows it, and has been used */
bool sqlconn_tls_stands(struct st_mysql *my, const struct tls_policy *p, bool is_unix, bool connected);
#define SQLCONN_NO_TLS "the server does not offer TLS, which backend.tls.mode insists on"

/* Any thread: ends the call that runs and fails all later ones, for good. */
void sqlconn_interrupt(struct sqlconn *c);

#endif
