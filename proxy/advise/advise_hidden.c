/*
 * advise_hidden.c - an index is there, and the way its column is compared keeps it from being used: a function around the
 * column, a string compared with a number, a pattern that fixes no beginning.
 *
 * The statement is mended on its normalised text, so that no literal is in the fix (S2); only where the mended one surely
 * means the same.
 */
#include "advise_impl.h"

#include <string.h>

#include "digest.h"
#include "mem.h"

#define MOST_TOKENS 1024
#define MOST_TEXT 4096

bool advise_converted(const struct advise_column *c)
{
	bool digit = false;

	if (!c->is_text || c->use > ADVISE_RANGE)
		return false;
	if (c->other_is_number)
		return true;
	if (c->test.len && memmem(c->test.p, c->test.len, ADVISE_CACHE, strlen(ADVISE_CACHE)))
		return false; /* its type is not known */
	for (size_t i = 0; i < c->test.len; i++) {
		char ch = c->test.p[i];

		if (ch == '\'' || ch == '"' || ch == '_')
			return false;
		digit |= ch >= '0' && ch <= '9';
	}
	return digit;
}

static bool has(struct span s, const char *what)
{
	return s.len && memmem(s.p, s.len, what, strlen(what));
}

bool advise_may_be_converted(const struct advise_column *c)
{
	if (!c->is_text || c->use > ADVISE_RANGE)
		return false;
	return advise_converted(c) || c->behind_number || (has(c->test, ADVISE_CACHE) && !has(c->test, "'") && !has(c->test, "convert("));
}

static bool is_hidden(const struct advise_column *c)
{
	return c->exists && (c->use == ADVISE_HIDDEN || c->use == ADVISE_PATTERN || advise_converted(c));
}

enum rc advise_hidden(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *found,
		      struct advise_column *of, char index[ADVISE_NAME])
{
	for (size_t i = 0; i < found->n; i++) {
		struct advise_columns one = {.n = 1};
		struct advise_known known;

		if (!is_hidden(&found->at[i]))
			continue;
		one.at[0] = found->at[i];
		one.at[0].use = ADVISE_EQUALS;
		if (advise_look_indexes(c, t, &one, &known) != RC_OK)
			return RC_ERROR;
		if (!known.serves[0])
			continue;
		*of = found->at[i];
		memcpy(index, known.serves, ADVISE_NAME);
		return RC_OK;
	}
	return RC_DECLINED;
}

/* ---- the statement mended ---- */

struct mend {
	struct sql_token t[MOST_TOKENS];
	size_t n;
	const struct advise_column *of;
	const char *alias; /* of its table */
	struct iobuf piece; /* what takes the place of the comparison */
};

static bool is_op(const struct mend *m, size_t i, unsigned op)
{
	return i < m->n && sql_token_is_op(&m->t[i], op);
}

static bool is_word(const struct mend *m, size_t i, const char *word)
{
	return i < m->n && sql_token_is_word(&m->t[i], word);
}

/* Is it the name at i, quoted or not? */
static bool is_name(const struct mend *m, size_t i, const char *name)
{
	char here[ADVISE_NAME];

	return advise_name(m->t[i].text, here) == RC_OK && span_ieq(span_str(here), span_str(name));
}

/* A path that ends in this column, of this table where it names one, from i. Returns the index behind it, or i. */
static size_t path_end(const struct mend *m, size_t i, const char *table, const char *column)
{
	size_t at = i;

	while (at < m->n && (m->t[at].kind == SQL_T_WORD || m->t[at].kind == SQL_T_QUOTED)) {
		if (!is_op(m, at + 1, '.'))
			return is_name(m, at, column) && (at == i || is_name(m, at - 2, table)) ? at + 1 : i;
		at += 2;
	}
	return i;
}

static struct span from_to(const struct mend *m, size_t from, size_t to)
{
	const char *end = m->t[to - 1].text.p + m->t[to - 1].text.len;

	return span_of(m->t[from].text.p, (size_t)(end - m->t[from].text.p));
}

/* A function around the column, compared with something. */
struct compared {
	enum { ROUNDS_DAY, ROUNDS_YEAR, MONTH_OF_YEAR, FOLDS_CASE, CUTS } what;
	enum { COMPARED_NOT, COMPARED_EQUAL, COMPARED_BETWEEN, COMPARED_FROM, COMPARED_BEHIND, COMPARED_BEFORE, COMPARED_UPTO } how;
	struct span path, first, last; /* the column; the value, or BETWEEN's two */
	struct span whole;
};

