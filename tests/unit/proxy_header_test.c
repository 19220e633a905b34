/*
 * PROXY headers, both versions: what is one is read whole or asked for more, in whatever pieces it comes; what is none is
 * refused with a reason (F2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy_header.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x07\x7f\x00\x00\x01\x30\x39\x0c\xea"

struct known { const char *bytes; size_t len; const char *peer; }; /* peer "": the connection's own address */

#define BYTES(text) text, sizeof(text) - 1

static const struct known good[] = {
	{BYTES("PROXY TCP4 192.0.2.7 127.0.0.1 12345 3306\r\n"), "192.0.2.7"},
	{BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255"},
	{BYTES("PROXY TCP6 2001:DB8::0:1 ::1 0 1\r\n"), "2001:db8::1"},
	{BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
	{BYTES("PROXY UNKNOWN\r\n"), ""},
	{BYTES("PROXY UNKNOWN ffff::1 whatever is here 1 2\r\n"), ""},
	{BYTES(SIG "\x21\x11\x00\x0c" V4), "192.0.2.7"},
	{BYTES(SIG "\x21\x11\x00\x11" V4 "\x04\x00\x02xy"), "192.0.2.7"},
	{BYTES(SIG "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x30\x39\x0c\xea"),
	 "2001:db8::1"},
	{BYTES(SIG "\x20\x00\x00\x00"), ""},
	{BYTES(SIG "\x20\x11\x00\x0c" V4), ""},
	{BYTES(SIG "\x21\x00\x00\x03" "abc"), ""},
};

static const struct known bad[] = {
	{BYTES("GET / HTTP/1.0\r\n"), "something else than the PROXY header"},
	{BYTES("\x20\x00\x00\x01\x85\xa6"), "something else than the PROXY header"},
	{BYTES("\r\n\r\n\0\r\nQUIX\n"), "something else"},
	{BYTES("PROXYTCP4"), "something else"},
	{BYTES("PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n"), "unknown family"},
	{BYTES("PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n"), "unknown family"},
	{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n"), "does not end in CRLF"},
	{BYTES("PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n"), "wrong address"},
	{BYTES("PROXY TCP4 ::1 ::1 1 1\r\n"), "wrong address"},
	{BYTES("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"), "wrong address"},
	{BYTES("PROXY TCP4 1.2.3.4\0x 1.2.3.4 1 1\r\n"), "wrong address"},
	{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), "wrong port"},
	{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), "wrong port"},
	{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n"), "wrong port"},
	{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n"), "wrong port"},
	{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n"), "wrong port"},
	{BYTES(SIG "\x31\x11\x00\x0c" V4), "unknown version or command"},
	{BYTES(SIG "\x22\x11\x00\x0c" V4), "unknown version or command"},
	{BYTES(SIG "\x21\x41\x00\x0c" V4), "unknown family"},
	{BYTES(SIG "\x21\x12\x00\x0c" V4), "unknown family"},
	{BYTES(SIG "\x21\x11\x00\x0b" V4), "too short for its addresses"},
	{BYTES(SIG "\x21\x21\x00\x0c" V4), "too short for its addresses"},
	{BYTES(SIG "\x21\x11\xff\xff" V4), "too long"},
};

/* From a block of exactly this size, so that ASan sees every step past its end. */
static enum rc parse(const char *p, size_t len, struct proxy_header *h, const char **why)
{
	uint8_t *copy = malloc(len ? len : 1);
	enum rc rc;

	assert_non_null(copy);
	memcpy(copy, p, len);
	rc = proxy_header_parse(copy, len, h, why);
	free(copy);
	return rc;
}

static void headers_are_read_in_whatever_pieces_they_come(void **state)
{
	for (size_t i = 0; i < countof(good); i++) {
		struct proxy_header h;
		const char *why;
		char longer[200];

		for (size_t len = 0; len < good[i].len; len++)
			assert_int_equal(parse(good[i].bytes, len, &h, &why), RC_AGAIN);
		assert_int_equal(parse(good[i].bytes, good[i].len, &h, &why), RC_OK);
		memcpy(longer, good[i].bytes, good[i].len);
		memcpy(longer + good[i].len, "the client's", 12);
		assert_int_equal(parse(longer, good[i].len + 12, &h, &why), RC_OK);
		assert_int_equal(h.len, good[i].len);
		assert_string_equal(h.peer, good[i].peer);
		assert_int_equal(h.own, good[i].peer[0] == '\0');
	}
}

static void what_is_none_is_refused_with_a_reason(void **state)
{
	char endless[200];
	struct proxy_header h;
	const char *why;

	for (size_t i = 0; i < countof(bad); i++) {
		why = "";
		assert_int_equal(parse(bad[i].bytes, bad[i].len, &h, &why), RC_ERROR);
		assert_non_null(strstr(why, bad[i].peer));
	}
	memset(endless, 'x', sizeof(endless));
	memcpy(endless, "PROXY UNKNOWN ", 14);
	assert_int_equal(parse(endless, 106, &h, &why), RC_AGAIN);
	assert_int_equal(parse(endless, 107, &h, &why), RC_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_read_in_whatever_pieces_they_come),
		cmocka_unit_test(what_is_none_is_refused_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
