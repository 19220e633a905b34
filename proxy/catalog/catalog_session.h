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

/* Behind which names there may be other bodies, by DDL: the bare names of routines, views and tables with triggers. Times: a number that goes up.
 * Those that have been read are kept for who ran them before, as long as there is room. */
struct catalog_change_of {
	uint64_t name;        /* a hash */
	uint64_t first, last; /* the first and the last time that it got one */
	uint64_t read;        /* no later than this it has been read; 0: not yet */
	uint64_t lost;        /* when it was lost last, or made anew once more; 0: not so */
	bool trigger, view;
};
struct catalog_changed {
	uint64_t any;       /* the last time: what it was is not known; 0: not so */
	uint64_t forgotten; /* of who ran something no later than this nothing is known any more */
	unsigned n;
	struct catalog_change_of of[CATALOG_CHANGED_MOST];
};
void catalog_changed_add(struct catalog_changed *c, struct span name, uint64_t at, unsigned how); /* an empty name: any */
void catalog_changed_lose_triggers(struct catalog_changed *c, uint64_t at);
void catalog_changed_until(struct catalog_changed *c, uint64_t at, uint64_t now); /* up to here it has been read, by now */
bool catalog_changed_waits(const struct catalog_changed *c); /* not all of it has been read */
/* Leaves those that were lost after they were run in this time and before they were read, as changes that have not been read. False: not known. */
bool catalog_changed_lost(struct catalog_changed *c, uint64_t first, uint64_t last) must_check;

/* A routine, or the table of a trigger, whose body cannot be seen, or a procedure that is not there (CATALOG_SETS_MISSING); into the snapshot or
 * the facts. No name: none. */
struct catalog_unseen { struct span schema, name; bool trigger; };

/* catalog_sets, by what was read, and what it goes by. */
enum catalog_sets catalog_judge_sets(const struct snapshot *s, const struct catalog_changed *c, const struct sql_facts *f, struct span schema,
				     struct catalog_unseen *unseen) must_check;

#endif
