/*
 * advise_charset.c - two columns of different character set or collation are compared, so that the server converts one of them row by
 * row, and its index is of no use.
 *
 *   l.code = g.code                          latin1 = utf8mb4: l.code is converted, and takes g.code's collation
 *   l.code = g.code COLLATE utf8mb4_bin      what COLLATE says counts
 *   l.code COLLATE utf8mb4_bin = g.code      likewise; and it would hide an index on l.code even so
 *   old_code = g.code                        the table is the one of the statement's that has such a column; but not where there is
 *                                            a subquery, which may have one of its own, or HAVING, where it may be the list's
 *
 * The server itself is the judge: the statement is explained again with the other side converted instead, to what the column has. Only
 * if it then searches the index, a finding is made of it.
 */
#include <stdio.h>

#include "advise_impl.h"
#include "clock.h"
#include "digest.h"
#include "mem.h"

#define LIMIT_NS (3 * NS_PER_SEC) /* the server's own limit is shorter */
#define MOST_TOKENS 2048
#define MOST_TEXT 65536
#define MOST_PLAN (1024 * 1024)

struct side {
	struct span table, column, path; /* table: empty, if it is not said */
	struct span collate; /* behind COLLATE; empty: none */
};

/* ours: of the table that is read whole. */
struct pair {
	struct side ours, other;
	const char *from, *to; /* of the comparison in the text */
};

/* Whose column is it? RC_OK: of the table that is read whole, or not; RC_DECLINED: it cannot be told. */
typedef enum rc (*owner_fn)(void *arg, const struct side *s, bool *is_ours);

struct text {
	struct sql_token t[MOST_TOKENS];
	size_t n;
	struct span all;
};

/* Of a column. */
struct facts {
	char charset[ADVISE_CHARSET], collation[ADVISE_CHARSET];
};

static struct text *read_text(struct span all)
{
	struct text *x = mem_zalloc(sizeof(*x));
	struct sql_scan s;

	if (!x)
		return NULL;
	x->all = all;
	sql_scan_init(&s, all, 0);
	for (sql_scan_next_code(&s, &x->t[0]); x->n + 1 < MOST_TOKENS && x->t[x->n].kind != SQL_T_END && x->t[x->n].kind != SQL_T_BAD;
	     sql_scan_next_code(&s, &x->t[x->n]))
		x->n++;
	if (x->t[x->n].kind != SQL_T_END)
		x->n = 0;
	return x;
}

static bool is_name(const struct text *x, size_t i)
{
	return i < x->n && (x->t[i].kind == SQL_T_WORD || x->t[i].kind == SQL_T_QUOTED);
}

static bool is_any(const struct text *x, size_t i, const char *const *words, size_t n)
{
	for (size_t w = 0; w < n; w++)
		if (sql_token_is_word(&x->t[i], words[w]))
			return true;
	return false;
}

static bool begins(const struct text *x, size_t i)
{
	static const char *const words[] = {"on", "where", "and", "or", "having"};

	return i > 0 && (sql_token_is_op(&x->t[i - 1], '(') || is_any(x, i - 1, words, countof(words)));
}

static bool ends(const struct text *x, size_t i)
{
	static const char *const words[] = {"and",  "or",   "where", "group", "order", "limit", "having",        "union",
					    "left", "right", "inner", "cross", "join",  "for",   "straight_join", "natural"};

	return i >= x->n || sql_token_is_op(&x->t[i], ')') || is_any(x, i, words, countof(words));
}

/* [[schema.]table.]column [COLLATE name] at i. Returns the index behind it, or i. */
static size_t read_side(const struct text *x, size_t i, struct side *out)
{
	size_t at = i;

	*out = (struct side){0};
	while (is_name(x, at)) {
		out->table = out->column;
		out->column = x->t[at].text;
		at++;
		if (at >= x->n || !sql_token_is_op(&x->t[at], '.'))
			break;
		at++;
	}
	if (at == i)
		return i;
	out->path = span_of(x->t[i].text.p, (size_t)(out->column.p + out->column.len - x->t[i].text.p));
	if (at + 1 < x->n && sql_token_is_word(&x->t[at], "collate") && x->t[at + 1].kind == SQL_T_WORD) {
		out->collate = x->t[at + 1].text;
		at += 2;
	}
	return at;
}

static bool is_of(const struct side *s, const char *alias)
{
	char name[ADVISE_NAME];

	return advise_name(s->table, name) == RC_OK && span_ieq(span_str(name), span_str(alias));
}

static enum rc order_sides(const struct side *a, const struct side *b, owner_fn owner, void *arg, struct pair *out)
{
	bool first, second;
	enum rc rc = owner(arg, a, &first);

