/*
 * What the cache writes to Redis and reads from it: values, bus messages, the URL. What is cut or changed is not taken (F2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bus_msg.h"
#include "l2_value.h"
#include "mem.h"
#include "redis_url.h"

static struct l2_value sample(void)
{
	struct l2_value v = {.run = 7, .ttl_ms = 60000, .rows = 3, .cost_ns = 12345, .status = 0x22, .ntags = 2,
			     .slots = {5, 65535}, .key = span_of("ke\0y", 4), .data = span_str("the reply's bytes")};

	memset(v.token_all, 'A', sizeof(v.token_all));
	memset(v.tokens[0], 'B', sizeof(v.tokens[0]));
	memset(v.tokens[1], 'C', sizeof(v.tokens[1]));
	return v;
}

static void test_a_value_comes_back(void **state)
{
	struct l2_value v = sample(), back;
	size_t len;
	uint8_t *bytes = l2_value_encode(&v, &len);

	assert_non_null(bytes);
	assert_int_equal(l2_value_decode(span_of(bytes, len), &back), RC_OK);
	assert_true(l2_value_same_tokens(&v, &back));
	assert_true(span_eq(back.key, v.key));
	assert_true(span_eq(back.data, v.data));
	assert_int_equal(back.rows, 3);
	assert_int_equal(back.ttl_ms, 60000);
	assert_int_equal(back.status, 0x22);
	mem_free(bytes);
}

static void test_a_value_cut_or_changed_anywhere_is_declined(void **state)
{
	struct l2_value v = sample(), back;
	size_t len;
	uint8_t *bytes = l2_value_encode(&v, &len);

	for (size_t i = 0; i < len; i++)
		assert_int_equal(l2_value_decode(span_of(bytes, i), &back), RC_DECLINED);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_equal(l2_value_decode(span_of(bytes, len), &back), RC_DECLINED);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	mem_free(bytes);
}

static void test_tokens_differ_by_run_slot_or_byte(void **state)
{
	struct l2_value a = sample(), b = sample();

	b.run++;
	assert_false(l2_value_same_tokens(&a, &b));
	b = sample();
	b.slots[1]--;
	assert_false(l2_value_same_tokens(&a, &b));
	b = sample();
	b.tokens[1][15] ^= 1;
	assert_false(l2_value_same_tokens(&a, &b));
	b = sample();
	b.token_all[0] ^= 1;
	assert_false(l2_value_same_tokens(&a, &b));
	b = sample();
	b.ntags = 1;
	assert_false(l2_value_same_tokens(&a, &b));
}

/* Data of some size are compressed where that helps, and come back; what is damaged within is not taken. */
static void test_large_data_are_packed(void **state)
{
	static char text[100000], noise[100000];
	struct l2_value v = sample(), back;
	struct span data;
	uint8_t *bytes, *owned;
	size_t len;

	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = "a row, and another; "[i % 20];
		noise[i] = (char)((i * 2654435761u) >> 13 ^ i * i);
	}
	v.data = span_of(text, sizeof(text));
	bytes = l2_value_encode(&v, &len);
	assert_non_null(bytes);
	assert_true(len < sizeof(text) / 10);
	assert_int_equal(l2_value_decode(span_of(bytes, len), &back), RC_OK);
	assert_int_equal(l2_value_unpack(&back, sizeof(text), &data, &owned), RC_OK);
	assert_true(span_eq(data, v.data));
	mem_free(owned);
	assert_int_equal(l2_value_unpack(&back, sizeof(text) - 1, &data, &owned), RC_DECLINED); /* more than is wanted */
	back.unpacked--;
	assert_int_equal(l2_value_unpack(&back, sizeof(text), &data, &owned), RC_DECLINED);
	back.unpacked += 2;
	assert_int_equal(l2_value_unpack(&back, sizeof(text) + 9, &data, &owned), RC_DECLINED);
	back.unpacked--;
	back.data.len -= 3;
	assert_int_equal(l2_value_unpack(&back, sizeof(text), &data, &owned), RC_DECLINED);
	mem_free(bytes);
	v.data = span_of(noise, sizeof(noise)); /* as it is, if compressing does not help */
	bytes = l2_value_encode(&v, &len);
	assert_non_null(bytes);
	assert_true(len < sizeof(noise) + 1000);
	assert_int_equal(l2_value_decode(span_of(bytes, len), &back), RC_OK);
	assert_int_equal(l2_value_unpack(&back, sizeof(noise), &data, &owned), RC_OK);
	assert_true(span_eq(data, v.data));
	mem_free(owned);
	mem_free(bytes);
}

