/*
 * dbconn.c - see dbconn.h.
 */
#include "dbconn.h"

#include <errmsg.h>
#include <inttypes.h>
#include <ma_pvio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "clock.h"
#include "log.h"
#include "sqlconn.h"

#define MAX_PACKET_SMALLEST 65536u
#define ER_UNKNOWN 1105u
#define ER_PACKET_TOO_LARGE 1153u
/* Seconds: a host that does not answer is known to be gone after about 30. */
#define KEEPALIVE_IDLE 15
#define KEEPALIVE_EVERY 5
#define KEEPALIVE_TRIES 3
#define UNANSWERED_MS 30000

void dbconn_init(struct dbconn *c)
{
	memset(c, 0, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
	c->fd = -1;
}

void dbconn_destroy(struct dbconn *c)
{
	dbconn_close(c);
	pthread_mutex_destroy(&c->lock);
}

/* Before the socket is closed nobody may know it any more. */
static void set_fd(struct dbconn *c, int fd)
{
	pthread_mutex_lock(&c->lock);
	c->fd = fd;
	pthread_mutex_unlock(&c->lock);
}

void dbconn_interrupt(struct dbconn *c)
{
	pthread_mutex_lock(&c->lock);
	if (c->fd >= 0)
		shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&c->lock);
}

static enum rc note(struct dbconn *c, unsigned code, const char *text)
{
	c->code = code;
	snprintf(c->error, sizeof(c->error), "%s", text);
	return RC_ERROR;
}

static enum rc note_last(struct dbconn *c)
{
	unsigned code = mysql_errno(c->my);

	return note(c, code ? code : CR_UNKNOWN_ERROR, mysql_error(c->my));
}

static enum rc configure(MYSQL *my, const struct queue_target *t)
{
	unsigned connect = DBCONN_CONNECT_SECONDS, io = DBCONN_IO_SECONDS;
	my_bool no = 0;
	size_t packet = (size_t)1 << 30;
	unsigned tcp = MYSQL_PROTOCOL_TCP; /* else "localhost" is not that port, but the library's own idea of a socket */

	if ((t->port && mysql_optionsv(my, MYSQL_OPT_PROTOCOL, &tcp)) || mysql_optionsv(my, MYSQL_OPT_CONNECT_TIMEOUT, &connect) ||
	    mysql_optionsv(my, MYSQL_OPT_READ_TIMEOUT, &io) || mysql_optionsv(my, MYSQL_OPT_WRITE_TIMEOUT, &io) ||
	    mysql_optionsv(my, MYSQL_OPT_RECONNECT, &no) ||
	    mysql_optionsv(my, MYSQL_OPT_LOCAL_INFILE, &(unsigned){0}) ||
	    mysql_optionsv(my, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet) ||
	    (t->compress && mysql_optionsv(my, MYSQL_OPT_COMPRESS)) || mysql_optionsv(my, MYSQL_SET_CHARSET_NAME, "utf8mb4") ||
	    mysql_optionsv(my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "suimon-queue"))
		return RC_ERROR;
	return RC_OK;
}

/* MariaDB has a variable for it, and older servers have nothing. */
static enum rc track_gtids(struct dbconn *c)
{
	if (c->mariadb || dbconn_execf(c, "SET SESSION session_track_gtids=OWN_GTID") == RC_OK)
		return RC_OK;
	return errclass_of(c->code) == ERRCLASS_RECONNECT ? RC_ERROR : RC_OK;
}

/* What must be known of the server before the first batch. */
static enum rc learn(struct dbconn *c)
{
	char mode[1024];

	c->mariadb = strstr(mysql_get_server_info(c->my), "MariaDB") != NULL;
	/* A server may be set up so that each COMMIT begins anew or ends the connection. */
	if (dbconn_execf(c, "SET SESSION innodb_lock_wait_timeout=%d, autocommit=1, completion_type=0", DBCONN_LOCK_WAIT_SECONDS) !=
		    RC_OK ||
	    dbconn_number(c, "SELECT @@max_allowed_packet", &c->max_packet) != RC_OK ||
	    dbconn_number(c, "SELECT CONNECTION_ID()", &c->id) != RC_OK ||
	    dbconn_value(c, "SELECT @@sql_mode", mode, sizeof(mode)) != RC_OK ||
	    dbconn_value(c, "SELECT CONCAT(@@hostname, ':', @@port, ' ', @@datadir, ' ', @@server_id)", c->server,
			 sizeof(c->server)) != RC_OK)
		return RC_ERROR;
	c->strict = strstr(mode, "STRICT_TRANS_TABLES") || strstr(mode, "STRICT_ALL_TABLES");
	if (c->max_packet < MAX_PACKET_SMALLEST)
		c->max_packet = MAX_PACKET_SMALLEST;
	return track_gtids(c);
}

