/*
 * dead.c - see dead.h. All of it may be called by the drain and by people's requests at once: one lock.
 */
#include "dead_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "failpoint.h"
#include "log.h"
#include "mem.h"

#define ERROR_TEXT_MAX 1024u

struct dead *dead_open(const struct qdir *dir, bool hold, uint64_t known_applied, char *err, size_t cap)
{
	struct dead *d = mem_zalloc(sizeof(*d));

	if (!d) {
		snprintf(err, cap, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&d->lock, NULL);
	d->dir = dir;
	d->fd = -1;
	d->salt = segment_salt(dir->id);
	d->next_id = 1;
	if (dead_load(d, hold, known_applied, err, cap) == RC_OK)
		return d;
	dead_close(d);
	return NULL;
}

void dead_close(struct dead *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		close(d->fd);
	mem_free(d->entries);
	mem_free(d->seqs);
	pthread_mutex_destroy(&d->lock);
	mem_free(d);
}

/* What is not stored is not to be found there by a restart either. lock held. */
static bool take_back(const struct dead *d)
{
	const struct file_ops *ops = d->dir->ops;

	return ops->truncate(d->fd, (off_t)d->end) == 0 && ops->fsync(d->fd) == 0;
}

static void tell(const struct dead *d, const char *what, int code)
{
	char reason[128];

	log_error("queue", what, "dir=%s reason=\"%s\" do=\"%s\"", d->dir->path, strerror_r(code, reason, sizeof(reason)),
		  d->failed ? "see what is wrong with that disk, then restart suimon; until then the record that failed is waited for"
			    : "make room on that disk; it is tried again");
}

/* Writes frames and makes them durable. lock held. */
static enum rc write_frames(struct dead *d, const struct iobuf *out, uint64_t frames)
{
	const struct file_ops *ops = d->dir->ops;

	if (d->failed)
		return RC_ERROR;
	if (fileops_write(ops, d->fd, iobuf_data(out), iobuf_len(out), d->end) != RC_OK) {
		int code = errno;

		d->failed = !take_back(d);
		tell(d, "dead letters cannot be written", code);
		return RC_ERROR;
	}
	FAILPOINT("dead-letter");
	if (ops->fdatasync(d->fd) != 0) {
		int code = errno;

		d->failed = true;
		tell(d, "dead letters cannot be made durable", code);
		if (!take_back(d)) /* their records may be applied yet */
			log_error("queue", "and not be taken back: after a restart they may be there", "dir=%s", d->dir->path);
		return RC_ERROR;
	}
	d->end += iobuf_len(out);
	d->next_frame += frames;
	return RC_OK;
}

static enum rc encode_letter(struct dead *d, struct iobuf *out, const struct dead_letter *l, uint64_t frame)
{
	size_t error_len = l->error.len < ERROR_TEXT_MAX ? l->error.len : ERROR_TEXT_MAX;
	size_t body = DEAD_LETTER_FIXED_BYTES + error_len + l->body.len;
	uint8_t *start = iobuf_reserve(out, frame_size(body)), *p;

	if (!start)
		return RC_ERROR;
	p = bytes_put(start + FRAME_HEADER_BYTES, 8, l->id);
	p = bytes_put(p, 8, l->seq);
	p = bytes_put(p, 8, l->failed_us);
	p = bytes_put(p, 4, l->code);
	p = bytes_put(p, 4, error_len);
	if (error_len)
		memcpy(p, l->error.p, error_len);
	memcpy(p + error_len, l->body.p, l->body.len);
	frame_begin(start, frame, FRAME_LETTER, body);
	frame_seal(start, d->next_frame - 1, d->salt);
	iobuf_commit(out, frame_size(body));
	return RC_OK;
}

static enum rc add_locked(struct dead *d, struct dead_letter *letters, size_t n, struct iobuf *out)
{
	uint64_t at = d->end, frame = d->next_frame;

