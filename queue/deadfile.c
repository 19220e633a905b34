/*
 * deadfile.c - the dead letters' file: read into the index, recovered, rewritten smaller. See dead_impl.h.
 */
#include "dead_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "log.h"
#include "mbuf.h"
#include "mem.h"

#define TIDY_BYTES (1u << 20) /* not worth rewriting the file for less */
#define COPY_BYTES (1u << 20) /* written at a time when it is rewritten */
#define COPY_NAME QDIR_DEAD_NAME ".tmp"

struct dead_entry *dead_find(struct dead *d, uint64_t id)
{
	size_t lo = 0, hi = d->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->entries[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return &d->entries[lo];
}

struct dead_entry *dead_find_exact(struct dead *d, uint64_t id)
{
	struct dead_entry *e = d->count ? dead_find(d, id) : NULL;

	return e && e < d->entries + d->count && e->id == id ? e : NULL;
}

enum rc dead_reserve(struct dead *d, size_t n)
{
	size_t cap = d->cap ? d->cap : 64;
	struct dead_entry *entries;
	uint64_t *seqs;

	if (d->count + n <= d->cap)
		return RC_OK;
	while (cap < d->count + n)
		cap *= 2;
	entries = mem_realloc(d->entries, cap * sizeof(*entries));
	if (!entries)
		return RC_ERROR;
	d->entries = entries;
	seqs = mem_realloc(d->seqs, cap * sizeof(*seqs));
	if (!seqs)
		return RC_ERROR;
	d->seqs = seqs;
	d->cap = cap;
	return RC_OK;
}

void dead_enter(struct dead *d, const struct dead_entry *e)
{
	size_t at = d->count;

	while (at && d->seqs[at - 1] > e->seq) {
		d->seqs[at] = d->seqs[at - 1];
		at--;
	}
	d->seqs[at] = e->seq;
	d->entries[d->count++] = *e;
}

enum rc dead_decode(struct span body, struct dead_letter *l)
{
	struct mbuf m = mbuf_of(body.p, body.len);
	uint32_t error_len;

	if (mbuf_u64(&m, &l->id) != RC_OK || mbuf_u64(&m, &l->seq) != RC_OK || mbuf_u64(&m, &l->failed_us) != RC_OK ||
	    mbuf_u32(&m, &l->code) != RC_OK || mbuf_u32(&m, &error_len) != RC_OK ||
	    mbuf_bytes(&m, error_len, &l->error) != RC_OK)
		return RC_ERROR;
	return mbuf_bytes(&m, mbuf_left(&m), &l->body);
}

static enum rc load_letter(struct dead *d, const struct frame *f, uint64_t at)
{
	struct dead_letter l;

	if (dead_decode(f->body, &l) != RC_OK || l.id < d->next_id || dead_reserve(d, 1) != RC_OK)
		return RC_ERROR;
	dead_enter(d, &(struct dead_entry){.id = l.id, .seq = l.seq, .at = at, .frame_seq = f->seq});
	d->next_id = l.id + 1;
	d->waiting++;
	return RC_OK;
}

void dead_settle(struct dead *d, struct dead_entry *e, enum dead_fate fate, uint64_t by_seq)
{
	if (e->fate == DEAD_WAITING)
		d->waiting--;
	e->fate = fate;
	e->by_seq = by_seq;
}

static enum rc load_mark(struct dead *d, const struct frame *f)
{
	struct mbuf m = mbuf_of(f->body.p, f->body.len);
	struct dead_entry *e;
	uint64_t id, by_seq;
	uint32_t fate;

	if (mbuf_u64(&m, &id) != RC_OK || mbuf_u64(&m, &by_seq) != RC_OK || mbuf_u32(&m, &fate) != RC_OK ||
	    (fate != DEAD_RETRIED && fate != DEAD_DISCARDED))
		return RC_ERROR;
	e = dead_find_exact(d, id);
	if (e && e->fate == DEAD_WAITING)
		dead_settle(d, e, (enum dead_fate)fate, by_seq);
	return RC_OK;
}

static enum rc load_frame(void *arg, const struct frame *f, uint64_t at)
{
	enum rc rc = f->kind == FRAME_LETTER ? load_letter(arg, f, at)
		   : f->kind == FRAME_MARK   ? load_mark(arg, f)
					     : RC_ERROR;

	if (rc != RC_OK)
		errno = EBADMSG;
	return rc;
}

static enum rc fail(const struct dead *d, char *err, size_t cap, const char *what)
{
	snprintf(err, cap, "%s/" QDIR_DEAD_NAME ": %s: %s", d->dir->path, what, strerror(errno));
	return RC_ERROR;
}

static enum rc load_header(struct dead *d, char *err, size_t cap)
{
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	struct segment_header h;
	ssize_t n = fileops_read_at(d->fd, bytes, sizeof(bytes), 0);

