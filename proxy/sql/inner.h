/*
 * inner.h - statements inside a statement's text.
 */
#ifndef SUIMON_SQL_INNER_H
#define SUIMON_SQL_INNER_H

#include "iobuf.h"
#include "span.h"

/* Appends the text that PREPARE .. FROM '..' or EXECUTE IMMEDIATE '..' is given, its quotes and escapes resolved. RC_DECLINED: it is
 * neither of them, or its text is a variable's or an expression's. RC_ERROR: memory or out's bound. */
enum rc sql_inner_text(struct span text, unsigned mode, struct iobuf *out) must_check;

#endif
