/*
 * fileops.h - the few system calls through which the queue changes its directory, in a table so that tests can make
 * any of them fail, write short, or forget what was not synced. All return as the calls they are named after.
 */
#ifndef SUIMON_FILEOPS_H
#define SUIMON_FILEOPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rc.h"

struct file_ops {
	int (*open)(int dirfd, const char *name, int flags, mode_t mode);
	ssize_t (*pwrite)(int fd, const void *p, size_t len, off_t at);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);               /* a file with its size, or a directory */
	int (*allocate)(int fd, off_t len); /* returns an errno value, as posix_fallocate does */
	int (*truncate)(int fd, off_t len);
	int (*unlink)(int dirfd, const char *name);
	int (*rename)(int dirfd, const char *from, const char *to);
};

extern const struct file_ops file_ops_system;

/* Writes all of p at `at`, over short writes and signals. RC_ERROR: errno says why; some of it may be written. */
enum rc fileops_write(const struct file_ops *ops, int fd, const void *p, size_t len, uint64_t at) must_check;

/* Puts a small file in place as a whole: a temporary name, synced, renamed, the directory synced. RC_ERROR: errno. */
enum rc fileops_replace(const struct file_ops *ops, int dirfd, const char *name, const void *p, size_t len) must_check;

/* Reads up to cap bytes of a small file. -1: errno. */
ssize_t fileops_read_small(int dirfd, const char *name, void *p, size_t cap);

/* Reads len bytes at `at`, fewer only at the end of the file. -1: errno. */
ssize_t fileops_read_at(int fd, void *p, size_t len, uint64_t at);

#endif
