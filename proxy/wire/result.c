#include "result.h"

#include <stdio.h>

/* One packet, header and all. */
static bool next_packet(struct mbuf *m, struct span *packet, struct span *payload)
{
	if (packet_get_payload(m, payload) != RC_OK)
		return false;
	*packet = span_of(payload->p - PACKET_HEADER, PACKET_HEADER + payload->len);
	return true;
}

static bool is_text_number(struct span row)
{
	struct mbuf m = mbuf_of(row.p, row.len);
	struct span text;

	return packet_get_lenenc_str(&m, &text) == RC_OK && mbuf_left(&m) == 0;
}

/* 0x00, a bitmap of one byte, the integer. */
static bool is_binary_number(struct span row)
{
	return (row.len == 2 + 4 || row.len == 2 + 8) && row.p[0] == 0 && row.p[1] == 0;
}

static enum rc put_row(struct iobuf *out, struct span row, uint8_t seq, bool binary, uint64_t n)
{
	char payload[32];
	size_t len;

	if (binary) {
		memcpy(payload, row.p, 2);
		len = row.len;
		for (size_t i = 0; i < len - 2; i++)
			payload[2 + i] = (char)(n >> (8 * i));
	} else {
		len = (size_t)snprintf(payload + 1, sizeof(payload) - 1, "%lld", (long long)n) + 1;
		payload[0] = (char)(len - 1);
	}
	return packet_put(out, &seq, payload, len);
}

enum rc result_put_number(struct iobuf *out, struct span reply, uint64_t caps, bool binary, uint64_t n)
{
	struct mbuf m = mbuf_of(reply.p, reply.len);
	struct span packet, count, payload;
	unsigned between = caps & CLIENT_DEPRECATE_EOF ? 1 : 2; /* the definition, and its EOF */

	if (!next_packet(&m, &packet, &count) || count.len == 0 || count.p[0] != 1)
		return RC_DECLINED;
	if (count.len > 1 && count.p[1] == 0) /* the client has the metadata already: they do not follow */
		between--;
	for (; between; between--)
		if (!next_packet(&m, &packet, &payload))
			return RC_DECLINED;
	if (!next_packet(&m, &packet, &payload) || mbuf_left(&m) ||
	    !(binary ? is_binary_number(payload) : is_text_number(payload)))
		return RC_DECLINED;
	if (iobuf_append(out, reply.p, (size_t)(packet.p - reply.p)) != RC_OK)
		return RC_ERROR;
	return put_row(out, payload, packet_seq((const uint8_t *)packet.p), binary, n);
}
