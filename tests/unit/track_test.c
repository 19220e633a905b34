/*
 * The reply tracker finds the end of every kind of reply, however the bytes arrive (P1, P4), and stops at what is not
 * the protocol (F2).
 */
#include "wire_test.h"

#include "track.h"
#include "track_replies.h"

#define OLD (CLIENT_PROTOCOL_41 | CLIENT_LOCAL_FILES | CLIENT_MULTI_RESULTS)
#define NEW (OLD | CLIENT_DEPRECATE_EOF | CLIENT_SESSION_TRACK)
#define CACHED (OLD | CLIENT_DEPRECATE_EOF | MARIADB_CLIENT_CACHE_METADATA)
#define CACHED_EOF (OLD | MARIADB_CLIENT_CACHE_METADATA)
#define PROGRESS (OLD | MARIADB_CLIENT_PROGRESS)
#define MYSQL_SKIPS (OLD | CLIENT_DEPRECATE_EOF | CLIENT_OPTIONAL_RESULTSET_METADATA)

struct known {
	const char *what;
	const char *hex;
	enum track_reply reply;
	uint64_t caps;
	const char *pieces; /* a letter a piece, bytes that pass on end to end counted once; see letter() */
	uint64_t rows;
	uint64_t affected;
	uint16_t results, columns, status, error;
};