/* A Unix socket has none of these, and needs none. */
static void watch_peer(int fd)
{
	const int options[][3] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
				  {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE},
				  {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY},
				  {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TRIES},
				  {IPPROTO_TCP, TCP_USER_TIMEOUT, UNANSWERED_MS}};

	for (size_t i = 0; i < countof(options); i++)
		(void)setsockopt(fd, options[i][0], options[i][1], &options[i][2], sizeof(int));
}

static enum rc on_uptime(void *arg, const char *const *row, unsigned columns)
{
	if (columns != 2 || !row[1])
		return RC_ERROR;
	*(uint64_t *)arg = strtoull(row[1], NULL, 10);
	return RC_OK;
}

/* A statement goes on without its client, and holds its locks. A server that was started since has none, and its numbers begin anew. */
static void end_lost(struct dbconn *c)
{
	uint64_t up = 0, age = clock_mono_ns() - c->lost.opened_ns;

	if (c->lost.id && strcmp(c->lost.server, c->server) == 0 &&
	    dbconn_rows(c, "SHOW GLOBAL STATUS LIKE 'Uptime'", on_uptime, &up) == RC_OK && up > age / NS_PER_SEC + 1 &&
	    dbconn_execf(c, "KILL %" PRIu64, c->lost.id) == RC_OK)
		log_info("queue", "ended at the server what a lost connection had left under way", "connection=%" PRIu64, c->lost.id);
	c->lost.id = 0;
}

static void settle_in(struct dbconn *c)
{
	MARIADB_PVIO *io;

	c->opened_ns = clock_mono_ns();
	end_lost(c);
	io = c->my->net.pvio; /* NULL: the connection was lost meanwhile */
	/* Not before: whoever logs in answers soon. The library takes an option only until it connects. */
	if (c->patient && io)
		io->methods->set_timeout(io, PVIO_READ_TIMEOUT, DBCONN_APPLY_SECONDS);
}

enum rc dbconn_open(struct dbconn *c, const struct queue_target *t)
{
	struct span password = secret_text(t->password);
	const char *host = t->port ? t->host : NULL, *path = t->port ? NULL : t->host;
	bool ok;

	dbconn_close(c);
	snprintf(c->host, sizeof(c->host), "%s", t->host);
	c->port = t->port;
	c->my = mysql_init(NULL);
	if (!c->my)
		return note(c, CR_OUT_OF_MEMORY, "out of memory");
	ok = configure(c->my, t) == RC_OK && sqlconn_tls_ask(c->my, &t->tls, path != NULL) == RC_OK &&
	     mysql_real_connect(c->my, host, t->user, password.len ? password.p : "", NULL, t->port, path, CLIENT_MULTI_RESULTS);
	sqlconn_forget_password(c->my);
	if (!sqlconn_tls_stands(c->my, &t->tls, path != NULL, ok)) {
		dbconn_close(c);
		return note(c, CR_SSL_CONNECTION_ERROR, SQLCONN_NO_TLS);
	}
	if (ok) {
		watch_peer((int)mysql_get_socket(c->my));
		set_fd(c, (int)mysql_get_socket(c->my));
	}
	if (ok && learn(c) == RC_OK) {
		settle_in(c);
		return RC_OK;
	}
	if (mysql_errno(c->my))
		note_last(c);
	dbconn_close(c);
	return RC_ERROR;
}

void dbconn_close(struct dbconn *c)
{
	set_fd(c, -1);
	if (c->my && c->id && mysql_errno(c->my) >= CR_MIN_ERROR && mysql_errno(c->my) <= CR_MAX_ERROR) {
		c->lost.id = c->id;
		c->lost.opened_ns = c->opened_ns;
		snprintf(c->lost.server, sizeof(c->lost.server), "%s", c->server);
	}
	if (c->my)
		mysql_close(c->my);
	c->my = NULL;
	c->id = 0;
}

bool dbconn_is_there(const struct dbconn *c, const struct queue_hooks *h)
{
	struct queue_target t = {.port = 0};
	enum rc rc = h->target ? h->target(h->arg, &t) : RC_DECLINED;

	secret_unref(t.password);
	/* Without an account nothing is known of another place. */
	return rc == RC_ERROR || (rc == RC_OK && t.port == c->port && strcmp(t.host, c->host) == 0);
}

