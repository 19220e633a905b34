/*
 * Which texts hang on the day: those in which a TIME meets a date, whatever the columns are called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "digest.h"
#include "facts.h"
#include "today.h"
#include "words.h"

/* The columns: t is a TIME, the one of this name a DATETIME. */
static unsigned kinds_of(void *arg, struct span name, bool call)
{
	if (call)
		return 0;
	if (span_ieq(name, span_str("t")))
		return SQL_KIND_TIME;
	return name.len == 0 || span_ieq(name, span_str(arg)) || span_ieq(name, span_str("offset")) ? SQL_KIND_DATE : 0;
}

/* %1$s in the form is the DATETIME's name. */
static bool hangs(const char *form, const char *date)
{
	struct sql_today out;
	char text[512], name[64];

	(void)snprintf(name, sizeof(name), "%s", date);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	assert_true((size_t)snprintf(text, sizeof(text), form, name) < sizeof(text));
#pragma GCC diagnostic pop
	sql_today(span_str(text), 0, false, 0, kinds_of, name, &out);
	return out.always;
}

static void behind_a_dot_every_word_is_a_column(void **state)
{
	static const char *const meet[] = {
		"SELECT ev.%s < ev.t FROM ev", "SELECT ev.t > ev.%s FROM ev", "SELECT a FROM ev WHERE ev.%s < ev.t",
		"SELECT x.a FROM ev x JOIN ev y ON x.%s < y.t", "SELECT ev . %s < ev.t FROM ev", "SELECT ev./* c */%s < ev.t FROM ev",
		"SELECT ev.t > ev.-- c\n%s FROM ev", "SELECT shop.ev.%s < shop.ev.t FROM shop.ev", "SELECT .ev.%s < .ev.t FROM ev",
		"SELECT `ev`.%s < t FROM ev", "SELECT a FROM ev GROUP BY ev.%s < ev.t", "SELECT a FROM ev ORDER BY ev.t > ev.%s, a LIMIT 1",
		"SELECT a FROM ev HAVING MAX(ev.%s) < MAX(ev.t)", "SELECT CASE WHEN ev.%s IS NULL AND a = 1 THEN 1 ELSE ev.t END FROM ev",
		"SELECT a FROM ev WHERE ev.t BETWEEN ev.%s AND 1", "SELECT (ev.%s) < ev.t FROM ev", "SELECT /*!50001 ev.%s */ < ev.t FROM ev",
	};
	static const char *const apart[] = {
		"SELECT ev.%1$s, ev.t FROM ev WHERE ev.%1$s > '2020-01-01' AND ev.t < '10:00' ORDER BY ev.%1$s, ev.t DESC LIMIT 3",
		"SELECT x.t FROM ev x JOIN ev y ON x.%1$s < y.%1$s WHERE x.t = y.t",
	};

	for (unsigned w = SQL_WORD_NONE + 1; w < SQL_WORDS; w++) {
		if (!sql_word_is(w, SQL_WT_RESERVED))
			continue;
		for (size_t i = 0; i < countof(meet); i++)
			if (!hangs(meet[i], sql_words[w].name))
				fail_msg("%s: column %s is not seen", meet[i], sql_words[w].name);
		for (size_t i = 0; i < countof(apart); i++)
			if (hangs(apart[i], sql_words[w].name))
				fail_msg("%s: column %s is taken to meet a TIME", apart[i], sql_words[w].name);
	}
}

/* END is not reserved: the column's ends no CASE. */
static void a_column_is_called_end(void **state)
{
	assert_true(hangs("SELECT CASE n WHEN end AND n > 1 THEN t ELSE d END FROM ev", "d"));
	assert_true(hangs("SELECT CASE WHEN ev.end = 1 AND n > 1 THEN t WHEN n = 2 AND n = 3 THEN d END FROM ev", "d"));
	assert_true(hangs("SELECT CASE WHEN n = 1 THEN t WHEN end = 1 AND n > 1 THEN d END FROM ev", "d"));
	assert_false(hangs("SELECT CASE WHEN n = 1 THEN t END, CASE WHEN ev.end = 1 THEN d END FROM ev", "d"));
}

