/*
 * stream.h - a connected socket behind an ops table, so that what reads and writes it does not know whether it is
 * plain or wrapped in TLS.
 */
#ifndef SUIMON_STREAM_H
#define SUIMON_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>

struct stream;

/* read and writev behave as the system calls do: bytes moved, 0 at the end of input, -1 with errno (EAGAIN: later). */
struct stream_ops {
	ssize_t (*read)(struct stream *s, void *p, size_t len);
	ssize_t (*writev)(struct stream *s, const struct iovec *iov, int n);
	void (*close)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;
	int fd;
	void *state; /* of a wrapping layer; owned by its ops */
};

/* Takes fd over. It must be non-blocking. */
void stream_plain(struct stream *s, int fd);

#endif
