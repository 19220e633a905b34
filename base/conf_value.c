/*
 * conf_value.c - scalars: text to numbers, durations, sizes and words, back, and what is allowed in words.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_run.h"
#include "mem.h"
#include "secret.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Ascending: printing takes the largest that divides. */
static const struct unit durations[] = {
	{"ns", 1},
	{"us", 1000},
	{"ms", 1000 * 1000},
	{"s", 1000 * 1000 * 1000},
	{"m", UINT64_C(60) * 1000 * 1000 * 1000},
	{"h", UINT64_C(3600) * 1000 * 1000 * 1000},
	{"d", UINT64_C(86400) * 1000 * 1000 * 1000},
};
#define DURATION_PRINTED 6 /* hours: a day is not the same everywhere */

static const struct unit sizes[] = {
	{"", 1},
	{"KiB", UINT64_C(1) << 10},
	{"MiB", UINT64_C(1) << 20},
	{"GiB", UINT64_C(1) << 30},
	{"TiB", UINT64_C(1) << 40},
};

static bool digit_at(struct span s, size_t i)
{
	return i < s.len && s.p[i] >= '0' && s.p[i] <= '9';
}

/* Digits from *at on, as a number. RC_ERROR: none, or more than 64 bits hold. */
static enum rc digits(struct span s, size_t *at, uint64_t *out)
{
	uint64_t v = 0;
	size_t i = *at;

	if (!digit_at(s, i))
		return RC_ERROR;
	for (; digit_at(s, i); i++)
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return RC_ERROR;
	*at = i;
	*out = v;
	return RC_OK;
}

/* "12" or "1.5" of a unit. Parts of a unit below one (of ns, of bytes) are refused. */
static enum rc scaled(struct span s, const struct unit *units, size_t nunits, bool fold, uint64_t *out)
{
	uint64_t whole, part = 0, power = 1;
	size_t at = 0, from;
	struct span name;

	if (digits(s, &at, &whole) != RC_OK)
		return RC_ERROR;
	if (at < s.len && s.p[at] == '.') {
		from = ++at;
		if (digits(s, &at, &part) != RC_OK || at - from > 9)
			return RC_ERROR;
		for (size_t i = from; i < at; i++)
			power *= 10;
	}
	name = span_of(s.p + at, s.len - at);
	for (size_t i = 0; i < nunits; i++) {
		struct span unit = span_str(units[i].name);
		uint64_t fine;

		if (fold ? !span_ieq(name, unit) : !span_eq(name, unit))
			continue;
		if (__builtin_mul_overflow(part, units[i].factor, &fine) || fine % power)
			return RC_ERROR;
		return __builtin_mul_overflow(whole, units[i].factor, out) ||
				       __builtin_add_overflow(*out, fine / power, out)
			     ? RC_ERROR
			     : RC_OK;
	}
	return RC_ERROR;
}

enum rc conf_duration(struct span text, uint64_t *ns)
{
	uint64_t v;

	if (span_eq(text, span_str("0"))) {
		*ns = 0;
		return RC_OK;
	}
	if (scaled(text, durations, countof(durations), false, &v) != RC_OK || v > INT64_MAX)
		return RC_ERROR;
	*ns = v;
	return RC_OK;
}

enum rc conf_size(struct span text, uint64_t *bytes)
{
	uint64_t v;

	if (scaled(text, sizes, countof(sizes), true, &v) != RC_OK || v > INT64_MAX)
		return RC_ERROR;
	*bytes = v;
	return RC_OK;
}

enum rc conf_int(struct span text, int64_t *out)
{
	bool minus = text.len > 0 && text.p[0] == '-';
	size_t at = minus || (text.len > 0 && text.p[0] == '+');
	uint64_t v;

	if (digits(text, &at, &v) != RC_OK || at != text.len || v > INT64_MAX)
		return RC_ERROR;
	*out = minus ? -(int64_t)v : (int64_t)v;
	return RC_OK;
}

static void unit_text(uint64_t v, const struct unit *units, size_t nunits, char out[CONF_TEXT])
{
	size_t i = nunits - 1;

	while (i > 0 && v % units[i].factor)
		i--;
	snprintf(out, CONF_TEXT, "%llu%s", (unsigned long long)(v / units[i].factor), units[i].name);
}

void conf_duration_text(uint64_t ns, char out[CONF_TEXT])
{
	if (ns == 0)
		snprintf(out, CONF_TEXT, "0s");
	else
		unit_text(ns, durations, DURATION_PRINTED, out);
}

void conf_size_text(uint64_t bytes, char out[CONF_TEXT])
{
	if (bytes == 0)
		snprintf(out, CONF_TEXT, "0");
	else
		unit_text(bytes, sizes, countof(sizes), out);
}

/* ---- what is allowed ---- */

static void number_text(const struct conf_opt *o, int64_t v, char out[CONF_TEXT])
{
	if (o->type == CONF_DURATION && v)
		unit_text((uint64_t)v, durations, countof(durations), out);
	else if (o->type == CONF_DURATION)
		conf_duration_text(0, out);
	else if (o->type == CONF_SIZE)
		conf_size_text((uint64_t)v, out);
	else
		snprintf(out, CONF_TEXT, "%lld", (long long)v);
}

