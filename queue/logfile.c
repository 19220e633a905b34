/*
 * logfile.c - see logfile.h.
 */
#include "logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "failpoint.h"

/*
 * Blocks that are allocated and were never written cost the file system's journal a commit when they are synced (a sync of
 * 4 KiB on ext4 took 1.4 to 3 times as long). So some are written with zeros, which is what they would be read as anyway, together with a group
 * that has come to the end of those that were. Not behind a large group, which would gain nothing.
 */
#define ZEROS_BYTES (16u << 10)
#define ZERO_AHEAD (256u << 10)
#define ZERO_BEHIND_MAX (64u << 10)

static const uint8_t zeros[ZEROS_BYTES];

#define SMALL_BYTES (UINT64_C(1) << 20)

/* A segment under this name was never part of the log. */
#define NEW_NAME "new.tmp"

void logfile_init(struct logfile *f, const struct qdir *dir, uint64_t segment_bytes)
{
	*f = (struct logfile){.dir = dir, .fd = -1, .segment_bytes = segment_bytes};
}

static enum rc failed_with(int error)
{
	errno = error;
	return RC_ERROR;
}

static enum rc fill_new(struct logfile *f, int fd, uint64_t first_seq, uint64_t size)
{
	const struct file_ops *ops = f->dir->ops;
	struct segment_header h = {.kind = SEGMENT_LOG, .first_seq = first_seq, .made_us = clock_wall_us()};
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	int error = ops->allocate(fd, (off_t)size);

	if (error)
		return failed_with(error);
	memcpy(h.queue_id, f->dir->id, QUEUE_ID_BYTES);
	segment_header_encode(&h, bytes);
	if (fileops_write(ops, fd, bytes, sizeof(bytes), 0) != RC_OK)
		return RC_ERROR;
	return ops->fsync(fd) == 0 ? RC_OK : RC_ERROR;
}

/* Only a segment that is whole gets its name: a crash in between leaves nothing to be recovered. */
static enum rc put_in_place(struct logfile *f, uint64_t first_seq)
{
	const struct file_ops *ops = f->dir->ops;
	char name[32];
	int error;

	qdir_segment_name(name, first_seq);
	FAILPOINT("segment-create");
	if (ops->rename(f->dir->fd, NEW_NAME, name) != 0)
		return RC_ERROR;
	if (ops->fsync(f->dir->fd) == 0)
		return RC_OK;
	error = errno;
	ops->unlink(f->dir->fd, name);
	return failed_with(error);
}

static enum rc create(struct logfile *f, uint64_t first_seq, uint64_t size, uint64_t need)
{
	const struct file_ops *ops = f->dir->ops;
	int fd, error;

	if (size < SEGMENT_HEADER_BYTES + need)
		size = SEGMENT_HEADER_BYTES + need;
	fd = ops->open(f->dir->fd, NEW_NAME, O_RDWR | O_CREAT | O_TRUNC, 0640);
	if (fd < 0)
		return RC_ERROR;
	if (fill_new(f, fd, first_seq, size) != RC_OK || put_in_place(f, first_seq) != RC_OK) {
		error = errno;
		close(fd);
		ops->unlink(f->dir->fd, NEW_NAME);
		return failed_with(error);
	}
	f->fd = fd;
	f->first_seq = first_seq;
	f->used = f->synced = f->zeroed = SEGMENT_HEADER_BYTES;
	f->size = size;
	return RC_OK;
}

enum rc logfile_create(struct logfile *f, uint64_t first_seq, uint64_t need)
{
	return create(f, first_seq, f->segment_bytes, need);
}

enum rc logfile_create_small(struct logfile *f, uint64_t first_seq, uint64_t need)
{
	return create(f, first_seq, f->segment_bytes < SMALL_BYTES ? f->segment_bytes : SMALL_BYTES, need);
}

/* Back to `used` bytes, for certain, and as large as before if there is room. */
static enum rc cut(struct logfile *f)
{
	const struct file_ops *ops = f->dir->ops;

	if (ops->truncate(f->fd, (off_t)f->used) != 0)
		return RC_ERROR;
	/* Without room the segment is full: the next record asks for a new one and is answered there. */
	if (ops->allocate(f->fd, (off_t)f->size) != 0)
		f->size = f->used;
	f->zeroed = f->used;
	return ops->fsync(f->fd) == 0 ? RC_OK : RC_ERROR;
}

enum rc logfile_continue(struct logfile *f, uint64_t first_seq, uint64_t used, bool torn)
{
	struct stat st;
	char name[32];

	qdir_segment_name(name, first_seq);
	f->fd = f->dir->ops->open(f->dir->fd, name, O_RDWR, 0);
	if (f->fd < 0 || fstat(f->fd, &st) != 0)
		return RC_ERROR;
	f->first_seq = first_seq;
	f->used = f->synced = f->zeroed = used;
	f->size = (uint64_t)st.st_size < f->segment_bytes ? f->segment_bytes : (uint64_t)st.st_size;
	if (torn || (uint64_t)st.st_size < f->size)
		return cut(f);
	/* What a killed process had written and not synced counts as durable from here on: it will be applied. */
	return f->dir->ops->fsync(f->fd) == 0 ? RC_OK : RC_ERROR;
}

enum rc logfile_write(struct logfile *f, const void *p, size_t len)
{
	int error;
	enum rc rc;

	if (fileops_write(f->dir->ops, f->fd, p, len, f->used) == RC_OK) {
		f->used += len;
		return RC_OK;
	}
	error = errno;
	rc = cut(f) == RC_OK ? RC_DECLINED : RC_ERROR;
	errno = error;
	return rc;
}

/* Only just before a sync, so that zeros and frames at one place are never both on their way to the disk. What fails here was only
 * to make it quicker: the frames' own writes and syncs tell whether the disk is well. */
static void zero_ahead(struct logfile *f)
{
	uint64_t end = f->size - f->used < ZERO_AHEAD ? f->size : f->used + ZERO_AHEAD;
	uint64_t at = f->used;

	if (f->used <= f->zeroed || f->used - f->synced > ZERO_BEHIND_MAX)
		return;
	f->zeroed = end;
	while (at < end) {
		size_t n = end - at < ZEROS_BYTES ? (size_t)(end - at) : ZEROS_BYTES;

		if (fileops_write(f->dir->ops, f->fd, zeros, n, at) != RC_OK)
			return;
		at += n;
	}
}

enum rc logfile_sync(struct logfile *f)
{
	zero_ahead(f);
	FAILPOINT("before-fdatasync");
	if (f->dir->ops->fdatasync(f->fd) != 0)
		return RC_ERROR;
	f->synced = f->used;
	FAILPOINT("after-fdatasync");
	return RC_OK;
}

void logfile_seal(struct logfile *f)
{
	/* If it fails the disk keeps some zeros for a while; nothing depends on it. */
	if (f->dir->ops->truncate(f->fd, (off_t)f->used) == 0)
		f->size = f->used;
	logfile_close(f);
}

void logfile_close(struct logfile *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}
