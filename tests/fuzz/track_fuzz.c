/*
 * Feeds the tracker one reply at once and again in pieces; both must find the same. The first byte is the kind of
 * reply, the second chooses capabilities, the third how the bytes are cut.
 */
#include <stdlib.h>

#include "track.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

struct found {
	struct track t;
	size_t at;
	uint64_t trace; /* of the kinds of pieces, bytes end to end counted once, and of where they end */
	enum track_piece_kind last;
};

static void note(struct found *f, enum track_piece_kind kind)
{
	if (kind != TRACK_BYTES || f->last != TRACK_BYTES)
		f->trace = (f->trace ^ (kind + 1)) * 0x100000001b3 + (kind == TRACK_BYTES ? 0 : f->at);
	f->last = kind;
}

/* False: broken, and nothing more will come. */
static bool offer(struct found *f, const uint8_t *p, size_t have)
{
	struct track_piece piece;
	size_t n;

	while ((n = track_next(&f->t, p + f->at, have - f->at, &piece)) > 0) {
		must(n <= have - f->at && piece.len == n && piece.p == p + f->at);
		must(piece.kind != TRACK_NEED && piece.kind != TRACK_BROKEN);
		must(!piece.starts_columns || piece.kind == TRACK_BYTES);
		if (piece.kind != TRACK_BYTES)
			must(n == PACKET_HEADER + packet_len(piece.p) && n <= TRACK_CONTROL_MAX);
		f->at += n;
		note(f, piece.kind);
	}
	must(piece.len == 0 && (piece.kind == TRACK_NEED || piece.kind == TRACK_BROKEN));
	if (piece.kind == TRACK_BROKEN)
		note(f, TRACK_BROKEN);
	return piece.kind != TRACK_BROKEN;
}

static struct found begin(uint8_t reply, uint8_t flags)
{
	static const uint64_t choices[] = {
		CLIENT_DEPRECATE_EOF,    CLIENT_SESSION_TRACK,
		CLIENT_LOCAL_FILES,      CLIENT_OPTIONAL_RESULTSET_METADATA,
		MARIADB_CLIENT_PROGRESS, MARIADB_CLIENT_CACHE_METADATA,
	};
	struct found f = {.last = TRACK_NEED};
	uint64_t caps = CLIENT_PROTOCOL_41;

	for (size_t i = 0; i < countof(choices); i++)
		if (flags >> i & 1)
			caps |= choices[i];
	track_begin(&f.t, (enum track_reply)(reply % (TRACK_TEXT + 1)), caps);
	return f;
}

static void feed_in_pieces(struct found *f, const uint8_t *p, size_t size, uint8_t cuts)
{
	uint32_t random = cuts;
	size_t have = 0;

	while (have < size) {
		random = random * 1664525 + 1013904223;
		have += 1 + (random >> 24) % (cuts % 16 + 1);
		if (!offer(f, p, have < size ? have : size))
			return;
	}
}

static void file_ends_where_it_ends(const uint8_t *p, size_t size)
{
	struct track_infile once, bytewise;
	size_t whole, at = 0;

	track_infile_begin(&once);
	track_infile_begin(&bytewise);
	whole = track_infile_next(&once, p, size);
	for (size_t have = 0; have <= size; have++)
		at += track_infile_next(&bytewise, p + at, have - at);
	must(whole == at && once.done == bytewise.done && whole <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct found once, pieces;

	if (size < 3)
		return 0;
	once = begin(data[0], data[1]);
	pieces = begin(data[0], data[1]);
	offer(&once, data + 3, size - 3);
	feed_in_pieces(&pieces, data + 3, size - 3, data[2]);
	must(once.at == pieces.at && once.trace == pieces.trace);
	must(once.t.done == pieces.t.done && once.t.rows == pieces.t.rows && once.t.bytes == once.at);
	must(once.t.status == pieces.t.status && once.t.error == pieces.t.error && once.t.results == pieces.t.results);
	must(once.t.columns == pieces.t.columns && once.t.affected == pieces.t.affected);
	file_ends_where_it_ends(data + 3, size - 3);
	return 0;
}
