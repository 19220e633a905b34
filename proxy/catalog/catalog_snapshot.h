/*
 * catalog_snapshot.h - one reading of the schema: tables and views by name, and what hangs together. Made by
 * catalog_load.c, never changed once it is in force.
 */
#ifndef SUIMON_CATALOG_SNAPSHOT_H
#define SUIMON_CATALOG_SNAPSHOT_H

#include <stdatomic.h>

#include "catalog.h"
#include "catalog_rights.h"
#include "map.h"

#define SNAPSHOT_NOT_THERE "it is not in the catalog"

#define SNAPSHOT_MOST_ENTITIES 1000000
#define SNAPSHOT_MOST_CLOSURE 256 /* tables and views that one name may lead to */
#define SNAPSHOT_NAME_MAX 256     /* bytes; the servers allow 64 characters */

struct edge {
	struct entity *to;
	bool written; /* of what a body runs: not only read */
	struct edge *next;
};

/* A column that holds a time or a date. */
struct temporal {
	struct temporal *next;
	unsigned kinds; /* SQL_KIND_* */
	bool odd;       /* its name holds what texts may write in more than one way */
	size_t len;
	char name[];
};

struct entity {
	struct map_node node;
	struct span schema, name; /* folded; behind the struct */
	enum catalog_kind kind;
	bool hidden; /* the account does not see all of its schema */
	bool transactional;
	const char *why_reads;  /* literal: why what it reads is not known, or, of a routine, why it is no plain read;
				 * NULL: it is */
	const char *why_writes; /* the same of what changes with it */
	const char *why_not_later; /* literal: why the queue's writes would not be what they are now; NULL: they are */
	bool defaults_not_later;   /* a column's default would be another one */
	bool keeps_history;        /* of its rows; a reason of why_not_later, for cascades, too */
	struct edge *reads;     /* a view's or routine's tables, views and routines; owned */
	struct edge *writes;    /* what triggers and cascades change with it, what a routine writes and calls, what a view calls,
				 * and the views in it; owned */
	struct edge *needs;     /* what its foreign keys refer to, and its triggers read and call; owned */
	struct edge *calls;     /* a procedure's procedures; owned */
	struct edge *runs;      /* what a routine's body, or a table's triggers, call, and the tables they write, as far as that is known; owned */
	bool sets;              /* such a body sets what a session keeps and no server tells of (catalog_session.h), or may */
	bool tells;             /* ... what servers tell of, unless the statement fails */
	bool unseen;            /* ... cannot be seen */
	bool temporary;         /* ... makes temporary tables that it does not drop again, or may */
	bool drops;             /* ... drops again all that it makes, unless it fails, or something that it runs, or that runs it, ... */
	bool hinders;           /* ... handles errors or gives tables other names */
	bool accounts;          /* a procedure changes accounts, or may (catalog_accounts.h), whatever these do */
	bool ddl;               /* ... and likewise the schema (catalog_ddl.h) */
	bool executes;          /* ... runs texts, and what they are is not known by it alone */
	bool says_ddl;          /* ... has a text in it that may be DDL */
	bool triggered;         /* it has triggers */
	uint32_t uniques;       /* primary and unique keys */
	struct catalog_keys *keys; /* owned; NULL: none */
	char *integers;         /* a table's integer columns that are none of its keys, each name ended by a zero; owned */
	size_t integers_len;
	struct temporal *temporals; /* owned; a table's and a view's */
	unsigned kinds;         /* of what a routine takes and gives: SQL_KIND_* */
};

struct snapshot {
	_Atomic int refs;
	bool fold;           /* names without regard to letter case */
	struct map entities; /* owned */
	char *sql_mode;      /* with which sessions begin; owned, NULL: not known */
	struct rights rights; /* of the account that has read it; owned */
	uint64_t tables, views, triggers, cascades, routines;
	uint64_t hash; /* of all rows read: equal readings have equal ones */
};

struct snapshot *snapshot_new(bool fold) must_check;
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s); /* NULL is allowed */

/* NULL: not there. */
struct entity *snapshot_find(const struct snapshot *s, struct span schema, struct span name) must_check;
/* Makes it, of unknown kind, where there is none. NULL: no memory, or too many, or too long a name. */
struct entity *snapshot_get(struct snapshot *s, struct span schema, struct span name) must_check;
/* The same for routines, which have names of their own, in any letter case. */
struct entity *snapshot_find_routine(const struct snapshot *s, struct span schema, struct span name,
				     bool procedure) must_check;
struct entity *snapshot_get_routine(struct snapshot *s, struct span schema, struct span name, bool procedure) must_check;
bool snapshot_is_routine(const struct entity *e); /* by its name: also one that is not in the catalog */
bool snapshot_is_procedure(const struct entity *e); /* likewise */
struct span snapshot_bare_name(const struct entity *e); /* as servers have it: a routine's without what marks it as one */
enum rc snapshot_link(struct edge **list, struct entity *to) must_check; /* RC_ERROR: no memory */
enum rc snapshot_link_written(struct edge **list, struct entity *to) must_check;

/* As catalog.h has them. RC_ERROR: put said so. */
enum snapshot_walk {
	SNAPSHOT_READ,     /* what a plain read of it reads */
	SNAPSHOT_READ_ANY, /* the same, but a routine need not be a plain read */
	SNAPSHOT_WRITE,
	SNAPSHOT_CHANGED,  /* what changes with it, as far as that is known */
	SNAPSHOT_CALLED,   /* what reading it writes: by the routines that views call */
};
enum rc snapshot_closure(const struct entity *start, enum snapshot_walk mode, catalog_put_fn put, void *arg,
			 const char **why) must_check;
enum rc snapshot_reads(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
		       const char **why) must_check;
enum rc snapshot_called(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
			const char **why) must_check;
enum rc snapshot_writes(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
			const char **why) must_check;
/* catalog_needs. */
enum rc snapshot_needs(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
		       const char **why) must_check;
/* catalog_row_changes. */
enum rc snapshot_row_changes(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
			 const char **why) must_check;
enum rc snapshot_transactional(const struct snapshot *s, struct span schema, struct span name,
			       const char **why) must_check;
/* catalog_later. */
enum rc snapshot_later(const struct snapshot *s, struct span schema, struct span name, bool *defaults,
		       const char **why) must_check;

/* catalog_keeps_accounts. */
enum rc snapshot_keeps_accounts(const struct snapshot *s, struct span schema, struct span name) must_check;
/* What a statement runs that calls a routine, or reads or writes a table or view: until fn says false. False: it is too much. */
bool snapshot_runs(const struct entity *start, bool written, bool (*fn)(void *arg, const struct entity *e), void *arg) must_check;

/* catalog_ddl. says: so does what the procedure is given. */
enum catalog_ddl snapshot_ddl(const struct snapshot *s, struct span schema, struct span name, bool says) must_check;

enum rc snapshot_row_keys(const struct snapshot *s, struct span schema, struct span name,
			  struct catalog_keys *out) must_check;
bool snapshot_is_integer(const struct snapshot *s, struct span schema, struct span name, struct span column);

#endif
