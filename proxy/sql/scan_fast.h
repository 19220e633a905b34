/*
 * scan_fast.h - sql_scan_next, for the loops in which most tokens of the world are read: bare words and punctuation,
 * which are most tokens, without a call.
 */
#ifndef SUIMON_SCAN_FAST_H
#define SUIMON_SCAN_FAST_H

#include "scan.h"

/* scan.c: any token at s->p, which is before the end and at no blank. t's fields but text are zero, or blank. */
void sql_scan_any(struct sql_scan *s, struct sql_token *t);

/* A bare word of less than sixteen letters at s->p; false when it is longer or something else. */
static inline bool sql_scan_short_word(struct sql_scan *s, struct sql_token *t)
{
	const char *p = s->p;
	vec v = vec_load(p, s->end), letters = vec_letters(v);
	unsigned len = vec_run(letters | vec_name_signs(v));

	if (unlikely(len == VEC || (len == 1 && s->end - p > 1 && p[1] == '\''))) /* x'4d' */
		return false;
	t->kind = SQL_T_WORD;
	t->word = (uint16_t)sql_word_of(vec_keep(v & ~(letters & 0x20), len));
	t->text = (struct span){.p = p, .len = len};
	s->p = s->name_end = p + len;
	s->name_next = false;
	return true;
}

/* As sql_scan_next. */
static inline void sql_scan_next_fast(struct sql_scan *s, struct sql_token *t)
{
	const char *p = s->p, *end = s->end;
	uint8_t class = SQL_C_BAD;

	while (p < end && (class = sql_byte_classes[(unsigned char)*p]) == SQL_C_BLANK)
		p++;
	*t = (struct sql_token){.blank = p != s->p};
	s->p = p;
	if (unlikely(p == end)) {
		s->broken |= s->in_exec;
		t->kind = SQL_T_END;
		t->text.p = p;
		return;
	}
	if (class == SQL_C_NAME && likely(sql_scan_short_word(s, t)))
		return;
	if (class == SQL_C_PUNCT) {
		t->kind = SQL_T_OP;
		t->op = (unsigned char)*p;
		t->text = (struct span){.p = p, .len = 1};
		s->p = p + 1;
		return;
	}
	sql_scan_any(s, t);
}

#endif
