/*
 * batch.c - the one statement that a loop's child becomes when it is asked of many keys at once, from the child's normalised text:
 *
 *   select name from items where shop = ? and owner = ? order by name
 *   select name, owner from items where shop = ? and owner in (?, ?, ...) order by name
 *
 * with the key among what is selected, so that the rows can be dealt out. It is said only where each key's rows are those that it had
 * alone: nothing is counted, cut off or joined by OR, and of several values just one was seen to vary. Of a look whether there is one
 * ("select 1 from .. limit 1") the keys that have one are the answer.
 */
#include "findings.h"

#include <ctype.h>

#include "iobuf.h"

/* A child that can be asked of many keys at once. */
struct batch {
	struct span column;      /* compared with the key; in the text */
	const char *mark;        /* the key's question mark */
	const char *from, *where, *end; /* of FROM, of the conditions, in the text; with the parentheses around them */
	const char *order;       /* ORDER BY behind them, or "" */
	bool condensed;          /* it gives one number for a key, */
	bool marked;             /* or a value of the statement's own, if there is a row */
	bool limited;
};

static bool begins(const char *p, const char *word)
{
	return strncasecmp(p, word, strlen(word)) == 0;
}

static size_t name_len(const char *p)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || (p[n] && strchr("_`.$", p[n])))
		n++;
	return n;
}

static const char *blanks(const char *p)
{
	while (*p == ' ')
		p++;
	return p;
}

static const char *last_of(const char *text, const char *word)
{
	const char *found = NULL;

	for (const char *at = strcasestr(text, word); at; at = strcasestr(at + 1, word))
		found = at;
	return found;
}

/* The how many-th question mark of the text that at p is. */
static unsigned mark_number(const char *text, const char *p)
{
	unsigned n = 0;

	for (; text < p; text++)
		n += *text == '?';
	return n;
}

/* Was it the only one whose value varied? */
static bool varies_alone(const char *text, const char *mark, uint64_t varied)
{
	unsigned n = mark_number(text, mark);

	return n < 62 && varied == UINT64_C(1) << n;
}

/* Behind "=", "<>" and the like at p; p: nothing of the kind is there. */
static const char *operator_end(const char *p)
{
	static const char *const ops[] = {"<>", "!=", "<=", ">=", "<", ">", "="};

	for (unsigned i = 0; i < countof(ops); i++)
		if (begins(p, ops[i]))
			return p + strlen(ops[i]);
	return p;
}

/* Is nothing of the term itself at p any more? */
static bool is_behind(const char *p)
{
	return *p == '\0' || *p == ')' || begins(p, "and ") || begins(p, "order by ") || begins(p, "limit ");
}

/* "name" and "not name", a column of truth. Returns what is behind it; NULL: it is something else. */
static const char *truth_end(const char *p)
{
	size_t n;

	if (begins(p, "not "))
		p = blanks(p + strlen("not "));
	n = name_len(p);
	return n && is_behind(blanks(p + n)) ? p + n : NULL;
}

/* "name = ?", "name = name", "name is [not] ?", which is NULL, a column of truth, and other comparisons with a value. Returns what is behind
 * it; NULL: it is something else. *key: the question mark that a key may stand at, else NULL. */
static const char *term_end(const char *p, struct span *column, const char **key)
{
	struct span name = span_of(p, name_len(p));
	const char *op, *value;

	*key = NULL;
	if (truth_end(p))
		return truth_end(p);
	p = blanks(p + name.len);
	if (name.len == 0)
		return NULL;
	if (begins(p, "is ")) {
		p += begins(p, "is not ") ? strlen("is not ") : strlen("is ");
		return *p == '?' ? p + 1 : NULL;
	}
	op = p;
	p = operator_end(op);
	value = blanks(p);
	if (p == op || (*value != '?' && (*op != '=' || name_len(value) == 0)))
		return NULL;
	if (*value != '?')
		return value + name_len(value);
	if (*op == '=') {
		*column = name;
		*key = value;
	}
	return value + 1;
}

