/*
 * queue_repair_test.c - a damaged log: what is lost is said exactly, skipping it keeps everything else (F1, F2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue_kit.h"
#include "repair.h"
#include "segment.h"

struct seen {
	unsigned n;
	uint64_t first[16], last[16];
};

static void see(void *arg, const struct repair_damage *d)
{
	struct seen *s = arg;

	assert_true(s->n < 16);
	s->first[s->n] = d->first_seq;
	s->last[s->n++] = d->last_seq;
}

static struct repair_totals repaired(const char *dir, bool skip, struct seen *seen)
{
	struct repair_totals t;
	char err[512] = "";

	*seen = (struct seen){0};
	if (repair_dir(dir, skip, see, seen, &t, err, sizeof(err)) != RC_OK)
		fail_msg("%s", err);
	return t;
}

static const char *filled(unsigned n)
{
	const char *dir = kit_dir();
	struct queue_options opt = kit_options(dir);
	struct queue *q = kit_open(&opt);
	char sql[16];

	for (unsigned i = 1; i <= n; i++) {
		snprintf(sql, sizeof(sql), "r%u", i);
		assert_int_equal(kit_put(q, sql, NULL), RC_OK);
	}
	kit_close(q);
	return dir;
}

static void expect_pending(const char *dir, const char *expect)
{
	struct queue_options opt = kit_options(dir);
	struct queue *q = kit_open(&opt);

	assert_string_equal(kit_pending(q), expect);
	assert_int_equal(kit_put(q, "new", NULL), RC_OK);
	kit_close(q);
}

static void a_whole_log_has_nothing_to_skip(void **state)
{
	const char *dir = filled(5);
	struct seen seen;
	struct repair_totals t = repaired(dir, false, &seen);

	assert_int_equal(t.records, 5);
	assert_int_equal(t.damages + t.lost + t.skipped, 0);
	t = repaired(dir, true, &seen);
	assert_int_equal(t.damages, 0);
	expect_pending(dir, "r1,r2,r3,r4,r5,");
	kit_remove(dir);
}

/* Whichever byte of the second record it is. */
static void one_damaged_record_is_lost_and_no_other(void **state)
{
	char bad[96];
	const char *dir = filled(4);
	struct seen seen;
	struct repair_totals t;
	long size;

	{
		struct record rec = kit_record("r1");

		size = (long)frame_size(record_size(&rec));
	}
	snprintf(bad, sizeof(bad), "%s-bad", dir);
	for (long at = SEGMENT_HEADER_BYTES + size; at < SEGMENT_HEADER_BYTES + 2 * size - 8; at++) {
		kit_copy(dir, bad);
		kit_flip(kit_segment(bad), at);
		for (int again = 0; again < 2; again++) { /* looking changes nothing */
			t = repaired(bad, false, &seen);
			assert_int_equal(t.records, 3);
			assert_int_equal(t.lost, 1);
			assert_int_equal(seen.n, 1);
			assert_int_equal(seen.first[0], 2);
			assert_int_equal(seen.last[0], 2);
		}
		repaired(bad, true, &seen);
		t = repaired(bad, false, &seen);
		assert_int_equal(t.damages, 0);
		assert_int_equal(t.skipped, 1);
		expect_pending(bad, "r1,r3,r4,");
		expect_pending(bad, "r1,r3,r4,new,");
		kit_remove(bad);
	}
	kit_remove(dir);
}

/* Nothing behind it vouches for the last record: the checkpoint does. */
static void the_last_record_may_be_the_damaged_one(void **state)
{
	const char *dir = filled(3);
	struct seen seen;
	struct repair_totals t;
	struct record rec = kit_record("r1");
	long size = (long)frame_size(record_size(&rec));

	kit_flip(kit_segment(dir), SEGMENT_HEADER_BYTES + 2 * size + 30);
	t = repaired(dir, true, &seen);
	assert_int_equal(t.lost, 1);
	assert_int_equal(seen.first[0], 3);
	expect_pending(dir, "r1,r2,");
	expect_pending(dir, "r1,r2,new,");
	kit_remove(dir);
}

static void a_damaged_header_costs_no_record(void **state)
{
	const char *dir = filled(3);
	struct seen seen;

	kit_flip(kit_segment(dir), 20);
	assert_int_equal(repaired(dir, false, &seen).lost, 0);
	assert_int_equal(repaired(dir, true, &seen).damages, 1);
	expect_pending(dir, "r1,r2,r3,");
	kit_remove(dir);
}

/* Of many segments the first is cut short: what was in its rest is lost, what follows is not. */
static void a_segment_cut_short_loses_its_rest(void **state)
{
	const char *dir = filled(100);
	struct repair_totals t;
	struct seen seen;
	uint64_t lost;

	assert_true(kit_segments(dir) > 2);
	kit_cut(kit_segment(dir), 1000);
	t = repaired(dir, true, &seen);
	lost = t.lost;
	assert_true(lost > 1);
	assert_int_equal(t.records + lost, 100);
	assert_int_equal(seen.n, 1);
	t = repaired(dir, false, &seen);
	assert_int_equal(t.damages, 0);
	assert_int_equal(t.skipped, lost);
	assert_int_equal(t.records, 100 - lost);
	kit_remove(dir);
}

static void a_torn_tail_is_no_damage(void **state)
{
	const char *dir = filled(3);
	struct record rec = kit_record("r1");
	long size = (long)frame_size(record_size(&rec));
	struct seen seen;

	unlink(kit_path(dir, "checkpoint"));
	kit_cut(kit_segment(dir), SEGMENT_HEADER_BYTES + 3 * size - 9);
	assert_int_equal(repaired(dir, true, &seen).damages, 0);
	expect_pending(dir, "r1,r2,");
	kit_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_log_has_nothing_to_skip),
		cmocka_unit_test(one_damaged_record_is_lost_and_no_other),
		cmocka_unit_test(the_last_record_may_be_the_damaged_one),
		cmocka_unit_test(a_damaged_header_costs_no_record),
		cmocka_unit_test(a_segment_cut_short_loses_its_rest),
		cmocka_unit_test(a_torn_tail_is_no_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