static const uint8_t ID[BUS_MSG_ID] = "sixteen letters";

static void test_writes_come_back(void **state)
{
	struct versions_pos known = {.pos = {{.domain = 3, .seq = 99}, {.domain = 4, .seq = 1}}, .n = 2};
	struct versions_pos unknown = {.unknown_at = 10, .unknown_until = 5000}, pos;
	struct bus_msg_in in;
	struct bus_msg m;
	uint32_t slot;

	bus_msg_begin(&m, BUS_MSG_WRITE, ID, 0);
	assert_int_equal(bus_msg_add(&m, 7, &known, 100), RC_OK);
	assert_int_equal(bus_msg_add(&m, 65535, &unknown, 100), RC_OK);
	assert_int_equal(bus_msg_read(span_of(m.bytes, m.len), &in), RC_OK);
	assert_memory_equal(in.id, ID, sizeof(ID));
	assert_int_equal(bus_msg_next(&in, 1000000, &slot, &pos), RC_OK);
	assert_int_equal(slot, 7);
	assert_int_equal(pos.n, 2);
	assert_int_equal(pos.pos[1].domain, 4);
	assert_int_equal(pos.unknown_until, 0);
	assert_int_equal(bus_msg_next(&in, 1000000, &slot, &pos), RC_OK);
	assert_int_equal(slot, 65535);
	assert_int_equal(pos.unknown_until, 1000000 + 4900); /* on the receiver's clock */
	assert_int_equal(bus_msg_next(&in, 1000000, &slot, &pos), RC_DECLINED);
	for (size_t i = 0; i < m.len; i++) {
		enum rc rc = bus_msg_read(span_of(m.bytes, i), &in);

		while (rc == RC_OK)
			rc = bus_msg_next(&in, 0, &slot, &pos);
		assert_int_equal(rc, RC_ERROR);
	}
}

static void test_a_message_holds_a_bounded_number_of_writes(void **state)
{
	struct versions_pos most = {.n = VERSIONS_POSITIONS, .unknown_until = UINT64_MAX};
	struct bus_msg m;

	bus_msg_begin(&m, BUS_MSG_WRITE, ID, 0);
	for (uint32_t i = 0; i < BUS_MSG_WRITES; i++)
		assert_int_equal(bus_msg_add(&m, i, &most, 0), RC_OK);
	assert_int_equal(m.len, BUS_MSG_MAX);
	assert_int_equal(bus_msg_add(&m, 1, &most, 0), RC_DECLINED);
}

struct url_case {
	const char *url, *host, *user, *password;
	unsigned port, db;
};

static void test_urls(void **state)
{
	static const struct url_case good[] = {
		{"redis://localhost", "localhost", NULL, NULL, 6379, 0},
		{"redis://10.0.0.1:7000/12", "10.0.0.1", NULL, NULL, 7000, 12},
		{"redis://h:1/", "h", NULL, NULL, 1, 0},
		{"redis://:pw@h", "h", NULL, "pw", 6379, 0},
		{"redis://app:p%40s%2Fs@h:2/3", "h", "app", "p@s/s", 2, 3},
		{"redis://app:p@s@h", "h", "app", "p@s", 6379, 0},
		{"redis://[::1]:7000/1", "::1", NULL, NULL, 7000, 1},
		{"redis://[fe80::1]", "fe80::1", NULL, NULL, 6379, 0},
	};
	char why[160];

	for (size_t i = 0; i < countof(good); i++) {
		struct redis_url u;

		assert_int_equal(redis_url_parse(good[i].url, &u, why, sizeof(why)), RC_OK);
		assert_string_equal(u.host, good[i].host);
		assert_int_equal(u.port, good[i].port);
		assert_int_equal(u.db, good[i].db);
		assert_true(good[i].user ? strcmp(u.user, good[i].user) == 0 : !u.user);
		assert_true(span_eq(secret_text(u.password), span_str(good[i].password)));
		redis_url_reset(&u);
	}
}

