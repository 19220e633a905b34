/*
 * advise_values.c - what a sample of the table's rows says: how many match, how many values a column has.
 */
#include "advise_impl.h"
#include "clock.h"

#define LIMIT_NS (3 * NS_PER_SEC) /* the server's own limit is shorter */

static enum rc run(struct sqlconn *c, struct iobuf *sql, sqlconn_row_fn row, void *arg)
{
	enum rc rc = sqlconn_query(c, span_of(iobuf_data(sql), iobuf_len(sql)), LIMIT_NS, row, arg);

	iobuf_reset(sql);
	return rc;
}

static uint64_t number(struct span s)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.len && i < 18 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	return v;
}

static enum rc on_sample(void *arg, const struct sqlconn_row *row)
{
	struct advise_sample *out = arg;

	if (row->n == 2)
		*out = (struct advise_sample){.rows = number(row->value[0]), .match = number(row->value[1])};
	return RC_OK;
}

static bool is_tried(const struct advise_column *c)
{
	return c->use != ADVISE_SORT && c->test.len;
}

/* As a statement may have it. */
static enum rc put_test(struct span test, struct iobuf *sql)
{
	const char *p = test.p, *end = test.p + test.len, *mark;

	while ((mark = memmem(p, (size_t)(end - p), ADVISE_CACHE, strlen(ADVISE_CACHE))) != NULL) {
		if (iobuf_append(sql, p, (size_t)(mark - p)) != RC_OK)
			return RC_ERROR;
		p = mark + strlen(ADVISE_CACHE);
	}
	return iobuf_append(sql, p, (size_t)(end - p));
}

static enum rc put_column(const struct advise_column *c, struct span test, struct iobuf *sql)
{
	if (advise_put_name(sql, c->name) != RC_OK)
		return RC_ERROR;
	return test.len && (iobuf_append(sql, " ", 1) != RC_OK || put_test(test, sql) != RC_OK) ? RC_ERROR : RC_OK;
}

static enum rc put_columns(const struct advise_columns *index, bool test, struct iobuf *sql)
{
	bool first = true;

	for (size_t i = 0; i < index->n; i++) {
		const struct advise_column *c = &index->at[i];

		if (!is_tried(c))
			continue;
		if ((!first && iobuf_printf(sql, "%s", test ? " AND " : ", ") != RC_OK) ||
		    put_column(c, test ? c->test : span_of("", 0), sql) != RC_OK)
			return RC_ERROR;
		if (test && c->other_bound.len && (iobuf_printf(sql, " AND ") != RC_OK || put_column(c, c->other_bound, sql) != RC_OK))
			return RC_ERROR;
		first = false;
	}
	return RC_OK;
}

/* Of the sample those rows that match: test and columns are consumed. */
static enum rc count_matches(struct sqlconn *c, const struct advise_table *t, struct iobuf *test, struct iobuf *columns,
			     struct advise_sample *out)
{
	struct iobuf sql;
	enum rc rc = RC_ERROR;

	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT COUNT(*), SUM(") == RC_OK && iobuf_append(&sql, iobuf_data(test), iobuf_len(test)) == RC_OK &&
	    iobuf_printf(&sql, ") FROM ") == RC_OK &&
	    advise_put_sample(c, t, span_of(iobuf_data(columns), iobuf_len(columns)), &sql) == RC_OK && iobuf_printf(&sql, " s") == RC_OK)
		rc = run(c, &sql, on_sample, out);
	iobuf_reset(&sql);
	iobuf_reset(test);
	iobuf_reset(columns);
	return rc;
}

enum rc advise_look_values(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *index,
			   struct advise_sample *out)
{
	struct iobuf test, columns;
	bool any = false;

	*out = (struct advise_sample){0};
	for (size_t i = 0; i < index->n; i++)
		any |= is_tried(&index->at[i]);
	if (!any)
		return RC_OK;
	iobuf_init(&test, 0);
	iobuf_init(&columns, 0);
	if (put_columns(index, true, &test) != RC_OK || put_columns(index, false, &columns) != RC_OK) {
		iobuf_reset(&test);
		iobuf_reset(&columns);
		return RC_ERROR;
	}
	return count_matches(c, t, &test, &columns, out);
}

