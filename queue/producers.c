/*
 * producers.c - see producers.h.
 */
#include "producers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "iobuf.h"
#include "log.h"
#include "mem.h"
#include "position.h"

#define ER_NO_SUCH_TABLE 1146u
#define ER_TABLE_ACCESS 1142u
#define GONE_DAYS 30 /* SQS keeps nothing for longer than 14 */
#define PRODUCERS_MAX (1u << 20)

static const char table_sql[] =
	"CREATE TABLE IF NOT EXISTS suimon.producers (queue_id BINARY(16) NOT NULL, producer BIGINT UNSIGNED NOT NULL, "
	"seq BIGINT UNSIGNED NOT NULL, updated_at DATETIME(6) NOT NULL, PRIMARY KEY (queue_id, producer)) ENGINE=InnoDB";

void producers_reset(struct producers *s)
{
	mem_free(s->p);
	s->p = NULL;
	s->n = s->cap = 0;
}

/* Where it is, or would be. */
static size_t place_of(const struct producers *s, uint64_t id)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->p[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct producer *producers_get(struct producers *s, uint64_t id)
{
	size_t at = place_of(s, id);

	if (at < s->n && s->p[at].id == id)
		return &s->p[at];
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 16;
		struct producer *p = cap <= PRODUCERS_MAX ? mem_realloc(s->p, cap * sizeof(*p)) : NULL;

		if (!p)
			return NULL;
		s->p = p;
		s->cap = cap;
	}
	memmove(s->p + at + 1, s->p + at, (s->n - at) * sizeof(*s->p));
	s->n++;
	s->p[at] = (struct producer){.id = id};
	return &s->p[at];
}

static enum rc on_row(void *arg, const char *const *row, unsigned columns)
{
	struct producer *p;

	if (columns != 2 || !row[0] || !row[1])
		return RC_ERROR;
	p = producers_get(arg, strtoull(row[0], NULL, 10));
	if (!p)
		return RC_ERROR;
	p->applied = p->seen = strtoull(row[1], NULL, 10);
	return RC_OK;
}

static enum rc make_table(struct producers *s, struct dbconn *c)
{
	char why[256];

	if (dbconn_exec(c, table_sql, strlen(table_sql)) == RC_OK) {
		log_info("queue", "made the table suimon.producers", NULL);
		return RC_OK;
	}
	if (!s->told && errclass_of(c->code) != ERRCLASS_RECONNECT)
		log_error("queue", "the table suimon.producers is missing and may not be made; run its statement as an administrator",
			  "error=%s sql=\"%s\"", log_quote(why, sizeof(why), span_str(c->error)), table_sql);
	s->told = true;
	return RC_ERROR;
}

enum rc producers_read(struct producers *s, struct dbconn *c, const char *lane_hex)
{
	char sql[160];
	enum rc rc;

	/* A transaction whose COMMIT was sent on a connection since lost holds its rows until it ends. */
	snprintf(sql, sizeof(sql), "SELECT producer, seq FROM suimon.producers WHERE queue_id=x'%s' FOR UPDATE", lane_hex);
	producers_reset(s);
	rc = dbconn_rows(c, sql, on_row, s);
	if (rc != RC_OK && (c->code == ER_NO_SUCH_TABLE || c->code == ER_TABLE_ACCESS) && make_table(s, c) == RC_OK)
		rc = dbconn_rows(c, sql, on_row, s);
	if (rc != RC_OK)
		return rc;
	s->told = false;
	/* Without the right to do so they stay. */
	if (dbconn_execf(c, "DELETE FROM suimon.producers WHERE queue_id=x'%s' AND updated_at<UTC_TIMESTAMP()-INTERVAL %d DAY", lane_hex,
			 GONE_DAYS) != RC_OK &&
	    errclass_of(c->code) == ERRCLASS_RECONNECT)
		return RC_ERROR;
	return RC_OK;
}

enum rc producers_note(const struct producers *s, struct dbconn *c, const char *lane_hex)
{
	char now[POSITION_TIME_MAX];
	struct iobuf sql;
	unsigned n = 0;
	enum rc rc;

	position_now(now);
	iobuf_init(&sql, 0);
	rc = iobuf_printf(&sql, "INSERT INTO suimon.producers (queue_id, producer, seq, updated_at) VALUES ");
	for (size_t i = 0; rc == RC_OK && i < s->n; i++) {
		if (!s->p[i].noted)
			continue;
		rc = iobuf_printf(&sql, "%s(x'%s', %" PRIu64 ", %" PRIu64 ", '%s')", n++ ? ", " : "", lane_hex, s->p[i].id, s->p[i].noted, now);
	}
	if (rc == RC_OK)
		rc = iobuf_printf(&sql, " ON DUPLICATE KEY UPDATE seq=VALUES(seq), updated_at=VALUES(updated_at)");
	if (rc == RC_OK && n) {
		rc = dbconn_exec(c, (const char *)iobuf_data(&sql), iobuf_len(&sql));
	} else if (rc != RC_OK) {
		c->code = 1041;
		snprintf(c->error, sizeof(c->error), "suimon is out of memory");
	}
	iobuf_reset(&sql);
	return rc;
}
