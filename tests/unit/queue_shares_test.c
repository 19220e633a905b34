/*
 * queue_shares_test.c - what the rows of suimon.applied say when several connections drain (Q2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shares.h"

static struct span key(unsigned i)
{
	static char text[32];

	snprintf(text, sizeof(text), "shop%ct%u%c", 0, i, 0);
	return span_of(text, strlen("shop") + 1 + strlen(text + 5) + 1);
}

/* A row on disk means something only as long as a key falls to the same worker: these numbers may never change. */
static void a_key_falls_to_the_same_worker_for_ever(void **state)
{
	static const unsigned four[] = {0, 3, 2, 1, 0, 3, 2, 1};
	unsigned used[4] = {0};

	for (unsigned i = 0; i < countof(four); i++)
		assert_int_equal(shares_worker(key(i), 4), four[i]);
	for (unsigned i = 0; i < 1000; i++)
		used[shares_worker(key(i), 4)]++;
	for (unsigned w = 0; w < 4; w++)
		assert_true(used[w] > 150);
	assert_int_equal(shares_worker(span_of("", 0), 7), 0);
}

static void rows_of_any_number_of_workers_stay_true(void **state)
{
	struct shares s = {.n = 0};
	struct span k = key(5);

	assert_false(shares_have(&s, 1, k));
	assert_int_equal(shares_note(&s, shares_shard(4, shares_worker(k, 4)), 100), RC_OK);
	assert_true(shares_have(&s, 100, k));
	assert_false(shares_have(&s, 101, k));
	for (unsigned w = 0; w < 3; w++) /* of another number, and of the others of this one: not about this key, or less far */
		assert_int_equal(shares_note(&s, shares_shard(3, w), w == shares_worker(k, 3) ? 90 : 500), RC_OK);
	assert_false(shares_have(&s, 101, k));
	assert_int_equal(shares_note(&s, shares_shard(3, shares_worker(k, 3)), 120), RC_OK);
	assert_true(shares_have(&s, 101, k));
	assert_int_equal(shares_highest(&s), 500);
	assert_int_equal(shares_of(&s, shares_shard(3, shares_worker(k, 3))), 120);
	assert_int_equal(shares_of(&s, shares_shard(5, 0)), 0);
}

static void what_says_no_more_than_the_first_row_is_forgotten(void **state)
{
	struct shares s = {.n = 0};

	for (unsigned w = 0; w < 8; w++)
		assert_int_equal(shares_note(&s, shares_shard(8, w), 10 * (w + 1)), RC_OK);
	shares_level(&s, 40);
	assert_int_equal(s.n, 4);
	assert_int_equal(shares_of(&s, shares_shard(8, 3)), 0);
	assert_int_equal(shares_of(&s, shares_shard(8, 4)), 50);
	shares_level(&s, 1000);
	assert_int_equal(s.n, 0);
	for (unsigned i = 0; i < SHARES_MAX; i++)
		assert_int_equal(shares_note(&s, 1000 + i, 5), RC_OK);
	assert_int_equal(shares_note(&s, 5, 5), RC_ERROR); /* a fact that cannot be kept is not passed over */
	assert_int_equal(shares_note(&s, 1000, 7), RC_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_falls_to_the_same_worker_for_ever),
		cmocka_unit_test(rows_of_any_number_of_workers_stay_true),
		cmocka_unit_test(what_says_no_more_than_the_first_row_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
