/*
 * inner.h - statements inside a statement's text.
 */
#ifndef SUIMON_SQL_INNER_H
#define SUIMON_SQL_INNER_H

#include <stdbool.h>

#include "iobuf.h"
#include "span.h"

/* Appends the text that PREPARE .. FROM '..' or EXECUTE IMMEDIATE '..' is given, its quotes and escapes resolved. RC_DECLINED: it is
 * neither of them, or its text is a user variable's. *whole: it is what stands there as a literal, and no expression, of another character set, or
 * other on some servers. RC_ERROR: memory or out's bound. */
enum rc sql_inner_text(struct span text, unsigned mode, struct iobuf *out, bool *whole) must_check;

/* What may be a statement in the body of a compound one (BEGIN NOT ATOMIC .. END, IF, LOOP ..), wherever the body begins and ends, and what
 * may be a query in parentheses there: one call of put each, without its semicolon; not text itself. RC_ERROR: they cannot be told, or are
 * too many, or some servers run other ones than others (version comments). Else what put said, when not RC_OK. */
enum rc sql_inner_statements(struct span text, unsigned mode, enum rc (*put)(void *arg, struct span one), void *arg) must_check;

/* Of what sql_inner_statements has put: is it one, by its first word? Else it is a condition, a label, FETCH, RETURN, BEGIN .., whose own statements
 * and queries are put besides, or VALUES, which may be the function. */
bool sql_inner_is_statement(struct span text, unsigned mode);

#endif
