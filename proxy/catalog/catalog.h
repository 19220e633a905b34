/*
 * catalog.h - what the schema says that a statement's text does not: which names are views and over what, which tables
 * have triggers or are the parents of cascading foreign keys, which have what engine, what stored routines do (C5).
 *
 * Read from information_schema on a thread of its own, at start, and then, if anything is cached or queued (catalog_want),
 * after DDL seen by suimon and every minute. Readers take an immutable snapshot. While it is stale (DDL seen, not yet read again) or cannot be read, it says so, and those who
 * ask are conservative: nothing is cached, writes invalidate everything.
 */
#ifndef SUIMON_CATALOG_H
#define SUIMON_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"
#include "facts.h"
#include "iobuf.h"
#include "secret.h"
#include "span.h"
#include "tls.h"
#include "today.h"

struct catalog;

/* Where and as whom to read it; asked anew at each attempt, on the catalog's thread. port 0: host is the path of a unix
 * socket. password: a reference that becomes the catalog's, or NULL. */
struct catalog_target { char host[256]; uint16_t port; char user[128]; struct secret *password; struct tls_policy tls; bool compress; };
struct catalog_hooks {
	void *arg;
	enum rc (*target)(void *arg, struct catalog_target *out); /* RC_DECLINED: none yet */
	void (*changed)(void *arg); /* the schema is another than the one read before; catalog's thread */
};

struct catalog *catalog_new(const struct catalog_hooks *hooks) must_check;
enum rc catalog_start(struct catalog *c) must_check;
void catalog_stop(struct catalog *c);
void catalog_free(struct catalog *c);

/* From now on what it says is needed. Any thread, cheap. */
void catalog_want(struct catalog *c);
bool catalog_is_wanted(struct catalog *c);
/* DDL was sent: stale from now on until read again. Any thread, cheap. */
void catalog_invalidate(struct catalog *c);
/* The same of such as leaves procedures as they are. */
void catalog_invalidate_tables(struct catalog *c);
/* What DDL does to what stands behind a name. */
enum catalog_change {
	CATALOG_ADDS = 1,    /* there may be another body behind it */
	CATALOG_LOSES = 2,   /* one that was there may be gone; with CATALOG_TRIGGER alone: of whatever table */
	CATALOG_TRIGGER = 4, /* it is a trigger's */
	CATALOG_OF_VIEW = 8,   /* it is a view's, of the tables those that are written */
	CATALOG_OVER = 16,   /* it has been answered; the same was said when it was sent */
	CATALOG_QUIET = 32,  /* of a view: whoever reads or writes it sets nothing by that; the catalog's own judgement */
};
/* The same of what one statement changes: a routine, of this bare name; an empty one: of any. how: CATALOG_ADDS and so on. */
void catalog_invalidate_routine(struct catalog *c, struct span name, unsigned how);
/* The same of a function, which leaves procedures as they are. */
void catalog_invalidate_function(struct catalog *c, struct span name, unsigned how);
/* The same of what gives one of these tables another trigger, or the triggers of another one: procedures stay as they are. */
void catalog_invalidate_triggers(struct catalog *c, const struct sql_facts *f, unsigned how);
/* The same of what makes a view. select: the facts of what it is made of, or NULL: not known; schema: that of names in it that have none. */
void catalog_invalidate_view(struct catalog *c, const struct sql_facts *f, const struct sql_facts *select, struct span schema, unsigned how);
/* DDL is at the server from now on, until as many have ended: what is read meanwhile is not believed, for ten seconds at most (an ALTER may
 * take hours). To be called before catalog_invalidate, which is due at its end as well, before that is told. Any thread. */
void catalog_ddl_begins(struct catalog *c);
void catalog_ddl_ends(struct catalog *c);
/* DDL may have been among what nobody saw: it is read again within some seconds, and stays in force meanwhile. Any thread, cheap. */
void catalog_doubt(struct catalog *c);
/* Another account may now be usable, or the primary is back: try at once if it is stale. Any thread. */
void catalog_nudge(struct catalog *c);
/* Changes whenever an answer may change (also on becoming stale). Any thread. */
uint64_t catalog_version(struct catalog *c);
bool catalog_is_system(struct span schema); /* the servers' own: information_schema and its like, in any letter case */