static void test_urls_of_clusters_and_by_tls(void **state)
{
	struct redis_url u;
	char why[160];

	assert_int_equal(redis_url_parse("redis+cluster://app:pw@h1:7000,[::2]:7001,h3", &u, why, sizeof(why)), RC_OK);
	assert_int_equal(u.nseeds, 3);
	assert_string_equal(u.host, "h1");
	assert_string_equal(u.seeds[1].host, "::2");
	assert_int_equal(u.seeds[1].port, 7001);
	assert_int_equal(u.seeds[2].port, 6379);
	assert_false(u.tls);
	redis_url_reset(&u);
	assert_int_equal(redis_url_parse("rediss+cluster://h1:1,h2:2?verify=none", &u, why, sizeof(why)), RC_OK);
	assert_true(u.tls && !u.verify && u.nseeds == 2);
	redis_url_reset(&u);
	assert_int_equal(redis_url_parse("rediss://:pw@h:1/2?ca=%2Fetc/ca.pem", &u, why, sizeof(why)), RC_OK);
	assert_true(u.tls && u.verify && u.nseeds == 0);
	assert_string_equal(u.ca, "/etc/ca.pem");
	assert_int_equal(u.db, 2);
	redis_url_reset(&u);
	assert_int_equal(redis_url_parse("rediss://h?ca=/nowhere/ca.pem", &u, why, sizeof(why)), RC_OK);
	assert_int_equal(redis_url_secure(&u, why, sizeof(why)), RC_ERROR);
	assert_true(strlen(why) > 5);
	redis_url_reset(&u);
}

static void test_wrong_urls_are_refused_with_a_reason_and_without_the_password(void **state)
{
	static const char *const bad[] = {
		"", "redis://", "redis:/h", "http://h", "redis://h:0", "redis://h:65536", "redis://h:x", "redis://h:1:2",
		"redis://h/x", "redis://h/99999", "redis://secret@h", "redis://u:secret%zz@h", "redis://u:secret%4", "redis://u:secret%00@h",
		"redis://[::1", "redis://[::1]x", "redis://u:secret@",
		"redis://u:secret@h?verify=none", "rediss://u:secret@h?verify=all", "rediss://u:secret@h/1?ca=", "rediss://u:secret@h?x",
		"redis+cluster://", "redis+cluster://u:secret@h1:1,,h2:2", "redis+cluster://u:secret@h1:1/2",
		"redis+cluster://u:secret@a,b,c,d,e,f,g,h,i",
	};

	for (size_t i = 0; i < countof(bad); i++) {
		char why[160] = "";
		struct redis_url u;

		assert_int_equal(redis_url_parse(bad[i], &u, why, sizeof(why)), RC_ERROR);
		assert_true(strlen(why) > 20);
		assert_null(strstr(why, "secret"));
		assert_null(u.host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_value_comes_back),
		cmocka_unit_test(test_a_value_cut_or_changed_anywhere_is_declined),
		cmocka_unit_test(test_tokens_differ_by_run_slot_or_byte),
		cmocka_unit_test(test_writes_come_back),
		cmocka_unit_test(test_a_message_holds_a_bounded_number_of_writes),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_urls_of_clusters_and_by_tls),
		cmocka_unit_test(test_large_data_are_packed),
		cmocka_unit_test(test_wrong_urls_are_refused_with_a_reason_and_without_the_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