static bool is_among(const struct mend *m, size_t i, const char *const *words, size_t n)
{
	for (size_t w = 0; w < n; w++)
		if (is_word(m, i, words[w]))
			return true;
	return false;
}

static bool is_param(const struct mend *m, size_t i)
{
	return i < m->n && m->t[i].kind == SQL_T_PARAM;
}

/* INTERVAL ? DAY at i: of whole days, so that a day's beginning stays one. Returns the index behind it, or i: it is another. */
static size_t days_end(const struct mend *m, size_t i)
{
	static const char *const units[] = {"day", "week", "month", "quarter", "year"};

	return is_word(m, i, "interval") && is_param(m, i + 1) && is_among(m, i + 2, units, countof(units)) ? i + 3 : i;
}

/* DATE(..) of what is no column at i: of now, or so long ago. Returns the index behind it, or i. */
static size_t date_end(const struct mend *m, size_t i)
{
	static const char *const words[] = {"now", "current_timestamp", "curdate", "current_date", "utc_date", "utc_timestamp", "date_sub", "date_add",
					    "interval", "second", "minute", "hour", "day", "week", "month", "quarter", "year"};
	int depth = 0;

	if (!is_word(m, i, "date") || !is_op(m, i + 1, '('))
		return i;
	for (size_t at = i + 1; at < m->n; at++) {
		depth += is_op(m, at, '(') - is_op(m, at, ')');
		if (depth == 0)
			return at + 1;
		if (!is_param(m, at) && !is_among(m, at, words, countof(words)) && m->t[at].kind != SQL_T_OP)
			return i;
	}
	return i;
}

/* A day at i: one that is sent, or today. Returns the index behind it, or i: it is another value. */
static size_t day_end(const struct mend *m, size_t i)
{
	static const char *const today[] = {"curdate", "current_date", "utc_date"};
	size_t end = date_end(m, i);

	if (is_param(m, i))
		return i + 1;
	if (end > i)
		return end;
	if (is_among(m, i, today, countof(today)) && is_op(m, i + 1, '(') && is_op(m, i + 2, ')'))
		return i + 3;
	return is_word(m, i, "current_date") ? i + 1 : i;
}

/* A value at i: a day, and days before or behind one. Returns the index behind it, or i: it is another. */
static size_t value_end(const struct mend *m, size_t i)
{
	bool moved = (is_word(m, i, "date_sub") || is_word(m, i, "date_add")) && is_op(m, i + 1, '(');
	size_t from = moved ? i + 2 : i, end = day_end(m, from), behind;

	if (end == from)
		return i;
	if (moved) {
		behind = is_op(m, end, ',') ? days_end(m, end + 1) : end + 1;
		return behind > end + 1 && is_op(m, behind, ')') ? behind + 1 : i;
	}
	while ((is_op(m, end, '+') || is_op(m, end, '-')) && (behind = days_end(m, end + 1)) > end + 1)
		end = behind;
	return end;
}

/* A word at i, as it is sent or in letters of one case. Returns the index behind it, or i: it is another value. */
static size_t word_end(const struct mend *m, size_t i)
{
	static const char *const cases[] = {"lower", "lcase", "upper", "ucase"};

	if (is_among(m, i, cases, countof(cases)) && is_op(m, i + 1, '(') && is_param(m, i + 2) && is_op(m, i + 3, ')'))
		return i + 4;
	return is_param(m, i) ? i + 1 : i;
}

/* What the call that ends before i is compared with. Returns the index behind it, or i: nothing of use. */
static size_t compared_at(const struct mend *m, size_t i, struct compared *c)
{
	static const struct {
		unsigned op;
		int how;
	} ops[] = {{'=', COMPARED_EQUAL}, {SQL_OP_GE, COMPARED_FROM}, {'>', COMPARED_BEHIND}, {'<', COMPARED_BEFORE}, {SQL_OP_LE, COMPARED_UPTO}};
	size_t end = c->what == FOLDS_CASE ? word_end(m, i + 1) : value_end(m, i + 1), last;

	if (end == i + 1)
		return i;
	c->first = c->last = from_to(m, i + 1, end);
	for (unsigned o = 0; o < countof(ops); o++)
		if (is_op(m, i, ops[o].op))
			c->how = ops[o].how;
	if (c->how != COMPARED_NOT)
		return end;
	if (!is_word(m, i, "between") || !is_word(m, end, "and"))
		return i;
	last = value_end(m, end + 1);
	if (last == end + 1)
		return i;
	c->last = from_to(m, end + 1, last);
	c->how = COMPARED_BETWEEN;
	return last;
}

