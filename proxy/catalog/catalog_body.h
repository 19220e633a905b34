/*
 * catalog_body.h - a trigger's body taken apart: BEGIN .. END, IF, CASE, loops and handlers into what they hold.
 */
#ifndef SUIMON_CATALOG_BODY_H
#define SUIMON_CATALOG_BODY_H

#include <stdbool.h>

#include "rc.h"
#include "span.h"

/* A plain statement of the body, or an expression of its control flow. Anything but RC_OK ends the walk. */
typedef enum rc (*catalog_body_fn)(void *arg, struct span text, bool expression);

/* Gives every statement and expression of the body to fn, whether or not it would ever run. RC_DECLINED: the body is not
 * understood. Otherwise what fn said. mode: SQL_MODE_*. */
enum rc catalog_body_walk(struct span body, unsigned mode, catalog_body_fn fn, void *arg) must_check;

#endif
