/*
 * Gates: so many at one time, so many a second, the others in line and in order; the table is bounded (F3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "limit.h"

#define NOW UINT64_C(5000000000)
#define SECOND UINT64_C(1000000000)

static int in[8], nin;

struct one { struct limit_waiter w; int number; };

static void is_in(struct mail *m)
{
	in[nin++] = container_of(container_of(m, struct limit_waiter, mail), struct one, w)->number;
}

static struct loop *loop;

static void ready(struct one *o, int number)
{
	*o = (struct one){.w = {.mail.run = is_in, .loop = loop}, .number = number};
}

/* Runs what was posted. */
static void turn(void)
{
	(void)event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
}

static int begin(void **state)
{
	loop = loop_new("test");
	nin = 0;
	return loop ? 0 : -1;
}

static int end(void **state)
{
	loop_free(loop);
	return 0;
}

static void so_many_are_in_and_the_others_follow_in_order(void **state)
{
	const struct limit_terms two = {.concurrency = 2};
	struct limits *l = limits_new();
	struct one o[5];

	assert_non_null(l);
	for (int i = 0; i < 5; i++) {
		ready(&o[i], i);
		assert_int_equal(limit_enter(l, 7, &two, &o[i].w, NOW), i < 2 ? RC_OK : RC_AGAIN);
	}
	assert_int_equal(limits_waiting(l), 3);
	ready(&o[0], 9);
	assert_int_equal(limit_enter(l, 8, &two, &o[0].w, NOW), RC_OK); /* another gate */
	limit_leave(l, o[0].w.gate, NOW);
	assert_true(limit_cancel(l, &o[3].w));
	limit_leave(l, o[1].w.gate, NOW);
	limit_leave(l, o[1].w.gate, NOW);
	turn();
	assert_int_equal(nin, 2);
	assert_int_equal(in[0], 2);
	assert_int_equal(in[1], 4);
	assert_false(limit_cancel(l, &o[2].w)); /* it is in */
	assert_int_equal(limits_waiting(l), 0);
	limit_leave(l, o[2].w.gate, NOW);
	limit_leave(l, o[4].w.gate, NOW);
	limits_free(l);
}

static void so_many_begin_in_a_second(void **state)
{
	const struct limit_terms three = {.rate = 3};
	struct limits *l = limits_new();
	struct one o[5];

	for (int i = 0; i < 5; i++) {
		ready(&o[i], i);
		assert_int_equal(limit_enter(l, 7, &three, &o[i].w, NOW), i < 3 ? RC_OK : RC_AGAIN);
		if (i < 3)
			limit_leave(l, o[i].w.gate, NOW);
	}
	limits_tick(l, NOW + SECOND / 3 - 1000);
	turn();
	assert_int_equal(nin, 0);
	limits_tick(l, NOW + SECOND / 3 + 1000);
	turn();
	assert_int_equal(nin, 1);
	limits_tick(l, NOW + SECOND);
	turn();
	assert_int_equal(nin, 2);
	limit_leave(l, o[3].w.gate, NOW + 5 * SECOND);
	limit_leave(l, o[4].w.gate, NOW + 5 * SECOND);
	limits_free(l);
}

static void new_terms_hold_for_those_in_line(void **state)
{
	const struct limit_terms one = {.concurrency = 1}, three = {.concurrency = 3};
	struct limits *l = limits_new();
	struct one o[3];

	for (int i = 0; i < 3; i++) {
		ready(&o[i], i);
		assert_int_equal(limit_enter(l, 7, i < 2 ? &one : &three, &o[i].w, NOW), i < 1 ? RC_OK : RC_AGAIN);
	}
	turn();
	assert_int_equal(nin, 2);
	assert_int_equal(in[0], 1);
	for (int i = 0; i < 3; i++)
		limit_leave(l, o[0].w.gate, NOW);
	limits_free(l);
}

static void the_table_is_bounded(void **state)
{
	const struct limit_terms slow = {.rate = 1};
	struct limits *l = limits_new();
	struct one o;

	for (uint64_t key = 0; key < 4 * LIMIT_GATES_MOST; key++) {
		ready(&o, 0);
		assert_int_equal(limit_enter(l, key, &slow, &o.w, NOW), RC_OK);
		limit_leave(l, o.w.gate, NOW);
		assert_true(limits_gates(l) <= LIMIT_GATES_MOST);
	}
	ready(&o, 0);
	assert_int_equal(limit_enter(l, 1, &slow, &o.w, NOW + 2 * SECOND), RC_OK);
	limit_leave(l, o.w.gate, NOW + 4 * SECOND);
	limits_free(l);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(so_many_are_in_and_the_others_follow_in_order, begin, end),
		cmocka_unit_test_setup_teardown(so_many_begin_in_a_second, begin, end),
		cmocka_unit_test_setup_teardown(new_terms_hold_for_those_in_line, begin, end),
		cmocka_unit_test_setup_teardown(the_table_is_bounded, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
