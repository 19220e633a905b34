/*
 * rowvalue.h - the values of a row's key as tags name them: what a server may hold equal are equal bytes (rows.h).
 */
#ifndef SUIMON_ROWVALUE_H
#define SUIMON_ROWVALUE_H

#include <stdbool.h>

#include "rc.h"
#include "span.h"

#define ROWVALUE_MOST 256 /* bytes of a text that count */

struct rowvalue {
	char text[ROWVALUE_MOST];
	size_t len;
};

static inline struct span rowvalue_span(const struct rowvalue *v)
{
	return span_of(v->text, v->len);
}

/* False, each of them: the value names no row. */
bool rowvalue_integer(struct span digits, struct rowvalue *v) must_check;
bool rowvalue_number(struct span raw, bool is_unsigned, struct rowvalue *v) must_check; /* 1 to 8 bytes, little-endian */
bool rowvalue_text(struct span text, struct rowvalue *v) must_check;

#endif
