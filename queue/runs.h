/*
 * runs.h - a batch put into statements: which records become one, and in which order (Q3, Q6). Pure.
 *
 * Records that may be merged are, when they follow each other; and over records of other tables too, as long as all that
 * is passed by are plain INSERTs of values as well, which neither read what others wrote nor fire triggers. Order within
 * a table is always kept.
 */
#ifndef SUIMON_RUNS_H
#define SUIMON_RUNS_H

#include "merge.h"
#include "record.h"

struct apply_item {
	struct apply_item *next; /* in its run */
	uint64_t seq;
	struct span body;  /* the record, encoded */
	struct record rec; /* decoded from it */
	enum time_need need;
	bool mergeable;
	bool skip; /* nothing to do: a dead letter already, or tried by another record */
	bool again; /* skipped because it was applied before: who is told of what was applied is told again */
	bool bury; /* put aside by hand: not run, and a dead letter with this code and error */
	bool dead; /* failed for good in this batch */
	unsigned code;
	char *error; /* owned; NULL when memory was short */
};

struct run {
	struct apply_item *first, *last;
	size_t n;
	uint64_t bytes; /* of the statement it makes */
};

struct runs {
	struct run *run; /* owned */
	size_t n, cap;
	bool reordered; /* a record was put before one of another table that had come earlier */
};

void runs_reset(struct runs *r); /* frees */
/* Puts the items that are not to be skipped into runs of at most most_bytes. strict: only neighbours are merged.
 * RC_ERROR: no memory. */
enum rc runs_plan(struct runs *r, struct apply_item *items, size_t n, uint64_t most_bytes, bool strict) must_check;

#endif
