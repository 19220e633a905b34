/*
 * result_values.c - the values in a result's rows, in both protocols.
 */
#include <stdio.h>

#include "result.h"

#define COLUMNS_MOST 64 /* a wider result is let be */
#define FIXED_PART 13   /* the end of a column's definition: length, charset, length, type, flags, decimals, filler */
#define FIXED_TYPE 7
#define FIXED_FLAGS 8
#define FLAG_UNSIGNED 0x20

struct rows {
	struct mbuf m;
	unsigned columns;
	uint8_t type[COLUMNS_MOST];
	bool is_unsigned[COLUMNS_MOST];
	result_value_fn fn;
	void *arg;
};

static bool read_definition(struct rows *r, unsigned i)
{
	struct span def;
	const uint8_t *end;

	if (packet_get_payload(&r->m, &def) != RC_OK || def.len < FIXED_PART)
		return false;
	end = (const uint8_t *)def.p + def.len - FIXED_PART;
	r->type[i] = end[FIXED_TYPE];
	r->is_unsigned[i] = end[FIXED_FLAGS] & FLAG_UNSIGNED;
	return true;
}

/* Up to the first row. */
static bool read_head(struct rows *r, uint64_t caps, bool binary)
{
	struct span count, eof;
	uint64_t n;
	struct mbuf m;

	if (packet_get_payload(&r->m, &count) != RC_OK)
		return false;
	m = mbuf_of(count.p, count.len);
	if (packet_get_lenenc(&m, &n) != RC_OK || n == 0 || n > COLUMNS_MOST)
		return false;
	r->columns = (unsigned)n;
	if (mbuf_left(&m) && *m.p == 0) { /* the client has the metadata already: they do not follow */
		if (binary)
			return false;
	} else {
		for (unsigned i = 0; i < r->columns; i++)
			if (!read_definition(r, i))
				return false;
	}
	return caps & CLIENT_DEPRECATE_EOF || packet_get_payload(&r->m, &eof) == RC_OK;
}

static void text_row(const struct rows *r, struct span row)
{
	struct mbuf m = mbuf_of(row.p, row.len);

	for (unsigned i = 0; i < r->columns && mbuf_left(&m); i++) {
		struct span v;

		if (*m.p == 0xfb) { /* NULL */
			if (mbuf_skip(&m, 1) != RC_OK)
				return;
		} else if (packet_get_lenenc_str(&m, &v) == RC_OK) {
			r->fn(r->arg, v);
		} else {
			return;
		}
	}
}

/* Bytes of an integer type; 0: none. */
static unsigned integer_size(uint8_t type)
{
	switch (type) {
	case FIELD_TINY:
		return 1;
	case FIELD_SHORT:
	case FIELD_YEAR:
		return 2;
	case FIELD_LONG:
	case FIELD_INT24:
		return 4;
	case FIELD_LONGLONG:
		return 8;
	default:
		return 0;
	}
}

static bool integer(const struct rows *r, unsigned i, struct mbuf *m)
{
	unsigned size = integer_size(r->type[i]), shift = 64 - 8 * size;
	char text[24];
	uint64_t v;
	int len;

	if (mbuf_uint(m, size, &v) != RC_OK)
		return false;
	if (r->is_unsigned[i])
		len = snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	else
		len = snprintf(text, sizeof(text), "%lld", (long long)((int64_t)(v << shift) >> shift));
	r->fn(r->arg, span_of(text, (size_t)len));
	return true;
}

static bool binary_value(const struct rows *r, unsigned i, struct mbuf *m)
{
	struct span v;
	uint8_t n;

	if (integer_size(r->type[i]))
		return integer(r, i, m);
	switch (r->type[i]) {
	case FIELD_FLOAT:
		return mbuf_skip(m, 4) == RC_OK;
	case FIELD_DOUBLE:
		return mbuf_skip(m, 8) == RC_OK;
	case FIELD_DATE:
	case FIELD_TIME:
	case FIELD_DATETIME:
	case FIELD_TIMESTAMP:
		return mbuf_u8(m, &n) == RC_OK && mbuf_skip(m, n) == RC_OK;
	default:
		if (packet_get_lenenc_str(m, &v) != RC_OK)
			return false;
		r->fn(r->arg, v);
		return true;
	}
}

