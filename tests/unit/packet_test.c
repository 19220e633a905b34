/*
 * Packets are read as the servers write them and written back the same (P1); what is cut off or too long is refused (F2).
 */
#include "wire_test.h"

#include "packet.h"
#include "track_replies.h"

#define TRACKED (CLIENT_PROTOCOL_41 | CLIENT_SESSION_TRACK | CLIENT_DEPRECATE_EOF)

/* The payload of the only packet in hex. */
static struct span payload_of(const char *hex, uint8_t **p)
{
	size_t len;

	*p = unhex(hex, &len);
	assert_in_range(len, PACKET_HEADER + 1, SIZE_MAX);
	assert_int_equal(len, PACKET_HEADER + packet_len(*p));
	return span_of(*p + PACKET_HEADER, len - PACKET_HEADER);
}

static void lenenc_integers_are_the_shortest_form(void **state)
{
	static const struct {
		uint64_t v;
		const char *hex;
	} known[] = {
		{0, "00"},
		{250, "fa"},
		{251, "fcfb00"},
		{0xffff, "fcffff"},
		{0x10000, "fd000001"},
		{0xffffff, "fdffffff"},
		{0x1000000, "fe0000000100000000"},
		{UINT64_MAX, "feffffffffffffffff"},
	};

	for (size_t i = 0; i < countof(known); i++) {
		struct iobuf b;
		size_t len;
		uint8_t *p = unhex(known[i].hex, &len);
		struct mbuf m = mbuf_of(p, len);
		uint64_t v;

		iobuf_init(&b, 0);
		assert_int_equal(packet_put_lenenc(&b, known[i].v), RC_OK);
		assert_bytes(&b, p, len);
		assert_int_equal(packet_get_lenenc(&m, &v), RC_OK);
		assert_int_equal(v, known[i].v);
		assert_int_equal(mbuf_left(&m), 0);
		iobuf_reset(&b);
		free(p);
	}
}

static void a_lenenc_that_cannot_be_read_moves_nothing(void **state)
{
	static const char *const bad[] = {"", "fb", "ff", "fc00", "fd0000", "fe00000000000000"};

	for (size_t i = 0; i < countof(bad); i++) {
		size_t len;
		uint8_t *p = unhex(bad[i], &len);
		struct mbuf m = mbuf_of(p, len);
		struct span s;
		uint64_t v;

		assert_int_equal(packet_get_lenenc(&m, &v), RC_ERROR);
		assert_int_equal(packet_get_lenenc_str(&m, &s), RC_ERROR);
		assert_int_equal(mbuf_left(&m), len);
		free(p);
	}
}

/* A length near 2^64 must not wrap around the end. */
static void a_string_longer_than_what_is_there_is_refused(void **state)
{
	static const char *const bad[] = {"0361", "01", "fd02000061", "feffffffffffffffff61"};
	struct mbuf m;
	struct span s;

	for (size_t i = 0; i < countof(bad); i++) {
		size_t len;
		uint8_t *p = unhex(bad[i], &len);

		m = mbuf_of(p, len);
		assert_int_equal(packet_get_lenenc_str(&m, &s), RC_ERROR);
		assert_int_equal(mbuf_left(&m), len);
		free(p);
	}
	m = mbuf_of("\1ab", 3);
	assert_int_equal(packet_get_lenenc_str(&m, &s), RC_OK);
	assert_span(s, "a");
	assert_int_equal(mbuf_left(&m), 1);
}

static void a_string_with_a_nul_inside_is_not_written_as_one_that_ends_with_it(void **state)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(packet_put_str_nul(&b, span_of("a\0b", 3)), RC_ERROR);
	assert_int_equal(iobuf_len(&b), 0);
	assert_int_equal(packet_put_str_nul(&b, span_str("ab")), RC_OK);
	assert_bytes(&b, "ab", 3);
	iobuf_reset(&b);
}

