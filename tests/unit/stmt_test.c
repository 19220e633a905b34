/*
 * Executes are read, moved to another connection and rendered as SQL without changing a value (P4, Q4).
 */
#include "wire_test.h"

#include <math.h>

#include "stmt.h"

#define MANY 9 /* parameters: the NULL bitmap takes two bytes */

static void reads_the_head_of_a_prepare_reply(void **state)
{
	struct stmt_prepared p;

	assert_int_equal(stmt_parse_prepared(span_of("\0\4\3\2\1\2\0\3\0\0\7\0", 12), &p), RC_OK);
	assert_int_equal(p.id, 0x01020304);
	assert_int_equal(p.columns, 2);
	assert_int_equal(p.params, 3);
	assert_int_equal(p.warnings, 7);
	assert_int_equal(stmt_parse_prepared(span_of("\0\4\3\2\1\2\0\3", 8), &p), RC_ERROR);
	assert_int_equal(stmt_parse_prepared(span_of("\1\4\3\2\1\2\0\3\0\0\7\0", 12), &p), RC_ERROR);
}

/* id 5, flags 1, once; the second of three is NULL; types long, string, unsigned tiny; 7, -, 255. */
static const uint8_t execute[] = "\x17\5\0\0\0\1\1\0\0\0\2\1\3\0\xfe\0\1\x80\7\0\0\0\xff";
#define EXECUTE_LEN (sizeof(execute) - 1)

static void reads_an_execute(void **state)
{
	struct stmt_execute e;

	assert_int_equal(stmt_parse_execute(span_of(execute, EXECUTE_LEN), 3, false, &e), RC_OK);
	assert_int_equal(e.id, 5);
	assert_int_equal(e.flags, 1);
	assert_int_equal(e.iterations, 1);
	assert_int_equal(e.nulls.len, 1);
	assert_true(e.new_types);
	assert_int_equal(e.types.len, 6);
	assert_int_equal(e.values.len, 5);
}

static void an_execute_cut_off_is_refused(void **state)
{
	struct stmt_execute e;

	for (size_t len = 0; len < EXECUTE_LEN - 5; len++) {
		uint8_t *exact = malloc(len + 1);

		assert_non_null(exact);
		memcpy(exact, execute, len);
		assert_int_equal(stmt_parse_execute(span_of(exact, len), 3, false, &e), RC_ERROR);
		free(exact);
	}
	assert_int_equal(stmt_parse_execute(span_of(execute, EXECUTE_LEN), UINT16_MAX, false, &e), RC_ERROR);
	assert_int_equal(stmt_parse_execute(span_of("\x16\5\0\0\0\0\1\0\0\0", 10), 0, false, &e), RC_ERROR);
	assert_int_equal(stmt_parse_execute(span_of("\x17\5\0\0\0\0\1\0\0\0", 10), 0, false, &e), RC_OK);
}

/* id 5, types sent: long, string; a row of 7 and "a", and one of NULL and the default. */
static const uint8_t bulk[] = "\xfa\5\0\0\0\x80\0\3\0\xfe\0\0\7\0\0\0\0\1a\1\2";
#define BULK_LEN (sizeof(bulk) - 1)

static void reads_a_bulk_execution_up_to_its_rows(void **state)
{
	struct stmt_execute e;

	assert_int_equal(stmt_parse_bulk(span_of(bulk, BULK_LEN), 2, &e), RC_OK);
	assert_int_equal(e.id, 5);
	assert_true(e.bulk && e.new_types);
	assert_int_equal(e.types.len, 4);
	assert_int_equal(e.values.len, 10);
	for (size_t len = 0; len < BULK_LEN - 10; len++)
		assert_int_equal(stmt_parse_bulk(span_of(bulk, len), 2, &e), RC_ERROR);
	assert_int_equal(stmt_parse_bulk(span_of(bulk, BULK_LEN), UINT16_MAX, &e), RC_ERROR);
	assert_int_equal(stmt_parse_bulk(span_of("\xfa\5\0\0\0\0\0", 7), 2, &e), RC_OK);
	assert_false(e.new_types);
	assert_int_equal(stmt_parse_bulk(span_of(execute, EXECUTE_LEN), 3, &e), RC_ERROR);
}

