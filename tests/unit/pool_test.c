/*
 * pool_test.c - objects come back zeroed, are reused, are counted, and may be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "mem.h"
#include "pool.h"

struct object {
	char bytes[100];
};

static void assert_zeroed(const struct object *o)
{
	static const struct object zero;

	assert_memory_equal(o, &zero, sizeof(zero));
}

static void the_last_object_put_is_the_next_one_got(void **state)
{
	struct pool *pool = pool_new("test", sizeof(struct object), 4);
	struct object *o = pool_get(pool);
	void *again;

	assert_zeroed(o);
	memset(o, 0xff, sizeof(*o));
	pool_put(pool, o);
	again = pool_get(pool);
	assert_ptr_equal(again, o);
	assert_zeroed(again);
	pool_put(pool, again);
	pool_free(pool);
}

static void the_first_part_alone_comes_back_zeroed(void **state)
{
	struct pool *pool = pool_new_part("test", 100, 40, 4);
	char *o = pool_get(pool), zero[40] = {0};

	assert_memory_equal(o, zero, sizeof(zero));
	memset(o, 0xff, 100);
	pool_put(pool, o);
	o = pool_get(pool);
	assert_memory_equal(o, zero, sizeof(zero));
	assert_int_not_equal(o[40], 0); /* what lay there, or the mark of a build with ASan */
	pool_put(pool, o);
	pool_free(pool);
}

static void objects_out_are_counted(void **state)
{
	struct pool *pool = pool_new("test", sizeof(struct object), 2);
	struct object *o[100];

	for (size_t i = 0; i < countof(o); i++) {
		o[i] = pool_get(pool);
		assert_int_equal(pool_live(pool), i + 1);
	}
	for (size_t i = 0; i < countof(o); i++)
		pool_put(pool, o[i]);
	pool_put(pool, NULL);
	assert_int_equal(pool_live(pool), 0);
	pool_free(pool);
	pool_free(NULL);
}

static void a_pool_that_keeps_nothing_works(void **state)
{
	struct pool *pool = pool_new("test", 1, 0);
	void *a = pool_get(pool), *b = pool_get(pool);

	assert_ptr_not_equal(a, b);
	pool_put(pool, a);
	pool_put(pool, b);
	assert_int_equal(pool_live(pool), 0);
	pool_free(pool);
}

static void refusal_reaches_reused_objects_too(void **state)
{
	struct pool *pool = pool_new("test", sizeof(struct object), 4);
	void *o = pool_get(pool);

	pool_put(pool, o);
	mem_fail_after(1, 0);
	assert_null(pool_get(pool));
	assert_int_equal(pool_live(pool), 0);
	o = pool_get(pool);
	assert_non_null(o);
	pool_put(pool, o);
	pool_free(pool);
}

static void an_object_is_freed_where_there_is_no_memory_to_keep_it(void **state)
{
	struct pool *pool = pool_new("test", sizeof(struct object), 4);
	void *o = pool_get(pool);

	mem_fail_after(1, 0);
	pool_put(pool, o);
	mem_fail_after(0, 0);
	assert_int_equal(pool_live(pool), 0);
	pool_free(pool);
	mem_fail_after(1, 0);
	assert_null(pool_new("test", 1, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_object_put_is_the_next_one_got),
		cmocka_unit_test(the_first_part_alone_comes_back_zeroed),
		cmocka_unit_test(objects_out_are_counted),
		cmocka_unit_test(a_pool_that_keeps_nothing_works),
		cmocka_unit_test(refusal_reaches_reused_objects_too),
		cmocka_unit_test(an_object_is_freed_where_there_is_no_memory_to_keep_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
