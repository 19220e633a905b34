/*
 * mbuf_test.c - nothing is read behind the end, and a read that fails moves nothing (F2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "mbuf.h"

static void numbers_are_little_endian(void **state)
{
	static const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09,
					0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12};
	struct mbuf m = mbuf_of(bytes, sizeof(bytes));
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64, u24;

	assert_int_equal(mbuf_u8(&m, &u8), RC_OK);
	assert_int_equal(mbuf_u16(&m, &u16), RC_OK);
	assert_int_equal(mbuf_uint(&m, 3, &u24), RC_OK);
	assert_int_equal(mbuf_u32(&m, &u32), RC_OK);
	assert_int_equal(mbuf_u64(&m, &u64), RC_OK);
	assert_int_equal(u8, 0x01);
	assert_int_equal(u16, 0x0302);
	assert_int_equal(u24, 0x060504);
	assert_int_equal(u32, 0x0a090807);
	assert_int_equal(u64, UINT64_C(0x1211100f0e0d0c0b));
	assert_int_equal(mbuf_left(&m), 0);
}

static void a_failed_read_moves_nothing(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct mbuf m = mbuf_of(bytes, sizeof(bytes));
	struct span s = span_str("kept");
	uint64_t v = 99;
	uint32_t u32 = 99;

	assert_int_equal(mbuf_uint(&m, 4, &v), RC_ERROR);
	assert_int_equal(mbuf_uint(&m, 9, &v), RC_ERROR);
	assert_int_equal(mbuf_u32(&m, &u32), RC_ERROR);
	assert_int_equal(mbuf_u64(&m, &v), RC_ERROR);
	assert_int_equal(mbuf_skip(&m, 4), RC_ERROR);
	assert_int_equal(mbuf_skip(&m, SIZE_MAX), RC_ERROR);
	assert_int_equal(mbuf_bytes(&m, SIZE_MAX, &s), RC_ERROR);
	assert_int_equal(mbuf_str_nul(&m, &s), RC_ERROR);
	assert_int_equal(v, 99);
	assert_int_equal(u32, 99);
	assert_true(span_eq(s, span_str("kept")));
	assert_int_equal(mbuf_left(&m), 3);
}

static void nothing_can_be_read_from_nothing(void **state)
{
	struct mbuf m = mbuf_of(NULL, 0);
	struct span s;
	uint64_t v;
	uint8_t u8;

	assert_int_equal(mbuf_left(&m), 0);
	assert_int_equal(mbuf_u8(&m, &u8), RC_ERROR);
	assert_int_equal(mbuf_str_nul(&m, &s), RC_ERROR);
	assert_int_equal(mbuf_skip(&m, 0), RC_OK);
	assert_int_equal(mbuf_bytes(&m, 0, &s), RC_OK);
	assert_int_equal(s.len, 0);
	assert_int_equal(mbuf_uint(&m, 0, &v), RC_OK);
	assert_int_equal(v, 0);
}

static void a_string_ends_at_its_nul(void **state)
{
	struct mbuf m = mbuf_of("ab\0\0c", 5);
	struct span s;

	assert_int_equal(mbuf_str_nul(&m, &s), RC_OK);
	assert_true(span_eq(s, span_str("ab")));
	assert_int_equal(mbuf_str_nul(&m, &s), RC_OK);
	assert_int_equal(s.len, 0);
	assert_int_equal(mbuf_str_nul(&m, &s), RC_ERROR);
	assert_int_equal(mbuf_bytes(&m, 1, &s), RC_OK);
	assert_true(span_eq(s, span_str("c")));
}

static void spans_compare_by_bytes_or_by_ascii_letters(void **state)
{
	assert_true(span_eq(span_of(NULL, 0), span_str("")));
	assert_true(span_eq(span_str(NULL), span_str("")));
	assert_false(span_eq(span_str("a"), span_str("ab")));
	assert_false(span_eq(span_str("a"), span_str("A")));
	assert_true(span_ieq(span_str("SeLeCt"), span_str("select")));
	assert_false(span_ieq(span_str("selec"), span_str("select")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(a_failed_read_moves_nothing),
		cmocka_unit_test(nothing_can_be_read_from_nothing),
		cmocka_unit_test(a_string_ends_at_its_nul),
		cmocka_unit_test(spans_compare_by_bytes_or_by_ascii_letters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
