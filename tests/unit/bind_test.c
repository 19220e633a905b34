/*
 * Values take the places of parameters and of nothing else (P4, Q4); an INSERT's rows are found where they are (Q6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "digest.h"

static enum rc put_number(void *arg, uint16_t index, struct iobuf *out)
{
	if (arg)
		return RC_ERROR;
	return iobuf_printf(out, "<%u>", index);
}

static void bound(const char *text, unsigned mode, uint16_t params, const char *expected)
{
	struct iobuf b;
	enum rc rc;

	iobuf_init(&b, 0);
	rc = sql_bind(span_str(text), mode, params, put_number, NULL, &b);
	assert_int_equal(rc, expected ? RC_OK : RC_ERROR);
	if (expected) {
		assert_int_equal(iobuf_append(&b, "", 1), RC_OK);
		assert_string_equal((const char *)iobuf_data(&b), expected);
	}
	iobuf_reset(&b);
}

static void parameters_are_replaced(void **state)
{
	bound("SELECT ?, a FROM t WHERE b=? AND c IN (?,?)", 0, 4,
	      "SELECT <0>, a FROM t WHERE b=<1> AND c IN (<2>,<3>)");
	bound("SELECT 1", 0, 0, "SELECT 1");
	bound("?", 0, 1, "<0>");
	bound("", 0, 0, "");
}

/* A literal may be a word, or a number: it is parted from the words that it stands beside. */
static void a_value_does_not_grow_into_a_word(void **state)
{
	bound("SELECT a LIKE?AND b=?OR`c`=?", 0, 3, "SELECT a LIKE <0> AND b=<1> OR`c`=<2>");
	bound("SELECT 1\xc3\xa4?\xc3\xa4", 0, 1, "SELECT 1\xc3\xa4 <0> \xc3\xa4");
}

static void what_is_collated_is_so_whole(void **state)
{
	bound("SELECT ? COLLATE x, ?collate x, ? /* c */ COLLATE x, ? /*! COLLATE x */", 0, 4,
	      "SELECT (<0>) COLLATE x, (<1>) collate x, (<2>) /* c */ COLLATE x, (<3>) /*! COLLATE x */");
	bound("SELECT ? c, ? - c, ?", 0, 3, "SELECT <0> c, <1> - c, <2>");
}

static void question_marks_elsewhere_stay(void **state)
{
	bound("SELECT '?', \"?\", `?`, ? /* ? */ -- ?\n# ?", 0, 1, "SELECT '?', \"?\", `?`, <0> /* ? */ -- ?\n# ?");
	bound("SELECT 'a\\'?', ?", 0, 1, "SELECT 'a\\'?', <0>");
	bound("SELECT 'a\\', ?", SQL_MODE_NO_BACKSLASH_ESCAPES, 1, "SELECT 'a\\', <0>");
	bound("SELECT /*!50001 ?, */ ? /*+ ? */", 0, 2, "SELECT /*!50001 <0>, */ <1> /*+ ? */");
}

static void numbers_must_agree(void **state)
{
	struct iobuf b;

	bound("SELECT ?", 0, 0, NULL);
	bound("SELECT ?", 0, 2, NULL);
	iobuf_init(&b, 0);
	assert_int_equal(sql_bind(span_str("?"), 0, 1, put_number, &b, &b), RC_ERROR);
	iobuf_reset(&b);
	iobuf_init(&b, 4);
	assert_int_equal(sql_bind(span_str("SELECT ?"), 0, 1, put_number, NULL, &b), RC_ERROR);
	iobuf_reset(&b);
}

/* A letter a placeholder: operand, side, item, limit. */
static void placed(const char *text, const char *expected)
{
	static const char letters[] = {[SQL_PLACE_OPERAND] = 'o', [SQL_PLACE_SIDE] = 's', [SQL_PLACE_ITEM] = 'i', [SQL_PLACE_LIMIT] = 'l'};
	uint16_t n = (uint16_t)strlen(expected);
	uint8_t places[16];

	assert_int_equal(sql_places(span_str(text), 0, n, places), RC_OK);
	for (uint16_t i = 0; i < n; i++) {
		if (letters[places[i]] != expected[i])
			fail_msg("%s: the %u. is %c", text, i + 1u, letters[places[i]]);
	}
	assert_int_equal(sql_places(span_str(text), 0, (uint16_t)(n + 1), places), RC_ERROR);
	assert_true(n == 0 || sql_places(span_str(text), 0, (uint16_t)(n - 1), places) == RC_ERROR);
}

