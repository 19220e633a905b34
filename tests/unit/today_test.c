/*
 * Which texts hang on the day: those in which a TIME meets a date, whatever the columns are called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

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
	return name.len == 0 || span_ieq(name, span_str(arg)) ? SQL_KIND_DATE : 0;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behind_a_dot_every_word_is_a_column),
		cmocka_unit_test(a_column_is_called_end),
		cmocka_unit_test(a_function_goes_on_within_its_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
