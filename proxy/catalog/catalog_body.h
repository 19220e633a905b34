/*
 * catalog_body.h - the body of a trigger or a routine taken apart: BEGIN .. END, IF, CASE, loops and handlers into what
 * they hold.
 */
#ifndef SUIMON_CATALOG_BODY_H
#define SUIMON_CATALOG_BODY_H

#include <stdbool.h>

#include "rc.h"
#include "span.h"

enum catalog_piece {
	CATALOG_STATEMENT,  /* a plain statement */
	CATALOG_EXPRESSION, /* of control flow, a DEFAULT or a RETURN */
	CATALOG_VARIABLE,   /* the name of a local variable, as written, before any statement that could use it */
};

/* Anything but RC_OK ends the walk. */
typedef enum rc (*catalog_body_fn)(void *arg, struct span text, enum catalog_piece piece);

/* Gives every piece of the body to fn, whether or not it would ever run. RC_DECLINED: the body is not understood.
 * Otherwise what fn said. mode: SQL_MODE_*. */
enum rc catalog_body_walk(struct span body, unsigned mode, catalog_body_fn fn, void *arg) must_check;

#endif
