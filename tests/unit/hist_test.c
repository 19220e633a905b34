/*
 * hist_test.c - percentiles against exact ones, saturation, merging, and readers beside the writer (S1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "hist.h"
#include "mem.h"

#define SAMPLES 20000

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* 50 ns to 17 minutes, evenly over the octaves. */
static uint64_t random_latency(void)
{
	return (uint64_t)exp2(5.7 + 34.2 * rand() / RAND_MAX);
}

static void quantiles_are_off_by_at_most_one_64th(void **state)
{
	static const double asked[] = {0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0};
	static uint64_t v[SAMPLES];
	struct hist h;

	srand(7);
	hist_init(&h);
	for (size_t i = 0; i < SAMPLES; i++) {
		v[i] = random_latency();
		hist_add(&h, v[i]);
	}
	qsort(v, SAMPLES, sizeof(v[0]), by_value);
	for (size_t i = 0; i < countof(asked); i++) {
		size_t rank = (size_t)(asked[i] * SAMPLES);
		double exact = (double)v[rank < SAMPLES ? rank : SAMPLES - 1];

		assert_true(fabs((double)hist_quantile(&h, asked[i]) - exact) <= exact / 64 + 1);
	}
	assert_int_equal(hist_quantile(&h, 1.0), v[SAMPLES - 1]);
	hist_reset(&h);
}

static void every_value_lands_within_its_own_error(void **state)
{
	/* up to the last step, which stands for all that is longer, too */
	for (uint64_t ns = 1; ns < UINT64_C(63) << 35; ns += 1 + ns / 97) {
		uint64_t bound[2] = {ns - ns / 32 - 2, ns + ns / 32 + 2}, below[2], got;
		struct hist h;

		hist_init(&h);
		hist_add(&h, ns);
		hist_add(&h, UINT64_C(1) << 42);
		got = hist_quantile(&h, 0.0);
		assert_true(got <= ns + ns / 64 + 1 && got + ns / 64 + 1 >= ns);
		if (ns > 100) {
			hist_cumulative(&h, bound, 2, below);
			assert_int_equal(below[0], 0);
			assert_int_equal(below[1], 1);
		}
		hist_reset(&h);
	}
}

static void an_empty_one_answers_zero(void **state)
{
	uint64_t bounds[2] = {1, 2}, out[2] = {9, 9};
	struct hist h;

	hist_init(&h);
	assert_int_equal(hist_quantile(&h, 0.5), 0);
	hist_cumulative(&h, bounds, 2, out);
	assert_int_equal(out[0] + out[1], 0);
	hist_reset(&h);
}

static void a_single_value_is_every_quantile(void **state)
{
	struct hist h;

	hist_init(&h);
	hist_add(&h, 1000);
	assert_in_range(hist_quantile(&h, 0.0), 985, 1000); /* never above the largest seen */
	assert_int_equal(hist_quantile(&h, 0.5), hist_quantile(&h, 0.0));
	assert_int_equal(hist_quantile(&h, 1.0), 1000);
	assert_int_equal(hist_quantile(&h, (double)NAN), 1000);
	assert_int_equal(h.sum_ns, 1000);
	hist_reset(&h);
}

static void what_is_too_long_saturates_at_the_largest_seen(void **state)
{
	struct hist h;

	hist_init(&h);
	hist_add(&h, UINT64_MAX / 4);
	assert_int_equal(hist_quantile(&h, 0.5), UINT64_MAX / 4);
	assert_int_equal(h.count, 1);
	hist_reset(&h);
}

static void cumulative_counts_at_each_bound(void **state)
{
	static const uint64_t bounds[] = {1000, 10000, 100000, 1000000};
	uint64_t out[countof(bounds)];
	struct hist h;

	hist_init(&h);
	for (int i = 0; i < 10; i++)
		hist_add(&h, 500);
	for (int i = 0; i < 5; i++)
		hist_add(&h, 50000);
	hist_add(&h, 5000000);
	hist_cumulative(&h, bounds, countof(bounds), out);
	assert_int_equal(out[0], 10);
	assert_int_equal(out[1], 10);
	assert_int_equal(out[2], 15);
	assert_int_equal(out[3], 15);
	hist_reset(&h);
}

static void merging_adds_up(void **state)
{
	struct hist a, b;

	hist_init(&a);
	hist_init(&b);
	for (uint64_t i = 1; i <= 100; i++)
		hist_add(i % 2 ? &a : &b, i * 1000);
	assert_int_equal(hist_merge(&a, &b), RC_OK);
	assert_int_equal(a.count, 100);
	assert_int_equal(a.sum_ns, 5050 * 1000);
	assert_int_equal(a.max_ns, 100 * 1000);
	assert_in_range(hist_quantile(&a, 0.5), 50000, 52000);
	hist_reset(&a);
	mem_fail_after(1, 1);
	assert_int_equal(hist_merge(&a, &b), RC_ERROR);
	mem_fail_after(0, 0);
	hist_reset(&a);
	hist_reset(&b);
}

