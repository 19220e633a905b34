#include "packet.h"

#include <assert.h>

#define LENENC_NULL 0xfb
#define LENENC_16 0xfc
#define LENENC_24 0xfd
#define LENENC_64 0xfe
#define LENENC_MAX 9
#define EOF_LEN 5

enum rc packet_get_lenenc(struct mbuf *m, uint64_t *out)
{
	struct mbuf at = *m;
	uint8_t first;
	enum rc rc = RC_OK;

	if (mbuf_u8(&at, &first) != RC_OK)
		return RC_ERROR;
	if (first < LENENC_NULL)
		*out = first;
	else if (first == LENENC_16)
		rc = mbuf_uint(&at, 2, out);
	else if (first == LENENC_24)
		rc = mbuf_uint(&at, 3, out);
	else if (first == LENENC_64)
		rc = mbuf_uint(&at, 8, out);
	else
		rc = RC_ERROR;
	if (rc == RC_OK)
		*m = at;
	return rc;
}

enum rc packet_get_lenenc_str(struct mbuf *m, struct span *out)
{
	struct mbuf at = *m;
	uint64_t len;

	if (packet_get_lenenc(&at, &len) != RC_OK || len > mbuf_left(&at) || mbuf_bytes(&at, (size_t)len, out) != RC_OK)
		return RC_ERROR;
	*m = at;
	return RC_OK;
}

enum rc packet_get_payload(struct mbuf *m, struct span *payload)
{
	struct mbuf at = *m;
	struct span head;

	if (mbuf_bytes(&at, PACKET_HEADER, &head) != RC_OK ||
	    mbuf_bytes(&at, packet_len((const uint8_t *)head.p), payload) != RC_OK)
		return RC_ERROR;
	*m = at;
	return RC_OK;
}

struct span packet_get_text(struct mbuf *m)
{
	struct span s = span_of(m->p, mbuf_left(m));

	if (mbuf_str_nul(m, &s) != RC_OK)
		m->p = m->end;
	return s;
}

static size_t store_uint(uint8_t *to, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = (uint8_t)(v >> (8 * i));
	return bytes;
}

enum rc packet_put_uint(struct iobuf *b, uint64_t v, size_t bytes)
{
	uint8_t buf[8];

	assert(bytes <= sizeof(buf));
	return iobuf_append(b, buf, store_uint(buf, v, bytes));
}

enum rc packet_put_lenenc(struct iobuf *b, uint64_t v)
{
	uint8_t buf[LENENC_MAX];
	size_t n = 1;

	if (v < LENENC_NULL) {
		buf[0] = (uint8_t)v;
	} else if (v <= 0xffff) {
		buf[0] = LENENC_16;
		n += store_uint(buf + 1, v, 2);
	} else if (v <= 0xffffff) {
		buf[0] = LENENC_24;
		n += store_uint(buf + 1, v, 3);
	} else {
		buf[0] = LENENC_64;
		n += store_uint(buf + 1, v, 8);
	}
	return iobuf_append(b, buf, n);
}

enum rc packet_put_lenenc_str(struct iobuf *b, struct span s)
{
	if (packet_put_lenenc(b, s.len) != RC_OK)
		return RC_ERROR;
	return s.len ? iobuf_append(b, s.p, s.len) : RC_OK;
}

/* A NUL inside would end the string early for the reader and shift every field behind it: refused. */
enum rc packet_put_str_nul(struct iobuf *b, struct span s)
{
	if (s.len && (memchr(s.p, 0, s.len) || iobuf_append(b, s.p, s.len) != RC_OK))
		return RC_ERROR;
	return iobuf_append(b, "", 1);
}

enum rc packet_begin(struct iobuf *b, size_t *mark)
{
	static const uint8_t blank[PACKET_HEADER];

	*mark = iobuf_len(b);
	return iobuf_append(b, blank, sizeof(blank));
}

enum rc packet_cancel(struct iobuf *b, size_t mark)
{
	assert(mark <= iobuf_len(b));
	b->end = b->start + mark;
	return RC_ERROR;
}

static void store_header(uint8_t *to, size_t len, uint8_t seq)
{
	store_uint(to, len, 3);
	to[3] = seq;
}

/* A payload of 16 MB and more is cut up from its end, so that each piece moves once; one that is an exact multiple
 * of the limit is closed by an empty packet. */
enum rc packet_end(struct iobuf *b, size_t mark, uint8_t *seq)
{
	size_t len = iobuf_len(b) - mark - PACKET_HEADER;
	size_t more = len / PACKET_MAX_PAYLOAD; /* packets behind the first */
	uint8_t *base;

	if (more && !iobuf_reserve(b, more * PACKET_HEADER))
		return packet_cancel(b, mark);
	base = b->data + b->start + mark;
	for (size_t i = more; i > 0; i--) {
		uint8_t *to = base + i * (PACKET_HEADER + PACKET_MAX_PAYLOAD);
		size_t n = i == more ? len % PACKET_MAX_PAYLOAD : PACKET_MAX_PAYLOAD;

		memmove(to + PACKET_HEADER, base + PACKET_HEADER + i * PACKET_MAX_PAYLOAD, n);
		store_header(to, n, (uint8_t)(*seq + i));
	}
	store_header(base, more ? PACKET_MAX_PAYLOAD : len, *seq);
	iobuf_commit(b, more * PACKET_HEADER);
	*seq = (uint8_t)(*seq + more + 1);
	return RC_OK;
}

enum rc packet_put(struct iobuf *b, uint8_t *seq, const void *payload, size_t len)
{
	size_t mark;