static void reads_the_rows_of_a_bulk_execution(void **state)
{
	static const uint8_t odd[] = "\4", cut[] = "\0\7\0\0\0\0\2a", half[] = "\1";
	struct stmt_execute e;
	struct stmt_values v;
	struct stmt_value value;

	assert_int_equal(stmt_parse_bulk(span_of(bulk, BULK_LEN), 2, &e), RC_OK);
	stmt_values_begin(&v, &e, 2, e.types);
	assert_true(stmt_values_row(&v));
	assert_int_equal(stmt_values_next(&v, &value), RC_OK);
	assert_true(value.indicator == STMT_IS_GIVEN && !value.is_null && value.type == FIELD_LONG);
	assert_int_equal(value.raw.len, 4);
	assert_int_equal(stmt_values_next(&v, &value), RC_OK);
	assert_true(value.type == FIELD_STRING && span_eq(value.raw, span_str("a")));
	assert_int_equal(stmt_values_next(&v, &value), RC_DECLINED);
	assert_true(stmt_values_row(&v));
	assert_int_equal(stmt_values_next(&v, &value), RC_OK);
	assert_true(value.is_null && value.indicator == STMT_IS_NULL && !value.raw.len);
	assert_int_equal(stmt_values_next(&v, &value), RC_OK);
	assert_true(!value.is_null && value.indicator == STMT_IS_DEFAULT);
	assert_int_equal(stmt_values_next(&v, &value), RC_DECLINED);
	assert_false(stmt_values_row(&v));
	e.values = span_of(odd, 1);
	stmt_values_begin(&v, &e, 2, e.types);
	assert_int_equal(stmt_values_next(&v, &value), RC_ERROR);
	e.values = span_of(half, 1);
	stmt_values_begin(&v, &e, 2, e.types);
	assert_int_equal(stmt_values_next(&v, &value), RC_OK);
	assert_int_equal(stmt_values_next(&v, &value), RC_ERROR);
	for (size_t len = 0; len < sizeof(cut) - 1; len++) {
		enum rc rc;

		e.values = span_of(cut, len);
		stmt_values_begin(&v, &e, 2, e.types);
		while ((rc = stmt_values_next(&v, &value)) == RC_OK)
			;
		assert_int_equal(rc, RC_ERROR);
	}
}

/* Without its types, for a connection that has never seen them. */
static void a_moved_bulk_execution_brings_its_types(void **state)
{
	static const uint8_t bare[] = "\xfa\5\0\0\0\x40\0\0\7\0\0\0\0\1a\1\2";
	struct stmt_execute e, again;
	struct iobuf b;
	uint8_t seq = 0;

	assert_int_equal(stmt_parse_bulk(span_of(bare, sizeof(bare) - 1), 2, &e), RC_OK);
	iobuf_init(&b, 0);
	assert_int_equal(stmt_put_execute(&b, &seq, &e, 2, 9, span_of("\3\0\xfe", 3)), RC_ERROR);
	assert_int_equal(stmt_put_execute(&b, &seq, &e, 2, 9, span_of("\3\0\xfe\0", 4)), RC_OK);
	assert_int_equal(stmt_parse_bulk(span_of(iobuf_data(&b) + PACKET_HEADER, iobuf_len(&b) - PACKET_HEADER), 2, &again), RC_OK);
	assert_int_equal(again.id, 9);
	assert_int_equal(again.bulk_flags, 0xc0);
	assert_true(span_eq(again.types, span_of("\3\0\xfe\0", 4)));
	assert_true(span_eq(again.values, e.values));
	iobuf_reset(&b);
}

