/*
 * statement.h - what a worker remembers of a digest: its facts, its tables' tags, the rules' verdict. A known statement
 * costs a look-up, not a parse. Bounded; the least recently used is forgotten.
 */
#ifndef SUIMON_STATEMENT_H
#define SUIMON_STATEMENT_H

#include "cache.h"
#include "catalog.h"
#include "digest.h"
#include "facts.h"
#include "list.h"
#include "map.h"
#include "plan.h"
#include "stats.h"

#define STATEMENTS_MOST 4096

#define STATEMENT_QUEUE_FORMS 8 /* of one digest, which take turns: texts' forms and states of sessions */
#define STATEMENT_QUEUE_ACCOUNTS 8 /* whose writes of one shape take turns, and have it accepted once each */

/* Does an answer hang on the day? */
struct statement_today {
	uint64_t version;    /* of the catalog, when it was asked; 0: never */
	struct sql_today is;
};

struct statement {
	struct map_node node;
	struct list_node lru;
	uint32_t refs;          /* requests and prepared statements that hold it, and the table itself */
	uint64_t digest;
	char *schema;           /* the session's when it was parsed; owned */
	size_t schema_len;
	char *text;             /* normalised; owned, NUL-terminated */
	size_t text_len;
	bool text_cut;          /* it goes on */
	bool text_broken;       /* ends inside a quote or comment: what of it is a literal cannot be told */
	struct sql_facts facts;
	bool changes_accounts;       /* and what they may do, databases and their collations: what a login finds */
	bool hides_accounts;         /* ... or may, by what it is given or calls: globals.c looks there */
	bool names_tracking;         /* session_track_*, or has all sessions profiled: what suimon says on connections would be seen */
	bool names_threads;          /* looks at the server's connections: numbers.h */
	bool lists_threads;          /* ... and is the list of them */
	bool system_schema;
	bool writes_unseen;     /* the server gave it a position, though nothing in it seemed to write */
	uint64_t sets_version;  /* of the catalog, when ... was judged; 0: never */
	enum catalog_sets sets; /* what it sets for its session by what it runs */
	bool clears;            /* the warnings that there are: it reads tables, be they the server's own, as SHOW TABLES does */
	bool shows_conditions;  /* SHOW WARNINGS, SHOW ERRORS */
	bool asks_conditions;   /* these, and what else MySQL runs without ending the warnings that there are */
	bool has_limit;         /* or an offset */
	bool gives_id;          /* LAST_INSERT_ID(7) */
	bool asks_sequence;     /* LASTVAL() and its like: for what NEXTVAL() gave on the same connection */
	bool finds_more;        /* FOUND_ROWS() behind it is not told by the rows that it sends, and its offset */
	bool leaves_state;      /* left state on a replica that cannot be moved: to the primary from now on */
	/* Tables read and written, with all that views, triggers, cascades and routines add; valid for catalog_version. */
	uint64_t catalog_version;
	bool resolved;          /* false: the catalog cannot say: neither cached nor narrowly invalidated */
	const char *unresolved_why;
	uint64_t named_version; /* of the catalog, when the cache was told its tables' names */
	bool transactional;     /* every table it writes can be rolled back */
	const char *not_later;  /* literal: why what it writes would be something else when it is applied; NULL: it would not */
	bool writes_by_views;   /* its text need write nothing: a view that it reads calls a routine that does, or may */
	struct statement_today today; /* of this only what all its texts have in common: .always */
	enum plan_calls calls;  /* what the routines it calls do; their tables are among reads and writes */
	cache_tag reads[CACHE_MAX_TAGS], writes[CACHE_MAX_TAGS];
	uint8_t nreads, nwrites;
	/* What its writes read besides, by foreign keys and triggers: for the queue alone, which a session's own writes may be in. */
	cache_tag needs[CACHE_MAX_TAGS];
	uint8_t nneeds;
	bool needs_more;        /* than there is room for */
	/* What it takes to tell its rows, where it is about one base table (C6). */
	struct catalog_keys *keys; /* owned; NULL: it names none */
	unsigned keys_named;       /* by which of them it may name rows, a bit each */
	cache_tag keys_of;         /* the table */
	struct sql_keys_like *keys_like; /* owned; one of its texts, from which the others' keys are told; NULL before that */
	/* The rules' verdict for one account and one version of the settings. */
	struct plan_verdict verdict;
	uint64_t verdict_settings; /* the settings' serial in this worker; 0 none */
	uint64_t verdict_account; /* its id: an address may be another account's by now */
	/* The last plan made under this verdict for a text without hints, and what of the session it was made for. */
	bool planned;
	struct plan_session plan_for;
	struct plan plan;
	uint64_t stats_key;       /* stats_key() of digest, schema and ... */
	uint64_t stats_account;   /* ... this account's id; 0 none */
	struct stats_place stats_place; /* that key's */
	/* Shapes the primary has accepted for the queue (Q4). */
	uint64_t queue_checked_version; /* catalog version + 1 it was checked at; 0 never */
	uint64_t queue_checked_accounts[STATEMENT_QUEUE_ACCOUNTS]; /* their ids, 0: none; the first is the latest */
	uint64_t queue_checked_epoch;   /* of the accounts, before it was */
	uint64_t queue_forms[STATEMENT_QUEUE_FORMS]; /* of those that were accepted (request.h), 0: none; the first is the latest */
	uint64_t queue_refused_form;    /* one that may not wait, the latest: it leaves out a column that has no default; 0: none */
	uint64_t queue_denied_account;  /* id: a new session of it may not run this, an older one perhaps; 0 none */
	uint64_t queue_denied_epoch;    /* ... as of this epoch of the accounts */
	bool queue_checked;             /* ... as it is */
	uint64_t queue_defaults;        /* columns that have one, of those that a bulk execution gave it (request.h) */
	uint64_t queue_no_defaults;     /* of these, all together, at least one has none; 0: not known of any */
	struct sql_insert_head *queue_head; /* owned; how the last one that was queued began; NULL: none was */
};

