/*
 * catalog_session.h - what routines and triggers set for the session that runs them, and no server tells of: user variables, SET @@name,
 * a role, a lock, temporary tables. And of what DDL has changed since it was read, where that cannot be said.
 */
#ifndef SUIMON_CATALOG_SESSION_H
#define SUIMON_CATALOG_SESSION_H

#include "catalog_snapshot.h"

/* Notes it of a routine (parameters: "a,b,c") or of the table of a trigger, with all that the body runs. mode: SQL_MODE_*. RC_ERROR: no memory. */
enum rc catalog_take_session(struct snapshot *s, struct entity *e, struct span body, struct span parameters, unsigned mode) must_check;

#define CATALOG_CHANGED_MOST 64   /* as many may wait to be read */
#define CATALOG_HISTORY_MOST 1024 /* ... and be kept, in all */

/* Behind which names there may be other bodies, by DDL: the bare names of routines, views and tables with triggers. Times: a number that goes up.
 * Those that have been read are kept for who ran them before, as long as there is room. */
struct catalog_change_of {
	uint64_t name;        /* a hash */
	uint64_t first, last; /* the first and the last time that it got one */
	uint64_t read;        /* no later than this it has been read; 0: not yet */
	uint64_t lost;        /* when it was lost last, or made anew once more; 0: not so */
	bool trigger, view;
	bool quiet;           /* as far as is known it sets nothing: nobody waits for it to be read */
};
struct catalog_history {
	uint64_t any;       /* the last time: what it was is not known; 0: not so */
	uint64_t forgotten; /* of who ran something no later than this nothing is known any more */
	uint64_t noise;     /* how many others than quiet ones there were: what one of these may be about is not quiet any more */
	unsigned n, waiting; /* waiting: of these, not read yet */
	struct catalog_change_of of[CATALOG_HISTORY_MOST];
};
void catalog_history_add(struct catalog_history *c, struct span name, uint64_t at, unsigned how); /* an empty name: any; what it loses may be all */
void catalog_history_lose_triggers(struct catalog_history *c, uint64_t at);
void catalog_history_until(struct catalog_history *c, uint64_t at, uint64_t now); /* up to here it has been read, by now */

/* Some of these. */
struct catalog_changed {
	unsigned n;
	struct { uint64_t name; bool view; } of[CATALOG_CHANGED_MOST];
};
void catalog_history_waiting(const struct catalog_history *c, struct catalog_changed *out); /* those that have not been read, but for quiet ones */
/* Those that were lost after they were run in this time and before they were read. False: not known. */
bool catalog_history_lost(const struct catalog_history *c, uint64_t first, uint64_t last, struct catalog_changed *out) must_check;

/* A routine, or the table of a trigger, whose body cannot be seen, or a procedure that is not there (CATALOG_SETS_MISSING); into the snapshot or
 * the facts. No name: none. */
struct catalog_unseen { struct span schema, name; bool trigger; };

/* catalog_sets, by what was read, and what it goes by. */
enum catalog_sets catalog_judge_sets(const struct snapshot *s, const struct catalog_changed *c, const struct sql_facts *f, struct span schema,
				     struct catalog_unseen *unseen) must_check;
/* Does nobody who reads or writes a view of this set anything by it, by what was read and has changed since? Not if it calls anything that may be
 * somebody's own, or if that is not known of a table. */
bool catalog_view_is_quiet(const struct snapshot *s, const struct catalog_changed *c, const struct sql_facts *select, struct span schema) must_check;

#endif
