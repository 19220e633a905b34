/*
 * catalog_load.c - information_schema, row by row, into a snapshot:
 *
 *   letter case → grants → tables → times and dates → views → triggers → foreign keys → routines → computed columns → key columns → how many keys
 *
 * What is not understood is not left out: its table or view says that it is not known.
 */
#include "catalog_load.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "catalog_rights.h"
#include "catalog_today.h"
#include "clock.h"
#include "mem.h"

#define STATEMENT_NS (30 * NS_PER_SEC)
#define NOT_SYSTEM "NOT IN ('information_schema','performance_schema','mysql','sys')"

struct load {
	struct sqlconn *conn;
	struct snapshot *s;
	struct rights rights;
	bool fold;
	bool out_of_memory; /* or of bounds */
	bool odd;           /* rows came without the columns that were asked for */
};

/* What information_schema is asked, and who takes the rows. */
struct question {
	unsigned columns;
	bool of_known; /* columns one and two name a table or view, which is e; rows of unknown ones are passed over */
	enum rc (*take)(struct load *l, struct entity *e, const struct span *v);
	const char *sql;
};

struct asked {
	struct load *l;
	const struct question *q;
};

/* Rows come in any order; a sum does not mind. */
static void add_to_hash(struct load *l, const struct sqlconn_row *row)
{
	uint64_t h = row->n;

	for (unsigned i = 0; i < row->n; i++)
		h = h * UINT64_C(0x9e3779b97f4a7c15) +
		    (row->value[i].len ? map_hash(row->value[i].p, row->value[i].len) : row->value[i].p != NULL);
	l->s->hash += h;
}

static enum rc no_room(struct load *l)
{
	l->out_of_memory = true;
	return RC_ERROR;
}

static enum rc on_row(void *arg, const struct sqlconn_row *row)
{
	const struct asked *a = arg;
	struct entity *e = NULL;

	if (row->n < a->q->columns) {
		a->l->odd = true;
		return RC_ERROR;
	}
	if (a->l->s)
		add_to_hash(a->l, row);
	if (a->q->of_known) {
		e = snapshot_find(a->l->s, row->value[0], row->value[1]);
		if (!e)
			return RC_OK;
	}
	return a->q->take(a->l, e, row->value) == RC_OK ? RC_OK : no_room(a->l);
}

/* ---- tables ---- */

/* Engines that keep their rows in this server and nowhere else, so that all writes to them are seen. */
static bool engine_is_own(struct span engine)
{
	static const char *const own[] = {"InnoDB", "MyISAM",  "Aria", "MEMORY",      "ROCKSDB",
					  "TokuDB", "ARCHIVE", "CSV",  "Columnstore", "ndbcluster"};

	for (size_t i = 0; i < countof(own); i++)
		if (span_ieq(engine, span_str(own[i])))
			return true;
	return false;
}

/* TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TRANSACTIONS */
static enum rc take_table(struct load *l, struct entity *e, const struct span *v)
{
	e = snapshot_get(l->s, v[0], v[1]);
	if (!e)
		return RC_ERROR;
	e->hidden = !rights_see_all(&l->rights, v[0], l->fold);
	if (span_eq(v[2], span_str("VIEW"))) {
		e->kind = CATALOG_VIEW;
		e->why_reads = "the account that reads the schema may not see the view's definition";
		l->s->views++;
	} else if (span_eq(v[2], span_str("BASE TABLE")) || span_eq(v[2], span_str("SYSTEM VERSIONED"))) {
		e->kind = CATALOG_TABLE;
		e->transactional = span_ieq(v[4], span_str("YES"));
		/* A row that was written meanwhile would have been valid until before it began, and such a version is not kept. */
		if (span_eq(v[2], span_str("SYSTEM VERSIONED"))) {
			e->keeps_history = true;
			e->why_not_later = "it keeps its rows' history, in which a write of an earlier time leaves holes";
		}
		if (!engine_is_own(v[3]))
			e->why_reads = e->why_writes =
				v[3].len ? "its engine keeps rows elsewhere" : "the server cannot open it";
		l->s->tables++;
	} else {
		e->why_reads = "it is neither a table nor a view";
	}
	return RC_OK;
}

/* ---- columns that hold times and dates: TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE ---- */

