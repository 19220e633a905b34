/*
 * rows.h - which rows a statement names, as the cache's tags (C6; the scheme of tags stands in cache.h).
 *
 * A statement names rows if it is about one base table and holds a column of one of its keys (or of cache.keys) equal to
 * literals or bound values. Two values that a server may hold equal get one tag; to give one tag to more is only an
 * invalidation too many. So:
 *   - an integer column is named by integers, as numbers, as strings of digits ('5') or as a double that is one; not by
 *     5.0, ' 5', TRUE, nor by a string too long for a double to be exact;
 *   - a text column by ASCII strings only, of which letters (without their case) and digits count: whatever a collation
 *     ignores or pads with falls out;
 *   - what has another form, or is too much, names nothing, and the statement counts for its whole table.
 */
#ifndef SUIMON_ROWS_H
#define SUIMON_ROWS_H

#include "request.h"

#define ROWS_VALUES_MOST 8 /* named by one statement; more count for the table */
#define ROWS_TAGS_MOST 64  /* of one write */

struct rows_tags {
	cache_tag tag[ROWS_TAGS_MOST];
	unsigned n;
	bool named; /* by row; else by table */
};

/* Before the look-up; st is resolved. Fills r->tags, r->ntags. */
void rows_read(struct request *r);
/* When the reply is here: the rows that a SELECT has shown, as the tags of a write to them; not named: it is not told which. st->keys are there. */
void rows_shown(const struct request *r, struct rows_tags *out);
/* When the reply is here: what the statement has written, of its targets t. */
void rows_written(const struct request *r, const struct write_targets *t, struct rows_tags *out);
/* The same by table: what became of it is not known. */
void rows_by_table(const struct write_targets *t, struct rows_tags *out);

/* An INSERT or REPLACE: may its rows have AUTO_INCREMENT numbers that are its own, or those of rows that were there? False: the server gives
 * them all, as far as the schema is known. */
bool rows_may_number(const struct request *r) must_check;

#endif
