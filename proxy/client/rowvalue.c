#include "rowvalue.h"

#include <stdint.h>

static bool put(struct rowvalue *v, char c)
{
	if (v->len == sizeof(v->text))
		return false;
	v->text[v->len++] = c;
	return true;
}

/* [-]digits, without leading zeros; false: anything else. */
bool rowvalue_integer(struct span s, struct rowvalue *v)
{
	bool negative = s.len && s.p[0] == '-';
	size_t i = negative;

	v->len = 0;
	while (i + 1 < s.len && s.p[i] == '0')
		i++;
	if (i == s.len || s.len - i > 20)
		return false;
	if (negative && s.p[i] != '0')
		(void)put(v, '-');
	for (; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9' || !put(v, s.p[i]))
			return false;
	return true;
}

bool rowvalue_number(struct span raw, bool is_unsigned, struct rowvalue *v)
{
	char digits[24], *at = digits + sizeof(digits);
	uint64_t n = 0;
	bool negative;

	if (raw.len < 1 || raw.len > 8)
		return false;
	for (size_t i = raw.len; i-- > 0;)
		n = n << 8 | (uint8_t)raw.p[i];
	if (!is_unsigned && raw.len < 8 && n >> (8 * raw.len - 1))
		n |= ~UINT64_C(0) << (8 * raw.len);
	negative = !is_unsigned && n >> 63;
	n = negative ? -n : n;
	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	if (negative)
		*--at = '-';
	return rowvalue_integer(span_of(at, (size_t)(digits + sizeof(digits) - at)), v);
}

bool rowvalue_text(struct span s, struct rowvalue *v)
{
	v->len = 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if ((unsigned char)c >= 0x80)
			return false;
		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) && !put(v, c))
			return false;
	}
	return v->len > 0;
}
