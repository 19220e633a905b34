/*
 * channel_batch.c - what the channels of a loop send in one turn leaves in one system call.
 *
 *   channel_flush → batch_take copies what is small → … more channels … → end of the turn → batch_send: one io_uring_enter
 *
 * Four fifths of what passing a statement on costs are the kernel's, and most of that is the waking of whoever waits for what was
 * sent. Sent one by one, each wakes a thread, which likely takes the processor at once, and on another core each costs an
 * interrupt there. Handed over together, all of them are awake before suimon gives the processor up, and those on one core
 * share an interrupt: a fifth of the processor time of a statement, with 64 connections (docs/performance.md).
 *
 * The kernel tries each send once, while it is handed over, as send(2) on a non-blocking socket would: what it does not take is kept
 * in the channel's out, and what is lost fails the channel. So nothing is under way in the kernel when the call has returned,
 * and the buffer is free again. What is large, what is alone in its turn and what is encrypted or compressed is sent as ever.
 *
 * A turn may last: what was taken leaves no later than STEPS_MOST events of channels after it, and before anything that takes long: what is
 * read in full scratches or sent without the batch, and the arithmetic of logins.
 * Where the kernel has no io_uring, or does not let this process use it (containers' default filters), each channel sends for itself;
 * should it refuse later on, likewise.
 *
 * Source: io_uring(7), io_uring_enter(2), io_uring_prep_send(3).
 */
#include "channel_impl.h"

#ifdef SUIMON_IO_URING

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include <liburing.h>

#include "log.h"
#include "secret.h"

#define BATCH_MOST 64          /* pieces, and entries of the ring */
#define BATCH_BYTES (128 * 1024)
#define PIECE_MOST (16 * 1024) /* bytes that are worth a copy */
#define STEPS_MOST 64
#define SETTLE_S 5             /* the kernel has answered when its call returns; if not, it is broken */
#define UNSETTLED INT_MIN

struct piece {
	struct channel *ch;
	size_t at, len; /* of bytes */
	int sent;       /* bytes, or minus an errno; UNSETTLED: not known */
};

struct channel_batch {
	struct io_uring ring;
	struct loop *loop;
	struct mail at_end;   /* of the turn */
	bool awaits_end;      /* at_end is deferred */
	bool off;             /* the kernel has refused: nobody uses the ring any more */
	bool unowned;         /* freed while at_end was deferred, which frees it in truth */
	unsigned n, steps;    /* pieces; events of channels since the first */
	size_t used;          /* of bytes */
	struct piece piece[BATCH_MOST];
	uint8_t bytes[BATCH_BYTES];
};

static void on_turn_end(struct mail *m)
{
	struct channel_batch *b = container_of(m, struct channel_batch, at_end);

	b->awaits_end = false;
	if (b->unowned)
		channel_batch_free(b);
	else
		channel_batch_send(b);
}

static bool ring_can_send(struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool can = probe && io_uring_opcode_supported(probe, IORING_OP_SEND);

	io_uring_free_probe(probe);
	return can;
}

struct channel_batch *channel_batch_new(struct loop *loop)
{
	struct channel_batch *b = secret_pages(sizeof(*b)); /* passwords pass here, too */
	int error;

	if (!b)
		return NULL;
	error = -io_uring_queue_init(BATCH_MOST, &b->ring, 0);
	if (error || !ring_can_send(&b->ring)) {
		log_debug("net", "the kernel does not take sends together", "errno=%d", error);
		if (!error)
			io_uring_queue_exit(&b->ring);
		secret_pages_free(b, sizeof(*b));
		return NULL;
	}
	b->loop = loop;
	b->at_end.run = on_turn_end;
	return b;
}

void channel_batch_free(struct channel_batch *b)
{
	if (!b)
		return;
	b->unowned = b->awaits_end;
	if (b->unowned)
		return;
	if (!b->off)
		io_uring_queue_exit(&b->ring);
	secret_pages_free(b, sizeof(*b));
}

bool channel_batch_take(struct channel *ch, size_t total)
{
	struct channel_scratch *s = ch->scratch;
	struct channel_batch *b = s->batch;

	if (!b || b->off)
		return false;
	if (total > PIECE_MOST || ch->stream.tls) {
		channel_batch_send(b); /* it would wait for what is large */
		return false;
	}
	if (b->n == BATCH_MOST || b->used + total > BATCH_BYTES)
		channel_batch_send(b);
	if (!b->awaits_end) {
		b->awaits_end = true;
		loop_defer(b->loop, &b->at_end);
	}
	b->piece[b->n++] = (struct piece){.ch = ch, .at = b->used, .len = total, .sent = UNSETTLED};
	for (int i = 0; i < s->niov; i++) {
		memcpy(b->bytes + b->used, s->iov[i].iov_base, s->iov[i].iov_len);
		b->used += s->iov[i].iov_len;
	}
	ch->batched = true;
	return true;
}