static enum rc take_temporal(struct load *l, struct entity *e, const struct span *v)
{
	(void)l;
	return catalog_add_temporal(e, v[2], v[3]);
}

/* ---- what routines take and give of these: SPECIFIC_SCHEMA, SPECIFIC_NAME, ROUTINE_TYPE, DATA_TYPE ---- */

static enum rc take_temporal_parameter(struct load *l, struct entity *e, const struct span *v)
{
	e = snapshot_get_routine(l->s, v[0], v[1], span_ieq(v[2], span_str("PROCEDURE")));
	if (!e)
		return RC_ERROR;
	e->kinds |= catalog_kind_of_type(v[3]);
	return RC_OK;
}

/* ---- views: TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION ---- */

static enum rc take_view(struct load *l, struct entity *e, const struct span *v)
{
	if (e->kind != CATALOG_VIEW || v[2].len == 0)
		return RC_OK;
	return catalog_take_view(l->s, e, v[2]);
}

/* ---- triggers: EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_STATEMENT, SQL_MODE ---- */

static enum rc take_trigger(struct load *l, struct entity *e, const struct span *v)
{
	l->s->triggers++;
	e->triggered = true;
	return catalog_take_trigger(l->s, e, v[2], v[3]);
}

/* ---- foreign keys: parent schema, parent, child schema, child, whether they change their children ---- */

static enum rc take_foreign_key(struct load *l, struct entity *parent, const struct span *v)
{
	struct entity *child = snapshot_get(l->s, v[2], v[3]);

	if (!child || snapshot_link(&child->needs, parent) != RC_OK)
		return RC_ERROR;
	if (!span_eq(v[4], span_str("1")))
		return RC_OK;
	l->s->cascades++;
	return snapshot_link(&parent->writes, child);
}

/* ---- routines: ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE, ROUTINE_DEFINITION, SQL_MODE, names of parameters ---- */

static enum rc take_routine(struct load *l, struct entity *e, const struct span *v)
{
	bool procedure = span_ieq(v[2], span_str("PROCEDURE"));

	if (!procedure && !span_ieq(v[2], span_str("FUNCTION")))
		return RC_OK;
	l->s->routines++;
	e = snapshot_get_routine(l->s, v[0], v[1], procedure);
	if (!e)
		return RC_ERROR;
	e->kind = CATALOG_ROUTINE;
	return catalog_take_routine(l->s, e, v[3], v[5], v[4]);
}

/* ---- columns that are computed when they are read: TABLE_SCHEMA, TABLE_NAME, GENERATION_EXPRESSION ---- */

static enum rc take_computed(struct load *l, struct entity *e, const struct span *v)
{
	(void)l;
	return catalog_take_computed(e, v[2]);
}

/* ---- columns whose default is an expression: TABLE_SCHEMA, TABLE_NAME, the expression ---- */

static enum rc take_default(struct load *l, struct entity *e, const struct span *v)
{
	(void)l;
	return catalog_take_default(e, v[2]);
}

/* ---- key columns: TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLLATION_NAME, COLUMN_KEY, EXTRA,
 * COLUMN_TYPE, ORDINAL_POSITION ---- */

/* Collations whose equality of ASCII letters and digits is that of the letters without their case: those of the root,
 * not of a language (in Lithuanian i and y are one). */
static bool collation_is_plain(struct span c)
{
	static const char *const sets[] = {"utf8mb4_", "utf8mb3_", "utf8_", "latin1_", "ascii_", "ucs2_", "utf16_", "utf32_"};
	static const char *const names[] = {"bin",		   "nopad_bin",		"general_ci",	      "general_nopad_ci",
					    "unicode_ci",	   "unicode_nopad_ci",	"unicode_520_ci",     "unicode_520_nopad_ci",
					    "general_mysql500_ci", "swedish_ci",	"swedish_nopad_ci",   "0900_ai_ci",
					    "0900_as_ci",	   "0900_as_cs",	"0900_bin",	      "uca1400_ai_ci",
					    "uca1400_as_ci",	   "uca1400_as_cs",	"uca1400_nopad_ai_ci"};
	bool latin = c.len > 7 && memcmp(c.p, "latin1_", 7) == 0;

	for (size_t i = 0; i < countof(sets); i++) {
		size_t n = strlen(sets[i]);

		if (c.len <= n || memcmp(c.p, sets[i], n) != 0)
			continue;
		for (size_t j = 0; j < countof(names); j++)
			if (span_eq(span_of(c.p + n, c.len - n), span_str(names[j])))
				return latin || strncmp(names[j], "swedish", 7) != 0; /* latin1's is the default, and plain */
	}
	return false;
}