static void the_place_of_each_is_told(void **state)
{
	placed("INSERT INTO t (a, b) VALUES (?, /* x */ ?), ( ? , 1)", "iii");
	placed("INSERT INTO t VALUE (?)", "i");
	placed("INSERT INTO t (a) VALUES (-?), (? + 1), ((?)), (f(?)), (f(?, ?)), (1, ?)", "oooooo" "i");
	placed("INSERT INTO t (a) VALUES (COALESCE(?, ?)), (CASE WHEN a = ? THEN ? END)", "ooo" "o");
	placed("INSERT INTO t (a) VALUES (?) ON DUPLICATE KEY UPDATE a = ?, b = VALUES(b) - (?), c = c - ?, d = ? ", "isoos");
	placed("INSERT INTO t (a) VALUES (?) ON DUPLICATE KEY UPDATE a = VALUES(a) + ?, b = GREATEST(?, b)", "ioo");
	placed("INSERT INTO t SET a = ?, b = ? - 1", "so");
	placed("INSERT INTO t VALUES ROW(?)", "o");
	placed("REPLACE INTO t VALUES (?, NOW(), (?), x.values(?))", "ioo");
	placed("UPDATE t SET a = ?, b = a - ?, c = ? - a WHERE id = ? AND b < ? OR c <=> ? ORDER BY id LIMIT ?", "soosssl");
	placed("UPDATE t SET a = ? - b WHERE a >= ?+1 AND b <> ? AND (c != ?) AND ? > d AND e <= ?;", "oo" "ss" "os");
	placed("UPDATE t SET a = 1 WHERE id IN (?, ?, 5, ? + 1, f(?), (?)) AND b BETWEEN ? AND ?", "ssoooo" "o");
	placed("UPDATE t SET a = 1 WHERE x.in (?) AND (a, b) = (?, ?) AND a LIKE ? AND NOT a = ?", "ooo" "os");
	placed("DELETE FROM t WHERE a = ? LIMIT ?", "sl");
	placed("DELETE FROM t WHERE a = ? /*! - 1 */ AND b = /*!99999 3 - */ ? LIMIT ?", "ool");
	placed("SELECT a FROM t LIMIT ? OFFSET ?", "ll");
	placed("SELECT a FROM t LIMIT ?, ?", "ll");
	placed("SELECT (SELECT 1 LIMIT ?) + ?, x.limit - ?", "loo");
	placed("SELECT '?', 1", "");
	placed("", "");
}

/* The rows, or NULL for none. */
static void shaped(const char *text, uint32_t rows, const char *expected)
{
	static struct sql_insert_head head; /* of the text before: whatever it was, it changes nothing */
	struct sql_insert_shape s, like;
	enum rc rc = sql_insert_shape(span_str(text), 0, &s);

	for (int i = 0; i < 2; i++) {
		assert_int_equal(sql_insert_shape_like(span_str(text), 0, &head, &like), rc);
		assert_true(rc != RC_OK || (like.rows_at == s.rows_at && like.rows_end == s.rows_end && like.rows == s.rows &&
					    like.plain == s.plain));
	}
	assert_int_equal(rc, expected ? RC_OK : RC_DECLINED);
	if (!expected)
		return;
	assert_int_equal(s.rows, rows);
	assert_true(span_eq(span_of(text + s.rows_at, s.rows_end - s.rows_at), span_str(expected)));
}

