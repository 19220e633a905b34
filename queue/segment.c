/*
 * segment.c - see segment.h.
 */
#include "segment.h"

#include <errno.h>

#include "bytes.h"
#include "crc32c.h"
#include "mbuf.h"

#define FRAME_CRC_AT 4u
#define FRAME_SEQ_AT 8u
#define FRAME_SINCE_AT 16u
#define FRAME_KIND_AT 20u

static const char magic[8] = {'S', 'U', 'I', 'M', 'O', 'N', 'Q', '\n'};

void segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_BYTES])
{
	uint8_t *p = out;

	memset(out, 0, SEGMENT_HEADER_BYTES);
	memcpy(p, magic, sizeof(magic));
	p = bytes_put(p + sizeof(magic), 4, SEGMENT_VERSION);
	p = bytes_put(p, 4, h->kind);
	memcpy(p, h->queue_id, QUEUE_ID_BYTES);
	p = bytes_put(p + QUEUE_ID_BYTES, 8, h->first_seq);
	bytes_put(p, 8, h->made_us);
	bytes_put(out + SEGMENT_HEADER_BYTES - 4, 4, crc32c(0, out, SEGMENT_HEADER_BYTES - 4));
}

enum rc segment_header_decode(struct span in, struct segment_header *h)
{
	struct mbuf m = mbuf_of(in.p, in.len);
	struct span text, id;
	uint32_t version, kind, crc;

	if (in.len < SEGMENT_HEADER_BYTES || mbuf_bytes(&m, sizeof(magic), &text) != RC_OK ||
	    memcmp(text.p, magic, sizeof(magic)) != 0 || mbuf_u32(&m, &version) != RC_OK)
		return RC_ERROR;
	if (mbuf_u32(&m, &kind) != RC_OK || mbuf_bytes(&m, QUEUE_ID_BYTES, &id) != RC_OK ||
	    mbuf_u64(&m, &h->first_seq) != RC_OK || mbuf_u64(&m, &h->made_us) != RC_OK || mbuf_skip(&m, 12) != RC_OK ||
	    mbuf_u32(&m, &crc) != RC_OK || crc != crc32c(0, in.p, SEGMENT_HEADER_BYTES - 4))
		return RC_ERROR;
	if (version != SEGMENT_VERSION || (kind != SEGMENT_LOG && kind != SEGMENT_DEAD))
		return RC_DECLINED;
	h->kind = (enum segment_kind)kind;
	memcpy(h->queue_id, id.p, QUEUE_ID_BYTES);
	return RC_OK;
}

uint32_t segment_salt(const uint8_t queue_id[QUEUE_ID_BYTES])
{
	return crc32c(0, queue_id, QUEUE_ID_BYTES);
}

static uint64_t get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

void frame_begin(uint8_t *out, uint64_t seq, enum frame_kind kind, size_t body)
{
	size_t used = FRAME_HEADER_BYTES + body;

	bytes_put(out, 4, body);
	bytes_put(out + FRAME_SEQ_AT, 8, seq);
	bytes_put(out + FRAME_KIND_AT, 4, kind);
	memset(out + used, 0, frame_size(body) - used);
}

/* The checksum field itself is left out. */
static uint32_t frame_crc(const uint8_t *frame, size_t body, uint32_t salt)
{
	uint32_t crc = crc32c(salt, frame, FRAME_CRC_AT);

	return crc32c(crc, frame + FRAME_SEQ_AT, FRAME_HEADER_BYTES - FRAME_SEQ_AT + body);
}

void frame_seal(uint8_t *frame, uint64_t durable_seq, uint32_t salt)
{
	uint64_t since = frame_seq(frame) - durable_seq;

	bytes_put(frame + FRAME_SINCE_AT, 4, since > UINT32_MAX ? UINT32_MAX : since);
	bytes_put(frame + FRAME_CRC_AT, 4, frame_crc(frame, get(frame, 4), salt));
}

uint64_t frame_seq(const uint8_t *frame)
{
	return get(frame + FRAME_SEQ_AT, 8);
}

size_t frame_whole_size(const uint8_t *frame)
{
	return frame_size(get(frame, 4));
}

