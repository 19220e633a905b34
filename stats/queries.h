/*
 * queries.h - pieces of the query API's JSON that the findings share.
 */
#ifndef SUIMON_STATS_QUERIES_H
#define SUIMON_STATS_QUERIES_H

#include "jsonw.h"
#include "view.h"

/* The fields of one digest, into an object already open. */
enum rc queries_put(const struct view *v, const struct view_row *r, struct jsonw *w) must_check;

/* query_parts.c: into an object already open */
void query_names_put(const struct view *v, const struct view_row *r, struct jsonw *w);    /* users ... servers */
void query_errors_put(const struct view *v, const struct view_row *r, struct jsonw *w);   /* errors_by_code */
void query_accounts_put(const struct view *v, const struct view_row *r, struct jsonw *w); /* by schema and user */

#endif