	if (rc == RC_OK)
		rc = owner(arg, b, &second);
	if (rc != RC_OK || first == second)
		return rc == RC_OK ? RC_DECLINED : rc;
	out->ours = first ? *a : *b;
	out->other = first ? *b : *a;
	return RC_OK;
}

/* The comparison that begins at i, of our column with another table's. */
static enum rc read_pair(const struct text *x, size_t i, owner_fn owner, void *arg, struct pair *out)
{
	struct side a, b;
	size_t mid, end;

	if (!begins(x, i))
		return RC_DECLINED;
	mid = read_side(x, i, &a);
	if (mid == i || mid >= x->n || !sql_token_is_op(&x->t[mid], '='))
		return RC_DECLINED;
	end = read_side(x, mid + 1, &b);
	if (end == mid + 1 || !ends(x, end) || (a.collate.len && b.collate.len))
		return RC_DECLINED;
	out->from = x->t[i].text.p;
	out->to = x->t[end - 1].text.p + x->t[end - 1].text.len;
	return order_sides(&a, &b, owner, arg, out);
}

/* Is a column without its table's name one of the statement's tables', if they have it? */
static bool is_of_tables(const struct text *x)
{
	unsigned selects = 0;

	for (size_t i = 0; i < x->n; i++) {
		if (sql_token_is_word(&x->t[i], "having"))
			return false;
		selects += sql_token_is_word(&x->t[i], "select");
	}
	return selects == 1;
}

/* ---- facts ---- */

static enum rc on_facts(void *arg, const struct sqlconn_row *row)
{
	struct facts *f = arg;

	if (row->n == 2 && row->value[0].len < ADVISE_CHARSET && row->value[1].len < ADVISE_CHARSET) {
		(void)snprintf(f->charset, ADVISE_CHARSET, SPAN_FMT, SPAN_ARG(row->value[0]));
		(void)snprintf(f->collation, ADVISE_CHARSET, SPAN_FMT, SPAN_ARG(row->value[1]));
	}
	return RC_OK;
}

/* RC_DECLINED: it is no string of a table's. */
static enum rc look_facts(struct sqlconn *c, const struct advise_table *t, const char *column, struct facts *out)
{
	struct iobuf sql;
	enum rc rc = RC_ERROR;

	*out = (struct facts){0};
	iobuf_init(&sql, 0);
	if (advise_put_column_of(&sql, "CHARACTER_SET_NAME, COLLATION_NAME", t, column) == RC_OK &&
	    iobuf_printf(&sql, " AND DATA_TYPE IN ('char', 'varchar')") == RC_OK)
		rc = sqlconn_query(c, span_of(iobuf_data(&sql), iobuf_len(&sql)), LIMIT_NS, on_facts, out);
	iobuf_reset(&sql);
	if (rc != RC_OK)
		return RC_ERROR;
	return out->charset[0] && out->collation[0] ? RC_OK : RC_DECLINED;
}

static bool is_bin(const char *collation)
{
	size_t n = strlen(collation);

	return n > 4 && strcmp(collation + n - 4, "_bin") == 0;
}

static bool begins_with(struct span s, const char *charset)
{
	size_t n = strlen(charset);

	return s.len > n + 1 && span_ieq(span_of(s.p, n), span_str(charset)) && s.p[n] == '_';
}

/* Can ours be the one that is converted? The wider of both is not. */
static bool is_narrower(const struct facts *ours, const struct facts *other)
{
	bool wide = strncmp(other->charset, "utf", 3) == 0 || strncmp(other->charset, "ucs", 3) == 0;

	return strcmp(ours->charset, "utf8mb4") != 0 && (strncmp(ours->charset, "utf8", 4) != 0 || wide);
}

/* What the comparison is made in. RC_DECLINED: it is not what keeps our index from being used, or it is not known. */
static enum rc decide(const struct pair *p, const struct facts *ours, const struct facts *other, struct facts *to)
{
	struct span said = p->ours.collate.len ? p->ours.collate : p->other.collate;

	*to = *other;
	if (said.len) {
		if (said.len >= ADVISE_CHARSET || !begins_with(said, other->charset) ||
		    (p->ours.collate.len && strcmp(ours->charset, other->charset) != 0))
			return RC_DECLINED;
		(void)snprintf(to->collation, ADVISE_CHARSET, SPAN_FMT, SPAN_ARG(said));
		for (char *c = to->collation; *c; c++)
			*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
		return strcmp(to->collation, ours->collation) != 0 || p->ours.collate.len ? RC_OK : RC_DECLINED;
	}
	if (strcmp(ours->charset, other->charset) == 0)
		return strcmp(ours->collation, other->collation) != 0 && is_bin(other->collation) ? RC_OK : RC_DECLINED;
	return is_narrower(ours, other) ? RC_OK : RC_DECLINED;
}