/* How often a reading has found something else than the one before. Any thread. */
uint64_t catalog_readings(struct catalog *c);
/* The sql_mode with which sessions begin, as it was read last: appended to out. RC_DECLINED: not read yet. */
enum rc catalog_sql_mode(struct catalog *c, struct iobuf *out) must_check;

enum catalog_kind { CATALOG_UNKNOWN, CATALOG_TABLE, CATALOG_VIEW, CATALOG_ROUTINE };

/* A name's closure: for a read, the base tables behind it; for a write, the table itself and every table that triggers
 * and cascades may change. put is called for each ("schema", "table", folded as the server folds them).
 * RC_DECLINED: not known (stale, unreadable, a routine involved, too deep): `*why` is a literal. Any thread. */
typedef enum rc (*catalog_put_fn)(void *arg, struct span schema, struct span table);
enum rc catalog_reads(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg, const char **why) must_check;
enum rc catalog_writes(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg, const char **why) must_check;
/* What a write of it reads besides, as far as that is known: what its foreign keys refer to, what triggers read. RC_DECLINED: stale, or
 * too much. RC_ERROR: put said so. */
enum rc catalog_needs(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg, const char **why) must_check;
/* The table and those that change with rows of it that were changed, behind the servers' backs, too: children of cascades. What is not
 * known to the schema leads nowhere. RC_DECLINED: stale, or too much. */
enum rc catalog_row_changes(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg, const char **why) must_check;
/* What reading it writes, by the routines that a view calls. RC_OK with no table put: nothing. RC_DECLINED: something, but
 * what is not known. RC_AGAIN: the schema is being read. */
enum rc catalog_called(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg, const char **why) must_check;
/* For the queue: a base table with a transactional engine. RC_DECLINED otherwise, with why. */
enum rc catalog_transactional(struct catalog *c, struct span schema, struct span table, const char **why) must_check;
/* For the queue: a write of it that is applied later, by another session, is what it would be now. RC_DECLINED: a trigger
 * asks who is writing, or the like. *defaults: so does a column's default. */
enum rc catalog_later(struct catalog *c, struct span schema, struct span table, bool *defaults, const char **why) must_check;

/* The tables of a stored routine and of all it calls. */
enum catalog_effect {
	CATALOG_PLAIN_READ, /* RC_OK: its answer hangs on its arguments and these tables, and it leaves nothing behind */
	CATALOG_READ,       /* these tables, whatever else it does */
	CATALOG_WRITE,      /* RC_OK with no table put: it changes none */
};
enum rc catalog_routine(struct catalog *c, struct span schema, struct span name, bool procedure, enum catalog_effect effect,
			catalog_put_fn put, void *arg, const char **why) must_check;

/* A procedure and all that it calls change no account, no account's rights and no database. RC_DECLINED: they do, or that is not known.
 * RC_AGAIN: there is no such procedure, or it is new. Any thread. */
enum rc catalog_keeps_accounts(struct catalog *c, struct span schema, struct span name) must_check;

/* What a statement sets for its session by the routines that it calls and the triggers that it fires. */
enum catalog_sets {
	CATALOG_SETS_NOTHING,
	CATALOG_SETS_DROPPED, /* temporary tables that are dropped again, unless the statement fails */
	CATALOG_SETS_TOLD,    /* what servers tell of, unless the statement fails: SET SESSION name */
	CATALOG_SETS_TEMPORARY, /* temporary tables */
	CATALOG_SETS,         /* what no server tells of: user variables, SET @@name, a lock; or it runs what cannot be seen */
	CATALOG_SETS_KNOWN = 7, /* these bits: one of the above, by what was read. Beside it, but for CATALOG_SETS: */
	CATALOG_SETS_UNSURE = 8, /* what it runs may have been made anew by DDL since the schema was read */
	CATALOG_SETS_MISSING = 16, /* it calls a procedure that was not there then (a new one, or one that the account may not see), or any may be new */
};
/* schema: the session's. again: the schema has been read since a procedure was missing: one that still is cannot be seen. Any thread; to be asked anew when
 * catalog_version changes. */
