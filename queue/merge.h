/*
 * merge.h - which INSERTs may become one, so that the outcome is the same as one by one (Q6). Pure.
 *
 * Two INSERTs are one when their heads and tails are the same text and they ran in the same state, and when it makes
 * no difference that both now run at one time. How exact that time must be depends on the text (NOW() and its kin) and
 * on the table (defaults, ON UPDATE, triggers).
 */
#ifndef SUIMON_MERGE_H
#define SUIMON_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "iobuf.h"
#include "queue.h"

enum time_need {
	TIME_FREE,   /* the time does not show in the outcome */
	TIME_SECOND, /* whole seconds of it do */
	TIME_MICRO,  /* all of it may */
	TIME_NEVER, /* not only time: what the rows before it did may show in it (reads, variables, unknown functions) */
};

/* Could it be part of a multi-row INSERT at all? strict: the connection's own sql_mode is strict, for a record whose
 * environment does not say. Without it a NULL for a NOT NULL column fails alone and is changed in company. */
bool merge_possible(const struct queue_record *r, bool strict);
/* What its values and its tail need. TIME_NEVER: it is not to be merged. */
enum time_need merge_time_need(const struct queue_record *r);
/* What was found of a record, for those behind it that differ from it in their rows alone, as most do. Begins zeroed. */
struct merge_known {
	const struct queue_record *r; /* not owned */
	bool backslash;
	enum time_need tail; /* TIME_NEVER: neither they nor it can be merged */
};
/* Both in one: what r needs; TIME_NEVER also where it could not be part of one. strict: the same for all. */
enum time_need merge_look(struct merge_known *known, const struct queue_record *r, bool strict);
/* need: what both need, of text and table. */
bool merge_same(const struct queue_record *a, const struct queue_record *b, enum time_need need);

struct span merge_head(const struct queue_record *r); /* with what leads to the values */
struct span merge_rows(const struct queue_record *r);
struct span merge_tail(const struct queue_record *r); /* empty when nothing but a comment stands there */

#endif