struct statements {
	struct map map;
	struct list lru;
	size_t most;
};

void statements_init(struct statements *t, size_t most);
void statements_reset(struct statements *t);
void statements_forget_settings(struct statements *t); /* after a reload: verdicts and key columns */

/* The statement of this text in this schema; parsed if it is new (*fresh). A reference. NULL: out of memory. */
struct statement *statement_get(struct statements *t, struct span text, unsigned mode, const struct sql_lexed *lexed,
				struct span schema, bool *fresh) must_check;
struct statement *statement_ref(struct statement *st);
void statement_unref(struct statement *st); /* NULL is allowed */
/* Of its text nobody can tell where literals end: it ends inside a quote, or the server says that it is no SQL (error), or did not
 * come to see it (answered) and it is not understood here either. Nothing of it is shown but the verb (S2). */
bool statement_text_unsure(const struct statement *st, bool answered, uint16_t error);
/* Its first table, "schema.table" where that is not of the session's schema: its own memory or buf. "": none. */
struct span statement_table(const struct statement *st, char *buf, size_t cap);
/* What it sets for its session, by the catalog's present version. */
enum catalog_sets statement_judge_sets(struct statement *st, struct catalog *c);
static inline enum catalog_sets statement_sets(struct statement *st, struct catalog *c)
{
	return likely(st->sets_version == catalog_version(c)) ? st->sets : statement_judge_sets(st, c);
}
/* Brings its tags up to the catalog's present version. keys: the settings' cache.keys. */
void statement_resolve(struct statement *st, struct catalog *c, const struct settings *cfg);

/* Whether the answer of this text, one of its own, in this mode, hangs on the day; kept: where that is remembered. */
const struct sql_today *statement_today(const struct statement *st, struct catalog *c, struct span text, unsigned mode,
					struct statement_today *kept);

/* What a statement has written that others can see. */
struct write_targets {
	cache_tag tags[CACHE_MAX_TAGS];
	uint8_t n;
	bool anything;      /* more than the tags say: not known */
	bool transactional; /* all of it can be rolled back */
};
/* The tags of what it writes, without the tables that skip() says are nobody else's. Asks the catalog anew. false: not known. */
bool statement_shared(const struct statement *st, struct catalog *c, bool (*skip)(const void *arg, const struct sql_table *t),
		      const void *arg, struct write_targets *out) must_check;

#endif
