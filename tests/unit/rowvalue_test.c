/*
 * Numbers as bytes are named as their digits are (C6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rowvalue.h"

static void check(uint64_t n, size_t len)
{
	unsigned shift = 64 - 8 * (unsigned)len;
	struct rowvalue v, of_text;
	char text[32];
	uint8_t raw[8];

	for (size_t i = 0; i < len; i++)
		raw[i] = (uint8_t)(n >> (8 * i));
	for (int is_unsigned = 0; is_unsigned < 2; is_unsigned++) {
		if (is_unsigned)
			snprintf(text, sizeof(text), "%llu", (unsigned long long)(n << shift >> shift));
		else
			snprintf(text, sizeof(text), "%lld", (long long)((int64_t)(n << shift) >> shift));
		assert_true(rowvalue_number(span_of(raw, len), is_unsigned, &v));
		assert_true(rowvalue_integer(span_str(text), &of_text));
		assert_true(span_eq(rowvalue_span(&v), span_str(text)));
		assert_true(span_eq(rowvalue_span(&v), rowvalue_span(&of_text)));
	}
}

static void test_bytes_are_named_as_digits_are(void **state)
{
	uint64_t n = 1;

	for (size_t len = 1; len <= 8; len++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			check(UINT64_C(1) << bit, len);
			check((UINT64_C(1) << bit) - 1, len);
			check(-(UINT64_C(1) << bit), len);
		}
		for (unsigned i = 0; i < 10000; i++) {
			n = n * UINT64_C(6364136223846793005) + 1442695040888963407;
			check(n >> (n & 63), len);
		}
	}
}

static void test_other_lengths_are_none(void **state)
{
	struct rowvalue v;

	assert_false(rowvalue_number(span_of("", 0), false, &v));
	assert_false(rowvalue_number(span_of("123456789", 9), false, &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_are_named_as_digits_are),
		cmocka_unit_test(test_other_lengths_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
