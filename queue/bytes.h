/*
 * bytes.h - little-endian numbers into bytes: the writing side of mbuf.h.
 */
#ifndef SUIMON_BYTES_H
#define SUIMON_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* Writes the low n bytes (1 to 8) of v; returns where to go on. */
static inline uint8_t *bytes_put(uint8_t *out, size_t n, uint64_t v)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(v >> (8 * i));
	return out + n;
}

#endif
