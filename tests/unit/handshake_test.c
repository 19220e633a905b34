/*
 * The connection phase is read as servers and clients write it, and written back the same (P1); cut off anywhere it is
 * refused (F2).
 */
#include "wire_test.h"

#include "auth.h"
#include "handshake.h"

/* A MariaDB 10.11 server's greeting. */
static const char mariadb_greeting[] =
	"680000000a352e352e352d31302e31312e31392d4d6172696144422d302b646562313275312d6c6f6700130000005d546b"
	"414369674a00fef7080200ff81150000000000001d0000007a4a424b32573f73484f334f006d7973716c5f6e6174697665"
	"5f70617373776f726400";
/* MySQL 8's, put together from its documentation. */
static const char mysql_greeting[] =
	"4a0000000a382e302e3336000b000000010203040506070800ffffff0200ffdf1500000000000000000000090a0b0c0d0e0f1011"
	"1213140063616368696e675f736861325f70617373776f726400";
/* What clients answered to the first: MariaDB's command-line client with a schema, and without one and a password;
 * PyMySQL; PHP's PDO. */
static const char login_mariadb[] =
	"d40000018ca2bf000000100021000000000000000000000000000000000000001d0000006170700014c861ffbd60cf27ab"
	"5d8261d8db8c88f1aec2cddf73686f70006d7973716c5f6e61746976655f70617373776f7264007f035f6f73054c696e75"
	"780c5f636c69656e745f6e616d650a6c69626d617269616462045f7069640532343636350f5f636c69656e745f76657273"
	"696f6e06332e332e3230095f706c6174666f726d067838365f36340c70726f6772616d5f6e616d65056d7973716c0c5f73"
	"65727665725f686f7374093132372e302e302e31";
static const char login_mariadb_bare[] =
	"bb00000184a2bf000000100021000000000000000000000000000000000000001d00000061707000006d7973716c5f6e61"
	"746976655f70617373776f7264007f035f6f73054c696e75780c5f636c69656e745f6e616d650a6c69626d617269616462"
	"045f7069640532343636360f5f636c69656e745f76657273696f6e06332e332e3230095f706c6174666f726d067838365f"
	"36340c70726f6772616d5f6e616d65056d7973716c0c5f7365727665725f686f7374093132372e302e302e31";
static const char login_pymysql[] =
	"8b0000010da23a00ffffff002d00000000000000000000000000000000000000000000006170700014c861ffbd60cf27ab"
	"5d8261d8db8c88f1aec2cddf73686f70006d7973716c5f6e61746976655f70617373776f726400360c5f636c69656e745f"
	"6e616d650770796d7973716c045f7069640532343636370f5f636c69656e745f76657273696f6e05312e302e32";
static const char login_php[] =
	"810000018da21b00000000c00800000000000000000000000000000000000000000000006170700014c861ffbd60cf27ab"
	"5d8261d8db8c88f1aec2cddf73686f70006d7973716c5f6e61746976655f70617373776f7264002c0c5f636c69656e745f"
	"6e616d65076d7973716c6e640c5f7365727665725f686f7374093132372e302e302e31";

static struct span payload_of(const char *hex, uint8_t **p)
{
	size_t len;

	*p = unhex(hex, &len);
	assert_int_equal(len, PACKET_HEADER + packet_len(*p));
	return span_of(*p + PACKET_HEADER, len - PACKET_HEADER);
}

static void reads_a_mariadb_greeting(void **state)
{
	struct greeting g;
	uint8_t *p;
	struct span s = payload_of(mariadb_greeting, &p);

	assert_int_equal(handshake_parse_greeting(s, &g), RC_OK);
	assert_string_equal(g.version, "5.5.5-10.11.19-MariaDB-0+deb12u1-log");
	assert_int_equal(g.thread_id, 0x13);
	assert_memory_equal(g.scramble, "]TkACigJzJBK2W?sHO3O", SCRAMBLE_LEN);
	assert_true(g.mariadb);
	assert_true(g.caps & MARIADB_CLIENT_CACHE_METADATA);
	assert_true(g.caps & MARIADB_CLIENT_STMT_BULK_OPERATIONS);
	assert_false(g.caps & CLIENT_LONG_PASSWORD);
	assert_true(g.caps & CLIENT_DEPRECATE_EOF);
	assert_int_equal(g.collation, 8);
	assert_int_equal(g.status, STATUS_AUTOCOMMIT);
	assert_string_equal(g.plugin, AUTH_NATIVE);
	free(p);
}