	if (d->waiting + n > DEAD_MAX)
		return RC_DECLINED;
	if (dead_reserve(d, n) != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < n; i++) {
		letters[i].id = d->next_id + i;
		d->entries[d->count + i] = (struct dead_entry){
			.id = letters[i].id, .seq = letters[i].seq, .at = at + iobuf_len(out), .frame_seq = frame + i};
		if (encode_letter(d, out, &letters[i], frame + i) != RC_OK)
			return RC_ERROR;
	}
	if (write_frames(d, out, n) != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < n; i++)
		dead_enter(d, &d->entries[d->count]);
	d->next_id += n;
	d->waiting += n;
	return RC_OK;
}

enum rc dead_add(struct dead *d, struct dead_letter *letters, size_t n)
{
	struct iobuf out;
	enum rc rc;

	iobuf_init(&out, 0);
	pthread_mutex_lock(&d->lock);
	rc = add_locked(d, letters, n, &out);
	pthread_mutex_unlock(&d->lock);
	iobuf_reset(&out);
	return rc;
}

static int compare_seq(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Several connections bury in any order. */
bool dead_has_seq(struct dead *d, uint64_t seq)
{
	bool found;

	pthread_mutex_lock(&d->lock);
	found = d->count && bsearch(&seq, d->seqs, d->count, sizeof(seq), compare_seq);
	pthread_mutex_unlock(&d->lock);
	return found;
}

enum rc dead_mark(struct dead *d, uint64_t id, enum dead_fate fate, uint64_t by_seq)
{
	struct dead_entry *e;
	struct iobuf out;
	enum rc rc = RC_DECLINED;

	iobuf_init(&out, 0);
	pthread_mutex_lock(&d->lock);
	e = dead_find_exact(d, id);
	if (e && e->fate == DEAD_WAITING) {
		rc = dead_put_mark(d, &out, d->next_frame, id, fate, by_seq);
		if (rc == RC_OK)
			rc = write_frames(d, &out, 1);
		if (rc == RC_OK)
			dead_settle(d, e, fate, by_seq);
	}
	pthread_mutex_unlock(&d->lock);
	iobuf_reset(&out);
	return rc;
}

enum rc dead_fate_of(struct dead *d, uint64_t id, enum dead_fate *fate, uint64_t *by_seq)
{
	struct dead_entry *e;

	pthread_mutex_lock(&d->lock);
	e = dead_find_exact(d, id);
	if (e) {
		*fate = e->fate;
		*by_seq = e->by_seq;
	}
	pthread_mutex_unlock(&d->lock);
	return e ? RC_OK : RC_DECLINED;
}

void dead_tidy(struct dead *d, uint64_t known_applied)
{
	char err[512];

	pthread_mutex_lock(&d->lock);
	if (!d->failed && !d->tidied_in_vain && dead_tidy_file(d, known_applied, err, sizeof(err)) != RC_OK) {
		log_error("queue", "dead letters cannot be read back", "error=\"%s\"", err);
		d->failed = true;
	}
	pthread_mutex_unlock(&d->lock);
}

uint64_t dead_waiting(struct dead *d)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->waiting;
	pthread_mutex_unlock(&d->lock);
	return n;
}

static enum rc each_locked(struct dead *d, struct frames *frames, uint64_t from_id, unsigned limit, dead_fn fn,
			   void *arg)
{
	struct dead_letter l;
	struct frame f;

	for (struct dead_entry *e = dead_find(d, from_id); e < d->entries + d->count && limit; e++) {
		if (e->fate != DEAD_WAITING)
			continue;
		if (dead_fetch(frames, e, &f) != RC_OK || dead_decode(f.body, &l) != RC_OK)
			return RC_ERROR;
		fn(arg, &l);
		limit--;
	}
	return RC_OK;
}

enum rc dead_each(struct dead *d, uint64_t from_id, unsigned limit, dead_fn fn, void *arg)
{
	struct frames frames = {.salt = d->salt};
	enum rc rc = RC_OK;

	window_init(&frames.window);
	pthread_mutex_lock(&d->lock);
	window_open(&frames.window, d->fd);
	if (d->count)
		rc = each_locked(d, &frames, from_id, limit, fn, arg);
	pthread_mutex_unlock(&d->lock);
	window_reset(&frames.window);
	return rc;
}
