/*
 * queued_bulk.c - a bulk execution (COM_STMT_BULK_EXECUTE) as one record of the queue: the values of its rows in the statement's text.
 *
 * One execution is one record, so that all of its rows are stored and applied, or none. The rows of a plain INSERT or
 * REPLACE ... VALUES share statements, as the server itself makes one statement of them; of anything else each row is a
 * statement of its own, which is what the server does with UPDATE and DELETE.
 */
#include <string.h>

#include "bytes.h"
#include "norm.h"
#include "record.h"
#include "request.h"

#define TEXT_MOST ((size_t)4 << 20) /* of all statements together */
#define STATEMENTS_MOST_A_RECORD 4096
#define SHARED_BYTES 49152 /* a statement that has so many takes no more rows: any server's max_allowed_packet holds it */

struct bulk {
	struct request *r;
	struct stmt_values values;
	bool no_backslash;
	bool shared;                  /* rows share statements: */
	struct span head, row, tail;  /* the text in three */
	struct iobuf *sql, *ends;     /* not owned */
	size_t from;                  /* where in sql the statement began that is being made */
	uint32_t statements;
};

bool queued_bulk_fits(const struct request *r)
{
	return !r->stream_left && !r->stream_more && !r->prepared->long_data && r->prepared->params &&
	       !(r->execute.bulk_flags & ~STMT_BULK_TYPES);
}

static void begin(const struct request *r, struct stmt_values *v)
{
	const struct prepared *p = r->prepared;

	stmt_values_begin(v, &r->execute, p->params, span_of(p->types, 2 * (size_t)p->params));
}

/* Placeholders in it; or more than there can be, where a word in it forbids that rows share a statement. */
static uint32_t count_params(struct span text, unsigned mode)
{
	struct sql_scan s;
	struct sql_token t;
	uint32_t n = 0;

	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next(&s, &t)) {
		if (t.kind == SQL_T_WORD && (t.word == SQL_W_IGNORE || t.word == SQL_W_DELAYED))
			return UINT32_MAX;
		n += t.kind == SQL_T_PARAM;
	}
	return n;
}

struct rows {
	uint32_t n;
	bool nulls;
	uint64_t defaults; /* placeholders that are a default in some row, a bit each; all bits: any of them may be */
};

/* RC_ERROR: malformed, or there are none. */
static enum rc look(struct request *r, struct rows *rows)
{
	struct stmt_values v;
	struct stmt_value value;
	enum rc rc = RC_DECLINED;

	*rows = (struct rows){0};
	for (begin(r, &v); rc == RC_DECLINED && stmt_values_row(&v); rows->n++) {
		while ((rc = stmt_values_next(&v, &value)) == RC_OK) {
			rows->nulls |= value.is_null;
			if (value.indicator == STMT_IS_DEFAULT || value.indicator == STMT_IS_IGNORED)
				rows->defaults |= v.at <= 64 ? UINT64_C(1) << (v.at - 1) : UINT64_MAX;
		}
	}
	return rc == RC_DECLINED && rows->n ? RC_OK : RC_ERROR;
}

/* The columns of the list that these placeholders stand for, of rows that hold nothing but values. */
static uint64_t columns_of(struct span rows, unsigned mode, uint64_t params)
{
	struct sql_scan s;
	struct sql_token t;
	uint64_t columns = 0;
	unsigned column = 0, param = 0;

	if (!params || params == UINT64_MAX)
		return params;
	sql_scan_init(&s, rows, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next(&s, &t)) {
		if (sql_token_is_op(&t, '('))
			column = 0;
		else if (sql_token_is_op(&t, ','))
			column++;
		if (t.kind != SQL_T_PARAM)
			continue;
		if (param < 64 && params >> param & 1)
			columns |= column < 64 ? UINT64_C(1) << column : UINT64_MAX;
		param++;
	}
	return columns;
}

enum rc queued_bulk_look(struct request *r, const char **why)
{
	const struct prepared *p = r->prepared;
	struct span text = span_of(p->text, p->text_len);
	struct sql_insert_shape shape;
	struct rows rows;

	*why = "its rows cannot be read";
	if (look(r, &rows) != RC_OK)
		return RC_DECLINED;
	*why = "a default, or a column that is to stay as it is, is not an INSERT's whole value";
	if (!rows.defaults)
		return RC_OK;
	if (sql_insert_shape(text, p->mode, &shape) != RC_OK || !shape.plain ||
	    count_params(span_of(text.p + shape.rows_end, text.len - shape.rows_end), p->mode))
		return RC_DECLINED;
	r->defaults = columns_of(span_of(text.p + shape.rows_at, shape.rows_end - shape.rows_at), p->mode, rows.defaults);
	return RC_OK;
}