static void reads_a_mysql_greeting(void **state)
{
	struct greeting g;
	uint8_t *p;
	struct span s = payload_of(mysql_greeting, &p);

	assert_int_equal(handshake_parse_greeting(s, &g), RC_OK);
	assert_string_equal(g.version, "8.0.36");
	assert_false(g.mariadb);
	assert_int_equal(g.caps, 0xdfffffff);
	assert_int_equal(g.collation, 255);
	assert_string_equal(g.plugin, AUTH_SHA2);
	assert_int_equal(g.scramble[19], 20);
	free(p);
}

static void writes_greetings_as_the_servers_do(void **state)
{
	static const char *const known[] = {mariadb_greeting, mysql_greeting};

	for (size_t i = 0; i < countof(known); i++) {
		struct greeting g;
		struct iobuf b;
		uint8_t *p, seq = 0;
		struct span s = payload_of(known[i], &p);

		iobuf_init(&b, 0);
		assert_int_equal(handshake_parse_greeting(s, &g), RC_OK);
		assert_int_equal(handshake_put_greeting(&b, &seq, &g), RC_OK);
		assert_bytes(&b, p, s.len + PACKET_HEADER);
		assert_int_equal(seq, 1);
		iobuf_reset(&b);
		free(p);
	}
}

static void an_error_in_place_of_a_greeting_is_declined(void **state)
{
	struct greeting g;

	assert_int_equal(handshake_parse_greeting(span_str("\xff\x10\x04Too many connections"), &g), RC_DECLINED);
	assert_int_equal(handshake_parse_greeting(span_str("\x09"
							   "3.20"),
						  &g),
			 RC_ERROR);
}

static void a_greeting_cut_off_is_refused(void **state)
{
	uint8_t *p;
	struct span s = payload_of(mariadb_greeting, &p);
	struct greeting g;

	/* From 81 bytes on only the plugin's name is cut, which may end with the packet. */
	for (size_t len = 0; len <= s.len; len++) {
		uint8_t *exact = malloc(len + 1);
		enum rc rc;

		assert_non_null(exact);
		memcpy(exact, s.p, len);
		rc = handshake_parse_greeting(span_of(exact, len), &g);
		assert_int_equal(rc, len < s.len - 23 ? RC_ERROR : RC_OK);
		free(exact);
	}
	free(p);
}

static void a_version_longer_than_its_place_is_refused(void **state)
{
	uint8_t *p, long_one[512];
	struct span s = payload_of(mariadb_greeting, &p);
	size_t version = strlen(s.p + 1);
	struct greeting g;

	long_one[0] = 10;
	memset(long_one + 1, 'v', 128);
	memcpy(long_one + 129, s.p + 1 + version, s.len - 1 - version);
	assert_int_equal(handshake_parse_greeting(span_of(long_one, s.len - version + 128), &g), RC_ERROR);
	memmove(long_one + 128, long_one + 129, s.len - 1 - version);
	assert_int_equal(handshake_parse_greeting(span_of(long_one, s.len - version + 127), &g), RC_OK);
	assert_int_equal(strlen(g.version), 127);
	free(p);
}

static uint64_t mariadb_caps(void)
{
	struct greeting g;
	uint8_t *p;
	struct span s = payload_of(mariadb_greeting, &p);

	assert_int_equal(handshake_parse_greeting(s, &g), RC_OK);
	free(p);
	return g.caps;
}

static void reads_what_clients_send(void **state)
{
	static const struct {
		const char *hex, *schema, *client;
		size_t auth;
		uint32_t max_packet;
		uint8_t collation;
		bool extended;
	} known[] = {
		{login_mariadb, "shop", "libmariadb", 20, 0x100000, 0x21, true},
		{login_mariadb_bare, "", "libmariadb", 0, 0x100000, 0x21, true},
		{login_pymysql, "shop", "pymysql", 20, 0xffffff, 45, false},
		{login_php, "shop", "mysqlnd", 20, 0xc0000000, 8, false},
	};

	for (size_t i = 0; i < countof(known); i++) {
		struct login l;
		uint8_t *p;
		struct span s = payload_of(known[i].hex, &p);

		assert_int_equal(handshake_parse_login(s, mariadb_caps(), &l), RC_OK);
		assert_span(l.user, "app");
		assert_span(l.schema, known[i].schema);
		assert_span(l.plugin, AUTH_NATIVE);
		assert_int_equal(l.auth.len, known[i].auth);
		assert_int_equal(l.collation, known[i].collation);
		assert_int_equal(l.caps >> 32, known[i].extended ? 0x1d : 0);
		assert_false(l.ssl_request);
		assert_non_null(memmem(l.attrs.p, l.attrs.len, known[i].client, strlen(known[i].client)));
		assert_ptr_equal(l.attrs.p + l.attrs.len, s.p + s.len);
		free(p);
	}
}

