/*
 * channel_batch.c - what the channels of a loop send in one turn leaves in one system call.
 *
 *   channel_flush → batch_take copies what is small → … more channels … → end of the turn → batch_send → sends_run: one system call
 *
 * Four fifths of what passing a statement on costs are the kernel's, and most of that is the waking of whoever waits for what was
 * sent. Sent one by one, each wakes a thread, which likely takes the processor at once, and on another core each costs an
 * interrupt there. Handed over together, all of them are awake before suimon gives the processor up, and those on one core
 * share an interrupt: a fifth of the processor time of a statement, with 64 connections (docs/performance.md).
 *
 * The kernel tries each send once, while it is handed over (sends.c): what it does not take is kept
 * in the channel's out, and what is lost fails the channel. So the buffer is free again when the call has returned.
 * What is large, what is alone in its turn and what is encrypted or compressed is sent as ever.
 *
 * A turn may last: what was taken leaves no later than STEPS_MOST events of channels after it, and before anything that takes long: what is
 * read in full scratches or sent without the batch, and the arithmetic of logins.
 * Where the kernel takes no sends together each channel sends for itself; should it refuse later on, likewise.
 */
#include "channel_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "secret.h"
#include "sends.h"

#define BATCH_MOST 64          /* pieces */
#define BATCH_BYTES (128 * 1024)
#define PIECE_MOST (16 * 1024) /* bytes that are worth a copy */
#define STEPS_MOST 64

struct channel_batch {
	struct sends *sends;  /* owned; NULL: the kernel has refused, and nobody sends together any more */
	struct loop *loop;
	struct mail at_end;   /* of the turn */
	bool awaits_end;      /* at_end is deferred */
	bool unowned;         /* freed while at_end was deferred, which frees it in truth */
	unsigned n, steps;    /* pieces; events of channels since the first */
	size_t used;          /* of bytes */
	struct channel *from[BATCH_MOST]; /* of each piece */
	struct sends_piece piece[BATCH_MOST];
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

struct channel_batch *channel_batch_new(struct loop *loop, enum sends_way way)
{
	struct sends *sends = sends_new(way, BATCH_MOST);
	struct channel_batch *b = sends ? secret_pages(sizeof(*b)) : NULL; /* passwords pass here, too */

	if (!b) {
		sends_free(sends);
		return NULL;
	}
	b->sends = sends;
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
	sends_free(b->sends);
	secret_pages_free(b, sizeof(*b));
}

enum sends_way channel_batch_way(const struct channel_batch *b)
{
	return sends_way(b ? b->sends : NULL);
}

bool channel_batch_take(struct channel *ch, size_t total)
{
	struct channel_scratch *s = ch->scratch;
	struct channel_batch *b = s->batch;

	if (!b || !b->sends)
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
	b->from[b->n] = ch;
	b->piece[b->n++] = (struct sends_piece){.fd = ch->stream.fd, .p = b->bytes + b->used, .len = total};
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

static void send_alone(struct sends_piece *p)
{
	ssize_t n = send(p->fd, p->p, p->len, MSG_NOSIGNAL);

	p->sent = n < 0 ? -errno : (int)n;
}

static void send_together(struct channel_batch *b)
{
	int error;
	unsigned done = sends_run(b->sends, b->piece, b->n, &error);

	if (!error)
		return;
	sends_free(b->sends);
	b->sends = NULL;
	log_warn("net", "the kernel takes no sends together any more, each is sent by itself", "errno=%d", error);
	for (unsigned i = done; i < b->n; i++) /* the kernel never had them */
		send_alone(&b->piece[i]);
}

/* What the socket has not taken is kept, what is lost fails the channel. */
static void piece_end(struct channel *ch, const struct sends_piece *p)
{
	size_t sent = p->sent > 0 ? (size_t)p->sent : 0;

	ch->bytes_out += sent;
	if (sent == p->len)
		return;
	if (p->sent < 0 && p->sent != -EAGAIN && p->sent != -EINTR)
		channel_fail(ch, "write error");
	else if (iobuf_append(&ch->out, (const uint8_t *)p->p + sent, p->len - sent) != RC_OK)
		channel_fail(ch, CHANNEL_NO_MEMORY);
	else
		event_add(&ch->write_event, NULL);
}

void channel_batch_send(struct channel_batch *b)
{
	if (!b || b->n == 0)
		return;
	if (b->n == 1)
		send_alone(&b->piece[0]);
	else
		send_together(b);
	for (unsigned i = 0; i < b->n; i++) {
		b->from[i]->batched = false;
		piece_end(b->from[i], &b->piece[i]);
	}
	b->n = b->steps = 0;
	b->used = 0;
}
