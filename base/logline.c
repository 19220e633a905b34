/*
 * logline.c - `LEVEL time subsystem: text key=value…` and the same as a JSON object.
 *
 * The tail is the callers' format: `key=value` pairs between blanks, where a value is a quoted string (logline_quote)
 * or runs to the next ` key=`. In JSON a quoted value is a string and a bare one that reads as a number is a number.
 */
#include "logline.h"

#include <stdio.h>
#include <time.h>

#define ELLIPSIS "\xe2\x80\xa6"
#define RESERVE 96 /* kept free behind the soft limit for what must still follow: ellipsis, quotes, braces, newline */

struct out {
	char *p;
	size_t len;
	size_t soft; /* content stops here */
	size_t hard; /* structure may go as far as this */
	bool json;
	bool cut;
};

/* Structure: quotes, braces, names of ours. */
static void put(struct out *o, const char *s, size_t n)
{
	if (n > o->hard - o->len)
		n = o->hard - o->len;
	memcpy(o->p + o->len, s, n);
	o->len += n;
}

static void puts_out(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

static size_t room(const struct out *o)
{
	return o->len < o->soft ? o->soft - o->len : 0;
}

/* Content, whole or not at all; once something did not fit, nothing else is taken. */
static void put_content(struct out *o, const char *s, size_t n)
{
	if (o->cut)
		return;
	if (n <= room(o)) {
		put(o, s, n);
		return;
	}
	o->cut = true;
	puts_out(o, ELLIPSIS);
}

/* Bytes of the valid UTF-8 sequence at s, 0 when there is none (RFC 3629: no surrogates, no overlong forms). U+0080 to
 * U+009F count as none: terminals take them for commands. */
static size_t utf8_len(struct span s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > s.len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf4)
		high = 0x8f;
	else if (p[0] == 0xc2)
		low = 0xa0;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return n;
}

/* One character or one stray byte of s; returns how many bytes it was. quoted: `"` and `\` are special there. */
static size_t put_char(struct out *o, struct span s, bool quoted)
{
	uint8_t c = (uint8_t)s.p[0];
	size_t n = utf8_len(s);
	char esc[8];
	int len;

	if (n == 0)
		len = o->json ? snprintf(esc, sizeof(esc), "\\ufffd") : snprintf(esc, sizeof(esc), "\\x%02x", c);
	else if (c == '\n' || c == '\r' || c == '\t')
		len = snprintf(esc, sizeof(esc), "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	else if (c < 0x20 || c == 0x7f)
		len = snprintf(esc, sizeof(esc), o->json ? "\\u%04x" : "\\x%02x", c);
	else if ((quoted || o->json) && (c == '"' || c == '\\'))
		len = snprintf(esc, sizeof(esc), "\\%c", c);
	else {
		put_content(o, s.p, n);
		return n;
	}
	put_content(o, esc, (size_t)len);
	return n ? n : 1;
}

static void put_text(struct out *o, struct span s, bool quoted)
{
	for (size_t at = 0; at < s.len && !o->cut;)
		at += put_char(o, span_of(s.p + at, s.len - at), quoted);
}

const char *logline_quote(char *buf, size_t cap, struct span s)
{
	size_t around = sizeof("\"" ELLIPSIS "\""); /* with the NUL */
	struct out o = {.p = buf};

	if (cap < around) {
		if (cap > 0)
			buf[0] = '\0';
		return buf;
	}
	o.hard = cap - 1;
	o.soft = cap - around + 1;
	puts_out(&o, "\"");
	put_text(&o, s, true);
	puts_out(&o, "\"");
	buf[o.len] = '\0';
	return buf;
}

static void put_time(struct out *o, uint64_t wall_us)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	char text[40];
	struct tm tm;
	size_t n;

	if (!gmtime_r(&seconds, &tm))
		return;
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	put(o, text, n);
	n = (size_t)snprintf(text, sizeof(text), ".%03uZ", (unsigned)(wall_us / 1000 % 1000));
	put(o, text, n);
}

/* How many there were, if any. */
static void put_count(struct out *o, const char *name, uint64_t n)
{
	char text[24];

	if (!n)
		return;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	puts_out(o, name);
	puts_out(o, text);
}

size_t logline_text(char buf[LOGLINE_MAX], const struct logline *l)
{
	struct out o = {.p = buf, .soft = LOGLINE_MAX - RESERVE, .hard = LOGLINE_MAX};

	puts_out(&o, l->level);
	puts_out(&o, " ");
	put_time(&o, l->wall_us);
	puts_out(&o, " ");
	put_text(&o, span_str(l->subsystem), false);
	puts_out(&o, ": ");
	put_text(&o, span_str(l->text), false);
	if (l->tail.len) {
		puts_out(&o, " ");
		put_text(&o, l->tail, false);
	}
	put_count(&o, " repeats_dropped=", l->repeats);
	put_count(&o, " lines_lost=", l->lost);
	puts_out(&o, "\n");
	return o.len;
}

static bool is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* Length of the key at the start of s, which a `=` must follow; 0 when there is none. */
static size_t key_len(struct span s)
{
	size_t n = 0;

	while (n < s.len && is_key_char(s.p[n]))
		n++;
	return n < s.len && s.p[n] == '=' ? n : 0;
}