static void writes_logins_as_clients_do(void **state)
{
	static const char *const known[] = {login_mariadb, login_mariadb_bare, login_pymysql, login_php};

	for (size_t i = 0; i < countof(known); i++) {
		struct login l;
		struct iobuf b;
		uint8_t *p, seq = 1;
		struct span s = payload_of(known[i], &p);

		iobuf_init(&b, 0);
		assert_int_equal(handshake_parse_login(s, mariadb_caps() | CLIENT_LONG_PASSWORD * (i > 1), &l), RC_OK);
		assert_int_equal(handshake_put_login(&b, &seq, &l), RC_OK);
		assert_bytes(&b, p, s.len + PACKET_HEADER);
		iobuf_reset(&b);
		free(p);
	}
}

/* A login cut off is refused, or read with what is optional left out; nothing past its end is touched. */
static void a_login_cut_off_is_never_misread(void **state)
{
	uint8_t *p;
	struct span s = payload_of(login_mariadb, &p);
	struct login l;

	for (size_t len = 0; len < s.len; len++) {
		uint8_t *exact = malloc(len + 1);
		enum rc rc;

		assert_non_null(exact);
		memcpy(exact, s.p, len);
		rc = handshake_parse_login(span_of(exact, len), mariadb_caps(), &l);
		if (len < 57)
			assert_int_equal(rc, RC_ERROR);
		else if (rc == RC_OK)
			assert_int_equal(l.attrs.len, 0);
		free(exact);
	}
	free(p);
}

/* What the server has not offered is not there to be read. */
static void fields_that_were_not_offered_are_not_read(void **state)
{
	uint8_t *p;
	struct span s = payload_of(login_php, &p);
	struct login l;

	assert_int_equal(handshake_parse_login(s, mariadb_caps() & ~CLIENT_CONNECT_ATTRS, &l), RC_OK);
	assert_int_equal(l.attrs.len, 0);
	assert_false(l.caps & CLIENT_CONNECT_ATTRS);
	free(p);
}

static void the_answers_length_depends_on_the_capabilities(void **state)
{
	struct login l = {
		.caps = CLIENT_PROTOCOL_41 | CLIENT_LONG_PASSWORD, .user = span_str("u"), .auth = span_str("abc")};
	struct login back;
	struct iobuf b;
	uint8_t seq = 1;
	char long_auth[300];

	iobuf_init(&b, 0);
	assert_int_equal(handshake_put_login(&b, &seq, &l), RC_OK);
	assert_memory_equal(iobuf_data(&b) + 36, "u\0abc\0", 6);
	iobuf_consume(&b, iobuf_len(&b));
	memset(long_auth, 'a', sizeof(long_auth));
	l.auth = span_of(long_auth, sizeof(long_auth));
	l.caps |= CLIENT_SECURE_CONNECTION;
	assert_int_equal(handshake_put_login(&b, &seq, &l), RC_ERROR);
	assert_int_equal(iobuf_len(&b), 0);
	l.caps |= CLIENT_PLUGIN_AUTH_LENENC;
	assert_int_equal(handshake_put_login(&b, &seq, &l), RC_OK);
	assert_int_equal(handshake_parse_login(span_of(iobuf_data(&b) + 4, iobuf_len(&b) - 4), l.caps, &back), RC_OK);
	assert_int_equal(back.auth.len, sizeof(long_auth));
	iobuf_reset(&b);
}

static void a_request_for_tls_is_told_from_a_login(void **state)
{
	struct login l = {
		.caps = CLIENT_PROTOCOL_41 | CLIENT_SSL, .max_packet = 1 << 24, .collation = 45, .ssl_request = true};
	struct login back;
	struct iobuf b;
	uint8_t seq = 1;

	iobuf_init(&b, 0);
	assert_int_equal(handshake_put_login(&b, &seq, &l), RC_OK);
	assert_int_equal(iobuf_len(&b), PACKET_HEADER + 32);
	assert_int_equal(handshake_parse_login(span_of(iobuf_data(&b) + 4, 32), CLIENT_SSL, &back), RC_OK);
	assert_true(back.ssl_request);
	assert_int_equal(back.collation, 45);
	/* Not offered, and asked for all the same: seen, so that the caller can refuse it. */
	assert_int_equal(handshake_parse_login(span_of(iobuf_data(&b) + 4, 32), 0, &back), RC_OK);
	assert_true(back.ssl_request);
	assert_false(back.caps & CLIENT_SSL);
	iobuf_reset(&b);
}