enum catalog_sets catalog_sets(struct catalog *c, const struct sql_facts *f, struct span schema, bool again) must_check;
/* Some of what a statement runs has been lost that was new when it ran, so that no reading tells what it was. first, last: catalog_changes() when
 * it ran. Any thread. */
bool catalog_lost(struct catalog *c, const struct sql_facts *f, struct span schema, uint64_t first, uint64_t last) must_check;
uint64_t catalog_changes(struct catalog *c); /* goes up with DDL */
/* A number for this moment; has the schema been read, from the beginning, since then? If not, it will be. Any thread, cheap. */
uint64_t catalog_moment(struct catalog *c);
bool catalog_read_since(struct catalog *c, uint64_t moment);

/* What calling a procedure may do to the schema, by its text and those of all that it calls. */
enum catalog_ddl {
	CATALOG_DDL_NONE,
	CATALOG_DDL_UNSEEN, /* it runs texts that are not known, or its own cannot be seen; nothing says that DDL is among them */
	CATALOG_DDL_MAY,
	CATALOG_DDL_NEW,    /* for snapshot_ddl: it is not there */
};
bool catalog_says_ddl(struct span text);   /* a word that DDL begins with, in any place */
bool catalog_may_say_ddl(struct span text); /* ... or one by which it runs what is not in it. Of a text that cannot be taken apart; not in Oracle's mode */
bool catalog_holds_ddl(struct span bytes); /* the same of what is no text, where words need not stand apart */
/* says: so does what it is given. Any thread. */
enum catalog_ddl catalog_ddl(struct catalog *c, struct span schema, struct span name, bool says) must_check;

/* The columns of a table's keys, of a type whose equal values can be told (C6). */
#define CATALOG_KEYS_MOST 8
enum catalog_type { CATALOG_INTEGER, CATALOG_TEXT };
struct catalog_key {
	char column[65];         /* lower case: columns know no letter case */
	enum catalog_type type;
	bool unique;             /* of a primary key, or leads a unique one; else of some index */
	bool auto_increment;
	bool is_unsigned;        /* an integer */
	bool wide;               /* text in a character set whose bytes are not ASCII's */
	uint16_t position;       /* the column's in the table, from 1 */
};
struct catalog_keys {
	unsigned n;
	bool one_unique;         /* of primary and unique keys there is one, and it holds whole columns */
	bool numbers_unseen;     /* the server numbers its rows in a column that is none of at[] */
	bool written_by_row;     /* no trigger changes a row on its way, no cascade leads back to the table */
	struct catalog_key at[CATALOG_KEYS_MOST];
};
/* RC_DECLINED: no base table, not known, or no such columns. Any thread. */
enum rc catalog_row_keys(struct catalog *c, struct span schema, struct span table, struct catalog_keys *out) must_check;
/* Is it an integer column of its own, not computed, that is none of these keys? False: no, or not known. Any thread. */
bool catalog_is_integer(struct catalog *c, struct span schema, struct span table, struct span column);

/* Does the text's answer hang on the day, by the types of its tables' columns? f: its facts; schema: the session's. What views and
 * routines do inside is not said here: those that hang on it are no plain reads. RC_DECLINED: not known (stale, unreadable). */
enum rc catalog_today(struct catalog *c, const struct sql_facts *f, struct span schema, struct span text, unsigned mode,
		      struct sql_today *out) must_check;

struct catalog_status { bool wanted, readable, stale, hidden; uint64_t tables, views, triggers, cascades, routines, version, age_ns; char problem[256]; };
void catalog_status(struct catalog *c, struct catalog_status *out);

#endif