/* ---- what the server would do ---- */

/* The text up to the comparison's end, with this in its place: ours = other, converted to what ours has. */
static enum rc put_turned(const struct text *x, const struct pair *p, const struct facts *ours, const struct facts *other, struct iobuf *out)
{
	bool convert = strcmp(ours->charset, other->charset) != 0;

	return iobuf_append(out, x->all.p, (size_t)(p->from - x->all.p)) == RC_OK &&
			       iobuf_printf(out, SPAN_FMT " = %s" SPAN_FMT "%s%s%s collate %s", SPAN_ARG(p->ours.path), convert ? "convert(" : "",
					    SPAN_ARG(p->other.path), convert ? " using " : "", convert ? ours->charset : "", convert ? ")" : "",
					    ours->collation) == RC_OK ?
		       RC_OK :
		       RC_ERROR;
}

/* Rows of the full scans, and whether this alias is among them. */
static uint64_t scanned(const json_t *plan, const char *alias, bool *among)
{
	struct advise_scan scans[ADVISE_MOST_SCANS];
	size_t n = advise_plan_scans(plan, scans);
	uint64_t rows = 0;

	*among = false;
	for (size_t i = 0; i < n; i++) {
		if (scans[i].searched)
			continue;
		rows += scans[i].rows;
		*among |= strcmp(scans[i].table, alias) == 0;
	}
	return rows;
}

/* RC_OK: the table is not read whole any more, nor another one instead; left: rows of those that still are. */
static enum rc judge_plan(struct advise_question *q, struct span plan_text, const char *alias, uint64_t *left)
{
	json_t *plan = json_loadb(plan_text.p, plan_text.len, 0, NULL);
	uint64_t before;
	bool among;

	if (!plan)
		return RC_DECLINED;
	before = scanned(q->plan, alias, &among);
	*left = scanned(plan, alias, &among);
	json_decref(plan);
	return !among && *left * 2 <= before ? RC_OK : RC_DECLINED;
}

static enum rc try_turned(struct advise_question *q, const struct text *x, const struct pair *p, const struct facts *ours,
			  const struct facts *other, const char *alias, uint64_t *left)
{
	struct iobuf sql, plan;
	enum rc rc;

	iobuf_init(&sql, MOST_TEXT);
	iobuf_init(&plan, MOST_PLAN);
	rc = put_turned(x, p, ours, other, &sql);
	if (rc == RC_OK)
		rc = iobuf_append(&sql, p->to, (size_t)(x->all.p + x->all.len - p->to));
	if (rc == RC_OK) {
		rc = advise_plan(q->c, span_of(iobuf_data(&sql), iobuf_len(&sql)), &plan);
		if (rc == RC_ERROR && sqlconn_refused(q->c))
			rc = RC_DECLINED;
	}
	if (rc == RC_OK)
		rc = judge_plan(q, span_of(iobuf_data(&plan), iobuf_len(&plan)), alias, left);
	iobuf_reset(&sql);
	iobuf_reset(&plan);
	return rc;
}

/* ---- one comparison ---- */

static enum rc look_index(struct advise_question *q, const struct advise_table *t, struct advise_recode *r)
{
	struct advise_columns one = {.n = 1};
	struct advise_known known;

	memcpy(one.at[0].name, r->column, ADVISE_NAME);
	one.at[0].use = ADVISE_EQUALS;
	if (advise_look_indexes(q->c, t, &one, &known) != RC_OK)
		return RC_ERROR;
	memcpy(r->index, known.serves, ADVISE_NAME);
	return r->index[0] ? RC_OK : RC_DECLINED;
}

/* Rows that are left to read, those that are looked up as many as are sent. */
static uint64_t left_of(const struct advise_question *q, uint64_t scans)
{
	uint64_t sent = q->e->calls ? q->e->rows_sent / q->e->calls : 0;

	return scans ? scans / ADVISE_LOOKED_UP + sent : STATS_ROWS_UNKNOWN;
}

static enum rc table_of(struct advise_question *q, const struct side *s, struct advise_table *out)
{
	char name[ADVISE_NAME];

	if (advise_name(s->table.len ? s->table : s->column, name) != RC_OK)
		return RC_DECLINED;
	if (!s->table.len)
		return advise_look_owner(q->c, &q->facts, q->e->schema, name, out);
	return advise_table_of(q->text, &q->facts, name, q->e->schema, out) == RC_OK && !out->guessed ? RC_OK : RC_DECLINED;
}