/* The types were sent once, on the connection where it was prepared first; another has never seen them. */
static void an_execute_moves_with_its_types(void **state)
{
	static const uint8_t again[] = "\x17\5\0\0\0\1\1\0\0\0\2\0\7\0\0\0\xff";
	static const uint8_t want[] = "\x17\0\0\0\x17\x44\x33\x22\x11\1\1\0\0\0\2\1\3\0\xfe\0\1\x80\7\0\0\0\xff";
	struct stmt_execute e, back;
	struct iobuf types, b;
	uint8_t seq = 0;

	iobuf_init(&types, 0);
	iobuf_init(&b, 0);
	assert_int_equal(stmt_parse_execute(span_of(execute, EXECUTE_LEN), 3, false, &e), RC_OK);
	assert_int_equal(stmt_put_types(&types, &e, 3), RC_OK);
	assert_bytes(&types, "\3\0\xfe\0\1\x80", 6);
	assert_int_equal(stmt_parse_execute(span_of(again, sizeof(again) - 1), 3, false, &e), RC_OK);
	assert_false(e.new_types);
	assert_int_equal(stmt_put_types(&types, &e, 3), RC_ERROR);
	assert_int_equal(stmt_put_execute(&b, &seq, &e, 3, 0x11223344, span_of(iobuf_data(&types), 6)), RC_OK);
	assert_bytes(&b, want, sizeof(want) - 1);
	assert_int_equal(stmt_parse_execute(span_of(iobuf_data(&b) + 4, iobuf_len(&b) - 4), 3, false, &back), RC_OK);
	assert_true(back.new_types);
	assert_int_equal(stmt_put_execute(&b, &seq, &e, 3, 1, span_of(iobuf_data(&types), 4)), RC_ERROR);
	assert_int_equal(stmt_put_execute(&b, &seq, &e, 300, 1, span_of(NULL, 600)), RC_ERROR);
	iobuf_reset(&types);
	iobuf_reset(&b);
}

static void an_execute_without_parameters_moves_too(void **state)
{
	struct stmt_execute e;
	struct iobuf b;
	uint8_t seq = 0;

	iobuf_init(&b, 0);
	assert_int_equal(stmt_parse_execute(span_of("\x17\5\0\0\0\0\1\0\0\0", 10), 0, false, &e), RC_OK);
	assert_int_equal(stmt_put_execute(&b, &seq, &e, 0, 9, span_of(NULL, 0)), RC_OK);
	assert_bytes(&b, "\x0a\0\0\0\x17\x09\0\0\0\0\1\0\0\0", 14);
	iobuf_reset(&b);
}

#define SPAN(bytes) span_of(bytes, sizeof(bytes) - 1)