static const struct known replies[] = {
	{"a point select", reply_point_select, TRACK_RESULT, OLD, "BE", 1, 0, 1, 1, 0x02, 0},
	{"a point select, no EOF", reply_point_select_new, TRACK_RESULT, NEW, "BO", 1, 0, 1, 1, 0x02, 0},
	{"a point select, metadata flag", reply_point_select_cached, TRACK_RESULT, CACHED, "BO", 1, 0, 1, 1, 0x02, 0},
	{"the same with EOF", reply_point_select_cached_eof, TRACK_RESULT, CACHED_EOF, "BE", 1, 0, 1, 1, 0x02, 0},
	{"several statements", reply_multi, TRACK_RESULT, OLD, "BEOBEX", 1, 2, 3, 1, 0x0a, 1064},
	{"several statements, no EOF", reply_multi_new, TRACK_RESULT, NEW, "BOOBOX", 1, 2, 3, 1, 0x0a, 1064},
	{"a procedure", reply_call, TRACK_RESULT, OLD, "BEBEO", 3, 0, 3, 1, 0x02, 0},
	{"a procedure, no EOF", reply_call_new, TRACK_RESULT, NEW, "BOBOO", 3, 0, 3, 1, 0x02, 0},
	{"an OUT parameter", reply_out_parameter, TRACK_RESULT, OLD, "BEO", 1, 0, 2, 1, 0x02, 0},
	{"an OUT parameter, no EOF", reply_out_parameter_new, TRACK_RESULT, NEW, "BOO", 1, 0, 2, 1, 0x02, 0},
	{"a prepare", reply_prepare, TRACK_PREPARE, OLD, "PB", 0, 0, 0, 2, 0, 0},
	{"a prepare, no EOF", reply_prepare_new, TRACK_PREPARE, NEW, "PB", 0, 0, 0, 2, 0, 0},
	{"a prepare, metadata flag", reply_prepare_cached, TRACK_PREPARE, CACHED, "PB", 0, 0, 0, 2, 0, 0},
	{"the same with EOF", reply_prepare_cached_eof, TRACK_PREPARE, CACHED_EOF, "PB", 0, 0, 0, 2, 0, 0},
	{"a prepare of neither", reply_prepare_none, TRACK_PREPARE, OLD, "P", 0, 0, 0, 0, 0, 0},
	{"a prepare of parameters", reply_prepare_params, TRACK_PREPARE, OLD, "PB", 0, 0, 0, 0, 0, 0},
	{"the same, no EOF", reply_prepare_params_new, TRACK_PREPARE, NEW, "PB", 0, 0, 0, 0, 0, 0},
	{"a prepare of columns", reply_prepare_columns, TRACK_PREPARE, OLD, "PB", 0, 0, 0, 1, 0, 0},
	{"the same, no EOF", reply_prepare_columns_new, TRACK_PREPARE, NEW, "PB", 0, 0, 0, 1, 0, 0},
	{"a prepare's error", reply_prepare_error, TRACK_PREPARE, OLD, "X", 0, 0, 0, 0, 0, 1146},
	{"an execute", reply_execute, TRACK_RESULT, OLD, "BE", 2, 0, 1, 2, 0x02, 0},
	{"an execute, no EOF", reply_execute_new, TRACK_RESULT, NEW, "BO", 2, 0, 1, 2, 0x02, 0},
	{"definitions left out", reply_execute_cached, TRACK_RESULT, CACHED, "BO", 2, 0, 1, 2, 0x02, 0},
	{"the same with EOF", reply_execute_cached_eof, TRACK_RESULT, CACHED_EOF, "BE", 2, 0, 1, 2, 0x02, 0},
	{"a cursor opened", reply_cursor, TRACK_CURSOR, OLD, "BE", 0, 0, 1, 2, 0x42, 0},
	{"a cursor opened, no EOF", reply_cursor_new, TRACK_CURSOR, NEW, "BO", 0, 0, 1, 2, 0x42, 0},
	{"a fetch", reply_fetch, TRACK_ROWS, OLD, "BE", 1, 0, 0, 0, 0x42, 0},
	{"a fetch, no EOF", reply_fetch_new, TRACK_ROWS, NEW, "BO", 1, 0, 0, 0, 0x42, 0},
	{"the last fetch", reply_fetch_last, TRACK_ROWS, OLD, "BE", 1, 0, 0, 0, 0x82, 0},
	{"the last fetch, no EOF", reply_fetch_last_new, TRACK_ROWS, NEW, "BO", 1, 0, 0, 0, 0x82, 0},
	{"a fetch of a closed cursor", reply_fetch_closed, TRACK_ROWS, OLD, "X", 0, 0, 0, 0, 0, 1421},
	{"a field list", reply_field_list, TRACK_FIELDS, OLD, "BE", 0, 0, 0, 4, 0x02, 0},
	{"a field list, no EOF", reply_field_list_new, TRACK_FIELDS, NEW, "BO", 0, 0, 0, 4, 0x02, 0},
	{"an option", reply_set_option, TRACK_SIMPLE, OLD, "E", 0, 0, 0, 0, 0x02, 0},
	{"an option, no EOF", reply_set_option_new, TRACK_SIMPLE, NEW, "O", 0, 0, 0, 0, 0x02, 0},
	{"a schema chosen, tracked", reply_init_db_new, TRACK_SIMPLE, NEW, "O", 0, 0, 1, 0, 0x4002, 0},
	{"statistics", reply_statistics, TRACK_TEXT, OLD, "B", 0, 0, 0, 0, 0, 0},
	{"a local file", reply_infile, TRACK_RESULT, OLD, "IOBE", 1, 2, 2, 1, 0x02, 0},
	{"a local file, no EOF", reply_infile_new, TRACK_RESULT, NEW, "IOBO", 1, 2, 2, 1, 0x02, 0},
	{"progress reports", reply_progress, TRACK_RESULT, PROGRESS, "RRO", 0, 500000, 1, 0, 0x02, 0},
	{"a result that ends with tracked state", reply_track_select, TRACK_RESULT, NEW, "BO", 1, 0, 1, 1, 0xe003, 0},
	{"a GTID", reply_track_gtid, TRACK_RESULT, NEW, "O", 0, 1, 1, 0, 0xc002, 0},
	/* CALL of a routine that has opened a cursor of its own and then selects. */
	{"a cursor inside a routine", "0100000101 020000020000 05000003fe00004200 020000040137 05000005fe00000a00 0700000600000002000000",
	 TRACK_RESULT, OLD, "BEO", 1, 0, 2, 1, 0x02, 0},
	/* MySQL 8 with resultset_metadata=NONE, by its documentation. */
	{"MySQL leaves definitions out", "0200000101000200000201370700000 3fe000002000000", TRACK_RESULT, MYSQL_SKIPS,
	 "BO", 1, 0, 1, 1, 0x02, 0},
	{"and in a prepare", "0d000001000100000002000200000000 00", TRACK_PREPARE, MYSQL_SKIPS, "P", 0, 0, 0, 2, 0, 0},
};

