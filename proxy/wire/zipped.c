#include "zipped.h"

#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "mem.h"
#include "packet.h"

#define ZIPPED_WORTH 50                /* less is sent as it is */
#define ZIPPED_PIECE (1024 * 1024)     /* bytes packed into one packet at most */

void zipped_init(struct zipped *z, enum zipped_kind kind, int level)
{
	*z = (struct zipped){.kind = kind, .level = level > ZIPPED_ZSTD_MOST ? ZIPPED_ZSTD_MOST : level};
}

/* ---- unpacking ---- */

static void end_unpacker(struct zipped *z)
{
	if (!z->unpacker)
		return;
	if (z->kind == ZIPPED_ZSTD) {
		ZSTD_freeDCtx(z->unpacker);
	} else {
		(void)inflateEnd(z->unpacker);
		mem_free(z->unpacker);
	}
	z->unpacker = NULL;
}

void zipped_reset(struct zipped *z)
{
	end_unpacker(z);
	z->have = 0;
	z->packed_left = z->plain_left = 0;
}

static enum rc begin_unpacker(struct zipped *z)
{
	z_stream *s;

	if (z->kind == ZIPPED_ZSTD) {
		z->unpacker = ZSTD_createDCtx();
		if (!z->unpacker)
			return RC_ERROR;
		/* no packet unpacks to more than 16 MB: nor need it look back further */
		return ZSTD_isError(ZSTD_DCtx_setParameter(z->unpacker, ZSTD_d_windowLogMax, 24)) ? RC_ERROR : RC_OK;
	}
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return RC_ERROR;
	if (inflateInit(s) != Z_OK) {
		mem_free(s);
		return RC_ERROR;
	}
	z->unpacker = s;
	return RC_OK;
}

/* The header is here. */
static enum rc begin_packet(struct zipped *z)
{
	z->packed_left = packet_len(z->header);
	z->plain_left = packet_len(z->header + 4);
	z->seq = (uint8_t)(z->header[3] + 1);
	z->stored = z->plain_left == 0;
	if (z->packed_left == 0)
		return RC_ERROR;
	if (!z->stored)
		return begin_unpacker(z);
	z->plain_left = z->packed_left;
	return RC_OK;
}

static size_t take_header(struct zipped *z, const uint8_t *p, size_t len)
{
	size_t n = ZIPPED_HEADER - z->have;

	if (n > len)
		n = len;
	memcpy(z->header + z->have, p, n);
	z->have = (uint8_t)(z->have + n);
	return n;
}

static enum rc inflate_some(struct zipped *z, const uint8_t *p, size_t *len, uint8_t *out, size_t *cap)
{
	z_stream *s = z->unpacker;
	int got;

	s->next_in = (uint8_t *)(uintptr_t)p;
	s->avail_in = (uInt)*len;
	s->next_out = out;
	s->avail_out = (uInt)*cap;
	got = inflate(s, Z_NO_FLUSH);
	*len -= s->avail_in;
	*cap -= s->avail_out;
	return got == Z_OK || got == Z_STREAM_END || got == Z_BUF_ERROR ? RC_OK : RC_ERROR;
}

static enum rc zstd_some(struct zipped *z, const uint8_t *p, size_t *len, uint8_t *out, size_t *cap)
{
	ZSTD_inBuffer in = {.src = p, .size = *len};
	ZSTD_outBuffer to = {.dst = out, .size = *cap};
	size_t got = ZSTD_decompressStream(z->unpacker, &to, &in);

	*len = in.pos;
	*cap = to.pos;
	return ZSTD_isError(got) ? RC_ERROR : RC_OK;
}

static enum rc unpack(struct zipped *z, const uint8_t *p, size_t *len, uint8_t *out, size_t *cap)
{
	if (*len > z->packed_left)
		*len = z->packed_left;
	if (!z->stored)
		return z->kind == ZIPPED_ZSTD ? zstd_some(z, p, len, out, cap) : inflate_some(z, p, len, out, cap);
	*len = *cap = *len < *cap ? *len : *cap;
	if (*len)
		memcpy(out, p, *len);
	return RC_OK;
}

/* Some of the packet's bytes. */
static enum rc read_some(struct zipped *z, const uint8_t *p, size_t *len, uint8_t *out, size_t *cap)
{
	size_t given = *len;
	uint8_t spare;

	if (z->plain_left == 0) { /* what ends the packing (a checksum) makes nothing more */
		*cap = 1;
		if (unpack(z, p, len, &spare, cap) != RC_OK || *cap || (given && *len == 0))
			return RC_ERROR;
		z->packed_left -= (uint32_t)*len;
		return RC_OK;
	}
	if (*cap > z->plain_left)
		*cap = z->plain_left;
	if (unpack(z, p, len, out, cap) != RC_OK)
		return RC_ERROR;
	z->packed_left -= (uint32_t)*len;
	z->plain_left -= (uint32_t)*cap;
	/* all of it is here, or it takes no more, and it is not what it said */
	return *cap == 0 && *len == 0 && (given || z->packed_left == 0) ? RC_ERROR : RC_OK;
}