/* The range that a column rounded down to a day or year must be in: from the beginning of what the value names to that of the one behind it. */
static enum rc put_range(struct mend *m, const struct compared *c)
{
	static const struct {
		const char *before, *first, *next; /* around the value */
	} forms[] = {[ROUNDS_DAY] = {"", "", " + interval 1 day"}, [ROUNDS_YEAR] = {"makedate(", ", 1)", " + 1, 1)"}};
	const char *before = forms[c->what].before, *first = forms[c->what].first, *next = forms[c->what].next;
	bool both = c->how == COMPARED_EQUAL || c->how == COMPARED_BETWEEN, from = c->how == COMPARED_FROM || c->how == COMPARED_BEHIND;

	if (both)
		return iobuf_printf(&m->piece, "(" SPAN_FMT " >= %s" SPAN_FMT "%s and " SPAN_FMT " < %s" SPAN_FMT "%s)", SPAN_ARG(c->path), before,
				    SPAN_ARG(c->first), first, SPAN_ARG(c->path), before, SPAN_ARG(c->last), next);
	return iobuf_printf(&m->piece, SPAN_FMT " %s %s" SPAN_FMT "%s", SPAN_ARG(c->path), from ? ">=" : "<", before, SPAN_ARG(c->first),
			    c->how == COMPARED_FROM || c->how == COMPARED_BEFORE ? first : next);
}

/* The sample's value, by the plan, in its quotes. */
static struct span value_of(struct span term)
{
	struct span value = {0};
	struct sql_token t;
	struct sql_scan s;

	sql_scan_init(&s, term, 0);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next_code(&s, &t))
		if (t.kind == SQL_T_STRING)
			value = t.text;
	return value;
}

/* As a pattern it says itself, and nothing else. */
static bool is_plain_value(struct span value)
{
	for (size_t i = 1; i + 1 < value.len; i++) {
		char ch = value.p[i];

		if (ch == '%' || ch == '_' || ch == '\\' || ch == '\'' || ch <= ' ' || ch > '~')
			return false;
	}
	return value.len > 2;
}

static bool is_plain(struct span term)
{
	return is_plain_value(value_of(term));
}

/* 'x%' */
static bool is_beginning(struct span term)
{
	struct span value = value_of(term);

	return value.len > 3 && value.p[value.len - 2] == '%' && is_plain_value(span_of(value.p, value.len - 1));
}

static bool is_digit(uint8_t ch)
{
	return ch >= '0' && ch <= '9';
}

/* '2020-01-01', and '2020-01-01 00:00:00.000': quotes and a day in full, and behind it nothing but noughts. */
static bool is_day(struct span quoted)
{
	static const char shape[] = "dddd-dd-dd";
	size_t i = 1;

	for (; shape[i - 1] && i < quoted.len; i++)
		if (shape[i - 1] == 'd' ? !is_digit((uint8_t)quoted.p[i]) : quoted.p[i] != shape[i - 1])
			return false;
	for (; i + 1 < quoted.len; i++)
		if (!strchr("0 :.T", quoted.p[i]))
			return false;
	return i + 1 == quoted.len;
}

/* '2020-01-01 14:30:00', 20200101143000, '2020-01-01 14', '20200101143000': is anything but noughts behind the day, or is it none in full? */
static bool is_time_of_day(const struct sql_token *t)
{
	if (t->kind == SQL_T_STRING)
		return t->text.len > 2 && is_digit((uint8_t)t->text.p[1]) && !is_day(t->text);
	for (size_t i = strlen("20200101"); t->kind == SQL_T_NUMBER && i < t->text.len; i++)
		if (t->text.p[i] >= '1' && t->text.p[i] <= '9')
			return true;
	return false;
}

/* The sample's value, by the plan, is a moment within a day: no day equals it, nor does the range of its day begin there. */
static bool is_moment(struct span term)
{
	struct sql_token t;
	struct sql_scan s;

	sql_scan_init(&s, term, 0);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next_code(&s, &t))
		if (is_time_of_day(&t))
			return true;
	return false;
}

