/*
 * sends.h - sends to several sockets in one system call, each tried once, as send(2) on a non-blocking socket would be.
 *
 * Nothing is under way in the kernel when the call has returned. The process ignores SIGPIPE; a struct sends is one thread's.
 */
#ifndef SUIMON_SENDS_H
#define SUIMON_SENDS_H

#include <stddef.h>
#include <stdint.h>

#include "rc.h"

enum sends_way {
	SENDS_AUTO,      /* io_uring, and where that cannot be had io_submit; no way of its own */
	SENDS_IO_URING,
	SENDS_IO_SUBMIT, /* Linux's older interface, which the default filters of containers leave in place */
	SENDS_ALONE,     /* a call for each: there is no struct sends */
};

#define SENDS_UNKNOWN INT32_MIN /* the kernel was asked and never answered */

struct sends_piece {
	int fd; /* non-blocking */
	const void *p;
	size_t len;
	int sent; /* bytes, or minus an errno, or SENDS_UNKNOWN */
};

struct sends;

/* For at most so many pieces a call. NULL: no memory, or the kernel or this build does not have that way. */
struct sends *sends_new(enum sends_way way, unsigned most) must_check;
void sends_free(struct sends *s); /* NULL is allowed */
enum sends_way sends_way(const struct sends *s); /* which it is; NULL: SENDS_ALONE */
const char *sends_name(enum sends_way way);
/* Sends n pieces and sets what was sent of each. Returns how many the kernel was asked for, from the first on: fewer than n, or *error other
 * than 0 (an errno), and it takes no more by s; the rest is untouched. */
unsigned sends_run(struct sends *s, struct sends_piece *piece, unsigned n, int *error);

#endif