/* MySQL's clients that speak query attributes count their parameters and name them; attributes stand behind. */
static void the_form_with_query_attributes_is_understood(void **state)
{
	static const uint8_t named[] = "\x17\5\0\0\0\x08\1\0\0\0\1\0\1\3\0\0\7\0\0\0";
	static const uint8_t one_more[] = "\x17\5\0\0\0\x08\1\0\0\0\2\0\1\3\0\0\xfe\0\1x\7\0\0\0\2ab";
	static const uint8_t only[] = "\x17\5\0\0\0\x08\1\0\0\0\1\0\1\xfe\0\1x\2ab";
	static const uint8_t typeless[] = "\x17\5\0\0\0\x08\1\0\0\0\2\0\0\7\0\0\0\2ab";
	static const uint8_t fewer[] = "\x17\5\0\0\0\x08\1\0\0\0\0\0\1\3\0\0\7\0\0\0";
	static const uint8_t none[] = "\x17\5\0\0\0\x08\1\0\0\0\0";
	static const uint8_t want[] = "\x14\0\0\0\x17\6\0\0\0\x08\1\0\0\0\1\0\1\3\0\0\7\0\0\0";
	struct stmt_execute e;
	struct iobuf types, b;
	uint8_t seq = 0;

	iobuf_init(&types, 0);
	iobuf_init(&b, 0);
	assert_int_equal(stmt_parse_execute(SPAN(named), 1, true, &e), RC_OK);
	assert_int_equal(e.attributes, 0);
	assert_int_equal(stmt_put_types(&types, &e, 1), RC_OK);
	assert_bytes(&types, "\3\0", 2);
	assert_int_equal(stmt_put_execute(&b, &seq, &e, 1, 6, span_of(iobuf_data(&types), 2)), RC_OK);
	assert_bytes(&b, want, sizeof(want) - 1);
	assert_int_equal(stmt_parse_execute(SPAN(none), 0, true, &e), RC_OK);
	assert_int_equal(stmt_parse_execute(SPAN(one_more), 1, true, &e), RC_OK);
	assert_int_equal(e.attributes, 1);
	assert_int_equal(stmt_put_execute(&b, &seq, &e, 1, 6, span_of(iobuf_data(&types), 2)), RC_ERROR);
	iobuf_reset(&types);
	assert_int_equal(stmt_put_types(&types, &e, 1), RC_OK);
	assert_bytes(&types, "\3\0", 2);
	assert_int_equal(stmt_parse_execute(SPAN(only), 0, true, &e), RC_OK);
	assert_int_equal(e.attributes, 1);
	assert_int_equal(stmt_parse_execute(SPAN(typeless), 1, true, &e), RC_ERROR);
	assert_int_equal(stmt_parse_execute(SPAN(fewer), 1, true, &e), RC_ERROR);
	for (size_t len = 0; len < sizeof(one_more) - 1 - 7; len++) /* all but the values, which are looked at one by one */
		assert_int_equal(stmt_parse_execute(span_of(one_more, len), 1, true, &e), RC_ERROR);
	iobuf_reset(&types);
	iobuf_reset(&b);
}

static void the_text_behind_query_attributes_is_found(void **state)
{
	static const uint8_t plain[] = "\3\0\1SELECT 1", some[] = "\3\2\1\2\1\xfe\0\1a\6\0\1b\2xySELECT 1";
	static const uint8_t *const bad[] = {(const uint8_t *)"\3\0\2SELECT 1", (const uint8_t *)"\3\1\1\0\0\xfe\0\1a",
					     (const uint8_t *)"\3\1\1\0\1\x0d\0\1a", (const uint8_t *)"\3\xff\1\0\1\xfe\0\1"};
	size_t at = 0;
	uint16_t n = 9;

	assert_int_equal(stmt_parse_query(SPAN(plain), &at, &n), RC_OK);
	assert_int_equal(at, 3);
	assert_int_equal(n, 0);
	assert_int_equal(stmt_parse_query(SPAN(some), &at, &n), RC_OK);
	assert_int_equal(at, sizeof(some) - 1 - 8);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < countof(bad); i++)
		assert_int_equal(stmt_parse_query(span_of(bad[i], 8), &at, &n), RC_ERROR);
	for (size_t len = 0; len < sizeof(some) - 1 - 8; len++)
		assert_int_equal(stmt_parse_query(span_of(some, len), &at, &n), RC_ERROR);
}