static void a_function_goes_on_within_its_group(void **state)
{
	assert_true(hangs("SELECT a FROM ev ORDER BY d < PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY t) OVER ()", "d"));
	assert_true(hangs("SELECT t AS a, d AS b FROM ev WHERE within GROUP BY a < b", "d"));
}

static bool hangs_in_body(const char *text, unsigned besides)
{
	struct sql_today out;
	char name[] = "d";

	sql_today(span_str(text), 0, true, besides, kinds_of, name, &out);
	return out.always;
}

static void what_makes_a_date_of_a_time(void **state)
{
	static const char *const meet[] = {
		"CAST(t AS YEAR)", "CONVERT(t, YEAR)", "CAST(STR_TO_DATE(s, '%%H') AS YEAR)", "CAST(t AS DATETIME(6))", "CAST(CAST(t AS JSON) AS DATETIME)",
		"CAST(CAST(t AS JSON) AS YEAR)", "JSON_VALUE(JSON_OBJECT('t', t), '$.t' RETURNING DATETIME)", "YEAR(CAST(t AS JSON))", "t + INTERVAL 1 DAY",
		"t + INTERVAL (1) DAY", "TIMESTAMP(t)", "TIMESTAMP(%1$s, t) < t", "UNIX_TIMESTAMP(t)", "DATE_FORMAT(t, '%%Y')", "CAST(CAST(t AS TIME(3)) AS DATE)",
	};
	static const char *const apart[] = {
		"CAST(%1$s AS YEAR), t", "CAST(t AS CHAR) < %1$s", "CAST(CAST(t AS CHAR) AS YEAR)", "CAST(t AS JSON), %1$s", "year = 1, t < year", "YEAR(%1$s) < t",
	};
	char text[512];

	for (size_t i = 0; i < countof(meet); i++) {
		(void)snprintf(text, sizeof(text), "SELECT %s FROM ev", meet[i]);
		if (!hangs(text, "d"))
			fail_msg("%s is not seen", meet[i]);
	}
	for (size_t i = 0; i < countof(apart); i++) {
		(void)snprintf(text, sizeof(text), "SELECT %s FROM ev", apart[i]);
		if (hangs(text, "d"))
			fail_msg("%s is taken to hang on the day", apart[i]);
	}
}

static void a_routine_has_variables_of_these_types(void **state)
{
	static const char *const types[] = {"DATETIME", "DATETIME(6)", "datetime (3)", "TIMESTAMP(2)", "DATE", "YEAR", "YEAR(4)", "year"};
	char body[128];

	for (size_t i = 0; i < countof(types); i++) {
		(void)snprintf(body, sizeof(body), "BEGIN DECLARE x %s DEFAULT p; RETURN x; END", types[i]);
		assert_true(hangs_in_body(body, SQL_KIND_TIME));
		assert_false(hangs_in_body(body, 0));
	}
	assert_true(hangs_in_body("BEGIN DECLARE x TIME(3) DEFAULT p; RETURN x; END", SQL_KIND_DATE));
	assert_false(hangs_in_body("BEGIN DECLARE x TIME(3) DEFAULT p; RETURN x; END", SQL_KIND_TIME));
}

/* To a server that does not run it the comment divides nothing. */
static void what_some_servers_do_not_read_divides_nothing(void **state)
{
	assert_true(hangs("SELECT t < /*!99999 1 AND 2 < */ d FROM ev", "d"));
	assert_true(hangs("SELECT t < /*M! 1, */ d FROM ev", "d"));
	assert_true(hangs("SELECT /*!80000 TIME( */ d /*!80000 ) */ < t FROM ev", "d"));
	assert_true(hangs("SELECT /*!50001 t < */ d FROM ev", "d"));
	assert_false(hangs("SELECT t, /*!50001 1 */ < d, '/*!99999 1 */' FROM ev", "d"));
}

