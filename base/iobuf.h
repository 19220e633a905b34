/*
 * iobuf.h - a growable byte queue with an upper bound: appended at the end, consumed at the start.
 */
#ifndef SUIMON_IOBUF_H
#define SUIMON_IOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rc.h"

struct iobuf {
	uint8_t *data; /* owned; NULL while nothing was ever stored */
	size_t start;  /* first unread byte */
	size_t end;    /* behind the last stored byte */
	size_t cap;    /* bytes allocated; at most one and a half times max */
	size_t max;    /* most unread bytes it may hold; 0 = unlimited */
	bool wipes;    /* a secret may be in it: memory is overwritten before it is given back, and when all is consumed */
};

void iobuf_init(struct iobuf *b, size_t max);
void iobuf_reset(struct iobuf *b); /* frees the memory, keeps max and wipes */

static inline size_t iobuf_len(const struct iobuf *b)
{
	return b->end - b->start;
}

/* The unread bytes; never NULL. Valid until the next call that adds or consumes. */
static inline const uint8_t *iobuf_data(const struct iobuf *b)
{
	return b->data ? b->data + b->start : (const uint8_t *)"";
}

/* Room for at least n more bytes behind the end; returns where to write them, or NULL (bound or memory). */
uint8_t *iobuf_reserve(struct iobuf *b, size_t n) must_check;
void iobuf_commit(struct iobuf *b, size_t n);                              /* n bytes were written behind the end */
enum rc iobuf_append(struct iobuf *b, const void *p, size_t n) must_check; /* RC_ERROR: bound or memory, b unchanged */
/* Drops n bytes at the start. Frees the memory when that empties a large one (> 16 KiB). */
void iobuf_consume(struct iobuf *b, size_t n);
enum rc iobuf_printf(struct iobuf *b, const char *fmt, ...) must_check printf_like(2, 3);

#endif