static enum rc put_distinct(const struct advise_columns *index, size_t n, const char *before, const char *after,
			    struct iobuf *sql)
{
	for (size_t i = 0; i < n; i++)
		if (iobuf_printf(sql, "%s%s", i ? ", " : "", before) != RC_OK ||
		    advise_put_name(sql, index->at[i].name) != RC_OK || iobuf_printf(sql, "%s", after) != RC_OK)
			return RC_ERROR;
	return RC_OK;
}

enum rc advise_look_share(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *index, struct advise_sample *out)
{
	struct iobuf sql, columns;

	*out = (struct advise_sample){0};
	iobuf_init(&sql, 0);
	iobuf_init(&columns, 0);
	if (put_distinct(index, index->n, "", "", &columns) != RC_OK ||
	    iobuf_printf(&sql, "SELECT COUNT(*), COUNT(*) DIV GREATEST(1, COUNT(DISTINCT " SPAN_FMT ")) FROM ",
			 SPAN_ARG(span_of(iobuf_data(&columns), iobuf_len(&columns)))) != RC_OK ||
	    advise_put_sample(c, t, span_of(iobuf_data(&columns), iobuf_len(&columns)), &sql) != RC_OK || iobuf_printf(&sql, " s") != RC_OK) {
		iobuf_reset(&sql);
		iobuf_reset(&columns);
		return RC_ERROR;
	}
	iobuf_reset(&columns);
	return run(c, &sql, on_sample, out);
}

/* What a server does not take, as a name that only the whole statement has, cannot be tried. */
static enum rc if_taken(const struct sqlconn *c, enum rc rc, struct advise_sample *out)
{
	if (rc == RC_OK)
		return RC_OK;
	*out = (struct advise_sample){0};
	return sqlconn_refused(c) ? RC_OK : RC_ERROR;
}

enum rc advise_look_condition(struct sqlconn *c, const struct advise_table *t, const char *alias, const struct span *terms, size_t n,
			      struct advise_sample *out)
{
	struct advise_columns named = {.n = 0};
	struct iobuf test, columns;
	enum rc rc = RC_OK;

	*out = (struct advise_sample){0};
	iobuf_init(&test, 0);
	iobuf_init(&columns, 0);
	for (size_t i = 0; i < n && rc == RC_OK; i++) {
		if (iobuf_printf(&test, i ? " AND (" : "(") != RC_OK)
			rc = RC_ERROR;
		if (rc == RC_OK)
			rc = advise_put_condition(terms[i], span_str(alias), &test, &named);
		if (rc == RC_OK)
			rc = iobuf_printf(&test, ")");
	}
	for (size_t i = 0; i < named.n && rc == RC_OK; i++)
		if ((i && iobuf_append(&columns, ", ", 2) != RC_OK) || advise_put_name(&columns, named.at[i].name) != RC_OK)
			rc = RC_ERROR;
	if (rc == RC_OK && named.n)
		return if_taken(c, count_matches(c, t, &test, &columns, out), out);
	iobuf_reset(&test);
	iobuf_reset(&columns);
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

enum rc advise_look_spelling(struct sqlconn *c, const struct advise_table *t, const struct advise_column *of, struct advise_sample *out)
{
	struct iobuf test, columns;
	struct span number = of->test;
	enum rc rc;

