/*
 * list_test.c - order, count and removal while walking.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "list.h"

struct item {
	int number;
	struct list_node node;
};

static int number_of(const struct list_node *n)
{
	return container_of(n, const struct item, node)->number;
}

static void fill(struct list *l, struct item *items, int n)
{
	list_init(l);
	for (int i = 0; i < n; i++) {
		items[i] = (struct item){.number = i};
		list_push_back(l, &items[i].node);
	}
}

static void an_empty_list_has_no_ends(void **state)
{
	struct list l;

	list_init(&l);
	assert_true(list_empty(&l));
	assert_null(list_first(&l));
	assert_null(list_last(&l));
	assert_null(list_pop_front(&l));
}

static void pushed_at_both_ends_in_order(void **state)
{
	struct item a = {.number = 1}, b = {.number = 2}, c = {.number = 3};
	struct list l;
	int expected = 1;

	list_init(&l);
	list_push_back(&l, &b.node);
	list_push_front(&l, &a.node);
	list_insert_after(&l, &b.node, &c.node);
	assert_int_equal(l.count, 3);
	list_each (&l, n)
		assert_int_equal(number_of(n), expected++);
	assert_int_equal(expected, 4);
	assert_ptr_equal(list_last(&l), &c.node);
	assert_null(list_next(&l, &c.node));
}

static void a_removed_node_is_linked_no_more(void **state)
{
	struct item items[3];
	struct list l;

	fill(&l, items, 3);
	assert_true(list_linked(&items[1].node));
	list_remove(&l, &items[1].node);
	assert_false(list_linked(&items[1].node));
	assert_int_equal(l.count, 2);
	assert_int_equal(number_of(list_next(&l, list_first(&l))), 2);
	list_push_back(&l, &items[1].node);
	assert_int_equal(number_of(list_last(&l)), 1);
}

static void the_node_visited_may_be_removed(void **state)
{
	struct item items[6];
	struct list l;
	int visited = 0;

	fill(&l, items, 6);
	list_each_safe (&l, n, next) {
		visited++;
		if (number_of(n) % 2 == 0)
			list_remove(&l, n);
	}
	assert_int_equal(visited, 6);
	assert_int_equal(l.count, 3);
	for (int expected = 1; expected < 6; expected += 2)
		assert_int_equal(number_of(list_pop_front(&l)), expected);
	assert_true(list_empty(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_has_no_ends),
		cmocka_unit_test(pushed_at_both_ends_in_order),
		cmocka_unit_test(a_removed_node_is_linked_no_more),
		cmocka_unit_test(the_node_visited_may_be_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