/* Reads whatever the statement left to be read. */
static enum rc drop_results(struct dbconn *c)
{
	for (;;) {
		MYSQL_RES *res = mysql_store_result(c->my);

		if (res)
			mysql_free_result(res);
		else if (mysql_field_count(c->my))
			return note_last(c);
		if (!mysql_more_results(c->my))
			return RC_OK;
		if (mysql_next_result(c->my) > 0)
			return note_last(c);
	}
}

enum rc dbconn_exec(struct dbconn *c, const char *sql, size_t len)
{
	if (!c->my)
		return note(c, CR_SERVER_LOST, "not connected");
	if (len > c->max_packet && c->max_packet)
		return note(c, ER_PACKET_TOO_LARGE, "the statement is larger than the server's max_allowed_packet");
	if (mysql_real_query(c->my, sql, (unsigned long)len) != 0)
		return note_last(c);
	if (mysql_field_count(c->my) == 0 && !mysql_more_results(c->my))
		return RC_OK;
	return drop_results(c);
}

enum rc dbconn_execf(struct dbconn *c, const char *fmt, ...)
{
	char sql[4096];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(sql, sizeof(sql), fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(sql))
		return note(c, CR_UNKNOWN_ERROR, "statement too long");
	return dbconn_exec(c, sql, (size_t)n);
}

/* A statement that has rows; *res is the caller's to free. */
static enum rc ask(struct dbconn *c, const char *sql, MYSQL_RES **res)
{
	if (!c->my)
		return note(c, CR_SERVER_LOST, "not connected");
	if (mysql_real_query(c->my, sql, (unsigned long)strlen(sql)) != 0)
		return note_last(c);
	*res = mysql_store_result(c->my);
	if (!*res)
		return mysql_errno(c->my) ? note_last(c) : note(c, CR_UNKNOWN_ERROR, "no result");
	return RC_OK;
}

enum rc dbconn_value(struct dbconn *c, const char *sql, char *out, size_t cap)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = ask(c, sql, &res);

	if (rc != RC_OK)
		return rc;
	rc = RC_DECLINED;
	row = mysql_fetch_row(res);
	if (row && mysql_num_fields(res)) {
		snprintf(out, cap, "%s", row[0] ? row[0] : "");
		rc = RC_OK;
	}
	mysql_free_result(res);
	return rc;
}

enum rc dbconn_number(struct dbconn *c, const char *sql, uint64_t *out)
{
	char text[32], *end;
	enum rc rc = dbconn_value(c, sql, text, sizeof(text));

	if (rc != RC_OK)
		return rc;
	*out = strtoull(text, &end, 10);
	if (end == text || *end)
		return note(c, ER_UNKNOWN, "not a number");
	return RC_OK;
}

enum rc dbconn_rows(struct dbconn *c, const char *sql, dbconn_row_fn fn, void *arg)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = ask(c, sql, &res);

	if (rc != RC_OK)
		return rc;
	while (rc == RC_OK && (row = mysql_fetch_row(res)) != NULL)
		rc = fn(arg, (const char *const *)row, mysql_num_fields(res));
	mysql_free_result(res);
	return rc == RC_OK ? RC_OK : note(c, CR_UNKNOWN_ERROR, "an answer that was not understood");
}

uint64_t dbconn_affected(struct dbconn *c)
{
	return c->my ? mysql_affected_rows(c->my) : 0;
}

static void take_gtid_variable(struct dbconn *c, char *out, size_t cap)
{
	if (dbconn_value(c, "SELECT @@last_gtid", out, cap) != RC_OK)
		out[0] = '\0';
}

static void take_gtid_report(struct dbconn *c, char *out, size_t cap)
{
	const char *data;
	size_t len;

	if (mysql_session_track_get_first(c->my, SESSION_TRACK_GTIDS, &data, &len) == 0 && len < cap) {
		memcpy(out, data, len);
		out[len] = '\0';
	}
}

void dbconn_gtid(struct dbconn *c, char *out, size_t cap)
{
	out[0] = '\0';
	if (c->my && c->mariadb)
		take_gtid_variable(c, out, cap);
	else if (c->my)
		take_gtid_report(c, out, cap);
}

bool dbconn_in_transaction(const struct dbconn *c)
{
	return c->my && (c->my->server_status & SERVER_STATUS_IN_TRANS);
}
