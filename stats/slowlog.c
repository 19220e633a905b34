/*
 * slowlog.c - the slow log: entries formatted by workers, written by a thread. Format: MySQL's reference manual, "The
 * Slow Query Log", with log_slow_extra's fields where they are known here.
 */
#include "slowlog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "iobuf.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"

#define ROOM_NS NS_PER_SEC /* what a pipe's reader does not take within this is lost */

enum { ER_QUERY_INTERRUPTED = 1317 };

struct slowlog {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct stats_sink *counts; /* the writer's */
	/* guarded by lock */
	struct iobuf pending;
	char *next_path; /* owned; NULL: no change */
	int next_fd;
	uint64_t max;
	bool stop;
	_Atomic bool on; /* a file is open, or about to be */
	/* the writer's */
	struct iobuf writing;
	char *path; /* owned; NULL: none */
	int fd;
	bool rolls; /* it is a file that can be put aside: no pipe, no device, no link */
	bool torn;  /* its last entry was broken off */
	bool fails; /* what was to be written last could not be, and that was said */
	uint64_t size;
};

/* ---- an entry ---- */

/* Names go into one line: what could end it, or begin another field, does not pass. */
static void put_name(struct iobuf *b, struct span name)
{
	uint8_t *p = iobuf_reserve(b, name.len);

	if (!p)
		return;
	for (size_t i = 0; i < name.len; i++)
		p[i] = (uint8_t)name.p[i] > ' ' && name.p[i] != 0x7f ? (uint8_t)name.p[i] : '_';
	iobuf_commit(b, name.len);
}

