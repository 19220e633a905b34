/*
 * log.c - which lines are written, and the writing. How a line looks is logline.c's.
 */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "lineout.h"
#include "logline.h"

#define REPEATS_A_SECOND 20
#define LAST_LINE_MS 1000 /* what a fatal line waits for a reader of stderr */
#define LIMIT_SLOTS 1024 /* more than the program has messages; one too many is merely not limited */

/* One message (by the addresses of its literals) and how often it was written in its current second. */
struct limit {
	const char *subsystem; /* not owned */
	const char *text;      /* not owned; NULL = slot free */
	uint64_t since_ns;
	uint32_t written;
	uint64_t dropped;
};

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
static _Atomic int least_level = LOG_LEVEL_INFO;
static atomic_bool as_json;
static struct limit limits[LIMIT_SLOTS];
static pthread_mutex_t limits_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t lost, lost_untold; /* lines: of all time, and since the last one that was written */

void log_setup(enum log_level least, bool json)
{
	atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
	atomic_store_explicit(&as_json, json, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

uint64_t log_lost(void)
{
	return atomic_load(&lost);
}

const char *log_quote(char *buf, size_t cap, struct span s)
{
	return logline_quote(buf, cap, s);
}

/* NULL when the table is full. The lock is held. */
static struct limit *limit_of(const char *subsystem, const char *text)
{
	size_t at = (size_t)(((uintptr_t)subsystem * 31 + (uintptr_t)text) * UINT64_C(0x9e3779b97f4a7c15) >> 40);

	for (size_t i = 0; i < LIMIT_SLOTS; i++) {
		struct limit *l = &limits[(at + i) % LIMIT_SLOTS];

		if (!l->text) {
			l->subsystem = subsystem;
			l->text = text;
		}
		if (l->text == text && l->subsystem == subsystem)
			return l;
	}
	return NULL;
}

/* False: this is one repeat too many. *dropped: how many of those there were since the last line. */
static bool may_write(const char *subsystem, const char *text, uint64_t *dropped)
{
	uint64_t now = clock_mono_ns();
	bool may = true;
	struct limit *l;

	*dropped = 0;
	pthread_mutex_lock(&limits_lock);
	l = limit_of(subsystem, text);
	if (l) {
		if (now - l->since_ns >= NS_PER_SEC) {
			l->since_ns = now;
			l->written = 0;
		}
		may = l->written < REPEATS_A_SECOND;
		if (may) {
			l->written++;
			*dropped = l->dropped;
			l->dropped = 0;
		} else {
			l->dropped++;
		}
	}
	pthread_mutex_unlock(&limits_lock);
	return may;
}

static void emit(enum log_level level, const char *subsystem, const char *text, uint64_t dropped, const char *kv_fmt,
		 va_list args) printf_like(5, 0);

/* What stderr does not take is lost, and told of by the next line that it takes. */
static void emit(enum log_level level, const char *subsystem, const char *text, uint64_t dropped, const char *kv_fmt,
		 va_list args)
{
	char line[LOGLINE_MAX], tail[LOGLINE_MAX] = "";
	struct logline l = {.level = level_names[level], .subsystem = subsystem, .text = text, .repeats = dropped};
	size_t len;
	int n = kv_fmt ? vsnprintf(tail, sizeof(tail), kv_fmt, args) : 0;

	l.wall_us = clock_wall_us();
	l.tail = span_of(tail, n < 0 ? 0 : strnlen(tail, sizeof(tail)));
	l.lost = atomic_exchange(&lost_untold, 0);
	len = atomic_load_explicit(&as_json, memory_order_relaxed) ? logline_json(line, &l) : logline_text(line, &l);
	if (lineout_write(STDERR_FILENO, span_of(line, len), level == LOG_LEVEL_FATAL ? LAST_LINE_MS : 0) == RC_OK)
		return;
	atomic_fetch_add(&lost, 1 + dropped);
	atomic_fetch_add(&lost_untold, 1 + dropped + l.lost);
}

void log_write(enum log_level level, const char *subsystem, const char *text, const char *kv_fmt, ...)
{
	int saved_errno = errno;
	uint64_t dropped;
	va_list args;

	if (!log_enabled(level) || !may_write(subsystem, text, &dropped))
		return;
	va_start(args, kv_fmt);
	emit(level, subsystem, text, dropped, kv_fmt, args);
	va_end(args);
	errno = saved_errno;
}

void log_fatal(const char *subsystem, const char *text, const char *kv_fmt, ...)
{
	va_list args;

	va_start(args, kv_fmt);
	emit(LOG_LEVEL_FATAL, subsystem, text, 0, kv_fmt, args);
	va_end(args);
	_exit(LOG_EXIT_FATAL);
}

void log_impossible(const char *subsystem, const char *text, const char *kv_fmt, ...)
{
	va_list args;

	va_start(args, kv_fmt);
	emit(LOG_LEVEL_FATAL, subsystem, text, 0, kv_fmt, args);
	va_end(args);
	abort();
}
