/*
 * C3: a text that is known says of itself what lexing it anew would say, in its own mode and for its own bytes alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "known.h"
#include "mem.h"

static struct known known;

static const unsigned modes[] = {0, SQL_MODE_ANSI_QUOTES, SQL_MODE_NO_BACKSLASH_ESCAPES, SQL_MODE_ANSI_QUOTES | SQL_MODE_ORACLE};

static const char *const texts[] = {
	"SELECT 1",
	"SELECT c FROM sbtest1 WHERE id=5012",
	"  /* head */ SELECT a ,\n b FROM `t` WHERE s = 'it''s' AND n IN (1, 2, -3) ; -- tail\n ",
	"SELECT \"x\", a+ b  AS \"c d\" FROM t WHERE k = \"y\"",
	"SELECT /*+ MAX_EXECUTION_TIME(1) */ a /*!50000 , b */ FROM t;;",
	"SELECT a FROM t WHERE b = x'4d' OR b = 0x4D -- \n OR @x",
};

static int end(void **state)
{
	known_reset(&known);
	return 0;
}

/* Lexed and made canonical, and kept. */
static void keep(struct span text, unsigned mode, struct sql_lexed *lexed, struct iobuf *canonical)
{
	uint64_t hash = 0;

	assert_null(known_find(&known, text, mode, &hash));
	sql_lex(text, mode, lexed);
	assert_int_equal(sql_canonical(text, mode, canonical), RC_OK);
	known_keep(&known, text, mode, hash, lexed, span_of(iobuf_data(canonical), iobuf_len(canonical)));
}

static void assert_same(const struct sql_lexed *a, const char *text_a, const struct sql_lexed *b, const char *text_b)
{
	assert_int_equal(a->digest, b->digest);
	assert_int_equal(a->literals, b->literals);
	assert_int_equal(a->hints, b->hints);
	assert_int_equal(a->hint_cache_ns, b->hint_cache_ns);
	assert_int_equal(a->hint_group.len, b->hint_group.len);
	assert_int_equal(a->body.p - text_a, b->body.p - text_b);
	assert_int_equal(a->body.len, b->body.len);
	assert_int_equal(a->has_executable_comment, b->has_executable_comment);
	assert_int_equal(a->broken, b->broken);
	assert_int_equal(a->ntags, b->ntags);
}

static void check(const char *text, unsigned mode)
{
	struct sql_lexed fresh, again;
	const struct known_text *t;
	struct iobuf canonical;
	uint64_t hash = 0;
	char copy[256];

	known_reset(&known);
	iobuf_init(&canonical, 0);
	keep(span_str(text), mode, &fresh, &canonical);
	(void)snprintf(copy, sizeof(copy), "%s", text); /* its spans are of the text that is asked about */
	t = known_find(&known, span_str(copy), mode, &hash);
	assert_non_null(t);
	memset(&again, 0xa5, sizeof(again));
	known_lexed(t, span_str(copy), &again);
	assert_same(&again, copy, &fresh, text);
	assert_true(span_eq(known_canonical(t), span_of(iobuf_data(&canonical), iobuf_len(&canonical))));
	iobuf_reset(&canonical);
}

static void test_it_is_what_lexing_says(void **state)
{
	for (size_t i = 0; i < countof(texts); i++)
		for (size_t m = 0; m < countof(modes); m++)
			check(texts[i], modes[m]);
}

/* Trace tags are others each time: known by what stands before them, and read anew. */
static void test_a_comment_at_the_end_is_read_anew(void **state)
{
	static const char *const heads[] = {
		"SELECT c FROM sbtest1 WHERE id=5012", "SELECT a FROM t ; ", "SELECT a FROM t WHERE b = '/*' ", "SELECT 4 FROM t WHERE 8 /",
		"  -- x\n SELECT a , b FROM `t` WHERE s = 'it''s' ", "SELECT a FROM t WHERE b = 'x*/' AND c = 1 ", "SELECT /*+ X */ a FROM t *",
		"SELECT 1", "SELECT a FROM t UNION SELECT a + b ",
	};
	static const char *const tails[] = {
		"/*a='1'*/", "/*route='%2Fx',traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/", "/**/", "/* none */",
		"/* suimon: nocache */", "/*suimon: cache=7s, replica=far*/", "",
	};
	struct sql_lexed fresh, again;
	const struct known_text *t;
	struct iobuf canonical;
	uint64_t hash;
	char first[256], text[256];

	for (size_t h = 0; h < countof(heads); h++) {
		known_reset(&known);
		iobuf_init(&canonical, 0);
		(void)snprintf(first, sizeof(first), "%s/*route='first'*/", heads[h]);
		keep(span_str(first), 0, &fresh, &canonical);
		for (size_t i = 0; i < countof(tails); i++) {
			struct iobuf own;

			(void)snprintf(text, sizeof(text), "%s%s", heads[h], tails[i]);
			hash = 0;
			t = known_find(&known, span_str(text), 0, &hash);
			assert_non_null(t);
			sql_lex(span_str(text), 0, &fresh);
			known_lexed(t, span_str(text), &again);
			assert_same(&again, text, &fresh, text);
			for (uint16_t n = 0; n < fresh.ntags; n++) {
				assert_true(span_eq(again.tags[n].key, fresh.tags[n].key));
				assert_ptr_equal(again.tags[n].value.p, fresh.tags[n].value.p);
			}
			iobuf_init(&own, 0);
			assert_int_equal(sql_canonical(span_str(text), 0, &own), RC_OK);
			assert_true(span_eq(known_canonical(t), span_of(iobuf_data(&own), iobuf_len(&own))));
			iobuf_reset(&own);
		}
		iobuf_reset(&canonical);
	}
}

