/*
 * secret_test.c - contents, sharing between threads, wiping, and that the pages are out of core dumps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "secret.h"

static void text_of_any_length_comes_back(void **state)
{
	static const size_t lengths[] = {0, 1, 30, 40, 250, 1000, 4000, 4096, 100000};
	static char text[100000];

	memset(text, 'p', sizeof(text));
	for (size_t i = 0; i < countof(lengths); i++) {
		struct secret *s = secret_new(span_of(text, lengths[i]));

		assert_non_null(s);
		assert_true(span_eq(secret_text(s), span_of(text, lengths[i])));
		assert_int_equal(secret_text(s).p[lengths[i]], '\0');
		secret_unref(s);
	}
}

static void null_is_the_empty_secret(void **state)
{
	assert_null(secret_ref(NULL));
	assert_int_equal(secret_text(NULL).len, 0);
	assert_string_equal(secret_text(NULL).p, "");
	secret_unref(NULL);
}

static void the_last_reference_wipes_it(void **state)
{
	struct secret *s = secret_new(span_str("correct horse battery staple"));
	const char *at = secret_text(s).p;

	assert_ptr_equal(secret_ref(s), s);
	secret_unref(s);
	assert_string_equal(at, "correct horse battery staple");
	secret_unref(s);
	for (size_t i = 0; i < strlen("correct horse battery staple"); i++)
		assert_int_equal(at[i], 0); /* its page is kept, so it may be looked at */
}

static void a_slot_is_used_again(void **state)
{
	struct secret *first = secret_new(span_str("one")), *second;
	const void *at = first;

	secret_unref(first);
	second = secret_new(span_str("two"));
	assert_ptr_equal(second, at);
	secret_unref(second);
}

static void refusal_is_answered(void **state)
{
	mem_fail_after(1, 0);
	assert_null(secret_new(span_str("x")));
	assert_null(secret_new(span_of("", SIZE_MAX)));
}

/* True when the mapping that holds p carries the flag dd (do not dump) in smaps. */
static bool is_out_of_core_dumps(const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	uintptr_t at = (uintptr_t)p;
	bool here = false, flagged = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		char *rest;
		uintptr_t from = strtoul(line, &rest, 16);

		if (*rest == '-')
			here = at >= from && at < strtoul(rest + 1, NULL, 16);
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			flagged = strstr(line, " dd") != NULL;
	}
	fclose(f);
	return flagged;
}

static void its_pages_are_out_of_core_dumps(void **state)
{
	static char text[100000];
	struct secret *small = secret_new(span_str("x")), *large = secret_new(span_of(text, sizeof(text)));

	assert_true(is_out_of_core_dumps(small));
	assert_true(is_out_of_core_dumps(large));
	secret_unref(small);
	secret_unref(large);
}

static void a_variable_of_the_environment_is_moved(void **state)
{
	char *before;
	const char *value;

	unsetenv("SECRET_TEST_A");
	assert_null(secret_env("SECRET_TEST_A"));
	setenv("SECRET_TEST_A", "", 1);
	assert_string_equal(secret_env("SECRET_TEST_A"), "");
	for (int i = 0; i < 2; i++) { /* and again when it is set anew */
		setenv("SECRET_TEST_A", i ? "another" : "correct horse", 1);
		before = getenv("SECRET_TEST_A");
		value = secret_env("SECRET_TEST_A");
		assert_string_equal(value, i ? "another" : "correct horse");
		assert_true(is_out_of_core_dumps(value));
		assert_int_equal(before[0] | before[1], 0); /* the environment's, which frees nothing */
		assert_ptr_equal(getenv("SECRET_TEST_A"), value);
		assert_ptr_equal(secret_env("SECRET_TEST_A"), value);
	}
	assert_int_equal(system("test \"$SECRET_TEST_A\" = another"), 0);
	setenv("SECRET_TEST_A", "kept where it is", 1);
	mem_fail_after(1, 0);
	assert_ptr_equal(secret_env("SECRET_TEST_A"), getenv("SECRET_TEST_A"));
	assert_string_equal(getenv("SECRET_TEST_A"), "kept where it is");
}

static void *take_and_drop(void *arg)
{
	char text[64];

	for (int i = 0; i < 2000; i++) {
		int n = snprintf(text, sizeof(text), "%p %d", (void *)text, i);
		struct secret *own = secret_new(span_of(text, (size_t)n)), *shared = secret_ref(arg);

		if (!own || !span_eq(secret_text(own), span_of(text, (size_t)n)) ||
		    !span_eq(secret_text(shared), span_str("shared")))
			return arg;
		secret_unref(own);
		secret_unref(shared);
	}
	return NULL;
}

static void threads_share_and_allocate(void **state)
{
	struct secret *shared = secret_new(span_str("shared"));
	pthread_t threads[4];
	void *failed;

	for (size_t i = 0; i < countof(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, shared), 0);
	for (size_t i = 0; i < countof(threads); i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	secret_unref(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_any_length_comes_back), cmocka_unit_test(null_is_the_empty_secret),
		cmocka_unit_test(the_last_reference_wipes_it),   cmocka_unit_test(a_slot_is_used_again),
		cmocka_unit_test(refusal_is_answered),           cmocka_unit_test(its_pages_are_out_of_core_dumps),
		cmocka_unit_test(a_variable_of_the_environment_is_moved), cmocka_unit_test(threads_share_and_allocate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
