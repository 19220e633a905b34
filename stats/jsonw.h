/*
 * jsonw.h - writes JSON into an iobuf, piece by piece: commas and escapes are its business.
 *
 * A key is a literal, or NULL for an element of an array. After the first failure nothing more is written, and
 * jsonw_end tells. Bytes that are no UTF-8 become U+FFFD.
 */
#ifndef SUIMON_JSONW_H
#define SUIMON_JSONW_H

#include <stdbool.h>
#include <stdint.h>

#include "iobuf.h"
#include "rc.h"
#include "span.h"

struct jsonw {
	struct iobuf *out;
	enum rc rc;
	bool more; /* a comma is due before the next value */
};

void jsonw_init(struct jsonw *w, struct iobuf *out);
enum rc jsonw_end(const struct jsonw *w) must_check;             /* RC_ERROR: the output is not complete */
void jsonw_open(struct jsonw *w, const char *key, char bracket); /* '{' or '[' */
void jsonw_close(struct jsonw *w, char bracket);                 /* '}' or ']' */
void jsonw_str(struct jsonw *w, const char *key, struct span v);
void jsonw_text(struct jsonw *w, const char *key, const char *v); /* NULL is written as null */
void jsonw_printf(struct jsonw *w, const char *key, const char *fmt, ...) printf_like(3, 4); /* cut at 2 KiB */
void jsonw_uint(struct jsonw *w, const char *key, uint64_t v);
void jsonw_double(struct jsonw *w, const char *key, double v);       /* not finite: null */
void jsonw_seconds(struct jsonw *w, const char *key, uint64_t ns);   /* 1234000000 is 1.234 */
void jsonw_time(struct jsonw *w, const char *key, uint64_t wall_us); /* seconds since 1970 */
void jsonw_hex64(struct jsonw *w, const char *key, uint64_t v);      /* "0x%016x" */
void jsonw_bool(struct jsonw *w, const char *key, bool v);
void jsonw_null(struct jsonw *w, const char *key);
void jsonw_lines(struct jsonw *w, const char *key, struct span lines); /* an array of them */
void jsonw_raw(struct jsonw *w, const char *key, struct span json); /* already JSON, known to be */

#endif