static void walks_over_the_values(void **state)
{
	/* NULL by the bitmap for the ninth, by its type for the eighth. */
	static const uint8_t types[2 * MANY] = {FIELD_TINY,   0, FIELD_SHORT,  0, FIELD_LONG,     0x80,
						FIELD_DOUBLE, 0, FIELD_STRING, 0, FIELD_DATETIME, 0,
						FIELD_TIME,   0, FIELD_NULL,   0, FIELD_LONGLONG, 0};
	static const uint8_t raw[] = "\xff\1\2\1\2\3\4\0\0\0\0\0\0\xf8\x3f\3abc\4\xe8\7\2\x1d\0";
	static const size_t lens[MANY] = {1, 2, 4, 8, 3, 4, 0, 0, 0};
	struct stmt_execute e = {.nulls = span_of("\0\1", 2), .values = span_of(raw, sizeof(raw) - 1)};
	struct stmt_values v;
	struct stmt_value out;

	stmt_values_begin(&v, &e, MANY, span_of(types, sizeof(types)));
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(stmt_values_next(&v, &out), RC_OK);
		assert_int_equal(out.type, types[2 * i]);
		assert_int_equal(out.is_unsigned, i == 2);
		assert_int_equal(out.is_null, i >= 7);
		assert_int_equal(out.raw.len, lens[i]);
	}
	assert_int_equal(stmt_values_next(&v, &out), RC_DECLINED);
	assert_int_equal(mbuf_left(&v.rest), 0);
}

static void values_that_are_not_there_are_refused(void **state)
{
	static const struct {
		uint8_t type;
		const char *raw;
		size_t len;
	} bad[] = {{FIELD_LONG, "\1\2\3", 3},    {FIELD_LONGLONG, "", 0},    {FIELD_STRING, "\5abc", 4},
		   {FIELD_STRING, "\xfb", 1},    {FIELD_DATE, "\5aaaaa", 6}, {FIELD_TIME, "\4aaaa", 5},
		   {FIELD_DATETIME, "\7aaa", 4}, {FIELD_TIME, "\xff", 1},    {200, "abcdefgh", 8},
		   {FIELD_NEWDATE, "\3abc", 4},  {FIELD_YEAR, "\2\0", 2}};
	struct stmt_values v;
	struct stmt_value out;

	for (size_t i = 0; i < countof(bad); i++) {
		struct stmt_execute e = {.nulls = span_of("\0", 1), .values = span_of(bad[i].raw, bad[i].len)};
		uint8_t type[2] = {bad[i].type, 0};

		stmt_values_begin(&v, &e, 1, span_of(type, 2));
		assert_int_equal(stmt_values_next(&v, &out), RC_ERROR);
	}
	stmt_values_begin(&v, &(struct stmt_execute){.nulls = span_of("\0", 1)}, 9, span_of("\0", 1));
	assert_int_equal(stmt_values_next(&v, &out), RC_ERROR);
}

