/*
 * filelog.c - see filelog.h.
 */
#include "filelog_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"

/* More than this not yet written: the disk does not keep up, and memory is not the place to wait. */
#define PENDING_MAX (64u << 20)
#define SEGMENT_MIN (UINT64_C(1) << 20)
#define SEGMENT_MAX (UINT64_C(64) << 20)

static struct filelog *self(struct queue_engine *e)
{
	return container_of(e, struct filelog, engine);
}

enum rc filelog_add_piece(struct filelog *l, uint64_t first_seq, uint64_t used)
{
	if (l->piece_count == l->piece_cap) {
		size_t cap = l->piece_cap ? l->piece_cap * 2 : 16;
		struct log_piece *grown = mem_realloc(l->pieces, cap * sizeof(*grown));

		if (!grown)
			return RC_ERROR;
		l->pieces = grown;
		l->piece_cap = cap;
	}
	l->pieces[l->piece_count++] = (struct log_piece){.first_seq = first_seq, .used = used};
	return RC_OK;
}

static const char too_large[] = "the statement is too large for the queue";

/* Bytes of records not yet applied. lock held. */
static uint64_t backlog(const struct filelog *l)
{
	uint64_t sum = iobuf_len(&l->pending);

	for (size_t i = 0; i < l->piece_count; i++)
		sum += l->pieces[i].used - SEGMENT_HEADER_BYTES;
	return sum > l->applied_bytes ? sum - l->applied_bytes : 0;
}

/* NULL: the record may come in; else why not, and what that counts as. lock held. */
static const char *refusal(struct filelog *l, size_t size, enum stats_counter *counter)
{
	*counter = STATS_C_QUEUE_DECLINED_DISK;
	if (l->failed)
		return l->failed;
	if (l->decline_until_ns) {
		if (clock_mono_ns() < l->decline_until_ns)
			return l->declined;
		l->decline_until_ns = 0;
	}
	*counter = STATS_C_QUEUE_DECLINED_STOPPING;
	if (l->stopping)
		return "the queue is stopping";
	*counter = STATS_C_QUEUE_DECLINED_FULL;
	if (l->opt.max_bytes && backlog(l) + size > l->opt.max_bytes)
		return "the queue is full";
	if (iobuf_len(&l->pending) + size > PENDING_MAX)
		return "the queue's disk does not keep up";
	return NULL;
}

/* idle: the log's thread waits for it. lock held. */
static enum rc append_locked(struct filelog *l, const struct record *rec, size_t body, struct queue_ticket *t, bool *idle,
			     const char **why)
{
	size_t size = frame_size(body);
	enum stats_counter counter = STATS_C_QUEUE_DECLINED_FULL;
	uint8_t *frame;

	t->unfit = l->opt.max_bytes && size > l->opt.max_bytes;
	*why = t->unfit ? too_large : refusal(l, size, &counter);
	if (*why) {
		if (l->opt.front && !t->unfit)
			stats_count(l->opt.front, counter, 1);
		return RC_DECLINED;
	}
	frame = iobuf_reserve(&l->pending, size);
	if (!frame) {
		*why = "out of memory";
		return RC_DECLINED;
	}
	t->rc = RC_AGAIN;
	t->error = NULL;
	t->seq = ++l->last_seq;
	frame_begin(frame, t->seq, FRAME_RECORD, body);
	record_encode(rec, frame + FRAME_HEADER_BYTES);
	iobuf_commit(&l->pending, size);
	ticket_push(&l->line, t);
	*idle = l->idle;
	return RC_AGAIN;
}

static enum rc filelog_append(struct queue_engine *e, const struct record *rec, struct queue_ticket *t,
			      const char **why)
{
	struct filelog *l = self(e);
	size_t body = record_size(rec);
	bool idle = false;
	enum rc rc;

	if (!body) {
		t->unfit = true;
		*why = too_large;
		return RC_DECLINED;
	}
	pthread_mutex_lock(&l->lock);
	rc = append_locked(l, rec, body, t, &idle, why);
	pthread_mutex_unlock(&l->lock);
	/* Not before: it would wake up to find the lock taken. The log outlives its callers. */
	if (idle)
		pthread_cond_signal(&l->work);
	FAILPOINT("after-append");
	return rc;
}

static enum rc filelog_start(struct queue_engine *e)
{
	struct filelog *l = self(e);
	enum rc rc = sigthread_start(&l->thread, "queue-log", filelog_write_loop, l);

	l->started = rc == RC_OK;
	return rc;
}

static void filelog_stop(struct queue_engine *e, uint64_t until_ns)
{
	struct filelog *l = self(e);

	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->lock);
	if (l->started)
		pthread_join(l->thread, NULL);
	l->started = false;
}

static void filelog_close(struct queue_engine *e)
{
	struct filelog *l = self(e);

	logfile_close(&l->file);
	reader_reset(&l->reader);
	iobuf_reset(&l->pending);
	mem_free(l->pieces);
	pthread_cond_destroy(&l->work);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

static void filelog_tune(struct queue_engine *e, const struct queue_options *opt)
{
	struct filelog *l = self(e);

	pthread_mutex_lock(&l->lock);
	l->opt.max_bytes = opt->max_bytes;
	l->opt.sync_ns = opt->sync_ns;
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->lock);
}

static enum rc filelog_seek(struct queue_engine *e, uint64_t after_seq, char *err, size_t cap)
{
	struct reader *r = &self(e)->reader;
	enum rc rc = reader_seek(r, after_seq + 1, err, cap);

	return rc == RC_ERROR && r->scarce ? RC_AGAIN : rc;
}