/* 2^32 and more in one bucket: what is told of a process's whole life goes on, and a digest's percentiles stay. */
static void a_bucket_goes_on_where_32_bits_end(void **state)
{
	static const uint64_t bounds[] = {10000, 1000000};
	uint64_t below[2];
	struct hist wide, narrow;

	hist_init(&wide);
	hist_init_narrow(&narrow);
	for (int i = 0; i < 3; i++) {
		for (unsigned at = 0; at < HIST_BUCKETS; at += HIST_STEPS) {
			uint64_t n = at == 5 * HIST_STEPS ? UINT32_MAX : at == 10 * HIST_STEPS ? UINT32_MAX / 4 : 0;

			if (n) {
				assert_int_equal(hist_bucket_add(&wide, at, n), RC_OK);
				assert_int_equal(hist_bucket_add(&narrow, at, n), RC_OK);
			}
		}
	}
	wide.max_ns = narrow.max_ns = 1 << 20;
	assert_int_equal(hist_merge(&wide, &narrow), RC_OK);
	for (int i = 0; i < 100; i++) {
		hist_add(&wide, 1024);
		hist_add(&narrow, 1024);
	}
	hist_cumulative(&wide, bounds, countof(bounds), below);
	assert_true(below[0] > 3 * (uint64_t)UINT32_MAX);
	assert_true(below[1] > below[0]);
	assert_true(hist_bucket(&narrow, 5 * HIST_STEPS) > UINT32_MAX / 4);
	assert_in_range(hist_quantile(&narrow, 0.5), 1000, 1100);
	assert_in_range(hist_quantile(&narrow, 0.95), 32000, 34000);
	hist_reset(&wide);
	hist_reset(&narrow);
}

static void the_difference_is_what_came_since(void **state)
{
	struct hist before, now, since;

	hist_init(&before);
	hist_init(&now);
	hist_init(&since);
	for (int i = 0; i < 100; i++)
		hist_add(&now, 50000000);
	assert_int_equal(hist_merge(&before, &now), RC_OK);
	for (int i = 0; i < 10; i++)
		hist_add(&now, 1000);
	assert_int_equal(hist_difference(&since, &now, &before), RC_OK);
	assert_int_equal(since.count, 10);
	assert_int_equal(since.sum_ns, 10000);
	assert_in_range(hist_quantile(&since, .99), 984, 1016);
	hist_reset(&since);
	mem_fail_after(1, 1);
	assert_int_equal(hist_difference(&since, &now, &before), RC_ERROR);
	mem_fail_after(0, 0);
	hist_reset(&since);
	hist_reset(&before);
	hist_reset(&now);
}

static void without_memory_totals_still_count(void **state)
{
	struct hist h;

	hist_init(&h);
	mem_fail_after(1, 1);
	hist_add(&h, 1000);
	mem_fail_after(0, 0);
	assert_int_equal(h.count, 1);
	assert_int_equal(h.max_ns, 1000);
	assert_int_equal(hist_quantile(&h, 0.5), 0);
	hist_reset(&h);
}

static void *write_many(void *arg)
{
	for (uint64_t i = 0; i < 200000; i++)
		hist_add(arg, i * 37);
	return NULL;
}

static void readers_need_no_lock(void **state)
{
	pthread_t writer;
	struct hist h, sum;

	hist_init(&h);
	assert_int_equal(pthread_create(&writer, NULL, write_many, &h), 0);
	for (int i = 0; i < 200; i++) {
		hist_init(&sum);
		assert_int_equal(hist_merge(&sum, &h), RC_OK);
		assert_true(hist_quantile(&sum, 0.99) <= 200000 * 37);
		hist_reset(&sum);
	}
	pthread_join(writer, NULL);
	assert_int_equal(h.count, 200000);
	assert_in_range(hist_quantile(&h, 0.5), 3600000, 3800000);
	hist_reset(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_off_by_at_most_one_64th),
		cmocka_unit_test(every_value_lands_within_its_own_error),
		cmocka_unit_test(an_empty_one_answers_zero),
		cmocka_unit_test(a_single_value_is_every_quantile),
		cmocka_unit_test(what_is_too_long_saturates_at_the_largest_seen),
		cmocka_unit_test(cumulative_counts_at_each_bound),
		cmocka_unit_test(merging_adds_up),
		cmocka_unit_test(a_bucket_goes_on_where_32_bits_end),
		cmocka_unit_test(the_difference_is_what_came_since),
		cmocka_unit_test(without_memory_totals_still_count),
		cmocka_unit_test(readers_need_no_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
