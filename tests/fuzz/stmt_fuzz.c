/*
 * The first two bytes are a statement's number of parameters, the rest is an execute. It is moved to another
 * connection and read again, a bulk one likewise; its values become literals, and a string's literal must give the string back.
 */
#include <stdlib.h>

#include "stmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* What a server reads where the literal says the byte behind a backslash. */
static char unescaped(char c)
{
	switch (c) {
	case '0':
		return '\0';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 'Z':
		return '\x1a';
	default:
		return c;
	}
}

static void must_read_back(const struct iobuf *b, struct span raw, bool no_backslash)
{
	struct span s = span_of(iobuf_data(b), iobuf_len(b));
	size_t n = 0;

	must(s.len >= 2 && s.p[0] == '\'' && s.p[s.len - 1] == '\'');
	for (size_t i = 1; i < s.len - 1; i++) {
		char c = s.p[i];

		if (c == '\'')
			must(s.p[++i] == '\'' && i < s.len - 1);
		else if (c == '\\' && !no_backslash)
			c = unescaped(s.p[++i]);
		must(i < s.len - 1 && n < raw.len && raw.p[n++] == c);
	}
	must(n == raw.len);
}

static void try_literal(const struct stmt_value *v)
{
	for (int no_backslash = 0; no_backslash < 2; no_backslash++) {
		struct iobuf b;
		bool text = v->type == FIELD_STRING || v->type == FIELD_VAR_STRING || v->type == FIELD_JSON;

		iobuf_init(&b, 0);
		if (stmt_put_literal(&b, v, no_backslash) == RC_OK && text && !v->is_null)
			must_read_back(&b, v->raw, no_backslash);
		iobuf_reset(&b);
	}
}

static void try_values(const struct stmt_execute *e, uint16_t params, struct span types)
{
	struct stmt_values v;
	struct stmt_value out;
	size_t count = 0;

	stmt_values_begin(&v, e, params, types);
	while (stmt_values_next(&v, &out) == RC_OK) {
		must(out.raw.len <= e->values.len);
		try_literal(&out);
		count++;
	}
	must(count <= params);
}

static void try_move(const struct stmt_execute *e, uint16_t params, struct span types)
{
	struct stmt_execute again;
	struct iobuf b;
	uint8_t seq = 0;

	iobuf_init(&b, 0);
	must(stmt_put_execute(&b, &seq, e, params, 77, types) == RC_OK);
	must(stmt_parse_execute(span_of(iobuf_data(&b) + 4, iobuf_len(&b) - 4), params, e->named, &again) == RC_OK);
	must(again.id == 77 && again.iterations == e->iterations);
	if (params)
		must((e->named || span_eq(again.types, types)) && span_eq(again.nulls, e->nulls) && span_eq(again.values, e->values));
	iobuf_reset(&b);
}

/* Each row takes a byte a value at least. */
static void try_rows(const struct stmt_execute *e, uint16_t params, struct span types)
{
	struct stmt_values v;
	struct stmt_value out;
	size_t rows = 0;
	enum rc rc = RC_DECLINED;

	for (stmt_values_begin(&v, e, params, types); params && rc == RC_DECLINED && stmt_values_row(&v); rows++) {
		while ((rc = stmt_values_next(&v, &out)) == RC_OK) {
			must(out.raw.len <= e->values.len);
			try_literal(&out);
		}
	}
	must(rows <= e->values.len);
}

/* Its own types, or some that are there because it bears none. */
static void try_bulk(struct span payload, uint16_t params)
{
	struct stmt_execute e, again;
	struct span types;
	struct iobuf b;
	uint8_t seq = 0;

	if (stmt_parse_bulk(payload, params, &e) != RC_OK)
		return;
	types = e.new_types ? e.types : span_of(payload.p, 2 * (size_t)params <= payload.len ? 2 * (size_t)params : 0);
	iobuf_init(&b, 0);
	if (stmt_put_execute(&b, &seq, &e, params, 77, types) == RC_OK) {
		must(stmt_parse_bulk(span_of(iobuf_data(&b) + 4, iobuf_len(&b) - 4), params, &again) == RC_OK);
		must(again.id == 77 && again.new_types && span_eq(again.types, types) && span_eq(again.values, e.values));
		try_rows(&e, params, types);
	} else {
		must(types.len != 2 * (size_t)params);
	}
	iobuf_reset(&b);
}

static void try_query(struct span payload)
{
	size_t at;
	uint16_t attributes;

	if (stmt_parse_query(payload, &at, &attributes) == RC_OK)
		must(at <= payload.len && at >= 3 + 3 * (size_t)attributes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mbuf m = mbuf_of(data, size);
	struct stmt_prepared prepared;
	struct stmt_execute e;
	struct span payload, types;
	struct iobuf b;
	uint16_t params;

	if (mbuf_u16(&m, &params) != RC_OK || mbuf_bytes(&m, mbuf_left(&m), &payload) != RC_OK)
		return 0;
	if (stmt_parse_prepared(payload, &prepared) == RC_OK)
		must(payload.len >= 9);
	try_bulk(payload, params);
	try_query(payload);
	if (stmt_parse_execute(payload, params, size & 1, &e) != RC_OK)
		return 0;
	iobuf_init(&b, 0);
	if (params == 0 || stmt_put_types(&b, &e, params) == RC_OK) {
		types = span_of(iobuf_len(&b) ? iobuf_data(&b) : NULL, iobuf_len(&b));
		if (!e.attributes)
			try_move(&e, params, types);
		try_values(&e, params, types);
	}
	iobuf_reset(&b);
	return 0;
}
