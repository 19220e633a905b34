/*
 * swar.h - eight bytes of text at once.
 */
#ifndef SUIMON_SWAR_H
#define SUIMON_SWAR_H

#include <stdint.h>
#include <string.h>

/* Eight bytes at p of which only the first len count (the rest read as 0); nothing at or behind end is touched. */
static inline uint64_t swar_load(const char *p, size_t len, const char *end)
{
	uint64_t x = 0;

	if (end - p >= 8) {
		memcpy(&x, p, 8);
		return len >= 8 ? x : x & ((UINT64_C(1) << (8 * len)) - 1);
	}
	for (size_t i = 0; i < len; i++)
		x |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return x;
}

#define SWAR_ONES UINT64_C(0x0101010101010101)

/* Bit 5 of every byte that is an ASCII letter between first and last. */
static inline uint64_t swar_letters(uint64_t x, char first, char last)
{
	uint64_t low = x & (0x7f * SWAR_ONES);
	uint64_t above = low + (uint64_t)(0x7f - last) * SWAR_ONES;
	uint64_t from = low + (uint64_t)(0x80 - first) * SWAR_ONES;

	return ((from ^ above) & ~x & (0x80 * SWAR_ONES)) >> 2;
}

static inline uint64_t swar_lower(uint64_t x)
{
	return x | swar_letters(x, 'A', 'Z');
}

static inline uint64_t swar_upper(uint64_t x)
{
	return x & ~swar_letters(x, 'a', 'z');
}

#endif
