#include "channel_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"
#include "secret.h"

#define READS_A_WAKEUP 4 /* then other channels have their turn */

struct channel_scratch *channel_scratch_new(struct loop *loop)
{
	struct channel_scratch *s = secret_pages(sizeof(*s));

	if (s)
		s->loop = loop;
	return s;
}

void channel_scratch_free(struct channel_scratch *s)
{
	if (s) {
		mem_free(s->unpacked);
		channel_batch_free(s->batch);
	}
	secret_pages_free(s, sizeof(*s));
}

void channel_scratch_batch(struct channel_scratch *s, enum sends_way way)
{
	s->batch = channel_batch_new(s->loop, way);
}

enum sends_way channel_scratch_way(const struct channel_scratch *s)
{
	return channel_batch_way(s->batch);
}

void channel_scratch_send(struct channel_scratch *s)
{
	channel_batch_send(s->batch);
}

/* ---- reading ---- */

static void offer_kept(struct channel *ch)
{
	size_t n = ch->ops->input(ch, iobuf_data(&ch->in), iobuf_len(&ch->in));

	if (ch->open && n)
		iobuf_consume(&ch->in, n);
}

bool channel_offer(struct channel *ch, const uint8_t *p, size_t len)
{
	size_t n = 0;

	if (iobuf_len(&ch->in) == 0) {
		n = ch->ops->input(ch, p, len);
		if (!ch->open)
			return false;
	}
	if (n < len && iobuf_append(&ch->in, p + n, len - n) != RC_OK) {
		ch->ops->closed(ch, CHANNEL_NO_MEMORY);
		return false;
	}
	if (n == 0 && iobuf_len(&ch->in) > len)
		offer_kept(ch);
	return ch->open && !ch->paused && !ch->securing;
}

/* ---- TLS ---- */

/* One step of the handshake. True when it is done and what follows can be read. */
static bool secure_step(struct channel *ch)
{
	bool wants_write;

	channel_batch_send(ch->scratch->batch); /* it would wait for the handshake's arithmetic */
	/* What came in clear behind the request for TLS belongs to the handshake, and is never taken for anything else. */
	if (iobuf_len(&ch->in)) {
		if (tls_early(ch->stream.tls, span_of(iobuf_data(&ch->in), iobuf_len(&ch->in))) != RC_OK) {
			ch->ops->closed(ch, CHANNEL_NO_MEMORY);
			return false;
		}
		iobuf_reset(&ch->in);
	}
	switch (tls_handshake(ch->stream.tls, &wants_write)) {
	case RC_OK:
		ch->securing = false;
		if (channel_backlog(ch))
			event_add(&ch->write_event, NULL);
		else
			event_del(&ch->write_event);
		ch->ops->secured(ch);
		return ch->open && !ch->paused;
	case RC_AGAIN:
		if (wants_write)
			event_add(&ch->write_event, NULL);
		else
			event_del(&ch->write_event);
		return false;
	default:
		ch->ops->closed(ch, "the TLS handshake failed");
		return false;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *ch = arg;

	if (ch->scratch->batch)
		channel_batch_step(ch->scratch->batch);
	if (unlikely(ch->securing) && !secure_step(ch))
		return;
	if (what & EV_TIMEOUT && iobuf_len(&ch->in)) { /* channel_resume */
		offer_kept(ch);
		if (!ch->open || ch->paused)
			return;
	}
	if (unlikely(ch->zip != NULL) && !channel_unzip_kept(ch))
		return;
	for (int i = 0; i < READS_A_WAKEUP; i++) {
		ssize_t n = ch->stream.ops->read(&ch->stream, ch->scratch->in, CHANNEL_SCRATCH);

		if (n > 0) {
			ch->bytes_in += (uint64_t)n;
			if (unlikely((size_t)n == CHANNEL_SCRATCH)) /* so much takes its time */
				channel_batch_send(ch->scratch->batch);
			if (unlikely(ch->zip != NULL) ? !channel_unzip(ch, ch->scratch->in, (size_t)n)
						      : !channel_offer(ch, ch->scratch->in, (size_t)n))
				return;
			if ((size_t)n < CHANNEL_SCRATCH)
				break; /* the socket is very likely empty: epoll will say if not */
		} else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			return;
		} else {
			ch->ops->closed(ch, n == 0 ? "closed by peer" : "read error");
			return;
		}
	}
	if (unlikely(stream_pending(&ch->stream)))
		event_active(&ch->read_event, EV_READ, 0);
}

void channel_pause(struct channel *ch)
{
	if (ch->paused || !ch->open)
		return;
	ch->paused = true;
	event_del(&ch->read_event);
}

void channel_resume(struct channel *ch)
{
	if (!ch->paused || !ch->open)
		return;
	ch->paused = false;
	event_add(&ch->read_event, NULL);
	if (stream_pending(&ch->stream))
		event_active(&ch->read_event, EV_READ, 0);
	channel_kick(ch);
}

