/*
 * advise_quoted.c - a string is compared with a number, and no index begins with it. The number keeps one from being used, so that
 * neither an index nor the number as a string helps alone: both do. It is tried on the sample with the number as a string.
 */
#include <stdio.h>

#include "advise_impl.h"

#define MOST_DIGITS 18
#define MOST_TEXT 65536

/* "= 12345", whose digits are how a string has that number. Empty: anything else; 0, too, which each string equals that is no number. */
static struct span digits_of(struct span test)
{
	size_t i = 0;

	if (test.len == 0 || test.p[i++] != '=')
		return span_of(NULL, 0);
	while (i < test.len && test.p[i] == ' ')
		i++;
	test = span_of(test.p + i, test.len - i);
	for (i = 0; i < test.len; i++)
		if (test.p[i] < '0' || test.p[i] > '9')
			return span_of(NULL, 0);
	return test.len <= MOST_DIGITS && test.len && *test.p != '0' ? test : span_of(NULL, 0);
}

/* The statement has the number in these digits; plans write 012 as 12. */
static bool is_sent(struct span text, struct span digits)
{
	struct sql_token t;
	struct sql_scan s;

	sql_scan_init(&s, text, 0);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next_code(&s, &t))
		if (t.kind == SQL_T_NUMBER && span_eq(t.text, digits))
			return true;
	return false;
}

/* Can the statement be mended where it has this column? RC_DECLINED: no. */
static enum rc is_mended(const struct advise_question *q, const struct advise_column *of, const char *alias)
{
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, MOST_TEXT);
	rc = advise_mend(q->sent, of, alias, &sql);
	if (rc == RC_OK && iobuf_len(&sql) == 0)
		rc = RC_DECLINED;
	iobuf_reset(&sql);
	return rc;
}

enum rc advise_quoted_other(struct advise_question *q, const char *alias, struct advise_column *of)
{
	struct advise_columns one = {.n = 1};
	enum rc rc;

	if (of->use != ADVISE_EQUALS || of->other[0] || digits_of(of->test).len == 0)
		return RC_OK;
	rc = is_mended(q, of, alias);
	if (rc != RC_DECLINED) /* the value is sent to this column itself */
		return rc;
	one.at[0] = *of;
	rc = advise_name_other(q->sent, alias, &one.at[0]);
	if (rc == RC_OK)
		rc = advise_look_others(q->c, q->text, &q->facts, q->e->schema, &one);
	if (rc == RC_OK && one.at[0].other_is_number)
		*of = one.at[0];
	return rc;
}

static struct advise_column *converted(struct advise_columns *of)
{
	for (size_t i = 0; i < of->n; i++) {
		struct advise_column *c = &of->at[i];

		if (c->exists && c->use == ADVISE_EQUALS && advise_converted(c) && digits_of(c->test).len)
			return c;
	}
	return NULL;
}

static bool holds(const struct advise_columns *index, const char *name)
{
	for (size_t i = 0; i < index->n; i++)
		if (strcmp(index->at[i].name, name) == 0)
			return true;
	return false;
}

/* An index on what is asked, of which few rows match. */
static enum rc try_index(struct advise_question *q, const struct advise_columns *asked, const char *column, struct advise_verdict *v)
{
	advise_choose(asked, &v->index);
	if (!holds(&v->index, column))
		return RC_DECLINED;
	if (advise_look_order(q->c, &v->table, &v->index) != RC_OK ||
	    advise_look_indexes(q->c, &v->table, &v->index, &v->known) != RC_OK)
		return RC_ERROR;
	if (v->known.serves[0])
		return RC_DECLINED;
	if (advise_look_values(q->c, &v->table, &v->index, &v->sample) != RC_OK)
		return RC_ERROR;
	return v->sample.rows && !advise_too_many_match(v) ? RC_OK : RC_DECLINED;
}

/* Rows that equal a number without being its digits, as '007' does 7, would be lost: there is to be none, whichever is asked for. */
static enum rc means_the_same(struct advise_question *q, const struct advise_verdict *v, const struct advise_column *of)
{
	struct advise_sample spelt;

	if (advise_look_numbers(q->c, &v->table, of->name, &spelt) != RC_OK)
		return RC_ERROR;
	return spelt.rows && spelt.match == 0 ? RC_OK : RC_DECLINED;
}

/* The statement says how: it has the number, or the column whose number it is. */
static enum rc can_be_mended(struct advise_question *q, struct advise_column *of, const char *alias)
{
	enum rc rc = advise_quoted_other(q, alias, of);

	if (rc == RC_OK)
		rc = of->other_is_number || is_sent(q->text, digits_of(of->test)) ? is_mended(q, of, alias) : RC_DECLINED;
	return rc;
}

enum rc advise_quoted(struct advise_question *q, const struct advise_columns *found, struct advise_verdict *v)
{
	struct advise_columns asked = *found;
	struct advise_column *of = converted(&asked), as_number;
	struct advise_verdict made = *v;
	char quoted[MOST_DIGITS + sizeof("= ''")];
	struct span digits;
	enum rc rc;

	if (!of || v->scan.rows < ADVISE_LEAST_ROWS || v->scan.ordered)
		return RC_DECLINED;
	as_number = *of;
	made.by_key = made.far = false;
	digits = digits_of(of->test);
	rc = can_be_mended(q, &as_number, v->scan.table);
	if (rc != RC_OK)
		return rc;
	(void)snprintf(quoted, sizeof(quoted), "= '" SPAN_FMT "'", SPAN_ARG(digits));
	of->test = span_str(quoted);
	rc = try_index(q, &asked, of->name, &made);
	if (rc == RC_OK)
		rc = means_the_same(q, &made, &as_number);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < made.index.n; i++)
		if (strcmp(made.index.at[i].name, as_number.name) == 0)
			made.index.at[i] = as_number;
	made.add = made.quoted = true;
	made.walked = 0;
	*v = made;
	return RC_OK;
}

const struct advise_column *advise_quoted_column(const struct advise_verdict *v)
{
	for (size_t i = 0; i < v->index.n; i++)
		if (advise_converted(&v->index.at[i]))
			return &v->index.at[i];
	return &v->index.at[0];
}

enum rc advise_put_quoted_fix(const struct advise_verdict *v, struct iobuf *out)
{
	const struct advise_column *of = advise_quoted_column(v);
	enum rc rc;

	if (of->other_is_number)
		rc = iobuf_printf(out,
				  "%s is a string and is compared with %s.%s, a number, so each row is converted: no index serves that, and there is "
				  "none. Give both columns one type, or make the number a string, and add", of->name, of->other_table, of->other);
	else
		rc = iobuf_printf(out,
				  "%s is a string and is compared with a number, so each row is converted: no index serves that, and there is none. "
				  "Send the value as a string, and add", of->name);
	if (rc != RC_OK || iobuf_printf(out, " an index on %s.%s (", v->table.schema, v->table.name) != RC_OK ||
	    advise_put_columns(&v->index, false, out) != RC_OK)
		return RC_ERROR;
	return iobuf_printf(out, "): neither helps without the other.");
}
