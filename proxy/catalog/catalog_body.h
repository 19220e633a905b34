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

#define CATALOG_LOCALS_MOST 128

/* The local variables met so far, and parameters. */
struct catalog_locals {
	size_t n;
	struct span at[CATALOG_LOCALS_MOST]; /* as written; into the body and the list of parameters */
};
/* RC_DECLINED: there are too many; what there was room for is in. */
enum rc catalog_locals_add(struct catalog_locals *l, struct span name) must_check;
enum rc catalog_locals_add_list(struct catalog_locals *l, struct span list) must_check; /* a,b,c */
bool catalog_locals_have(const struct catalog_locals *l, struct span name);

#endif
