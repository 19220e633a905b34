/*
 * catalog_rights_test.c - what SHOW GRANTS says: where an absent trigger is known to be absent (C5).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalog_rights.h"
#include "mem.h"

static bool sees(const char *const lines[], const char *schema, bool fold)
{
	struct rights r = {0};
	bool yes;

	for (size_t i = 0; lines[i]; i++)
		assert_int_equal(rights_add(&r, span_str(lines[i])), RC_OK);
	yes = rights_see_all(&r, span_str(schema), fold);
	rights_reset(&r);
	return yes;
}

#define SEES(schema, ...) sees((const char *const[]){__VA_ARGS__, NULL}, schema, false)

static void global_rights_see_everything(void **state)
{
	assert_true(SEES(
		"shop",
		"GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` IDENTIFIED BY PASSWORD '*AB' WITH GRANT OPTION"));
	assert_true(SEES("shop", "GRANT SELECT, INSERT, TRIGGER ON *.* TO `m`@`%`"));
	assert_false(SEES("shop", "GRANT USAGE ON *.* TO `m`@`%`"));
	assert_false(SEES("shop", "GRANT SELECT ON *.* TO `m`@`%`"));
}

static void schema_rights_see_that_schema(void **state)
{
	assert_true(SEES("shop", "GRANT USAGE ON *.* TO `m`@`%`", "GRANT ALL PRIVILEGES ON `shop`.* TO `m`@`%`"));
	assert_false(SEES("other", "GRANT ALL PRIVILEGES ON `shop`.* TO `m`@`%`"));
	assert_true(SEES("shop", "GRANT SELECT ON *.* TO `m`@`%`", "GRANT TRIGGER ON `shop`.* TO `m`@`%`"));
	assert_true(SEES("sh`op", "GRANT ALL PRIVILEGES ON `sh``op`.* TO `m`@`%`"));
	assert_true(SEES("shop", "GRANT SELECT, TRIGGER ON \"shop\".* TO \"m\"@\"%\""));
}

static void rights_on_a_table_or_on_columns_are_not_enough(void **state)
{
	assert_false(SEES("shop", "GRANT SELECT, TRIGGER ON `shop`.`t` TO `m`@`%`"));
	assert_false(SEES("shop", "GRANT SELECT (`a`, `TRIGGER`), TRIGGER ON `shop`.`t` TO `m`@`%`"));
	assert_false(SEES("shop", "GRANT SELECT (`a`), TRIGGER ON `shop`.* TO `m`@`%`"));
	assert_false(SEES("shop", "GRANT ALL PRIVILEGES ON PROCEDURE `shop`.`p` TO `m`@`%`"));
}

static void patterns_stand_for_schemas(void **state)
{
	assert_true(SEES("shop_1", "GRANT ALL PRIVILEGES ON `shop\\_%`.* TO `m`@`%`"));
	assert_false(SEES("shopx1", "GRANT ALL PRIVILEGES ON `shop\\_%`.* TO `m`@`%`"));
	assert_true(SEES("shopx1", "GRANT ALL PRIVILEGES ON `shop_%`.* TO `m`@`%`"));
	assert_true(SEES("shop", "GRANT ALL PRIVILEGES ON `%`.* TO `m`@`%`"));
	assert_true(SEES("a_shop_b", "GRANT ALL PRIVILEGES ON `%shop%`.* TO `m`@`%`"));
	assert_false(SEES("a_shop_b", "GRANT ALL PRIVILEGES ON `%shop`.* TO `m`@`%`"));
}

/* The server takes one of the grants that match; which, is its own affair. */
static void of_several_grants_all_must_say_so(void **state)
{
	assert_false(SEES("shop_1", "GRANT ALL PRIVILEGES ON `shop%`.* TO `m`@`%`",
			  "GRANT SELECT ON `shop\\_1`.* TO `m`@`%`"));
}

static void a_partial_revoke_takes_a_schema_out(void **state)
{
	assert_false(SEES("shop", "GRANT ALL PRIVILEGES ON *.* TO `m`@`%`", "REVOKE SELECT ON `shop`.* FROM `m`@`%`"));
	assert_true(SEES("other", "GRANT ALL PRIVILEGES ON *.* TO `m`@`%`", "REVOKE SELECT ON `shop`.* FROM `m`@`%`"));
}

static void letter_case_is_the_servers_affair(void **state)
{
	const char *const lines[] = {"GRANT ALL PRIVILEGES ON `Shop`.* TO `m`@`%`", NULL};

	assert_false(sees(lines, "shop", false));
	assert_true(sees(lines, "shop", true));
}

static void odd_lines_grant_nothing(void **state)
{
	static const char *const odd[] = {"",
					  "GRANT",
					  "GRANT ",
					  "GRANT ON",
					  "GRANT SELECT, TRIGGER ON",
					  "GRANT `r`@`%` TO `m`@`%`",
					  "GRANT SELECT, TRIGGER ON ` TO m",
					  "GRANT SELECT, TRIGGER ON `shop TO `m`@`%`",
					  "GRANT SELECT, TRIGGER ON `shop` TO `m`@`%`",
					  "GRANT PROXY ON ''@'%' TO 'root'@'localhost'"};

	for (size_t i = 0; i < countof(odd); i++)
		assert_false(SEES("shop", odd[i]));
}

static void short_memory_is_said(void **state)
{
	struct rights r = {0};

	for (uint64_t n = 1; n <= 2; n++) {
		mem_fail_after(n, 0);
		assert_int_equal(rights_add(&r, span_str("GRANT ALL PRIVILEGES ON `shop`.* TO `m`@`%`")), RC_ERROR);
		mem_fail_after(0, 0);
	}
	assert_false(rights_see_all(&r, span_str("shop"), false));
	rights_reset(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(global_rights_see_everything),
		cmocka_unit_test(schema_rights_see_that_schema),
		cmocka_unit_test(rights_on_a_table_or_on_columns_are_not_enough),
		cmocka_unit_test(patterns_stand_for_schemas),
		cmocka_unit_test(of_several_grants_all_must_say_so),
		cmocka_unit_test(a_partial_revoke_takes_a_schema_out),
		cmocka_unit_test(letter_case_is_the_servers_affair),
		cmocka_unit_test(odd_lines_grant_nothing),
		cmocka_unit_test(short_memory_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
