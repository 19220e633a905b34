/*
 * verify_fix_test.c - suimon advise --verify: which words are a fix that may go to a copy, and where a sample's values go in a mended
 * statement (S3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "verify.h"

static bool is_fix(const char *alter)
{
	return verify_is_fix(span_str(alter), "s", "t");
}

static void what_the_adviser_writes_is_a_fix(void **state)
{
	assert_true(is_fix("ALTER TABLE `s`.`t` ADD INDEX (`a`)"));
	assert_true(is_fix("ALTER TABLE `s`.`t` ADD INDEX (`a`, `b`(100)), ADD INDEX (`c`)"));
	assert_true(is_fix("ALTER TABLE `s`.`t` ADD COLUMN `d_a` LONGTEXT COLLATE utf8mb4_bin AS (json_value(`d`,'$.a')) VIRTUAL INVISIBLE, "
			   "ADD INDEX (`d_a`(100))"));
	assert_true(is_fix("ALTER TABLE `s`.`t` ADD COLUMN `d_a` LONGTEXT COLLATE utf8mb4_bin AS (json_unquote(json_extract(`d`,_utf8mb4'$.a'))) "
			   "VIRTUAL INVISIBLE, ADD INDEX (`d_a`(100))"));
	assert_true(is_fix("ALTER TABLE `s`.`t` MODIFY `a` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '-, x' COMMENT 'y;'"));
}

static void nothing_else_is(void **state)
{
	assert_false(is_fix(""));
	assert_false(is_fix("ALTER TABLE `s`.`t`"));
	assert_false(is_fix("ALTER TABLE `s`.`t` ADD INDEX ("));
	assert_false(is_fix("ALTER TABLE `s`.`u` ADD INDEX (`a`)"));
	assert_false(is_fix("ALTER TABLE `r`.`t` ADD INDEX (`a`)"));
	assert_false(is_fix("ALTER TABLE `s`.`t` ADD INDEX (`a`), DROP COLUMN `b`"));
	assert_false(is_fix("ALTER TABLE `s`.`t` ADD INDEX (`a`); DROP TABLE `b`"));
	assert_false(is_fix("ALTER TABLE `s`.`t` ADD INDEX (`a`) COMMENT 'x'"));
	assert_false(is_fix("ALTER TABLE `s`.`t` ADD INDEX (`a`) /*! , DROP COLUMN b */"));
	assert_false(is_fix("ALTER TABLE `s`.`t` ADD COLUMN `a` LONGTEXT AS (load_file('/x')) VIRTUAL"));
	assert_false(is_fix("ALTER TABLE `s`.`t` ADD COLUMN `a` LONGTEXT AS (json_value(`d`,@x)) VIRTUAL"));
	assert_false(is_fix("ALTER TABLE `s`.`t` MODIFY `a` varchar(20), RENAME TO `r`.`x`"));
	assert_false(is_fix("ALTER TABLE `s`.`t` MODIFY `a` varchar(20) DEFAULT (uuid())"));
	assert_false(is_fix("ALTER TABLE `s`.`t` MODIFY `a` varchar(20) PARTITION BY HASH (`a`)"));
	assert_false(is_fix("ALTER TABLE `s`.`t` MODIFY `a` varchar(20) COMMENT 'x"));
	assert_false(is_fix("ALTER TABLE `s`.`t` RENAME TO `r`.`x`"));
	assert_false(is_fix("DROP TABLE `s`.`t`"));
}

/* Static; "declined". */
static const char *filled(const char *sample, const char *mended)
{
	static char text[512];
	struct iobuf out;
	enum rc rc;

	iobuf_init(&out, 0);
	rc = verify_filled(span_str(sample), span_str(mended), &out);
	snprintf(text, sizeof(text), "%.*s", (int)iobuf_len(&out), iobuf_len(&out) ? (const char *)iobuf_data(&out) : "");
	iobuf_reset(&out);
	assert_true(rc == RC_OK || rc == RC_DECLINED);
	return rc == RC_OK ? text : "declined";
}

static void values_go_where_the_question_marks_are(void **state)
{
	assert_string_equal(filled("SELECT x FROM t WHERE a = 17 AND b = 'it''s'", "select x from t where a = concat(?) and b = ?"),
			    "select x from t where a = concat(17) and b = 'it''s'");
	assert_string_equal(filled("/* app */ SELECT x FROM t WHERE a = 0x41 ORDER BY b ASC;", "select x from t where a = ? order by b"),
			    "select x from t where a = 0x41 order by b");
	assert_string_equal(filled("SELECT x FROM t WHERE a IN ('b', 'c?') AND d = 1", "select x from t where `a` in(?+) and d = concat(?)"),
			    "select x from t where `a` in('b', 'c?') and d = concat(1)");
	assert_string_equal(filled("SELECT 1+2 FROM t WHERE a = 3", "select ?+? from t where a = concat(?)"), "select 1+2 from t where a = concat(3)");
}

static void a_path_has_gone_into_the_columns_name(void **state)
{
	assert_string_equal(filled("SELECT 1 FROM t WHERE JSON_VALUE(d, '$.a') = 'x' AND c = 2", "select ? from t where `d_a` = ? and c = ?"),
			    "select 1 from t where `d_a` = 'x' and c = 2");
	assert_string_equal(filled("SELECT JSON_VALUE(d, '$.b') FROM t WHERE JSON_VALUE(d, '$.a') = 'x'", "select json_value(d, ?) from t where `d_a` = ?"),
			    "declined"); /* which of both it was is not told */
}

static void values_that_could_be_others_are_not_put(void **state)
{
	assert_string_equal(filled("SELECT x FROM t WHERE YEAR(a) = 2001", "select x from t where a >= ? and a < ?"), "declined");
	assert_string_equal(filled("SELECT x FROM t WHERE a = -1", "select x from t where a = ? and b = ?"), "declined");
	assert_string_equal(filled("SELECT x FROM t WHERE a = 1 LIMIT 5, 10", "select x from t where a = concat(?) limit ?"), "declined");
	assert_string_equal(filled("SELECT x FROM t", "select x from t where a = ?"), "declined");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_adviser_writes_is_a_fix),
		cmocka_unit_test(nothing_else_is),
		cmocka_unit_test(values_go_where_the_question_marks_are),
		cmocka_unit_test(a_path_has_gone_into_the_columns_name),
		cmocka_unit_test(values_that_could_be_others_are_not_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