static enum rc key_type(const struct span *v, enum catalog_type *type)
{
	static const char *const integers[] = {"tinyint", "smallint", "mediumint", "int", "bigint"};
	static const char *const texts[] = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext"};
	static const char *const bytes[] = {"binary", "varbinary"};

	for (size_t i = 0; i < countof(integers); i++)
		if (span_ieq(v[3], span_str(integers[i]))) {
			*type = CATALOG_INTEGER;
			return RC_OK;
		}
	*type = CATALOG_TEXT;
	for (size_t i = 0; i < countof(texts); i++)
		if (span_ieq(v[3], span_str(texts[i])))
			return collation_is_plain(v[4]) ? RC_OK : RC_DECLINED;
	for (size_t i = 0; i < countof(bytes); i++)
		if (span_ieq(v[3], span_str(bytes[i])))
			return RC_OK;
	return RC_DECLINED;
}

static bool is_wide(struct span collation)
{
	return span_iholds(collation, span_str("ucs2_")) || span_iholds(collation, span_str("utf16_")) || span_iholds(collation, span_str("utf32_"));
}

static uint16_t position_of(struct span s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s.len && i < 4; i++)
		n = n * 10 + (unsigned)(s.p[i] - '0');
	return (uint16_t)n;
}

static enum rc add_integer(struct entity *e, struct span column)
{
	char *grown = mem_realloc(e->integers, e->integers_len + column.len + 1);

	if (!grown)
		return RC_ERROR;
	memcpy(grown + e->integers_len, column.p, column.len);
	e->integers = grown;
	e->integers_len += column.len + 1;
	grown[e->integers_len - 1] = '\0';
	return RC_OK;
}

static enum rc take_column(struct load *l, struct entity *e, const struct span *v)
{
	bool computed = span_iholds(v[6], span_str("VIRTUAL")) || span_iholds(v[6], span_str("STORED")) || span_iholds(v[6], span_str("PERSISTENT"));
	bool numbers = span_iholds(v[6], span_str("auto_increment"));
	struct catalog_key *k;
	enum catalog_type type;
	bool unique;

	(void)l;
	if (e->kind != CATALOG_TABLE)
		return RC_OK;
	if (!v[5].len && !numbers)
		return !computed && key_type(v, &type) == RC_OK && type == CATALOG_INTEGER ? add_integer(e, v[2]) : RC_OK;
	if (!e->keys) {
		e->keys = mem_zalloc(sizeof(*e->keys));
		if (!e->keys)
			return RC_ERROR;
	}
	if (e->keys->n == CATALOG_KEYS_MOST || v[2].len >= sizeof(k->column) || computed || key_type(v, &type) != RC_OK || !v[5].len) {
		e->keys->numbers_unseen |= numbers;
		return RC_OK;
	}
	unique = span_ieq(v[5], span_str("PRI")) || span_ieq(v[5], span_str("UNI"));
	k = &e->keys->at[e->keys->n++];
	*k = (struct catalog_key){.type = type, .unique = unique, .auto_increment = numbers,
				  .is_unsigned = span_iholds(v[7], span_str("unsigned")), .wide = is_wide(v[4]), .position = position_of(v[8])};
	for (size_t i = 0; i < v[2].len; i++)
		k->column[i] = (char)(v[2].p[i] >= 'A' && v[2].p[i] <= 'Z' ? v[2].p[i] | 0x20 : v[2].p[i]);
	return RC_OK;
}

/* ---- how many keys keep rows apart: TABLE_SCHEMA, TABLE_NAME, number ---- */

static enum rc take_key_count(struct load *l, struct entity *e, const struct span *v)
{
	(void)l;
	e->uniques = span_eq(v[2], span_str("1")) ? 1 : 2;
	return RC_OK;
}

