/*
 * follow_text.c - statements of the log to tags: DDL, TRUNCATE, and writes that a server logs as text. By table.
 */
#include <string.h>

#include "catalog.h"
#include "facts.h"
#include "follow_impl.h"

/* sql_mode's bits, as both servers number them. */
#define MODE_PIPES_AS_CONCAT 0x2
#define MODE_ANSI_QUOTES 0x4
#define MODE_ORACLE 0x200
#define MODE_NO_BACKSLASH_ESCAPES 0x100000

/* Collations of the character sets whose second bytes may look like quotes: big5, sjis, gbk, cp932, gb18030. */
static bool is_wide_trail(uint16_t collation)
{
	static const uint16_t numbers[] = {1, 13, 28, 84, 87, 88, 95, 96, 248, 249, 250, 1025, 1037, 1052, 1108, 1111, 1112, 1119, 1120};

	for (size_t i = 0; i < countof(numbers); i++)
		if (numbers[i] == collation)
			return true;
	return false;
}

static unsigned mode_of(const struct binlog_query *q)
{
	return (q->mode & MODE_PIPES_AS_CONCAT ? SQL_MODE_PIPES_AS_CONCAT : 0) | (q->mode & MODE_ANSI_QUOTES ? SQL_MODE_ANSI_QUOTES : 0) |
	       (q->mode & MODE_ORACLE ? SQL_MODE_ORACLE : 0) |
	       (q->mode & MODE_NO_BACKSLASH_ESCAPES ? SQL_MODE_NO_BACKSLASH_ESCAPES : 0) |
	       (is_wide_trail(q->charset) ? SQL_MODE_WIDE_TRAIL : 0);
}

/* The tables that it names, with all that changes with them. */
static void put_tables(struct follow *f, const struct binlog_query *q, const struct sql_facts *facts, struct follow_set *out)
{
	out->anything |= facts->ntables == 0;
	for (uint16_t i = 0; i < facts->ntables && !out->anything; i++) {
		const struct sql_table *t = &facts->tables[i];
		struct span schema = t->schema.len ? t->schema : q->schema;
		const char *why;

		if (!t->written && !(facts->flags & SQL_F_DDL))
			continue;
		if (catalog_is_system(schema))
			follow_system_table(t->name, out);
		else if (catalog_writes(f->in->catalog, schema, t->name, follow_put_name, out, &why) != RC_OK)
			out->anything = true;
	}
}

/* Of a session's own: nobody else sees it. */
static bool is_temporary(const struct binlog_query *q, const struct sql_facts *facts)
{
	static const char *const drops[] = {"DROP TEMPORARY ", "DROP /*!40005 TEMPORARY */ "};

	for (size_t i = 0; i < countof(drops); i++)
		if (q->sql.len > strlen(drops[i]) && strncasecmp(q->sql.p, drops[i], strlen(drops[i])) == 0)
			return true;
	return facts->verb == SQL_CREATE && facts->flags & SQL_F_TEMP_TABLE;
}

static bool begins(struct span sql, const char *word)
{
	return sql.len >= strlen(word) && strncasecmp(sql.p, word, strlen(word)) == 0;
}

static void put_effects(struct follow *f, const struct binlog_query *q, const struct sql_facts *facts, struct follow_set *out)
{
	if (facts->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_STORED_FUNCTION)) {
		out->anything = out->schema = true;
		return;
	}
	switch (facts->verb) {
	case SQL_INSERT:
	case SQL_REPLACE:
	case SQL_UPDATE:
	case SQL_DELETE:
	case SQL_LOAD:
	case SQL_TRUNCATE:
		put_tables(f, q, facts, out);
		break;
	case SQL_CREATE:
	case SQL_ALTER:
	case SQL_DROP:
	case SQL_RENAME:
		out->schema = true;
		out->accounts |= facts->ntables == 0; /* users and roles, among others */
		put_tables(f, q, facts, out);
		break;
	case SQL_SET: /* a password is all that is logged so */
		out->accounts = true;
		break;
	case SQL_SAVEPOINT:
	case SQL_ROLLBACK_TO:
	case SQL_RELEASE_SAVEPOINT:
		break;
	case SQL_ADMIN:
		if (!begins(q->sql, "ANALYZE") && !begins(q->sql, "OPTIMIZE"))
			out->anything = out->accounts = true;
		break;
	case SQL_GRANT:
	case SQL_REVOKE:
		out->anything = out->accounts = true;
		break;
	default:
		out->anything = out->schema = true;
	}
}

void follow_text(struct follow *f, const struct binlog_query *q, struct follow_set *out)
{
	struct sql_facts facts;

	if (sql_facts_parse(q->sql, mode_of(q), &facts) != RC_OK) {
		out->anything = out->schema = true;
		return;
	}
	if (!is_temporary(q, &facts))
		put_effects(f, q, &facts, out);
	sql_facts_free(&facts);
}