struct asked {
	struct advise_question *q;
	const struct advise_verdict *v;
	bool of_tables;
};

/* By the name before it; else by what the server says of the tables. */
static enum rc owner_asked(void *arg, const struct side *s, bool *is_ours)
{
	struct asked *k = arg;
	struct advise_table t;
	enum rc rc;

	if (s->table.len) {
		*is_ours = is_of(s, k->v->scan.table);
		return RC_OK;
	}
	rc = k->of_tables ? table_of(k->q, s, &t) : RC_DECLINED;
	*is_ours = rc == RC_OK && strcmp(t.name, k->v->table.name) == 0 && strcmp(t.schema, k->v->table.schema) == 0;
	return rc;
}

static enum rc judge_pair(struct advise_question *q, const struct text *x, const struct pair *p, struct advise_verdict *v)
{
	struct advise_recode r = {.drops_collate = p->ours.collate.len > 0};
	struct facts ours, other, to;
	struct advise_table t;
	uint64_t left = 0;
	enum rc rc;

	if (advise_name(p->ours.column, r.column) != RC_OK || advise_name(p->other.column, r.other) != RC_OK)
		return RC_DECLINED;
	rc = table_of(q, &p->other, &t);
	if (rc == RC_OK)
		rc = look_facts(q->c, &v->table, r.column, &ours);
	if (rc == RC_OK)
		rc = look_facts(q->c, &t, r.other, &other);
	if (rc == RC_OK)
		rc = decide(p, &ours, &other, &to);
	if (rc == RC_OK)
		rc = look_index(q, &v->table, &r);
	if (rc == RC_OK)
		rc = try_turned(q, x, p, &ours, &other, v->scan.table, &left);
	if (rc != RC_OK)
		return rc;
	memcpy(r.was, strcmp(ours.charset, to.charset) == 0 ? ours.collation : ours.charset, ADVISE_CHARSET);
	memcpy(r.charset, to.charset, ADVISE_CHARSET);
	memcpy(r.collation, to.collation, ADVISE_CHARSET);
	(void)snprintf(r.other_table, sizeof(r.other_table), "%s.%s", t.schema, t.name);
	r.keeps_collate = strcmp(to.collation, other.collation) != 0;
	r.is_so = strcmp(to.collation, ours.collation) == 0;
	if (is_bin(ours.collation) || is_bin(to.collation))
		r.against = ADVISE_AGAINST_BINARY;
	rc = r.is_so ? RC_OK : advise_look_definition(q->c, &v->table, r.column, &r);
	if (rc != RC_OK)
		return rc;
	v->recode = r;
	v->left = left_of(q, left);
	v->index = (struct advise_columns){.n = 1};
	memcpy(v->index.at[0].name, r.column, ADVISE_NAME);
	v->recoded = true;
	return RC_OK;
}

enum rc advise_recode(struct advise_question *q, struct advise_verdict *v)
{
	bool worth = v->scan.rows >= (v->scan.joined ? ADVISE_LEAST_JOINED : ADVISE_LEAST_ROWS);
	enum rc rc = RC_DECLINED;
	struct asked k = {.q = q, .v = v};
	struct text *x;
	struct pair p;

	if (q->facts.ntables < 2 || v->table.guessed || v->scan.ordered || !worth)
		return RC_DECLINED;
	x = read_text(q->text);
	if (!x)
		return RC_ERROR;
	k.of_tables = is_of_tables(x);
	for (size_t i = 1; i < x->n && rc == RC_DECLINED; i++) {
		rc = read_pair(x, i, owner_asked, &k, &p);
		if (rc == RC_OK)
			rc = judge_pair(q, x, &p, v);
	}
	mem_free(x);
	return rc;
}

/* ---- the words ---- */

enum rc advise_put_recode_reason(const struct advise_verdict *v, struct iobuf *out)
{
	const struct advise_recode *r = &v->recode;

	if (r->is_so)
		return iobuf_printf(out, ": COLLATE at %s, which has that collation, keeps the index %s from being used", r->column, r->index);
	return iobuf_printf(out, ": %s is %s and is compared with %s.%s as %s, so that each row is converted, which the index %s cannot serve",
			    r->column, r->was, r->other_table, r->other, r->charset, r->index);
}

