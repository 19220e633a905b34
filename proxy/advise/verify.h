/*
 * verify.h - suimon advise --verify: what a missing index, or what keeps one from being used, is worth mending, measured on a copy.
 *
 *   cli_advise.c    the instance's word: a statement with its values, and its fix
 *   verify.c        the copy, EXPLAIN and time before, the fix, EXPLAIN and time after, everything gone again
 *   verify_copy.c   the scratch schema, empty or not there; a sample of each table, a bounded number of rows
 *   verify_text.c   the statement as it goes to the copy, or why it does not
 *   verify_fix.c    the fix: an index, a generated column with one, a column's other definition; a statement mended
 *
 * What is written is written to tables that verify has made, in the scratch schema alone; all else is read, without locks. Every
 * statement has a time limit.
 */
#ifndef SUIMON_VERIFY_H
#define SUIMON_VERIFY_H

#include <stdio.h>

#include "advise_impl.h"

#define VERIFY_TABLES 8
#define VERIFY_NAME 65 /* bytes of a schema's name with its NUL */

struct verify_options {
	const char *host; /* or a socket's path, with port 0 */
	uint16_t port;
	const char *user;
	struct secret *password; /* NULL: none */
	struct tls_policy tls;
	const char *scratch;
	unsigned long rows, seconds; /* most copied of a table; most a statement may take */
	FILE *out;
};

/* A finding. Nothing of it is owned. */
struct verify_case {
	const char *digest, *schema, *sql;
	const char *alter;     /* "": the table stays as it is */
	const char *statement; /* mended and normalised; "": it stays as it is */
};

struct verify_table {
	char name[ADVISE_NAME];
	bool made;
};

struct verify {
	const struct verify_options *o;
	const struct verify_case *what;
	struct sqlconn *conn; /* owned */
	struct verify_table table[VERIFY_TABLES];
	size_t n;
	struct iobuf mended; /* the mended statement with the sample's values; empty: it stays as it is */
	uint64_t rows;       /* that the statement has just sent */
	bool made_schema;
	char why[512]; /* for people, once something has failed */
};

/* RC_OK: measured and printed. RC_DECLINED: it cannot be measured; RC_ERROR: the server failed, or what was made could not be dropped.
 * Both are printed with the reason. Nothing is left behind but in that last case. */
enum rc verify_run(const struct verify_options *o, const struct verify_case *what) must_check;
void verify_interrupt(int signal); /* of sigaction: what runs ends with its time limit, then all is dropped */
bool verify_is_interrupted(void);

/* ---- verify.c ---- */

/* One statement, within the limit; sql is emptied. RC_ERROR: v->why. */
enum rc verify_sql(struct verify *v, struct iobuf *sql, sqlconn_row_fn row, void *arg) must_check;
enum rc verify_fail(struct verify *v, enum rc rc, const char *fmt, ...) printf_like(3, 4); /* why; returns rc */

/* ---- verify_copy.c ---- */

bool verify_scratch_allowed(const char *name, const char **why); /* by its name */
enum rc verify_make_schema(struct verify *v) must_check;         /* RC_DECLINED: it is there, and not empty */
enum rc verify_copy_tables(struct verify *v) must_check;
enum rc verify_drop(struct verify *v) must_check;                /* what was made */

/* ---- verify_text.c ---- */

/* Which tables the statement reads, and the mended one, into v. RC_DECLINED: it is not one that can be measured. */
enum rc verify_tables(struct verify *v) must_check;
/* The text with the schema's name before a dot replaced by the scratch schema's; appended. */
enum rc verify_moved(struct span text, const char *schema, const char *scratch, struct iobuf *out) must_check;
/* ---- verify_fix.c ---- */

/* Is this what the adviser writes of this table, and no more: "ALTER TABLE `schema`.`table`" with ADD INDEX (...), with ADD COLUMN and an
 * index, or with MODIFY? */
bool verify_is_fix(struct span alter, const char *schema, const char *table);
/* The mended text with the sample's values in place of its question marks; appended. RC_DECLINED: it cannot be told which. */
enum rc verify_filled(struct span sample, struct span mended, struct iobuf *out) must_check;

#endif
