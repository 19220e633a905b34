/*
 * sqsmsg.c - see sqsmsg.h.
 */
#include "sqsmsg.h"

#include <openssl/evp.h>

#include "bytes.h"
#include "crc32c.h"
#include "mbuf.h"

#define MAGIC "suq1"
#define MAGIC_BYTES 4u
#define SUMMED_AT 8u /* behind the magic and the checksum */
#define TEXT_MAX (2u << 20)

static void put_raw(const struct sqsmsg *m, uint8_t *out)
{
	uint8_t *p = out + SUMMED_AT;

	p = bytes_put(p, 8, m->queue);
	p = bytes_put(p, 4, m->lane);
	p = bytes_put(p, 8, m->producer);
	p = bytes_put(p, 8, m->number);
	p = bytes_put(p, 8, m->before);
	p = bytes_put(p, 4, m->count);
	memcpy(p, m->records.p, m->records.len);
	memcpy(out, MAGIC, MAGIC_BYTES);
	bytes_put(out + MAGIC_BYTES, 4, crc32c(0, out + SUMMED_AT, SQSMSG_HEAD_BYTES - SUMMED_AT + m->records.len));
}

enum rc sqsmsg_encode(const struct sqsmsg *m, struct iobuf *out)
{
	size_t raw_len = SQSMSG_HEAD_BYTES + m->records.len, len = (raw_len + 2) / 3 * 4;
	struct iobuf raw;
	uint8_t *p, *text;

	if (!m->records.len || len > TEXT_MAX)
		return RC_ERROR;
	iobuf_init(&raw, 0);
	p = iobuf_reserve(&raw, raw_len);
	text = iobuf_reserve(out, len + 1);
	if (p && text) {
		put_raw(m, p);
		EVP_EncodeBlock(text, p, (int)raw_len);
		iobuf_commit(out, len);
	}
	iobuf_reset(&raw);
	return p && text ? RC_OK : RC_ERROR;
}

static bool is_base64(struct span text)
{
	size_t pad = 0;

	if (!text.len || text.len % 4 || text.len > TEXT_MAX)
		return false;
	while (pad < 2 && text.p[text.len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < text.len - pad; i++) {
		char c = text.p[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '/')
			return false;
	}
	return true;
}

/* RC_DECLINED: it is no base64. */
static enum rc decode_text(struct span text, struct iobuf *raw)
{
	size_t len = text.len / 4 * 3;
	uint8_t *p;

	if (!is_base64(text))
		return RC_DECLINED;
	iobuf_consume(raw, iobuf_len(raw));
	p = iobuf_reserve(raw, len + 1);
	if (!p)
		return RC_ERROR;
	if (EVP_DecodeBlock(p, (const uint8_t *)text.p, (int)text.len) != (int)len)
		return RC_DECLINED;
	len -= (size_t)(text.p[text.len - 1] == '=') + (size_t)(text.p[text.len - 2] == '=');
	iobuf_commit(raw, len);
	return RC_OK;
}

enum rc sqsmsg_next(struct span *records, struct span *body)
{
	struct mbuf b = mbuf_of(records->p, records->len);
	uint32_t len;

	if (mbuf_u32(&b, &len) != RC_OK || mbuf_bytes(&b, len, body) != RC_OK)
		return RC_ERROR;
	*records = span_of(b.p, mbuf_left(&b));
	return RC_OK;
}

static bool are_whole(const struct sqsmsg *m)
{
	struct span left = m->records, body;

	if (!m->count || m->count > SQSMSG_RECORDS_MAX || !m->number || m->number >> (64 - SQSMSG_ID_BITS) || m->before >= m->number)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		if (sqsmsg_next(&left, &body) != RC_OK || !body.len)
			return false;
	return !left.len;
}

enum rc sqsmsg_decode(struct span text, struct iobuf *raw, struct sqsmsg *m, const char **why)
{
	enum rc rc = decode_text(text, raw);
	struct span magic;
	struct mbuf b;
	uint32_t crc;

	*why = "it is not suimon's, or a newer version's";
	if (rc != RC_OK)
		return rc;
	b = mbuf_of(iobuf_data(raw), iobuf_len(raw));
	if (mbuf_bytes(&b, MAGIC_BYTES, &magic) != RC_OK || !span_eq(magic, span_str(MAGIC)) || mbuf_u32(&b, &crc) != RC_OK)
		return RC_DECLINED;
	*why = "it is damaged";
	if (crc != crc32c(0, b.p, mbuf_left(&b)) || mbuf_u64(&b, &m->queue) != RC_OK || mbuf_u32(&b, &m->lane) != RC_OK ||
	    mbuf_u64(&b, &m->producer) != RC_OK || mbuf_u64(&b, &m->number) != RC_OK || mbuf_u64(&b, &m->before) != RC_OK ||
	    mbuf_u32(&b, &m->count) != RC_OK)
		return RC_DECLINED;
	m->records = span_of(b.p, mbuf_left(&b));
	return are_whole(m) ? RC_OK : RC_DECLINED;
}
