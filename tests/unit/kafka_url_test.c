/* What a URL of Kafka says, what is refused, and that a refusal keeps the password to itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kafka_url.h"
#include "mem.h"

static void all_parts_are_understood(void **state)
{
	struct kafka_url u;

	assert_null(kafka_url_parse("kafkas://a%40b:p%40ss@h1:9094,[::1]:7,h3/My.topic-1_x?lanes=12&sasl=scram-sha-256&replicas=3"
				    "&ca=/etc/my%20ca&cert=/c&key=/k&verify=none", &u));
	assert_string_equal(u.brokers, "h1:9094,[::1]:7,h3:9092");
	assert_string_equal(u.topic, "My.topic-1_x");
	assert_string_equal(u.user, "a@b");
	assert_string_equal(secret_text(u.password).p, "p@ss");
	assert_string_equal(u.sasl, "SCRAM-SHA-256");
	assert_string_equal(u.ca, "/etc/my ca");
	assert_int_equal(u.lanes, 12);
	assert_int_equal(u.replicas, 3);
	assert_true(u.tls);
	assert_false(u.verify);
	kafka_url_reset(&u);
}

static void what_is_left_out_has_its_default(void **state)
{
	struct kafka_url u;

	assert_null(kafka_url_parse("kafka://h/t", &u));
	assert_string_equal(u.brokers, "h:9092");
	assert_int_equal(u.lanes, 8);
	assert_int_equal(u.replicas, 0);
	assert_null(u.user);
	assert_null(u.sasl);
	assert_false(u.tls);
	kafka_url_reset(&u);
	assert_null(kafka_url_parse("kafkas://u:p@h/t", &u));
	assert_string_equal(u.sasl, "SCRAM-SHA-512");
	assert_true(u.verify);
	kafka_url_reset(&u);
}

static void what_is_wrong_is_refused_without_the_password(void **state)
{
	static const char *const wrong[] = {
		"", "redis://h/t", "kafka:/h/t", "kafka://", "kafka://h", "kafka://h/", "kafka:///t", "kafka://h/a b", "kafka://h/..",
		"kafka://,h/t", "kafka://h,,i/t", "kafka://h:0/t", "kafka://h:65536/t", "kafka://h:x/t", "kafka://[::1/t", "kafka://h i/t",
		"kafka://u:hunter2@/t", "kafka://hunter2@h/t", "kafka://:hunter2@h/t", "kafka://u:hunter2%zz@h/t", "kafka://h/t?lanes=0",
		"kafka://h/t?lanes=65", "kafka://h/t?lanes=", "kafka://h/t?lanes", "kafka://h/t?replicas=10", "kafka://h/t?x=1",
		"kafka://h/t?sasl=plain", "kafka://u:hunter2@h/t?sasl=gssapi", "kafka://h/t?ca=/x", "kafka://h/t?verify=none",
		"kafkas://h/t?verify=all", "kafkas://h/t?cert=/c", "kafkas://h/t?key=/k", "kafkas://h/t?ca=", "kafkas://h/t?ca=/a&ca=/b",
		"kafka://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17/t"};
	struct kafka_url u;

	for (size_t i = 0; i < countof(wrong); i++) {
		const char *fault = kafka_url_parse(wrong[i], &u);

		if (!fault)
			fail_msg("taken: %s", wrong[i]);
		assert_null(strstr(fault, "hunter2"));
		assert_null(u.brokers);
		assert_null(u.password);
	}
}

static void without_memory_it_is_a_fault_and_nothing_is_left(void **state)
{
	struct kafka_url u;
	uint64_t before = mem_failures();

	for (uint64_t n = 1; n < 100; n++) {
		const char *fault;

		mem_fail_after(n, 0);
		fault = kafka_url_parse("kafkas://u:p@h1,h2/t?ca=/x&cert=/c&key=/k", &u);
		mem_fail_after(0, 0);
		if (!fault) {
			kafka_url_reset(&u);
			break;
		}
		assert_null(u.brokers);
	}
	assert_true(mem_failures() > before + 5);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_parts_are_understood),
		cmocka_unit_test(what_is_left_out_has_its_default),
		cmocka_unit_test(what_is_wrong_is_refused_without_the_password),
		cmocka_unit_test(without_memory_it_is_a_fault_and_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
