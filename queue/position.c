/*
 * position.c - see position.h.
 */
#include "position.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"

#define ER_NO_SUCH_TABLE 1146u
#define ER_BAD_DB 1049u
#define ER_TABLE_ACCESS 1142u
#define ER_DB_ACCESS 1044u

const char position_schema_sql[] = "CREATE DATABASE IF NOT EXISTS suimon";
const char position_table_sql[] =
	"CREATE TABLE IF NOT EXISTS suimon.applied (queue_id BINARY(16) NOT NULL, shard INT UNSIGNED NOT NULL, "
	"seq BIGINT UNSIGNED NOT NULL, epoch BIGINT UNSIGNED NOT NULL DEFAULT 0, updated_at DATETIME(6) NOT NULL, "
	"PRIMARY KEY (queue_id, shard)) ENGINE=InnoDB";

void position_init(struct position *p, const uint8_t id[QUEUE_ID_BYTES], unsigned shard)
{
	*p = (struct position){.shard = shard};
	for (size_t i = 0; i < QUEUE_ID_BYTES; i++)
		snprintf(p->id_hex + 2 * i, 3, "%02x", id[i]);
}

enum rc position_make_table(struct dbconn *c, bool *told)
{
	char why[256];

	/* With the table's rights alone the first one fails, which does not matter if the schema is there. */
	if (dbconn_exec(c, position_schema_sql, strlen(position_schema_sql)) != RC_OK &&
	    errclass_of(c->code) == ERRCLASS_RECONNECT)
		return RC_ERROR;
	if (dbconn_exec(c, position_table_sql, strlen(position_table_sql)) == RC_OK) {
		log_info("queue", "made the table suimon.applied", NULL);
		return RC_OK;
	}
	if (!*told && errclass_of(c->code) != ERRCLASS_RECONNECT)
		log_error("queue",
			  "the table suimon.applied is missing and may not be made; run its statements as an "
			  "administrator",
			  "error=%s sql=\"%s; %s\"", log_quote(why, sizeof(why), span_str(c->error)),
			  position_schema_sql, position_table_sql);
	*told = true;
	return RC_ERROR;
}

static enum rc select_seq(struct position *p, struct dbconn *c)
{
	char sql[256], text[64], *end;
	enum rc rc;

	/* FOR UPDATE: a transaction whose COMMIT was sent on a connection since lost holds this row until it ends. */
	snprintf(sql, sizeof(sql), "SELECT CONCAT(seq, ' ', epoch) FROM suimon.applied WHERE queue_id=x'%s' AND shard=%u FOR UPDATE",
		 p->id_hex, p->shard);
	rc = dbconn_value(c, sql, text, sizeof(text));
	if (rc != RC_OK)
		return rc;
	p->seq = strtoull(text, &end, 10);
	p->found = strtoull(end, NULL, 10);
	return RC_OK;
}

void position_now(char out[POSITION_TIME_MAX])
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(out, POSITION_TIME_MAX, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(out + n, POSITION_TIME_MAX - n, ".%06ld", ts.tv_nsec / 1000);
}

static enum rc insert_row(struct position *p, struct dbconn *c, uint64_t initial)
{
	char now[POSITION_TIME_MAX];

	position_now(now);
	if (dbconn_execf(c,
			 "INSERT INTO suimon.applied (queue_id, shard, seq, epoch, updated_at) VALUES (x'%s', %u, %" PRIu64
			 ", %" PRIu64 ", '%s')",
			 p->id_hex, p->shard, initial, p->guarded ? p->epoch : 0, now) != RC_OK)
		return RC_ERROR;
	if (initial && !p->shard)
		log_error("queue",
			  "suimon.applied had no row for this queue, which had applied records before; "
			  "going on from its own note of how far it had come",
			  "seq=%" PRIu64, initial);
	p->seq = initial;
	p->found = p->guarded ? p->epoch : 0;
	return RC_OK;
}

/* From here on whoever had read it before cannot move it; and it stands where they left it. */
static enum rc raise_epoch(struct position *p, struct dbconn *c)
{
	if (dbconn_execf(c,
			 "UPDATE suimon.applied SET epoch=LAST_INSERT_ID(epoch+1) WHERE queue_id=x'%s' AND shard=%u",
			 p->id_hex, p->shard) != RC_OK)
		return RC_ERROR;
	p->epoch = mysql_insert_id(c->my);
	return select_seq(p, c);
}

enum rc position_guard(struct position *p, struct dbconn *c, uint64_t epoch)
{
	p->guarded = true;
	p->epoch = epoch;
	if (p->found == epoch)
		return RC_OK;
	return dbconn_execf(c, "UPDATE suimon.applied SET epoch=%" PRIu64 " WHERE queue_id=x'%s' AND epoch<%" PRIu64, epoch, p->id_hex,
			    epoch);
}

enum rc position_read(struct position *p, struct dbconn *c, uint64_t initial)
{
	enum rc rc = select_seq(p, c);

	if (rc == RC_ERROR && (c->code == ER_NO_SUCH_TABLE || c->code == ER_BAD_DB || c->code == ER_TABLE_ACCESS ||
			       c->code == ER_DB_ACCESS)) {
		if (position_make_table(c, &p->told) != RC_OK)
			return RC_ERROR;
		rc = select_seq(p, c);
	}
	if (rc == RC_DECLINED)
		rc = insert_row(p, c, initial);
	if (rc == RC_OK && p->fenced)
		rc = raise_epoch(p, c);
	if (rc == RC_OK)
		p->told = false;
	return rc;
}

enum rc position_advance(const struct position *p, struct dbconn *c, uint64_t to)
{
	char now[POSITION_TIME_MAX], epoch[40] = "";

	position_now(now);
	if (p->fenced || p->guarded)
		snprintf(epoch, sizeof(epoch), " AND epoch=%" PRIu64, p->epoch);
	if (dbconn_execf(c,
			 "UPDATE suimon.applied SET seq=%" PRIu64
			 ", updated_at='%s' WHERE queue_id=x'%s' AND shard=%u AND seq=%" PRIu64 "%s",
			 to, now, p->id_hex, p->shard, p->seq, epoch) != RC_OK)
		return RC_ERROR;
	return dbconn_affected(c) == 1 ? RC_OK : RC_DECLINED;
}
