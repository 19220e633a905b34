/*
 * scan_impl.h - what the scanner's files share. Others use scan.h.
 */
#ifndef SUIMON_SCAN_IMPL_H
#define SUIMON_SCAN_IMPL_H

#include "facts.h"
#include "scan.h"

static inline uint8_t class_of(char c)
{
	return sql_byte_classes[(unsigned char)c];
}

static inline bool is_name_byte(char c)
{
	return class_of(c) >= SQL_C_NAME;
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The byte n places on, or NUL behind the end. */
static inline char scan_ahead(const struct sql_scan *s, size_t n)
{
	return n < (size_t)(s->end - s->p) ? s->p[n] : '\0';
}

static inline void scan_finish(struct sql_scan *s, struct sql_token *t, enum sql_token_kind kind, const char *from)
{
	t->kind = (uint8_t)kind;
	t->text = (struct span){.p = from, .len = (size_t)(s->p - from)};
}

static inline void scan_op(struct sql_scan *s, struct sql_token *t, unsigned code, size_t len)
{
	const char *from = s->p;

	s->p += len;
	t->op = (uint16_t)code;
	scan_finish(s, t, SQL_T_OP, from);
}

/* scan_text.c: what has an end of its own. They move s->p behind it. */
/* What opens at s->p with this quote; false when nothing closes it. */
bool scan_skip_quoted(struct sql_scan *s, char quote, bool escapes);
/* A string, or a name in quotes, that opens at s->p; from is where its token began. */
void scan_quoted(struct sql_scan *s, struct sql_token *t, const char *from);
/* x'4d' and b'1'. */
void scan_bytes(struct sql_scan *s, struct sql_token *t);
/* At # or --. */
void scan_line_comment(struct sql_scan *s, struct sql_token *t);
/* At a slash: a comment, or the operator. */
void scan_slash(struct sql_scan *s, struct sql_token *t);

/* scan_number.c: a number, or a name that starts with digits (scan_word then). */
void scan_number(struct sql_scan *s, struct sql_token *t);
/* .5 */
void scan_fraction(struct sql_scan *s, struct sql_token *t);

/* scan.c: a name or keyword of any length at s->p, or a string with a letter before it. */
void scan_word(struct sql_scan *s, struct sql_token *t);

#endif