static void allowed_words(const struct conf_opt *o, char *buf, size_t cap)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; o->words[i] && at < cap; i++)
		at += (size_t)snprintf(buf + at, cap - at, "%s%s",
				       i == 0            ? ""
				       : o->words[i + 1] ? ", "
							 : " or ",
				       o->words[i]);
}

static void allowed_number(const struct conf_opt *o, const char *what, char *buf, size_t cap)
{
	char min[CONF_TEXT], max[CONF_TEXT], range[3 * CONF_TEXT] = "";

	if (o->min || o->max) {
		number_text(o, o->min, min);
		number_text(o, o->max, max);
		snprintf(range, sizeof(range), " from %s to %s", min, max);
	}
	snprintf(buf, cap, "%s%s%s%s", o->zero ? o->zero : "", o->zero ? " or " : "", what, range);
}

void conf_allowed(const struct conf_opt *o, char *buf, size_t cap)
{
	static const char *const plain[] = {
		[CONF_STRING] = "a string", [CONF_SECRET] = "a string", [CONF_URL] = "a URL",            [CONF_BOOL] = "on or off",
		[CONF_TABLE] = "a mapping", [CONF_LIST] = "a list",     [CONF_CUSTOM] = "another value",
	};

	switch (o->type) {
	case CONF_INT:
		allowed_number(o, "a whole number", buf, cap);
		break;
	case CONF_DOUBLE:
		allowed_number(o, "a number", buf, cap);
		break;
	case CONF_DURATION:
		allowed_number(o, "a duration", buf, cap);
		break;
	case CONF_SIZE:
		allowed_number(o, "a size", buf, cap);
		break;
	case CONF_ENUM:
	case CONF_CHOICE:
		allowed_words(o, buf, cap);
		break;
	case CONF_LIST:
	case CONF_STRING:
	case CONF_URL:
	case CONF_CUSTOM:
		if (o->unit) {
			snprintf(buf, cap, "%s", o->unit);
			break;
		}
		/* fallthrough */
	default:
		snprintf(buf, cap, "%s", plain[o->type]);
	}
}

/* ---- by row ---- */

static enum rc in_range(const struct conf_opt *o, int64_t v)
{
	return (o->min || o->max) && (v < o->min || v > o->max) ? RC_ERROR : RC_OK;
}

static enum rc parse_number(const struct conf_opt *o, const char *text, void *at)
{
	struct span s = span_str(text);
	uint64_t u = 0;
	int64_t v = 0;
	enum rc rc;

	if (o->zero && strcmp(text, o->zero) == 0) {
		memset(at, 0, sizeof(v));
		return RC_OK;
	}
	if (o->type == CONF_INT) {
		rc = conf_int(s, &v);
	} else {
		rc = o->type == CONF_SIZE ? conf_size(s, &u) : conf_duration(s, &u);
		v = (int64_t)u;
	}
	if (rc != RC_OK)
		return RC_DECLINED;
	if (in_range(o, v) != RC_OK)
		return RC_ERROR;
	memcpy(at, &v, sizeof(v));
	return RC_OK;
}

static enum rc parse_double(const struct conf_opt *o, const char *text, double *at)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(text, &end);
	if (end == text || *end || !isfinite(v))
		return RC_DECLINED;
	if ((o->min || o->max) && (v < (double)o->min || v > (double)o->max))
		return RC_ERROR;
	*at = v;
	return RC_OK;
}

static enum rc parse_bool(const char *text, bool *at)
{
	static const char *const words[] = {"off", "on", "false", "true", "no", "yes"};

	for (size_t i = 0; i < countof(words); i++)
		if (strcasecmp(text, words[i]) == 0) {
			*at = i & 1;
			return RC_OK;
		}
	return RC_DECLINED;
}

static enum rc parse_word(const struct conf_opt *o, const char *text, void *at)
{
	for (int i = 0; o->words[i]; i++) {
		if (strcmp(text, o->words[i]) != 0)
			continue;
		if (o->type == CONF_CHOICE)
			*(bool *)at = i != 0;
		else
			*(int *)at = i;
		return RC_OK;
	}
	return RC_DECLINED;
}

static enum rc parse_text(const char *text, char **at)
{
	*at = mem_strdup(text);
	return *at ? RC_OK : RC_ERROR;
}

static enum rc parse_secret(const char *text, struct secret **at)
{
	if (!*text)
		return RC_OK;
	*at = secret_new(span_str(text));
	return *at ? RC_OK : RC_ERROR;
}

enum rc conf_scalar_parse(const struct conf_opt *o, const char *text, void *at)
{
	switch (o->type) {
	case CONF_STRING:
		return parse_text(text, at);
	case CONF_SECRET:
	case CONF_URL:
		return parse_secret(text, at);
	case CONF_BOOL:
		return parse_bool(text, at);
	case CONF_CHOICE:
	case CONF_ENUM:
		return parse_word(o, text, at);
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
		return parse_number(o, text, at);
	case CONF_DOUBLE:
		return parse_double(o, text, at);
	default:
		return RC_DECLINED;
	}
}