/* Is each of the values made a day, whatever is sent? */
static bool makes_days(const struct compared *c)
{
	struct span call = span_str("date(");

	return c->first.len > call.len && c->last.len > call.len && span_ieq(span_of(c->first.p, call.len), call) &&
	       span_ieq(span_of(c->last.p, call.len), call);
}

/* What stands for the comparison. RC_DECLINED: it cannot be said. */
static enum rc put_form(struct mend *m, const struct compared *c)
{
	bool dates = (c->what == ROUNDS_DAY || c->what == ROUNDS_YEAR) && !m->of->is_text;

	if (c->what == ROUNDS_DAY && (is_moment(m->of->term) || is_moment(m->of->also)) && !makes_days(c))
		return RC_DECLINED;
	if (dates)
		return put_range(m, c);
	if (c->how != COMPARED_EQUAL)
		return RC_DECLINED;
	if (c->what == FOLDS_CASE && m->of->folds_case)
		return iobuf_printf(&m->piece, SPAN_FMT " = " SPAN_FMT, SPAN_ARG(c->path), SPAN_ARG(c->first));
	/* LIKE finds them; whether the value is as long as what is cut off, the comparison itself still says. */
	if (c->what == CUTS && m->of->is_text && is_plain(m->of->term))
		return iobuf_printf(&m->piece, "(" SPAN_FMT " and " SPAN_FMT " like concat(?, '%%'))", SPAN_ARG(c->whole), SPAN_ARG(c->path));
	return RC_DECLINED;
}

/* The comparison ends before i: what follows is no part of its value. */
static bool ends(const struct mend *m, size_t i)
{
	static const char *const words[] = {"and", "or", "group", "order", "limit", "having", "union", "for", "where", "left", "inner", "join"};

	if (i >= m->n || is_op(m, i, ')') || is_op(m, i, SQL_OP_ANDAND) || is_op(m, i, SQL_OP_OROR))
		return true;
	for (unsigned w = 0; w < countof(words); w++)
		if (is_word(m, i, words[w]))
			return true;
	return false;
}

/* A function's call at i, the column its argument. Returns the index behind it, or i: it is another, or none. */
static size_t call_end(const struct mend *m, size_t i, struct compared *c)
{
	static const struct {
		const char *name, *plan, *other; /* what plans call it */
		int what;
	} calls[] = {{"date", "cast", "date", ROUNDS_DAY},   {"cast", "cast", "cast", ROUNDS_DAY},  {"year", "year", "year", ROUNDS_YEAR},
		     {"month", "month", "month", MONTH_OF_YEAR},
		     {"lower", "lcase", "lower", FOLDS_CASE}, {"upper", "ucase", "upper", FOLDS_CASE}, {"lcase", "lcase", "lower", FOLDS_CASE},
		     {"ucase", "ucase", "upper", FOLDS_CASE}, {"left", "left", "left", CUTS}};
	bool extract = is_word(m, i, "extract") && is_word(m, i + 3, "from"); /* extract(year from path) */
	size_t n = 0, named = extract ? i + 2 : i, at = extract ? i + 4 : i + 2, end = is_op(m, i + 1, '(') ? path_end(m, at, m->alias, m->of->name) : at;
	struct span tried = m->of->function;
	bool month = is_word(m, named, "year") || is_word(m, named, "month"), both = m->of->also.len && !m->of->both_bounds && month;

	while (n < countof(calls) && !is_word(m, named, calls[n].name))
		n++;
	/* Where several stand around the column, the one was tried: what another would find is not known. */
	if (end == at || n == countof(calls) || (extract && !month) ||
	    (!both && !span_ieq(tried, span_str(calls[n].plan)) && !span_ieq(tried, span_str(calls[n].other))))
		return i;
	c->what = calls[n].what;
	c->path = from_to(m, at, end);
	if (is_word(m, i, "cast")) {
		if (!is_word(m, end, "as") || !is_word(m, end + 1, "date"))
			return i;
		end += 2;
	} else if (c->what == CUTS) {
		if (!is_op(m, end, ',') || end + 1 >= m->n || m->t[end + 1].kind != SQL_T_PARAM)
			return i;
		end += 2;
	}
	return is_op(m, end, ')') ? end + 1 : i;
}

/* "function(path) = ?" at i. Returns the index behind it, or i: it is not there. */
static size_t equal_end(const struct mend *m, size_t i, struct compared *c)
{
	size_t end = call_end(m, i, c), behind = end > i ? compared_at(m, end, c) : end;

	return behind > end && c->how == COMPARED_EQUAL && c->first.len == 1 ? behind : i;
}