void channel_batch_step(struct channel_batch *b)
{
	if (b->n && ++b->steps >= STEPS_MOST)
		channel_batch_send(b);
}

/* ---- sending ---- */

static void send_alone(struct channel_batch *b, struct piece *p)
{
	ssize_t n = send(p->ch->stream.fd, b->bytes + p->at, p->len, MSG_NOSIGNAL);

	p->sent = n < 0 ? -errno : (int)n;
}

/* Reads the kernel's answers until so many have come. RC_ERROR: they did not. */
static enum rc settle(struct channel_batch *b, unsigned n)
{
	struct __kernel_timespec limit = {.tv_sec = SETTLE_S};

	while (n) {
		struct io_uring_cqe *answer;
		int error = io_uring_peek_cqe(&b->ring, &answer);

		if (error)
			error = io_uring_wait_cqe_timeout(&b->ring, &answer, &limit);
		if (error == -EINTR)
			continue;
		if (error)
			return RC_ERROR;
		b->piece[io_uring_cqe_get_data64(answer)].sent = answer->res;
		io_uring_cqe_seen(&b->ring, answer);
		n--;
	}
	return RC_OK;
}

/* Gives the ring up. What the kernel never had is sent one by one. */
static void give_up(struct channel_batch *b, unsigned submitted, int error)
{
	b->off = true;
	io_uring_queue_exit(&b->ring);
	log_warn("net", "the kernel takes no sends together any more, each is sent by itself", "errno=%d", -error);
	for (unsigned i = submitted; i < b->n; i++)
		send_alone(b, &b->piece[i]);
}

static void send_together(struct channel_batch *b)
{
	unsigned submitted = 0;
	int error = 0;

	for (unsigned i = 0; i < b->n; i++) {
		struct io_uring_sqe *ask = io_uring_get_sqe(&b->ring); /* the ring is empty, and has as many */

		io_uring_prep_send(ask, b->piece[i].ch->stream.fd, b->bytes + b->piece[i].at, b->piece[i].len,
				   MSG_NOSIGNAL | MSG_DONTWAIT);
		io_uring_sqe_set_data64(ask, i);
	}
	while (submitted < b->n) {
		int n = io_uring_submit(&b->ring);

		if (n == -EINTR)
			continue;
		if (n <= 0) {
			error = n ? n : -EAGAIN;
			break;
		}
		submitted += (unsigned)n;
	}
	if (settle(b, submitted) != RC_OK)
		error = error ? error : -ETIME;
	if (error)
		give_up(b, submitted, error);
}

/* What the socket has not taken is kept, what is lost fails the channel. */
static void piece_end(struct channel_batch *b, const struct piece *p)
{
	struct channel *ch = p->ch;
	size_t sent = p->sent > 0 ? (size_t)p->sent : 0;

	ch->bytes_out += sent;
	if (sent == p->len)
		return;
	if (p->sent < 0 && p->sent != -EAGAIN && p->sent != -EINTR)
		channel_fail(ch, "write error");
	else if (iobuf_append(&ch->out, b->bytes + p->at + sent, p->len - sent) != RC_OK)
		channel_fail(ch, CHANNEL_NO_MEMORY);
	else
		event_add(&ch->write_event, NULL);
}

void channel_batch_send(struct channel_batch *b)
{
	if (!b || b->n == 0)
		return;
	if (b->n == 1 || b->off)
		for (unsigned i = 0; i < b->n; i++)
			send_alone(b, &b->piece[i]);
	else
		send_together(b);
	for (unsigned i = 0; i < b->n; i++) {
		b->piece[i].ch->batched = false;
		piece_end(b, &b->piece[i]);
	}
	b->n = b->steps = 0;
	b->used = 0;
}

#else /* built without liburing */

struct channel_batch *channel_batch_new(struct loop *loop)
{
	return NULL;
}

void channel_batch_free(struct channel_batch *b)
{
}

bool channel_batch_take(struct channel *ch, size_t total)
{
	return false;
}

void channel_batch_step(struct channel_batch *b)
{
}

void channel_batch_send(struct channel_batch *b)
{
}

#endif