static void rows_are_found(void **state)
{
	shaped("INSERT INTO t VALUES (1,2)", 1, "(1,2)");
	shaped("INSERT INTO t (a, b) VALUES (1, ')'), (f(2), '(') ;", 2, "(1, ')'), (f(2), '(')");
	shaped("replace t value(1)", 1, "(1)");
	shaped("INSERT INTO t (`values`) VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a)", 1, "(1)");
	shaped("INSERT INTO t /* VALUES (0) */ VALUES /* x */ (1) /* y */, (2) RETURNING id", 2, "(1) /* y */, (2)");
	shaped("INSERT INTO t () VALUES ()", 1, "()");
}

static bool is_plain(const char *text)
{
	struct sql_insert_shape s;

	assert_int_equal(sql_insert_shape(span_str(text), 0, &s), RC_OK);
	return s.plain;
}

static void rows_of_values_alone_are_told_from_others(void **state)
{
	assert_true(is_plain("INSERT INTO t VALUES (?, 'x' /* f(1) */, 0x41), (1, ?, \"y\") ON DUPLICATE KEY UPDATE a = f(2)"));
	assert_false(is_plain("INSERT INTO t VALUES (?), (? + 1)"));
	assert_false(is_plain("INSERT INTO t VALUES (NULL)"));
	assert_false(is_plain("INSERT INTO t VALUES ((?))"));
	assert_false(is_plain("INSERT INTO t VALUES (f(?))"));
	assert_false(is_plain("INSERT INTO t VALUES (-?)"));
	assert_false(is_plain("INSERT INTO t VALUES (DEFAULT, ?)"));
}

static void a_head_is_known_again(void **state)
{
	static const char text[] = "INSERT INTO t (a, b) VALUES (1, 'x')";
	struct sql_insert_head head = {0};
	struct sql_insert_shape s;

	assert_int_equal(sql_insert_shape_like(span_str(text), 0, &head, &s), RC_OK);
	assert_true(span_eq(span_of(head.text, head.len), span_str("INSERT INTO t (a, b) VALUES (")));
	shaped("INSERT INTO t (a, b) VALUES (1, 'x')", 1, "(1, 'x')");
	shaped("INSERT INTO t (a, b) VALUES (22, ')'), ( 3 , '', 'it''s')", 2, "(22, ')'), ( 3 , '', 'it''s')");
	shaped("INSERT INTO t (a, b) VALUES (-1, 'a\\')', f('('), \"x)\", 0x1, .5 /* ) */)  ; ", 1,
	       "(-1, 'a\\')', f('('), \"x)\", 0x1, .5 /* ) */)");
	shaped("INSERT INTO t (a, b) VALUES (1, 'a string, that is longer (than a vector) of sixteen') RETURNING id", 1,
	       "(1, 'a string, that is longer (than a vector) of sixteen')");
	shaped("INSERT INTO t (a, b) VALUES (1, 'x", 0, NULL);
	shaped("INSERT INTO t (a, b) VALUES (1, 'x'", 0, NULL);
	shaped("INSERT INTO t (a, b) VALUES (", 0, NULL);
	shaped("INSERT INTO t (a, b) VALUES ", 0, NULL);
	shaped("INSERT INTO t (a, b) VALUES (1, 2, (SELECT 3))", 0, NULL);
	shaped("INSERT INTO t (a, b) VALUES (1), SELECT", 0, NULL);
	shaped("INSERT INTO t /*! (a, b) VALUES */ (1, 2)", 0, NULL);
}

static uint64_t digest_of(const char *text)
{
	struct sql_lexed l;

	sql_lex(span_str(text), 0, &l);
	return l.digest;
}

/* Two texts of one digest: does the server take both or neither? */
static void forms(const char *a, const char *b, bool same)
{
	assert_int_equal(digest_of(a), digest_of(b));
	assert_true(sql_form(span_str(a), 0, false));
	assert_int_equal(sql_form(span_str(a), 0, false) == sql_form(span_str(b), 0, false), same);
}

