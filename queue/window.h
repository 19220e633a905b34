/*
 * window.h - a file read through one growing piece of memory: sequential reading of frames of any size.
 */
#ifndef SUIMON_WINDOW_H
#define SUIMON_WINDOW_H

#include <stdint.h>

#include "rc.h"
#include "span.h"

#define WINDOW_BYTES (256u << 10)

struct window {
	int fd;        /* not owned */
	uint8_t *data; /* owned */
	size_t cap;
	size_t len;  /* bytes held */
	uint64_t at; /* where in the file the first of them lies */
};

void window_init(struct window *w);
void window_reset(struct window *w);        /* frees */
void window_open(struct window *w, int fd); /* from now on reads this file; keeps the memory */
void window_forget(struct window *w);       /* what is held may be out of date: read it anew */
/* n bytes at `at`, valid until the next call. RC_DECLINED: the file ends before them. RC_ERROR: errno. */
enum rc window_get(struct window *w, uint64_t at, size_t n, struct span *out) must_check;

#endif
