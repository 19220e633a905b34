/*
 * advise_tokens.h - a plan's condition as tokens, and the names in it: for the files that look into conditions.
 */
#ifndef SUIMON_ADVISE_TOKENS_H
#define SUIMON_ADVISE_TOKENS_H

#include "advise_impl.h"

#define ADVISE_MOST_TOKENS 512 /* of one condition; a longer one is let be */

struct advise_tokens {
	struct sql_token t[ADVISE_MOST_TOKENS];
	size_t n;
	struct span table; /* whose columns are wanted */
	struct advise_columns *out;
};

struct advise_path {
	struct span table, column;
};

/* False: too long, or not a text that can be read. */
bool advise_tokens_read(struct advise_tokens *c, struct span text) must_check;
/* The index behind the parenthesis that opens at i; to when it does not close. */
size_t advise_tokens_behind(const struct advise_tokens *c, size_t i, size_t to);
/* [schema.]table.column at i. Returns the index behind it, or i: there is none. */
size_t advise_tokens_path(const struct advise_tokens *c, size_t i, size_t to, struct advise_path *p);
/* Is that name, quoted or not, the table's? */
bool advise_tokens_of(struct span quoted, struct span table) must_check;
/* <cache>(..) at i: a constant that the server computes once, such as NOW() - INTERVAL 1 DAY. Returns the index behind it, or i: it is not
 * there, or holds a column or a subquery. */
size_t advise_tokens_cached(const struct advise_tokens *c, size_t i, size_t to);

#endif