static void put_head(struct iobuf *b, const struct stats_event *e, uint64_t wall_us)
{
	uint64_t end_us = wall_us + e->total_ns / 1000;
	time_t at = (time_t)(end_us / 1000000);
	char when[32] = "";
	struct tm tm;

	if (gmtime_r(&at, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)!iobuf_printf(b, "# Time: %s.%06uZ\n# User@Host: ", when, (unsigned)(end_us % 1000000));
	put_name(b, e->user);
	(void)!iobuf_printf(b, "[");
	put_name(b, e->user);
	(void)!iobuf_printf(b, "] @  [");
	put_name(b, e->host);
	(void)!iobuf_printf(b, "]  Id: %llu\n# Schema: ", (unsigned long long)e->session);
	put_name(b, e->schema);
	(void)!iobuf_printf(b, "  Last_errno: %u  Killed: %u\n", e->error, e->error == ER_QUERY_INTERRUPTED);
}

/* Lock_time is what a statement waited for before it could begin: here, for a connection to a server. */
static void put_numbers(struct iobuf *b, const struct stats_event *e)
{
	(void)!iobuf_printf(b, "# Query_time: %.6f  Lock_time: %.6f  Rows_sent: %llu  Rows_affected: %llu\n",
			    (double)e->total_ns / 1e9, (double)e->wait_ns / 1e9, (unsigned long long)e->rows_sent,
			    (unsigned long long)e->rows_affected);
	(void)!iobuf_printf(b, "# Bytes_sent: %llu  No_index_used: %s  No_good_index_used: %s\n",
			    (unsigned long long)e->bytes_out, e->no_index ? "Yes" : "No",
			    e->no_good_index ? "Yes" : "No");
}

static void put_schema(struct iobuf *b, struct span schema)
{
	if (!schema.len || memchr(schema.p, '\n', schema.len) || memchr(schema.p, '`', schema.len))
		return;
	(void)!iobuf_printf(b, "use `" SPAN_FMT "`;\n", SPAN_ARG(schema));
}

static void put_text(struct iobuf *b, const struct stats_event *e, bool samples)
{
	struct span text = e->text;
	struct iobuf masked;

	iobuf_init(&masked, STATS_TEXT_MAX);
	if (e->private_text || (e->unsure_text && !samples)) {
		text = span_str(e->verb);
	} else if (!samples) {
		e->normalise(e, &masked);
		text = span_of(iobuf_data(&masked), iobuf_len(&masked));
	}
	while (text.len && (text.p[text.len - 1] == ';' || text.p[text.len - 1] == ' ' || text.p[text.len - 1] == '\n'))
		text.len--;
	if (text.len > SLOWLOG_SQL_MAX)
		(void)!iobuf_printf(b, "%.*s /* cut: %zu bytes in all */;\n", SLOWLOG_SQL_MAX, text.p, text.len);
	else if (iobuf_append(b, text.p, text.len) == RC_OK)
		(void)!iobuf_append(b, ";\n", 2);
	iobuf_reset(&masked);
}

void slowlog_add(struct slowlog *l, struct stats_sink *k, const struct stats_event *e, bool samples, uint64_t wall_us)
{
	struct iobuf entry;
	enum rc rc;

	if (!atomic_load_explicit(&l->on, memory_order_relaxed))
		return;
	iobuf_init(&entry, SLOWLOG_SQL_MAX + 8 * 1024);
	put_head(&entry, e, wall_us);
	put_numbers(&entry, e);
	put_schema(&entry, e->schema);
	(void)!iobuf_printf(&entry, "SET timestamp=%llu;\n", (unsigned long long)(wall_us / 1000000));
	put_text(&entry, e, samples);
	pthread_mutex_lock(&l->lock);
	rc = iobuf_append(&l->pending, iobuf_data(&entry), iobuf_len(&entry));
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	iobuf_reset(&entry);
	stats_count(k, rc == RC_OK ? STATS_C_SLOW_LOGGED : STATS_C_SLOW_LOG_DROPPED, 1);
}

/* ---- the file: the writer thread's ---- */

/* A pipe may stand still (O_NONBLOCK): neither opening it waits for somebody who reads it, nor does the end of the process. */
static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

/* The name is the file: not a link to it, which alone would be put aside. */
static bool is_itself(const char *path, const struct stat *opened)
{
	struct stat named;

	return S_ISREG(opened->st_mode) && lstat(path, &named) == 0 && named.st_dev == opened->st_dev && named.st_ino == opened->st_ino;
}

/* Whoever wrote to it last, before this process or beside it, was broken off. */
static bool ends_torn(const char *path, uint64_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	char last = '\n';

	if (fd < 0)
		return false;
	if (size && pread(fd, &last, 1, (off_t)size - 1) != 1)
		last = '\n';
	(void)close(fd);
	return last != '\n';
}

static void take_file(struct slowlog *l, int fd, char *path)
{
	struct stat st;

	if (l->fd >= 0)
		(void)close(l->fd);
	if (path != l->path)
		mem_free(l->path);
	l->fd = fd;
	l->path = path;
	l->rolls = fd >= 0 && fstat(fd, &st) == 0 && is_itself(path, &st);
	l->size = l->rolls ? (uint64_t)st.st_size : 0;
	l->torn = l->rolls && ends_torn(path, l->size);
}

/* Of two processes, as an upgrade has them, the other one may have done it already: what has the name now is begun anew as it is. */
static bool is_put_aside(const struct slowlog *l)
{
	struct stat st;

	return fstat(l->fd, &st) == 0 && !is_itself(l->path, &st);
}

/* Full: it becomes FILE.1. Where that cannot be done, it grows no more until told to open it anew. */
static void roll(struct slowlog *l)
{
	char old[4096];
	int n = snprintf(old, sizeof(old), "%s.1", l->path), fd = -1;

	if (is_put_aside(l) || (n > 0 && (size_t)n < sizeof(old) && rename(l->path, old) == 0))
		fd = open_file(l->path);
	if (fd < 0)
		log_error("stats", "the slow log is full and cannot be begun anew; it stops until a reload",
			  "file=%s reason=\"%s\"", l->path, strerror(errno));
	take_file(l, fd, l->path);
}

static bool has_room(const struct slowlog *l, uint64_t until_ns)
{
	struct pollfd out = {.fd = l->fd, .events = POLLOUT};
	uint64_t now = clock_mono_ns();

	return now < until_ns && poll(&out, 1, (int)((until_ns - now) / NS_PER_MS)) == 1;
}

static enum rc write_all(struct slowlog *l, struct span s, uint64_t until_ns)
{
	while (s.len) {
		ssize_t n = write(l->fd, s.p, s.len);

		if (n < 0 && (errno == EINTR || (errno == EAGAIN && has_room(l, until_ns))))
			continue;
		if (n <= 0)
			return RC_ERROR;
		l->size += (uint64_t)n;
		s = span_of(s.p + n, s.len - (size_t)n);
		l->torn = s.len > 0;
	}
	return RC_OK;
}

/* What was broken off is ended first: else the next entry would be read as more of it. */
static enum rc write_entries(struct slowlog *l)
{
	uint64_t until = clock_mono_ns() + ROOM_NS;

	if (l->torn && write_all(l, span_str(";\n"), until) != RC_OK)
		return RC_ERROR;
	return write_all(l, span_of(iobuf_data(&l->writing), iobuf_len(&l->writing)), until);
}

/* A line when it begins, and one when it is over; each failure is counted. */
static void tell(struct slowlog *l, bool failed)
{
	if (failed && !l->fails)
		log_error("stats", "the slow log cannot be written; entries are lost until it can be", "file=%s reason=\"%s\"", l->path,
			  strerror(errno));
	else if (!failed && l->fails)
		log_info("stats", "the slow log is written again", "file=%s", l->path);
	if (failed)
		stats_count(l->counts, STATS_C_SLOW_LOG_FAILURES, 1);
	l->fails = failed;
}

static void write_out(struct slowlog *l)
{
	if (iobuf_len(&l->writing) && l->fd >= 0)
		tell(l, write_entries(l) != RC_OK);
	iobuf_consume(&l->writing, iobuf_len(&l->writing));
}

static void *writer(void *arg)
{
	struct slowlog *l = arg;
	struct iobuf swap;
	uint64_t max;
	bool stop;

	do {
		pthread_mutex_lock(&l->lock);
		while (!l->stop && !l->next_path && !iobuf_len(&l->pending))
			pthread_cond_wait(&l->wake, &l->lock);
		swap = l->writing;
		l->writing = l->pending;
		l->pending = swap;
		stop = l->stop;
		max = l->max;
		if (l->next_path) {
			take_file(l, l->next_fd, l->next_path);
			l->next_path = NULL;
		}
		pthread_mutex_unlock(&l->lock);
		write_out(l);
		if (l->rolls && l->size >= max)
			roll(l);
	} while (!stop);
	return NULL;
}

/* ---- life ---- */

struct slowlog *slowlog_new(struct stats_sink *counts)
{
	struct slowlog *l = mem_zalloc(sizeof(*l));

	if (!l)
		return NULL;
	l->counts = counts;
	l->fd = -1;
	iobuf_init(&l->pending, SLOWLOG_PENDING_MAX);
	iobuf_init(&l->writing, SLOWLOG_PENDING_MAX);
	if (pthread_mutex_init(&l->lock, NULL) != 0 || pthread_cond_init(&l->wake, NULL) != 0 ||
	    sigthread_create(&l->thread, NULL, writer, l) != 0) {
		mem_free(l);
		return NULL;
	}
	return l;
}

void slowlog_free(struct slowlog *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	take_file(l, -1, NULL);
	iobuf_reset(&l->pending);
	iobuf_reset(&l->writing);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

static const char *open_error(void)
{
	return errno == ENXIO ? "it is a pipe that nobody reads yet, or a socket" : strerror(errno);
}

enum rc slowlog_open(struct slowlog *l, const char *path, uint64_t max, char *err, size_t cap)
{
	char *copy = mem_strdup(path);
	int fd = *path ? open_file(path) : -1;

	if (!copy || (*path && fd < 0)) {
		(void)snprintf(err, cap, "stats.slow_log: cannot open %s: %s", path, copy ? open_error() : strerror(ENOMEM));
		if (fd >= 0)
			(void)close(fd);
		mem_free(copy);
		return RC_ERROR;
	}
	pthread_mutex_lock(&l->lock);
	if (l->next_path) {
		if (l->next_fd >= 0)
			(void)close(l->next_fd);
		mem_free(l->next_path);
	}
	l->next_path = copy;
	l->next_fd = fd;
	l->max = max;
	atomic_store(&l->on, fd >= 0);
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	return RC_OK;
}
