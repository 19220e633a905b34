/*
 * vec.h - sixteen bytes of text at once, by the compiler's vectors: two registers' worth of work on any 64-bit machine,
 * one on those with SSE2 or NEON.
 */
#ifndef SUIMON_VEC_H
#define SUIMON_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "rc.h"

#define VEC 16

typedef uint8_t vec __attribute__((vector_size(VEC)));

/* The n < 16 bytes at p, and zeroes behind them. */
static inline vec vec_load_part(const char *p, size_t n)
{
	uint64_t half[2] = {0, 0};
	uint32_t a, b;
	vec v;

	if (n >= 8) {
		memcpy(&half[0], p, 8);
		memcpy(&half[1], p + n - 8, 8);
		half[1] = n > 8 ? half[1] >> 8 * (16 - n) : 0;
	} else if (n >= 4) {
		memcpy(&a, p, 4);
		memcpy(&b, p + n - 4, 4);
		half[0] = a | (uint64_t)b << 8 * (n - 4);
	} else if (n) {
		half[0] = (uint64_t)(uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << 8 * (n / 2) |
			  (uint64_t)(uint8_t)p[n - 1] << 8 * (n - 1);
	}
	memcpy(&v, half, VEC);
	return v;
}

/* The bytes at p; nothing at or behind end is touched, zeroes stand for it. */
static inline vec vec_load(const char *p, const char *end)
{
	vec v;

	if (unlikely(end - p < VEC))
		return vec_load_part(p, (size_t)(end - p));
	memcpy(&v, p, VEC);
	return v;
}

static inline void vec_store(char *to, vec v)
{
	memcpy(to, &v, VEC);
}

/* How many bytes from the first on are set in a mask of 0x00 and 0xff: 0 to 16. */
static inline unsigned vec_run(vec mask)
{
#ifdef __SSE2__
	typedef char chars __attribute__((vector_size(VEC)));

	return (unsigned)__builtin_ctz(~(unsigned)__builtin_ia32_pmovmskb128((chars)mask));
#else
	uint64_t half[2];

	memcpy(half, &mask, sizeof half);
	if (~half[0])
		return (unsigned)__builtin_ctzll(~half[0]) / 8;
	return ~half[1] ? 8 + (unsigned)__builtin_ctzll(~half[1]) / 8 : VEC;
#endif
}

/* The first n bytes, and zeroes behind them. */
static inline vec vec_keep(vec v, unsigned n)
{
	static const uint8_t edge[2 * VEC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	vec mask;

	memcpy(&mask, edge + VEC - n, VEC);
	return v & mask;
}

/* A mask of the bytes between first and last. */
static inline vec vec_between(vec v, uint8_t first, uint8_t last)
{
	return (vec)(v - first <= (uint8_t)(last - first));
}

/* Masks of what a bare name may hold: ASCII letters, and the rest: digits, _, $ and bytes beyond ASCII. */
static inline vec vec_letters(vec v)
{
	return vec_between(v | 0x20, 'a', 'z');
}

static inline vec vec_name_signs(vec v)
{
	return vec_between(v, '0', '9') | (vec)(v == '_') | (vec)(v == '$') | (vec)(v >= 0x80);
}

static inline vec vec_lower(vec v)
{
	return v | (vec_between(v, 'A', 'Z') & 0x20);
}

static inline vec vec_upper(vec v)
{
	return v ^ (vec_between(v, 'a', 'z') & 0x20);
}

#endif