/* ---- columns of keys that keep rows apart, those that lead one and beginnings of values: TABLE_SCHEMA, TABLE_NAME,
 * COLUMN_NAME, SUB_PART IS NOT NULL, SEQ_IN_INDEX ---- */

static enum rc take_unique(struct load *l, struct entity *e, const struct span *v)
{
	(void)l;
	if (span_eq(v[3], span_str("1")))
		e->uniques = 2; /* two different values can be in each other's way */
	if (!span_eq(v[4], span_str("1")) || !e->keys)
		return RC_OK;
	/* COLUMN_KEY says of one that leads a key of several columns no more than that it leads an index. */
	for (unsigned i = 0; i < e->keys->n; i++)
		e->keys->at[i].unique |= span_ieq(v[2], span_str(e->keys->at[i].column));
	return RC_OK;
}

/* ---- all of it ---- */

static enum rc take_case(struct load *l, struct entity *e, const struct span *v)
{
	(void)e;
	l->fold = !span_eq(v[0], span_str("0"));
	return RC_OK;
}

static enum rc take_mode(struct load *l, struct entity *e, const struct span *v)
{
	(void)e;
	mem_free(l->s->sql_mode);
	l->s->sql_mode = mem_printf("%.*s", (int)v[0].len, v[0].p);
	return l->s->sql_mode ? RC_OK : RC_ERROR;
}

static enum rc take_grant(struct load *l, struct entity *e, const struct span *v)
{
	(void)e;
	return rights_add(&l->rights, v[0]);
}

/* What decides how the rest is read. */
static const struct question account_questions[] = {
	{1, false, take_case, "SELECT @@global.lower_case_table_names"},
	{1, false, take_grant, "SHOW GRANTS"},
};

/* Later ones speak of what earlier ones have found. */
static const struct question schema_questions[] = {
	{1, false, take_mode, "SELECT @@global.sql_mode"},
	{5, false, take_table,
	 "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, t.ENGINE, e.TRANSACTIONS "
	 "FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE "
	 "WHERE t.TABLE_TYPE <> 'TEMPORARY' AND t.TABLE_SCHEMA " NOT_SYSTEM},
	{4, true, take_temporal,
	 "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS "
	 "WHERE DATA_TYPE IN ('time','date','datetime','timestamp','year') AND TABLE_SCHEMA " NOT_SYSTEM},
	{4, false, take_temporal_parameter,
	 "SELECT SPECIFIC_SCHEMA, SPECIFIC_NAME, ROUTINE_TYPE, DATA_TYPE FROM information_schema.PARAMETERS "
	 "WHERE DATA_TYPE IN ('time','date','datetime','timestamp','year') AND SPECIFIC_SCHEMA " NOT_SYSTEM},
	{3, true, take_view,
	 "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS "
	 "WHERE TABLE_SCHEMA " NOT_SYSTEM},
	{4, true, take_trigger,
	 "SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_STATEMENT, SQL_MODE "
	 "FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA " NOT_SYSTEM},
	{5, true, take_foreign_key,
	 "SELECT UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME, CONSTRAINT_SCHEMA, TABLE_NAME, "
	 "UPDATE_RULE NOT IN ('RESTRICT','NO ACTION') OR DELETE_RULE NOT IN ('RESTRICT','NO ACTION') "
	 "FROM information_schema.REFERENTIAL_CONSTRAINTS"},
	{6, false, take_routine,
	 "SELECT r.ROUTINE_SCHEMA, r.ROUTINE_NAME, r.ROUTINE_TYPE, r.ROUTINE_DEFINITION, r.SQL_MODE, p.NAMES "
	 "FROM information_schema.ROUTINES r LEFT JOIN (SELECT SPECIFIC_SCHEMA, SPECIFIC_NAME, ROUTINE_TYPE, "
	 "GROUP_CONCAT(PARAMETER_NAME) AS NAMES FROM information_schema.PARAMETERS "
	 "WHERE SPECIFIC_SCHEMA " NOT_SYSTEM " GROUP BY 1, 2, 3) p ON p.SPECIFIC_SCHEMA = r.ROUTINE_SCHEMA "
	 "AND p.SPECIFIC_NAME = r.SPECIFIC_NAME AND p.ROUTINE_TYPE = r.ROUTINE_TYPE "
	 "WHERE r.ROUTINE_SCHEMA " NOT_SYSTEM},
	{3, true, take_computed,
	 "SELECT TABLE_SCHEMA, TABLE_NAME, GENERATION_EXPRESSION FROM information_schema.COLUMNS "
	 "WHERE GENERATION_EXPRESSION <> '' AND EXTRA LIKE '%VIRTUAL%' AND TABLE_SCHEMA " NOT_SYSTEM},
	/* MySQL escapes the quotes in an expression, and shows a string as it is; MariaDB shows both as they were written. */
	{3, true, take_default,
	 "SELECT TABLE_SCHEMA, TABLE_NAME, IF(EXTRA LIKE '%DEFAULT_GENERATED%', REPLACE(COLUMN_DEFAULT, CHAR(92,39), CHAR(39)), "
	 "COLUMN_DEFAULT) FROM information_schema.COLUMNS WHERE (COLUMN_DEFAULT LIKE '%(%' OR COLUMN_DEFAULT LIKE '%@%') "
	 "AND (EXTRA LIKE '%DEFAULT_GENERATED%' OR VERSION() LIKE '%MariaDB%') AND TABLE_SCHEMA " NOT_SYSTEM},
	{9, true, take_column,
	 "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLLATION_NAME, COLUMN_KEY, EXTRA, "
	 "COLUMN_TYPE, ORDINAL_POSITION FROM information_schema.COLUMNS "
	 "WHERE (COLUMN_KEY <> '' OR DATA_TYPE IN ('tinyint','smallint','mediumint','int','bigint')) AND TABLE_SCHEMA " NOT_SYSTEM
	 " ORDER BY COLUMN_KEY = 'PRI' DESC, COLUMN_KEY = 'UNI' DESC, ORDINAL_POSITION"},
	{3, true, take_key_count,
	 "SELECT TABLE_SCHEMA, TABLE_NAME, COUNT(*) FROM information_schema.TABLE_CONSTRAINTS "
	 "WHERE CONSTRAINT_TYPE IN ('PRIMARY KEY','UNIQUE') AND TABLE_SCHEMA " NOT_SYSTEM
	 " GROUP BY TABLE_SCHEMA, TABLE_NAME"},
	{5, true, take_unique,
	 "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, SUB_PART IS NOT NULL, SEQ_IN_INDEX FROM information_schema.STATISTICS "
	 "WHERE NON_UNIQUE = 0 AND (SUB_PART IS NOT NULL OR SEQ_IN_INDEX = 1) AND TABLE_SCHEMA " NOT_SYSTEM},
};