	*out = (struct advise_sample){0};
	while (number.len && (*number.p == '=' || *number.p == ' '))
		number = span_of(number.p + 1, number.len - 1);
	if (!of->other_is_number && (number.len == 0 || number.len == of->test.len))
		return RC_OK;
	iobuf_init(&test, 0);
	iobuf_init(&columns, 0);
	rc = advise_put_name(&columns, of->name);
	if (rc == RC_OK)
		rc = advise_put_name(&test, of->name);
	if (rc == RC_OK && of->other_is_number) {
		rc = iobuf_printf(&test, " <> CONCAT(");
		if (rc == RC_OK)
			rc = advise_put_name(&test, of->name);
		if (rc == RC_OK)
			rc = iobuf_printf(&test, " + 0)");
	} else if (rc == RC_OK) {
		rc = iobuf_printf(&test, " = " SPAN_FMT " AND ", SPAN_ARG(number));
		if (rc == RC_OK)
			rc = advise_put_name(&test, of->name);
		if (rc == RC_OK)
			rc = iobuf_printf(&test, " <> CONCAT(" SPAN_FMT ")", SPAN_ARG(number));
	}
	if (rc == RC_OK)
		return if_taken(c, count_matches(c, t, &test, &columns, out), out);
	iobuf_reset(&test);
	iobuf_reset(&columns);
	return rc;
}

enum rc advise_look_numbers(struct sqlconn *c, const struct advise_table *t, const char *column, struct advise_sample *out)
{
	struct iobuf test, columns;

	*out = (struct advise_sample){0};
	iobuf_init(&test, 0);
	iobuf_init(&columns, 0);
	if (advise_put_name(&columns, column) == RC_OK && advise_put_name(&test, column) == RC_OK && iobuf_printf(&test, " + 0 <> 0 AND ") == RC_OK &&
	    advise_put_name(&test, column) == RC_OK && iobuf_printf(&test, " <> CONCAT(") == RC_OK && advise_put_name(&test, column) == RC_OK &&
	    iobuf_printf(&test, " + 0)") == RC_OK)
		return if_taken(c, count_matches(c, t, &test, &columns, out), out);
	iobuf_reset(&test);
	iobuf_reset(&columns);
	return RC_ERROR;
}

/* ---- order ---- */

static enum rc on_distinct(void *arg, const struct sqlconn_row *row)
{
	uint64_t *distinct = arg;

	for (size_t i = 0; i < row->n && i < ADVISE_MOST_EQUALS; i++)
		distinct[i] = number(row->value[i]);
	return RC_OK;
}

static void sort(struct advise_columns *index, uint64_t *distinct, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		for (size_t j = i; j > 0 && distinct[j] > distinct[j - 1]; j--) {
			struct advise_column c = index->at[j];
			uint64_t d = distinct[j];

			index->at[j] = index->at[j - 1];
			distinct[j] = distinct[j - 1];
			index->at[j - 1] = c;
			distinct[j - 1] = d;
		}
	}
}

enum rc advise_look_order(struct sqlconn *c, const struct advise_table *t, struct advise_columns *index)
{
	uint64_t distinct[ADVISE_MOST_EQUALS] = {0};
	struct iobuf sql, columns;
	size_t n = 0;
	enum rc rc;

	while (n < index->n && n < ADVISE_MOST_EQUALS && index->at[n].use == ADVISE_EQUALS && !index->at[n].prefix)
		n++;
	if (n < 2)
		return RC_OK;
	iobuf_init(&sql, 0);
	iobuf_init(&columns, 0);
	if (iobuf_printf(&sql, "SELECT ") != RC_OK || put_distinct(index, n, "COUNT(DISTINCT ", ")", &sql) != RC_OK ||
	    iobuf_printf(&sql, " FROM ") != RC_OK || put_distinct(index, n, "", "", &columns) != RC_OK ||
	    advise_put_sample(c, t, span_of(iobuf_data(&columns), iobuf_len(&columns)), &sql) != RC_OK ||
	    iobuf_printf(&sql, " s") != RC_OK) {
		iobuf_reset(&columns);
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	iobuf_reset(&columns);
	rc = run(c, &sql, on_distinct, distinct);
	for (size_t i = 0; i < n; i++)
		distinct[i] = index->at[i].computed ? 0 : distinct[i];
	if (rc == RC_OK)
		sort(index, distinct, n);
	return rc;
}
