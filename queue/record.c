/*
 * record.c - see record.h.
 */
#include "record.h"

#include "bytes.h"
#include "mbuf.h"

#define FLAG_HALT 1u
#define FLAG_PARTS 2u
#define TEXTS_MOST 7 /* the last only with parts */
#define PART_BYTES 4
#define PART_GAP 2 /* ";\n" */

static int record_texts(const struct queue_record *r, struct span out[TEXTS_MOST])
{
	const struct span texts[TEXTS_MOST] = {r->account, r->schema, r->tables, r->order_key, r->environment, r->sql, r->parts};

	memcpy(out, texts, sizeof(texts));
	return r->parts.len ? TEXTS_MOST : TEXTS_MOST - 1;
}

size_t record_size(const struct record *rec)
{
	struct span texts[TEXTS_MOST];
	int n = record_texts(&rec->r, texts);
	size_t size = RECORD_FIXED_BYTES + (n == TEXTS_MOST ? 4 : 0);

	for (int i = 0; i < n; i++) {
		if (texts[i].len > RECORD_MAX_BYTES - size)
			return 0;
		size += texts[i].len;
	}
	return size;
}

void record_encode(const struct record *rec, uint8_t *out)
{
	const struct queue_record *r = &rec->r;
	struct span texts[TEXTS_MOST];
	int n = record_texts(r, texts);

	out = bytes_put(out, 4, (r->on_error == QUEUE_HALT ? FLAG_HALT : 0) | (n == TEXTS_MOST ? FLAG_PARTS : 0));
	out = bytes_put(out, 8, r->digest);
	out = bytes_put(out, 8, r->time_us);
	out = bytes_put(out, 8, rec->retry_of);
	out = bytes_put(out, 4, r->rows_at);
	out = bytes_put(out, 4, r->rows_end);
	for (int i = 0; i < n; i++)
		out = bytes_put(out, 4, texts[i].len);
	for (int i = 0; i < n; i++) {
		if (texts[i].len)
			memcpy(out, texts[i].p, texts[i].len);
		out += texts[i].len;
	}
}

static enum rc decode_fixed(struct mbuf *m, struct record *rec, uint32_t lens[TEXTS_MOST])
{
	struct queue_record *r = &rec->r;
	uint32_t flags;

	if (mbuf_u32(m, &flags) != RC_OK || (flags & ~(FLAG_HALT | FLAG_PARTS)) || mbuf_u64(m, &r->digest) != RC_OK ||
	    mbuf_u64(m, &r->time_us) != RC_OK || mbuf_u64(m, &rec->retry_of) != RC_OK ||
	    mbuf_u32(m, &r->rows_at) != RC_OK || mbuf_u32(m, &r->rows_end) != RC_OK)
		return RC_ERROR;
	r->on_error = flags & FLAG_HALT ? QUEUE_HALT : QUEUE_DEAD_LETTER;
	for (int i = 0; i < TEXTS_MOST - 1; i++) {
		if (mbuf_u32(m, &lens[i]) != RC_OK)
			return RC_ERROR;
	}
	if (!(flags & FLAG_PARTS))
		return RC_OK;
	return mbuf_u32(m, &lens[TEXTS_MOST - 1]) == RC_OK && lens[TEXTS_MOST - 1] ? RC_OK : RC_ERROR;
}

static size_t part_end(const struct queue_record *r, size_t i)
{
	const uint8_t *p = (const uint8_t *)r->parts.p + i * PART_BYTES;

	return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

bool record_part(const struct queue_record *r, size_t i, struct span *out)
{
	size_t from;

	if ((i + 1) * PART_BYTES > r->parts.len)
		return false;
	from = i ? part_end(r, i - 1) + PART_GAP : 0;
	*out = span_of(r->sql.p + from, part_end(r, i) - from);
	return true;
}

/* One behind the other, to the statement's end. */
static enum rc check_parts(const struct queue_record *r)
{
	size_t from = 0;

	if (r->rows_end || r->parts.len % PART_BYTES)
		return RC_ERROR;
	for (size_t i = 0; i < r->parts.len / PART_BYTES; i++) {
		size_t end = part_end(r, i);

		if (end < from || end > r->sql.len)
			return RC_ERROR;
		from = end + PART_GAP;
	}
	return from == r->sql.len + PART_GAP ? RC_OK : RC_ERROR;
}

enum rc record_decode(struct span body, struct record *rec)
{
	struct mbuf m = mbuf_of(body.p, body.len);
	struct queue_record *r = &rec->r;
	struct span *const texts[TEXTS_MOST] = {&r->account,	 &r->schema, &r->tables, &r->order_key,
						&r->environment, &r->sql,    &r->parts};
	uint32_t lens[TEXTS_MOST] = {0};

	memset(rec, 0, sizeof(*rec));
	if (decode_fixed(&m, rec, lens) != RC_OK)
		return RC_ERROR;
	for (int i = 0; i < TEXTS_MOST; i++) {
		if (mbuf_bytes(&m, lens[i], texts[i]) != RC_OK)
			return RC_ERROR;
	}
	if (mbuf_left(&m) || r->rows_at > r->rows_end || r->rows_end > r->sql.len)
		return RC_ERROR;
	return r->parts.len ? check_parts(r) : RC_OK;
}