static char letter(enum track_piece_kind kind)
{
	static const char letters[] = {
		[TRACK_BYTES] = 'B',  [TRACK_OK_PACKET] = 'O', [TRACK_EOF_PACKET] = 'E', [TRACK_ERR_PACKET] = 'X',
		[TRACK_INFILE] = 'I', [TRACK_PREPARED] = 'P',  [TRACK_PROGRESS] = 'R',   [TRACK_BROKEN] = '!',
	};

	return letters[kind];
}

/* One reply being fed: at is what has been consumed; pieces what has come out. */
struct feed {
	struct track t;
	size_t at;
	char pieces[64];
	size_t count;
	unsigned sets; /* pieces that begin with a column count */
};

/* Offers p up to `have` bytes until nothing more is taken. */
static void offer(struct feed *f, const uint8_t *p, size_t have)
{
	struct track_piece piece;
	size_t n;

	while ((n = track_next(&f->t, p + f->at, have - f->at, &piece)) > 0) {
		char c = letter(piece.kind);

		assert_ptr_equal(piece.p, p + f->at);
		assert_int_equal(piece.len, n);
		assert_in_range(n, 1, have - f->at);
		if (c != 'B')
			assert_int_equal(n, PACKET_HEADER + packet_len(piece.p));
		if (c != 'B' || f->count == 0 || f->pieces[f->count - 1] != 'B')
			f->pieces[f->count++] = c;
		assert_in_range(f->count, 1, sizeof(f->pieces) - 1);
		f->sets += piece.starts_columns;
		f->at += n;
	}
	if (piece.kind == TRACK_BROKEN)
		f->pieces[f->count++] = '!';
}

static void check(const struct known *k, const struct feed *f, size_t len)
{
	if (strcmp(f->pieces, k->pieces) != 0 || f->at != len || !f->t.done)
		print_error("%s: %s at %zu of %zu\n", k->what, f->pieces, f->at, len);
	assert_string_equal(f->pieces, k->pieces);
	assert_int_equal(f->at, len);
	assert_true(f->t.done);
	assert_int_equal(f->t.bytes, len);
	assert_int_equal(f->t.rows, k->rows);
	assert_int_equal(f->t.affected, k->affected);
	assert_int_equal(f->t.results, k->results);
	assert_int_equal(f->t.columns, k->columns);
	assert_int_equal(f->t.status, k->status);
	assert_int_equal(f->t.error, k->error);
}

static uint8_t *bytes_of(const struct known *k, size_t *len)
{
	char hex[2048];
	size_t n = 0;

	for (const char *c = k->hex; *c; c++) {
		assert_in_range(n, 0, sizeof(hex) - 2);
		if (*c != ' ')
			hex[n++] = *c;
	}
	hex[n] = '\0';
	return unhex(hex, len);
}

static void start(struct feed *f, const struct known *k)
{
	memset(f, 0, sizeof(*f));
	track_begin(&f->t, k->reply, k->caps);
}

static void finds_the_end_of_a_reply_at_hand(void **state)
{
	for (size_t i = 0; i < countof(replies); i++) {
		struct feed f;
		size_t len;
		uint8_t *p = bytes_of(&replies[i], &len);

		start(&f, &replies[i]);
		offer(&f, p, len);
		check(&replies[i], &f, len);
		free(p);
	}
}

