/*
 * Text is cut into tokens as the servers cut it, whatever its bytes (F2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "facts.h"
#include "scan.h"

/* Tokens as "kind:text kind:text": w word, q quoted, s string, n number, b bytes, ? parameter, @ variable, o operator,
 * c comment, h hint, { and } executable comments, ! bad. */
static char *tokens(const char *text, size_t len, unsigned mode)
{
	static const char kinds[] = "ewqsnb?@$och{}!";
	static char out[1024];
	size_t n = 0;
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, span_of(text, len), mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END && n < sizeof out; sql_scan_next(&s, &t))
		n += (size_t)snprintf(out + n, sizeof out - n, "%s%c:" SPAN_FMT, n ? " " : "", kinds[t.kind],
				      SPAN_ARG(t.text));
	if (n < sizeof out)
		snprintf(out + n, sizeof out - n, "%s", s.broken ? " broken" : "");
	return out;
}

#define cut(text, mode, expected) assert_string_equal(tokens(text, sizeof(text) - 1, mode), expected)

static void cuts_words_and_names(void **state)
{
	cut("SELECT a1,_b,$c,1d FROM `e``f`", 0, "w:SELECT w:a1 o:, w:_b o:, w:$c o:, w:1d w:FROM q:`e``f`");
	cut("t.1a .5 a.b", 0, "w:t o:. w:1a n:.5 w:a o:. w:b");
	cut("\"a\" 'b'", 0, "s:\"a\" s:'b'");
	cut("\"a\" 'b'", SQL_MODE_ANSI_QUOTES, "q:\"a\" s:'b'");
}

static void cuts_literals(void **state)
{
	cut("1 1.5 1. 1e5 1e+5 1e 0x4D 0b01 0xZZ", 0, "n:1 n:1.5 n:1. n:1e5 n:1e+5 w:1e b:0x4D b:0b01 w:0xZZ");
	cut("x'4d' B'01' N'x' n 'x'", 0, "b:x'4d' b:B'01' s:N'x' w:n s:'x'");
	cut("'a''b' 'c\\'d' '\\\\'", 0, "s:'a''b' s:'c\\'d' s:'\\\\'");
	cut("'c\\' 'd'", SQL_MODE_NO_BACKSLASH_ESCAPES, "s:'c\\' s:'d'");
	cut("\\N ?", 0, "w:\\N ?:?");
}

static void cuts_variables_and_operators(void **state)
{
	cut("@a @`b c` @'d' @@global.e @", 0, "@:@a @:@`b c` @:@'d' $:@@ w:global o:. w:e @:@");
	cut("a:=b<=>c<=d>=e<>f!=g<<h>>i||j&&k->l->>m", 0,
	    "w:a o::= w:b o:<=> w:c o:<= w:d o:>= w:e o:<> w:f o:!= w:g o:<< w:h o:>> w:i o:|| w:j o:&& w:k o:-> w:l "
	    "o:->> w:m");
}

static void cuts_comments(void **state)
{
	cut("a/*b*/c -- d\ne#f\ng--h", 0, "w:a c:/*b*/ w:c c:-- d w:e c:#f w:g o:- o:- w:h");
	cut("/*+ x */ /*!50001 y */ /*! z*/ /*M!100100 m */", 0,
	    "h:/*+ x */ {:/*!50001 w:y }:*/ {:/*! w:z }:*/ {:/*M!100100 w:m }:*/");
	cut("/* a /* b */ c", 0, "c:/* a /* b */ w:c");
	cut("/*! a /* b */ c */ d", 0, "{:/*! w:a c:/* b */ w:c }:*/ w:d");
	cut("*/", 0, "o:* o:/");
	cut("1--", 0, "n:1 c:--");
}

static void says_what_has_no_end(void **state)
{
	cut("a 'b", 0, "w:a !:'b broken");
	cut("a 'b\\'", 0, "w:a !:'b\\' broken");
	cut("a `b", 0, "w:a !:`b broken");
	cut("a /* b *", 0, "w:a !:/* b * broken");
	cut("a /*! b", 0, "w:a {:/*! w:b broken");
	cut("@'a", 0, "!:@'a broken");
}

static void takes_any_bytes(void **state)
{
	cut("a\0b", 0, "w:a !: w:b"); /* as text the NUL is not seen */
	cut("-- a\0\nDROP", 0, "!:-- a w:DROP");
	cut("'a\0b'", 0, "s:'a");
	for (unsigned c = 0; c < 256; c++) {
		char text[3] = {'a', (char)c, 'b'};

		for (unsigned mode = 0; mode < 4; mode++)
			tokens(text, sizeof text, mode);
	}
}

static void leaves_out_what_only_some_servers_run(void **state)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, span_str("/*!80000 a /* b */ c */ d /*!50000 e */"), 0);
	s.skip_versions = true;
	sql_scan_next(&s, &t);
	assert_int_equal(t.kind, SQL_T_COMMENT);
	assert_int_equal(t.text.len, strlen("/*!80000 a /* b */ c */"));
	sql_scan_next(&s, &t);
	assert_int_equal(t.kind, SQL_T_WORD);
	sql_scan_next(&s, &t);
	assert_int_equal(t.kind, SQL_T_EXEC_OPEN);
	assert_int_equal(t.version, 50000);
}

static void knows_words_in_any_case(void **state)
{
	for (unsigned w = 1; w < SQL_WORDS; w++) {
		const char *name = sql_words[w].name;
		char text[64];
		size_t len = strlen(name);

		memcpy(text, name, len);
		assert_int_equal(sql_word_find(text, len), w);
		for (size_t i = 0; i < len; i++)
			if (text[i] >= 'A' && text[i] <= 'Z')
				text[i] = (char)(text[i] | 0x20);
		text[len] = 'X';
		assert_int_equal(sql_word_find(text, len), w);
	}
	assert_int_equal(sql_word_find("selec", 5), SQL_WORD_NONE);
	assert_int_equal(sql_word_find("selectx", 7), SQL_WORD_NONE);
}

static void sees_characters_that_end_in_a_quote(void **state)
{
	assert_false(sql_scan_ambiguous(span_str("SELECT 'a\\'b'")));
	assert_false(sql_scan_ambiguous(span_str("SELECT '\x83\x41'")));
	assert_true(sql_scan_ambiguous(span_str("SELECT '\x83\\'")));
	assert_true(sql_scan_ambiguous(span_str("SELECT \x81`")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_words_and_names),
		cmocka_unit_test(cuts_literals),
		cmocka_unit_test(cuts_variables_and_operators),
		cmocka_unit_test(cuts_comments),
		cmocka_unit_test(says_what_has_no_end),
		cmocka_unit_test(takes_any_bytes),
		cmocka_unit_test(leaves_out_what_only_some_servers_run),
		cmocka_unit_test(knows_words_in_any_case),
		cmocka_unit_test(sees_characters_that_end_in_a_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
