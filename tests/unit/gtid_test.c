/*
 * gtid_test.c - positions in the replication stream: read, merged, compared, written (R2, C2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "gtid.h"

#define UUID_A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define UUID_B "0859ca8f-e5a6-11f1-becc-02fc00000001"

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
					  ":",
					  UUID_A ":",
					  UUID_A ":0",
					  UUID_A ":0-3",
					  UUID_A ":1-",
					  UUID_A ":-3",
					  UUID_A ":1-2-3",
					  UUID_A ":1-5:",
					  UUID_A ":1:tag",
					  UUID_A ":tag:",
					  UUID_A ":ta-g:1",
					  UUID_A ":1tag:1",
					  UUID_A ":a23456789012345678901234567890123:1",
					  UUID_A ":9223372036854775808",
					  UUID_A ":1," UUID_A,
					  UUID_A "0:1",
					  "3e11fa47-71ca-11e1-9e33-c80aa942956:1",
					  "3e11fa47-71ca-11e1-9e33-c80aa942956g:1",
					  "3e11fa47071ca-11e1-9e33-c80aa9429562:1"};
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
	p = (struct gtid_pos){0};
	for (uint32_t i = 0; i < GTID_DOMAINS; i++) {
		char tag[GTID_TAG_MAX + 1];
		struct gtid g = {.seq = INT64_MAX};

		(void)snprintf(tag, sizeof(tag), "t%031u", i);
		assert_int_equal(gtid_source_number(span_str(UUID_A), span_str(tag), &g.domain), RC_OK);
		gtid_advance(&p, &g);
	}
	assert_int_equal(gtid_print(&p, text), GTID_DOMAINS * (GTID_SOURCE_CAP + 22) - 1);
	assert_int_equal(text[GTID_TEXT_CAP], 'x');
}

/* ---- MySQL ---- */

static bool applied(const char *server, const char *wanted)
{
	struct gtid_pos s, w = pos(wanted);

	if (gtid_parse_applied(span_str(server), &s) != RC_OK)
		fail_msg("not read: %s", server);
	return gtid_reached(&s, &w);
}

static void sets_are_read_to_their_last(void **state)
{
	static const struct { const char *text, *last; } sets[] = {
		{UUID_A ":23", UUID_A ":1-23"},
		{UUID_A ":1-5", UUID_A ":1-5"},
		{UUID_A ":1-5:11-18", UUID_A ":1-18"},
		{"3E11FA47-71CA-11E1-9E33-C80AA9429562:7", UUID_A ":1-7"},
		{UUID_A ":1-5,\n" UUID_B ":1-3", UUID_A ":1-5," UUID_B ":1-3"},
		{UUID_A ":Shop:1-3:5:bank:2", UUID_A ":shop:1-5," UUID_A ":bank:1-2"},
		{UUID_A ":1-9:shop:4", UUID_A ":1-9," UUID_A ":shop:1-4"},
		{UUID_A ":5-3", ""},
	};

	for (size_t i = 0; i < countof(sets); i++) {
		struct gtid_pos p = pos(sets[i].text);

		assert_string_equal(printed(&p), sets[i].last);
	}
}

/* A transaction behind a gap may have been applied out of order: what is in the gap has not. */
static void a_server_has_what_comes_before_its_first_gap(void **state)
{
	assert_true(applied(UUID_A ":1-5", UUID_A ":5"));
	assert_false(applied(UUID_A ":1-5", UUID_A ":6"));
	assert_false(applied(UUID_A ":1-4:6", UUID_A ":6"));
	assert_true(applied(UUID_A ":1-4:6", UUID_A ":4"));
	assert_false(applied(UUID_A ":6-9", UUID_A ":9"));
	assert_false(applied("", UUID_A ":1"));
	assert_true(applied("0-1-17", "0-1-17"));
}

static void sources_and_tags_are_told_apart(void **state)
{
	assert_false(applied(UUID_B ":1-9", UUID_A ":1"));
	assert_false(applied(UUID_A ":1-9", UUID_A ":shop:1"));
	assert_false(applied(UUID_A ":shop:1-9", UUID_A ":1"));
	assert_true(applied(UUID_A ":1-9:SHOP:1-2,\n" UUID_B ":1", UUID_A ":shop:2," UUID_B ":1"));
}

/* Processes that share positions must mean the same source by a number. */
static void a_source_has_the_same_number_everywhere(void **state)
{
	uint32_t plain, tagged;

	assert_int_equal(gtid_source_number(span_str(UUID_A), span_str(""), &plain), RC_OK);
	assert_int_equal(gtid_source_number(span_str(UUID_A), span_str("Shop"), &tagged), RC_OK);
	assert_int_equal(plain, 1721292165u);
	assert_int_equal(tagged, 3217244305u);
	assert_string_equal(gtid_source_text(tagged), UUID_A ":shop");
	assert_null(gtid_source_text(plain + 1));
}

static enum rc numbered(unsigned i)
{
	char uuid[GTID_UUID_LEN + 1];
	uint32_t number;

	(void)snprintf(uuid, sizeof(uuid), "%08x-0000-0000-0000-000000000000", i);
	return gtid_source_number(span_str(uuid), span_str(""), &number);
}

/* The last test: it leaves no room. */
static void too_many_sources_are_refused(void **state)
{
	struct gtid_pos p;
	unsigned taken = 0;

	while (taken <= GTID_SOURCES && numbered(taken) == RC_OK)
		taken++;
	assert_in_range(taken, GTID_SOURCES - GTID_DOMAINS - 10, GTID_SOURCES - 1);
	assert_int_equal(gtid_parse(span_str("ffffffff-ffff-ffff-ffff-ffffffffffff:1"), &p), RC_ERROR);
	assert_int_equal(numbered(0), RC_OK);
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
		cmocka_unit_test(sets_are_read_to_their_last),
		cmocka_unit_test(a_server_has_what_comes_before_its_first_gap),
		cmocka_unit_test(sources_and_tags_are_told_apart),
		cmocka_unit_test(a_source_has_the_same_number_everywhere),
		cmocka_unit_test(too_many_sources_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
