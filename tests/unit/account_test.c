/* A reload takes all of the accounts or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "account.h"
#include "log.h"
#include "mem.h"

static struct settings *parse(const char *yaml)
{
	struct settings *s;
	struct iobuf faults;

	iobuf_init(&faults, 0);
	s = settings_parse(yaml, strlen(yaml), "test", NULL, &faults);
	assert_non_null(s);
	iobuf_reset(&faults);
	return s;
}

static bool has(struct accounts *as, const char *user)
{
	struct account *a = accounts_find(as, span_str(user));

	account_unref(a);
	return a;
}

static void whatever_allocation_fails_all_or_none_are_there(void **state)
{
	struct settings *none = parse("primary: a:1\n");
	struct settings *before = parse("primary: a:1\nusers: [{name: old, password: x}]\n");
	struct settings *after = parse("primary: a:1\nusers: [{name: b, password: x}, {name: c, password: y}]\n");
	unsigned refused = 0;

	for (int first = 0; first < 2; first++) {
		for (uint64_t n = 1;; n++) {
			struct accounts *as = accounts_new(first ? none : before);
			enum rc rc;

			assert_non_null(as);
			mem_fail_after(n, 0);
			rc = accounts_configure(as, after);
			mem_fail_after(0, 0);
			assert_int_equal(has(as, "b"), rc == RC_OK);
			assert_int_equal(has(as, "c"), rc == RC_OK);
			assert_int_equal(has(as, "old"), rc != RC_OK && !first);
			accounts_free(as);
			refused += rc != RC_OK;
			if (rc == RC_OK && n > 50)
				break;
		}
	}
	assert_true(refused > 10);
	settings_unref(none);
	settings_unref(before);
	settings_unref(after);
}

static uint64_t id_of(struct accounts *as, const char *user)
{
	struct account *a = accounts_find(as, span_str(user));
	uint64_t id = a ? a->id : 0;

	account_unref(a);
	return id;
}

/* What was proven of an account, and what hangs by its number, is not to be proven again because another option was changed. */
static void who_has_the_password_of_before_is_the_account_of_before(void **state)
{
	struct settings *before = parse("primary: a:1\nusers: [{name: same, password: x}, {name: other, password: x}, {name: gone, password: x}]\n");
	struct settings *after = parse("primary: a:1\nusers: [{name: new, password: x}, {name: same, password: x}, {name: other, password: y}]\n");
	struct accounts *as = accounts_new(before);
	struct account *learnt = account_new(span_str("learnt"), span_str("z")), *same;
	uint64_t other;

	assert_non_null(as);
	assert_non_null(learnt);
	accounts_learn(as, learnt, true);
	same = accounts_find(as, span_str("same"));
	other = id_of(as, "other");
	assert_non_null(same);
	accounts_learn(as, same, true);
	assert_int_equal(accounts_configure(as, after), RC_OK);
	assert_int_equal(id_of(as, "same"), same->id);
	assert_true(account_is_trusted(&same->verified_ns));
	assert_true(id_of(as, "other") && id_of(as, "other") != other);
	assert_true(has(as, "new"));
	assert_false(has(as, "gone"));
	assert_int_equal(id_of(as, "learnt"), learnt->id);
	account_unref(same);
	account_unref(learnt);
	accounts_free(as);
	settings_unref(before);
	settings_unref(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_allocation_fails_all_or_none_are_there),
					   cmocka_unit_test(who_has_the_password_of_before_is_the_account_of_before)};

	log_setup(LOG_LEVEL_FATAL, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