static void takes_any_two_cuts(void **state)
{
	for (size_t i = 0; i < countof(replies); i++) {
		struct feed f;
		size_t len;
		uint8_t *p = bytes_of(&replies[i], &len);

		for (size_t a = 0; a <= len; a++) {
			for (size_t b = len < 130 ? a : len; b <= len; b++) {
				start(&f, &replies[i]);
				offer(&f, p, a);
				offer(&f, p, b);
				offer(&f, p, len);
				check(&replies[i], &f, len);
			}
		}
		free(p);
	}
}

static void takes_byte_by_byte(void **state)
{
	for (size_t i = 0; i < countof(replies); i++) {
		struct feed f;
		size_t len;
		uint8_t *p = bytes_of(&replies[i], &len);

		start(&f, &replies[i]);
		for (size_t have = 1; have <= len; have++) {
			assert_false(f.t.done);
			offer(&f, p, have);
		}
		check(&replies[i], &f, len);
		free(p);
	}
}

/* What stands behind the end belongs to the next reply. */
static void leaves_the_next_reply_alone(void **state)
{
	for (size_t i = 0; i < countof(replies); i++) {
		struct feed f;
		size_t len;
		uint8_t *p = bytes_of(&replies[i], &len);
		uint8_t *twice = malloc(2 * len);

		assert_non_null(twice);
		memcpy(twice, p, len);
		memcpy(twice + len, p, len);
		start(&f, &replies[i]);
		offer(&f, twice, 2 * len);
		check(&replies[i], &f, len);
		free(twice);
		free(p);
	}
}

static void marks_where_each_result_set_begins(void **state)
{
	struct known k = {"", reply_multi, TRACK_RESULT, OLD, ""};
	struct feed f;
	size_t len;
	uint8_t *p = bytes_of(&k, &len);

	start(&f, &k);
	offer(&f, p, len);
	assert_int_equal(f.sets, 2);
	free(p);
}

/* A select of literals has no limit but the statement's length. */
static void takes_more_columns_than_a_table_has(void **state)
{
	static const uint8_t count[] = {4, 0, 0, 1, 0xfd, 0x01, 0x00, 0x01}; /* 65537 */
	struct track_piece piece;
	struct track t;

	track_begin(&t, TRACK_RESULT, OLD);
	assert_int_equal(track_next(&t, count, sizeof(count), &piece), sizeof(count));
	assert_int_equal(piece.kind, TRACK_BYTES);
	assert_int_equal(t.columns, 65537);
}

static void keeps_the_insert_id_and_warnings(void **state)
{
	static const uint8_t ok[] = {7, 0, 0, 1, 0, 1, 5, 2, 0, 9, 0};
	struct track_piece piece;
	struct track t;

	track_begin(&t, TRACK_RESULT, OLD);
	assert_int_equal(track_next(&t, ok, sizeof(ok), &piece), sizeof(ok));
	assert_true(t.done);
	assert_int_equal(t.affected, 1);
	assert_int_equal(t.insert_id, 5);
	assert_int_equal(t.warnings, 9);
}

/* A report is an ERR to a client that has not asked for reports. */
static void takes_progress_for_an_error_where_it_was_not_asked_for(void **state)
{
	struct known k = {"", reply_progress, TRACK_RESULT, OLD, ""};
	struct feed f;
	size_t len;
	uint8_t *p = bytes_of(&k, &len);

	start(&f, &k);
	offer(&f, p, len);
	assert_string_equal(f.pieces, "X");
	assert_int_equal(f.t.error, 0xffff);
	free(p);
}

struct huge {
	uint8_t *p;
	size_t len;
};

static void huge_add(struct huge *h, const void *p, size_t len)
{
	if (p)
		memcpy(h->p + h->len, p, len);
	else
		memset(h->p + h->len, 'x', len);
	h->len += len;
}

/* A first value of 16 MB and more makes a row begin with 0xfe, as an EOF does; then a row of exactly one full packet,
 * closed by an empty one; then a small row. */