static bool is_strict(const struct session *s)
{
	struct span mode = varset_mode_text(s->vars);

	return mode.p && (memmem(mode.p, mode.len, "STRICT_TRANS_TABLES", 19) || memmem(mode.p, mode.len, "STRICT_ALL_TABLES", 17));
}

/* Where sql_mode is not strict, a NULL for a NOT NULL column is an error of a row alone and becomes 0 in company. */
static bool share(struct bulk *b, const struct sql_insert_shape *shape, const struct rows *rows)
{
	const struct prepared *p = b->r->prepared;
	struct span text = span_of(p->text, p->text_len);

	b->head = span_of(text.p, shape->rows_at);
	b->row = span_of(text.p + shape->rows_at, shape->rows_end - shape->rows_at);
	b->tail = span_of(text.p + shape->rows_end, text.len - shape->rows_end);
	return count_params(b->head, p->mode) == 0 && count_params(b->tail, p->mode) == 0 &&
	       ((shape->plain && !rows->nulls) || is_strict(b->r->s));
}

static enum rc put_value(void *arg, uint16_t index, struct iobuf *out)
{
	struct bulk *b = arg;
	struct stmt_value v;

	if (stmt_values_next(&b->values, &v) != RC_OK)
		return RC_ERROR;
	if (v.indicator == STMT_IS_DEFAULT || v.indicator == STMT_IS_IGNORED) /* of an INSERT's column they are the same */
		return iobuf_append(out, "DEFAULT", 7);
	return stmt_put_literal(out, &v, b->no_backslash);
}

static enum rc put_text(struct bulk *b, struct span text, uint16_t params)
{
	return sql_bind(text, b->r->prepared->mode, params, put_value, b, b->sql);
}

static enum rc begin_statement(struct bulk *b)
{
	if (b->statements && iobuf_append(b->sql, ";\n", 2) != RC_OK)
		return RC_ERROR;
	b->from = iobuf_len(b->sql);
	return RC_OK;
}

static enum rc end_statement(struct bulk *b)
{
	uint8_t end[4];

	if (iobuf_len(b->sql) - b->from > QUEUED_TEXT_MOST)
		return RC_ERROR;
	bytes_put(end, sizeof(end), iobuf_len(b->sql));
	return ++b->statements > STATEMENTS_MOST_A_RECORD ? RC_ERROR : iobuf_append(b->ends, end, sizeof(end));
}

static enum rc put_apart(struct bulk *b)
{
	const struct prepared *p = b->r->prepared;

	while (stmt_values_row(&b->values)) {
		if (begin_statement(b) != RC_OK || put_text(b, span_of(p->text, p->text_len), p->params) != RC_OK ||
		    end_statement(b) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static enum rc put_shared(struct bulk *b)
{
	bool more = stmt_values_row(&b->values);

	while (more) {
		if (begin_statement(b) != RC_OK || put_text(b, b->head, 0) != RC_OK)
			return RC_ERROR;
		do {
			if (put_text(b, b->row, b->r->prepared->params) != RC_OK)
				return RC_ERROR;
			more = stmt_values_row(&b->values);
		} while (more && iobuf_len(b->sql) - b->from < SHARED_BYTES && iobuf_append(b->sql, ",", 1) == RC_OK);
		if (put_text(b, b->tail, 0) != RC_OK || end_statement(b) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

enum rc queued_bulk_text(struct request *r, struct iobuf *sql, struct iobuf *ends, const char **why)
{
	struct prepared *p = r->prepared;
	struct bulk b = {.r = r, .no_backslash = varset_mode(r->s->vars)->no_backslash, .sql = sql, .ends = ends};
	struct sql_insert_shape shape;
	struct rows rows;
	bool inserts = sql_insert_shape(span_of(p->text, p->text_len), p->mode, &shape) == RC_OK;

	*why = "its rows cannot be read";
	if (look(r, &rows) != RC_OK)
		return RC_DECLINED;
	r->rows_named = inserts ? (uint64_t)rows.n * shape.rows : 0;
	b.shared = inserts && share(&b, &shape, &rows);
	sql->max = TEXT_MOST;
	begin(r, &b.values);
	*why = "its rows are too many for one record, or cannot be written as text";
	if ((b.shared ? put_shared(&b) : put_apart(&b)) != RC_OK)
		return RC_DECLINED;
	if (b.statements == 1)
		iobuf_consume(ends, iobuf_len(ends)); /* as any other */
	return RC_OK;
}
