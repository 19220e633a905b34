#include "stream.h"

#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t plain_read(struct stream *s, void *p, size_t len)
{
	return recv(s->fd, p, len, 0);
}

static ssize_t plain_writev(struct stream *s, const struct iovec *iov, int n)
{
	if (n == 1)
		return send(s->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);

	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};

	return sendmsg(s->fd, &msg, MSG_NOSIGNAL);
}

static void plain_close(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static const struct stream_ops plain_ops = {plain_read, plain_writev, plain_close};

void stream_plain(struct stream *s, int fd)
{
	s->ops = &plain_ops;
	s->fd = fd;
	s->tls = NULL;
}

/* ---- TLS ---- */

static ssize_t secure_read(struct stream *s, void *p, size_t len)
{
	return tls_read(s->tls, p, len);
}

static ssize_t secure_writev(struct stream *s, const struct iovec *iov, int n)
{
	return tls_writev(s->tls, iov, n);
}

static void secure_close(struct stream *s)
{
	tls_bye(s->tls);
	tls_free(s->tls);
	s->tls = NULL;
	plain_close(s);
}

static const struct stream_ops secure_ops = {secure_read, secure_writev, secure_close};

enum rc stream_secure(struct stream *s, struct tls_context *c, const char *host)
{
	struct tls *t = tls_open(c, s->fd, host);

	if (!t)
		return RC_ERROR;
	s->tls = t;
	s->ops = &secure_ops;
	return RC_OK;
}
