/*
 * advise_sample.c - which rows of a table stand for all of it. Its first are its oldest, which may be unlike the rest: a large table
 * is sampled in slices of its primary key, where that is a whole number, else at both ends of it.
 */
#include <stdio.h>

#include "advise_impl.h"
#include "clock.h"

#define LIMIT_NS (3 * NS_PER_SEC) /* the server's own limit is shorter */
#define SAMPLE_ROWS 10000
#define SLICES 20
#define MOST_GAPS 4 /* keys a row */
#define MOST_KEY 4 /* columns of a primary key that are looked at */

__extension__ typedef __int128 wide; /* a BIGINT of either kind */

/* Of the primary key. */
struct key {
	char column[MOST_KEY][ADVISE_NAME];
	size_t n;
	bool whole;    /* one column, of whole numbers */
	uint64_t rows; /* the server's estimate of the table's */
};

struct bounds {
	wide least, most;
	bool told;
};

static enum rc run(struct sqlconn *c, struct iobuf *sql, sqlconn_row_fn row, void *arg)
{
	enum rc rc = sqlconn_query(c, span_of(iobuf_data(sql), iobuf_len(sql)), LIMIT_NS, row, arg);

	iobuf_reset(sql);
	return rc;
}

static enum rc on_key(void *arg, const struct sqlconn_row *row)
{
	static const char *const whole[] = {"tinyint", "smallint", "mediumint", "int", "bigint"};
	struct key *k = arg;

	if (row->n < 3 || row->value[0].len >= ADVISE_NAME || k->n == MOST_KEY)
		return RC_OK;
	snprintf(k->column[k->n], ADVISE_NAME, SPAN_FMT, SPAN_ARG(row->value[0]));
	k->whole = false;
	for (size_t i = 0; k->n == 0 && i < countof(whole); i++)
		k->whole |= span_ieq(row->value[1], span_str(whole[i]));
	k->n++;
	k->rows = advise_number(row->value[2]);
	return RC_OK;
}

static enum rc put_table_is(struct iobuf *sql, const char *prefix, const struct advise_table *t)
{
	return iobuf_printf(sql, "%s.", prefix) == RC_OK && advise_put_is(sql, "TABLE_SCHEMA", t->schema) == RC_OK &&
			       iobuf_printf(sql, " AND %s.", prefix) == RC_OK ?
		       advise_put_is(sql, "TABLE_NAME", t->name) :
		       RC_ERROR;
}

static enum rc look_key(struct sqlconn *c, const struct advise_table *t, struct key *out)
{
	struct iobuf sql;

	*out = (struct key){.n = 0};
	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT s.COLUMN_NAME, c.DATA_TYPE, COALESCE(t.TABLE_ROWS, 0) FROM information_schema.STATISTICS s,"
			       " information_schema.COLUMNS c, information_schema.TABLES t WHERE ") != RC_OK ||
	    put_table_is(&sql, "s", t) != RC_OK || iobuf_printf(&sql, " AND ") != RC_OK || put_table_is(&sql, "c", t) != RC_OK ||
	    iobuf_printf(&sql, " AND ") != RC_OK || put_table_is(&sql, "t", t) != RC_OK ||
	    iobuf_printf(&sql, " AND s.INDEX_NAME='PRIMARY' AND c.COLUMN_NAME=s.COLUMN_NAME ORDER BY s.SEQ_IN_INDEX") != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	return run(c, &sql, on_key, out);
}

static enum rc on_rows(void *arg, const struct sqlconn_row *row)
{
	uint64_t *rows = arg;

	*rows = row->n ? advise_number(row->value[0]) : 0;
	return RC_OK;
}

enum rc advise_look_rows(struct sqlconn *c, const struct advise_table *t, uint64_t *rows)
{
	struct iobuf sql;

	*rows = 0;
	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT COALESCE(TABLE_ROWS, 0) FROM information_schema.TABLES WHERE ") != RC_OK ||
	    advise_put_of(&sql, t->schema, t->name) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	return run(c, &sql, on_rows, rows);
}

