/*
 * deadtable.c - see deadtable.h.
 */
#include "deadtable.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "iobuf.h"
#include "log.h"
#include "mem.h"
#include "secret.h"

#define ERROR_TEXT_MAX 1024u
#define HIDDEN_US UINT64_C(60000000)

static const char table_sql[] =
	"CREATE TABLE IF NOT EXISTS suimon.dead_letters (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, "
	"queue_id BINARY(16) NOT NULL, seq BIGINT UNSIGNED NOT NULL, failed_us BIGINT UNSIGNED NOT NULL, "
	"retried_us BIGINT UNSIGNED NOT NULL DEFAULT 0, code INT UNSIGNED NOT NULL, error VARBINARY(1024) NOT NULL, "
	"body LONGBLOB NOT NULL, KEY (queue_id)) ENGINE=InnoDB";

void deadtable_init(struct deadtable *t, const char *id_hex, const struct queue_hooks *hooks)
{
	snprintf(t->id_hex, sizeof(t->id_hex), "%s", id_hex);
	t->hooks = *hooks;
	pthread_mutex_init(&t->lock, NULL);
	dbconn_init(&t->desk);
	atomic_init(&t->waiting, 0);
}

void deadtable_destroy(struct deadtable *t)
{
	dbconn_close(&t->desk);
	dbconn_destroy(&t->desk);
	pthread_mutex_destroy(&t->lock);
}

static enum rc put_hex(struct iobuf *b, struct span s)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t *p = iobuf_reserve(b, 2 * s.len + 3);
	size_t n = 0;

	if (!p)
		return RC_ERROR;
	p[n++] = 'x';
	p[n++] = '\'';
	for (size_t i = 0; i < s.len; i++) {
		p[n++] = (uint8_t)digits[(uint8_t)s.p[i] >> 4];
		p[n++] = (uint8_t)digits[(uint8_t)s.p[i] & 15];
	}
	p[n++] = '\'';
	iobuf_commit(b, n);
	return RC_OK;
}

/* Numbers and hex alone: the connection is in whatever state its last record wants. */
static enum rc add_one(struct deadtable *t, struct dbconn *c, const struct dead_letter *l, struct iobuf *sql)
{
	struct span error = span_of(l->error.p, l->error.len < ERROR_TEXT_MAX ? l->error.len : ERROR_TEXT_MAX);

	iobuf_consume(sql, iobuf_len(sql));
	if (iobuf_printf(sql,
			 "INSERT INTO suimon.dead_letters (queue_id, seq, failed_us, code, error, body) VALUES "
			 "(x'%s', %" PRIu64 ", %" PRIu64 ", %u, ",
			 t->id_hex, l->seq, l->failed_us, l->code) != RC_OK ||
	    put_hex(sql, error) != RC_OK || iobuf_append(sql, ", ", 2) != RC_OK || put_hex(sql, l->body) != RC_OK ||
	    iobuf_append(sql, ")", 1) != RC_OK) {
		c->code = 1041;
		snprintf(c->error, sizeof(c->error), "suimon is out of memory");
		return RC_ERROR;
	}
	return dbconn_exec(c, (const char *)iobuf_data(sql), iobuf_len(sql));
}

enum rc deadtable_add(struct deadtable *t, struct dbconn *c, const struct dead_letter *letters, size_t n)
{
	struct iobuf sql;
	enum rc rc = RC_OK;

	iobuf_init(&sql, 0);
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = add_one(t, c, &letters[i], &sql);
	iobuf_reset(&sql);
	if (rc == RC_OK)
		atomic_fetch_add(&t->waiting, n);
	return rc;
}

enum rc deadtable_claim(struct deadtable *t, struct dbconn *c, uint64_t id)
{
	if (dbconn_execf(c, "DELETE FROM suimon.dead_letters WHERE queue_id=x'%s' AND id=%" PRIu64, t->id_hex, id) != RC_OK)
		return RC_ERROR;
	return dbconn_affected(c) ? RC_OK : RC_DECLINED;
}

enum rc deadtable_count(struct deadtable *t, struct dbconn *c)
{
	char sql[256];
	uint64_t n;

	snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM suimon.dead_letters WHERE queue_id=x'%s'", t->id_hex);
	if (dbconn_number(c, sql, &n) == RC_OK)
		atomic_store(&t->waiting, n);
	else if (errclass_of(c->code) == ERRCLASS_RECONNECT)
		return RC_ERROR;
	return RC_OK;
}

enum rc deadtable_prepare(struct deadtable *t, struct dbconn *c)
{
	char why[256], there[8];