static struct sql_today bound(const char *text)
{
	struct sql_today out;
	char name[] = "d";

	sql_today(span_str(text), 0, false, 0, kinds_of, name, &out);
	return out;
}

/* Of texts that have one digest each has placeholders of its own. */
static void placeholders_are_a_texts_own(void **state)
{
	assert_true(bound("SELECT a FROM ev WHERE d < ?").with_time);
	assert_false(bound("SELECT a FROM ev WHERE d < '2030-01-01'").with_time);
	assert_true(bound("SELECT a FROM ev WHERE s IN (?, ?)").with_both);
	assert_false(bound("SELECT a FROM ev WHERE s IN (?)").with_both);
	assert_true(bound("SELECT a FROM ev WHERE s IN ('x', ?) = (s = ?)").with_both);
	assert_false(bound("SELECT a FROM ev WHERE t < ? AND d < '2030-01-01' LIMIT ? OFFSET ?").with_time);
	assert_false(bound("SELECT a FROM ev WHERE s IN (SELECT s FROM ev) LIMIT ?, ?").with_both);
}

/* ---- what differs between texts of one digest ---- */

static unsigned drawn = 1;

static unsigned draw(unsigned n)
{
	drawn = drawn * 1103515245 + 12345;
	return (drawn >> 16) % n;
}

static const char *one_of(const char *const *from, size_t n)
{
	return from[draw((unsigned)n)];
}

static char *put(char *to, const char *s)
{
	return mempcpy(to, s, strlen(s));
}

static char *put_literal(char *to, bool sign)
{
	static const char *const literals[] = {"-3", "7", "'10:00:00'", "NULL", "?", "1.5e3", "'it''s, AND'", "0x4d", "\"2030-01-01\"", "null"};

	return put(to, sign ? one_of(literals, countof(literals)) : one_of(literals + 1, countof(literals) - 1));
}

static char *put_list(char *to)
{
	unsigned n = 1 + draw(3);

	for (to = put(to, "("); n; n--)
		to = put(put_literal(to, true), n > 1 ? ", " : ")");
	return to;
}

static char *put_blank(char *to)
{
	static const char *const blanks[] = {" ", "  ", "\n", " /* , t AND */ ", " -- UNION (\n", "\t"};

	return put(to, one_of(blanks, countof(blanks)));
}

/* A form: # is a literal, % one without a sign, @ a list of them or several, $ a number of rows with another or without, ~ an ASC or none, a blank any
 * blanks, and words in capitals are written in either case. */
static void render(const char *form, char *to)
{
	static const char *const limits[] = {"5", "5, 6", "5 OFFSET 6", "?", "?, ?", "? offset ?"};

	for (bool lower = false; *form; form++) {
		if (!isalpha((unsigned char)*form) && *form != '_')
			lower = draw(2);
		if (*form == '#' || *form == '%')
			to = put_literal(to, *form == '#');
		else if (*form == '@')
			for (to = put_list(to); draw(4) == 0;)
				to = put_list(put(to, draw(2) ? "," : " , "));
		else if (*form == '$')
			to = put(to, one_of(limits, countof(limits)));
		else if (*form == '~')
			to = put(to, draw(2) ? " ASC" : "");
		else if (*form == ' ')
			to = put_blank(to);
		else
			*to++ = (char)(lower ? tolower((unsigned char)*form) : *form);
	}
	*to = '\0';
}

