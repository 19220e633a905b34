/*
 * Which addresses a network has, in both families and across them; what is no network is said to be none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cidr.h"

static bool has(const char *network, const char *address)
{
	struct cidr c;
	uint8_t addr[16];

	assert_int_equal(cidr_parse(network, &c), RC_OK);
	assert_int_equal(cidr_address(address, addr), RC_OK);
	return cidr_has(&c, addr);
}

static void networks_have_their_addresses(void **state)
{
	static const char *const in[][2] = {
		{"10.0.0.0/8", "10.255.255.255"}, {"10.0.0.0/8", "::ffff:10.1.2.3"}, {"0.0.0.0/0", "255.255.255.255"},
		{"192.168.1.128/25", "192.168.1.255"}, {"127.0.0.1", "127.0.0.1"}, {"127.0.0.1/32", "127.0.0.1"},
		{"fd00::/8", "fdff::1"}, {"::1", "::1"}, {"::/0", "2001:db8::1"}, {"2001:db8::/33", "2001:db8:7fff::"},
	};
	static const char *const out[][2] = {
		{"10.0.0.0/8", "11.0.0.0"}, {"10.0.0.0/8", "9.255.255.255"}, {"0.0.0.0/0", "2001:db8::1"},
		{"192.168.1.128/25", "192.168.1.127"}, {"127.0.0.1", "127.0.0.2"}, {"fd00::/8", "fe00::"},
		{"::1", "::2"}, {"2001:db8::/33", "2001:db8:8000::"}, {"fd00::/8", "10.0.0.1"},
	};

	for (size_t i = 0; i < countof(in); i++)
		assert_true(has(in[i][0], in[i][1]));
	for (size_t i = 0; i < countof(out); i++)
		assert_false(has(out[i][0], out[i][1]));
}

static void what_is_no_network_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8x", "10.0.0.0/0008", "10.0.0/8",
		"::/129", ":::/8", "host", "unix", "10.0.0.0/8/8", "fd00:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8",
	};
	struct cidr c;
	uint8_t addr[16];

	for (size_t i = 0; i < countof(wrong); i++)
		assert_int_equal(cidr_parse(wrong[i], &c), RC_ERROR);
	assert_int_equal(cidr_address("unix", addr), RC_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_have_their_addresses),
		cmocka_unit_test(what_is_no_network_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
