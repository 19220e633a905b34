/*
 * channel.h - one peer's byte stream on a loop: reads handed up without a copy, writes gathered and sent in one call.
 *
 *   socket readable → read into the loop's scratch buffer → ops->input(bytes) → what it does not consume is kept
 *   channel_push / channel_put … → channel_flush → one writev → what the socket does not take is kept → ops->drained
 *
 * Below it is the stream, plain or TLS (stream.h); channel_secure goes from one to the other. What is above sees the same
 * bytes either way, and a layer that changes bytes (compression) has its place between a channel and the packets.
 *
 * On a loop that may (channel_scratch_batch) what is small is not written at once but at the turn's end, with what other channels send.
 *
 * The decider marks, the mover moves: protocol code calls push and put, only this file touches the socket. A channel
 * is closed once, by channel_close; its owner frees what embeds it no sooner than the end of the loop's turn
 * (loop_defer), because the call stack below it may still hold it.
 */
#ifndef SUIMON_CHANNEL_H
#define SUIMON_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event_struct.h>

#include "iobuf.h"
#include "loop.h"
#include "sends.h"
#include "stream.h"
#include "zipped.h"

#define CHANNEL_SCRATCH (64 * 1024) /* bytes read at once */
#define CHANNEL_IOV 32
#define CHANNEL_ARENA (16 * 1024)   /* bytes of small packets made for one flush */

/* Why it was closed; the other reasons are the network's. */
#define CHANNEL_NO_MEMORY "out of memory"
#define CHANNEL_MALFORMED "malformed compressed packet"

struct channel;

struct channel_ops {
	/* Bytes have come. Returns how many were consumed; the rest is offered again with more behind it, or after
	 * channel_resume. May close the channel or pause it. */
	size_t (*input)(struct channel *ch, const uint8_t *p, size_t len);
	void (*drained)(struct channel *ch);                  /* everything that was kept has been sent */
	void (*closed)(struct channel *ch, const char *why);  /* the peer or the network ended it; why is a literal. The owner calls channel_close. */
	void (*connected)(struct channel *ch, int error);     /* after channel_connect: 0 or an errno */
	void (*secured)(struct channel *ch);                  /* after channel_secure: what follows is encrypted; a failure is closed() */
};

/* What the channels of one loop share: only one of them reads or gathers at a time. All that clients and servers say passes
 * through it, passwords too: it lies in pages that core dumps leave out. */
struct channel_scratch {
	struct loop *loop;
	uint8_t *unpacked;              /* as many bytes as in, for what came compressed; owned, NULL until first needed */
	struct channel *gathering;      /* whose pieces lie in iov */
	struct channel_batch *batch;    /* what leaves together at the end of the turn; owned, NULL: each channel sends for itself */
	struct iovec iov[CHANNEL_IOV];
	int niov;
	size_t arena_used;
	uint8_t arena[CHANNEL_ARENA];
	uint8_t in[CHANNEL_SCRATCH];
};
struct channel_scratch *channel_scratch_new(struct loop *loop) must_check;
/* From now on what is small and is sent in one turn leaves together. Where the kernel, this build or want of memory does not
 * allow that way there is no batch afterwards, and each channel sends for itself as before. */
void channel_scratch_batch(struct channel_scratch *s, enum sends_way way);
enum sends_way channel_scratch_way(const struct channel_scratch *s); /* how it leaves now */
/* What is to leave in this turn leaves now: something follows that takes long, or that must not come before it. */
void channel_scratch_send(struct channel_scratch *s);
void channel_scratch_free(struct channel_scratch *s);

struct channel {
	struct stream stream;
	struct channel_scratch *scratch; /* not owned */
	const struct channel_ops *ops;
	struct event read_event, write_event;
	struct iobuf in;    /* read but not consumed */
	struct iobuf out;   /* gathered but not sent */
	struct channel_zip *zip; /* owned; NULL: packets pass uncompressed */
	bool open;
	bool connecting;
	bool securing;      /* the TLS handshake runs: nothing is handed up, what is pushed is kept */
	bool paused;        /* the reader is off: back-pressure */
	bool batched;       /* bytes of its lie in the batch; all others follow them */
	const char *failed; /* bytes were lost on the way out, and why: nothing may follow them; ops->closed is told in a later turn */
	uint64_t bytes_in, bytes_out;
};

/* fd is taken over (closed on error too). reading begins at once. */
enum rc channel_open(struct channel *ch, struct channel_scratch *scratch, const struct channel_ops *ops, int fd) must_check;
/* Starts a non-blocking connect; ops->connected tells its end. */
struct sockaddr;
enum rc channel_connect(struct channel *ch, struct channel_scratch *scratch, const struct channel_ops *ops,
			const struct sockaddr *sa, unsigned sa_len) must_check;
/* Goes over to TLS: bytes not consumed so far are the peer's part of the handshake, which begins in a later turn. All that
 * was to be sent in clear must have left. host: see tls_open. RC_ERROR: out of memory, or something is still to be sent. */
enum rc channel_secure(struct channel *ch, struct tls_context *c, const char *host) must_check;
/* From the next byte on, either way, packets are compressed. What has been pushed leaves before, as it is. Those that come are numbered
 * as they would be without compression. RC_ERROR: no memory. */
enum rc channel_compress(struct channel *ch, enum zipped_kind kind, int level) must_check;
/* From a client: the next packet that comes begins a command. */
void channel_zip_expect(struct channel *ch); /* where ch->zip */
/* To a server: what is pushed next is a new command. RC_ERROR: what was pushed before could not be sent. */
enum rc channel_zip_command(struct channel *ch) must_check;
must_check static inline enum rc channel_command(struct channel *ch)
{
	return unlikely(ch->zip != NULL) ? channel_zip_command(ch) : RC_OK;
}
void channel_close(struct channel *ch); /* idempotent */

/* What the peer awaits could not be made: nothing may follow, and ops->closed is told in a later turn. why: literal. */
void channel_fail(struct channel *ch, const char *why);
/* Gathers len bytes, which must stay where they are until channel_flush. RC_ERROR: the channel is closed or failed. */
enum rc channel_push(struct channel *ch, const void *p, size_t len);
/* Gathers a copy. */
enum rc channel_put(struct channel *ch, const void *p, size_t len);
/* Sends what was gathered. RC_OK: all of it has left, or leaves in this turn; RC_AGAIN: some is kept (drained will be called); RC_ERROR:
 * the peer is gone, or there is no memory: ops->closed is called in a later turn, should the caller not close it itself. What was
 * to leave in this turn and did not is kept, or fails the channel, as if it had been sent a moment later. */
enum rc channel_flush(struct channel *ch);

void channel_pause(struct channel *ch);  /* stop reading */
void channel_resume(struct channel *ch); /* read again; kept bytes are offered in a later turn, never from within this call */
void channel_kick(struct channel *ch);   /* kept bytes are offered in a later turn, if there are any */
/* What was sent has been sent again, and the peer's host has acknowledged none of it yet. A system call. */
bool channel_is_unheard(const struct channel *ch);
/* The peer has closed it, though what it sent before may not have been read yet. A system call. */
bool channel_has_ended(const struct channel *ch);
static inline bool channel_backlog(const struct channel *ch) { return iobuf_len(&ch->out) > 0; }

#endif