void channel_kick(struct channel *ch)
{
	if (ch->open && !ch->paused && (iobuf_len(&ch->in) || channel_zip_pending(ch)))
		event_active(&ch->read_event, EV_TIMEOUT, 0);
}

/* ---- writing ---- */

/* Keeps what the socket has not taken: the first `sent` bytes of the gathered pieces are gone. */
static enum rc keep_rest(struct channel *ch, size_t sent)
{
	struct channel_scratch *s = ch->scratch;

	for (int i = 0; i < s->niov; i++) {
		size_t len = s->iov[i].iov_len;

		if (sent >= len) {
			sent -= len;
			continue;
		}
		if (iobuf_append(&ch->out, (uint8_t *)s->iov[i].iov_base + sent, len - sent) != RC_OK)
			return RC_ERROR;
		sent = 0;
	}
	return RC_OK;
}

/* Nothing may follow what was lost. Its owner may be deep in a call that does not look: it hears of it in a later turn. */
static enum rc fail(struct channel *ch, const char *why)
{
	ch->failed = why;
	event_active(&ch->write_event, EV_WRITE, 0);
	return RC_ERROR;
}

void channel_fail(struct channel *ch, const char *why)
{
	if (ch->open && !ch->failed)
		(void)fail(ch, why);
}

/* Packed, and as much of it sent as the socket takes. */
static enum rc send_zipped(struct channel *ch)
{
	bool waiting = channel_backlog(ch);

	if (channel_zip_gathered(ch) != RC_OK)
		return fail(ch, CHANNEL_NO_MEMORY);
	if (!waiting) {
		struct iovec iov = {.iov_base = (void *)(uintptr_t)iobuf_data(&ch->out), .iov_len = iobuf_len(&ch->out)};
		ssize_t n = ch->stream.ops->writev(&ch->stream, &iov, 1);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(ch, "write error");
		if (n > 0) {
			ch->bytes_out += (uint64_t)n;
			iobuf_consume(&ch->out, (size_t)n);
		}
	}
	if (!channel_backlog(ch)) {
		iobuf_reset(&ch->out);
		return RC_OK;
	}
	event_add(&ch->write_event, NULL);
	return RC_AGAIN;
}

static enum rc send_gathered(struct channel *ch)
{
	struct channel_scratch *s = ch->scratch;
	size_t total = 0, sent = 0;

	if (unlikely(ch->batched)) {
		channel_batch_send(s->batch);
		if (ch->failed)
			return RC_ERROR;
	}
	if (unlikely(ch->zip != NULL)) {
		channel_batch_send(s->batch); /* it would wait for the packing */
		return send_zipped(ch);
	}
	for (int i = 0; i < s->niov; i++)
		total += s->iov[i].iov_len;
	if (!channel_backlog(ch) && !ch->connecting && !ch->securing) {
		if (channel_batch_take(ch, total))
			return RC_OK;

		ssize_t n = ch->stream.ops->writev(&ch->stream, s->iov, s->niov);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(ch, "write error");
		sent = n > 0 ? (size_t)n : 0;
		ch->bytes_out += sent;
	}
	if (sent == total)
		return RC_OK;
	if (keep_rest(ch, sent) != RC_OK)
		return fail(ch, CHANNEL_NO_MEMORY);
	if (!ch->connecting && !ch->securing)
		event_add(&ch->write_event, NULL);
	return RC_AGAIN;
}

enum rc channel_flush(struct channel *ch)
{
	struct channel_scratch *s = ch->scratch;
	enum rc rc = RC_OK;

	if (s->gathering == ch && s->niov) {
		rc = ch->open ? send_gathered(ch) : RC_ERROR;
		s->niov = 0;
		s->arena_used = 0;
		s->gathering = NULL;
	} else if (!ch->open || ch->failed) {
		rc = RC_ERROR;
	} else if (channel_backlog(ch)) {
		rc = RC_AGAIN;
	}
	return rc;
}

/* Makes room for one more piece of this channel; another channel's gathering is sent first. */
static enum rc gather_begin(struct channel *ch, size_t arena)
{
	struct channel_scratch *s = ch->scratch;

	if (!ch->open || ch->failed)
		return RC_ERROR;
	if (s->gathering && s->gathering != ch)
		(void)channel_flush(s->gathering); /* its owner learns of a failure from its next call */
	if (s->niov == CHANNEL_IOV || s->arena_used + arena > CHANNEL_ARENA)
		if (channel_flush(ch) == RC_ERROR)
			return RC_ERROR;
	s->gathering = ch;
	return RC_OK;
}

enum rc channel_push(struct channel *ch, const void *p, size_t len)
{
	struct channel_scratch *s = ch->scratch;

	if (len == 0)
		return RC_OK;
	if (gather_begin(ch, 0) != RC_OK)
		return RC_ERROR;
	if (s->niov) {
		struct iovec *last = &s->iov[s->niov - 1];

		if ((uint8_t *)last->iov_base + last->iov_len == (const uint8_t *)p) {
			last->iov_len += len;
			return RC_OK;
		}
	}
	s->iov[s->niov++] = (struct iovec){.iov_base = (void *)(uintptr_t)p, .iov_len = len};
	return RC_OK;
}

