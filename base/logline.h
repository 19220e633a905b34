/*
 * logline.h - a log line as bytes, in either form; used by log.c. Pure.
 */
#ifndef SUIMON_LOGLINE_H
#define SUIMON_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lineout.h"
#include "rc.h"
#include "span.h"

#define LOGLINE_MAX LINEOUT_MAX

struct logline {
	const char *level; /* "INFO" */
	const char *subsystem;
	const char *text;
	struct span tail; /* key=value pairs, as the caller formatted them */
	uint64_t wall_us;
	uint64_t repeats; /* lines like this one that were dropped before it */
	uint64_t lost;    /* lines of any kind that nobody took before it */
};

/* Writes the line with its newline into buf; returns its length. Control characters are escaped, bytes that are not
 * UTF-8 too; what is too long is cut and ends in an ellipsis. JSON stays well-formed in every case. */
size_t logline_text(char buf[LOGLINE_MAX], const struct logline *l);
size_t logline_json(char buf[LOGLINE_MAX], const struct logline *l);

/* What log_quote does. */
const char *logline_quote(char *buf, size_t cap, struct span s);

#endif
