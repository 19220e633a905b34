/*
 * sends.c - the two ways in which Linux takes several sends in one call.
 *
 *   sends_run → hand_over (io_uring_enter, or io_submit) → settle: the answers, which are there when that has returned
 *
 * io_uring costs the least, but policy often forbids it. io_submit was made for disks; a socket's write it does there and then, within
 * the call, and without waiting where the socket does not wait, so that it serves as well (a twentieth more processor time a statement).
 *
 * Source: io_uring(7), io_uring_enter(2), io_uring_prep_send(3); io_setup(2), io_submit(2), io_getevents(2).
 */
#include "sends.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef SUIMON_IO_URING
#include <liburing.h>
#endif

#include "mem.h"

#define SETTLE_S 5 /* the kernel has answered when its call returns; if not, it is broken */

struct sends {
	enum sends_way way;
#ifdef SUIMON_IO_URING
	struct io_uring ring;
#endif
	aio_context_t aio;
	struct iocb *ask;       /* owned; io_submit's, as many as most */
	struct iocb **asked;    /* owned; to each of ask */
	struct io_event *event; /* owned */
};

/* ---- io_uring ---- */

#ifdef SUIMON_IO_URING

static enum rc uring_open(struct sends *s, unsigned most)
{
	struct io_uring_probe *probe;
	bool can;

	if (io_uring_queue_init(most, &s->ring, 0) != 0)
		return RC_DECLINED;
	probe = io_uring_get_probe_ring(&s->ring);
	can = probe && io_uring_opcode_supported(probe, IORING_OP_SEND);
	io_uring_free_probe(probe);
	if (can)
		return RC_OK;
	io_uring_queue_exit(&s->ring);
	return RC_DECLINED;
}

static void uring_close(struct sends *s)
{
	io_uring_queue_exit(&s->ring);
}

static unsigned uring_hand_over(struct sends *s, struct sends_piece *piece, unsigned n, int *error)
{
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++) {
		struct io_uring_sqe *ask = io_uring_get_sqe(&s->ring); /* the ring is empty, and has as many */

		io_uring_prep_send(ask, piece[i].fd, piece[i].p, piece[i].len, MSG_NOSIGNAL | MSG_DONTWAIT);
		io_uring_sqe_set_data64(ask, i);
	}
	while (done < n) {
		int taken = io_uring_submit(&s->ring);

		if (taken == -EINTR)
			continue;
		if (taken <= 0) {
			*error = taken ? -taken : EAGAIN;
			break;
		}
		done += (unsigned)taken;
	}
	return done;
}

static enum rc uring_settle(struct sends *s, struct sends_piece *piece, unsigned n)
{
	struct __kernel_timespec limit = {.tv_sec = SETTLE_S};

	while (n) {
		struct io_uring_cqe *answer;
		int error = io_uring_peek_cqe(&s->ring, &answer);

		if (error)
			error = io_uring_wait_cqe_timeout(&s->ring, &answer, &limit);
		if (error == -EINTR)
			continue;
		if (error)
			return RC_ERROR;
		piece[io_uring_cqe_get_data64(answer)].sent = answer->res;
		io_uring_cqe_seen(&s->ring, answer);
		n--;
	}
	return RC_OK;
}

#endif

/* ---- io_submit ---- */

static void aio_close(struct sends *s)
{
	if (s->aio)
		(void)syscall(SYS_io_destroy, s->aio);
	mem_free(s->ask);
	mem_free(s->asked);
	mem_free(s->event);
}

static enum rc aio_open(struct sends *s, unsigned most)
{
	s->ask = mem_zalloc(most * sizeof(*s->ask));
	s->asked = mem_zalloc(most * sizeof(*s->asked));
	s->event = mem_zalloc(most * sizeof(*s->event));
	if (s->ask && s->asked && s->event && syscall(SYS_io_setup, most, &s->aio) == 0)
		return RC_OK;
	s->aio = 0;
	aio_close(s);
	return RC_DECLINED;
}

static unsigned aio_hand_over(struct sends *s, struct sends_piece *piece, unsigned n, int *error)
{
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++) {
		s->ask[i] = (struct iocb){.aio_data = i,
					  .aio_lio_opcode = IOCB_CMD_PWRITE,
					  .aio_fildes = (uint32_t)piece[i].fd,
					  .aio_buf = (uintptr_t)piece[i].p,
					  .aio_nbytes = piece[i].len};
		s->asked[i] = &s->ask[i];
	}
	while (done < n) {
		long taken = syscall(SYS_io_submit, s->aio, (long)(n - done), s->asked + done);

		if (taken < 0 && errno == EINTR)
			continue;
		if (taken <= 0) {
			*error = taken ? errno : EAGAIN;
			break;
		}
		done += (unsigned)taken;
	}
	return done;
}

static enum rc aio_settle(struct sends *s, struct sends_piece *piece, unsigned n)
{
	while (n) {
		struct timespec limit = {.tv_sec = SETTLE_S};
		long got = syscall(SYS_io_getevents, s->aio, 1L, (long)n, s->event, &limit);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return RC_ERROR;
		for (long i = 0; i < got; i++)
			piece[s->event[i].data].sent = (int)s->event[i].res;
		n -= (unsigned)got;
	}
	return RC_OK;
}

/* ---- both ---- */

static const struct {
	const char *name;
	enum rc (*open)(struct sends *s, unsigned most);
	void (*close)(struct sends *s);
	unsigned (*hand_over)(struct sends *s, struct sends_piece *piece, unsigned n, int *error);
	enum rc (*settle)(struct sends *s, struct sends_piece *piece, unsigned n);
} ways[] = {
	[SENDS_AUTO] = {.name = "auto"},
#ifdef SUIMON_IO_URING
	[SENDS_IO_URING] = {"io_uring", uring_open, uring_close, uring_hand_over, uring_settle},
#else
	[SENDS_IO_URING] = {.name = "io_uring"},
#endif
	[SENDS_IO_SUBMIT] = {"io_submit", aio_open, aio_close, aio_hand_over, aio_settle},
	[SENDS_ALONE] = {.name = "alone"},
};

static enum rc open_by(struct sends *s, enum sends_way way, unsigned most)
{
	s->way = way;
	return ways[way].open ? ways[way].open(s, most) : RC_DECLINED;
}

struct sends *sends_new(enum sends_way way, unsigned most)
{
	struct sends *s = way == SENDS_ALONE ? NULL : mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	if (way == SENDS_AUTO && open_by(s, SENDS_IO_URING, most) == RC_OK)
		return s;
	if (open_by(s, way == SENDS_AUTO ? SENDS_IO_SUBMIT : way, most) == RC_OK)
		return s;
	mem_free(s);
	return NULL;
}

void sends_free(struct sends *s)
{
	if (s)
		ways[s->way].close(s);
	mem_free(s);
}

enum sends_way sends_way(const struct sends *s)
{
	return s ? s->way : SENDS_ALONE;
}

const char *sends_name(enum sends_way way)
{
	return ways[way].name;
}

unsigned sends_run(struct sends *s, struct sends_piece *piece, unsigned n, int *error)
{
	unsigned done;

	*error = 0;
	for (unsigned i = 0; i < n; i++)
		piece[i].sent = SENDS_UNKNOWN;
	done = ways[s->way].hand_over(s, piece, n, error);
	if (ways[s->way].settle(s, piece, done) != RC_OK && *error == 0)
		*error = ETIME;
	return done;
}
