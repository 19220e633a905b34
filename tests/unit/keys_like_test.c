/*
 * The rows that a statement names are the same whether it is read or held against another text of its kind (keys_like.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "facts.h"
#include "keys.h"

#define TEXT 2048

static bool same_keys(const struct sql_keys *a, const struct sql_keys *b)
{
	/* not equal, but the same: they lie in the text */
#define SAME(x, y) ((x).p == (y).p && (x).len == (y).len)
	if (a->nkeys != b->nkeys || a->nvalues != b->nvalues || !SAME(a->schema, b->schema) || !SAME(a->table, b->table))
		return false;
	for (unsigned i = 0; i < a->nkeys; i++)
		if (!SAME(a->keys[i].column, b->keys[i].column) || a->keys[i].first != b->keys[i].first ||
		    a->keys[i].n != b->keys[i].n)
			return false;
	for (unsigned i = 0; i < a->nvalues; i++)
		if (!SAME(a->values[i].text, b->values[i].text) || a->values[i].param != b->values[i].param)
			return false;
	return true;
}

/* True: it was told without reading. */
static bool check(const char *text, unsigned mode, struct sql_keys_like *like)
{
	static struct sql_keys read, told;
	uint8_t missed = like->missed;
	enum rc rc = sql_keys_parse(span_str(text), mode, &read);

	if (sql_keys_parse_like(span_str(text), mode, like, &told) != rc || (rc == RC_OK && !same_keys(&read, &told)))
		fail_msg("other keys, mode %u: %s\nkept: %.*s", mode, text, (int)like->len, like->text);
	return like->missed == missed;
}

/* In the patterns # is for something that may be a literal; in a text of the first kind a plain one. */
static const char *const patterns[] = {
	"SELECT c FROM t WHERE id = #",
	"SELECT c FROM t WHERE id=# AND k=#",
	"select * from `s`.`t` where `id` in (#, #,#) order by # limit #, #",
	"SELECT a 'x', # 'y', # AS 'z' FROM t x WHERE x.id = # FOR UPDATE",
	"SELECT # FROM t WHERE # = id AND (k = # AND ((v <=> #)))",
	"SELECT c FROM t WHERE id = -# AND k IN (-#, # )",
	"SELECT c FROM t WHERE id = # OR id = #",
	"SELECT c FROM t WHERE id = # AND k BETWEEN # AND #",
	"SELECT c FROM t WHERE k LIKE # AND id = #",
	"SELECT c FROM t WHERE id = # # AND k = #",
	"SELECT c FROM t WHERE id = _utf8mb4 # AND k = _binary# AND v = n#",
	"SELECT COUNT(*), SUM(a + #) FROM t WHERE id = # GROUP BY a HAVING COUNT(*) > # LIMIT # OFFSET #",
	"SELECT c FROM t, u WHERE t.id = # AND u.id = #",
	"SELECT c FROM t WHERE id = (SELECT MAX(id) FROM u WHERE k = #)",
	"SELECT c FROM t WHERE id = # UNION SELECT c FROM t WHERE id = #",
	"UPDATE t SET v = #, k = 'x', n = n + # WHERE id = #",
	"UPDATE t SET id = # WHERE id = # AND k = # LIMIT #",
	"DELETE FROM t WHERE id = # ORDER BY k LIMIT #",
	"INSERT INTO t (id, k) VALUES (#, #)",
	"SELECT c FROM t WHERE id = ? AND k = # AND v = ?",
	"SELECT c FROM t WHERE id = # -- #",
	"SELECT c FROM t /* # */ WHERE id = # # ",
	"SELECT c FROM t /*!50000 WHERE id = # */ AND k = #",
	"SELECT /*+ MAX_EXECUTION_TIME(#) */ c FROM t WHERE id = #",
	"SELECT c FROM t WHERE id.# = # AND t.# = #",
	"SELECT c FROM t WHERE id=#AND k=#OR v=#",
	"SELECT c FROM t WHERE id = CAST(# AS SIGNED) AND k = #",
	"SELECT c FROM t WHERE k = CONCAT(#, #) AND id = #",
	"SELECT c FROM t WHERE id = # AND d > NOW() - INTERVAL # DAY",
	"SELECT c FROM t PARTITION (p#) WHERE id = #",
	"SELECT c FROM t# WHERE id# = #",
	"SELECT c FROM t WHERE id = #;",
	"SELECT c FROM t WHERE id = #; DELETE FROM t WHERE id = #",
	"SELECT c FROM t WHERE id = # LIMIT #.#",
	"SELECT c FROM t WHERE id = 'a#' AND k = \"#\"",
	"SELECT @v := #, @`#` FROM t WHERE id = #",
	"SELECT c FROM t WHERE id = # LOCK IN SHARE MODE",
	"WITH x AS (SELECT #) SELECT c FROM t WHERE id = #",
	"SELECT c FROM t WHERE MATCH(a) AGAINST (#) AND id = #",
	"#",
	"",
};

static const char *const literals[] = {
	"5", "0", "17", "123456789012345678901234567890", "'a'", "''", "'Zebra 9'", "'x=1 AND id=2'", "-5", "1.5", ".5", "5.", "1e3", "1e",
	"0x1f", "0b1", "0x", "x'4d'", "b'1'", "NULL", "TRUE", "'it''s'", "'a\\'b'", "'a\\\\'", "\"a\"", "'\xc3\xa9'", "'\x83\x5c'", "'\n'",
	"n'a'", "'a' 'b'", "'a''b'", "?", "(5)", "5 OR 1", "5--1", "5-- ", "5#", "5/**/", "5/*!1*/", "'unclosed", "`q`", "@v", "abc", "5a", "+5",
	"5;", "5)", "5,6", "1 2", "",
};

