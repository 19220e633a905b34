/*
 * catalog_today.h - which columns hold times and dates, and whether a text's answer hangs on the day for them (today.h).
 */
#ifndef SUIMON_CATALOG_TODAY_H
#define SUIMON_CATALOG_TODAY_H

#include "catalog_snapshot.h"
#include "facts.h"
#include "today.h"

/* SQL_KIND_* of a type as information_schema names it; 0: neither. */
unsigned catalog_kind_of_type(struct span type);
enum rc catalog_add_temporal(struct entity *e, struct span column, struct span type) must_check; /* RC_ERROR: no memory */

/* f: the text's facts. schema: of names without one. */
void catalog_judge_today(const struct snapshot *s, const struct sql_facts *f, struct span schema, struct span text, unsigned mode,
			 struct sql_today *out);
/* The expression of a column of e. */
bool catalog_column_hangs_on_today(const struct entity *e, struct span expression);
/* The body of a routine whose tables and routines are linked. */
bool catalog_routine_hangs_on_today(const struct entity *e, struct span body, unsigned mode);

#endif
