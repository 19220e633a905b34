/*
 * log.h - one line a message on stderr: `LEVEL time subsystem: text key=value…`, or JSON lines.
 *
 * Thread-safe; a line is one write(2), whole or not at all: nothing waits for whoever reads stderr, and what it has no room for is lost
 * and counted in the next line that it takes (the last line of a process waits a second). The text is a literal; everything variable goes into the key=value tail,
 * which is itself a printf format: log_info("queue", "segment opened", "path=%s bytes=%zu", path, n).
 * A value with spaces is quoted by the caller through log_quote. Pass NULL where there is no tail.
 * Repeats of the same text from the same subsystem beyond 20 in a second are dropped and counted in the next line.
 */
#ifndef SUIMON_LOG_H
#define SUIMON_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "rc.h"
#include "span.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_FATAL };

void log_setup(enum log_level least, bool json); /* may be called again, at any time */
uint64_t log_lost(void); /* lines that stderr did not take */
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *subsystem, const char *text, const char *kv_fmt, ...)
	printf_like(4, 5);

/* Quotes s for a key=value tail into buf (cap bytes, always NUL-terminated, cut with … when too long). Returns buf. */
const char *log_quote(char *buf, size_t cap, struct span s);

#define log_debug(sub, ...)                                                                                            \
	do {                                                                                                           \
		if (unlikely(log_enabled(LOG_LEVEL_DEBUG)))                                                            \
			log_write(LOG_LEVEL_DEBUG, sub, __VA_ARGS__);                                                  \
	} while (0)
#define log_info(sub, ...) log_write(LOG_LEVEL_INFO, sub, __VA_ARGS__)
#define log_warn(sub, ...) log_write(LOG_LEVEL_WARN, sub, __VA_ARGS__)
#define log_error(sub, ...) log_write(LOG_LEVEL_ERROR, sub, __VA_ARGS__)

#define LOG_EXIT_FATAL 3 /* the contract's */

/* The system refuses what nothing goes on without: says so and ends the process with that exit code. */
void log_fatal(const char *subsystem, const char *text, const char *kv_fmt, ...) printf_like(3, 4)
	__attribute__((noreturn));
/* A state that cannot be, which is a fault of suimon's own: says so and aborts, so that it leaves a core dump. */
void log_impossible(const char *subsystem, const char *text, const char *kv_fmt, ...) printf_like(3, 4)
	__attribute__((noreturn));

#endif