/* Conditions joined by AND, from b->where, in parentheses or not; values beside the key's are the same each time. */
static bool read_terms(const char *text, uint64_t varied, struct batch *b)
{
	const char *p = b->where, *at, *mark;
	unsigned values = 0, open = 0;
	struct span column;

	for (;;) {
		for (; *p == '('; p = blanks(p + 1))
			open++;
		at = p;
		p = term_end(p, &column, &mark);
		if (!p)
			return false;
		values += p[-1] == '?' && !begins(blanks(at + name_len(at)), "is ");
		if (mark && (!b->mark || varies_alone(text, mark, varied))) {
			b->mark = mark;
			b->column = column;
		}
		for (; open && *blanks(p) == ')'; p = blanks(p) + 1)
			open--;
		b->end = p;
		p = blanks(p);
		if (!begins(p, "and "))
			break;
		p = blanks(p + strlen("and "));
	}
	return open == 0 && b->mark && (values == 1 || varies_alone(text, b->mark, varied));
}

/* Behind an ORDER BY of the key alone, of which each has but one; p: it is something else. */
static const char *own_order_end(const struct batch *b, const char *p)
{
	const char *name = p + strlen("order by "), *end = blanks(name + name_len(name));

	if (!span_ieq(span_of(name, name_len(name)), b->column))
		return p;
	if (begins(end, "asc ") || begins(end, "desc "))
		end = blanks(strchr(end, ' '));
	return end;
}

/* Nothing behind the conditions that is about one key's rows alone: a LIMIT is, but for one that finds any. */
static bool read_order(struct batch *b)
{
	const char *p = blanks(b->end);

	b->order = "";
	if (begins(p, "order by ") && strcasecmp(own_order_end(b, p), "limit ?") == 0)
		p = own_order_end(b, p);
	if (begins(p, "order by ")) {
		b->order = p;
		return !strpbrk(p, "?(") && !strcasestr(p, " limit") && !strcasestr(p, " for ") && !strcasestr(p, " lock ");
	}
	b->limited = *p != '\0';
	return !b->limited || strcasecmp(p, "limit ?") == 0;
}

/* "[as name] from" at p, behind what is selected */
static bool is_last_selected(const char *p)
{
	p = blanks(p);
	if (begins(p, "as "))
		p = blanks(p + strlen("as ") + name_len(p + strlen("as ")));
	return begins(p, "from ");
}

/* "select count(..) [as name] from", and the like. */
static bool is_number(const char *text)
{
	static const char *const names[] = {"count(", "max(", "min(", "sum(", "avg("};
	const char *p = text + strlen("select "), *close = strchr(p, ')');
	bool known = false;

	for (unsigned i = 0; i < countof(names); i++)
		known |= begins(p, names[i]);
	if (!known || !close || memchr(strchr(p, '(') + 1, '(', (size_t)(close - strchr(p, '(') - 1)))
		return false;
	return is_last_selected(close + 1);
}

/* "select ? [as name] from", its question mark in parentheses or not. */
static bool is_marked(const char *text)
{
	const char *p = text + strlen("select ");
	bool inside = *p == '(';

	if (p[inside] != '?' || (inside && p[2] != ')'))
		return false;
	return is_last_selected(p + (inside ? 3 : 1));
}

/* What a join compares may stand in parentheses, a derived table may not. */
static bool is_flat(const char *text, const struct batch *b)
{
	const char *list_end = b->condensed || b->marked ? text : b->from;

	return !memchr(text, '(', (size_t)(list_end - text)) && !strcasestr(text + 1, "select ");
}

/* "select .. where <name> = ?", which may have more conditions; nothing is computed of one key's rows but a number. */
static bool read_batch(const char *text, uint64_t varied, struct batch *b)
{
	const char *p = last_of(text, " where "), *from = strcasestr(text, " from "), *list_end;

	if (!begins(text, "select ") || !p || !from || from > p || strcasestr(text, " union "))
		return false;
	*b = (struct batch){.from = from, .condensed = is_number(text), .marked = is_marked(text)};
	list_end = b->marked ? from : text;
	if (memchr(list_end, '?', (size_t)(p - list_end)))
		return false;
	b->where = blanks(p + strlen(" where "));
	return is_flat(text, b) && read_terms(text, varied, b) && read_order(b) && !((b->condensed || b->marked) && *b->order) &&
	       (!b->marked || b->limited); /* else it gives as many as there are */
}

/* ---- what is selected ---- */

/* A name's last part, and what stands before its dot; without quotes. */
struct path {
	struct span of, name;
};

