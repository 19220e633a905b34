/*
 * power_files.c - see power_files.h.
 */
#include "power_files.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512u

/* A piece of a write, at most a sector, or a change of a name, that waits. */
struct late {
	struct late *next;
	int fd; /* of the file, or of the directory */
	off_t at;
	size_t len;
	char from[64], to[64]; /* names: to is empty for an unlink, from for a write */
	char data[SECTOR];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct late *first, **end = &first;
static unsigned dice = 1;

void power_files_seed(unsigned seed)
{
	dice = seed;
}

static bool waits(void)
{
	return rand_r(&dice) & 0x100;
}

static struct late *late_new(int fd)
{
	struct late *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	l->fd = fd;
	*end = l;
	end = &l->next;
	return l;
}

static void perform(const struct late *l)
{
	if (l->to[0])
		(void)file_ops_system.rename(l->fd, l->from, l->to);
	else if (l->from[0])
		(void)file_ops_system.unlink(l->fd, l->from);
	else if (pwrite(l->fd, l->data, l->len, l->at) != (ssize_t)l->len)
		abort();
}

/* Takes what waits for this file off the list: performed, or forgotten. from: only writes that begin there or behind. */
static void settle(int fd, bool forget, off_t from)
{
	struct late **p = &first;

	while (*p) {
		struct late *l = *p;

		if (l->fd != fd || l->at < from) {
			p = &l->next;
			continue;
		}
		if (!forget)
			perform(l);
		*p = l->next;
		free(l);
	}
	end = p;
}

/* A number that is used again for another file: what was written to the old one and never synced is lost by rights. */
static int power_open(int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = file_ops_system.open(dirfd, name, flags, mode);

	pthread_mutex_lock(&lock);
	settle(fd, true, 0);
	pthread_mutex_unlock(&lock);
	return fd;
}

static ssize_t power_pwrite(int fd, const void *p, size_t len, off_t at)
{
	size_t n = SECTOR - (size_t)at % SECTOR; /* one sector a call: the others are short writes */
	ssize_t wrote;

	if (n > len)
		n = len;
	pthread_mutex_lock(&lock);
	if (waits()) {
		struct late *l = late_new(fd);

		l->at = at;
		l->len = n;
		memcpy(l->data, p, n);
		wrote = (ssize_t)n;
	} else {
		wrote = pwrite(fd, p, n, at);
	}
	pthread_mutex_unlock(&lock);
	return wrote;
}

static int power_sync(int fd)
{
	pthread_mutex_lock(&lock);
	settle(fd, false, 0);
	pthread_mutex_unlock(&lock);
	return 0;
}

static int power_truncate(int fd, off_t len)
{
	pthread_mutex_lock(&lock);
	settle(fd, true, len);
	pthread_mutex_unlock(&lock);
	return file_ops_system.truncate(fd, len);
}

static int change_name(int dirfd, const char *from, const char *to)
{
	struct late *l, now = {.fd = dirfd};

	pthread_mutex_lock(&lock);
	l = waits() ? late_new(dirfd) : &now;
	(void)snprintf(l->from, sizeof(l->from), "%s", from);
	(void)snprintf(l->to, sizeof(l->to), "%s", to);
	if (l == &now)
		perform(&now);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* "paused" is there or not, and that is asked: a name that isn't there is an error at once. */
static int power_unlink(int dirfd, const char *name)
{
	if (faccessat(dirfd, name, F_OK, 0) != 0)
		return -1;
	return change_name(dirfd, name, "");
}

static int power_rename(int dirfd, const char *from, const char *to)
{
	return change_name(dirfd, from, to);
}

static int power_allocate(int fd, off_t len)
{
	return file_ops_system.allocate(fd, len);
}

const struct file_ops power_files = {
	.open = power_open,
	.pwrite = power_pwrite,
	.fdatasync = power_sync,
	.fsync = power_sync,
	.allocate = power_allocate,
	.truncate = power_truncate,
	.unlink = power_unlink,
	.rename = power_rename,
};