static uint64_t filelog_durable(struct queue_engine *e)
{
	struct filelog *l = self(e);
	uint64_t seq;

	pthread_mutex_lock(&l->lock);
	seq = l->durable_seq;
	pthread_mutex_unlock(&l->lock);
	return seq;
}

static enum rc filelog_next(struct queue_engine *e, uint64_t *seq, struct span *body, char *err, size_t cap)
{
	struct filelog *l = self(e);
	struct frame f;
	enum rc rc = reader_next(&l->reader, filelog_durable(e), &f, err, cap);

	if (rc != RC_OK)
		return rc == RC_ERROR && l->reader.scarce ? RC_DECLINED : rc;
	*seq = f.seq;
	*body = f.kind == FRAME_GAP ? span_of("", 0) : f.body;
	return RC_OK;
}

/* Takes the pieces of which every record is applied off the list; never the last, which is being written. lock held. */
static size_t drop_pieces(struct filelog *l, uint64_t seq)
{
	size_t n = 0;

	while (n + 1 < l->piece_count && l->pieces[n + 1].first_seq <= seq + 1)
		n++;
	if (!n)
		return 0;
	l->piece_count -= n;
	memmove(l->pieces, l->pieces + n, l->piece_count * sizeof(*l->pieces));
	l->applied_bytes = 0;
	return n;
}

/* The segments before the one that begins with `before`, the oldest first, each for good before the next: a power cut may
 * leave some, and then those behind them, too, or the log would have a hole. They go at the next start. */
static void delete_segments(struct filelog *l, uint64_t before)
{
	const struct file_ops *ops = l->dir->ops;
	uint64_t *list;
	size_t n;
	char name[32];

	if (qdir_segments(l->dir, &list, &n) != RC_OK) {
		log_warn("queue", "applied segments cannot be listed", "dir=%s errno=%d", l->dir->path, errno);
		return;
	}
	for (size_t i = 0; i < n && list[i] < before; i++) {
		qdir_segment_name(name, list[i]);
		FAILPOINT("segment-delete");
		if (ops->unlink(l->dir->fd, name) != 0)
			log_warn("queue", "an applied segment cannot be deleted", "dir=%s name=%s errno=%d",
				 l->dir->path, name, errno);
		else if (ops->fsync(l->dir->fd) == 0)
			continue;
		else
			log_warn("queue", "the directory cannot be synced", "dir=%s errno=%d", l->dir->path, errno);
		break;
	}
	mem_free(list);
}

static void filelog_applied(struct queue_engine *e, uint64_t seq)
{
	struct filelog *l = self(e);
	uint64_t first;
	size_t dropped;

	pthread_mutex_lock(&l->lock);
	l->applied_seq = seq;
	dropped = drop_pieces(l, seq);
	first = l->pieces[0].first_seq;
	if (l->reader.segment == first && l->reader.next_seq == seq + 1)
		l->applied_bytes = l->reader.at - SEGMENT_HEADER_BYTES;
	pthread_mutex_unlock(&l->lock);
	if (dropped)
		delete_segments(l, first);
}

static bool filelog_failed(struct queue_engine *e, const char **why)
{
	struct filelog *l = self(e);

	pthread_mutex_lock(&l->lock);
	*why = l->failed;
	pthread_mutex_unlock(&l->lock);
	return *why != NULL;
}

static void filelog_totals(struct queue_engine *e, struct queue_totals *out)
{
	struct filelog *l = self(e);

	pthread_mutex_lock(&l->lock);
	out->first_seq = l->pieces[0].first_seq;
	out->last_seq = l->durable_seq;
	out->bytes = backlog(l);
	out->fsyncs = l->fsyncs;
	out->fsync_ns_last = l->fsync_ns_last;
	out->fsync_ns_total = l->fsync_ns_total;
	pthread_mutex_unlock(&l->lock);
}

uint64_t filelog_first(struct queue_engine *e)
{
	struct filelog *l = self(e);
	uint64_t seq;

	pthread_mutex_lock(&l->lock);
	seq = l->pieces[0].first_seq;
	pthread_mutex_unlock(&l->lock);
	return seq;
}

static const struct queue_engine_ops filelog_ops = {
	.name = "file",
	.append = filelog_append,
	.start = filelog_start,
	.stop = filelog_stop,
	.close = filelog_close,
	.tune = filelog_tune,
	.seek = filelog_seek,
	.next = filelog_next,
	.applied = filelog_applied,
	.durable = filelog_durable,
	.failed = filelog_failed,
	.totals = filelog_totals,
};

/* Small enough that a queue held at its bound frees room as it is applied. */
static uint64_t choose_segment_bytes(const struct filelog_options *opt)
{
	uint64_t size = opt->max_bytes / 8;

	if (opt->segment_bytes)
		return opt->segment_bytes;
	if (!opt->max_bytes || size > SEGMENT_MAX)
		return SEGMENT_MAX;
	return size < SEGMENT_MIN ? SEGMENT_MIN : size;
}

struct queue_engine *filelog_open(const struct qdir *dir, const struct filelog_options *opt, char *err, size_t cap)
{
	struct filelog *l = mem_zalloc(sizeof(*l));

	if (!l || sigthread_cond_init(&l->work) != RC_OK) {
		mem_free(l);
		snprintf(err, cap, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	l->engine.ops = &filelog_ops;
	l->dir = dir;
	l->opt = *opt;
	l->salt = segment_salt(dir->id);
	ticket_line_init(&l->line);
	l->applied_seq = opt->known_applied;
	iobuf_init(&l->pending, 0);
	reader_init(&l->reader, dir);
	logfile_init(&l->file, dir, choose_segment_bytes(opt));
	if (filelog_recover(l, err, cap) == RC_OK)
		return &l->engine;
	filelog_close(&l->engine);
	return NULL;
}
