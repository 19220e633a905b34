/*
 * varset.h - the replayable part of a session's state: schema and system variables with their tracked values (P3).
 *
 * A varset is immutable and interned: equal sets of one table are the same pointer, so that "does this connection
 * already have this session's state" is a comparison of two pointers. Belongs to one worker.
 */
#ifndef SUIMON_VARSET_H
#define SUIMON_VARSET_H

#include <stdbool.h>
#include <stdint.h>

#include "iobuf.h"
#include "map.h"
#include "rc.h"
#include "span.h"

#define VARSET_MOST 64           /* variables a session may have changed; more pin it */
#define VARSET_MOST_BYTES 16384

/* How an sql_mode makes text read. */
struct varset_mode {
	bool no_backslash, ansi_quotes, oracle;
	bool strict; /* what does not fit its column is an error, and is not bent */
};

struct varset_var { struct span name, value; }; /* into the set's memory; names lower case, sorted */

struct varset {
	struct map_node node;
	struct varsets *table;
	uint32_t refs;
	uint16_t n;
	bool has_mode;           /* its sql_mode has been set; else it is what the servers begin with */
	struct varset_mode mode; /* of that; varset_mode has both */
	bool autocommit_off;
	bool isolation;          /* it has been set in the session; else it is what the connection began with */
	bool reads_only;         /* its transactions change nothing, unless they say otherwise */
	bool sees_anew;          /* READ COMMITTED or less, set so: no transaction keeps to one snapshot */
	bool serializable;       /* set so */
	bool stays;              /* its reads belong where its writes are: sql_auto_is_null, optimizer_trace */
	bool not_later;          /* a write under it is its connection's own: the drain's could not be brought to this state, or could not write then */
	bool dirty_reads;        /* READ UNCOMMITTED, set so */
	bool other_ascii;        /* its client's character set reads bytes of ASCII's as letters beyond it */
	bool wide_trail;         /* its client's character set has characters whose last byte looks like a quote or a backslash */
	uint64_t reading;        /* a hash of those variables by which the servers judge a text before they run it */
	uint64_t wait_ns;        /* wait_timeout, if it was set: idle for longer, the server would end the session; 0: it was not */
	struct span schema;      /* empty: none chosen */
	uint64_t id;             /* unique in the process: names the set in keys */
	struct span bytes;       /* the whole content, for comparing and for cache keys */
	struct iobuf environment; /* of varset_environment */
	bool has_environment;
	uint64_t environment_serial; /* the table's mode_serial then */
	struct varset_var vars[];
};

struct varsets {
	struct map sets;
	uint64_t hits, made;
	struct varset_mode mode;   /* with which connections begin */
	struct span mode_text;     /* owned. Empty: nothing in it changes how text reads, or it is not known yet */
	uint64_t mode_serial;      /* how often it has changed */
};
void varsets_init(struct varsets *t);
void varsets_reset(struct varsets *t); /* all sets must have been released */

struct varset_mode varset_mode_of(struct span sql_mode);
/* The sql_mode with which the servers' connections begin. Without memory it stays as it was. */
void varsets_begin_with(struct varsets *t, struct span sql_mode);

/* The empty set: a fresh connection's state. NULL: out of memory. */
const struct varset *varset_empty(struct varsets *t) must_check;
const struct varset *varset_ref(const struct varset *s);
void varset_unref(const struct varset *s);
/* A reference to s with one variable or the schema changed; s itself is untouched. NULL: memory or bounds. */
const struct varset *varset_with(const struct varset *s, struct span name, struct span value) must_check;
const struct varset *varset_without(const struct varset *s, struct span name) must_check;
const struct varset *varset_with_schema(const struct varset *s, struct span schema) must_check;

/* The value of a variable, or an empty span with p NULL. */
struct span varset_get(const struct varset *s, const char *name);

uint16_t varset_login_collation(const struct varset *s); /* 0: none */
static inline const struct varset_mode *varset_mode(const struct varset *s) { return s->has_mode ? &s->mode : &s->table->mode; }
/* Its text; empty: the servers' own, and nothing in it changes how text reads. */
struct span varset_mode_text(const struct varset *s);

/* The SQL that brings a connection from `from` to `to`: "SET a=1,b='x'" appended to out (nothing when variables are
 * equal). RC_DECLINED: `from` has variables that `to` lacks: only a reset brings them back. */
enum rc varset_difference(const struct varset *from, const struct varset *to, struct iobuf *out) must_check;
/* Those of its variables that change what a write means (varlater.h), and an sql_mode that the servers begin with if it changes how text
 * reads, as SET assignments without the word SET ("a=1,b='x'"): the environment of a queued write. It is the set's own and lasts as
 * long. RC_ERROR: out of memory. */
enum rc varset_environment(const struct varset *s, struct span *out) must_check;

/* The collation of a login (its number) is kept as this variable: it stands for the three character sets. */
#define VARSET_LOGIN_COLLATION "@login"
/* "utf8mb4 COLLATE utf8mb4_bin" of a SET NAMES with a collation. */
#define VARSET_NAMES "@names"

#endif
