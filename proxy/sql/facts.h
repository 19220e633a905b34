/*
 * facts.h - what is known of a statement from its text alone: digest, kind, tables, effects.
 *
 * Facts that hold for every statement of a digest are parsed once a digest (sql_facts_parse) and kept by the caller;
 * what depends on the literals comes from lexing (sql_lex). What cannot be parsed says so (SQL_F_UNKNOWN), and the
 * plan then treats it as able to do anything its session could (P2).
 */
#ifndef SUIMON_FACTS_H
#define SUIMON_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"
#include "span.h"

/* How the session's sql_mode makes text read. */
#define SQL_MODE_ANSI_QUOTES 0x1
#define SQL_MODE_NO_BACKSLASH_ESCAPES 0x2
#define SQL_MODE_ORACLE 0x4
#define SQL_MODE_PIPES_AS_CONCAT 0x8
/* The client's character set has characters whose second byte may look like a quote, a backslash or an operator (sjis,
 * cp932, gbk, gb18030, big5): text that holds such a pair is not understood (SQL_F_UNKNOWN, sql_lexed.broken). */
#define SQL_MODE_WIDE_TRAIL 0x10

enum sql_verb {
	SQL_OTHER = 0, /* understood to be something, of no interest of its own */
	SQL_SELECT, SQL_INSERT, SQL_REPLACE, SQL_UPDATE, SQL_DELETE, SQL_LOAD, SQL_TRUNCATE, SQL_CALL, SQL_DO,
	SQL_HANDLER,
	SQL_VALUES, SQL_TABLE,        /* statement forms VALUES ..., TABLE t */
	SQL_BEGIN, SQL_COMMIT, SQL_ROLLBACK, SQL_SAVEPOINT, SQL_ROLLBACK_TO, SQL_RELEASE_SAVEPOINT, SQL_XA,
	SQL_SET, SQL_SET_TRANSACTION, SQL_USE, SQL_SHOW, SQL_DESCRIBE, SQL_EXPLAIN, SQL_HELP,
	SQL_CREATE, SQL_ALTER, SQL_DROP, SQL_RENAME, SQL_GRANT, SQL_REVOKE,
	SQL_ADMIN, /* ANALYZE, OPTIMIZE, CHECK, REPAIR, FLUSH, RESET, INSTALL, ... */
	SQL_LOCK_TABLES, SQL_UNLOCK_TABLES, SQL_PREPARE, SQL_EXECUTE, SQL_DEALLOCATE, SQL_KILL, SQL_COMPOUND,
	SQL_VERBS
};
#define SQL_VERB(v) (UINT64_C(1) << (v)) /* its bit in a set of verbs */
const char *sql_verb_name(enum sql_verb v); /* lower case: "select" */

/* Effects and traits. */
#define SQL_F_UNKNOWN          (UINT64_C(1) << 0)  /* not parsed to the end: may do anything */
#define SQL_F_MULTI            (UINT64_C(1) << 1)  /* more than one statement in the text; facts are the union */
#define SQL_F_WRITES           (UINT64_C(1) << 2)  /* changes data or schema */
#define SQL_F_LOCKING_READ     (UINT64_C(1) << 3)  /* FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE */
#define SQL_F_NONDETERMINISTIC (UINT64_C(1) << 4)  /* NOW, RAND, UUID, CURRENT_USER, ...: not cacheable */
#define SQL_F_USER_VAR_READ    (UINT64_C(1) << 5)
#define SQL_F_USER_VAR_WRITE   (UINT64_C(1) << 6)  /* SET @x, @x := .., SELECT .. INTO @x; and what no SET
                                                       * can give again: SET ROLE, insert_id, .. */
#define SQL_F_SYSTEM_VAR       (UINT64_C(1) << 7)  /* reads @@something */
#define SQL_F_TEMP_TABLE       (UINT64_C(1) << 8)  /* creates a temporary table */
#define SQL_F_LAST_INSERT_ID   (UINT64_C(1) << 9)  /* follow-ups: answered by what the connection did before */
#define SQL_F_FOUND_ROWS       (UINT64_C(1) << 10)
#define SQL_F_ROW_COUNT        (UINT64_C(1) << 11)
#define SQL_F_DIAGNOSTICS      (UINT64_C(1) << 12) /* SHOW WARNINGS, SHOW ERRORS, GET DIAGNOSTICS, @@warning_count */
#define SQL_F_CALC_FOUND_ROWS  (UINT64_C(1) << 13)
#define SQL_F_USER_LOCK        (UINT64_C(1) << 14) /* GET_LOCK and its kin */
#define SQL_F_SERVER_FILE      (UINT64_C(1) << 15) /* INTO OUTFILE/DUMPFILE, LOAD_FILE() */
#define SQL_F_LOCAL_INFILE     (UINT64_C(1) << 16)
#define SQL_F_IMPLICIT_COMMIT  (UINT64_C(1) << 17)
#define SQL_F_DDL              (UINT64_C(1) << 18)
#define SQL_F_RETURNING        (UINT64_C(1) << 19)
#define SQL_F_STORED_FUNCTION  (UINT64_C(1) << 20) /* calls a function that is not one of the server's own: may write */
#define SQL_F_CONNECTION_ID    (UINT64_C(1) << 21)
#define SQL_F_SESSION_SET      (UINT64_C(1) << 22) /* SET of session system variables only (replayable) */
#define SQL_F_GLOBAL_SET       (UINT64_C(1) << 23)
#define SQL_F_TRX_READ_ONLY    (UINT64_C(1) << 24) /* START TRANSACTION READ ONLY */
#define SQL_F_SNAPSHOT         (UINT64_C(1) << 25) /* WITH CONSISTENT SNAPSHOT */
#define SQL_F_SEQUENCE         (UINT64_C(1) << 26) /* NEXTVAL, LASTVAL, SETVAL, NEXT VALUE FOR */
#define SQL_F_INSERT_VALUES    (UINT64_C(1) << 27) /* INSERT/REPLACE ... VALUES (row)[,(row)…], no subquery */
#define SQL_F_CHAIN            (UINT64_C(1) << 28) /* COMMIT/ROLLBACK AND CHAIN */
#define SQL_F_RELEASE          (UINT64_C(1) << 29) /* COMMIT/ROLLBACK RELEASE: the server closes the connection */
#define SQL_F_SYSTEM_SCHEMA    (UINT64_C(1) << 30) /* touches information_schema, performance_schema, mysql, sys */
#define SQL_F_AUTOCOMMIT_SET   (UINT64_C(1) << 31)
#define SQL_F_REPLAY_UNSAFE    (UINT64_C(1) << 32) /* a queued write would mean something else later: RAND,
                                                       * UUID, user variables, LAST_INSERT_ID(), subqueries,
                                                       * locks … NOW() is safe */
