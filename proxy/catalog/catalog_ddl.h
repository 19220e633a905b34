/*
 * catalog_ddl.h - may calling a procedure change the schema?
 */
#ifndef SUIMON_CATALOG_DDL_H
#define SUIMON_CATALOG_DDL_H

#include "catalog_snapshot.h"

/* Marks what the procedure e does by its body, and links what it calls. Tables are in the snapshot by now. An empty body: not to be seen.
 * mode: SQL_MODE_*. RC_ERROR: memory. */
enum rc catalog_take_ddl(struct snapshot *s, struct entity *e, struct span body, unsigned mode) must_check;
#endif