static char *put_pieces(char *to, const char *joint)
{
	static const char *const pieces[] = {
		"t", "d", "n", "#", "t < #", "d > #", "n IN @", "t IN @", "d IN @", "n IN @ < d", "t BETWEEN # AND #", "d BETWEEN # AND #", "t BETWEEN # AND d",
		"n IN @ AND t", "(t, #) < (n, #)", "(d, #) < (n, #)", "coalesce(t, #)", "coalesce(d, #)", "coalesce(n IN @, t)", "time % < d", "{t %} > t",
		"CASE WHEN n = # THEN # ELSE d END", "CASE n WHEN # THEN t ELSE # END", "t IS NULL", "d IS NOT NULL", "ev.null < #", "ev.in @ < t", "cast(n AS char(#)) < d",
		"cast(t AS time(#))", "cast(# AS datetime) < d", "INTERVAL # DAY + d", "offset", "ev.offset + #", "str_to_date(#, #)", "NOT t", "if(n, #, #)", "# + n", "n - #",
	};

	for (unsigned n = 1 + draw(3); n; n--)
		to = put(put(to, one_of(pieces, countof(pieces))), n > 1 ? joint : "");
	return to;
}

/* The form of a SELECT. */
static void make_form(char *to)
{
	to = put_pieces(put(to, "SELECT "), ", ");
	to = put(to, " FROM ev");
	if (draw(2))
		to = put_pieces(put(to, " WHERE "), " AND ");
	if (draw(4) == 0)
		to = put(to, " AND n IN (SELECT n FROM ev WHERE n > #)");
	if (draw(4) == 0)
		to = put_pieces(put(to, " GROUP BY "), ", ");
	if (draw(2))
		to = put(put_pieces(put(to, " ORDER BY "), "~, "), "~");
	if (draw(2))
		to = put(to, draw(4) ? " LIMIT $" : " HAVING group_concat(n LIMIT $) < n");
	if (draw(4) == 0)
		to = put(to, " FOR UPDATE");
	*to = '\0';
}

/* It repeats a SELECT, so often as it may without another digest. */
static void render_union(const char *form, char *to)
{
	for (unsigned n = 2 + draw(3); n; n--) {
		render(form, to);
		to += strlen(to);
		if (n > 1)
			to = put(to, n == 2 || draw(2) ? " UNION " : " union all ");
	}
	*to = '\0';
}

#define OF_A_FORM 12

/* The verdict is kept by the digest: whichever text it was found by, it is the one of them all. */
static void texts_of_one_digest_have_one_verdict(void **state)
{
	unsigned hang = 0, stay = 0;

	for (unsigned i = 0; i < 4000; i++) {
		char form[2048], was[16384], text[16384];
		struct sql_lexed first = {0}, x;
		bool found = false, repeated = draw(8) == 0;

		make_form(form);
		if (repeated && (strstr(form, "LIMIT $") || strstr(form, "~"))) /* these are of the whole UNION */
			continue;
		for (unsigned n = 0; n < OF_A_FORM; n++) {
			struct sql_today out;
			char name[] = "d";

			(repeated ? render_union : render)(form, n ? text : was);
			sql_lex(span_str(n ? text : was), 0, n ? &x : &first);
			if (n && x.digest != first.digest)
				fail_msg("two digests: %s, and: %s", was, text);
			sql_today(span_str(n ? text : was), 0, false, 0, kinds_of, name, &out);
			if (n && out.always != found)
				fail_msg("two verdicts: %s, and: %s", was, text);
			found = out.always;
		}
		hang += found;
		stay += !found;
	}
	assert_true(hang > 500 && stay > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behind_a_dot_every_word_is_a_column),
		cmocka_unit_test(a_column_is_called_end),
		cmocka_unit_test(a_function_goes_on_within_its_group),
		cmocka_unit_test(what_makes_a_date_of_a_time),
		cmocka_unit_test(a_routine_has_variables_of_these_types),
		cmocka_unit_test(what_some_servers_do_not_read_divides_nothing),
		cmocka_unit_test(placeholders_are_a_texts_own),
		cmocka_unit_test(texts_of_one_digest_have_one_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