static void check_split(size_t len, const uint32_t *lens, size_t count)
{
	struct iobuf b;
	uint8_t seq = 254;
	uint8_t *payload = malloc(len);
	const uint8_t *at;
	size_t done = 0;

	assert_non_null(payload);
	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * 2654435761u >> 24);
	iobuf_init(&b, 0);
	assert_int_equal(iobuf_append(&b, "before", 6), RC_OK);
	assert_int_equal(packet_put(&b, &seq, payload, len), RC_OK);
	assert_int_equal(iobuf_len(&b), 6 + len + 4 * count);
	at = iobuf_data(&b) + 6;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(packet_len(at), lens[i]);
		assert_int_equal(packet_seq(at), (254 + i) & 0xff);
		assert_true(lens[i] == 0 || memcmp(at + 4, payload + done, lens[i]) == 0);
		at += 4 + lens[i];
		done += lens[i];
	}
	assert_int_equal(seq, (254 + count) & 0xff);
	free(payload);
	iobuf_reset(&b);
}

static void a_payload_of_16_mb_and_more_is_split(void **state)
{
	check_split(10, (const uint32_t[]){10}, 1);
	check_split(0xfffffe, (const uint32_t[]){0xfffffe}, 1);
	check_split(0xffffff, (const uint32_t[]){0xffffff, 0}, 2);
	check_split(0x1000000, (const uint32_t[]){0xffffff, 1}, 2);
	check_split(2 * (size_t)0xffffff + 5, (const uint32_t[]){0xffffff, 0xffffff, 5}, 3);
}

static void a_packet_without_room_leaves_the_buffer_as_it_was(void **state)
{
	struct ok_packet ok = {.info = span_str("0123456789012345678901234567890123456789")};
	struct iobuf b;
	uint8_t seq = 1;

	iobuf_init(&b, 40);
	assert_int_equal(iobuf_append(&b, "abc", 3), RC_OK);
	assert_int_equal(packet_put_ok(&b, &seq, TRACKED, &ok), RC_ERROR);
	assert_int_equal(packet_put_err(&b, &seq, 1, "HY000", ok.info), RC_ERROR);
	assert_int_equal(packet_put(&b, &seq, ok.info.p, ok.info.len), RC_ERROR);
	assert_bytes(&b, "abc", 3);
	assert_int_equal(seq, 1);
	iobuf_reset(&b);
}

/* What a MariaDB server sends comes out again byte for byte. */
static void an_ok_packet_survives_reading_and_writing(void **state)
{
	static const char *const known[] = {
		reply_track_variables, reply_track_names,        reply_track_schema,        reply_track_begin,
		reply_track_commit,    reply_init_db_new,        reply_track_user_variable, reply_track_gtid,
		reply_set_option_new,  "0700000100000002000000",
	};

	for (size_t i = 0; i < countof(known); i++) {
		struct ok_packet ok;
		struct iobuf b;
		uint8_t *p, seq = 1;
		struct span s = payload_of(known[i], &p);

		iobuf_init(&b, 0);
		assert_int_equal(packet_parse_ok(s, TRACKED, &ok), RC_OK);
		assert_int_equal(packet_put_ok(&b, &seq, TRACKED, &ok), RC_OK);
		assert_bytes(&b, p, s.len + PACKET_HEADER);
		iobuf_reset(&b);
		free(p);
	}
}

static void an_ok_packet_tells_what_happened(void **state)
{
	struct ok_packet ok;
	uint8_t *p;
	struct span s = payload_of(reply_track_gtid, &p);

	assert_int_equal(packet_parse_ok(s, TRACKED, &ok), RC_OK);
	assert_int_equal(ok.header, 0);
	assert_int_equal(ok.affected, 1);
	assert_in_range(ok.insert_id, 4, 200);
	assert_int_equal(ok.status, 0xc002);
	assert_int_equal(ok.warnings, 0);
	assert_int_equal(ok.info.len, 0);
	assert_int_equal(ok.track.len, 0x13);
	free(p);
}