static void literals_mean_the_same(void **state)
{
	static const struct {
		enum field_type type;
		bool is_unsigned;
		const char *raw;
		size_t len;
		const char *want;
	} known[] = {
		{FIELD_TINY, false, "\x80", 1, "-128"},
		{FIELD_TINY, true, "\x80", 1, "128"},
		{FIELD_SHORT, false, "\xff\xff", 2, "-1"},
		{FIELD_LONG, false, "\0\0\0\x80", 4, "-2147483648"},
		{FIELD_LONG, true, "\0\0\0\x80", 4, "2147483648"},
		{FIELD_LONGLONG, false, "\1\0\0\0\0\0\0\x80", 8, "-9223372036854775807"},
		{FIELD_LONGLONG, true, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "18446744073709551615"},
		{FIELD_DOUBLE, false, "\x9a\x99\x99\x99\x99\x99\xb9\x3f", 8, "1.0000000000000001e-01"},
		{FIELD_DOUBLE, false, "\0\0\0\0\0\0\0\x80", 8, "-0.0000000000000000e+00"},
		{FIELD_FLOAT, false, "\xcd\xcc\xcc\x3d", 4, "1.0000000149011612e-01"},
		{FIELD_NEWDECIMAL, false, "-12.50", 6, "-12.50"},
		{FIELD_NEWDECIMAL, false, "12345678901234567890123", 23, "12345678901234567890123."},
		{FIELD_DECIMAL, false, ".5", 2, ".5"},
		{FIELD_STRING, false, "it's", 4, "'it''s'"},
		{FIELD_VAR_STRING, false, "a\0b\\c\nd\re\x1a\"%_", 13, "'a\\0b\\\\c\\nd\\re\\Z\"%_'"},
		{FIELD_STRING, false, "\xc3\xa4\xf0\x9f\x98\x80", 6, "'\xc3\xa4\xf0\x9f\x98\x80'"},
		{FIELD_VARCHAR, false, "", 0, "''"},
		{FIELD_JSON, false, "{\"a\":\"\\n\"}", 10, "'{\"a\":\"\\\\n\"}'"},
		{FIELD_BLOB, false, "\0\xff'", 3, "_binary x'00ff27'"},
		{FIELD_LONG_BLOB, false, "", 0, "_binary x''"},
		{FIELD_DATE, false, "\xe8\7\2\x1d", 4, "DATE'2024-02-29'"},
		{FIELD_DATE, false, "\xe8\7\2\x1d\x17\x3b\5", 7, "DATE'2024-02-29'"},
		{FIELD_DATETIME, false, "\xe8\7\2\x1d", 4, "TIMESTAMP'2024-02-29 00:00:00'"},
		{FIELD_TIMESTAMP, false, "\xe8\7\2\x1d\x17\x3b\5", 7, "TIMESTAMP'2024-02-29 23:59:05'"},
		{FIELD_DATETIME, false, "\xe8\7\2\x1d\x17\x3b\5\x3f\x42\xf\0", 11, "TIMESTAMP'2024-02-29 23:59:05.999999'"},
		{FIELD_DATETIME, false, "\xe8\7\2\x1d\x17\x3b\5\1\0\0\0", 11, "TIMESTAMP'2024-02-29 23:59:05.000001'"},
		{FIELD_DATETIME, false, "\xe8\7\2\x1d\x17\x3b\5\0\0\0\0", 11, "TIMESTAMP'2024-02-29 23:59:05'"},
		{FIELD_TIME, false, "\1\x22\0\0\0\x16\x3b\x3b", 8, "TIME'-838:59:59'"},
		{FIELD_TIME, false, "", 0, "TIME'00:00:00'"},
		{FIELD_TIME, false, "\1\2\0\0\0\3\4\5", 8, "TIME'-51:04:05'"},
		{FIELD_TIME, false, "\0\0\0\0\0\1\2\3\x20\xa1\7\0", 12, "TIME'01:02:03.500000'"},
	};
	struct iobuf b;

	iobuf_init(&b, 0);
	for (size_t i = 0; i < countof(known); i++) {
		struct stmt_value v = {known[i].type, known[i].is_unsigned, false, span_of(known[i].raw, known[i].len)};

		assert_int_equal(stmt_put_literal(&b, &v, false), RC_OK);
		assert_span(span_of(iobuf_data(&b), iobuf_len(&b)), known[i].want);
		iobuf_consume(&b, iobuf_len(&b));
	}
	assert_int_equal(stmt_put_literal(&b, &(struct stmt_value){.type = FIELD_LONG, .is_null = true}, false), RC_OK);
	assert_bytes(&b, "NULL", 4);
	iobuf_reset(&b);
}

/* With NO_BACKSLASH_ESCAPES a backslash is a letter like any other: doubling it would change the value. */
static void backslashes_stand_where_they_escape_nothing(void **state)
{
	struct stmt_value v = {.type = FIELD_STRING, .raw = span_str("a\\'b\n")};
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(stmt_put_literal(&b, &v, true), RC_OK);
	assert_bytes(&b, "'a\\''b\n'", 8);
	iobuf_reset(&b);
}