static enum rc ask(struct load *l, const struct question *q, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct asked a = {l, &q[i]};

		if (sqlconn_query(l->conn, span_str(q[i].sql), STATEMENT_NS, on_row, &a) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static enum rc load_all(struct load *l)
{
	if (ask(l, account_questions, countof(account_questions)) != RC_OK)
		return RC_ERROR;
	l->s = snapshot_new(l->fold);
	if (!l->s)
		return no_room(l);
	l->s->hash = l->fold;
	return ask(l, schema_questions, countof(schema_questions));
}

static uint64_t hash_rights(const struct rights *r, uint64_t h)
{
	for (const struct schema_right *l = r->granted; l; l = l->next)
		h += map_hash(l->pattern, strlen(l->pattern)) * (l->bits + 1);
	for (const struct schema_right *l = r->revoked; l; l = l->next)
		h += map_hash(l->pattern, strlen(l->pattern)) * (l->bits + 5);
	return h + r->everywhere;
}

enum rc catalog_load(struct sqlconn *c, struct snapshot **out, char *problem, size_t cap)
{
	struct load l = {.conn = c};
	enum rc rc = load_all(&l);

	if (rc == RC_OK) {
		l.s->hash = hash_rights(&l.rights, l.s->hash);
		l.s->rights = l.rights;
		l.rights = (struct rights){0};
		*out = l.s;
	} else {
		snprintf(problem, cap, "%s",
			 l.out_of_memory ? "out of memory, or too many tables"
			 : l.odd         ? "the server's answer is not what was asked for"
					 : sqlconn_error(c));
		snapshot_unref(l.s);
	}
	rights_reset(&l.rights);
	return rc;
}