	if (dbconn_value(c, "SELECT 1 FROM suimon.dead_letters LIMIT 1", there, sizeof(there)) != RC_ERROR) {
		t->told_missing = false;
		return RC_OK;
	}
	if (errclass_of(c->code) == ERRCLASS_RECONNECT)
		return RC_ERROR;
	if (dbconn_exec(c, position_schema_sql, strlen(position_schema_sql)) != RC_OK &&
	    errclass_of(c->code) == ERRCLASS_RECONNECT)
		return RC_ERROR;
	if (dbconn_exec(c, table_sql, strlen(table_sql)) == RC_OK) {
		t->told_missing = false;
		log_info("queue", "made the table suimon.dead_letters", NULL);
		return RC_OK;
	}
	if (errclass_of(c->code) == ERRCLASS_RECONNECT)
		return RC_ERROR;
	if (t->told_missing) /* it is tried every half second for as long as other tables are missing as well */
		return RC_OK;
	t->told_missing = true;
	log_error("queue",
		  "the table suimon.dead_letters is missing and may not be made: a write that fails for good will hold up "
		  "the others; run its statement as an administrator, and grant SELECT, INSERT, UPDATE, DELETE on it",
		  "error=%s sql=\"%s\"", log_quote(why, sizeof(why), span_str(c->error)), table_sql);
	return RC_OK;
}

/* lock held. */
static enum rc open_desk(struct deadtable *t)
{
	struct queue_target target;
	enum rc rc;

	if (t->desk.my && dbconn_is_there(&t->desk, &t->hooks))
		return RC_OK;
	memset(&target, 0, sizeof(target));
	rc = t->hooks.target ? t->hooks.target(t->hooks.arg, &target) : RC_DECLINED;
	if (rc == RC_OK)
		rc = dbconn_open(&t->desk, &target);
	secret_unref(target.password);
	return rc == RC_OK ? RC_OK : RC_ERROR;
}

/* Whatever went wrong, the next request begins anew. lock held. */
static enum rc leave_desk(struct deadtable *t, enum rc rc)
{
	char why[256];

	if (rc != RC_ERROR)
		return rc;
	log_warn("queue", "the dead letters cannot be reached", "error=%s",
		 log_quote(why, sizeof(why), span_str(t->desk.error)));
	dbconn_close(&t->desk);
	return RC_ERROR;
}

struct showing {
	dead_fn fn;
	void *arg;
};

/* In place. */
static enum rc unhex(char *text, size_t *len)
{
	size_t n = strlen(text);

	for (size_t i = 0; i + 1 < n; i += 2) {
		int high = span_hex_digit(text[i]), low = span_hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return RC_ERROR;
		text[i / 2] = (char)(high << 4 | low);
	}
	*len = n / 2;
	return n % 2 ? RC_ERROR : RC_OK;
}

static enum rc on_row(void *arg, const char *const *row, unsigned columns)
{
	const struct showing *s = arg;
	struct dead_letter l;
	char *error, *body;
	size_t error_len = 0, body_len = 0;
	enum rc rc;

	for (unsigned i = 0; i < 6; i++) {
		if (columns != 6 || !row[i])
			return RC_ERROR;
	}
	error = mem_strdup(row[4]);
	body = mem_strdup(row[5]);
	rc = error && body && unhex(error, &error_len) == RC_OK && unhex(body, &body_len) == RC_OK ? RC_OK : RC_ERROR;
	if (rc == RC_OK) {
		l = (struct dead_letter){.id = strtoull(row[0], NULL, 10),
					 .seq = strtoull(row[1], NULL, 10),
					 .failed_us = strtoull(row[2], NULL, 10),
					 .code = (uint32_t)strtoul(row[3], NULL, 10),
					 .error = span_of(error, error_len),
					 .body = span_of(body, body_len)};
		s->fn(s->arg, &l);
	}
	mem_free(error);
	mem_free(body);
	return rc;
}

enum rc deadtable_each(struct deadtable *t, uint64_t from_id, unsigned limit, dead_fn fn, void *arg)
{
	struct showing s = {fn, arg};
	char sql[512];
	enum rc rc;

	snprintf(sql, sizeof(sql),
		 "SELECT id, seq, failed_us, code, HEX(error), HEX(body) FROM suimon.dead_letters WHERE queue_id=x'%s' AND "
		 "id>=%" PRIu64 " AND retried_us<%" PRIu64 " ORDER BY id LIMIT %u",
		 t->id_hex, from_id, clock_wall_us() - HIDDEN_US, limit);
	pthread_mutex_lock(&t->lock);
	rc = open_desk(t);
	if (rc == RC_OK)
		rc = dbconn_rows(&t->desk, sql, on_row, &s);
	rc = leave_desk(t, rc);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static enum rc mark(struct deadtable *t, uint64_t id, bool retried)
{
	enum rc rc;

	if (retried)
		rc = dbconn_execf(&t->desk,
				  "UPDATE suimon.dead_letters SET retried_us=%" PRIu64 " WHERE queue_id=x'%s' AND id=%" PRIu64,
				  clock_wall_us(), t->id_hex, id);
	else
		rc = dbconn_execf(&t->desk, "DELETE FROM suimon.dead_letters WHERE queue_id=x'%s' AND id=%" PRIu64, t->id_hex,
				  id);
	if (rc != RC_OK)
		return RC_ERROR;
	if (!dbconn_affected(&t->desk))
		return RC_DECLINED;
	return deadtable_count(t, &t->desk);
}

enum rc deadtable_mark(struct deadtable *t, uint64_t id, bool retried)
{
	enum rc rc;

	pthread_mutex_lock(&t->lock);
	rc = open_desk(t);
	if (rc == RC_OK)
		rc = mark(t, id, retried);
	rc = leave_desk(t, rc);
	pthread_mutex_unlock(&t->lock);
	return rc;
}
