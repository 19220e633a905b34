/*
 * disk_shim.c - preloaded into suimon by test_queue_disk.py: a queue directory on a disk that fails or is slow.
 *
 * $SUIMON_SHIM/disk, read anew at every call, has lines "CALL ERRNO", "CALL sleep MILLISECONDS", and "allocate ERRNO BYTES"
 * for what is as large; CALL is open (for writing), pwrite, fdatasync, fsync or allocate. Only files under a directory named "queue" are meant. Every call that
 * is made to fail is noted in $SUIMON_SHIM/failed, a line each.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static FILE *shim_file(const char *name, const char *mode)
{
	const char *dir = getenv("SUIMON_SHIM");
	char path[512];

	if (!dir)
		return NULL;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fopen(path, mode);
}

static bool is_queues(int fd)
{
	char link[64], path[512];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	return strstr(path, "/queue") != NULL;
}

static void sleep_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&ts, NULL);
}

/* The errno this call, of so many bytes, is to fail with; 0: none. */
static int trouble_with(const char *call, int fd, long size)
{
	FILE *f = shim_file("disk", "re"), *note;
	char line[128], name[32], what[32];
	int code = 0;

	while (f && fgets(line, sizeof(line), f)) {
		long n = 0;

		if (sscanf(line, "%31s %31s %ld", name, what, &n) < 2 || strcmp(name, call) != 0 || !is_queues(fd))
			continue;
		if (strcmp(what, "sleep") == 0)
			sleep_ms(n);
		else if (size >= n)
			code = (int)strtol(what, NULL, 10);
	}
	if (f)
		fclose(f);
	note = code ? shim_file("failed", "ae") : NULL;
	if (note) {
		(void)fprintf(note, "%s %d\n", call, code);
		fclose(note);
	}
	return code;
}

static int trouble(const char *call, int fd)
{
	return trouble_with(call, fd, 0);
}

int openat(int dirfd, const char *path, int flags, ...)
{
	int (*real)(int, const char *, int, ...);
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	int code = writes ? trouble("open", dirfd) : 0;
	mode_t mode = 0;
	va_list args;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	*(void **)&real = dlsym(RTLD_NEXT, "openat64");
	if (!code)
		return real(dirfd, path, flags, mode);
	errno = code;
	return -1;
}

int openat64(int dirfd, const char *path, int flags, ...) __attribute__((alias("openat")));

ssize_t pwrite(int fd, const void *p, size_t len, off_t at)
{
	ssize_t (*real)(int, const void *, size_t, off_t);
	int code = trouble("pwrite", fd);

	*(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
	if (!code)
		return real(fd, p, len, at);
	errno = code;
	return -1;
}

ssize_t pwrite64(int fd, const void *p, size_t len, off_t at) __attribute__((alias("pwrite")));

static int sync_by(const char *call, int fd)
{
	int (*real)(int);
	int code = trouble(call, fd);

	*(void **)&real = dlsym(RTLD_NEXT, call);
	if (!code)
		return real(fd);
	errno = code;
	return -1;
}

int fdatasync(int fd)
{
	return sync_by("fdatasync", fd);
}

int fsync(int fd)
{
	return sync_by("fsync", fd);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
	int (*real)(int, off_t, off_t);
	int code = trouble_with("allocate", fd, (long)len);

	*(void **)&real = dlsym(RTLD_NEXT, "posix_fallocate64");
	return code ? code : real(fd, at, len);
}

int posix_fallocate64(int fd, off_t at, off_t len) __attribute__((alias("posix_fallocate")));
