#include "result.h"

#include <stdio.h>
#include <string.h>

#define NUMBER_MOST 22 /* digits, and a sign */

/* One packet, header and all. */
static bool next_packet(struct mbuf *m, struct span *packet, struct span *payload)
{
	if (packet_get_payload(m, payload) != RC_OK)
		return false;
	*packet = span_of(payload->p - PACKET_HEADER, PACKET_HEADER + payload->len);
	return true;
}

/* The row, of a result of one row and so many columns; packet: with its header. */
static bool only_row(struct span reply, uint64_t caps, unsigned columns, struct span *packet, struct span *row)
{
	struct mbuf m = mbuf_of(reply.p, reply.len);
	struct span count;
	unsigned between = caps & CLIENT_DEPRECATE_EOF ? 0 : 1; /* the EOF, and the definitions */

	if (!next_packet(&m, packet, &count) || count.len == 0 || (uint8_t)count.p[0] != columns)
		return false;
	if (count.len == 1 || count.p[1] != 0) /* else the client has the metadata already: they do not follow */
		between += columns;
	for (; between; between--)
		if (!next_packet(&m, packet, row))
			return false;
	return next_packet(&m, packet, row) && !mbuf_left(&m);
}

static bool is_given(const struct result_numbers *v, unsigned column)
{
	return v->given >> column & 1;
}

/* Appends to payload; 0: that is no row of numbers. */
static size_t text_row(struct span row, const struct result_numbers *v, char *payload)
{
	struct mbuf m = mbuf_of(row.p, row.len);
	struct span text;
	size_t len = 0;

	for (unsigned i = 0; i < v->columns; i++) {
		char *to = payload + len + 1;

		if (packet_get_lenenc_str(&m, &text) != RC_OK || text.len > NUMBER_MOST)
			return 0;
		if (is_given(v, i))
			text = span_of(to, (size_t)snprintf(to, NUMBER_MOST + 1, "%lld", (long long)v->n[i]));
		else if (text.len)
			memcpy(to, text.p, text.len);
		payload[len] = (char)text.len;
		len += 1 + text.len;
	}
	return mbuf_left(&m) ? 0 : len;
}

/* 0x00, a bitmap of one byte, the integers: one of 4 bytes, or all of 8. */
static size_t binary_row(struct span row, const struct result_numbers *v, char *payload)
{
	size_t width = (row.len - 2) / v->columns;

	if (row.len < 2 || row.len != 2 + width * v->columns || row.p[0] != 0 || row.p[1] != 0 || !(width == 8 || (width == 4 && v->columns == 1)))
		return 0;
	memcpy(payload, row.p, row.len);
	for (unsigned c = 0; c < v->columns; c++)
		for (size_t i = 0; is_given(v, c) && i < width; i++)
			payload[2 + c * width + i] = (char)(v->n[c] >> (8 * i));
	return row.len;
}

enum rc result_put_numbers(struct iobuf *out, struct span reply, uint64_t caps, bool binary, const struct result_numbers *v)
{
	char payload[RESULT_NUMBERS_MOST * (1 + NUMBER_MOST) + 1];
	struct span packet, row;
	uint8_t seq;
	size_t len;

	if (!only_row(reply, caps, v->columns, &packet, &row))
		return RC_DECLINED;
	len = binary ? binary_row(row, v, payload) : text_row(row, v, payload);
	if (!len)
		return RC_DECLINED;
	if (iobuf_append(out, reply.p, (size_t)(packet.p - reply.p)) != RC_OK)
		return RC_ERROR;
	seq = packet_seq((const uint8_t *)packet.p);
	return packet_put(out, &seq, payload, len);
}
