/*
 * catalog_session.h - what routines and triggers set for the session that runs them, and no server tells of: user variables, SET @@name,
 * a role, a lock, temporary tables. And of what DDL has changed since it was read, where that cannot be said.
 */
#ifndef SUIMON_CATALOG_SESSION_H
#define SUIMON_CATALOG_SESSION_H

#include "catalog_snapshot.h"

/* Notes it of a routine (parameters: "a,b,c") or of the table of a trigger, with all that the body runs. mode: SQL_MODE_*. RC_ERROR: no memory. */
enum rc catalog_take_session(struct snapshot *s, struct entity *e, struct span body, struct span parameters, unsigned mode) must_check;

#define CATALOG_CHANGED_MOST 64

/* What DDL has changed, by the bare names of routines and of tables with triggers; at: a number that goes up. */
struct catalog_changed {
	uint64_t any; /* at: what it was is not known; 0: not so */
	unsigned n;
	struct { uint64_t name, at; } of[CATALOG_CHANGED_MOST]; /* a hash */
};
void catalog_changed_add(struct catalog_changed *c, struct span name, uint64_t at); /* an empty name: any */
void catalog_changed_until(struct catalog_changed *c, uint64_t at); /* up to here it has been read */

/* A routine, or the table of a trigger, whose body cannot be seen, or a procedure that is not there (CATALOG_SETS_MISSING); into the snapshot or
 * the facts. No name: none. */
struct catalog_unseen { struct span schema, name; bool trigger; };

/* catalog_sets, by what was read, and what it goes by. */
enum catalog_sets catalog_judge_sets(const struct snapshot *s, const struct catalog_changed *c, const struct sql_facts *f, struct span schema,
				     struct catalog_unseen *unseen) must_check;

#endif
