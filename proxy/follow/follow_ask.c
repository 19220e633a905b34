/*
 * follow_ask.c - what the primary is asked, on a connection of its own.
 *
 * MariaDB: the status variables binlog_snapshot_* are how far commits have been made visible; the server moves them under the lock
 * under which it makes them so. MySQL: gtid_executed has a transaction when it is visible; the log's end comes in the same answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "follow_impl.h"
#include "hooks.h"
#include "log.h"
#include "mem.h"

#define QUERY_NS NS_PER_SEC
#define CONNECT_NS (2 * NS_PER_SEC)
#define GTIDS_MOST (256 * 1024) /* bytes of a set as text */

void follow_say(struct follow *f, const char *what, const char *why)
{
	char quoted[400];

	if (f->said)
		return;
	f->said = true;
	log_warn("follow", "the primary's binary log cannot be followed: after three seconds nothing is answered from the cache",
		 "addr=%s %s=%s", f->backend ? f->backend->text : "-", what, log_quote(quoted, sizeof(quoted), span_str(why)));
}

/* ---- rows ---- */

static uint64_t number_of(struct span s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	return n;
}

/* MariaDB: a name and its value a row. */
static enum rc on_snapshot(void *arg, const struct sqlconn_row *row)
{
	struct follow_answer *a = arg;
	struct span value;

	if (row->n < 2)
		return RC_OK;
	value = row->value[1];
	if (span_ieq(row->value[0], span_str("Binlog_snapshot_file")) && value.len) {
		a->place.file = follow_file_number(value);
		a->has_place = true;
	}
	if (span_ieq(row->value[0], span_str("Binlog_snapshot_position")))
		a->place.at = number_of(value);
	return RC_OK;
}

/* MySQL: File, Position, …, Executed_Gtid_Set. */
static enum rc on_status(void *arg, const struct sqlconn_row *row)
{
	struct follow_answer *a = arg;
	struct span gtids = sqlconn_field(row, "Executed_Gtid_Set");

	if (gtids.len > GTIDS_MOST || a->gtids)
		return RC_ERROR;
	a->place.file = follow_file_number(sqlconn_field(row, "File"));
	a->place.at = number_of(sqlconn_field(row, "Position"));
	a->gtids = mem_dup(gtids.p ? gtids.p : "", gtids.len);
	a->has_place = a->gtids != NULL;
	return RC_OK;
}

struct text { char *p; size_t cap; };

static enum rc on_text(void *arg, const struct sqlconn_row *row)
{
	struct text *t = arg;

	if (row->n)
		(void)snprintf(t->p, t->cap, SPAN_FMT, SPAN_ARG(row->value[0]));
	return RC_OK;
}

static enum rc ask_text(struct follow *f, const char *sql, char *out, size_t cap)
{
	struct text t = {out, cap};

	out[0] = '\0';
	return sqlconn_query(f->conn, span_str(sql), QUERY_NS, on_text, &t);
}

/* ---- questions ---- */

#define NEEDS_MARIADB "the account needs REPLICATION SLAVE ON *.*"
#define NEEDS_MYSQL "the account needs REPLICATION SLAVE and REPLICATION CLIENT ON *.*"

static enum rc failed(struct follow *f, const char *why)
{
	stats_count(f->sink, STATS_C_CACHE_BINLOG_ERRORS, 1);
	follow_say(f, "why", why);
	sqlconn_close(f->conn);
	return RC_ERROR;
}

static enum rc refused(struct follow *f)
{
	char text[512];

	if (sqlconn_errno(f->conn) != 1227 && sqlconn_errno(f->conn) != 1045)
		return failed(f, sqlconn_error(f->conn)[0] ? sqlconn_error(f->conn) : "an answer that cannot be read");
	(void)snprintf(text, sizeof(text), "%s: %s", f->mysql ? NEEDS_MYSQL : NEEDS_MARIADB, sqlconn_error(f->conn));
	return failed(f, text);
}

static enum rc log_in(struct follow *f)
{
	struct catalog_hooks hooks = hooks_catalog(f->in);
	struct catalog_target at = {0};
	struct sqlconn_target t = {.host = at.host, .user = at.user, .connect_ns = CONNECT_NS};
	enum rc rc;

