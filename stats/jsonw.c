/*
 * jsonw.c - RFC 8259, written and never read.
 */
#include "jsonw.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void jsonw_init(struct jsonw *w, struct iobuf *out)
{
	*w = (struct jsonw){.out = out, .rc = RC_OK};
}

enum rc jsonw_end(const struct jsonw *w)
{
	return w->rc;
}

static void put(struct jsonw *w, const void *p, size_t n)
{
	if (w->rc == RC_OK)
		w->rc = iobuf_append(w->out, p, n);
}

static void put_text(struct jsonw *w, const char *s)
{
	put(w, s, strlen(s));
}

/* Length of the UTF-8 sequence that p begins with; 0: none. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80                 ? 1
		 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
					       : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f)) /* overlong, surrogate, beyond U+10FFFF */
		return 0;
	return n;
}

/* What stands for the character at p, n bytes, when it may not stand for itself; NULL: it may. */
static const char *escape(unsigned char c, size_t n, char buf[8])
{
	if (n == 0)
		return "\\ufffd";
	if (c == '"')
		return "\\\"";
	if (c == '\\')
		return "\\\\";
	if (c == '\n')
		return "\\n";
	if (c == '\t')
		return "\\t";
	if (c >= 0x20 && c != 0x7f)
		return NULL;
	snprintf(buf, 8, "\\u%04x", c);
	return buf;
}

static void put_quoted(struct jsonw *w, struct span v)
{
	const unsigned char *p = (const unsigned char *)v.p;
	size_t from = 0;

	put(w, "\"", 1);
	for (size_t i = 0; i < v.len;) {
		size_t n = utf8_len(p + i, v.len - i);
		char buf[8];
		const char *other = escape(p[i], n, buf);

		if (other) {
			put(w, p + from, i - from);
			put_text(w, other);
			from = i + 1;
		}
		i += n ? n : 1;
	}
	if (v.len)
		put(w, p + from, v.len - from);
	put(w, "\"", 1);
}

/* What comes before a value: comma, key. */
static void before(struct jsonw *w, const char *key)
{
	if (w->more)
		put(w, ",", 1);
	w->more = true;
	if (key) {
		put_quoted(w, span_str(key));
		put(w, ":", 1);
	}
}

void jsonw_open(struct jsonw *w, const char *key, char bracket)
{
	before(w, key);
	put(w, &bracket, 1);
	w->more = false;
}

void jsonw_close(struct jsonw *w, char bracket)
{
	put(w, &bracket, 1);
	w->more = true;
}

void jsonw_str(struct jsonw *w, const char *key, struct span v)
{
	before(w, key);
	put_quoted(w, v);
}

void jsonw_raw(struct jsonw *w, const char *key, struct span json)
{
	before(w, key);
	put(w, json.p, json.len);
}

void jsonw_null(struct jsonw *w, const char *key)
{
	jsonw_raw(w, key, span_str("null"));
}

void jsonw_text(struct jsonw *w, const char *key, const char *v)
{
	if (v)
		jsonw_str(w, key, span_str(v));
	else
		jsonw_null(w, key);
}

void jsonw_printf(struct jsonw *w, const char *key, const char *fmt, ...)
{
	char buf[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	jsonw_str(w, key, span_str(buf));
}

void jsonw_bool(struct jsonw *w, const char *key, bool v)
{
	jsonw_raw(w, key, span_str(v ? "true" : "false"));
}

static void before_and_text(struct jsonw *w, const char *key, const char *text)
{
	before(w, key);
	put_text(w, text);
}

void jsonw_uint(struct jsonw *w, const char *key, uint64_t v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%" PRIu64, v);
	before_and_text(w, key, buf);
}

void jsonw_double(struct jsonw *w, const char *key, double v)
{
	char buf[40];

	if (!isfinite(v)) {
		jsonw_null(w, key);
		return;
	}
	snprintf(buf, sizeof(buf), "%.9g", v);
	before_and_text(w, key, buf);
}

/* whole.part without the zeros at the end; part has `digits` digits. */
static void decimal(struct jsonw *w, const char *key, uint64_t whole, uint64_t part, int digits)
{
	char buf[48];
	int n;

	if (part == 0) {
		jsonw_uint(w, key, whole);
		return;
	}
	n = snprintf(buf, sizeof(buf), "%" PRIu64 ".%0*" PRIu64, whole, digits, part);
	while (n > 0 && buf[n - 1] == '0')
		buf[--n] = '\0';
	before_and_text(w, key, buf);
}

void jsonw_seconds(struct jsonw *w, const char *key, uint64_t ns)
{
	decimal(w, key, ns / 1000000000, ns % 1000000000, 9);
}

void jsonw_time(struct jsonw *w, const char *key, uint64_t wall_us)
{
	decimal(w, key, wall_us / 1000000, wall_us % 1000000, 6);
}

void jsonw_hex64(struct jsonw *w, const char *key, uint64_t v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "\"0x%016" PRIx64 "\"", v);
	before_and_text(w, key, buf);
}

void jsonw_lines(struct jsonw *w, const char *key, struct span lines)
{
	jsonw_open(w, key, '[');
	while (lines.len) {
		const char *nl = memchr(lines.p, '\n', lines.len);
		size_t len = nl ? (size_t)(nl - lines.p) : lines.len;

		if (len)
			jsonw_str(w, NULL, span_of(lines.p, len));
		len += nl != NULL;
		lines = span_of(lines.p + len, lines.len - len);
	}
	jsonw_close(w, ']');
}
