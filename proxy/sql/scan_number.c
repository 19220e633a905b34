/*
 * scan_number.c - numbers, and names that begin like one.
 */
#include "scan_impl.h"

/* 0x4d or 0b01 at p; the end of it, or NULL when it is something else. */
static const char *radix_literal(const char *p, const char *end)
{
	const char *q = p + 2;
	bool hex;

	if (end - p < 3 || *p != '0' || (p[1] != 'x' && p[1] != 'b'))
		return NULL;
	hex = p[1] == 'x';
	while (q < end && (hex ? is_digit(*q) || ((*q | 0x20) >= 'a' && (*q | 0x20) <= 'f') : *q == '0' || *q == '1'))
		q++;
	return q > p + 2 && (q == end || !is_name_byte(*q)) ? q : NULL;
}

static const char *digits(const char *p, const char *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

/* An exponent at p: its end, or p. */
static const char *exponent(const char *p, const char *end)
{
	const char *q = p;

	if (q == end || (*q | 0x20) != 'e')
		return p;
	q++;
	if (q < end && (*q == '+' || *q == '-'))
		q++;
	return q < end && is_digit(*q) ? digits(q, end) : p;
}

void scan_number(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p, *p = radix_literal(from, s->end), *q;

	if (p) {
		s->p = p;
		scan_finish(s, t, SQL_T_BYTES, from);
		return;
	}
	p = digits(from, s->end);
	q = exponent(p, s->end);
	if (q == p && p < s->end && is_name_byte(*p)) {
		scan_word(s, t);
		return;
	}
	if (q == p && p < s->end && *p == '.') {
		p = digits(p + 1, s->end);
		q = exponent(p, s->end);
	}
	s->p = q;
	scan_finish(s, t, SQL_T_NUMBER, from);
}

void scan_fraction(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;

	s->p = digits(s->p + 1, s->end);
	s->p = exponent(s->p, s->end);
	scan_finish(s, t, SQL_T_NUMBER, from);
}