	if (hooks.target(hooks.arg, &at) != RC_OK)
		return failed(f, "no account is known yet: set backend.monitor.user");
	t.port = at.port;
	t.password = at.password;
	t.tls = at.tls;
	t.compress = at.compress;
	rc = sqlconn_connect(f->conn, &t);
	if (rc == RC_OK) {
		account_unref(f->account);
		f->account = account_new(span_str(at.user), secret_text(at.password));
	}
	secret_unref(at.password);
	if (rc != RC_OK)
		return refused(f);
	return f->account ? RC_OK : failed(f, CHANNEL_NO_MEMORY);
}

static bool is_yes(const char *text)
{
	return strcmp(text, "1") == 0 || strcasecmp(text, "ON") == 0;
}

static enum rc learn_server(struct follow *f)
{
	char text[64];

	f->mysql = !sqlconn_is_mariadb(f->conn);
	if (ask_text(f, "SELECT @@global.log_bin", text, sizeof(text)) != RC_OK)
		return refused(f);
	if (!is_yes(text))
		return failed(f, "the server writes none (log_bin)");
	if (f->mysql && ask_text(f, "SELECT @@global.gtid_mode", text, sizeof(text)) != RC_OK)
		return refused(f);
	if (f->mysql && !is_yes(text))
		return failed(f, "gtid_mode is not ON");
	if (ask_text(f, "SELECT @@global.server_id", text, sizeof(text)) != RC_OK)
		return refused(f);
	f->primary_id = (uint32_t)strtoul(text, NULL, 10);
	return RC_OK;
}

/* MariaDB: the position of all that is in the log, as it will be continued. A server that is not as far as we were has another history; it
 * would not say so, and leave out what it has written since. */
static enum rc begin_mariadb(struct follow *f)
{
	char text[GTID_TEXT_CAP];
	struct gtid_pos now;

	if (ask_text(f, "SELECT @@global.gtid_binlog_pos", text, sizeof(text)) != RC_OK)
		return refused(f);
	if (gtid_parse(span_str(text), &now) != RC_OK || now.overflow)
		return failed(f, "it has too many replication domains");
	if (f->resume && !gtid_reached(&now, &f->done))
		follow_gap(f, "the server is behind that position");
	if (f->resume)
		return RC_OK;
	f->anew = true;
	f->done = now;
	f->resume = mem_dup(text, gtid_print(&f->done, text));
	return f->resume ? RC_OK : failed(f, CHANNEL_NO_MEMORY);
}

static enum rc begin_mysql(struct follow *f)
{
	struct follow_answer a;
	enum rc rc;

	if (f->resume)
		return RC_OK;
	f->anew = true;
	rc = follow_ask(f, &a);
	if (rc != RC_OK)
		return rc;
	f->resume = a.gtids;
	return f->resume ? RC_OK : failed(f, "the server does not say where it is");
}

void follow_answer_forget(struct follow_answer *a)
{
	mem_free(a->gtids);
	*a = (struct follow_answer){.has_place = false};
}

enum rc follow_ask_begin(struct follow *f)
{
	bool was_mysql = f->mysql;

	if (log_in(f) != RC_OK || learn_server(f) != RC_OK)
		return RC_ERROR;
	if (f->resume && f->mysql != was_mysql)
		follow_gap(f, "it is another kind of server");
	return f->mysql ? begin_mysql(f) : begin_mariadb(f);
}

enum rc follow_ask(struct follow *f, struct follow_answer *out)
{
	enum rc rc;

	*out = (struct follow_answer){.has_place = false};
	if (!topology_is_primary(f->in->topology, f->backend) || (!sqlconn_is_open(f->conn) && log_in(f) != RC_OK))
		return RC_ERROR;
	if (!f->mysql)
		rc = sqlconn_query(f->conn, span_str("SHOW GLOBAL STATUS LIKE 'Binlog\\_snapshot\\_%'"), QUERY_NS, on_snapshot, out);
	else if (sqlconn_version(f->conn) >= 80200)
		rc = sqlconn_query(f->conn, span_str("SHOW BINARY LOG STATUS"), QUERY_NS, on_status, out);
	else
		rc = sqlconn_query(f->conn, span_str("SHOW MASTER STATUS"), QUERY_NS, on_status, out);
	if (rc == RC_OK)
		return RC_OK;
	follow_answer_forget(out);
	return refused(f);
}