static struct huge make_huge(bool deprecate)
{
	static const uint8_t columns[] = "\1\0\0\1\1\5\0\0\2\3def\0";
	static const uint8_t eof[] = "\5\0\0\3\xfe\0\0\2\0", ok[] = "\7\0\0\3\xfe\0\0\2\0\0\0";
	static const uint8_t first[] = "\xff\xff\xff\4\xfe\0\0\0\1\0\0\0\0", rest[] = "\5\0\0\5";
	static const uint8_t full[] = "\xff\xff\xff\6\xfd\xfb\xff\xff", empty[] = "\0\0\0\7", small[] = "\2\0\0\10\1x";
	struct huge h = {.p = malloc(2 * (size_t)PACKET_MAX_PAYLOAD + 200)};

	assert_non_null(h.p);
	huge_add(&h, columns, sizeof(columns) - 1);
	if (!deprecate)
		huge_add(&h, eof, sizeof(eof) - 1);
	huge_add(&h, first, sizeof(first) - 1);
	huge_add(&h, NULL, PACKET_MAX_PAYLOAD - 9);
	huge_add(&h, rest, sizeof(rest) - 1);
	huge_add(&h, NULL, 5);
	huge_add(&h, full, sizeof(full) - 1);
	huge_add(&h, NULL, PACKET_MAX_PAYLOAD - 4);
	huge_add(&h, empty, sizeof(empty) - 1);
	huge_add(&h, small, sizeof(small) - 1);
	huge_add(&h, deprecate ? ok : eof, deprecate ? sizeof(ok) - 1 : sizeof(eof) - 1);
	return h;
}

/* F3: nothing of a row has to be kept, however large it is. */
static void passes_huge_rows_as_they_come(void **state)
{
	for (int deprecate = 0; deprecate < 2; deprecate++) {
		struct huge h = make_huge(deprecate);
		struct known k = {"huge", "", TRACK_RESULT, deprecate ? NEW : OLD, deprecate ? "BO" : "BE", 3, 0,
				  1,      1,  0x02};
		struct feed f;

		start(&f, &k);
		for (size_t have = 1000; have < h.len; have += 65537) {
			offer(&f, h.p, have);
			assert_in_range(have - f.at, 0, 8);
		}
		offer(&f, h.p, h.len);
		check(&k, &f, h.len);
		free(h.p);
	}
}

struct bad {
	const char *what;
	const char *hex;
	enum track_reply reply;
	uint64_t caps;
	const char *pieces;
};

static const struct bad broken[] = {
	{"an empty packet", "00000001", TRACK_RESULT, OLD, "!"},
	{"an empty packet among rows", "00000001", TRACK_ROWS, OLD, "!"},
	{"an EOF for an answer", "05000001fe00000200", TRACK_RESULT, OLD, "!"},
	{"an EOF for a prepare", "05000001fe00000200", TRACK_PREPARE, OLD, "!"},
	{"no columns, in three bytes", "03000001fc0000", TRACK_RESULT, OLD, "!"},
	{"16 million columns", "04000001fdffffff", TRACK_RESULT, OLD, "!"},
	{"a column count with more behind it", "020000010101", TRACK_RESULT, OLD, "!"},
	{"a column count that is cut off", "01000001fc", TRACK_RESULT, OLD, "!"},
	{"a long column count", "ff00000101", TRACK_RESULT, OLD, "!"},
	{"a file that was not offered", "02000001fb78", TRACK_RESULT, CLIENT_PROTOCOL_41, "!"},
	{"an OK that is cut off", "0200000100 00", TRACK_RESULT, OLD, "!"},
	{"an OK with a broken text", "080000010000000200000009", TRACK_RESULT, NEW, "!"},
	{"an ERR that is cut off", "01000001ff", TRACK_RESULT, OLD, "!"},
	{"a control packet over the limit", "0100100100", TRACK_RESULT, OLD, "!"},
	{"an endless ERR", "ffffff01ff", TRACK_ROWS, OLD, "!"},
	{"an EOF of two bytes", "02000001fe00", TRACK_ROWS, OLD, "!"},
	{"a row in place of the EOF", "0100000101 0400000203646566 020000030131", TRACK_RESULT, OLD, "B!"},
	{"a prepare reply that is cut off", "08000001000100000000000000", TRACK_PREPARE, OLD, "!"},
	{"text in place of OK", "020000014142", TRACK_SIMPLE, OLD, "!"},
};

