/*
 * mem_test.c - copies, and allocations that are refused when a test asks for it (F1: out of memory is an answer).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "mem.h"

static void copies_are_terminated(void **state)
{
	char *s = mem_strdup("gate"), *d = mem_dup("ab\0cd", 5), *e = mem_dup(NULL, 0),
	     *p = mem_printf("%s-%d", "x", 7);

	assert_string_equal(s, "gate");
	assert_memory_equal(d, "ab\0cd", 6);
	assert_string_equal(e, "");
	assert_string_equal(p, "x-7");
	assert_null(mem_strdup(NULL));
	mem_free(s);
	mem_free(d);
	mem_free(e);
	mem_free(p);
	mem_free(NULL);
}

static void nothing_is_still_an_allocation(void **state)
{
	void *a = mem_alloc(0), *z = mem_zalloc(0), *r = mem_realloc(NULL, 0);

	assert_non_null(a);
	assert_non_null(z);
	assert_non_null(r);
	r = mem_realloc(r, 0);
	assert_non_null(r);
	mem_free(a);
	mem_free(z);
	mem_free(r);
}

static void impossible_sizes_are_refused_and_counted(void **state)
{
	volatile size_t most = SIZE_MAX; /* hidden from the compiler, which would warn of it */
	uint64_t before = mem_failures();

	assert_null(mem_dup("", most));
	mem_fail_after(1, 0);
	assert_null(mem_alloc(1));
	assert_int_equal(mem_failures(), before + 1);
}

static void the_nth_allocation_fails_once(void **state)
{
	void *a, *b, *c;

	mem_fail_after(2, 0);
	a = mem_alloc(8);
	b = mem_zalloc(8);
	c = mem_alloc(8);
	assert_non_null(a);
	assert_null(b);
	assert_non_null(c);
	mem_free(a);
	mem_free(c);
}

static void sticky_failure_lasts_until_switched_off(void **state)
{
	char *kept = mem_strdup("kept");

	mem_fail_after(1, 1);
	assert_null(mem_alloc(1));
	assert_null(mem_realloc(kept, 100));
	assert_null(mem_printf("%d", 1));
	assert_true(mem_refuse());
	mem_fail_after(0, 0);
	assert_false(mem_refuse());
	assert_string_equal(kept, "kept");
	mem_free(kept);
}

static void *allocate_elsewhere(void *arg)
{
	return mem_alloc(8);
}

static void only_the_thread_that_asked_is_refused(void **state)
{
	pthread_t thread;
	void *p = NULL;

	mem_fail_after(1, 1);
	assert_int_equal(pthread_create(&thread, NULL, allocate_elsewhere, NULL), 0);
	assert_int_equal(pthread_join(thread, &p), 0);
	mem_fail_after(0, 0);
	assert_non_null(p);
	mem_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_terminated),
		cmocka_unit_test(nothing_is_still_an_allocation),
		cmocka_unit_test(impossible_sizes_are_refused_and_counted),
		cmocka_unit_test(the_nth_allocation_fails_once),
		cmocka_unit_test(sticky_failure_lasts_until_switched_off),
		cmocka_unit_test(only_the_thread_that_asked_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
