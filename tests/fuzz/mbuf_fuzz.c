/*
 * mbuf_fuzz.c - the input's first half says which reads to make of its second half; none may leave it (F2).
 */
#include <stdlib.h>

#include "mbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum rc one_read(struct mbuf *m, uint8_t what, size_t n)
{
	struct span s = {0};
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;
	uint8_t u8;

	switch (what % 8) {
	case 0:
		return mbuf_skip(m, n);
	case 1:
		return mbuf_uint(m, n, &u64);
	case 2:
		return mbuf_u8(m, &u8);
	case 3:
		return mbuf_u16(m, &u16);
	case 4:
		return mbuf_u32(m, &u32);
	case 5:
		return mbuf_u64(m, &u64);
	case 6:
		return mbuf_bytes(m, n, &s);
	default:
		return mbuf_str_nul(m, &s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t half = size / 2;
	struct mbuf m = mbuf_of(data + half, size - half);

	for (size_t i = 0; i + 1 < half; i += 2) {
		struct mbuf before = m;
		size_t n = data[i] & 0x80 ? SIZE_MAX - data[i + 1] : data[i + 1];
		enum rc rc = one_read(&m, data[i], n);

		if (m.end != before.end || m.p < before.p || m.p > m.end || (rc != RC_OK && m.p != before.p))
			abort();
	}
	return 0;
}