static void binary_row(const struct rows *r, struct span row)
{
	struct mbuf m = mbuf_of(row.p, row.len);
	struct span nulls;

	if (mbuf_skip(&m, 1) != RC_OK || mbuf_bytes(&m, (r->columns + 7 + 2) / 8, &nulls) != RC_OK)
		return;
	for (unsigned i = 0; i < r->columns; i++) {
		bool is_null = (uint8_t)nulls.p[(i + 2) / 8] >> ((i + 2) % 8) & 1;

		if (!is_null && !binary_value(r, i, &m))
			return;
	}
}

/* The first value of a row: where its bytes are, and the integer they say. False: none. */
static bool first_integer(const struct rows *r, struct span row, bool binary, struct span *at, uint64_t *v)
{
	struct mbuf m = mbuf_of(row.p, row.len);
	size_t head = 1 + (r->columns + 7 + 2) / 8;

	if (binary) {
		unsigned size = integer_size(r->type[0]);

		if (size < 4 || row.len < head || row.p[1] & 1 << 2 || mbuf_skip(&m, head) != RC_OK || mbuf_uint(&m, size, v) != RC_OK)
			return false;
		*at = span_of(row.p + head, size);
		return true;
	}
	if (row.len == 0 || (uint8_t)row.p[0] >= 20 || packet_get_lenenc_str(&m, at) != RC_OK || at->len == 0)
		return false;
	*v = 0;
	for (size_t i = 0; i < at->len; i++) {
		if (at->p[i] < '0' || at->p[i] > '9')
			return false;
		*v = *v * 10 + (uint64_t)(at->p[i] - '0');
	}
	return true;
}

/* The row with n in the place of its first value. */
static enum rc put_listed(struct iobuf *out, struct span row, bool binary, struct span at, uint64_t n)
{
	uint8_t seq = packet_seq((const uint8_t *)row.p - PACKET_HEADER);
	const char *rest = at.p + at.len;
	char text[24];
	struct iobuf b;
	enum rc rc;
	size_t len;

	iobuf_init(&b, 0);
	if (binary) {
		len = at.len;
		for (size_t i = 0; i < len; i++)
			text[i] = (char)(n >> (8 * i));
		rc = iobuf_append(&b, row.p, (size_t)(at.p - row.p));
	} else {
		len = (size_t)snprintf(text + 1, sizeof(text) - 1, "%llu", (unsigned long long)n) + 1;
		text[0] = (char)(len - 1);
		rc = RC_OK;
	}
	if (rc == RC_OK)
		rc = iobuf_append(&b, text, len);
	if (rc == RC_OK)
		rc = iobuf_append(&b, rest, (size_t)(row.p + row.len - rest));
	if (rc == RC_OK)
		rc = packet_put(out, &seq, iobuf_data(&b), iobuf_len(&b));
	iobuf_reset(&b);
	return rc;
}

enum rc result_put_listed(struct iobuf *out, struct span reply, uint64_t caps, bool binary, uint64_t from, uint64_t n)
{
	struct rows r = {.m = mbuf_of(reply.p, reply.len)};
	const char *copied = reply.p;
	struct span row, at;
	uint64_t v;

	if (!read_head(&r, caps, binary))
		return RC_DECLINED;
	while (packet_get_payload(&r.m, &row) == RC_OK) {
		if (!first_integer(&r, row, binary, &at, &v) || v != from)
			continue;
		if (iobuf_append(out, copied, (size_t)(row.p - PACKET_HEADER - copied)) != RC_OK ||
		    put_listed(out, row, binary, at, n) != RC_OK)
			return RC_ERROR;
		copied = row.p + row.len;
	}
	return iobuf_append(out, copied, (size_t)(reply.p + reply.len - copied));
}

size_t result_each_value(struct span reply, uint64_t caps, bool binary, result_value_fn fn, void *arg)
{
	struct rows r = {.m = mbuf_of(reply.p, reply.len), .fn = fn, .arg = arg};
	struct span row;
	size_t n = 0;

	if (!read_head(&r, caps, binary))
		return 0;
	while (packet_get_payload(&r.m, &row) == RC_OK && row.len && (uint8_t)row.p[0] < 0xfe) {
		if (binary)
			binary_row(&r, row);
		else
			text_row(&r, row);
		n++;
	}
	return n;
}