/* A header that could be one, so that its body is worth reading. */
static bool header_plausible(const uint8_t *h)
{
	uint64_t kind = get(h + FRAME_KIND_AT, 4);

	return get(h, 4) != 0 && get(h, 4) <= FRAME_MAX_BODY && kind >= FRAME_RECORD && kind <= FRAME_GAP;
}

static enum rc bad_frame(void)
{
	errno = EBADMSG;
	return RC_ERROR;
}

/* A frame of any sequence whose checksum is right. RC_ERROR with EBADMSG: there is none here. */
static enum rc frame_fetch(struct frames *w, uint64_t at, struct frame *f)
{
	struct span s;
	const uint8_t *p;
	size_t body;
	enum rc rc = window_get(&w->window, at, FRAME_HEADER_BYTES, &s);

	if (rc != RC_OK)
		return rc;
	p = (const uint8_t *)s.p;
	body = get(p, 4);
	if (!body)
		return RC_DECLINED;
	if (!header_plausible(p))
		return bad_frame();
	rc = window_get(&w->window, at, FRAME_HEADER_BYTES + body, &s);
	if (rc == RC_DECLINED)
		return bad_frame();
	if (rc != RC_OK)
		return rc;
	p = (const uint8_t *)s.p;
	if (get(p + FRAME_CRC_AT, 4) != frame_crc(p, body, w->salt))
		return bad_frame();
	f->seq = frame_seq(p);
	f->since_sync = (uint32_t)get(p + FRAME_SINCE_AT, 4);
	f->kind = (uint32_t)get(p + FRAME_KIND_AT, 4);
	f->body = span_of(p + FRAME_HEADER_BYTES, body);
	return RC_OK;
}

enum rc frame_read(struct frames *w, uint64_t at, uint64_t seq, struct frame *f, uint64_t *next)
{
	enum rc rc = frame_fetch(w, at, f);

	if (rc != RC_OK)
		return rc;
	if (f->seq != seq)
		return bad_frame();
	*next = at + frame_size(f->body.len);
	return RC_OK;
}

enum rc frame_search(struct frames *w, uint64_t *at, uint64_t seq, uint64_t below, struct frame *f)
{
	struct span s;
	enum rc rc;

	for (;; *at += 8) {
		rc = window_get(&w->window, *at, 8, &s);
		if (rc != RC_OK)
			return rc;
		if (get((const uint8_t *)s.p, 8) == 0)
			continue;
		rc = frame_fetch(w, *at, f);
		if (rc == RC_ERROR && errno != EBADMSG)
			return rc;
		if (rc == RC_OK && f->seq > seq && (!below || f->seq < below))
			return RC_OK;
	}
}

/* Does a frame behind `at` prove that seq had been on stable storage? Reads to the end of the file. */
static enum rc proof_of(struct frames *w, uint64_t at, uint64_t seq, bool *found, bool *garbage)
{
	struct frame f;
	struct span s;
	enum rc rc;

	*found = *garbage = false;
	for (;; at += 8) {
		rc = window_get(&w->window, at, 8, &s);
		if (rc != RC_OK)
			return rc == RC_DECLINED ? RC_OK : rc;
		if (get((const uint8_t *)s.p, 8) == 0)
			continue;
		*garbage = true;
		rc = frame_fetch(w, at, &f);
		if (rc == RC_ERROR && errno != EBADMSG)
			return rc;
		if (rc == RC_OK && f.seq > seq && f.seq - f.since_sync >= seq) {
			*found = true;
			return RC_OK;
		}
	}
}

enum rc segment_scan(struct frames *w, uint64_t at, uint64_t seq, segment_frame_fn fn, void *arg,
		     struct segment_scan *out)
{
	struct frame f;
	uint64_t next;
	enum rc rc;

	while ((rc = frame_read(w, at, seq, &f, &next)) == RC_OK) {
		if (fn && fn(arg, &f, at) != RC_OK)
			return RC_ERROR;
		at = next;
		seq++;
	}
	if (rc == RC_ERROR && errno != EBADMSG)
		return rc;
	out->end = at;
	out->next_seq = seq;
	return proof_of(w, at, seq, &out->damaged, &out->torn);
}
