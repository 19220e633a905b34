/*
 * span.h - a run of bytes that somebody else owns. Never NUL-terminated by promise.
 */
#ifndef SUIMON_SPAN_H
#define SUIMON_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *p; /* not owned; may be NULL only when len is 0 */
	size_t len;    /* bytes */
};

#define SPAN_FMT "%.*s"
#define SPAN_ARG(s) (int)(s).len, (s).p

static inline struct span span_of(const void *p, size_t len)
{
	return (struct span){.p = p, .len = len};
}

static inline struct span span_str(const char *s)
{
	return (struct span){.p = s, .len = s ? strlen(s) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* ASCII case-insensitive equality, the rule for SQL keywords. */
static inline bool span_ieq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.p, b.p, a.len) == 0);
}

/* Does the word stand in it, in any place and whatever the case of its ASCII letters? */
static inline bool span_iholds(struct span s, struct span word)
{
	for (size_t i = 0; i + word.len <= s.len; i++)
		if (strncasecmp(s.p + i, word.p, word.len) == 0)
			return true;
	return false;
}

/* What a hexadecimal digit, of either letter case, stands for; -1: it is none. */
static inline int span_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
