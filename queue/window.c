/*
 * window.c - see window.h.
 */
#include "window.h"

#include <errno.h>

#include "fileops.h"
#include "mem.h"

void window_init(struct window *w)
{
	memset(w, 0, sizeof(*w));
	w->fd = -1;
}

void window_reset(struct window *w)
{
	mem_free(w->data);
	window_init(w);
}

void window_open(struct window *w, int fd)
{
	w->fd = fd;
	window_forget(w);
}

void window_forget(struct window *w)
{
	w->len = 0;
}

static enum rc window_grow(struct window *w, size_t n)
{
	size_t cap = n > WINDOW_BYTES ? n : WINDOW_BYTES;
	uint8_t *data;

	/* One huge record must not keep its memory for ever. */
	if (w->cap >= n && (w->cap == WINDOW_BYTES || n > WINDOW_BYTES))
		return RC_OK;
	data = mem_alloc(cap);
	if (!data) {
		errno = ENOMEM;
		return RC_ERROR;
	}
	mem_free(w->data);
	w->data = data;
	w->cap = cap;
	return RC_OK;
}

enum rc window_get(struct window *w, uint64_t at, size_t n, struct span *out)
{
	ssize_t got;

	if (at >= w->at && at - w->at <= w->len && n <= w->len - (at - w->at)) {
		*out = span_of(w->data + (at - w->at), n);
		return RC_OK;
	}
	w->len = 0;
	if (window_grow(w, n) != RC_OK)
		return RC_ERROR;
	got = fileops_read_at(w->fd, w->data, w->cap, at);
	if (got < 0)
		return RC_ERROR;
	w->at = at;
	w->len = (size_t)got;
	if (n > w->len)
		return RC_DECLINED;
	*out = span_of(w->data, n);
	return RC_OK;
}