	if (n < 0)
		return fail(d, err, cap, "cannot read");
	if (segment_header_decode(span_of(bytes, (size_t)n), &h) != RC_OK || h.kind != SEGMENT_DEAD ||
	    memcmp(h.queue_id, d->dir->id, QUEUE_ID_BYTES) != 0) {
		errno = EBADMSG;
		return fail(d, err, cap, "its header is damaged or another queue's");
	}
	d->next_id = h.first_seq;
	return RC_OK;
}

static enum rc load_frames(struct dead *d, bool hold, char *err, size_t cap)
{
	struct frames frames = {.salt = d->salt};
	struct segment_scan scan;
	enum rc rc;

	window_init(&frames.window);
	window_open(&frames.window, d->fd);
	rc = segment_scan(&frames, SEGMENT_HEADER_BYTES, 1, load_frame, d, &scan);
	window_reset(&frames.window);
	if (rc != RC_OK)
		return fail(d, err, cap, "cannot read");
	d->end = scan.end;
	d->next_frame = scan.next_seq;
	if (scan.damaged) {
		snprintf(err, cap, "%s/" QDIR_DEAD_NAME ": damaged at byte %" PRIu64, d->dir->path, scan.end);
		return RC_ERROR;
	}
	if (!hold || !scan.torn)
		return RC_OK;
	log_warn("queue", "a torn dead letter was cut off: its record will be tried again", "dir=%s byte=%" PRIu64,
		 d->dir->path, scan.end);
	if (d->dir->ops->truncate(d->fd, (off_t)d->end) != 0 || d->dir->ops->fsync(d->fd) != 0)
		return fail(d, err, cap, "cannot cut off its torn end");
	return RC_OK;
}

static void header_bytes(const struct dead *d, uint64_t first_id, uint8_t out[SEGMENT_HEADER_BYTES])
{
	struct segment_header h = {.kind = SEGMENT_DEAD, .first_seq = first_id, .made_us = clock_wall_us()};

	memcpy(h.queue_id, d->dir->id, QUEUE_ID_BYTES);
	segment_header_encode(&h, out);
}

static enum rc open_file(struct dead *d, bool hold, char *err, size_t cap)
{
	const struct qdir *dir = d->dir;
	uint8_t bytes[SEGMENT_HEADER_BYTES];

	d->fd = dir->ops->open(dir->fd, QDIR_DEAD_NAME, hold ? O_RDWR : O_RDONLY, 0);
	if (d->fd >= 0)
		return RC_OK;
	if (errno != ENOENT)
		return fail(d, err, cap, "cannot open");
	if (!hold)
		return RC_DECLINED;
	header_bytes(d, 1, bytes);
	if (fileops_replace(dir->ops, dir->fd, QDIR_DEAD_NAME, bytes, sizeof(bytes)) != RC_OK)
		return fail(d, err, cap, "cannot make it");
	d->fd = dir->ops->open(dir->fd, QDIR_DEAD_NAME, O_RDWR, 0);
	return d->fd >= 0 ? RC_OK : fail(d, err, cap, "cannot open");
}

/* Nobody will ask for it again. */
static bool forgettable(const struct dead_entry *e, uint64_t known_applied)
{
	return e->fate != DEAD_WAITING && e->seq <= known_applied && e->by_seq <= known_applied;
}

enum rc dead_fetch(struct frames *frames, const struct dead_entry *e, struct frame *f)
{
	uint64_t next;

	return frame_read(frames, e->at, e->frame_seq, f, &next);
}

static enum rc append_frame(struct iobuf *out, uint64_t seq, enum frame_kind kind, struct span body, uint64_t durable,
			    uint32_t salt)
{
	uint8_t *p = iobuf_reserve(out, frame_size(body.len));

	if (!p)
		return RC_ERROR;
	memcpy(p + FRAME_HEADER_BYTES, body.p, body.len);
	frame_begin(p, seq, kind, body.len);
	frame_seal(p, durable, salt);
	iobuf_commit(out, frame_size(body.len));
	return RC_OK;
}

enum rc dead_put_mark(struct dead *d, struct iobuf *out, uint64_t seq, uint64_t id, enum dead_fate fate,
		      uint64_t by_seq)
{
	uint8_t body[DEAD_MARK_BYTES], *p = bytes_put(body, 8, id);

	p = bytes_put(p, 8, by_seq);
	bytes_put(p, 4, fate);
	return append_frame(out, seq, FRAME_MARK, span_of(body, sizeof(body)), d->next_frame - 1, d->salt);
}

/* The file anew, written in pieces. */
struct copy {
	struct iobuf out;
	uint64_t at; /* of what is in out */
	int fd;
};

static enum rc flush(struct dead *d, struct copy *c, size_t most)
{
	if (iobuf_len(&c->out) <= most)
		return RC_OK;
	if (fileops_write(d->dir->ops, c->fd, iobuf_data(&c->out), iobuf_len(&c->out), c->at) != RC_OK)
		return RC_ERROR;
	c->at += iobuf_len(&c->out);
	iobuf_consume(&c->out, iobuf_len(&c->out));
	return RC_OK;
}

/* Without what is forgettable. */
static enum rc copy_letters(struct dead *d, uint64_t known_applied, struct copy *c)
{
	struct frames frames = {.salt = d->salt};
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	struct frame f;
	uint64_t seq = 1;
	enum rc rc;