enum rc channel_put(struct channel *ch, const void *p, size_t len)
{
	struct channel_scratch *s = ch->scratch;

	if (len > CHANNEL_ARENA / 2) { /* too large for the arena: send what is gathered, then this */
		enum rc rc;

		if (channel_push(ch, p, len) != RC_OK)
			return RC_ERROR;
		rc = channel_flush(ch);
		return rc == RC_ERROR ? RC_ERROR : RC_OK;
	}
	if (gather_begin(ch, len) != RC_OK)
		return RC_ERROR;

	uint8_t *at = s->arena + s->arena_used;

	memcpy(at, p, len);
	s->arena_used += len;
	return channel_push(ch, at, len);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *ch = arg;

	if (ch->failed) {
		ch->ops->closed(ch, ch->failed);
		return;
	}
	if (ch->connecting) {
		int error = 0;
		socklen_t len = sizeof(error);

		event_del(&ch->write_event);
		if (getsockopt(ch->stream.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
			error = errno;
		ch->connecting = false;
		if (error == 0)
			event_add(&ch->read_event, NULL);
		ch->ops->connected(ch, error);
		return;
	}
	if (ch->securing) {
		if (secure_step(ch))
			event_active(&ch->read_event, EV_READ, 0);
		return;
	}
	while (channel_backlog(ch)) {
		struct iovec iov = {.iov_base = (void *)(uintptr_t)iobuf_data(&ch->out), .iov_len = iobuf_len(&ch->out)};
		ssize_t n = ch->stream.ops->writev(&ch->stream, &iov, 1);

		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				return;
			ch->ops->closed(ch, "write error");
			return;
		}
		ch->bytes_out += (uint64_t)n;
		iobuf_consume(&ch->out, (size_t)n);
	}
	event_del(&ch->write_event);
	iobuf_reset(&ch->out);
	ch->ops->drained(ch);
}

/* ---- life ---- */

static void channel_init(struct channel *ch, struct channel_scratch *scratch, const struct channel_ops *ops, int fd)
{
	struct event_base *base = loop_base(scratch->loop);

	memset(ch, 0, sizeof(*ch));
	stream_plain(&ch->stream, fd);
	ch->scratch = scratch;
	ch->ops = ops;
	ch->open = true;
	iobuf_init(&ch->in, 0);
	iobuf_init(&ch->out, 0);
	event_assign(&ch->read_event, base, fd, EV_READ | EV_PERSIST, on_readable, ch);
	event_assign(&ch->write_event, base, fd, EV_WRITE | EV_PERSIST, on_writable, ch);
}

enum rc channel_open(struct channel *ch, struct channel_scratch *scratch, const struct channel_ops *ops, int fd)
{
	channel_init(ch, scratch, ops, fd);
	channel_watch_peer(fd);
	if (event_add(&ch->read_event, NULL) != 0) {
		channel_close(ch);
		return RC_ERROR;
	}
	return RC_OK;
}

enum rc channel_connect(struct channel *ch, struct channel_scratch *scratch, const struct channel_ops *ops,
			const struct sockaddr *sa, unsigned sa_len)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return RC_ERROR;
	channel_init(ch, scratch, ops, fd);
	channel_watch_peer(fd);
	ch->connecting = true;
	/* The end of the connect is always reported from the loop, also when it is immediate (unix sockets). */
	if ((connect(fd, sa, sa_len) != 0 && errno != EINPROGRESS && errno != EAGAIN) ||
	    event_add(&ch->write_event, NULL) != 0) {
		int saved = errno;

		channel_close(ch);
		errno = saved;
		return RC_ERROR;
	}
	return RC_OK;
}

enum rc channel_secure(struct channel *ch, struct tls_context *c, const char *host)
{
	if (!ch->open || channel_flush(ch) != RC_OK)
		return RC_ERROR;
	channel_batch_send(ch->scratch->batch);
	if (ch->failed || channel_backlog(ch) || stream_secure(&ch->stream, c, host) != RC_OK)
		return RC_ERROR;
	ch->securing = true;
	event_active(&ch->read_event, EV_READ, 0);
	return RC_OK;
}

void channel_close(struct channel *ch)
{
	struct channel_scratch *s = ch->scratch;

	if (!ch->open)
		return;
	if (ch->batched)
		channel_batch_send(s->batch);
	ch->open = false;
	if (s->gathering == ch) {
		s->niov = 0;
		s->arena_used = 0;
		s->gathering = NULL;
	}
	event_del(&ch->read_event);
	event_del(&ch->write_event);
	ch->stream.ops->close(&ch->stream);
	channel_zip_free(ch);
	iobuf_reset(&ch->in);
	iobuf_reset(&ch->out);
}
