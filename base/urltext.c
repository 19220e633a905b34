/*
 * urltext.c - see urltext.h.
 */
#include "urltext.h"

#include <string.h>

#include "mem.h"

char *urltext_decode(struct span s, size_t *len)
{
	char *out = mem_alloc(s.len + 1);
	size_t n = 0;

	if (!out)
		return NULL;
	for (size_t i = 0; i < s.len; i++) {
		int high, low;

		if (s.p[i] != '%') {
			out[n++] = s.p[i];
			continue;
		}
		high = s.len - i > 2 ? span_hex_digit(s.p[i + 1]) : -1;
		low = s.len - i > 2 ? span_hex_digit(s.p[i + 2]) : -1;
		if (high < 0 || low < 0 || high + low == 0) {
			secret_wipe(out, s.len);
			mem_free(out);
			return NULL;
		}
		out[n++] = (char)(high * 16 + low);
		i += 2;
	}
	out[n] = '\0';
	*len = n;
	return out;
}

enum rc urltext_number(struct span s, unsigned max, unsigned *out)
{
	unsigned v = 0;

	if (s.len == 0 || s.len > 5)
		return RC_ERROR;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return RC_ERROR;
		v = v * 10 + (unsigned)(s.p[i] - '0');
	}
	*out = v;
	return v <= max ? RC_OK : RC_ERROR;
}

bool urltext_cut(struct span *s, char c, struct span *rest)
{
	const char *at = s->len ? memchr(s->p, c, s->len) : NULL;

	if (!at)
		return false;
	*rest = span_of(at + 1, s->len - (size_t)(at - s->p) - 1);
	s->len = (size_t)(at - s->p);
	return true;
}

bool urltext_cut_login(struct span *s, struct span *login)
{
	const char *at = s->len ? memrchr(s->p, '@', s->len) : NULL;

	if (!at)
		return false;
	*login = span_of(s->p, (size_t)(at - s->p));
	*s = span_of(at + 1, s->len - login->len - 1);
	return true;
}

enum rc urltext_login(struct span login, char **user, struct secret **password)
{
	struct span rest;
	char *text;
	size_t len;

	if (!urltext_cut(&login, ':', &rest))
		return RC_ERROR;
	if (login.len) {
		*user = urltext_decode(login, &len);
		if (!*user)
			return RC_ERROR;
	}
	text = urltext_decode(rest, &len);
	if (!text)
		return RC_ERROR;
	*password = secret_new(span_of(text, len));
	secret_wipe(text, len);
	mem_free(text);
	return *password ? RC_OK : RC_ERROR;
}

enum rc urltext_host(struct span s, uint16_t default_port, char **host, uint16_t *to_port)
{
	struct span port = {.len = 0};
	unsigned n = default_port;
	bool has_port;

	if (s.len && s.p[0] == '[') {
		struct span rest;

		s = span_of(s.p + 1, s.len - 1);
		if (!urltext_cut(&s, ']', &rest) || (rest.len && rest.p[0] != ':'))
			return RC_ERROR;
		has_port = rest.len > 0;
		if (has_port)
			port = span_of(rest.p + 1, rest.len - 1);
	} else {
		has_port = urltext_cut(&s, ':', &port);
	}
	if (s.len == 0 || s.len > 255 || memchr(s.p, '\0', s.len))
		return RC_ERROR;
	if (has_port && (urltext_number(port, UINT16_MAX, &n) != RC_OK || n == 0))
		return RC_ERROR;
	*to_port = (uint16_t)n;
	*host = mem_dup(s.p, s.len);
	return *host ? RC_OK : RC_ERROR;
}

bool urltext_is_word(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return s.len > 0 && s.len <= URLTEXT_WORD_MOST;
}
