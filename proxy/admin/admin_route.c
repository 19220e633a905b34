#include "admin_route.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum rc route_decode(struct span text, char *out, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == '%') {
			int hi = text.len - i > 2 ? span_hex_digit(text.p[i + 1]) : -1;
			int lo = text.len - i > 2 ? span_hex_digit(text.p[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return RC_ERROR;
			c = (char)(hi * 16 + lo);
			i += 2;
		}
		if (c == '\0' || n + 1 >= cap)
			return RC_ERROR;
		out[n++] = c;
	}
	out[n] = '\0';
	return RC_OK;
}

const char *route_encode(const char *text, char *out, size_t cap)
{
	size_t n = 0;

	for (; *text && n + 4 <= cap; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr("-._~", c))
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, cap - n, "%%%02X", c);
	}
	out[n] = '\0';
	return out;
}

enum rc route_match(const char *pattern, const char *path, char arg[ROUTE_ARG_MAX])
{
	const char *star = strchr(pattern, '*');
	size_t before = star ? (size_t)(star - pattern) : strlen(pattern);
	size_t len = strlen(path), after = star ? strlen(star + 1) : 0;
	struct span part;

	arg[0] = '\0';
	if (!star)
		return strcmp(pattern, path) == 0 ? RC_OK : RC_DECLINED;
	if (len < before + after || memcmp(path, pattern, before) != 0 ||
	    memcmp(path + len - after, star + 1, after) != 0)
		return RC_DECLINED;
	part = span_of(path + before, len - before - after);
	if (memchr(part.p, '/', part.len))
		return RC_DECLINED;
	return part.len ? route_decode(part, arg, ROUTE_ARG_MAX) : RC_ERROR;
}
