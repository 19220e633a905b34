/*
 * reader.c - see reader.h.
 */
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "mem.h"

void reader_init(struct reader *r, const struct qdir *dir)
{
	*r = (struct reader){.dir = dir, .fd = -1};
	window_init(&r->frames.window);
	r->frames.salt = segment_salt(dir->id);
}

static void close_segment(struct reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

void reader_reset(struct reader *r)
{
	close_segment(r);
	window_reset(&r->frames.window);
}

static enum rc check_header(const struct qdir *dir, int fd, const char *name, uint64_t first_seq, char *err, size_t cap)
{
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	struct segment_header h;
	ssize_t n = fileops_read_at(fd, bytes, sizeof(bytes), 0);
	enum rc rc;

	if (n < 0) {
		snprintf(err, cap, "%s/%s: cannot read: %s", dir->path, name, strerror(errno));
		return RC_ERROR;
	}
	rc = segment_header_decode(span_of(bytes, (size_t)n), &h);
	if (rc == RC_DECLINED)
		snprintf(err, cap, "%s/%s: written by a newer version", dir->path, name);
	else if (rc != RC_OK)
		snprintf(err, cap, "%s/%s: its header is damaged", dir->path, name);
	else if (h.kind != SEGMENT_LOG || h.first_seq != first_seq || memcmp(h.queue_id, dir->id, QUEUE_ID_BYTES) != 0)
		snprintf(err, cap, "%s/%s: belongs to another queue or place", dir->path, name);
	else
		return RC_OK;
	return RC_ERROR;
}

enum rc reader_open_segment(const struct qdir *dir, uint64_t first_seq, int *fd, char *err, size_t cap)
{
	char name[32];

	qdir_segment_name(name, first_seq);
	*fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);
	if (*fd < 0) {
		snprintf(err, cap, "%s/%s: %s", dir->path, name, strerror(errno));
		return errno == ENOENT ? RC_DECLINED : RC_ERROR;
	}
	if (check_header(dir, *fd, name, first_seq, err, cap) == RC_OK)
		return RC_OK;
	close(*fd);
	*fd = -1;
	return RC_ERROR;
}

static bool is_scarce(void)
{
	return errno == EMFILE || errno == ENFILE;
}

static enum rc enter_segment(struct reader *r, uint64_t first_seq, char *err, size_t cap)
{
	int fd;
	enum rc rc;

	errno = 0; /* a header that is not as it should be says nothing there */
	rc = reader_open_segment(r->dir, first_seq, &fd, err, cap);
	if (rc == RC_ERROR)
		r->scarce = is_scarce();
	if (rc != RC_OK)
		return rc;
	close_segment(r);
	r->fd = fd;
	r->segment = r->next_seq = first_seq;
	r->at = SEGMENT_HEADER_BYTES;
	window_open(&r->frames.window, fd);
	return RC_OK;
}

static enum rc describe(struct reader *r, int error, char *err, size_t cap)
{
	char name[32];

	r->scarce = false;
	qdir_segment_name(name, r->segment);
	if (error == EBADMSG)
		snprintf(err, cap, "%s/%s: record %" PRIu64 " at byte %" PRIu64 " is damaged", r->dir->path, name,
			 r->next_seq, r->at);
	else
		snprintf(err, cap, "%s/%s: cannot read at byte %" PRIu64 ": %s", r->dir->path, name, r->at,
			 strerror(error));
	return RC_ERROR;
}

/* The frame here, or at the start of the segment that follows this one. */
static enum rc read_frame(struct reader *r, struct frame *f, uint64_t *next, char *err, size_t cap)
{
	enum rc rc = frame_read(&r->frames, r->at, r->next_seq, f, next);

	/* What the window holds may have been read before the frame was written. */
	if (rc != RC_OK) {
		window_forget(&r->frames.window);
		rc = frame_read(&r->frames, r->at, r->next_seq, f, next);
	}
	if (rc == RC_DECLINED && r->next_seq != r->segment) {
		rc = enter_segment(r, r->next_seq, err, cap);
		if (rc == RC_ERROR)
			return rc;
		if (rc == RC_OK)
			rc = frame_read(&r->frames, r->at, r->next_seq, f, next);
	}
	if (rc == RC_OK)
		return RC_OK;
	return describe(r, rc == RC_DECLINED ? EBADMSG : errno, err, cap);
}

enum rc reader_next(struct reader *r, uint64_t upto, struct frame *f, char *err, size_t cap)
{
	uint64_t next;

	if (r->next_seq > upto)
		return RC_AGAIN;
	if (read_frame(r, f, &next, err, cap) != RC_OK)
		return RC_ERROR;
	r->at = next;
	r->next_seq++;
	return RC_OK;
}

/* The last segment that begins at or before seq, or the first one. */
static enum rc choose_segment(struct reader *r, uint64_t seq, uint64_t *first, char *err, size_t cap)
{
	uint64_t *list;
	size_t n, i;
	enum rc rc = qdir_segments(r->dir, &list, &n);

	if (rc != RC_OK || n == 0) {
		r->scarce = rc != RC_OK && is_scarce();
		snprintf(err, cap, "%s: cannot list its segments: %s", r->dir->path,
			 rc != RC_OK ? strerror(errno) : "there are none");
		mem_free(list);
		return RC_ERROR;
	}
	for (i = n - 1; i > 0 && list[i] > seq; i--)
		;
	*first = list[i];
	mem_free(list);
	return RC_OK;
}

enum rc reader_seek(struct reader *r, uint64_t seq, char *err, size_t cap)
{
	struct frame f;
	uint64_t first;
	enum rc rc;

	if (choose_segment(r, seq, &first, err, cap) != RC_OK || enter_segment(r, first, err, cap) != RC_OK)
		return RC_ERROR;
	if (first > seq)
		return RC_DECLINED;
	while (r->next_seq < seq) {
		rc = reader_next(r, seq - 1, &f, err, cap);
		if (rc != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}