static void tracked_state_is_left_out_for_who_does_not_want_it(void **state)
{
	struct ok_packet ok;
	struct iobuf b;
	uint8_t *p, seq = 1;
	struct span s = payload_of(reply_track_user_variable, &p);

	iobuf_init(&b, 0);
	assert_int_equal(packet_parse_ok(s, TRACKED, &ok), RC_OK);
	assert_int_equal(packet_put_ok(&b, &seq, CLIENT_PROTOCOL_41, &ok), RC_OK);
	assert_bytes(&b, "\7\0\0\1\0\0\0\x02\x80\0\0", 11);
	iobuf_reset(&b);
	free(p);
}

static void the_text_of_an_ok_packet_comes_with_and_without_its_length(void **state)
{
	static const char with[] = "\0\1\0\2\0\0\0\5hello", without[] = "\0\1\0\2\0\0\0hello";
	struct ok_packet ok;

	assert_int_equal(packet_parse_ok(span_of(with, sizeof(with) - 1), TRACKED, &ok), RC_OK);
	assert_span(ok.info, "hello");
	assert_int_equal(packet_parse_ok(span_of(with, sizeof(with) - 1), CLIENT_PROTOCOL_41, &ok), RC_OK);
	assert_span(ok.info, "hello");
	assert_int_equal(packet_parse_ok(span_of(without, sizeof(without) - 1), CLIENT_PROTOCOL_41, &ok), RC_OK);
	assert_span(ok.info, "hello");
	assert_int_equal(packet_parse_ok(span_of(without, sizeof(without) - 1), TRACKED, &ok), RC_ERROR);
}

/* A status may say "state changed" with no block behind it: MariaDB sets it for clients that do not track, too. */
static void a_state_change_may_come_without_its_block(void **state)
{
	static const char bare[] = "\0\0\0\2\x40\0\0";
	struct ok_packet ok;

	assert_int_equal(packet_parse_ok(span_of(bare, sizeof(bare) - 1), TRACKED, &ok), RC_OK);
	assert_int_equal(ok.track.len, 0);
	assert_int_equal(packet_parse_ok(span_of(bare, sizeof(bare) - 1), CLIENT_PROTOCOL_41, &ok), RC_OK);
	assert_int_equal(ok.status, 0x4002);
}

static void ok_packets_cut_off_anywhere_are_refused(void **state)
{
	uint8_t *p;
	struct span s = payload_of(reply_track_gtid, &p);
	struct ok_packet ok;

	for (size_t len = 0; len < s.len; len++) {
		uint8_t *exact = malloc(len + 1);
		enum rc want =
			len == 7 || len == 8 ? RC_OK : RC_ERROR; /* the fixed part alone; and with an empty text */

		assert_non_null(exact);
		memcpy(exact, s.p, len);
		assert_int_equal(packet_parse_ok(span_of(exact, len), TRACKED, &ok), want);
		free(exact);
	}
	free(p);
}

static void eof_packets(void **state)
{
	uint16_t warnings = 0, status = 0;
	struct iobuf b;
	uint8_t seq = 5;

	iobuf_init(&b, 0);
	assert_int_equal(packet_put_eof(&b, &seq, 3, 0x0102), RC_OK);
	assert_bytes(&b, "\5\0\0\5\xfe\3\0\2\1", 9);
	assert_int_equal(packet_parse_eof(span_of(iobuf_data(&b) + 4, 5), &warnings, &status), RC_OK);
	assert_int_equal(warnings, 3);
	assert_int_equal(status, 0x0102);
	assert_int_equal(packet_parse_eof(span_of("\xfe\0\0\0", 4), &warnings, &status), RC_ERROR);
	assert_int_equal(packet_parse_eof(span_of("\xfe\0\0\0\0\0", 6), &warnings, &status), RC_ERROR);
	assert_int_equal(packet_parse_eof(span_of("\0\0\0\0\0", 5), &warnings, &status), RC_ERROR);
	iobuf_reset(&b);
}