static void what_a_digest_folds_has_forms(void **state)
{
	static const char insert[] = "INSERT INTO t (a, b) VALUES (1, 'x')", many[] = "DELETE FROM t WHERE a IN (1, 2)";

	forms(insert, "insert into t (a, b) values(22,'it''s')", true);
	forms(insert, "INSERT INTO t (a, b) VALUES (-1, NULL), (+.5, 'b' /* , */), (0x41, \"c\"), ( 4 , 5 )", true);
	forms(insert, "INSERT INTO t (a, b) VALUES (1, 'a\\'b'), (2, ')')", true);
	forms(insert, "INSERT INTO t (a, b) VALUES (1)", false);
	forms(insert, "INSERT INTO t (a, b) VALUES ()", false);
	forms(insert, "INSERT INTO t (a, b) VALUES (1, 'x', 3)", false);
	forms(insert, "INSERT INTO t (a, b) VALUES (1, 'x'), (2)", false);
	forms(insert, "INSERT INTO t (a, b) VALUES (1, NULL), (-2)", false);
	forms(insert, "INSERT INTO t (a, b) VALUES (1), (2)", false);
	forms(insert, "INSERT INTO t (a, b) VALUES (1, 'x') (2, 'y')", false);
	forms(insert, "INSERT INTO t (a, b) VALUES (1, 'x'),, (2, 'y')", false);
	forms(insert, "INSERT INTO t (a, b) VALUES (1 'x')", false);
	forms(insert, "INSERT INTO t (a, b) VALUES (1,)", false);
	forms(insert, "INSERT INTO t (a, b) VALUES (1,,'x')", false);
	forms("INSERT INTO t VALUES (1, NOW())", "INSERT INTO t VALUES (2, NOW()), (NULL, NOW())", true);
	forms("INSERT INTO t VALUES (1, NOW())", "INSERT INTO t VALUES (2, NOW()) (3, NOW())", false);
	forms("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a) + 1", "INSERT INTO t VALUES (1),(2) ON DUPLICATE KEY UPDATE a = VALUES(a) + -7", true);
	forms(many, "DELETE FROM t WHERE a IN (7)", true);
	forms(many, "DELETE FROM t WHERE a IN ('x', -2, NULL, 4.0)", true);
	forms(many, "DELETE FROM t WHERE a IN ()", false);
	forms(many, "DELETE FROM t WHERE a IN (1,)", false);
	forms(many, "DELETE FROM t WHERE a IN (1 2)", false);
	forms(many, "DELETE FROM t WHERE a IN (-)", false);
	forms("UPDATE t SET a = 1, b = 'x' WHERE c < -2", "UPDATE t SET a = -5, b = NULL WHERE c < '2'", true);
	forms("UPDATE t SET a = CASE b WHEN 1 THEN 'x' ELSE 2 END WHERE c BETWEEN -5 AND 2.5 AND NOT 1", "UPDATE t SET a = CASE b WHEN 'y' THEN NULL ELSE -3 END WHERE c BETWEEN 5 AND NULL AND NOT -1", true);
	forms("DELETE FROM t WHERE a LIKE 'x' AND (b) - 1", "DELETE FROM t WHERE a LIKE 5 AND (b) - 1.5", true);
	forms("DELETE FROM t WHERE a IS NULL", "DELETE FROM t WHERE a IS 5", false);
	forms("DELETE FROM t WHERE a IS NOT NULL", "DELETE FROM t WHERE a IS NOT 5", false);
	forms("DELETE FROM t WHERE a LIKE 'x' ESCAPE '|'", "DELETE FROM t WHERE a LIKE 'y' ESCAPE '|'", true);
	forms("DELETE FROM t WHERE a LIKE 'x' ESCAPE '|'", "DELETE FROM t WHERE a LIKE 'x' ESCAPE '||'", false);
	forms("UPDATE t SET a = 'x' 'y'", "UPDATE t SET a = 'x' 5", false);
	forms("UPDATE t SET a = 'x' 'y'", "UPDATE t SET a = 5 'y'", false);
	forms("DELETE FROM t ORDER BY a LIMIT 5", "DELETE FROM t ORDER BY a LIMIT 50", true);
	forms("DELETE FROM t ORDER BY a LIMIT 5", "DELETE FROM t ORDER BY a LIMIT 1, 5", false);
	forms("DELETE FROM t ORDER BY a LIMIT 5", "DELETE FROM t ORDER BY a LIMIT -5", false);
	forms("DELETE FROM t ORDER BY a LIMIT 5", "DELETE FROM t ORDER BY a LIMIT '5'", false);
	forms("DELETE FROM t ORDER BY a LIMIT 5", "DELETE FROM t ORDER BY a LIMIT 5.5", false);
}