	if (packet_begin(b, &mark) != RC_OK)
		return RC_ERROR;
	if (len && iobuf_append(b, payload, len) != RC_OK)
		return packet_cancel(b, mark);
	return packet_end(b, mark, seq);
}

/* Both servers send the text with its length, whatever was negotiated; MySQL's documentation has it run to the end
 * of the packet where there is no session tracking. Both are taken. */
static enum rc parse_info(struct mbuf *m, uint64_t caps, struct ok_packet *ok)
{
	struct mbuf at = *m;

	if (mbuf_left(m) == 0)
		return RC_OK;
	if (!(caps & CLIENT_SESSION_TRACK)) {
		if (packet_get_lenenc_str(&at, &ok->info) == RC_OK && mbuf_left(&at) == 0)
			return RC_OK;
		return mbuf_bytes(m, mbuf_left(m), &ok->info);
	}
	if (packet_get_lenenc_str(m, &ok->info) != RC_OK)
		return RC_ERROR;
	if (!(ok->status & STATUS_SESSION_STATE_CHANGED) || mbuf_left(m) == 0)
		return RC_OK;
	return packet_get_lenenc_str(m, &ok->track);
}

enum rc packet_parse_ok(struct span payload, uint64_t caps, struct ok_packet *ok)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);

	*ok = (struct ok_packet){0};
	if (mbuf_u8(&m, &ok->header) != RC_OK || (ok->header != 0x00 && ok->header != 0xfe) ||
	    packet_get_lenenc(&m, &ok->affected) != RC_OK || packet_get_lenenc(&m, &ok->insert_id) != RC_OK ||
	    mbuf_u16(&m, &ok->status) != RC_OK || mbuf_u16(&m, &ok->warnings) != RC_OK)
		return RC_ERROR;
	return parse_info(&m, caps, ok);
}

static enum rc put_ok_body(struct iobuf *b, const struct ok_packet *ok, uint16_t status, bool tracked)
{
	if (packet_put_uint(b, ok->header, 1) != RC_OK || packet_put_lenenc(b, ok->affected) != RC_OK ||
	    packet_put_lenenc(b, ok->insert_id) != RC_OK || packet_put_uint(b, status, 2) != RC_OK ||
	    packet_put_uint(b, ok->warnings, 2) != RC_OK)
		return RC_ERROR;
	if ((ok->info.len || tracked) && packet_put_lenenc_str(b, ok->info) != RC_OK)
		return RC_ERROR;
	return tracked ? packet_put_lenenc_str(b, ok->track) : RC_OK;
}

enum rc packet_put_ok(struct iobuf *b, uint8_t *seq, uint64_t caps, const struct ok_packet *ok)
{
	bool tracked = (caps & CLIENT_SESSION_TRACK) && (ok->track.len || (ok->status & STATUS_SESSION_STATE_CHANGED));
	uint16_t status = (uint16_t)(ok->status & ~STATUS_SESSION_STATE_CHANGED);
	size_t mark;

	if (tracked)
		status |= STATUS_SESSION_STATE_CHANGED;
	if (packet_begin(b, &mark) != RC_OK)
		return RC_ERROR;
	if (put_ok_body(b, ok, status, tracked) != RC_OK)
		return packet_cancel(b, mark);
	return packet_end(b, mark, seq);
}

enum rc packet_parse_eof(struct span payload, uint16_t *warnings, uint16_t *status)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	uint8_t header;

	if (payload.len != EOF_LEN || mbuf_u8(&m, &header) != RC_OK || header != 0xfe)
		return RC_ERROR;
	if (mbuf_u16(&m, warnings) != RC_OK)
		return RC_ERROR;
	return mbuf_u16(&m, status);
}

enum rc packet_put_eof(struct iobuf *b, uint8_t *seq, uint16_t warnings, uint16_t status)
{
	uint8_t payload[EOF_LEN] = {0xfe};

	store_uint(payload + 1, warnings, 2);
	store_uint(payload + 3, status, 2);
	return packet_put(b, seq, payload, sizeof(payload));
}

enum rc packet_parse_err(struct span payload, struct err_packet *err)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	struct span state = span_str("HY000");
	uint8_t header;

	if (mbuf_u8(&m, &header) != RC_OK || header != 0xff || mbuf_u16(&m, &err->code) != RC_OK)
		return RC_ERROR;
	if (mbuf_left(&m) >= 6 && *m.p == '#' && (mbuf_skip(&m, 1) != RC_OK || mbuf_bytes(&m, 5, &state) != RC_OK))
		return RC_ERROR;
	memcpy(err->sqlstate, state.p, 5);
	err->sqlstate[5] = '\0';
	return mbuf_bytes(&m, mbuf_left(&m), &err->message);
}

enum rc packet_put_err(struct iobuf *b, uint8_t *seq, uint16_t code, const char *sqlstate, struct span message)
{
	struct span state = span_str(sqlstate);
	size_t mark;

	if (state.len != 5)
		state = span_str("HY000");
	if (packet_begin(b, &mark) != RC_OK)
		return RC_ERROR;
	if (packet_put_uint(b, 0xff, 1) != RC_OK || packet_put_uint(b, code, 2) != RC_OK ||
	    iobuf_append(b, "#", 1) != RC_OK || iobuf_append(b, state.p, state.len) != RC_OK ||
	    (message.len && iobuf_append(b, message.p, message.len) != RC_OK))
		return packet_cancel(b, mark);
	return packet_end(b, mark, seq);
}