static const char *why_not(enum advise_against against)
{
	static const char *const why[] = {
		[ADVISE_AGAINST_NOTHING] = "",
		[ADVISE_AGAINST_FOREIGN] = "It is part of a foreign key: both of its sides are to be changed together.",
		[ADVISE_AGAINST_GENERATED] = "It is a generated column: what it is made from is to be changed.",
		[ADVISE_AGAINST_UNIQUE] = "It is part of a unique key: values that differ now may be equal then, so look for such first.",
		[ADVISE_AGAINST_BINARY] = "One of both collations is a binary one, which tells letter case apart: which of them is meant is for you to say.",
		[ADVISE_AGAINST_ELSE] = "Its definition, or something else of the table that names it, is to be looked at first.",
	};

	return why[against];
}

enum rc advise_put_recode_fix(const struct advise_verdict *v, struct iobuf *out)
{
	const struct advise_recode *r = &v->recode;

	if (r->is_so)
		return iobuf_printf(out, "%s has the collation that COLLATE asks for at it, and COLLATE hides its index %s. Leave it out, or have it at "
					 "%s.%s.", r->column, r->index, r->other_table, r->other);
	if (iobuf_printf(out,
			 "%s.%s.%s is %s and is compared with %s.%s as %s (%s): each row of the former is converted, and its index %s cannot be "
			 "searched. Give it that character set and collation%s. ",
			 v->table.schema, v->table.name, r->column, r->was, r->other_table, r->other, r->charset, r->collation, r->index,
			 r->drops_collate ? ", and leave out COLLATE at it: neither helps without the other" : "") != RC_OK)
		return RC_ERROR;
	if (r->against != ADVISE_AGAINST_NOTHING)
		return iobuf_printf(out, "%s", why_not(r->against));
	return iobuf_printf(out, "The table is copied by that; whatever else the column is compared with should have them, too.");
}

enum rc advise_put_modify(const struct advise_verdict *v, struct iobuf *out)
{
	const struct advise_recode *r = &v->recode;

	if (r->is_so || r->against != ADVISE_AGAINST_NOTHING)
		return RC_OK;
	if (iobuf_printf(out, "ALTER TABLE ") != RC_OK || advise_put_name(out, v->table.schema) != RC_OK || iobuf_printf(out, ".") != RC_OK ||
	    advise_put_name(out, v->table.name) != RC_OK || iobuf_printf(out, " MODIFY ") != RC_OK || advise_put_name(out, r->column) != RC_OK)
		return RC_ERROR;
	return iobuf_printf(out, " %s", r->definition);
}

/* ours = other, as it is to be once ours has the collation. */
static enum rc put_plain(const struct text *x, const struct pair *p, const struct advise_recode *r, struct iobuf *out)
{
	if (iobuf_append(out, x->all.p, (size_t)(p->from - x->all.p)) != RC_OK ||
	    iobuf_printf(out, SPAN_FMT " = " SPAN_FMT "%s%s", SPAN_ARG(p->ours.path), SPAN_ARG(p->other.path), r->keeps_collate ? " collate " : "",
			 r->keeps_collate ? r->collation : "") != RC_OK)
		return RC_ERROR;
	return iobuf_append(out, p->to, (size_t)(x->all.p + x->all.len - p->to));
}

static bool is_column(const struct side *s, const char *column)
{
	char name[ADVISE_NAME];

	return advise_name(s->column, name) == RC_OK && span_ieq(span_str(name), span_str(column));
}

/* Of the two columns that are known, whose names differ where they stand without their tables'. */
static enum rc owner_known(void *arg, const struct side *s, bool *is_ours)
{
	const struct asked *k = arg;

	*is_ours = s->table.len ? is_of(s, k->v->scan.table) : is_column(s, k->v->recode.column);
	return RC_OK;
}

enum rc advise_put_without_collate(struct span text, const struct advise_verdict *v, struct iobuf *out)
{
	const struct advise_recode *r = &v->recode;
	struct asked known = {.v = v};
	struct text *x = NULL;
	struct iobuf norm;
	struct pair p;
	enum rc rc = RC_OK;

	if (!r->drops_collate)
		return RC_OK;
	iobuf_init(&norm, MOST_TEXT);
	if (sql_normalise_spelt(text, 0, MOST_TEXT, &norm) == RC_OK) {
		x = read_text(span_of(iobuf_data(&norm), iobuf_len(&norm)));
		rc = x ? RC_OK : RC_ERROR;
	}
	for (size_t i = 1; x && i < x->n; i++) {
		if (read_pair(x, i, owner_known, &known, &p) != RC_OK || !p.ours.collate.len || !is_column(&p.ours, r->column) || !is_column(&p.other, r->other))
			continue;
		rc = put_plain(x, &p, r, out);
		break;
	}
	mem_free(x);
	iobuf_reset(&norm);
	return rc;
}