enum rc zipped_read(struct zipped *z, const uint8_t *p, size_t len, size_t *used, uint8_t *out, size_t cap, size_t *made)
{
	*used = *made = 0;
	if (z->have < ZIPPED_HEADER) {
		*used = take_header(z, p, len);
		if (z->have < ZIPPED_HEADER)
			return RC_OK;
		if (begin_packet(z) != RC_OK)
			return RC_ERROR;
	}
	len -= *used;
	if (read_some(z, p + *used, &len, out, &cap) != RC_OK)
		return RC_ERROR;
	*used += len;
	*made = cap;
	if (z->plain_left == 0 && z->packed_left == 0)
		zipped_reset(z);
	return RC_OK;
}

/* ---- packing ---- */

static void put_header(struct zipped *z, uint8_t *at, size_t packed, size_t plain)
{
	for (int i = 0; i < 3; i++) {
		at[i] = (uint8_t)(packed >> (8 * i));
		at[4 + i] = (uint8_t)(plain >> (8 * i));
	}
	at[3] = z->seq++;
}

/* Walks over the pieces. */
struct pieces { const struct iovec *iov; int n; size_t at; };

static struct span next_piece(struct pieces *p, size_t most)
{
	struct span s;

	while (p->n && p->at == p->iov->iov_len) {
		p->iov++;
		p->n--;
		p->at = 0;
	}
	if (p->n == 0)
		return span_of(NULL, 0);
	s = span_of((const char *)p->iov->iov_base + p->at, p->iov->iov_len - p->at);
	if (s.len > most)
		s.len = most;
	p->at += s.len;
	return s;
}

static enum rc put_stored(struct zipped *z, struct pieces *p, size_t len, struct iobuf *out)
{
	uint8_t header[ZIPPED_HEADER];

	put_header(z, header, len, 0);
	if (iobuf_append(out, header, sizeof(header)) != RC_OK)
		return RC_ERROR;
	while (len) {
		struct span s = next_piece(p, len);

		if (iobuf_append(out, s.p, s.len) != RC_OK)
			return RC_ERROR;
		len -= s.len;
	}
	return RC_OK;
}

/* Packs len bytes to at; returns the length of what they became, 0 when it would be no shorter than cap. */
static size_t deflate_pieces(struct pieces *p, size_t len, uint8_t *at, size_t cap)
{
	z_stream s = {.next_out = at, .avail_out = (uInt)cap};
	int got = Z_OK;

	if (deflateInit(&s, Z_BEST_SPEED) != Z_OK)
		return 0;
	while (len && got == Z_OK) {
		struct span piece = next_piece(p, len);

		len -= piece.len;
		s.next_in = (uint8_t *)(uintptr_t)piece.p;
		s.avail_in = (uInt)piece.len;
		got = deflate(&s, len ? Z_NO_FLUSH : Z_FINISH);
		if (s.avail_in)
			break;
	}
	(void)deflateEnd(&s);
	return got == Z_STREAM_END ? cap - s.avail_out : 0;
}

static size_t zstd_pieces(int level, struct pieces *p, size_t len, uint8_t *at, size_t cap)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_outBuffer out = {.dst = at, .size = cap};
	size_t got = 1;

	if (!c)
		return 0;
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
	(void)ZSTD_CCtx_setPledgedSrcSize(c, len); /* its memory fits what there is to do */
	while (len) {
		struct span piece = next_piece(p, len);
		ZSTD_inBuffer in = {.src = piece.p, .size = piece.len};

		len -= piece.len;
		got = ZSTD_compressStream2(c, &out, &in, len ? ZSTD_e_continue : ZSTD_e_end);
		if (ZSTD_isError(got) || in.pos < in.size)
			break;
	}
	(void)ZSTD_freeCCtx(c);
	return got == 0 ? out.pos : 0;
}

static enum rc put_packed(struct zipped *z, struct pieces *p, size_t len, struct iobuf *out)
{
	uint8_t *at = iobuf_reserve(out, ZIPPED_HEADER + len);
	struct pieces again = *p;
	size_t packed;

	if (!at)
		return RC_ERROR;
	packed = z->kind == ZIPPED_ZSTD ? zstd_pieces(z->level, p, len, at + ZIPPED_HEADER, len - 1)
					: deflate_pieces(p, len, at + ZIPPED_HEADER, len - 1);
	if (packed == 0) { /* it does not get shorter, or there is no memory for it */
		*p = again;
		return put_stored(z, p, len, out);
	}
	put_header(z, at, packed, len);
	iobuf_commit(out, ZIPPED_HEADER + packed);
	return RC_OK;
}

enum rc zipped_write(struct zipped *z, const struct iovec *iov, int n, struct iobuf *out)
{
	struct pieces p = {.iov = iov, .n = n};
	size_t left = 0;
	enum rc rc = RC_OK;

	for (int i = 0; i < n; i++)
		left += iov[i].iov_len;
	while (left && rc == RC_OK) {
		size_t len = left < ZIPPED_PIECE ? left : ZIPPED_PIECE;

		rc = len < ZIPPED_WORTH ? put_stored(z, &p, len, out) : put_packed(z, &p, len, out);
		left -= len;
	}
	return rc;
}