/* Length of the value at the start of s: a quoted string, or all up to the blanks before the next key. */
static size_t value_len(struct span s)
{
	size_t at = 1;

	if (s.len && s.p[0] == '"') {
		while (at < s.len && s.p[at] != '"')
			at += s.p[at] == '\\' ? 2 : 1;
		return at < s.len ? at + 1 : s.len;
	}
	for (at = 0; at < s.len; at++) {
		if (s.p[at] == ' ' && key_len(span_of(s.p + at + 1, s.len - at - 1)))
			return at;
	}
	return s.len;
}

static size_t digits(struct span s, size_t at)
{
	size_t from = at;

	while (at < s.len && s.p[at] >= '0' && s.p[at] <= '9')
		at++;
	return at - from;
}

/* A number that JSON and a double can hold: up to 15 digits, a fraction perhaps. */
static bool is_number(struct span s)
{
	size_t at = s.len && s.p[0] == '-' ? 1 : 0, whole = digits(s, at), fraction;

	if (whole == 0 || whole > 15 || (whole > 1 && s.p[at] == '0'))
		return false;
	at += whole;
	if (at == s.len)
		return true;
	if (s.p[at] != '.')
		return false;
	fraction = digits(s, at + 1);
	return fraction > 0 && whole + fraction <= 15 && at + 1 + fraction == s.len;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape of logline_quote as the byte it stands for, s begins with the backslash. Returns how long the escape is. */
static size_t put_unescaped(struct out *o, struct span s)
{
	char c = s.len > 1 ? s.p[1] : '\\';
	size_t n = s.len > 1 ? 2 : 1;

	if (c == 'x' && s.len > 3 && hex(s.p[2]) >= 0 && hex(s.p[3]) >= 0) {
		c = (char)(hex(s.p[2]) * 16 + hex(s.p[3]));
		n = 4;
	} else if (c == 'n' || c == 'r' || c == 't') {
		c = c == 'n' ? '\n' : c == 'r' ? '\r' : '\t';
	} else if (c != '"' && c != '\\') {
		c = '\\';
		n = 1;
	}
	(void)put_char(o, span_of(&c, 1), false);
	return n;
}

static void put_json_value(struct out *o, struct span v)
{
	if (is_number(v) && v.len <= room(o)) {
		put(o, v.p, v.len);
		return;
	}
	puts_out(o, "\"");
	if (v.len > 1 && v.p[0] == '"') {
		v = span_of(v.p + 1, v.len - (v.p[v.len - 1] == '"' ? 2 : 1));
		for (size_t at = 0; at < v.len && !o->cut;) {
			struct span rest = span_of(v.p + at, v.len - at);

			at += rest.p[0] == '\\' ? put_unescaped(o, rest) : put_char(o, rest, false);
		}
	} else {
		put_text(o, v, false);
	}
	puts_out(o, "\"");
}

/* The names of the line's own members: a tail's key of the same name gets an underscore. */
static bool is_own_key(struct span key)
{
	static const char *const own[] = {"level", "time", "subsystem", "text", "repeats_dropped", "lines_lost"};

	for (size_t i = 0; i < countof(own); i++) {
		if (span_eq(key, span_str(own[i])))
			return true;
	}
	return false;
}

static void put_json_tail(struct out *o, struct span tail)
{
	while (tail.len && !o->cut && room(o)) {
		struct span key = span_of("detail", strlen("detail")), value;
		size_t n = key_len(tail);

		if (tail.p[0] == ' ') {
			tail = span_of(tail.p + 1, tail.len - 1);
			continue;
		}
		if (n) {
			key = span_of(tail.p, n);
			tail = span_of(tail.p + n + 1, tail.len - n - 1);
		}
		value = span_of(tail.p, value_len(tail));
		tail = span_of(tail.p + value.len, tail.len - value.len);
		if (key.len + value.len > room(o) && key.len > RESERVE / 3)
			key.len = RESERVE / 3;
		puts_out(o, ",\"");
		put(o, key.p, key.len);
		puts_out(o, is_own_key(key) ? "_\":" : "\":");
		put_json_value(o, value);
	}
}

size_t logline_json(char buf[LOGLINE_MAX], const struct logline *l)
{
	struct out o = {.p = buf, .soft = LOGLINE_MAX - 2 * RESERVE, .hard = LOGLINE_MAX, .json = true};

	puts_out(&o, "{\"time\":\"");
	put_time(&o, l->wall_us);
	puts_out(&o, "\",\"level\":\"");
	puts_out(&o, l->level);
	puts_out(&o, "\",\"subsystem\":\"");
	put_text(&o, span_str(l->subsystem), false);
	puts_out(&o, "\",\"text\":\"");
	put_text(&o, span_str(l->text), false);
	puts_out(&o, "\"");
	put_json_tail(&o, l->tail);
	put_count(&o, ",\"repeats_dropped\":", l->repeats);
	put_count(&o, ",\"lines_lost\":", l->lost);
	puts_out(&o, "}\n");
	return o.len;
}
