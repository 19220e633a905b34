/*
 * record.c - see record.h.
 */
#include "record.h"

#include "bytes.h"
#include "mbuf.h"

#define FLAG_HALT 1u
#define TEXTS 6

static void record_texts(const struct queue_record *r, struct span out[TEXTS])
{
	const struct span texts[TEXTS] = {r->account, r->schema, r->tables, r->order_key, r->environment, r->sql};

	memcpy(out, texts, sizeof(texts));
}

size_t record_size(const struct record *rec)
{
	struct span texts[TEXTS];
	size_t size = RECORD_FIXED_BYTES;

	record_texts(&rec->r, texts);
	for (int i = 0; i < TEXTS; i++) {
		if (texts[i].len > RECORD_MAX_BYTES - size)
			return 0;
		size += texts[i].len;
	}
	return size;
}

void record_encode(const struct record *rec, uint8_t *out)
{
	const struct queue_record *r = &rec->r;
	struct span texts[TEXTS];

	record_texts(r, texts);
	out = bytes_put(out, 4, r->on_error == QUEUE_HALT ? FLAG_HALT : 0);
	out = bytes_put(out, 8, r->digest);
	out = bytes_put(out, 8, r->time_us);
	out = bytes_put(out, 8, rec->retry_of);
	out = bytes_put(out, 4, r->rows_at);
	out = bytes_put(out, 4, r->rows_end);
	for (int i = 0; i < TEXTS; i++)
		out = bytes_put(out, 4, texts[i].len);
	for (int i = 0; i < TEXTS; i++) {
		if (texts[i].len)
			memcpy(out, texts[i].p, texts[i].len);
		out += texts[i].len;
	}
}

static enum rc decode_fixed(struct mbuf *m, struct record *rec, uint32_t lens[TEXTS])
{
	struct queue_record *r = &rec->r;
	uint32_t flags;

	if (mbuf_u32(m, &flags) != RC_OK || (flags & ~FLAG_HALT) || mbuf_u64(m, &r->digest) != RC_OK ||
	    mbuf_u64(m, &r->time_us) != RC_OK || mbuf_u64(m, &rec->retry_of) != RC_OK ||
	    mbuf_u32(m, &r->rows_at) != RC_OK || mbuf_u32(m, &r->rows_end) != RC_OK)
		return RC_ERROR;
	r->on_error = flags & FLAG_HALT ? QUEUE_HALT : QUEUE_DEAD_LETTER;
	for (int i = 0; i < TEXTS; i++) {
		if (mbuf_u32(m, &lens[i]) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

enum rc record_decode(struct span body, struct record *rec)
{
	struct mbuf m = mbuf_of(body.p, body.len);
	struct queue_record *r = &rec->r;
	struct span *const texts[TEXTS] = {&r->account,   &r->schema,      &r->tables,
					   &r->order_key, &r->environment, &r->sql};
	uint32_t lens[TEXTS];

	memset(rec, 0, sizeof(*rec));
	if (decode_fixed(&m, rec, lens) != RC_OK)
		return RC_ERROR;
	for (int i = 0; i < TEXTS; i++) {
		if (mbuf_bytes(&m, lens[i], texts[i]) != RC_OK)
			return RC_ERROR;
	}
	if (mbuf_left(&m) || r->rows_at > r->rows_end || r->rows_end > r->sql.len)
		return RC_ERROR;
	return RC_OK;
}
