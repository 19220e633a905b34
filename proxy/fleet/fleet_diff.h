/*
 * fleet_diff.h - two texts line by line, as `diff` shows them: "-" what goes, "+" what comes, "@" where.
 */
#ifndef SUIMON_FLEET_DIFF_H
#define SUIMON_FLEET_DIFF_H

#include "iobuf.h"
#include "span.h"

/* Appends to out; nothing where they are equal. Control characters are shown as ?. RC_ERROR: memory or out's bound. */
enum rc fleet_diff(struct span old, struct span new, struct iobuf *out) must_check;

#endif
