/*
 * admin_access_test.c - who may change something over HTTP, and who may see literal values (S2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin_access.h"
#include "rc.h"

static const struct access_policy none_set = {.token = "", .loopback_only = true, .samples = true};
static const struct access_policy open_to_all = {.token = "", .loopback_only = false, .samples = true};
static const struct access_policy token_set = {.token = "let-me-in", .loopback_only = false, .samples = true};

static enum access change(const struct access_policy *p, struct access_caller c)
{
	const char *why = NULL;
	enum access a = access_change(p, &c, &why);

	if (a != ACCESS_ALLOWED)
		assert_non_null(why);
	return a;
}

static void loopback_is_known_in_all_its_forms(void **state)
{
	static const char *const yes[] = {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "::FFFF:127.0.0.1"};
	static const char *const no[] = {"10.0.0.1", "128.0.0.1", "::2",        "::ffff:10.0.0.1",
					 "",         "unknown",   "1127.0.0.1", "fe80::1"};

	for (size_t i = 0; i < countof(yes); i++)
		assert_true(access_is_loopback(yes[i]));
	for (size_t i = 0; i < countof(no); i++)
		assert_false(access_is_loopback(no[i]));
}

static void without_a_token_only_loopback_changes_anything(void **state)
{
	assert_int_equal(change(&none_set, (struct access_caller){.peer = "127.0.0.1"}), ACCESS_ALLOWED);
	assert_int_equal(change(&none_set, (struct access_caller){.peer = "10.0.0.1"}), ACCESS_FORBIDDEN);
	assert_int_equal(change(&none_set, (struct access_caller){.peer = "127.0.0.1", .forwarded = true}),
			 ACCESS_FORBIDDEN);
	/* A token that is not asked for proves nothing. */
	assert_int_equal(change(&none_set, (struct access_caller){.peer = "10.0.0.1", .token = ""}), ACCESS_FORBIDDEN);
}

static void open_to_other_hosts_without_a_token_nobody_does(void **state)
{
	assert_int_equal(change(&open_to_all, (struct access_caller){.peer = "127.0.0.1"}), ACCESS_FORBIDDEN);
	assert_int_equal(change(&open_to_all, (struct access_caller){.peer = "10.0.0.1"}), ACCESS_FORBIDDEN);
}

static void the_token_is_asked_of_everybody(void **state)
{
	static const char *const wrong[] = {"Bearer wrong", "Bearer ",         "Bearer let-me-i", "Bearer let-me-inn",
					    "let-me-in",    "Basic let-me-in", "Bearer LET-ME-IN"};

	assert_int_equal(change(&token_set, (struct access_caller){.peer = "127.0.0.1"}), ACCESS_UNKNOWN);
	for (size_t i = 0; i < countof(wrong); i++)
		assert_int_equal(
			change(&token_set, (struct access_caller){.peer = "127.0.0.1", .authorization = wrong[i]}),
			ACCESS_UNKNOWN);
	assert_int_equal(
		change(&token_set, (struct access_caller){.peer = "10.0.0.1", .authorization = "Bearer let-me-in"}),
		ACCESS_ALLOWED);
	assert_int_equal(
		change(&token_set, (struct access_caller){.peer = "10.0.0.1", .authorization = "bearer  let-me-in"}),
		ACCESS_ALLOWED);
	assert_int_equal(change(&token_set, (struct access_caller){.peer = "10.0.0.1", .token = "let-me-in"}),
			 ACCESS_ALLOWED);
	assert_int_equal(change(&token_set, (struct access_caller){.peer = "10.0.0.1", .token = ""}), ACCESS_UNKNOWN);
}

/* A name whose owner lets it point to 127.0.0.1 makes a browser call us as its own site. */
static void a_rebound_name_is_refused(void **state)
{
	static const char *const mine[] = {"127.0.0.1:6034", "localhost:6034", "LOCALHOST", "[::1]:6034", "127.0.0.1"};
	static const char *const others[] = {"evil.example:6034",
					     "127.0.0.1.evil.example",
					     "localhost.evil.example:80",
					     "evil",
					     "[::2]:6034",
					     "",
					     "[::1",
					     "10.0.0.1"};

	for (size_t i = 0; i < countof(mine); i++)
		assert_int_equal(change(&none_set, (struct access_caller){.peer = "127.0.0.1", .host = mine[i]}),
				 ACCESS_ALLOWED);
	for (size_t i = 0; i < countof(others); i++)
		assert_int_equal(change(&none_set, (struct access_caller){.peer = "127.0.0.1", .host = others[i]}),
				 ACCESS_FORBIDDEN);
}

static void another_sites_page_is_refused(void **state)
{
	struct access_caller c = {.peer = "127.0.0.1", .host = "127.0.0.1:6034"};

	c.origin = "http://127.0.0.1:6034";
	c.fetch_site = "same-origin";
	assert_int_equal(change(&none_set, c), ACCESS_ALLOWED);
	c.fetch_site = "none";
	assert_int_equal(change(&none_set, c), ACCESS_ALLOWED);
	c.fetch_site = "cross-site";
	assert_int_equal(change(&none_set, c), ACCESS_FORBIDDEN);
	c.fetch_site = "same-site"; /* another port of this host */
	assert_int_equal(change(&none_set, c), ACCESS_FORBIDDEN);
	c.fetch_site = NULL;
	c.origin = "http://127.0.0.1:8080";
	assert_int_equal(change(&none_set, c), ACCESS_FORBIDDEN);
	c.origin = "null";
	assert_int_equal(change(&none_set, c), ACCESS_FORBIDDEN);
}

/* S2 */
static void samples_are_for_loopback_and_the_tokens_bearer(void **state)
{
	struct access_policy off = token_set;
	struct access_caller local = {.peer = "127.0.0.1", .host = "localhost:6034"}, remote = {.peer = "10.0.0.1"};
	struct access_caller bearer = {.peer = "10.0.0.1", .token = "let-me-in"};
	struct access_caller rebound = {.peer = "127.0.0.1", .host = "evil.example"};

	off.samples = false;
	assert_true(access_samples(&none_set, &local));
	assert_true(access_samples(&open_to_all, &local));
	assert_true(access_samples(&token_set, &local));
	assert_true(access_samples(&token_set, &bearer));
	assert_false(access_samples(&none_set, &remote));
	assert_false(access_samples(&none_set, &bearer));
	assert_false(access_samples(&token_set, &remote));
	assert_false(access_samples(&none_set, &rebound));
	assert_false(access_samples(&off, &local));
	assert_false(access_samples(&off, &bearer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loopback_is_known_in_all_its_forms),
		cmocka_unit_test(without_a_token_only_loopback_changes_anything),
		cmocka_unit_test(open_to_other_hosts_without_a_token_nobody_does),
		cmocka_unit_test(the_token_is_asked_of_everybody),
		cmocka_unit_test(a_rebound_name_is_refused),
		cmocka_unit_test(another_sites_page_is_refused),
		cmocka_unit_test(samples_are_for_loopback_and_the_tokens_bearer),
	};

	return cmocka_run_group_tests_name("admin: access", tests, NULL, NULL);
}