	header_bytes(d, d->count ? d->entries[0].id : d->next_id, bytes);
	rc = iobuf_append(&c->out, bytes, sizeof(bytes));
	window_init(&frames.window);
	window_open(&frames.window, d->fd);
	for (size_t i = 0; i < d->count && rc == RC_OK; i++) {
		const struct dead_entry *e = &d->entries[i];

		/* The last one stays in any case: its id must not be given again. */
		if (forgettable(e, known_applied) && i + 1 < d->count)
			continue;
		rc = dead_fetch(&frames, e, &f);
		if (rc == RC_OK)
			rc = append_frame(&c->out, seq++, FRAME_LETTER, f.body, 0, d->salt);
		if (rc == RC_OK && e->fate != DEAD_WAITING)
			rc = dead_put_mark(d, &c->out, seq++, e->id, e->fate, e->by_seq);
		if (rc == RC_OK)
			rc = flush(d, c, COPY_BYTES);
	}
	window_reset(&frames.window);
	return rc == RC_OK ? flush(d, c, 0) : rc;
}

static enum rc rewrite(struct dead *d, uint64_t known_applied)
{
	const struct file_ops *ops = d->dir->ops;
	struct copy c = {.fd = ops->open(d->dir->fd, COPY_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0640)};
	enum rc rc;

	if (c.fd < 0)
		return RC_ERROR;
	iobuf_init(&c.out, 0);
	rc = copy_letters(d, known_applied, &c);
	iobuf_reset(&c.out);
	if (rc == RC_OK && ops->fsync(c.fd) != 0)
		rc = RC_ERROR;
	close(c.fd);
	if (rc != RC_OK || ops->rename(d->dir->fd, COPY_NAME, QDIR_DEAD_NAME) != 0) {
		ops->unlink(d->dir->fd, COPY_NAME);
		return RC_ERROR;
	}
	/* The new one has that name now, whatever this says: it is whole, and the old one is the same to whoever finds it. */
	if (ops->fsync(d->dir->fd) != 0)
		log_warn("queue", "the queue's directory cannot be synced", "dir=%s", d->dir->path);
	return RC_OK;
}

static bool worth_tidying(const struct dead *d, uint64_t known_applied)
{
	size_t n = 0;

	if (d->end <= TIDY_BYTES || d->count - d->waiting <= d->count / 2)
		return false;
	for (size_t i = 0; i < d->count; i++)
		n += forgettable(&d->entries[i], known_applied);
	return n > d->count / 2;
}

static enum rc load(struct dead *d, bool hold, char *err, size_t cap)
{
	enum rc rc = open_file(d, hold, err, cap);

	if (rc != RC_OK)
		return rc == RC_DECLINED ? RC_OK : RC_ERROR;
	if (load_header(d, err, cap) != RC_OK)
		return RC_ERROR;
	return load_frames(d, hold, err, cap);
}

enum rc dead_tidy_file(struct dead *d, uint64_t known_applied, char *err, size_t cap)
{
	if (!worth_tidying(d, known_applied))
		return RC_OK;
	if (rewrite(d, known_applied) != RC_OK) {
		d->tidied_in_vain = true;
		log_warn("queue", "the dead letters' file could not be rewritten smaller; it stays as it is", "dir=%s",
			 d->dir->path);
		return RC_OK;
	}
	close(d->fd);
	d->fd = -1;
	d->count = 0;
	d->waiting = 0;
	return load(d, true, err, cap);
}

enum rc dead_load(struct dead *d, bool hold, uint64_t known_applied, char *err, size_t cap)
{
	if (load(d, hold, err, cap) != RC_OK)
		return RC_ERROR;
	return hold ? dead_tidy_file(d, known_applied, err, cap) : RC_OK;
}