static void what_has_no_literal_is_refused(void **state)
{
	double inf = INFINITY, nan_ = NAN;
	float finf = -INFINITY;
	const struct stmt_value bad[] = {
		{.type = FIELD_DOUBLE, .raw = span_of(&inf, 8)},
		{.type = FIELD_DOUBLE, .raw = span_of(&nan_, 8)},
		{.type = FIELD_FLOAT, .raw = span_of(&finf, 4)},
		{.type = FIELD_LONGLONG, .raw = span_of("\0\0\0\0\0\0\0\x80", 8)},
		{.type = FIELD_NEWDECIMAL, .raw = span_str("1 OR 1=1")},
		{.type = FIELD_NEWDECIMAL, .raw = span_str("1e5")},
		{.type = FIELD_NEWDECIMAL, .raw = span_str("1.2.3")},
		{.type = FIELD_NEWDECIMAL, .raw = span_str("-")},
		{.type = FIELD_NEWDECIMAL, .raw = span_str("")},
		{.type = FIELD_DECIMAL, .raw = span_str("--1")},
		{.type = FIELD_DATETIME, .raw = span_of("\xe8\7\2\x1d\x17\x3b\5\x40\x42\xf\0", 11)},
		{.type = FIELD_DATETIME, .raw = span_of("\xe8\7\2\x1d\x18\x3b\5", 7)},
		{.type = FIELD_DATE, .raw = span_of("\xff\xff\2\x1d", 4)},
		{.type = FIELD_DATE, .raw = span_of("", 0)},
		{.type = FIELD_DATETIME, .raw = span_of("", 0)},
		{.type = FIELD_DATE, .raw = span_of("\xe8\7\0\0", 4)},
		{.type = FIELD_DATE, .raw = span_of("\xe8\7\2\0", 4)},
		{.type = FIELD_DATE, .raw = span_of("\xe8\7\0\1", 4)},
		{.type = FIELD_DATE, .raw = span_of("\0\0\1\1", 4)},
		{.type = FIELD_DATE, .raw = span_of("\xe8\7\2\x1e", 4)},
		{.type = FIELD_DATE, .raw = span_of("\xe7\7\2\x1d", 4)},
		{.type = FIELD_DATE, .raw = span_of("\x6c\7\2\x1d", 4)},
		{.type = FIELD_DATE, .raw = span_of("\xe8\7\4\x1f", 4)},
		{.type = FIELD_TIME, .raw = span_of("\0\x22\0\0\0\x17\0\0", 8)},
		{.type = FIELD_TIME, .raw = span_of("\1\x22\0\0\0\x16\x3b\x3b\1\0\0\0", 12)},
		{.type = FIELD_TIME, .raw = span_of("\0\0\0\0\0\1\x3c\3", 8)},
	};
	struct iobuf b;

	iobuf_init(&b, 10);
	for (size_t i = 0; i < countof(bad); i++)
		assert_int_equal(stmt_put_literal(&b, &bad[i], false), RC_ERROR);
	assert_int_equal(stmt_put_literal(&b,
					  &(struct stmt_value){.type = FIELD_NEWDECIMAL, .raw = span_str("1234567890")},
					  false),
			 RC_ERROR);
	assert_int_equal(iobuf_len(&b), 0);
	iobuf_reset(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_head_of_a_prepare_reply),
		cmocka_unit_test(reads_an_execute),
		cmocka_unit_test(an_execute_cut_off_is_refused),
		cmocka_unit_test(reads_a_bulk_execution_up_to_its_rows),
		cmocka_unit_test(reads_the_rows_of_a_bulk_execution),
		cmocka_unit_test(a_moved_bulk_execution_brings_its_types),
		cmocka_unit_test(an_execute_moves_with_its_types),
		cmocka_unit_test(an_execute_without_parameters_moves_too),
		cmocka_unit_test(the_form_with_query_attributes_is_understood),
		cmocka_unit_test(the_text_behind_query_attributes_is_found),
		cmocka_unit_test(walks_over_the_values),
		cmocka_unit_test(values_that_are_not_there_are_refused),
		cmocka_unit_test(literals_mean_the_same),
		cmocka_unit_test(backslashes_stand_where_they_escape_nothing),
		cmocka_unit_test(what_has_no_literal_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
