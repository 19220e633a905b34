/*
 * advise_json.h - what is looked for inside a JSON document. Of the adviser's own room, as advise_impl.h.
 */
#ifndef SUIMON_ADVISE_JSON_H
#define SUIMON_ADVISE_JSON_H

#include "advise_impl.h"

/* A term of the scan's condition for which a generated column would serve, or one that is there and is not used. sent: the statement;
 * sample: how many rows of one match. RC_DECLINED: there is none. */
enum rc advise_json(struct sqlconn *c, struct span sent, const struct advise_scan *s, const struct advise_table *t, struct advise_json *out,
		    struct advise_sample *sample) must_check;

/* The first such term of a condition of a plan: its column, path and form alone. False: there is none. */
bool advise_json_find(struct span condition, struct span table, struct advise_json *out) must_check;
/* Appends the expression, without a table's name. */
enum rc advise_json_put(const struct advise_json *j, struct iobuf *out) must_check;

/* ---- advise_json_fix.c ---- */

/* Is the path one of the statement's own literals, and is what it is compared with bound later? RC_DECLINED: it is not. */
enum rc advise_json_place(struct span sent, struct advise_json *j) must_check;
/* Appends what to do about it, without any literal; the ALTER TABLE; and the normalised statement as it has to be written then, where the
 * server does not see to that. */
enum rc advise_json_fix(struct span sent, const struct advise_table *t, const struct advise_json *j, struct iobuf *words, struct iobuf *sql,
			struct iobuf *statement) must_check;

#endif
