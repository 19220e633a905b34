/*
 * dbconn.h - the drain's connection to the primary: libmariadb with time limits, and what must be known of the server.
 * One thread's. Every call blocks, at most for the limits below. What a lost connection has left under way at the server is ended
 * by the next one to the same server.
 */
#ifndef SUIMON_DBCONN_H
#define SUIMON_DBCONN_H

#include <stdbool.h>
#include <stdint.h>

#include <mysql.h>
#include <pthread.h>

#include "errclass.h"
#include "queue.h"

#define DBCONN_CONNECT_SECONDS 5u
#define DBCONN_IO_SECONDS 60u
#define DBCONN_APPLY_SECONDS 3600 /* of one that applies: a statement may take long, and a host that is gone is told by keepalive */
#define DBCONN_LOCK_WAIT_SECONDS 10 /* innodb_lock_wait_timeout: must be shorter than the time for an answer */

struct dbconn {
	pthread_mutex_t lock; /* guards fd */
	int fd;               /* while connected, for dbconn_interrupt; else -1 */
	MYSQL *my;            /* NULL: not connected */
	bool mariadb;         /* tells positions by @@last_gtid; MySQL reports them with the commit */
	char server[512];     /* which one it is, in its own words */
	char host[256];       /* and as the target named it */
	uint16_t port;
	bool patient; /* it applies; set before it is opened */
	uint64_t id;  /* the server's number of it */
	uint64_t opened_ns;
	struct {
		uint64_t id; /* 0: none */
		uint64_t opened_ns;
		char server[512];
	} lost; /* the last one that was not ended in order */
	bool strict;          /* its own sql_mode is strict */
	uint64_t max_packet;
	unsigned code;   /* of the last failure */
	char error[512]; /* its text */
};

void dbconn_init(struct dbconn *c);
void dbconn_destroy(struct dbconn *c);
/* RC_ERROR: code and error say why. The target's password is read, not released. */
enum rc dbconn_open(struct dbconn *c, const struct queue_target *target) must_check;
void dbconn_close(struct dbconn *c);
/* It is connected to what h says is the primary now. */
bool dbconn_is_there(const struct dbconn *c, const struct queue_hooks *h);
/* Any thread: what is being waited for fails at once, as if the connection were lost. */
void dbconn_interrupt(struct dbconn *c);

/* Runs one statement and throws its result away. RC_ERROR: code and error. */
enum rc dbconn_exec(struct dbconn *c, const char *sql, size_t len) must_check;
enum rc dbconn_execf(struct dbconn *c, const char *fmt, ...) must_check printf_like(2, 3); /* at most 4 KiB */
/* The first column of the first row; NULL gives "". RC_DECLINED: no row. */
enum rc dbconn_value(struct dbconn *c, const char *sql, char *out, size_t cap) must_check;
enum rc dbconn_number(struct dbconn *c, const char *sql, uint64_t *out) must_check;
/* All rows, a call each; NULL among columns as it is. RC_ERROR: code and error, or fn said so. */
typedef enum rc (*dbconn_row_fn)(void *arg, const char *const *row, unsigned columns);
enum rc dbconn_rows(struct dbconn *c, const char *sql, dbconn_row_fn fn, void *arg) must_check;
uint64_t dbconn_affected(struct dbconn *c); /* by the last statement */
/* The position of what the last statement committed, as the server reported it. "" if it did not. */
void dbconn_gtid(struct dbconn *c, char *out, size_t cap);
bool dbconn_in_transaction(const struct dbconn *c);

#endif
