/*
 * fileops.c - see fileops.h.
 */
#include "fileops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int system_open(int dirfd, const char *name, int flags, mode_t mode)
{
	return openat(dirfd, name, flags | O_CLOEXEC, mode);
}

static ssize_t system_pwrite(int fd, const void *p, size_t len, off_t at)
{
	return pwrite(fd, p, len, at);
}

static int system_allocate(int fd, off_t len)
{
	return posix_fallocate(fd, 0, len);
}

static int system_truncate(int fd, off_t len)
{
	return ftruncate(fd, len);
}

static int system_unlink(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, 0);
}

static int system_rename(int dirfd, const char *from, const char *to)
{
	return renameat(dirfd, from, dirfd, to);
}

const struct file_ops file_ops_system = {
	.open = system_open,
	.pwrite = system_pwrite,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.allocate = system_allocate,
	.truncate = system_truncate,
	.unlink = system_unlink,
	.rename = system_rename,
};

enum rc fileops_write(const struct file_ops *ops, int fd, const void *p, size_t len, uint64_t at)
{
	const char *b = p;

	while (len) {
		ssize_t n = ops->pwrite(fd, b, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return RC_ERROR;
		}
		b += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return RC_OK;
}

static enum rc write_synced(const struct file_ops *ops, int fd, const void *p, size_t len)
{
	if (fileops_write(ops, fd, p, len, 0) != RC_OK)
		return RC_ERROR;
	return ops->fsync(fd) == 0 ? RC_OK : RC_ERROR;
}

enum rc fileops_replace(const struct file_ops *ops, int dirfd, const char *name, const void *p, size_t len)
{
	char tmp[64];
	enum rc rc;
	int fd, saved;

	snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	fd = ops->open(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	if (fd < 0)
		return RC_ERROR;
	rc = write_synced(ops, fd, p, len);
	saved = errno;
	close(fd);
	errno = saved;
	if (rc != RC_OK || ops->rename(dirfd, tmp, name) != 0)
		return RC_ERROR;
	return ops->fsync(dirfd) == 0 ? RC_OK : RC_ERROR;
}

ssize_t fileops_read_at(int fd, void *p, size_t len, uint64_t at)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, (char *)p + got, len - got, (off_t)(at + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

ssize_t fileops_read_small(int dirfd, const char *name, void *p, size_t cap)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = fileops_read_at(fd, p, cap, 0);
	close(fd);
	return n;
}