/* What a server reads is part of the text, and so is what is no comment where it stands. */
static void test_not_every_end_is_a_comment(void **state)
{
	static const char *const others[] = {
		"SELECT a FROM t /*!50000 WHERE b = 1*/", "SELECT a FROM t /*M!100000 WHERE b*/", "SELECT a FROM t /*+ X */",
		"SELECT a FROM t */*x*/", "SELECT a FROM t /* x */ */", "SELECT a FROM t /*x*/;", "SELECT a FROM t -- /*x*/", "SELECT a FROM t '/*x*/",
		"SELECT a FROM t ",
	};
	struct sql_lexed lexed;
	struct iobuf canonical;
	uint64_t hash;

	known_reset(&known);
	iobuf_init(&canonical, 0);
	keep(span_str("SELECT a FROM t /*x*/"), 0, &lexed, &canonical);
	for (size_t i = 0; i + 1 < countof(others); i++) {
		hash = 0;
		assert_null(known_find(&known, span_str(others[i]), 0, &hash));
	}
	hash = 0;
	assert_non_null(known_find(&known, span_str(others[countof(others) - 1]), 0, &hash)); /* less its comment */
	iobuf_reset(&canonical);
	known_reset(&known);
	iobuf_init(&canonical, 0);
	keep(span_str("SELECT a FROM t -- x"), 0, &lexed, &canonical); /* known, but a comment behind it is none */
	hash = 0;
	assert_non_null(known_find(&known, span_str("SELECT a FROM t -- x"), 0, &hash));
	hash = 0;
	assert_null(known_find(&known, span_str("SELECT a FROM t -- x/*a='1'*/"), 0, &hash));
	iobuf_reset(&canonical);
}

static uint32_t chance = 1;

static unsigned below(unsigned n)
{
	chance = chance * 1664525 + 1013904223;
	return (chance >> 8) % n;
}

/* Of what opens and ends quotes and comments, and of what stands between. */
static void any_text(char *out, size_t cap)
{
	static const char *const pieces[] = {"SELECT ", "a", " FROM t ", "'", "''", "\"", "`", "\\", "/*", "*/", "/*!50000 ", "-- ", "--", "#",
					     "\n", ";", ",", "*", "/", "-", "1", "(", ")", "x='1'", "/*x='1'*/", " "};
	size_t at = 0;

	for (unsigned n = 1 + below(9); n; n--)
		at += (size_t)snprintf(out + at, cap - at, "%s", pieces[below(countof(pieces))]);
}

/* Whatever stands before it: a text that is found is what lexing it would say. */
static void test_random_heads(void **state)
{
	static const char *const tails[] = {"/*a='1'*/", "/*x*/", "/* suimon: primary */", "/*!1*/", ""};
	unsigned found = 0;

	for (unsigned round = 0; round < 100000; round++) {
		unsigned mode = modes[below(countof(modes))];
		char head[160], text[200];
		struct sql_lexed fresh, again;
		struct iobuf canonical;
		uint64_t hash = 0;

		any_text(head, sizeof(head));
		(void)snprintf(text, sizeof(text), "%s%s", head, tails[below(countof(tails))]);
		known_reset(&known);
		iobuf_init(&canonical, 0);
		keep(span_str(text), mode, &fresh, &canonical);
		for (unsigned i = 0; i < countof(tails); i++) {
			const struct known_text *t;

			(void)snprintf(text, sizeof(text), "%s%s", head, tails[i]);
			hash = 0;
			t = known_find(&known, span_str(text), mode, &hash);
			if (!t)
				continue;
			found++;
			sql_lex(span_str(text), mode, &fresh);
			known_lexed(t, span_str(text), &again);
			assert_same(&again, text, &fresh, text);
			iobuf_consume(&canonical, iobuf_len(&canonical));
			assert_int_equal(sql_canonical(span_str(text), mode, &canonical), RC_OK);
			assert_true(span_eq(known_canonical(t), span_of(iobuf_data(&canonical), iobuf_len(&canonical))));
		}
		iobuf_reset(&canonical);
	}
	assert_true(found > 20000);
}