static void a_login_of_the_old_protocol_is_refused(void **state)
{
	struct login l;
	char old[40] = {0};

	assert_int_equal(handshake_parse_login(span_of(old, sizeof(old)), UINT64_MAX, &l), RC_ERROR);
}

static void change_user_is_read_and_written(void **state)
{
	static const uint8_t known[] = "\x25\0\0\0\x11"
				       "bob\0\3xyz"
				       "shop\0"
				       "\x2d\0"
				       "caching_sha2_pass\0"
				       "\2\1a";
	uint64_t caps = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH | CLIENT_PLUGIN_AUTH_LENENC |
			CLIENT_CONNECT_ATTRS;
	struct change_user c;
	struct iobuf b;
	uint8_t seq = 0;

	iobuf_init(&b, 0);
	assert_int_equal(handshake_parse_change_user(span_of(known + 5, sizeof(known) - 6), caps, &c), RC_OK);
	assert_span(c.user, "bob");
	assert_span(c.auth, "xyz");
	assert_span(c.schema, "shop");
	assert_span(c.plugin, "caching_sha2_pass");
	assert_span(c.attrs, "\1a");
	assert_int_equal(c.collation, 45);
	assert_int_equal(handshake_put_change_user(&b, &seq, caps, &c), RC_OK);
	assert_bytes(&b, known, sizeof(known) - 1);
	/* Old clients end it behind the schema. */
	assert_int_equal(handshake_parse_change_user(span_of("bob\0\0\0", 6), caps, &c), RC_OK);
	assert_int_equal(c.collation, 0);
	assert_int_equal(c.plugin.len, 0);
	assert_int_equal(handshake_parse_change_user(span_of("bob\0\5ab", 7), caps, &c), RC_ERROR);
	assert_int_equal(handshake_parse_change_user(span_of("bob", 3), caps, &c), RC_ERROR);
	assert_int_equal(handshake_parse_change_user(span_of("bob\0\0\0\1", 7), caps, &c), RC_ERROR);
	iobuf_reset(&b);
}

static void an_auth_switch_is_read_and_written(void **state)
{
	static const uint8_t scramble[SCRAMBLE_LEN + 1] = "abcdefghijklmnopqrst";
	struct auth_switch s;
	struct iobuf b;
	uint8_t seq = 2;

	iobuf_init(&b, 0);
	assert_int_equal(handshake_put_auth_switch(&b, &seq, AUTH_NATIVE, scramble), RC_OK);
	assert_bytes(&b, "\x2c\0\0\2\xfemysql_native_password\0abcdefghijklmnopqrst\0", 48);
	assert_int_equal(handshake_parse_auth_switch(span_of(iobuf_data(&b) + 4, 44), &s), RC_OK);
	assert_span(s.plugin, AUTH_NATIVE);
	assert_span(s.data, "abcdefghijklmnopqrst");
	assert_int_equal(handshake_parse_auth_switch(span_of("\xfe", 1), &s), RC_OK);
	assert_span(s.plugin, "mysql_old_password");
	assert_int_equal(handshake_parse_auth_switch(span_of("\xfexyz", 4), &s), RC_ERROR);
	assert_int_equal(handshake_parse_auth_switch(span_of("\1x\0", 3), &s), RC_ERROR);
	iobuf_reset(&b);
}

static void more_authentication_data_is_written(void **state)
{
	struct iobuf b;
	uint8_t seq = 4;

	iobuf_init(&b, 0);
	assert_int_equal(handshake_put_auth_more(&b, &seq, span_of("\3", 1)), RC_OK);
	assert_bytes(&b, "\2\0\0\4\1\3", 6);
	assert_int_equal(seq, 5);
	iobuf_reset(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_mariadb_greeting),
		cmocka_unit_test(reads_a_mysql_greeting),
		cmocka_unit_test(writes_greetings_as_the_servers_do),
		cmocka_unit_test(an_error_in_place_of_a_greeting_is_declined),
		cmocka_unit_test(a_greeting_cut_off_is_refused),
		cmocka_unit_test(a_version_longer_than_its_place_is_refused),
		cmocka_unit_test(reads_what_clients_send),
		cmocka_unit_test(writes_logins_as_clients_do),
		cmocka_unit_test(a_login_cut_off_is_never_misread),
		cmocka_unit_test(fields_that_were_not_offered_are_not_read),
		cmocka_unit_test(the_answers_length_depends_on_the_capabilities),
		cmocka_unit_test(a_request_for_tls_is_told_from_a_login),
		cmocka_unit_test(a_login_of_the_old_protocol_is_refused),
		cmocka_unit_test(change_user_is_read_and_written),
		cmocka_unit_test(an_auth_switch_is_read_and_written),
		cmocka_unit_test(more_authentication_data_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