/* "year(path) = ? and month(path) = ?" at i, or the other way round, as the month's days; the values stay in their order. */
static size_t mend_month(struct mend *m, size_t i)
{
	struct compared a = {.how = COMPARED_NOT}, b = {.how = COMPARED_NOT};
	size_t end = equal_end(m, i, &a), behind;
	enum rc rc;

	if (end == i || !(is_word(m, end, "and") || is_op(m, end, SQL_OP_ANDAND)))
		return i;
	behind = equal_end(m, end + 1, &b);
	if (behind == end + 1 || !ends(m, behind) || m->of->is_text || a.what == b.what)
		return i;
	if (a.what == MONTH_OF_YEAR)
		rc = iobuf_printf(&m->piece, "(" SPAN_FMT " >= interval ? - 1 month + makedate(?, 1) and " SPAN_FMT " < interval ? month + makedate(?, 1))",
				  SPAN_ARG(a.path), SPAN_ARG(b.path));
	else
		rc = iobuf_printf(&m->piece, "(" SPAN_FMT " >= makedate(?, 1) + interval ? - 1 month and " SPAN_FMT " < makedate(?, 1) + interval ? month)",
				  SPAN_ARG(a.path), SPAN_ARG(b.path));
	return rc == RC_OK ? behind : i;
}

/* "function(path) = ?" at i, or another comparison, written anew. Returns the index behind it, or i: it is not there. */
static size_t mend_function(struct mend *m, size_t i)
{
	struct compared c = {.how = COMPARED_NOT};
	size_t end = call_end(m, i, &c), behind = end > i ? compared_at(m, end, &c) : end;

	if (m->of->also.len && !m->of->both_bounds)
		return mend_month(m, i);
	if (behind == end || !ends(m, behind))
		return i;
	/* A pattern and a year are made of a value that is sent: it is one character, its question mark. */
	if (c.what != ROUNDS_DAY && c.what != FOLDS_CASE && (c.first.len != 1 || c.last.len != 1))
		return i;
	c.whole = from_to(m, i, behind);
	return put_form(m, &c) == RC_OK ? behind : i;
}

/* "path = ?" at i: the value as a string. CONCAT takes the collation of what it is compared with; CAST has one of its own, with which
 * the comparison may fail. */
static size_t mend_number(struct mend *m, size_t i)
{
	size_t end = path_end(m, i, m->alias, m->of->name);
	struct span path;

	if (end == i || !is_op(m, end, '=') || end + 1 >= m->n || m->t[end + 1].kind != SQL_T_PARAM || !ends(m, end + 2))
		return i;
	path = from_to(m, i, end);
	return iobuf_printf(&m->piece, SPAN_FMT " = concat(?)", SPAN_ARG(path)) == RC_OK ? end + 2 : i;
}

/* alias.column of the other side at i. Returns the index behind it, or i. */
static size_t other_end(const struct mend *m, size_t i)
{
	size_t end = path_end(m, i, m->of->other_table, m->of->other);

	return end < i + 3 ? i : end;
}

/* "path = other" or "other = path" at i: the other as a string. */
static size_t mend_join(struct mend *m, size_t i)
{
	size_t mid = other_end(m, i), end;
	bool first = mid > i;
	struct span other, path;

	if (!m->of->other_is_exact) /* a FLOAT's digits are cut off, a DECIMAL has its noughts */
		return i;
	if (!first)
		mid = path_end(m, i, m->alias, m->of->name);
	if (mid == i || !is_op(m, mid, '='))
		return i;
	end = first ? path_end(m, mid + 1, m->alias, m->of->name) : other_end(m, mid + 1);
	if (end == mid + 1 || !ends(m, end))
		return i;
	other = first ? from_to(m, i, mid) : from_to(m, mid + 1, end);
	path = first ? from_to(m, mid + 1, end) : from_to(m, i, mid);
	return iobuf_printf(&m->piece, SPAN_FMT " = concat(" SPAN_FMT ")", SPAN_ARG(path), SPAN_ARG(other)) == RC_OK ? end : i;
}

