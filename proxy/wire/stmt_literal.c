/*
 * stmt_literal.c - a bound value as SQL text.
 */
#include "stmt.h"

#include <inttypes.h>
#include <math.h>

/* A minus before digits is an operator: the least number would be that of one that no BIGINT holds, which is another type. */
static enum rc put_integer(struct iobuf *b, const struct stmt_value *v)
{
	struct mbuf m = mbuf_of(v->raw.p, v->raw.len);
	unsigned spare = 64 - 8 * (unsigned)v->raw.len;
	uint64_t bits;

	if (v->raw.len == 0 || mbuf_uint(&m, v->raw.len, &bits) != RC_OK)
		return RC_ERROR;
	if (v->is_unsigned)
		return iobuf_printf(b, "%" PRIu64, bits);
	if (spare == 0 && bits == UINT64_C(1) << 63)
		return RC_ERROR;
	return iobuf_printf(b, "%" PRId64, (int64_t)(bits << spare) >> spare);
}

/* Always with an exponent: without one the server would read a decimal. 17 digits give the same double back. */
static enum rc put_floating(struct iobuf *b, const struct stmt_value *v)
{
	double d = 0;
	float f = 0;

	if (v->raw.len == sizeof(f)) {
		memcpy(&f, v->raw.p, sizeof(f));
		d = (double)f;
	} else if (v->raw.len == sizeof(d)) {
		memcpy(&d, v->raw.p, sizeof(d));
	} else {
		return RC_ERROR;
	}
	return isfinite(d) ? iobuf_printf(b, "%.16e", d) : RC_ERROR;
}

/* Digits with at most one point and a sign. A point behind whole numbers keeps them decimals. */
static enum rc put_decimal(struct iobuf *b, struct span s)
{
	size_t digits = 0, points = 0, from = s.len && (s.p[0] == '-' || s.p[0] == '+');

	for (size_t i = from; i < s.len; i++) {
		if (s.p[i] >= '0' && s.p[i] <= '9')
			digits++;
		else if (s.p[i] == '.')
			points++;
		else
			return RC_ERROR;
	}
	if (digits == 0 || points > 1 || iobuf_append(b, s.p, s.len) != RC_OK)
		return RC_ERROR;
	return points ? RC_OK : iobuf_append(b, ".", 1);
}

/* The letter that stands for c behind a backslash; 0: c stands for itself. */
static char escape_of(char c)
{
	switch (c) {
	case '\0':
		return '0';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\x1a':
		return 'Z';
	case '\\':
		return '\\';
	default:
		return 0;
	}
}

static enum rc put_string(struct iobuf *b, struct span s, bool no_backslash)
{
	size_t extra = 2;
	uint8_t *to;

	for (size_t i = 0; i < s.len; i++)
		extra += s.p[i] == '\'' || (!no_backslash && escape_of(s.p[i]));
	to = iobuf_reserve(b, s.len + extra);
	if (!to)
		return RC_ERROR;
	*to++ = '\'';
	for (size_t i = 0; i < s.len; i++) {
		char letter = no_backslash ? 0 : escape_of(s.p[i]);

		if (letter)
			*to++ = '\\';
		else if (s.p[i] == '\'')
			*to++ = '\'';
		*to++ = (uint8_t)(letter ? letter : s.p[i]);
	}
	*to = '\'';
	iobuf_commit(b, s.len + extra);
	return RC_OK;
}

/* With the introducer: without it MySQL takes x'3331' for the number 13105 where a number is wanted, and a parameter for 31. */
static enum rc put_hex(struct iobuf *b, struct span s)
{
	static const char digits[] = "0123456789abcdef", introducer[] = "_binary ";
	size_t before = sizeof(introducer) - 1;
	uint8_t *to;

	if (s.len > SIZE_MAX / 2 - 3 - before)
		return RC_ERROR;
	to = iobuf_reserve(b, before + 2 * s.len + 3);
	if (!to)
		return RC_ERROR;
	memcpy(to, introducer, before);
	to += before;
	*to++ = 'x';
	*to++ = '\'';
	for (size_t i = 0; i < s.len; i++) {
		*to++ = (uint8_t)digits[(uint8_t)s.p[i] >> 4];
		*to++ = (uint8_t)digits[s.p[i] & 0xf];
	}
	*to = '\'';
	iobuf_commit(b, before + 2 * s.len + 3);
	return RC_OK;
}

/* Hour, minute and second at p, and the fraction: beyond these bounds the digits would read as another time. */
static bool in_day(const uint8_t *p, uint32_t micros)
{
	return p[0] < 24 && p[1] < 60 && p[2] < 60 && micros < 1000000;
}