#define PLAIN 8 /* the first so many literals are plain */

static void put_together(char *text, const char *pattern, const char *(*literal)(void))
{
	size_t at = 0;

	for (; *pattern; pattern++) {
		if (*pattern == '#')
			at += (size_t)snprintf(text + at, TEXT - at, "%s", literal());
		else
			text[at++] = *pattern;
	}
	text[at] = '\0';
}

static uint32_t state;

static uint32_t any(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (state >> 8) % n;
}

static const char *number(void)
{
	return literals[any(4)];
}

static const char *plain(void)
{
	return literals[any(PLAIN)];
}

static const char *whatever(void)
{
	return literals[any(any(2) ? PLAIN : sizeof(literals) / sizeof(*literals))];
}

static void test_what_is_told_is_what_would_be_read(void **st)
{
	static const unsigned modes[] = {0, SQL_MODE_ANSI_QUOTES, SQL_MODE_NO_BACKSLASH_ESCAPES, SQL_MODE_WIDE_TRAIL, SQL_MODE_ORACLE};
	struct sql_keys_like like;
	char text[TEXT];
	unsigned told = 0;

	state = 1;
	for (unsigned round = 0; round < 400; round++) {
		for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
			unsigned mode = modes[any(5)];

			memset(&like, 0, sizeof(like));
			put_together(text, patterns[i], any(2) ? plain : whatever);
			check(text, mode, &like);
			for (unsigned again = 0; again < 8; again++) {
				put_together(text, patterns[i], any(2) ? plain : whatever);
				told += check(text, any(8) ? mode : modes[any(5)], &like);
			}
		}
	}
	assert_true(told > 10000);
}

/* One byte of a text that was told, changed to any other. */
static void test_a_byte_that_differs_is_seen(void **st)
{
	struct sql_keys_like kept, like;
	char text[TEXT];

	state = 2;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		memset(&kept, 0, sizeof(kept));
		put_together(text, patterns[i], plain);
		check(text, 0, &kept);
		for (size_t at = 0; text[at]; at++) {
			char was = text[at];

			for (unsigned c = 1; c < 256; c++) {
				text[at] = (char)c;
				like = kept;
				check(text, 0, &like);
			}
			text[at] = '\0';
			like = kept;
			check(text, 0, &like);
			text[at] = was;
		}
	}
}

static void test_plain_literals_are_not_read_again(void **st)
{
	static const char *const known[] = {
		"SELECT c FROM t WHERE id = #", "select * from s.t where id in (#, #) and k = # limit #", "UPDATE t SET v = #, n = n + # WHERE id = #",
		"DELETE FROM t WHERE # = id", "SELECT c FROM t WHERE id = # OR id = #", "SELECT c FROM t WHERE k > # ORDER BY # LIMIT #"};
	struct sql_keys_like like;
	char text[TEXT];

	state = 3;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		memset(&like, 0, sizeof(like));
		put_together(text, known[i], number);
		assert_false(check(text, 0, &like));
		for (unsigned again = 0; again < 50; again++) {
			put_together(text, known[i], number);
			assert_true(check(text, 0, &like));
		}
	}
}

static void test_strings_are_not_read_again(void **st)
{
	struct sql_keys_like like = {0};

	assert_false(check("SELECT c FROM t WHERE name = 'a' AND k IN ('x', 'y')", 0, &like));
	assert_true(check("SELECT c FROM t WHERE name = 'Somebody else' AND k IN ('', '1')", 0, &like));
	assert_false(check("SELECT c FROM t WHERE name = 5 AND k IN ('', '1')", 0, &like));
}

static void test_bounds_are_kept(void **st)
{
	struct sql_keys_like like = {0};
	char text[TEXT];
	int len = snprintf(text, sizeof(text), "SELECT c FROM t WHERE id IN (1");

	/* More values than are kept, more literals, and a longer text. */
	for (unsigned n = 2; len < TEXT - 16; n++) {
		memset(&like, 0, sizeof(like));
		len += snprintf(text + len, sizeof(text) - (size_t)len, ", %u)", n);
		assert_false(check(text, 0, &like));
		assert_int_equal(check(text, 0, &like), n <= SQL_KEYS_LIKE_VALUES);
		len--;
	}
	memset(&like, 0, sizeof(like));
	len = snprintf(text, sizeof(text), "SELECT c FROM t WHERE id = 1 AND k > 1");
	for (unsigned n = 0; n < 30; n++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, " + %u", n);
	assert_false(check(text, 0, &like));
	assert_true(check(text, 0, &like));
	text[len - 1] = '7';
	assert_false(check(text, 0, &like));
}

/* One that is often other text is soon known by another; not at once, or each would be read twice. */
static void test_another_is_kept_after_a_while(void **st)
{
	struct sql_keys_like like = {0};

	check("SELECT c FROM t WHERE id = 1", 0, &like);
	for (unsigned i = 0; i < SQL_KEYS_LIKE_PATIENCE; i++)
		assert_false(check("SELECT c FROM t WHERE id =  1", 0, &like));
	assert_true(check("SELECT c FROM t WHERE id =  2", 0, &like));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_told_is_what_would_be_read), cmocka_unit_test(test_a_byte_that_differs_is_seen),
		cmocka_unit_test(test_plain_literals_are_not_read_again),  cmocka_unit_test(test_strings_are_not_read_again),
		cmocka_unit_test(test_bounds_are_kept),                    cmocka_unit_test(test_another_is_kept_after_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