static void err_packets(void **state)
{
	static const char early[] = "\xff\x10\4Too many connections";
	struct err_packet err;
	struct iobuf b;
	uint8_t *p, seq = 1;
	struct span s = payload_of(reply_prepare_error, &p);

	iobuf_init(&b, 0);
	assert_int_equal(packet_parse_err(s, &err), RC_OK);
	assert_int_equal(err.code, 1146);
	assert_string_equal(err.sqlstate, "42S02");
	assert_span(err.message, "Table 'shop.nope' doesn't exist");
	assert_int_equal(packet_put_err(&b, &seq, err.code, err.sqlstate, err.message), RC_OK);
	assert_bytes(&b, p, s.len + PACKET_HEADER);
	free(p);
	/* Before the capabilities are agreed on, servers leave the SQLSTATE out. */
	assert_int_equal(packet_parse_err(span_of(early, sizeof(early) - 1), &err), RC_OK);
	assert_int_equal(err.code, 1040);
	assert_string_equal(err.sqlstate, "HY000");
	assert_span(err.message, "Too many connections");
	assert_int_equal(packet_parse_err(span_of("\xff\1", 2), &err), RC_ERROR);
	assert_int_equal(packet_parse_err(span_of("\xff\1\1#420", 7), &err), RC_OK);
	assert_span(err.message, "#420");
	iobuf_reset(&b);
}

struct item {
	enum session_track type;
	const char *name, *value;
};

static void check_items(struct span track, const struct item *want, size_t count)
{
	struct track_iter it;
	struct track_item item;

	packet_track_begin(&it, track);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(packet_track_next(&it, &item), RC_OK);
		assert_int_equal(item.type, want[i].type);
		assert_span(item.name, want[i].name);
		assert_span(item.value, want[i].value);
	}
	assert_int_equal(packet_track_next(&it, &item), RC_DECLINED);
	assert_int_equal(packet_track_next(&it, &item), RC_DECLINED);
}

/* Every kind, as servers send it: read and written again it is the same. */
static void session_state_is_written_as_it_was_read(void **state)
{
	static const char block[] = "\0\6\4mode\0" "\1\4\3two" "\2\1" "1" "\3\7\0\5" "0-1-2" "\4\1\0" "\5\11\10T_______";
	struct track_iter it;
	struct track_item item;
	struct iobuf b;

	iobuf_init(&b, 0);
	packet_track_begin(&it, span_of(block, sizeof(block) - 1));
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(packet_track_next(&it, &item), RC_OK);
		assert_int_equal(item.type, i);
		assert_int_equal(packet_put_track(&b, &item), RC_OK);
	}
	assert_int_equal(packet_track_next(&it, &item), RC_DECLINED);
	assert_bytes(&b, (const uint8_t *)block, sizeof(block) - 1);
	iobuf_reset(&b);
}

static void check_reply(const char *hex, const struct item *want, size_t count)
{
	struct ok_packet ok;
	uint8_t *p;
	struct span s = payload_of(hex, &p);

	assert_int_equal(packet_parse_ok(s, TRACKED, &ok), RC_OK);
	check_items(ok.track, want, count);
	free(p);
}

