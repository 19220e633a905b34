/*
 * conf_yaml.c - the sink that writes YAML: block style, two blanks a level, quotes where any reader could err.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_run.h"

enum place { AT_ROOT, AFTER_KEY, AFTER_DASH };

struct yaml_sink {
	struct conf_sink sink;
	struct iobuf *out; /* the caller's */
	size_t depth;
	struct {
		bool map;
		enum place place; /* what stands before it on its line */
		size_t count;
	} level[CONF_MAX_DEPTH];
};

static struct yaml_sink *yaml_of(struct conf_sink *s)
{
	return container_of(s, struct yaml_sink, sink);
}

static enum rc put(struct yaml_sink *y, const char *text)
{
	return iobuf_append(y->out, text, strlen(text));
}

/* ---- strings ---- */

static bool is_word_of_yaml(const char *s)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};

	for (size_t i = 0; i < countof(words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return true;
	return false;
}

/* Could some reader of YAML take it for a number or a time? Two dots make it an address or a version. */
static bool looks_like_number(const char *s)
{
	const char *dot = strchr(s, '.');

	if (dot && strchr(dot + 1, '.'))
		return false;
	return strchr("0123456789+-.", s[0]) && s[strspn(s, "0123456789abcdefABCDEFxXoO_.:+-")] == '\0';
}

static bool is_plain(const char *s, size_t len)
{
	if (len == 0 || s[strcspn(s, "\n")] || is_word_of_yaml(s) || looks_like_number(s))
		return false;
	if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_", s[0]) || s[len - 1] == ':')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.:-") == len;
}

/* Characters that YAML does not take as they are, or folds as line ends: C1 controls, U+2028, U+2029, U+FEFF, U+FFFE,
 * U+FFFF. Returns the bytes it has, 0 for all others. */
static size_t awkward(struct span s, unsigned *cp)
{
	const unsigned char *p = (const unsigned char *)s.p;

	if (s.len >= 2 && p[0] == 0xc2 && p[1] < 0xa0) {
		*cp = p[1];
		return 2;
	}
	if (s.len < 3 || (p[0] != 0xe2 && p[0] != 0xef))
		return 0;
	*cp = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	return *cp == 0x2028 || *cp == 0x2029 || *cp == 0xfeff || *cp >= 0xfffe ? 3 : 0;
}

/* Inside double quotes; ${ is doubled so that it isn't taken for a variable when read again. */
static enum rc put_escaped(struct yaml_sink *y, struct span s)
{
	enum rc rc = put(y, "\"");

	for (size_t i = 0; i < s.len && rc == RC_OK; i++) {
		unsigned char c = (unsigned char)s.p[i];
		unsigned cp = 0;
		size_t n = awkward(span_of(s.p + i, s.len - i), &cp);

		if (n) {
			rc = iobuf_printf(y->out, "\\u%04X", cp);
			i += n - 1;
		} else if (c < 0x20 || c == 0x7f) {
			rc = iobuf_printf(y->out, "\\x%02X", c);
		} else if (c == '"' || c == '\\') {
			rc = iobuf_printf(y->out, "\\%c", c);
		} else if (c == '$' && i + 1 < s.len && s.p[i + 1] == '{') {
			rc = put(y, "$$");
		} else {
			rc = iobuf_append(y->out, s.p + i, 1);
		}
	}
	return rc == RC_OK ? put(y, "\"") : rc;
}

static enum rc put_text(struct yaml_sink *y, const char *s, size_t len)
{
	return is_plain(s, len) ? iobuf_append(y->out, s, len) : put_escaped(y, span_of(s, len));
}

/* ---- places ---- */

static enum rc put_indent(struct yaml_sink *y, size_t depth)
{
	return iobuf_printf(y->out, "%*s", (int)(2 * depth), "");
}

/* Moves to where a value may stand: behind its key, or behind a dash of its own. */
static enum rc before_value(struct yaml_sink *y, enum place *place)
{
	size_t d = y->depth;

	if (d == 0) {
		*place = AT_ROOT;
		return RC_OK;
	}
	if (y->level[d - 1].map) {
		*place = AFTER_KEY;
		return RC_OK;
	}
	*place = AFTER_DASH;
	if (y->level[d - 1].count++ == 0) {
		if (y->level[d - 1].place == AFTER_KEY && put(y, "\n") != RC_OK)
			return RC_ERROR;
		if (y->level[d - 1].place == AFTER_DASH)
			return put(y, "- ");
	}
	return put_indent(y, d - 1) == RC_OK ? put(y, "- ") : RC_ERROR;
}

static enum rc yaml_open(struct conf_sink *s, bool map)
{
	struct yaml_sink *y = yaml_of(s);
	enum place place;

	if (y->depth == CONF_MAX_DEPTH || before_value(y, &place) != RC_OK)
		return RC_ERROR;
	y->level[y->depth].map = map;
	y->level[y->depth].place = place;
	y->level[y->depth++].count = 0;
	return RC_OK;
}

static enum rc yaml_close(struct conf_sink *s)
{
	struct yaml_sink *y = yaml_of(s);
	size_t d = --y->depth;

	if (y->level[d].count)
		return RC_OK;
	return iobuf_printf(y->out, "%s%s\n", y->level[d].place == AFTER_KEY ? " " : "", y->level[d].map ? "{}" : "[]");
}

static enum rc yaml_key(struct conf_sink *s, const char *key)
{
	struct yaml_sink *y = yaml_of(s);
	size_t d = y->depth - 1;
	bool first = y->level[d].count++ == 0;
	enum rc rc = RC_OK;

	if (first && y->level[d].place == AFTER_KEY)
		rc = put(y, "\n");
	if (rc == RC_OK && !(first && y->level[d].place == AFTER_DASH))
		rc = put_indent(y, d);
	if (rc == RC_OK)
		rc = put_text(y, key, strlen(key));
	return rc == RC_OK ? put(y, ":") : rc;
}

static enum rc put_double(struct yaml_sink *y, double d)
{
	char text[40];

	snprintf(text, sizeof(text), "%.15g", d);
	if (strtod(text, NULL) != d)
		snprintf(text, sizeof(text), "%.17g", d);
	return put(y, text);
}

static enum rc yaml_scalar(struct conf_sink *s, const struct conf_scalar *v)
{
	struct yaml_sink *y = yaml_of(s);
	char text[CONF_TEXT];
	enum place place;
	enum rc rc;

	if (before_value(y, &place) != RC_OK || (place == AFTER_KEY && put(y, " ") != RC_OK))
		return RC_ERROR;
	switch (v->type) {
	case CONF_BOOL:
		rc = put(y, v->on ? "on" : "off");
		break;
	case CONF_INT:
		rc = iobuf_printf(y->out, "%lld", (long long)v->i);
		break;
	case CONF_DOUBLE:
		rc = put_double(y, v->d);
		break;
	case CONF_DURATION:
		conf_duration_text(v->u, text);
		rc = put(y, text);
		break;
	case CONF_SIZE:
		conf_size_text(v->u, text);
		rc = put(y, text);
		break;
	default:
		rc = put_text(y, v->text.p, v->text.len);
	}
	return rc == RC_OK ? put(y, "\n") : rc;
}

enum rc conf_print(const struct conf_table *t, const void *at, struct iobuf *out)
{
	static const struct conf_sink_ops ops = {yaml_open, yaml_close, yaml_key, yaml_scalar};
	struct yaml_sink y = {.sink = {.ops = &ops}, .out = out};

	conf_put_table(&y.sink, t, at);
	return y.sink.rc;
}
