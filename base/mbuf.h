/*
 * mbuf.h - the one bounded cursor for everything read from a wire or a file. Little-endian.
 *
 * Every read tests `n > end - p` before it moves; a failed read moves nothing and returns RC_ERROR.
 */
#ifndef SUIMON_MBUF_H
#define SUIMON_MBUF_H

#include <stdint.h>
#include <string.h>

#include "rc.h"
#include "span.h"

struct mbuf {
	const uint8_t *p;
	const uint8_t *end;
};

/* p may be NULL when len is 0. */
static inline struct mbuf mbuf_of(const void *p, size_t len)
{
	const uint8_t *at = p ? p : (const void *)"";

	return (struct mbuf){.p = at, .end = at + len};
}

static inline size_t mbuf_left(const struct mbuf *m)
{
	return (size_t)(m->end - m->p);
}

must_check static inline enum rc mbuf_skip(struct mbuf *m, size_t n)
{
	if (n > mbuf_left(m))
		return RC_ERROR;
	m->p += n;
	return RC_OK;
}

/* n little-endian bytes (1 to 8) as a number. */
must_check static inline enum rc mbuf_uint(struct mbuf *m, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if (n > 8 || n > mbuf_left(m))
		return RC_ERROR;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)m->p[i] << (8 * i);
	m->p += n;
	*out = v;
	return RC_OK;
}

must_check static inline enum rc mbuf_u8(struct mbuf *m, uint8_t *out)
{
	if (m->p == m->end)
		return RC_ERROR;
	*out = *m->p++;
	return RC_OK;
}

must_check static inline enum rc mbuf_u16(struct mbuf *m, uint16_t *out)
{
	uint64_t v;

	if (mbuf_uint(m, 2, &v) != RC_OK)
		return RC_ERROR;
	*out = (uint16_t)v;
	return RC_OK;
}

must_check static inline enum rc mbuf_u32(struct mbuf *m, uint32_t *out)
{
	uint64_t v;

	if (mbuf_uint(m, 4, &v) != RC_OK)
		return RC_ERROR;
	*out = (uint32_t)v;
	return RC_OK;
}

must_check static inline enum rc mbuf_u64(struct mbuf *m, uint64_t *out)
{
	return mbuf_uint(m, 8, out);
}

/* The next n bytes, not copied. */
must_check static inline enum rc mbuf_bytes(struct mbuf *m, size_t n, struct span *out)
{
	if (n > mbuf_left(m))
		return RC_ERROR;
	*out = span_of(m->p, n);
	m->p += n;
	return RC_OK;
}

/* Bytes up to a NUL, which is consumed and not part of out. */
must_check static inline enum rc mbuf_str_nul(struct mbuf *m, struct span *out)
{
	const uint8_t *nul = mbuf_left(m) ? memchr(m->p, 0, mbuf_left(m)) : NULL;

	if (!nul)
		return RC_ERROR;
	*out = span_of(m->p, (size_t)(nul - m->p));
	m->p = nul + 1;
	return RC_OK;
}

#endif
