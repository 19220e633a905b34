/*
 * routine.h - which routine a CREATE, ALTER or DROP is about, and what a view is made of.
 */
#ifndef SUIMON_SQL_ROUTINE_H
#define SUIMON_SQL_ROUTINE_H

#include <stdbool.h>

#include "rc.h"
#include "span.h"

/* The procedure's or function's name as written, quotes included, without its schema; it points into the text. False: it is not one
 * statement about one routine. */
bool sql_routine_of(struct span text, unsigned mode, struct span *name) must_check;
/* CREATE OR REPLACE, of whatever. */
bool sql_is_or_replace(struct span text, unsigned mode) must_check;
/* What stands behind CREATE [OR REPLACE] .. VIEW name [(columns)] AS, or ALTER .. VIEW, without WITH CHECK OPTION; into the text. False: it is
 * not one statement that makes a view. */
bool sql_view_select(struct span text, unsigned mode, struct span *select) must_check;

#endif
