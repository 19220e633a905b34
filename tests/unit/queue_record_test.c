/*
 * queue_record_test.c - records and checksums as bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crc32c.h"
#include "queue_kit.h"
#include "record.h"

/* RFC 3720, appendix B.4. */
static void crc32c_gives_the_published_numbers(void **state)
{
	uint8_t bytes[32];

	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
}

static void crc32c_is_the_same_both_ways_and_in_parts(void **state)
{
	uint8_t bytes[200];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 131 + 7);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		uint32_t whole = crc32c(0, bytes, len);

		assert_int_equal(whole, crc32c_portable(0, bytes, len));
		assert_int_equal(whole, crc32c(crc32c(0, bytes, len / 3), bytes + len / 3, len - len / 3));
	}
}

static void a_record_comes_back_as_it_was(void **state)
{
	struct record in = kit_record("INSERT INTO log VALUES (1,'\xff\x00zwei')"), out;
	uint8_t bytes[1024];
	size_t size;

	in.r.sql.len += 7; /* with the NUL in it and what follows */
	in.r.rows_at = 23;
	in.r.rows_end = 30;
	in.r.on_error = QUEUE_HALT;
	in.retry_of = 99;
	size = record_size(&in);
	assert_in_range(size, 1, sizeof(bytes));
	record_encode(&in, bytes);
	assert_int_equal(record_decode(span_of(bytes, size), &out), RC_OK);
	assert_int_equal(out.r.digest, in.r.digest);
	assert_int_equal(out.r.time_us, in.r.time_us);
	assert_true(span_eq(out.r.account, in.r.account) && span_eq(out.r.schema, in.r.schema));
	assert_true(span_eq(out.r.tables, in.r.tables) && span_eq(out.r.order_key, in.r.order_key));
	assert_true(span_eq(out.r.environment, in.r.environment) && span_eq(out.r.sql, in.r.sql));
	assert_int_equal(out.r.rows_at, 23);
	assert_int_equal(out.r.rows_end, 30);
	assert_int_equal(out.r.on_error, QUEUE_HALT);
	assert_int_equal(out.retry_of, 99);
}

static void a_record_cut_short_or_too_long_is_refused(void **state)
{
	struct record in = kit_record("INSERT INTO log VALUES (1)"), out;
	uint8_t bytes[1024];
	size_t size = record_size(&in);

	memset(bytes, 0, sizeof(bytes));
	record_encode(&in, bytes);
	for (size_t len = 0; len < size; len++)
		assert_int_equal(record_decode(span_of(bytes, len), &out), RC_ERROR);
	assert_int_equal(record_decode(span_of(bytes, size + 1), &out), RC_ERROR);
}

static void rows_outside_the_statement_are_refused(void **state)
{
	struct record in = kit_record("INSERT"), out;
	uint8_t bytes[1024];

	in.r.rows_at = 3;
	in.r.rows_end = 7;
	record_encode(&in, bytes);
	assert_int_equal(record_decode(span_of(bytes, record_size(&in)), &out), RC_ERROR);
	in.r.rows_at = 5;
	in.r.rows_end = 4;
	record_encode(&in, bytes);
	assert_int_equal(record_decode(span_of(bytes, record_size(&in)), &out), RC_ERROR);
}

static void several_statements_come_back_one_by_one(void **state)
{
	struct record in = kit_record("DELETE FROM a;\nDELETE FROM bc;\n"), out;
	struct span part;
	uint8_t bytes[1024];

	in.r.parts = span_of("\x0d\0\0\0\x1d\0\0\0\x1f\0\0\0", 12); /* the third is empty */
	record_encode(&in, bytes);
	assert_int_equal(record_decode(span_of(bytes, record_size(&in)), &out), RC_OK);
	assert_true(record_part(&out.r, 0, &part) && span_eq(part, span_str("DELETE FROM a")));
	assert_true(record_part(&out.r, 1, &part) && span_eq(part, span_str("DELETE FROM bc")));
	assert_true(record_part(&out.r, 2, &part) && part.len == 0);
	assert_false(record_part(&out.r, 3, &part));
	for (size_t len = 0; len < record_size(&in); len++)
		assert_int_equal(record_decode(span_of(bytes, len), &out), RC_ERROR);
}

static void parts_outside_the_text_are_refused(void **state)
{
	static const struct span wrong[] = {
		{"\x0d\0\0", 3}, {"\x0d\0\0\0", 4}, {"\x1f\0\0\0\x0d\0\0\0", 8}, {"\x20\0\0\0", 4},
		{"\x0d\0\0\0\x0e\0\0\0\x1f\0\0\0", 12}, {"\xff\xff\xff\xff\x1f\0\0\0", 8}};
	struct record in = kit_record("DELETE FROM a;\nDELETE FROM bc;\n"), out;
	uint8_t bytes[1024];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		in.r.parts = wrong[i];
		record_encode(&in, bytes);
		assert_int_equal(record_decode(span_of(bytes, record_size(&in)), &out), RC_ERROR);
	}
	in.r.parts = span_of("\x1f\0\0\0", 4);
	in.r.rows_at = 3;
	in.r.rows_end = 4;
	record_encode(&in, bytes);
	assert_int_equal(record_decode(span_of(bytes, record_size(&in)), &out), RC_ERROR);
}

static void a_statement_that_is_too_large_is_not_taken(void **state)
{
	struct record in = kit_record("x");

	in.r.sql.len = RECORD_MAX_BYTES; /* only its length is looked at */
	assert_int_equal(record_size(&in), 0);
	in.r.sql.len = SIZE_MAX;
	assert_int_equal(record_size(&in), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_gives_the_published_numbers),
		cmocka_unit_test(crc32c_is_the_same_both_ways_and_in_parts),
		cmocka_unit_test(a_record_comes_back_as_it_was),
		cmocka_unit_test(a_record_cut_short_or_too_long_is_refused),
		cmocka_unit_test(rows_outside_the_statement_are_refused),
		cmocka_unit_test(several_statements_come_back_one_by_one),
		cmocka_unit_test(parts_outside_the_text_are_refused),
		cmocka_unit_test(a_statement_that_is_too_large_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
