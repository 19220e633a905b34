/*
 * stream.h - a connected socket behind an ops table, so that what reads and writes it does not know whether it is
 * plain or wrapped in TLS.
 *
 * The layers, from the wire up: socket → stream (plain, or TLS: below here bytes are encrypted, above they are not) →
 * channel (buffers, gathering, back-pressure) → packets. What compresses packets works on the channel's bytes, above TLS.
 */
#ifndef SUIMON_STREAM_H
#define SUIMON_STREAM_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "tls.h"

struct stream;

/* read and writev behave as the system calls do: bytes moved, 0 at the end of input, -1 with errno (EAGAIN: later; what
 * is then written again must begin with the same bytes). */
struct stream_ops {
	ssize_t (*read)(struct stream *s, void *p, size_t len);
	ssize_t (*writev)(struct stream *s, const struct iovec *iov, int n);
	void (*close)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;
	int fd;
	struct tls *tls; /* owned; NULL: plain */
};

/* Takes fd over. It must be non-blocking. */
void stream_plain(struct stream *s, int fd);
/* Wraps a plain stream; the handshake is to follow (tls_handshake on s->tls). host: see tls_open. RC_ERROR: out of memory,
 * the stream is plain as before. */
enum rc stream_secure(struct stream *s, struct tls_context *c, const char *host) must_check;
/* There may be more to read that the socket does not announce. */
static inline bool stream_pending(const struct stream *s) { return s->tls && tls_pending(s->tls); }

#endif
