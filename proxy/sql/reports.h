/*
 * reports.h - a client's choice of what its server reports: SET .. session_track_system_variables = .., among other assignments.
 */
#ifndef SUIMON_REPORTS_H
#define SUIMON_REPORTS_H

#include <stdbool.h>

#include "rc.h"
#include "span.h"

#define SQL_REPORTS "session_track_system_variables"

/* All of it points into the text. */
struct sql_reports {
	struct span before, value, behind; /* the assignments before it, without their last comma; what is assigned; all from there on */
	struct span names;                 /* of variables, with commas, as written; or * */
	bool to_default;                   /* names, if any, come on top of the server's global value */
};

/* RC_DECLINED: anything else; among it several statements, and values other than DEFAULT, names, and CONCAT(@@global.<it>, names). */
enum rc sql_set_reports(struct span text, unsigned mode, struct sql_reports *out) must_check;

#endif
