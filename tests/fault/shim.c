/*
 * shim.c - preloaded into suimon (conftest.py's shimmed): names that stop resolving, a clock that jumps, a kernel that fails, a
 * thread that hangs.
 *
 * $SUIMON_SHIM/hosts  "name address" lines: what names ending in .test resolve to; others of them do not resolve
 * $SUIMON_SHIM/epoll  there: the main thread can wait for nothing any more; with a word in it: the others
 * $SUIMON_SHIM/hang   there: the thread of the name that is in it hangs, as soon as it would wait for something
 * $SUIMON_SHIM/clock  seconds added to the wall clock; the monotonic clock is left alone, as by whoever sets the time
 * $SUIMON_SHIM/asleep seconds for which the machine has slept: the clock that goes on meanwhile has them, too, the monotonic one has not
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static FILE *open_file(const char *name)
{
	const char *dir = getenv("SUIMON_SHIM");
	char path[512];

	if (!dir)
		return NULL;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fopen(path, "re");
}

static int address_of(const char *name, char out[64])
{
	FILE *f = open_file("hosts");
	char known[128];
	int found = 0;

	while (f && !found && fscanf(f, "%127s %63s", known, out) == 2)
		found = strcmp(known, name) == 0;
	if (f)
		fclose(f);
	return found;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	size_t n = node ? strlen(node) : 0;
	char address[64];

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (n < 5 || strcmp(node + n - 5, ".test") != 0)
		return real(node, service, hints, res);
	return address_of(node, address) ? real(address, service, hints, res) : EAI_AGAIN;
}

static long seconds_of(const char *name)
{
	int saved = errno; /* who asks for the time does not expect it to change */
	FILE *f = open_file(name);
	long seconds = 0;

	if (f) {
		if (fscanf(f, "%ld", &seconds) != 1)
			seconds = 0;
		fclose(f);
	}
	errno = saved;
	return seconds;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	int rc;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	rc = real(id, ts);
	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += seconds_of("clock") + seconds_of("asleep");
	if (rc == 0 && id == CLOCK_BOOTTIME)
		ts->tv_sec += seconds_of("asleep");
	return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}

static bool hangs(void)
{
	FILE *f = open_file("hang");
	char wanted[16] = "", own[16] = "";

	if (!f)
		return false;
	if (fscanf(f, "%15s", wanted) != 1)
		wanted[0] = '\0';
	fclose(f);
	return prctl(PR_GET_NAME, own) == 0 && strcmp(own, wanted) == 0;
}

int epoll_wait(int epfd, struct epoll_event *events, int most, int timeout)
{
	static int (*real)(int, struct epoll_event *, int, int);
	FILE *f = open_file("epoll");
	bool others = f && fgetc(f) != EOF;

	if (f)
		fclose(f);
	if (f && others == (gettid() != getpid())) {
		errno = EBADF;
		return -1;
	}
	while (hangs())
		(void)usleep(10000);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "epoll_wait");
	return real(epfd, events, most, timeout);
}
