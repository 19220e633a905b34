/*
 * gtid_test.c - positions in the replication stream: read, merged, compared, written (R2, C2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "gtid.h"

static struct gtid_pos pos(const char *text)
{
	struct gtid_pos p;

	if (gtid_parse(span_str(text), &p) != RC_OK)
		fail_msg("not read: %s", text);
	return p;
}

static bool reached(const char *server, const char *wanted)
{
	struct gtid_pos s = pos(server), w = pos(wanted);

	return gtid_reached(&s, &w);
}

static const char *printed(const struct gtid_pos *p)
{
	static char text[GTID_TEXT_CAP];
	size_t len = gtid_print(p, text);

	assert_int_equal(len, strlen(text));
	return text;
}

static void lists_are_read_and_written_alike(void **state)
{
	static const char *const lists[] = {"", "0-1-17", "0-1-17,1-2-5", "4294967295-4294967295-18446744073709551615"};

	for (size_t i = 0; i < countof(lists); i++) {
		struct gtid_pos p = pos(lists[i]);

		assert_string_equal(printed(&p), lists[i]);
	}
	assert_int_equal(pos("0-1-17,\n1-2-5, 2-3-4").n, 3);
}

static void other_texts_are_refused(void **state)
{
	static const char *const bad[] = {"0",
					  "0-1",
					  "0-1-",
					  "-1-2",
					  "0-1-x",
					  "0-1-2;",
					  "0-1-2-3",
					  "0-1-2,,0-1-3",
					  ",0-1-2",
					  "a-b-c",
					  "4294967296-1-1",
					  "1-4294967296-1",
					  "1-1-18446744073709551616",
					  "0--1-2",
					  " ",
					  "3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5"};
	struct gtid_pos p;

	for (size_t i = 0; i < countof(bad); i++)
		if (gtid_parse(span_str(bad[i]), &p) != RC_ERROR)
			fail_msg("taken: %s", bad[i]);
}

static void a_domain_keeps_its_largest_sequence(void **state)
{
	struct gtid_pos a = pos("0-1-17,1-2-5"), b = pos("0-3-9,1-1-6,2-1-1");

	gtid_merge(&a, &b);
	assert_string_equal(printed(&a), "0-1-17,1-1-6,2-1-1");
}

static void all_domains_must_be_reached(void **state)
{
	assert_true(reached("0-1-17", ""));
	assert_true(reached("", ""));
	assert_true(reached("0-1-17,1-2-5", "1-9-5"));
	assert_true(reached("0-1-18", "0-2-17"));
	assert_false(reached("0-1-16", "0-1-17"));
	assert_false(reached("0-1-17", "0-1-17,1-1-1"));
	assert_false(reached("", "0-1-1"));
}

/* More domains than are kept: nobody is taken to have reached it. */
static void too_many_domains_are_reached_by_nobody(void **state)
{
	struct gtid_pos many = {0}, all;

	for (uint32_t i = 0; i <= GTID_DOMAINS; i++)
		gtid_advance(&many, &(struct gtid){.domain = i, .server = 1, .seq = UINT64_MAX});
	assert_true(many.overflow);
	assert_false(gtid_empty(&many));
	all = many;
	assert_false(gtid_reached(&all, &many));
	assert_true(strlen(printed(&many)) < GTID_TEXT_CAP);
	all = pos("0-1-1");
	gtid_merge(&all, &many);
	assert_true(all.overflow);
}

static void the_longest_list_fits_its_text(void **state)
{
	struct gtid_pos p = {0};
	char text[GTID_TEXT_CAP + 1];

	for (uint32_t i = 0; i < GTID_DOMAINS; i++)
		gtid_advance(&p, &(struct gtid){.domain = UINT32_MAX - i, .server = UINT32_MAX, .seq = UINT64_MAX});
	text[GTID_TEXT_CAP] = 'x';
	assert_int_equal(gtid_print(&p, text), GTID_DOMAINS * 43 - 1);
	assert_int_equal(text[GTID_TEXT_CAP], 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_read_and_written_alike),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(a_domain_keeps_its_largest_sequence),
		cmocka_unit_test(all_domains_must_be_reached),
		cmocka_unit_test(too_many_domains_are_reached_by_nobody),
		cmocka_unit_test(the_longest_list_fits_its_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