/* What can be mended at i. Returns the index behind it, or i. */
/* "path like binary ?" at i: LIKE finds them, and some in other letters, which the comparison itself drops. */
static size_t mend_bytes(struct mend *m, size_t i)
{
	size_t end = path_end(m, i, m->alias, m->of->name);
	struct span path;

	if (end == i || !is_word(m, end, "like") || !is_word(m, end + 1, "binary") || end + 2 >= m->n || m->t[end + 2].kind != SQL_T_PARAM || !ends(m, end + 3) ||
	    !is_beginning(m->of->term))
		return i;
	path = from_to(m, i, end);
	return iobuf_printf(&m->piece, "(" SPAN_FMT " and " SPAN_FMT " like ?)", SPAN_ARG(from_to(m, i, end + 3)), SPAN_ARG(path)) == RC_OK ? end + 3 : i;
}

static size_t mend_at(struct mend *m, size_t i)
{
	if (m->of->as_bytes)
		return mend_bytes(m, i);
	if (m->of->use == ADVISE_HIDDEN)
		return mend_function(m, i);
	return m->of->other_is_number ? mend_join(m, i) : mend_number(m, i);
}

static bool read_tokens(struct mend *m, struct span text)
{
	struct sql_scan s;

	sql_scan_init(&s, text, 0);
	for (m->n = 0; m->n < MOST_TOKENS; m->n++) {
		sql_scan_next(&s, &m->t[m->n]);
		if (m->t[m->n].kind == SQL_T_END)
			return true;
		if (m->t[m->n].kind == SQL_T_BAD)
			return false;
	}
	return false;
}

/* The next place from *i on that can be mended, in m->piece. Returns the index behind it; n: there is none. */
static size_t mend_next(struct mend *m, size_t *i)
{
	for (; *i < m->n; (*i)++) {
		size_t end = *i > 0 && is_op(m, *i - 1, '.') ? *i : mend_at(m, *i); /* not in the middle of a path */

		if (end > *i)
			return end;
	}
	return m->n;
}

/* The first place that can be mended is, of two bounds both; nothing is appended where one of them is not there. */
static enum rc mend(struct mend *m, struct span text, struct iobuf *out)
{
	const char *rest = text.p, *end = text.p + text.len;
	size_t places = m->of->both_bounds ? 2 : 1;
	struct iobuf made;
	enum rc rc = RC_OK;

	iobuf_init(&made, MOST_TEXT);
	for (size_t i = 0; places && rc == RC_OK; places--) {
		size_t behind = mend_next(m, &i);

		if (i == m->n)
			break;
		if (iobuf_append(&made, rest, (size_t)(m->t[i].text.p - rest)) != RC_OK ||
		    iobuf_append(&made, iobuf_data(&m->piece), iobuf_len(&m->piece)) != RC_OK)
			rc = RC_ERROR;
		iobuf_reset(&m->piece);
		rest = m->t[behind - 1].text.p + m->t[behind - 1].text.len;
		i = behind;
	}
	if (rc == RC_OK && places == 0 &&
	    (iobuf_append(out, iobuf_data(&made), iobuf_len(&made)) != RC_OK || iobuf_append(out, rest, (size_t)(end - rest)) != RC_OK))
		rc = RC_ERROR;
	iobuf_reset(&made);
	return rc;
}

/* "table.column" of another table at i. Returns the index behind it, or i. */
static size_t column_end(const struct mend *m, size_t i)
{
	size_t at = i;

	while (at < m->n && (m->t[at].kind == SQL_T_WORD || m->t[at].kind == SQL_T_QUOTED)) {
		if (!is_op(m, at + 1, '.'))
			return at > i && !is_name(m, at - 2, m->alias) ? at + 1 : i;
		at += 2;
	}
	return i;
}

/* "path = other" or "other = path" at i, whatever the other's name. Returns the index behind the other column, or i. */
static size_t other_at(const struct mend *m, size_t i)
{
	size_t own = path_end(m, i, m->alias, m->of->name), end = own > i ? column_end(m, own + 1) : column_end(m, i), behind;

	if (own > i)
		return is_op(m, own, '=') && end > own + 1 && ends(m, end) ? end : i;
	if (end == i || !is_op(m, end, '='))
		return i;
	behind = path_end(m, end + 1, m->alias, m->of->name);
	return behind > end + 1 && ends(m, behind) ? end : i;
}

static void take_other(const struct mend *m, size_t end, struct advise_column *of)
{
	if (advise_name(m->t[end - 3].text, of->other_table) != RC_OK || advise_name(m->t[end - 1].text, of->other) != RC_OK)
		of->other[0] = '\0';
}