static unsigned days_of(unsigned year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && year % 4 == 0 && (year % 100 || year % 400 == 0) ? 29 : days[month - 1];
}

/* A quoted string would not be the number that a date is where one is wanted: with the type before it, it is. Such a literal must be
 * a day of the calendar, which a parameter need not be: it also may be zero, whole or in part. Parts that the value leaves out are
 * zero; a fraction that is zero has no digits. */
static enum rc put_date(struct iobuf *b, const struct stmt_value *v)
{
	uint8_t p[11] = {0};
	unsigned year;
	uint32_t micros;

	if (v->raw.len > sizeof(p))
		return RC_ERROR;
	if (v->raw.len)
		memcpy(p, v->raw.p, v->raw.len);
	year = p[0] | (unsigned)p[1] << 8;
	micros = p[7] | (uint32_t)p[8] << 8 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 24;
	if (year == 0 || year > 9999 || p[2] == 0 || p[2] > 12 || p[3] == 0 || p[3] > days_of(year, p[2]) || !in_day(p + 4, micros))
		return RC_ERROR;
	if (v->type == FIELD_DATE)
		return iobuf_printf(b, "DATE'%04u-%02u-%02u'", year, p[2], p[3]);
	if (micros == 0)
		return iobuf_printf(b, "TIMESTAMP'%04u-%02u-%02u %02u:%02u:%02u'", year, p[2], p[3], p[4], p[5], p[6]);
	return iobuf_printf(b, "TIMESTAMP'%04u-%02u-%02u %02u:%02u:%02u.%06" PRIu32 "'", year, p[2], p[3], p[4], p[5], p[6],
			    micros);
}

/* As with dates; beyond what a TIME holds a parameter is cut down, and a literal is an error. */
static enum rc put_time(struct iobuf *b, const struct stmt_value *v)
{
	uint8_t p[12] = {0};
	uint64_t hours;
	uint32_t micros;

	if (v->raw.len > sizeof(p))
		return RC_ERROR;
	if (v->raw.len)
		memcpy(p, v->raw.p, v->raw.len);
	hours = (p[1] | (uint64_t)p[2] << 8 | (uint64_t)p[3] << 16 | (uint64_t)p[4] << 24) * 24 + p[5];
	micros = p[8] | (uint32_t)p[9] << 8 | (uint32_t)p[10] << 16 | (uint32_t)p[11] << 24;
	if (hours > 838 || !in_day(p + 5, micros) || (hours == 838 && p[6] == 59 && p[7] == 59 && micros))
		return RC_ERROR;
	if (micros == 0)
		return iobuf_printf(b, "TIME'%s%02" PRIu64 ":%02u:%02u'", p[0] ? "-" : "", hours, p[6], p[7]);
	return iobuf_printf(b, "TIME'%s%02" PRIu64 ":%02u:%02u.%06" PRIu32 "'", p[0] ? "-" : "", hours, p[6], p[7], micros);
}

static enum rc put_value(struct iobuf *b, const struct stmt_value *v, bool no_backslash)
{
	switch (v->type) {
	case FIELD_TINY:
	case FIELD_SHORT:
	case FIELD_LONG:
	case FIELD_LONGLONG:
		return put_integer(b, v);
	case FIELD_FLOAT:
	case FIELD_DOUBLE:
		return put_floating(b, v);
	case FIELD_DECIMAL:
	case FIELD_NEWDECIMAL:
		return put_decimal(b, v->raw);
	case FIELD_DATE:
	case FIELD_DATETIME:
	case FIELD_TIMESTAMP:
		return put_date(b, v);
	case FIELD_TIME:
		return put_time(b, v);
	case FIELD_TINY_BLOB:
	case FIELD_MEDIUM_BLOB:
	case FIELD_LONG_BLOB:
	case FIELD_BLOB:
	case FIELD_GEOMETRY:
		return put_hex(b, v->raw);
	case FIELD_VARCHAR:
	case FIELD_VAR_STRING:
	case FIELD_STRING:
	case FIELD_ENUM:
	case FIELD_SET:
	case FIELD_JSON:
		return put_string(b, v->raw, no_backslash);
	default:
		return RC_ERROR;
	}
}

enum rc stmt_put_literal(struct iobuf *b, const struct stmt_value *v, bool no_backslash)
{
	size_t mark = iobuf_len(b);

	if (v->is_null)
		return iobuf_append(b, "NULL", 4);
	if (put_value(b, v, no_backslash) != RC_OK)
		return packet_cancel(b, mark);
	return RC_OK;
}
