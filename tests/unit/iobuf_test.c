/*
 * iobuf_test.c - a queue of bytes under its bound (F3), compared with a plain array through random steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "iobuf.h"
#include "mem.h"

static void an_unused_buffer_owns_nothing(void **state)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_null(b.data);
	assert_int_equal(iobuf_len(&b), 0);
	assert_non_null(iobuf_data(&b));
	iobuf_consume(&b, 0);
	assert_int_equal(iobuf_append(&b, NULL, 0), RC_OK);
	assert_null(b.data);
	iobuf_reset(&b);
}

static void the_bound_is_exact(void **state)
{
	struct iobuf b;

	iobuf_init(&b, 10);
	assert_int_equal(iobuf_append(&b, "0123456", 7), RC_OK);
	assert_int_equal(iobuf_append(&b, "789x", 4), RC_ERROR);
	assert_int_equal(iobuf_len(&b), 7);
	assert_int_equal(iobuf_append(&b, "789", 3), RC_OK);
	assert_null(iobuf_reserve(&b, 1));
	assert_null(iobuf_reserve(&b, SIZE_MAX));
	assert_int_equal(iobuf_printf(&b, "%d", 1), RC_ERROR);
	iobuf_consume(&b, 1);
	assert_int_equal(iobuf_printf(&b, "%s", "a"), RC_OK);
	assert_memory_equal(iobuf_data(&b), "123456789a", 10);
	assert_true(b.cap <= 15);
	iobuf_reset(&b);
	assert_int_equal(b.max, 10);
}

static void an_unlimited_buffer_refuses_what_cannot_be(void **state)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(iobuf_append(&b, "x", 1), RC_OK);
	assert_null(iobuf_reserve(&b, SIZE_MAX));
	assert_null(iobuf_reserve(&b, SIZE_MAX - 1));
	assert_null(iobuf_reserve(&b, (size_t)PTRDIFF_MAX));
	assert_int_equal(iobuf_len(&b), 1);
	iobuf_reset(&b);
}

static void formatted_text_of_any_length(void **state)
{
	char text[2000];
	struct iobuf b;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t n = 509; n <= 514; n++) { /* around the size of its inner buffer */
		iobuf_init(&b, n);
		assert_int_equal(iobuf_printf(&b, "%.*s", (int)n, text), RC_OK);
		assert_int_equal(iobuf_len(&b), n);
		assert_memory_equal(iobuf_data(&b), text, n);
		iobuf_reset(&b);
	}
	iobuf_init(&b, 0);
	assert_int_equal(iobuf_printf(&b, "%s", ""), RC_OK);
	assert_int_equal(iobuf_printf(&b, "%s", text), RC_OK);
	assert_int_equal(iobuf_len(&b), sizeof(text) - 1);
	iobuf_reset(&b);
}

static void a_large_one_gives_its_memory_back_when_empty(void **state)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_non_null(iobuf_reserve(&b, 100));
	iobuf_commit(&b, 100);
	iobuf_consume(&b, 100);
	assert_non_null(b.data);
	assert_int_equal(b.start, 0);
	assert_non_null(iobuf_reserve(&b, 100000));
	iobuf_commit(&b, 100000);
	iobuf_consume(&b, 99999);
	assert_non_null(b.data);
	iobuf_consume(&b, 1);
	assert_null(b.data);
	assert_int_equal(b.cap, 0);
}

static void without_memory_nothing_changes(void **state)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(iobuf_append(&b, "abc", 3), RC_OK);
	mem_fail_after(1, 1);
	assert_null(iobuf_reserve(&b, 1000000));
	assert_int_equal(iobuf_printf(&b, "%1000d", 1), RC_ERROR);
	mem_fail_after(0, 0);
	assert_int_equal(iobuf_len(&b), 3);
	assert_memory_equal(iobuf_data(&b), "abc", 3);
	iobuf_reset(&b);
}

/* One random step on both; the bytes are a running count, so that any mix-up shows. */
static void step(struct iobuf *b, uint8_t *next_in, uint8_t *next_out)
{
	size_t n = (size_t)rand() % 700;

	if (rand() % 2) {
		size_t len = iobuf_len(b);
		uint8_t *at = iobuf_reserve(b, n);

		assert_int_equal(at != NULL, n <= b->max - len);
		for (size_t i = 0; at && i < n; i++)
			at[i] = (*next_in)++;
		if (at)
			iobuf_commit(b, n);
	} else {
		if (n > iobuf_len(b))
			n = iobuf_len(b);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(iobuf_data(b)[i], (*next_out)++);
		iobuf_consume(b, n);
	}
}

static void bytes_come_out_in_the_order_they_went_in(void **state)
{
	uint8_t next_in = 0, next_out = 0;
	struct iobuf b;

	srand(1);
	iobuf_init(&b, 3000);
	for (int i = 0; i < 50000; i++) {
		step(&b, &next_in, &next_out);
		assert_true(iobuf_len(&b) <= b.max);
		assert_true(b.cap <= b.max + b.max / 2);
	}
	iobuf_reset(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unused_buffer_owns_nothing),
		cmocka_unit_test(the_bound_is_exact),
		cmocka_unit_test(an_unlimited_buffer_refuses_what_cannot_be),
		cmocka_unit_test(formatted_text_of_any_length),
		cmocka_unit_test(a_large_one_gives_its_memory_back_when_empty),
		cmocka_unit_test(without_memory_nothing_changes),
		cmocka_unit_test(bytes_come_out_in_the_order_they_went_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