#define SQL_F_AGGREGATE        (UINT64_C(1) << 33) /* GROUP BY, DISTINCT, COUNT, SUM … */
#define SQL_F_LIMIT_NO_ORDER   (UINT64_C(1) << 34)
#define SQL_F_PASSWORD         (UINT64_C(1) << 35) /* holds a password: never logged, never sampled */
#define SQL_F_SERVER_STATE     (UINT64_C(1) << 36) /* answers from the server's own state (replication,
                                                       * threads): not the same on another */
#define SQL_F_SUBQUERY         (UINT64_C(1) << 37) /* holds a query inside */
#define SQL_F_XA_BEGIN         (UINT64_C(1) << 38) /* XA START, XA BEGIN */
#define SQL_F_XA_END           (UINT64_C(1) << 39) /* XA COMMIT, XA ROLLBACK: not XA END, behind which it is still the session's */
#define SQL_F_TRX_READ_WRITE   (UINT64_C(1) << 40) /* START TRANSACTION READ WRITE */
#define SQL_F_UNSAFE_VALUE     (UINT64_C(1) << 41) /* with SQL_F_REPLAY_UNSAFE: for a function or variable in it */
#define SQL_F_ACCOUNTS         (UINT64_C(1) << 42) /* changes what a login finds: accounts, what they may do, databases
                                                       * and their collations */
#define SQL_F_DELAYED          (UINT64_C(1) << 43) /* INSERT DELAYED (MariaDB): answered before its rows are there */
#define SQL_F_COUNTERS         (UINT64_C(1) << 44) /* FLUSH STATUS: the counters of its connection begin anew */

#define SQL_MAX_TABLES 32 /* more: SQL_F_UNKNOWN */

struct sql_table {
	struct span schema; /* empty: the session's; into facts' own memory */
	struct span name;
	bool read, written;
};

/* A routine the text calls: the procedure of a CALL, functions that are not the servers' own (SQL_F_STORED_FUNCTION),
 * and functions that only one of the servers has: in the other, somebody's own may bear the name. */
struct sql_routine {
	struct span schema, name; /* into facts' own memory */
};

struct sql_facts {
	enum sql_verb verb;         /* of the first statement; those that say by themselves what happens (CALL,
	                             * LOCK TABLES, ..) make the facts unknown when they come behind it */
	uint64_t verbs;             /* of all statements, and of what ANALYZE runs: SQL_VERB */
	uint64_t flags;
	bool reads_anew;            /* a schema, sql_mode or character set is set: what comes behind reads otherwise */
	uint16_t ntables;
	uint16_t nroutines;
	struct sql_table *tables;   /* owned, names unquoted, as written (case kept); each table once. DDL without
	                             * tables (DROP DATABASE, CREATE FUNCTION) may concern any. What is only searched
	                             * for the rows to be written (UPDATE t, DELETE FROM t) is written, not read. */
	struct sql_routine *routines; /* owned */
	const char *unknown_why;    /* literal; set with SQL_F_UNKNOWN */
	const char *nondeterministic; /* owned; the first function or variable that made it so, or NULL */
	struct span use_schema;     /* USE x: the schema; into facts' own memory */
	struct span drop_schema;    /* DROP DATABASE x, likewise */
	char *memory;               /* owned: backs the spans */
};

/* Parses text (one pass, bounded depth and time). RC_ERROR: out of memory. Free with sql_facts_free. */
enum rc sql_facts_parse(struct span text, unsigned mode, struct sql_facts *out) must_check;
void sql_facts_free(struct sql_facts *f);

/* What the plan and the command line ask of facts, from text alone. *why: a literal, for a yes as for a no; a
 * function's or variable's name stands in f->nondeterministic. */
bool sql_cacheable(const struct sql_facts *f, const char **why);
bool sql_replica_safe(const struct sql_facts *f, const char **why);
bool sql_queueable(const struct sql_facts *f, const char **why);

/* Does it change what a login finds, by what it says itself? Not by what it calls, or by a text that it is given. */
bool sql_changes_accounts(const struct sql_facts *f);

/* May a password stand in it, so that it is not to be kept in any form? text: as it came, for another of the same facts may hold none in
 * what it gives PREPARE. What a variable, a procedure or a function is given, but for those that are about passwords, is not known as one. */
bool sql_is_private(const struct sql_facts *f, struct span text);

/* The statements of a text, one at a time: *at starts at 0 and moves on. False when there are no more. A routine's body
 * is part of its CREATE. *stmt has no blanks or semicolons around it, and may be what no server would take. */
bool sql_split(struct span text, unsigned mode, size_t *at, struct span *stmt);

#endif
