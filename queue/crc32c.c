/*
 * crc32c.c - see crc32c.h.
 */
#include "crc32c.h"

#include <stdbool.h>
#include <string.h>

#define CRC32C_POLY UINT32_C(0x82f63b78) /* 0x1edc6f41, bits reversed */

static uint32_t table[256];
static bool has_instruction;

__attribute__((constructor)) static void crc32c_prepare(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;

		for (int bit = 0; bit < 8; bit++)
			v = (v >> 1) ^ (v & 1 ? CRC32C_POLY : 0);
		table[i] = v;
	}
#if defined(__x86_64__)
	__builtin_cpu_init();
	has_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t len)
{
	const uint8_t *b = p;

	crc = ~crc;
	for (size_t i = 0; i < len; i++)
		crc = (crc >> 8) ^ table[(crc ^ b[i]) & 0xff];
	return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_instruction(uint32_t crc, const uint8_t *b, size_t len)
{
	uint64_t v = (uint32_t)~crc;

	for (; len >= 8; b += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, b, sizeof(word));
		v = __builtin_ia32_crc32di(v, word);
	}
	for (; len; b++, len--)
		v = __builtin_ia32_crc32qi((uint32_t)v, *b);
	return ~(uint32_t)v;
}
#else
static uint32_t crc32c_instruction(uint32_t crc, const uint8_t *b, size_t len)
{
	return crc32c_portable(crc, b, len);
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t len)
{
	return has_instruction ? crc32c_instruction(crc, p, len) : crc32c_portable(crc, p, len);
}