static void what_a_literal_says_has_forms_where_not_everything_may_be_said(void **state)
{
	static const char moment[] = "INSERT INTO t VALUES (1, TIMESTAMP '2024-01-31 23:59:59')";

	forms(moment, "INSERT INTO t VALUES (2, TIMESTAMP '1999-12-01 00:00:00')", true);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '2024-02-30 23:59:59')", false);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '2024-02-29 23:59:59')", true);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '2000-02-29 23:59:59')", true);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '2023-02-29 23:59:59')", false);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '1900-02-29 23:59:59')", false);
	forms("UPDATE t SET a = DATE '10:11:12'", "UPDATE t SET a = DATE '23:59:59'", false);
	forms("UPDATE t SET a = TIME '10:11:12'", "UPDATE t SET a = TIME '23:59:59'", true);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '2024-00-01 23:59:59')", false);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '2024-01-31 24:00:00')", false);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '2024-01-31 23:59:59.1234567')", false);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '2024-01-31')", false);
	forms(moment, "INSERT INTO t VALUES (1, TIMESTAMP '')", false);
	forms("UPDATE t SET a = {d '2024-01-31'}", "UPDATE t SET a = {d '2024-12-01'}", true);
	forms("UPDATE t SET a = {d '2024-01-31'}", "UPDATE t SET a = {d '0000-01-31'}", false);
	forms("UPDATE t SET a = TIME '23:59:59'", "UPDATE t SET a = TIME '00:00:00'", true);
	forms("UPDATE t SET a = TIME '23:59:59'", "UPDATE t SET a = TIME 'x'", false);
	forms("UPDATE t SET a = NOW(6)", "UPDATE t SET a = NOW(9)", false);
	forms("UPDATE t SET a = NOW(6)", "UPDATE t SET a = NOW('6')", false);
	forms("UPDATE t SET a = NOW(6)", "UPDATE t SET a = NOW(-6)", false);
	forms("INSERT INTO t VALUES (1, NOW(6))", "INSERT INTO t VALUES (1, NOW(6)), (2, NOW(9))", false);
	forms("UPDATE t SET a = CAST(b AS CHAR(100))", "UPDATE t SET a = CAST(b AS CHAR(200))", true);
	forms("UPDATE t SET a = CAST(b AS CHAR(5))", "UPDATE t SET a = CAST(b AS CHAR('x'))", false);
	forms("UPDATE t SET a = CAST(b AS DECIMAL(5, 2))", "UPDATE t SET a = CAST(b AS DECIMAL(5, 22))", false);
	forms("UPDATE t SET a = CAST(b AS DATETIME(6))", "UPDATE t SET a = CAST(b AS DATETIME(7))", false);
	forms("UPDATE t SET a = CONCAT(5)", "UPDATE t SET a = CONCAT('x')", true);
	forms("UPDATE log SET a = 1 WHERE log.b = 2", "UPDATE log SET a = 1 WHERE LOG.b = 2", false);
}

