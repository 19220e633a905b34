/*
 * queue_mark_test.c - whose a lane's position in the database is: what is done by what the store and the database say (Q1, Q2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "clock.h"
#include "mark.h"
#include "rc.h"

#define A 7u
#define B 9u

/* What is done about the first of these lanes at once. */
static enum mark_step look(struct mark_view *v, const struct mark *lane, unsigned n, bool seen, uint64_t second)
{
	mark_look(v, lane, n, seen, second * NS_PER_SEC);
	return mark_step(v, lane, true);
}

static void one_look_says(void **state)
{
	static const struct {
		struct mark m;
		enum mark_step step;
	} rows[] = {
		{{.noted = 0, .store = 0}, MARK_WAIT},
		{{.noted = A, .store = 0, .ours = A, .fresh = true}, MARK_WAIT},
		{{.noted = 0, .store = A, .fresh = true}, MARK_NOTE},
		{{.noted = 0, .store = A, .ours = A}, MARK_NOTE},
		{{.noted = A, .store = A}, MARK_OURS},
		{{.noted = A, .store = A, .ours = B, .fresh = true}, MARK_OURS},
		{{.noted = A, .store = B}, MARK_FOREIGN},
		{{.noted = A, .store = B, .fresh = true}, MARK_FOREIGN},
		{{.noted = A, .store = B, .ours = A}, MARK_FOREIGN},
		{{.noted = A, .store = B, .ours = A, .fresh = true}, MARK_FOREIGN},
	};

	for (size_t i = 0; i < countof(rows); i++) {
		struct mark_view v = {0};

		assert_int_equal(look(&v, &rows[i].m, 1, false, 1), rows[i].step);
	}
}

/* Two stores whose processes begin at the same time must not have some lanes each: the first lane decides. */
static void the_first_lane_decides(void **state)
{
	struct mark_view v = {0};
	struct mark late[] = {{.store = B}, {.store = B}}, away[] = {{.store = 0}, {.store = B}};

	assert_int_equal(look(&v, late, 2, false, 1), MARK_NOTE);
	assert_int_equal(mark_step(&v, &late[1], false), MARK_WAIT);
	late[0].noted = B;
	assert_int_equal(look(&v, late, 2, false, 1), MARK_OURS);
	assert_int_equal(mark_step(&v, &late[1], false), MARK_NOTE);
	late[0].noted = A;
	assert_int_equal(look(&v, late, 2, false, 1), MARK_FOREIGN);
	assert_int_equal(mark_step(&v, &late[1], false), MARK_FOREIGN);
	assert_int_equal(look(&v, away, 2, false, 1), MARK_WAIT);
	assert_int_equal(mark_step(&v, &away[1], false), MARK_WAIT);
	away[1].noted = A;
	away[0].store = B;
	assert_int_equal(look(&v, away, 2, false, 1), MARK_FOREIGN);
}

/* One that never held a record takes the place of a store that nobody applies; any other one does not, nor one that saw it applied. */
static void an_empty_store_takes_the_place_of_one_given_up(void **state)
{
	struct mark_view v = {0};
	struct mark m = {.noted = A, .store = B, .fresh = true};

	for (uint64_t s = 1; s < 31; s++)
		assert_int_equal(look(&v, &m, 1, false, s), MARK_FOREIGN);
	assert_int_equal(look(&v, &m, 1, false, 32), MARK_REPLACE);
	v = (struct mark_view){0};
	assert_int_equal(look(&v, &m, 1, true, 1), MARK_FOREIGN);
	assert_int_equal(look(&v, &m, 1, false, 3600), MARK_FOREIGN);
	v = (struct mark_view){0};
	m.fresh = false;
	assert_int_equal(look(&v, &m, 1, false, 1), MARK_FOREIGN);
	assert_int_equal(look(&v, &m, 1, false, 3600), MARK_FOREIGN);
}

/* All or nothing: what is in one lane would be lost by taking the others. */
static void a_store_with_a_record_in_one_lane_takes_none(void **state)
{
	struct mark_view v = {0};
	const struct mark lane[] = {{.noted = A, .store = B, .fresh = true}, {.noted = A, .store = B}};

	assert_int_equal(look(&v, lane, 2, false, 1), MARK_FOREIGN);
	assert_int_equal(look(&v, lane, 2, false, 3600), MARK_FOREIGN);
}

/* Who had seen it agree waits shorter, and for whoever is still at the former one. */
static void a_store_that_lost_all_under_us_goes_on_soon(void **state)
{
	struct mark_view v = {0};
	struct mark m = {.noted = A, .store = B, .ours = A, .fresh = true};

	assert_int_equal(look(&v, &m, 1, true, 1), MARK_FOREIGN);
	assert_int_equal(look(&v, &m, 1, true, 100), MARK_FOREIGN);
	assert_int_equal(look(&v, &m, 1, false, 102), MARK_FOREIGN);
	assert_int_equal(look(&v, &m, 1, false, 104), MARK_REPLACE);
	m.noted = B;
	assert_int_equal(look(&v, &m, 1, false, 105), MARK_OURS);
	assert_true(!v.since_ns);
	m.ours = B;
	m.noted = A; /* somebody else's store took the name */
	assert_int_equal(look(&v, &m, 1, true, 106), MARK_FOREIGN);
	assert_int_equal(look(&v, &m, 1, false, 3600), MARK_FOREIGN);
}

/* A node of a cluster lost what it had: the other lanes say that it is the queue's cluster all the same. */
static void a_lane_is_known_by_the_others(void **state)
{
	struct mark_view v = {0};
	struct mark lane[] = {{.noted = A, .store = B, .fresh = true}, {.noted = A, .store = A}};

	assert_int_equal(look(&v, lane, 2, true, 1), MARK_REPLACE);
	lane[0].fresh = false;
	assert_int_equal(look(&v, lane, 2, false, 3600), MARK_FOREIGN);
	lane[0].noted = 0;
	assert_int_equal(look(&v, lane, 2, false, 1), MARK_NOTE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_look_says),
		cmocka_unit_test(the_first_lane_decides),
		cmocka_unit_test(an_empty_store_takes_the_place_of_one_given_up),
		cmocka_unit_test(a_store_with_a_record_in_one_lane_takes_none),
		cmocka_unit_test(a_store_that_lost_all_under_us_goes_on_soon),
		cmocka_unit_test(a_lane_is_known_by_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
