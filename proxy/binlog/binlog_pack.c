#include <zlib.h>
#include <zstd.h>

#include "binlog_impl.h"
#include "mem.h"
#include "packet.h"

static uint8_t *renew(uint8_t **buffer, uint64_t len)
{
	mem_free(*buffer);
	*buffer = mem_alloc(len ? len : 1);
	return *buffer;
}

/* The first byte: 0x80, the algorithm (0: zlib) in bits 4 to 6, how many bytes the length has. It is big-endian. */
enum rc binlog_inflate(struct mbuf packed, uint8_t **buffer, struct mbuf *out)
{
	uint64_t len = 0;
	uint8_t head, byte;
	uLongf got;

	if (mbuf_u8(&packed, &head) != RC_OK || (head & 0xf0) != 0x80 || (head & 0x07) < 1 || (head & 0x07) > 4)
		return RC_DECLINED;
	for (unsigned i = 0; i < (head & 0x07u); i++) {
		if (mbuf_u8(&packed, &byte) != RC_OK)
			return RC_DECLINED;
		len = len << 8 | byte;
	}
	if (len > BINLOG_UNPACKED_MOST)
		return RC_DECLINED;
	if (!renew(buffer, len))
		return RC_ERROR;
	got = (uLongf)len;
	if (uncompress(*buffer, &got, packed.p, mbuf_left(&packed)) != Z_OK || got != len)
		return RC_DECLINED;
	*out = mbuf_of(*buffer, len);
	return RC_OK;
}

/* Fields of a type, a length and a number; type 0 ends them. */
enum { PAYLOAD_END, PAYLOAD_SIZE, PAYLOAD_COMPRESSION, PAYLOAD_UNPACKED };
enum { COMPRESSION_ZSTD = 0, COMPRESSION_NONE = 255 };

static enum rc payload_fields(struct mbuf *m, uint64_t field[PAYLOAD_UNPACKED + 1])
{
	uint64_t type, len;
	struct span value;

	for (;;) {
		struct mbuf at;

		if (packet_get_lenenc(m, &type) != RC_OK)
			return RC_DECLINED;
		if (type == PAYLOAD_END)
			return RC_OK;
		if (packet_get_lenenc(m, &len) != RC_OK || len > mbuf_left(m) || mbuf_bytes(m, len, &value) != RC_OK)
			return RC_DECLINED;
		at = mbuf_of(value.p, value.len);
		if (type <= PAYLOAD_UNPACKED && packet_get_lenenc(&at, &field[type]) != RC_OK)
			return RC_DECLINED;
	}
}

enum rc binlog_payload(struct mbuf m, uint8_t **buffer, struct mbuf *out)
{
	uint64_t field[PAYLOAD_UNPACKED + 1] = {0};
	struct span packed;
	size_t got;

	if (payload_fields(&m, field) != RC_OK || field[PAYLOAD_SIZE] > mbuf_left(&m) ||
	    mbuf_bytes(&m, field[PAYLOAD_SIZE], &packed) != RC_OK || field[PAYLOAD_UNPACKED] > BINLOG_UNPACKED_MOST)
		return RC_DECLINED;
	if (field[PAYLOAD_COMPRESSION] == COMPRESSION_NONE) {
		*out = mbuf_of(packed.p, packed.len);
		return RC_OK;
	}
	if (field[PAYLOAD_COMPRESSION] != COMPRESSION_ZSTD)
		return RC_DECLINED;
	if (!renew(buffer, field[PAYLOAD_UNPACKED]))
		return RC_ERROR;
	got = ZSTD_decompress(*buffer, field[PAYLOAD_UNPACKED], packed.p, packed.len);
	if (ZSTD_isError(got))
		return RC_DECLINED;
	*out = mbuf_of(*buffer, got);
	return RC_OK;
}