static struct span bare(struct span s)
{
	return s.len > 1 && s.p[0] == '`' && s.p[s.len - 1] == '`' ? span_of(s.p + 1, s.len - 2) : s;
}

static struct path path_of(struct span s)
{
	const char *dot = memrchr(s.p, '.', s.len), *before;
	struct span of;

	if (!dot)
		return (struct path){.name = bare(s)};
	of = span_of(s.p, (size_t)(dot - s.p));
	before = memrchr(of.p, '.', of.len);
	if (before) /* schema.table.column */
		of = span_of(before + 1, (size_t)(of.p + of.len - before) - 1);
	return (struct path){bare(of), bare(span_of(dot + 1, (size_t)(s.p + s.len - dot) - 1))};
}

/* Is the column what this item of the list gives? single: of the only table there is. */
static bool gives(const char *item, struct path column, bool single)
{
	struct span name = span_of(item, name_len(item));
	bool all = item[name.len] == '*';
	const char *behind = blanks(item + name.len);
	struct path p = path_of(name);

	if (all && name.len == 0)
		return true;
	if (!all && (!span_ieq(p.name, column.name) || (*behind != ',' && !name_len(behind)))) /* or it is computed */
		return false;
	if (p.of.len && column.of.len)
		return span_ieq(p.of, column.of);
	return single || !all;
}

static bool selects(const struct batch *b, const char *list)
{
	bool single = !memchr(b->from, ',', (size_t)(b->where - b->from)) && !memmem(b->from, (size_t)(b->where - b->from), " join ", 6);
	struct path column = path_of(b->column);

	for (const char *p = list; p && p < b->from; p = memchr(p, ',', (size_t)(b->from - p))) {
		p = blanks(p + (*p == ','));
		if (begins(p, "distinct "))
			p = blanks(p + strlen("distinct "));
		if (gives(p, column, single))
			return true;
	}
	return false;
}

/* ---- the statement ---- */

/* Its question marks behind IS are NULL. */
static enum rc put_part(struct iobuf *out, const char *from, const char *to)
{
	for (const char *p = from; p < to; p++) {
		bool null = *p == '?' && ((p - from >= 3 && begins(p - 3, "is ")) || (p - from >= 4 && begins(p - 4, "not ")));

		if (iobuf_append(out, null ? "null" : p, null ? 4 : 1) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static enum rc put_selected(const char *text, const struct batch *b, struct iobuf *out)
{
	const char *list = text + strlen("select ");

	if (b->marked)
		return iobuf_printf(out, "select distinct " SPAN_FMT, SPAN_ARG(b->column));
	if (b->condensed)
		return iobuf_printf(out, "select " SPAN_FMT ", " SPAN_FMT, SPAN_ARG(b->column), SPAN_ARG(span_of(list, (size_t)(b->from - list))));
	if (iobuf_append(out, text, (size_t)(b->from - text)) != RC_OK)
		return RC_ERROR;
	return selects(b, list) ? RC_OK : iobuf_printf(out, ", " SPAN_FMT, SPAN_ARG(b->column));
}

/* A LIMIT may have cut a key's rows off, as LIMIT 1 always does, but of one number, one look, or one table's row by its id. */
static bool cuts_off(const struct batch *b, bool few)
{
	struct span tables = span_of(b->from, (size_t)(b->where - b->from));

	if (!b->limited)
		return false;
	if (!few)
		return true;
	return !b->condensed && !b->marked &&
	       (!span_ieq(path_of(b->column).name, span_str("id")) || memchr(tables.p, ',', tables.len) || memmem(tables.p, tables.len, " join ", 6));
}

enum rc batch_put(const char *text, uint64_t varied, bool few, struct iobuf *out)
{
	struct batch b;

	if (!read_batch(text, varied, &b) || cuts_off(&b, few))
		return RC_DECLINED;
	if (put_selected(text, &b, out) != RC_OK || put_part(out, b.from, b.column.p) != RC_OK ||
	    iobuf_printf(out, SPAN_FMT " in (?, ?, ...)", SPAN_ARG(b.column)) != RC_OK || put_part(out, b.mark + 1, b.end) != RC_OK)
		return RC_ERROR;
	if (b.condensed)
		return iobuf_printf(out, " group by " SPAN_FMT, SPAN_ARG(b.column));
	return *b.order ? iobuf_printf(out, " %s", b.order) : RC_OK;
}
