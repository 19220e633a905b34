/*
 * map_test.c - find, grow, remove, walk; what happens with equal hashes and without memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "mem.h"

#define MANY 5000

struct item {
	struct map_node node;
	int number;
};

static bool item_eq(const struct map_node *node, const void *key)
{
	return container_of(node, const struct item, node)->number == *(const int *)key;
}

static uint64_t hash_of(int number)
{
	return map_hash(&number, sizeof(number));
}

static struct item *find(const struct map *m, int number)
{
	struct map_node *n = map_find(m, hash_of(number), &number);

	return n ? container_of(n, struct item, node) : NULL;
}

static void fill(struct map *m, struct item *items, int n)
{
	map_init(m, item_eq);
	for (int i = 0; i < n; i++) {
		items[i].number = i;
		assert_int_equal(map_insert(m, &items[i].node, hash_of(i)), RC_OK);
	}
}

static void an_empty_map_finds_nothing(void **state)
{
	struct map m;

	map_init(&m, item_eq);
	assert_null(find(&m, 1));
	map_reset(&m);
}

static void all_are_found_through_growth_and_removal(void **state)
{
	static struct item items[MANY];
	struct map m;

	fill(&m, items, MANY);
	assert_int_equal(m.count, MANY);
	for (int i = 0; i < MANY; i++)
		assert_ptr_equal(find(&m, i), &items[i]);
	for (int i = 0; i < MANY; i += 2)
		map_remove(&m, &items[i].node);
	for (int i = 0; i < MANY; i++)
		assert_ptr_equal(find(&m, i), i % 2 ? &items[i] : NULL);
	assert_int_equal(m.count, MANY / 2);
	map_reset(&m);
	assert_null(find(&m, 1));
}

static void equal_hashes_are_told_apart_by_key(void **state)
{
	struct item a = {.number = 1}, b = {.number = 2};
	int key = 2;
	struct map m;

	map_init(&m, item_eq);
	assert_int_equal(map_insert(&m, &a.node, 42), RC_OK);
	assert_int_equal(map_insert(&m, &b.node, 42), RC_OK);
	assert_ptr_equal(map_find(&m, 42, &key), &b.node);
	map_remove(&m, &b.node);
	assert_null(map_find(&m, 42, &key));
	map_reset(&m);
}

struct walk {
	struct map *m;
	int visited;
};

static void free_node(struct map_node *node, void *arg)
{
	struct walk *walk = arg;

	map_remove(walk->m, node);
	free(container_of(node, struct item, node));
	walk->visited++;
}

static void the_node_visited_may_be_removed_and_freed(void **state)
{
	struct map m;
	struct walk walk = {.m = &m};

	map_init(&m, item_eq);
	for (int i = 0; i < 100; i++) {
		struct item *item = calloc(1, sizeof(*item));

		assert_non_null(item);
		assert_int_equal(map_insert(&m, &item->node, (uint64_t)(i / 10)), RC_OK);
	}
	map_each(&m, free_node, &walk);
	assert_int_equal(walk.visited, 100);
	assert_int_equal(m.count, 0);
	map_reset(&m);
}

static void without_memory_the_first_insert_fails_and_later_ones_do_not(void **state)
{
	static struct item items[100];
	struct map m;

	map_init(&m, item_eq);
	mem_fail_after(1, 0);
	assert_int_equal(map_insert(&m, &items[0].node, 0), RC_ERROR);
	assert_int_equal(m.count, 0);
	map_reset(&m);
	fill(&m, items, 16);
	mem_fail_after(1, 1);
	for (int i = 16; i < 100; i++) {
		items[i].number = i;
		assert_int_equal(map_insert(&m, &items[i].node, hash_of(i)), RC_OK);
	}
	mem_fail_after(0, 0);
	for (int i = 0; i < 100; i++)
		assert_ptr_equal(find(&m, i), &items[i]);
	map_reset(&m);
}

static void the_hash_depends_on_every_byte(void **state)
{
	char key[64] = "";
	uint64_t plain = map_hash(key, sizeof(key));

	assert_int_equal(plain, map_hash(key, sizeof(key)));
	for (size_t i = 0; i < sizeof(key); i++) {
		key[i] = 1;
		assert_int_not_equal(plain, map_hash(key, sizeof(key)));
		key[i] = 0;
	}
	assert_int_not_equal(map_hash("", 0), map_hash("", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_map_finds_nothing),
		cmocka_unit_test(all_are_found_through_growth_and_removal),
		cmocka_unit_test(equal_hashes_are_told_apart_by_key),
		cmocka_unit_test(the_node_visited_may_be_removed_and_freed),
		cmocka_unit_test(without_memory_the_first_insert_fails_and_later_ones_do_not),
		cmocka_unit_test(the_hash_depends_on_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