/* P3: the server's own word about a session's state. */
static void session_state_is_read(void **state)
{
	check_reply(reply_track_variables,
		    (const struct item[]){{TRACK_SYSTEM_VARIABLES, "time_zone", "+01:00"},
					  {TRACK_SYSTEM_VARIABLES, "sql_mode",
					   "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI"},
					  {TRACK_STATE_CHANGE, "", "1"}},
		    3);
	check_reply(reply_track_names,
		    (const struct item[]){{TRACK_SYSTEM_VARIABLES, "character_set_client", "latin1"},
					  {TRACK_SYSTEM_VARIABLES, "character_set_connection", "latin1"},
					  {TRACK_SYSTEM_VARIABLES, "character_set_results", "latin1"},
					  {TRACK_STATE_CHANGE, "", "1"}},
		    4);
	check_reply(reply_track_schema,
		    (const struct item[]){{TRACK_SCHEMA, "", "mysql"}, {TRACK_STATE_CHANGE, "", "1"}}, 2);
	check_reply(reply_track_begin,
		    (const struct item[]){{TRACK_TRANSACTION_STATE, "", "T_______"},
					  {TRACK_TRANSACTION_CHARACTERISTICS, "", "START TRANSACTION READ ONLY;"}},
		    2);
	check_reply(reply_track_commit,
		    (const struct item[]){{TRACK_TRANSACTION_STATE, "", "________"},
					  {TRACK_TRANSACTION_CHARACTERISTICS, "", ""}},
		    2);
	check_reply(reply_track_user_variable, (const struct item[]){{TRACK_STATE_CHANGE, "", "1"}}, 1);
}

static void session_state_in_its_rarer_forms(void **state)
{
	static const char pairs[] = "\0\x0a\1a\1b\2cd\2ef"; /* two variables in one item */
	static const char gtid[] = "\3\6\0\4x:-9";          /* MySQL: an encoding byte before the text */
	static const char unknown[] = "\x63\2??\1\3\2db";

	check_items(span_of(pairs, sizeof(pairs) - 1),
		    (const struct item[]){{TRACK_SYSTEM_VARIABLES, "a", "b"}, {TRACK_SYSTEM_VARIABLES, "cd", "ef"}}, 2);
	check_items(span_of(gtid, sizeof(gtid) - 1), (const struct item[]){{TRACK_GTIDS, "", "x:-9"}}, 1);
	check_items(span_of(unknown, sizeof(unknown) - 1), (const struct item[]){{TRACK_SCHEMA, "", "db"}}, 1);
	check_items(span_of(NULL, 0), NULL, 0);
}

static void broken_session_state_is_refused(void **state)
{
	static const struct {
		const char *p;
		size_t len;
	} bad[] = {{"\0", 1}, {"\0\5\1a", 4}, {"\0\3\1ab", 5}, {"\1\2\3d", 4}, {"\3\0", 2}, {"\0\1\5", 3}};

	for (size_t i = 0; i < countof(bad); i++) {
		struct track_iter it;
		struct track_item item;

		packet_track_begin(&it, span_of(bad[i].p, bad[i].len));
		assert_int_equal(packet_track_next(&it, &item), RC_ERROR);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lenenc_integers_are_the_shortest_form),
		cmocka_unit_test(a_lenenc_that_cannot_be_read_moves_nothing),
		cmocka_unit_test(a_string_longer_than_what_is_there_is_refused),
		cmocka_unit_test(a_string_with_a_nul_inside_is_not_written_as_one_that_ends_with_it),
		cmocka_unit_test(a_payload_of_16_mb_and_more_is_split),
		cmocka_unit_test(a_packet_without_room_leaves_the_buffer_as_it_was),
		cmocka_unit_test(an_ok_packet_survives_reading_and_writing),
		cmocka_unit_test(an_ok_packet_tells_what_happened),
		cmocka_unit_test(tracked_state_is_left_out_for_who_does_not_want_it),
		cmocka_unit_test(the_text_of_an_ok_packet_comes_with_and_without_its_length),
		cmocka_unit_test(a_state_change_may_come_without_its_block),
		cmocka_unit_test(ok_packets_cut_off_anywhere_are_refused),
		cmocka_unit_test(eof_packets),
		cmocka_unit_test(err_packets),
		cmocka_unit_test(session_state_is_read),
		cmocka_unit_test(session_state_in_its_rarer_forms),
		cmocka_unit_test(session_state_is_written_as_it_was_read),
		cmocka_unit_test(broken_session_state_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
