/*
 * tableinfo.c - see tableinfo.h.
 *
 * Triggers are only shown to who has the TRIGGER privilege: without it nobody can say that there are none, and the
 * answer is TIME_MICRO.
 */
#include "tableinfo.h"

#include "clock.h"
#include "iobuf.h"
#include "map.h"
#include "mbuf.h"

/* $ stands for the schema, # for the table: as hexadecimal literals, valid in any sql_mode and character set. */
static const char question[] =
	"SELECT CASE WHEN t.TABLE_TYPE<>'BASE TABLE' THEN 2"
	" WHEN NOT EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES p WHERE p.GRANTEE=g.g AND "
	"p.PRIVILEGE_TYPE='TRIGGER')"
	" AND NOT EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES p WHERE p.GRANTEE=g.g AND "
	"p.PRIVILEGE_TYPE='TRIGGER'"
	" AND t.TABLE_SCHEMA LIKE p.TABLE_SCHEMA)"
	" AND NOT EXISTS (SELECT 1 FROM information_schema.TABLE_PRIVILEGES p WHERE p.GRANTEE=g.g AND "
	"p.PRIVILEGE_TYPE='TRIGGER'"
	" AND t.TABLE_SCHEMA=p.TABLE_SCHEMA AND t.TABLE_NAME=p.TABLE_NAME) THEN 2"
	" WHEN EXISTS (SELECT 1 FROM information_schema.TRIGGERS r WHERE r.EVENT_OBJECT_SCHEMA=CONVERT(x'$' USING utf8)"
	" AND r.EVENT_OBJECT_TABLE=CONVERT(x'#' USING utf8)) THEN 2"
	" ELSE (SELECT MAX(CASE WHEN c.EXTRA NOT LIKE '%on update%' AND c.EXTRA NOT LIKE '%DEFAULT_GENERATED%'"
	" AND COALESCE(c.COLUMN_DEFAULT,'') NOT LIKE '%(%' AND COALESCE(c.COLUMN_DEFAULT,'') NOT LIKE 'current%' THEN 0"
	" WHEN c.DATETIME_PRECISION=0 AND LOWER(COALESCE(c.COLUMN_DEFAULT,'')) IN"
	" ('','null','current_timestamp','current_timestamp()') THEN 1 ELSE 2 END)"
	" FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA=CONVERT(x'$' USING utf8)"
	" AND c.TABLE_NAME=CONVERT(x'#' USING utf8)) END"
	" FROM information_schema.TABLES t, (SELECT "
	"CONCAT('''',LEFT(u.u,CHAR_LENGTH(u.u)-1-CHAR_LENGTH(SUBSTRING_INDEX(u.u,'@',-1))),"
	"'''@''',SUBSTRING_INDEX(u.u,'@',-1),'''') AS g FROM (SELECT CURRENT_USER() AS u) u) g"
	" WHERE t.TABLE_SCHEMA=CONVERT(x'$' USING utf8) AND t.TABLE_NAME=CONVERT(x'#' USING utf8)";

void tableinfo_init(struct tableinfo *t)
{
	memset(t, 0, sizeof(*t));
}

static enum rc put_hex(struct iobuf *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (iobuf_printf(out, "%02x", (unsigned char)s.p[i]) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static enum rc put_question(struct iobuf *out, struct span schema, struct span table)
{
	const char *p = question;

	for (;;) {
		size_t n = strcspn(p, "$#");

		if (iobuf_append(out, p, n) != RC_OK)
			return RC_ERROR;
		if (!p[n])
			return iobuf_append(out, "", 1); /* its NUL */
		if (put_hex(out, p[n] == '$' ? schema : table) != RC_OK)
			return RC_ERROR;
		p += n + 1;
	}
}

static enum rc ask(struct dbconn *c, struct span schema, struct span table, enum time_need *need)
{
	struct iobuf sql;
	uint64_t answer;
	enum rc rc = RC_DECLINED;

	*need = TIME_MICRO;
	iobuf_init(&sql, 0);
	if (put_question(&sql, schema, table) == RC_OK)
		rc = dbconn_number(c, (const char *)iobuf_data(&sql), &answer);
	iobuf_reset(&sql);
	if (rc == RC_OK)
		*need = answer == 0 ? TIME_FREE : answer == 1 ? TIME_SECOND : TIME_MICRO;
	return rc == RC_ERROR && errclass_of(c->code) == ERRCLASS_RECONNECT ? RC_ERROR : RC_OK;
}

enum rc tableinfo_need(struct tableinfo *t, struct dbconn *c, struct span tables, enum time_need *need)
{
	struct mbuf m = mbuf_of(tables.p, tables.len);
	uint64_t now = clock_mono_ns();
	struct tableinfo_slot *slot;
	struct span schema, table;

	*need = TIME_MICRO;
	if (tables.len > TABLEINFO_NAME || mbuf_str_nul(&m, &schema) != RC_OK || mbuf_str_nul(&m, &table) != RC_OK ||
	    mbuf_left(&m) || !schema.len || !table.len)
		return RC_OK;
	slot = &t->slot[map_hash(tables.p, tables.len) % TABLEINFO_SLOTS];
	if (slot->len != tables.len || memcmp(slot->name, tables.p, tables.len) != 0 || now >= slot->until_ns) {
		slot->len = 0;
		if (ask(c, schema, table, &slot->need) != RC_OK)
			return RC_ERROR;
		memcpy(slot->name, tables.p, tables.len);
		slot->len = tables.len;
		slot->until_ns = now + TABLEINFO_SECONDS * NS_PER_SEC;
	}
	*need = slot->need;
	return RC_OK;
}