static void test_another_mode_or_byte_is_another_text(void **state)
{
	struct sql_lexed lexed;
	struct iobuf canonical;
	uint64_t hash = 0, same;

	iobuf_init(&canonical, 0);
	keep(span_str("SELECT a FROM t WHERE id = 1"), 0, &lexed, &canonical);
	iobuf_reset(&canonical);
	assert_non_null(known_find(&known, span_str("SELECT a FROM t WHERE id = 1"), 0, &hash));
	assert_null(known_find(&known, span_str("SELECT a FROM t WHERE id = 1"), SQL_MODE_ANSI_QUOTES, &hash));
	same = hash; /* were the hashes equal, the bytes would still be compared */
	assert_null(known_find(&known, span_str("SELECT a FROM t WHERE id = 2"), 0, &same));
	same = hash;
	assert_null(known_find(&known, span_str("SELECT a FROM t WHERE id = 12"), 0, &same));
}

static void test_what_differs_from_one_time_to_the_next_is_not_kept(void **state)
{
	static const char *const not_kept[] = {
		"SELECT /* suimon: cache=3s */ 1", "SELECT /*route='a'*/ 1 FROM t", "SELECT /*route='a'*/ 1 FROM t /*route='b'*/",
		"SELECT /* suimon: replica=g */ 1", "SELECT 'no end", "SELECT 'no end /*route='a'*/", "/*route='a'*/",
		"SELECT a FROM t -- /*route='a'*/", "SELECT a FROM t # x /*route='a'*/", "SELECT a FROM t /* x */ -- y /*route='a'*/",
		"SELECT a FROM t /*!50000 WHERE b */ /*route='a'*/",
	};
	char longest[KNOWN_TEXT_MOST + 2];
	uint64_t hash;

	for (size_t i = 0; i < countof(not_kept); i++) {
		struct sql_lexed lexed;
		struct iobuf canonical;

		iobuf_init(&canonical, 0);
		hash = 0;
		keep(span_str(not_kept[i]), 0, &lexed, &canonical);
		assert_null(known_find(&known, span_str(not_kept[i]), 0, &hash));
		iobuf_reset(&canonical);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	hash = 0;
	assert_null(known_find(&known, span_str(longest), 0, &hash));
	assert_int_equal(hash, 0);
	assert_int_equal(known.count, 0);
}

/* F3: bounded, and what is asked for again and again is not lost to what is asked once. */
static void test_many_texts_leave_the_one_in_use(void **state)
{
	struct sql_lexed lexed;
	struct iobuf canonical;
	uint64_t hash;
	char text[64];

	iobuf_init(&canonical, 0);
	keep(span_str("SELECT hot"), 0, &lexed, &canonical);
	for (unsigned i = 0; i < KNOWN_SLOTS * 8; i++) {
		iobuf_consume(&canonical, iobuf_len(&canonical));
		(void)snprintf(text, sizeof(text), "SELECT %u", i);
		keep(span_str(text), 0, &lexed, &canonical);
		hash = 0;
		assert_non_null(known_find(&known, span_str("SELECT hot"), 0, &hash));
	}
	assert_true(known.count <= KNOWN_SLOTS);
	assert_true(known.count > KNOWN_SLOTS / 2);
	iobuf_reset(&canonical);
}

static void test_without_memory_it_is_not_kept(void **state)
{
	struct sql_lexed lexed;
	uint64_t hash = 0;

	assert_null(known_find(&known, span_str("SELECT 1"), 0, &hash));
	sql_lex(span_str("SELECT 1"), 0, &lexed);
	mem_fail_after(1, 0);
	known_keep(&known, span_str("SELECT 1"), 0, hash, &lexed, span_str("SELECT 1"));
	mem_fail_after(0, 0);
	assert_null(known_find(&known, span_str("SELECT 1"), 0, &hash));
	assert_int_equal(known.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_it_is_what_lexing_says, end),
		cmocka_unit_test_teardown(test_a_comment_at_the_end_is_read_anew, end),
		cmocka_unit_test_teardown(test_not_every_end_is_a_comment, end),
		cmocka_unit_test_teardown(test_random_heads, end),
		cmocka_unit_test_teardown(test_another_mode_or_byte_is_another_text, end),
		cmocka_unit_test_teardown(test_what_differs_from_one_time_to_the_next_is_not_kept, end),
		cmocka_unit_test_teardown(test_many_texts_leave_the_one_in_use, end),
		cmocka_unit_test_teardown(test_without_memory_it_is_not_kept, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
