/*
 * iobuf.c - one block of memory; unread bytes are moved to its front only when that is paid for by bytes consumed.
 */
#include "iobuf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"

#define IOBUF_LEAST 256        /* first allocation */
#define IOBUF_KEEP (16 * 1024) /* an empty buffer larger than this gives its memory back */

void iobuf_init(struct iobuf *b, size_t max)
{
	*b = (struct iobuf){.max = max};
}

/* Bytes behind end were never written, or wiped when they were consumed. */
static void release(struct iobuf *b)
{
	if (b->wipes && b->data)
		explicit_bzero(b->data, b->end);
	mem_free(b->data);
}

void iobuf_reset(struct iobuf *b)
{
	release(b);
	*b = (struct iobuf){.max = b->max, .wipes = b->wipes};
}

/* A bounded buffer may take half as much again, so that a full one isn't moved for every few bytes consumed. */
static size_t cap_limit(const struct iobuf *b)
{
	size_t limit = (size_t)PTRDIFF_MAX;

	return b->max && b->max < limit / 2 ? b->max + b->max / 2 : limit;
}

static enum rc grow(struct iobuf *b, size_t need)
{
	size_t len = iobuf_len(b), cap = b->cap ? b->cap : IOBUF_LEAST;
	uint8_t *data;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap > cap_limit(b))
		cap = cap_limit(b);
	data = mem_alloc(cap);
	if (!data)
		return RC_ERROR;
	if (len)
		memcpy(data, b->data + b->start, len);
	release(b);
	b->data = data;
	b->cap = cap;
	b->start = 0;
	b->end = len;
	return RC_OK;
}

uint8_t *iobuf_reserve(struct iobuf *b, size_t n)
{
	size_t len = iobuf_len(b), most = b->max ? b->max : (size_t)PTRDIFF_MAX;

	if (len > most || n > most - len)
		return NULL;
	if (!b->data || n > b->cap - b->end) {
		if (len + n <= b->cap && (b->start >= len || b->cap == cap_limit(b))) {
			memmove(b->data, b->data + b->start, len);
			if (b->wipes)
				explicit_bzero(b->data + len, b->end - len);
			b->start = 0;
			b->end = len;
		} else if (grow(b, len + n) != RC_OK) {
			return NULL;
		}
	}
	return b->data + b->end;
}

void iobuf_commit(struct iobuf *b, size_t n)
{
	assert(n <= b->cap - b->end);
	b->end += n;
}

enum rc iobuf_append(struct iobuf *b, const void *p, size_t n)
{
	uint8_t *at;

	if (n == 0)
		return RC_OK;
	at = iobuf_reserve(b, n);
	if (!at)
		return RC_ERROR;
	memcpy(at, p, n);
	iobuf_commit(b, n);
	return RC_OK;
}

void iobuf_consume(struct iobuf *b, size_t n)
{
	assert(n <= iobuf_len(b));
	b->start += n;
	if (b->start < b->end)
		return;
	if (b->cap > IOBUF_KEEP) {
		iobuf_reset(b);
		return;
	}
	if (b->wipes && b->data)
		explicit_bzero(b->data, b->end);
	b->start = b->end = 0;
}

enum rc iobuf_printf(struct iobuf *b, const char *fmt, ...)
{
	char small[512], *text = small;
	va_list args;
	enum rc rc;
	int len;

	va_start(args, fmt);
	len = vsnprintf(small, sizeof(small), fmt, args);
	va_end(args);
	if (len < 0)
		return RC_ERROR;
	if ((size_t)len >= sizeof(small)) {
		text = mem_alloc((size_t)len + 1);
		if (!text)
			return RC_ERROR;
		va_start(args, fmt);
		vsnprintf(text, (size_t)len + 1, fmt, args);
		va_end(args);
	}
	rc = iobuf_append(b, text, (size_t)len);
	if (text != small)
		mem_free(text);
	return rc;
}
