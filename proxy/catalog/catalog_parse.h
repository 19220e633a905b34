/*
 * catalog_parse.h - what the readers of definitions share: catalog_parse.c for views and triggers, catalog_routine.c.
 */
#ifndef SUIMON_CATALOG_PARSE_H
#define SUIMON_CATALOG_PARSE_H

#include "catalog_load.h"
#include "facts.h"

/* Traits that make an answer hang on more than tables. */
#define CATALOG_BEYOND_TABLES                                                                                          \
	(SQL_F_NONDETERMINISTIC | SQL_F_USER_VAR_READ | SQL_F_USER_VAR_WRITE | SQL_F_SYSTEM_VAR |                      \
	 SQL_F_LAST_INSERT_ID | SQL_F_FOUND_ROWS | SQL_F_ROW_COUNT | SQL_F_USER_LOCK | SQL_F_SERVER_FILE |             \
	 SQL_F_CONNECTION_ID | SQL_F_SEQUENCE | SQL_F_SERVER_STATE)

/* Traits of an expression that says another thing when another session evaluates it, later. */
#define CATALOG_NOT_LATER (SQL_F_UNSAFE_VALUE | SQL_F_SYSTEM_VAR | SQL_F_SEQUENCE | SQL_F_SYSTEM_SCHEMA)

unsigned catalog_mode_of(struct span sql_mode); /* SQL_MODE_* of information_schema's list */
/* What the body of a trigger or routine may hold: anything else can do more than its text says. */
bool catalog_moves_rows_only(const struct sql_facts *f);
/* Links the tables of a definition to list: all, or those it writes. RC_ERROR: no memory; RC_DECLINED: a name no server
 * would take. */
enum rc catalog_link_tables(struct snapshot *s, const struct entity *e, const struct sql_facts *f, bool written,
			    struct edge **list) must_check;
/* The same for the routines it calls. */
enum rc catalog_link_calls(struct snapshot *s, const struct entity *e, const struct sql_facts *f,
			   struct edge **list) must_check;

#endif
