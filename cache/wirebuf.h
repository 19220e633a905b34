/*
 * wirebuf.h - little-endian numbers into a buffer of known size: the other direction of mbuf.h.
 */
#ifndef SUIMON_CACHE_WIREBUF_H
#define SUIMON_CACHE_WIREBUF_H

#include <stdint.h>
#include <string.h>

#include "rc.h"

struct wirebuf {
	uint8_t *p;   /* where the next byte goes */
	uint8_t *end;
};

must_check static inline enum rc wirebuf_bytes(struct wirebuf *w, const void *from, size_t n)
{
	if (n > (size_t)(w->end - w->p))
		return RC_ERROR;
	if (n)
		memcpy(w->p, from, n);
	w->p += n;
	return RC_OK;
}

/* The n low bytes of v (1 to 8). */
must_check static inline enum rc wirebuf_uint(struct wirebuf *w, size_t n, uint64_t v)
{
	if (n > 8 || n > (size_t)(w->end - w->p))
		return RC_ERROR;
	for (size_t i = 0; i < n; i++)
		*w->p++ = (uint8_t)(v >> (8 * i));
	return RC_OK;
}

#endif
