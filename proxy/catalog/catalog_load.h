/*
 * catalog_load.h - reads the schema of a server into a snapshot.
 */
#ifndef SUIMON_CATALOG_LOAD_H
#define SUIMON_CATALOG_LOAD_H

#include "catalog_snapshot.h"
#include "sqlconn.h"

/* c is logged in. RC_ERROR: why is in problem; sqlconn_refused(c) tells a refusal from a lost connection. */
enum rc catalog_load(struct sqlconn *c, struct snapshot **out, char *problem, size_t cap) must_check;

/* For their tests: what one row says. e is the view's entity, or that of the trigger's table. RC_ERROR: no memory. */
enum rc catalog_take_view(struct snapshot *s, struct entity *e, struct span definition) must_check;
enum rc catalog_take_trigger(struct snapshot *s, struct entity *e, struct span body, struct span sql_mode) must_check;
enum rc catalog_take_computed(struct entity *e, struct span expression) must_check; /* e: its table's */
enum rc catalog_take_default(struct entity *e, struct span expression) must_check;
/* parameters: their names with commas between. */
enum rc catalog_take_routine(struct snapshot *s, struct entity *e, struct span body, struct span parameters,
			     struct span sql_mode) must_check;

#endif