static void what_is_no_whole_text_has_none(void **state)
{
	static const char *const texts[] = {"UPDATE t SET a = x'4g'", "UPDATE t SET a = b'2'", "INSERT INTO t VALUES (?)", "UPDATE t SET a = ?", "UPDATE t SET a = x'4'", "UPDATE t SET a = 'x", "INSERT INTO t VALUES (1, 'x",
					    "DELETE FROM t WHERE a IN (1, 'x", "INSERT INTO t VALUES (1), (NOW(), `x"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(sql_form(span_str(texts[i]), 0, false), 0);
	assert_true(sql_form(span_str("UPDATE t SET a = x'41'"), 0, false));
}

static void other_statements_are_declined(void **state)
{
	shaped("SELECT 1", 0, NULL);
	shaped("INSERT INTO t SELECT 1", 0, NULL);
	shaped("INSERT INTO t SET a = 1", 0, NULL);
	shaped("INSERT INTO t VALUES (1", 0, NULL);
	shaped("INSERT INTO t VALUES (1),", 0, NULL);
	shaped("INSERT INTO t VALUES ((SELECT 1))", 0, NULL);
	shaped("INSERT INTO t VALUES (1); DELETE FROM t", 0, NULL);
	shaped("INSERT INTO t VALUES (1) /*! , (2) */", 0, NULL);
	shaped("INSERT INTO t VALUES (1, 'x)", 0, NULL);
	shaped("INSERT INTO t VALUES ROW(1)", 0, NULL);
	shaped("", 0, NULL);
}

static enum rc put_column(void *arg, struct span name)
{
	return iobuf_printf(arg, SPAN_FMT ",", SPAN_ARG(name));
}

/* What an INSERT gives values to: the names, "*" for all, "D" behind it where a DEFAULT is among the values; NULL: untold. */
static void given(const char *text, const char *expected)
{
	struct sql_insert_columns c;
	struct iobuf b;
	enum rc rc;

	iobuf_init(&b, 0);
	rc = sql_insert_columns(span_str(text), 0, put_column, &b, &c);
	assert_int_equal(rc, expected ? RC_OK : RC_DECLINED);
	if (expected) {
		assert_int_equal(iobuf_printf(&b, "%s%s%c", c.all ? "*" : "", c.defaults ? "D" : "", 0), RC_OK);
		assert_string_equal((const char *)iobuf_data(&b), expected);
	}
	iobuf_reset(&b);
}

static void columns_are_told(void **state)
{
	given("INSERT INTO t VALUES (1, 2)", "*");
	given("INSERT INTO t () VALUES ()", "");
	given("INSERT INTO t VALUES ()", "");
	given("INSERT IGNORE INTO s.t (a, `b c`, t.d, s.t.e) VALUES (1, 2, 3, 4), (5, 6, 7, 8)", "a,b c,d,e,");
	given("insert t partition (p0, p1) (a) value (1)", "a,");
	given("REPLACE INTO t SET a = f(1, 2), b = (3), `c` = ',' ON DUPLICATE KEY UPDATE d = 4", "a,b,c,");
	given("INSERT INTO t (a, b) VALUES (1, DEFAULT)", "a,b,D");
	given("INSERT INTO t SET a = default(a), b = 'DEFAULT'", "a,b,D");
	given("INSERT INTO t VALUES (1, 'default')", "*");
	given("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = DEFAULT(a)", "*D");
	given("INSERT INTO t (a) SELECT 1", NULL);
	given("INSERT INTO t (a, `b``c`) VALUES (1, 2)", NULL);
	given("INSERT INTO t (a, 1) VALUES (1, 2)", NULL);
	given("INSERT INTO t (a) /*! (b) */ VALUES (1)", NULL);
	given("INSERT INTO t SET", NULL);
	given("INSERT INTO t (a", NULL);
	given("", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_are_replaced),
		cmocka_unit_test(a_value_does_not_grow_into_a_word),
		cmocka_unit_test(what_is_collated_is_so_whole),
		cmocka_unit_test(question_marks_elsewhere_stay),
		cmocka_unit_test(numbers_must_agree),
		cmocka_unit_test(the_place_of_each_is_told),
		cmocka_unit_test(rows_are_found),
		cmocka_unit_test(rows_of_values_alone_are_told_from_others),
		cmocka_unit_test(a_head_is_known_again),
		cmocka_unit_test(what_a_digest_folds_has_forms),
		cmocka_unit_test(what_a_literal_says_has_forms_where_not_everything_may_be_said), cmocka_unit_test(what_is_no_whole_text_has_none),
		cmocka_unit_test(other_statements_are_declined),
		cmocka_unit_test(columns_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