static wide whole_number(struct span s)
{
	bool minus = s.len && s.p[0] == '-';
	wide v = 0;

	for (size_t i = minus; i < s.len && i < 21 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		v = v * 10 + (s.p[i] - '0');
	return minus ? -v : v;
}

static enum rc on_bounds(void *arg, const struct sqlconn_row *row)
{
	struct bounds *b = arg;

	if (row->n == 2 && row->value[0].len && row->value[1].len)
		*b = (struct bounds){whole_number(row->value[0]), whole_number(row->value[1]), true};
	return RC_OK;
}

static enum rc put_path(struct iobuf *sql, const struct advise_table *t)
{
	return advise_put_name(sql, t->schema) == RC_OK && iobuf_append(sql, ".", 1) == RC_OK ? advise_put_name(sql, t->name) : RC_ERROR;
}

static enum rc look_bounds(struct sqlconn *c, const struct advise_table *t, const struct key *k, struct bounds *out)
{
	struct iobuf sql;

	*out = (struct bounds){.told = false};
	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT MIN(") != RC_OK || advise_put_name(&sql, k->column[0]) != RC_OK ||
	    iobuf_printf(&sql, "), MAX(") != RC_OK || advise_put_name(&sql, k->column[0]) != RC_OK ||
	    iobuf_printf(&sql, ") FROM ") != RC_OK || put_path(&sql, t) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	return run(c, &sql, on_bounds, out);
}

static enum rc put_whole(struct iobuf *sql, wide v)
{
	bool minus = v < 0;

	return iobuf_printf(sql, "%s%llu", minus ? "-" : "", (unsigned long long)(minus ? -v : v));
}

/* "SELECT * FROM (SELECT columns FROM table" */
static enum rc put_part(struct iobuf *sql, const struct advise_table *t, struct span columns, unsigned part)
{
	return iobuf_printf(sql, "%sSELECT * FROM (SELECT ", part ? " UNION ALL " : "") == RC_OK &&
			       iobuf_append(sql, columns.p, columns.len) == RC_OK && iobuf_printf(sql, " FROM ") == RC_OK ?
		       put_path(sql, t) :
		       RC_ERROR;
}

static enum rc put_slice(struct iobuf *sql, const struct key *k, const struct bounds *b, unsigned slice)
{
	wide width = b->most - b->least + 1, from = b->least + width * slice / SLICES, to = b->least + width * (slice + 1) / SLICES;

	return iobuf_printf(sql, " WHERE ") == RC_OK && advise_put_name(sql, k->column[0]) == RC_OK && iobuf_printf(sql, " BETWEEN ") == RC_OK &&
			       put_whole(sql, from) == RC_OK && iobuf_printf(sql, " AND ") == RC_OK && put_whole(sql, to - 1) == RC_OK &&
			       iobuf_printf(sql, " ORDER BY ") == RC_OK && advise_put_name(sql, k->column[0]) == RC_OK &&
			       iobuf_printf(sql, " LIMIT %d) s%u", SAMPLE_ROWS / SLICES, slice) == RC_OK ?
		       RC_OK :
		       RC_ERROR;
}

static enum rc put_end(struct iobuf *sql, const struct key *k, bool last)
{
	for (size_t i = 0; i < k->n; i++)
		if (iobuf_printf(sql, "%s", i ? ", " : " ORDER BY ") != RC_OK || advise_put_name(sql, k->column[i]) != RC_OK ||
		    iobuf_printf(sql, "%s", last ? " DESC" : "") != RC_OK)
			return RC_ERROR;
	return iobuf_printf(sql, " LIMIT %d) s%d", SAMPLE_ROWS / 2, last);
}

static enum rc put_slices(struct iobuf *sql, const struct advise_table *t, struct span columns, const struct key *k, const struct bounds *b)
{
	enum rc rc = RC_OK;

	for (unsigned i = 0; i < SLICES && rc == RC_OK; i++) {
		rc = put_part(sql, t, columns, i);
		if (rc == RC_OK)
			rc = put_slice(sql, k, b, i);
	}
	return rc;
}

static enum rc put_ends(struct iobuf *sql, const struct advise_table *t, struct span columns, const struct key *k)
{
	return put_part(sql, t, columns, 0) == RC_OK && put_end(sql, k, false) == RC_OK && put_part(sql, t, columns, 1) == RC_OK ?
		       put_end(sql, k, true) :
		       RC_ERROR;
}

/* Keys with such gaps that most slices may be next to empty tell no more than the ends do. */
static bool is_even(const struct key *k, const struct bounds *b)
{
	return b->told && b->most - b->least < (wide)k->rows * MOST_GAPS;
}

enum rc advise_put_sample(struct sqlconn *c, const struct advise_table *t, struct span columns, struct iobuf *sql)
{
	struct bounds b = {.told = false};
	struct key k;

	if (look_key(c, t, &k) != RC_OK || (k.rows > SAMPLE_ROWS && k.whole && look_bounds(c, t, &k, &b) != RC_OK) ||
	    iobuf_printf(sql, "(") != RC_OK)
		return RC_ERROR;
	if (k.n == 0 || k.rows <= SAMPLE_ROWS) {
		if (put_part(sql, t, columns, 0) != RC_OK || iobuf_printf(sql, " LIMIT %d) s0", SAMPLE_ROWS) != RC_OK)
			return RC_ERROR;
	} else if ((is_even(&k, &b) ? put_slices(sql, t, columns, &k, &b) : put_ends(sql, t, columns, &k)) != RC_OK) {
		return RC_ERROR;
	}
	return iobuf_printf(sql, ")");
}