static void stops_at_what_is_not_the_protocol(void **state)
{
	for (size_t i = 0; i < countof(broken); i++) {
		struct known k = {broken[i].what, broken[i].hex, broken[i].reply, broken[i].caps, broken[i].pieces};
		struct feed f;
		size_t len;
		uint8_t *p = bytes_of(&k, &len);

		start(&f, &k);
		offer(&f, p, len);
		if (strcmp(f.pieces, k.pieces) != 0)
			print_error("%s: %s\n", k.what, f.pieces);
		assert_string_equal(f.pieces, k.pieces);
		assert_false(f.t.done);
		free(p);
	}
}

static void an_error_may_end_rows_and_definitions(void **state)
{
	static const struct known k[] = {
		{"", "0100000101 05000002ff1500 4142", TRACK_RESULT, OLD, "BX", 0, 0, 1, 1, 0, 21},
		{"", "020000010131 05000002ff1500 4142", TRACK_ROWS, NEW, "BX", 1, 0, 0, 0, 0, 21},
	};

	for (size_t i = 0; i < countof(k); i++) {
		struct feed f;
		size_t len;
		uint8_t *p = bytes_of(&k[i], &len);

		start(&f, &k[i]);
		offer(&f, p, len);
		check(&k[i], &f, len);
		free(p);
	}
}

/* The client's part of LOAD DATA LOCAL: two packets and the empty one; then bytes that are not part of it. */
static void knows_the_end_of_a_clients_file(void **state)
{
	static const uint8_t p[] = "\3\0\0\2abc\1\0\0\3d\0\0\0\4\1\0\0\0\x0e";
	size_t end = sizeof(p) - 1 - 5;

	for (size_t cut = 0; cut < sizeof(p) - 1; cut++) {
		struct track_infile t;
		size_t at;

		track_infile_begin(&t);
		at = track_infile_next(&t, p, cut);
		assert_int_equal(t.done, cut >= end);
		at += track_infile_next(&t, p + at, sizeof(p) - 1 - at);
		assert_int_equal(at, end);
		assert_true(t.done);
		assert_int_equal(track_infile_next(&t, p + at, 5), 0);
	}
}

/* An empty packet behind a full one only says that there is no more of that one. */
static void an_empty_packet_may_close_a_full_one_of_the_file(void **state)
{
	struct huge h = {.p = malloc((size_t)PACKET_MAX_PAYLOAD + 100)};
	struct track_infile t;

	assert_non_null(h.p);
	huge_add(&h, "\xff\xff\xff\2", 4);
	huge_add(&h, NULL, PACKET_MAX_PAYLOAD);
	huge_add(&h, "\0\0\0\3", 4);
	track_infile_begin(&t);
	assert_int_equal(track_infile_next(&t, h.p, h.len), h.len);
	assert_false(t.done);
	assert_int_equal(track_infile_next(&t, (const uint8_t *)"\0\0\0\4", 4), 4);
	assert_true(t.done);
	free(h.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_end_of_a_reply_at_hand),
		cmocka_unit_test(takes_any_two_cuts),
		cmocka_unit_test(takes_byte_by_byte),
		cmocka_unit_test(leaves_the_next_reply_alone),
		cmocka_unit_test(marks_where_each_result_set_begins),
		cmocka_unit_test(takes_more_columns_than_a_table_has),
		cmocka_unit_test(keeps_the_insert_id_and_warnings),
		cmocka_unit_test(takes_progress_for_an_error_where_it_was_not_asked_for),
		cmocka_unit_test(passes_huge_rows_as_they_come),
		cmocka_unit_test(stops_at_what_is_not_the_protocol),
		cmocka_unit_test(an_error_may_end_rows_and_definitions),
		cmocka_unit_test(knows_the_end_of_a_clients_file),
		cmocka_unit_test(an_empty_packet_may_close_a_full_one_of_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