static void name_other(const struct mend *m, struct advise_column *of)
{
	size_t end = 0;

	for (size_t i = 0; i < m->n && end == 0; i++)
		if (i == 0 || !is_op(m, i - 1, '.')) /* else in the middle of a path */
			end = other_at(m, i) > i ? other_at(m, i) : 0;
	if (end)
		take_other(m, end, of);
}

enum rc advise_mend(struct span text, const struct advise_column *of, const char *alias, struct iobuf *sql)
{
	struct mend *m;
	struct iobuf norm;
	enum rc rc = RC_OK;

	if (of->use == ADVISE_PATTERN || of->spelt)
		return RC_OK;
	m = mem_zalloc(sizeof(*m));
	if (!m)
		return RC_ERROR;
	m->of = of;
	m->alias = alias;
	iobuf_init(&m->piece, MOST_TEXT);
	iobuf_init(&norm, MOST_TEXT);
	if (sql_normalise_spelt(text, 0, MOST_TEXT, &norm) == RC_OK &&
	    read_tokens(m, span_of(iobuf_data(&norm), iobuf_len(&norm))))
		rc = mend(m, span_of(iobuf_data(&norm), iobuf_len(&norm)), sql);
	iobuf_reset(&norm);
	iobuf_reset(&m->piece);
	mem_free(m);
	return rc;
}

enum rc advise_name_other(struct span text, const char *alias, struct advise_column *of)
{
	struct mend *m;
	struct iobuf norm;

	m = mem_zalloc(sizeof(*m));
	if (!m)
		return RC_ERROR;
	m->of = of;
	m->alias = alias;
	iobuf_init(&norm, MOST_TEXT);
	if (sql_normalise_spelt(text, 0, MOST_TEXT, &norm) == RC_OK &&
	    read_tokens(m, span_of(iobuf_data(&norm), iobuf_len(&norm))))
		name_other(m, of);
	iobuf_reset(&norm);
	mem_free(m);
	return RC_OK;
}

enum rc advise_hidden_fix(struct span text, const struct advise_column *of, const char *alias, const char *index, struct iobuf *words,
			  struct iobuf *sql)
{
	enum rc rc;

	if (of->use == ADVISE_PATTERN)
		return iobuf_printf(words,
				    "The pattern for %s begins with a wildcard, so the index %s cannot be searched. Search by "
				    "the beginning, or with a FULLTEXT index and MATCH ... AGAINST.",
				    of->name, index);
	if (of->as_bytes) {
		rc = iobuf_printf(words,
				  "LIKE BINARY compares %s byte by byte, and its index %s stands in the order of letters, so it cannot be searched. Where "
				  "letters of either case may be found, leave BINARY out (Django: istartswith in place of startswith); else compare by both.",
				  of->name, index);
		return rc == RC_OK ? advise_mend(text, of, alias, sql) : rc;
	}
	if (of->pattern)
		return iobuf_printf(words,
				    "%s is no string and is searched by LIKE, so each row's is made one and its index %s cannot be searched. Compare it "
				    "as what it is: a date with a range, from the first moment to before the one behind the last.",
				    of->name, index);
	if (of->use == ADVISE_HIDDEN)
		rc = iobuf_printf(words,
				  "%s stands inside a function or an expression, so its index %s cannot be searched: every row "
				  "is computed. Compare the bare column, with a range where the function rounds (a day, a year), "
				  "with LIKE where it cuts; "
				  "or index the expression (MySQL: a functional index; MariaDB: a generated column that the "
				  "statement then names).",
				  of->name, index);
	else if (of->other_is_number)
		rc = iobuf_printf(words,
				  "%s is a string and is compared with %s.%s, a number, so each row is converted and its index %s "
				  "cannot be searched. Give both columns one type; until then make the number a string.",
				  of->name, of->other_table, of->other, index);
	else
		rc = iobuf_printf(words,
				  "%s is a string and is compared with a number, so each row is converted and its index %s "
				  "cannot be searched. %s",
				  of->name, index,
				  of->use == ADVISE_RANGE ? "Strings stand in another order than numbers ('9' behind '10'), so the value sent as a string "
							    "would find other rows: give the column a type of numbers."
							  : "Send the value as a string.");
	if (rc == RC_OK && of->spelt)
		rc = iobuf_printf(words, " Some rows equal it as a number alone, as '007' does 7: make all of one spelling first.");
	return rc == RC_OK ? advise_mend(text, of, alias, sql) : rc;
}
