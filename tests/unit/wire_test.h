/*
 * wire_test.h - what the protocol's tests share: cmocka, and packets written as hex.
 */
#ifndef SUIMON_WIRE_TEST_H
#define SUIMON_WIRE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "iobuf.h"
#include "span.h"

/* The bytes a hex text stands for; the caller frees them. The block is exactly as long, so that ASan sees every step
 * past its end. */
static inline uint8_t *unhex(const char *hex, size_t *len)
{
	size_t n = strlen(hex) / 2;
	uint8_t *out = malloc(n ? n : 1);

	assert_non_null(out);
	assert_int_equal(strlen(hex) % 2, 0);
	for (size_t i = 0; i < n; i++) {
		char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		char *end;

		out[i] = (uint8_t)strtoul(digits, &end, 16);
		assert_int_equal(*end, '\0');
	}
	*len = n;
	return out;
}

static inline void assert_span(struct span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.p, text, s.len);
}

static inline void assert_bytes(const struct iobuf *b, const void *p, size_t len)
{
	assert_int_equal(iobuf_len(b), len);
	assert_memory_equal(iobuf_data(b), p, len);
}

#endif
