/*
 * advice.h - what the index adviser has said of a digest, for the other files of this layer.
 */
#ifndef SUIMON_STATS_ADVICE_H
#define SUIMON_STATS_ADVICE_H

#include "core.h"

/* RC_DECLINED: nothing yet. RC_OK: a copy, for the caller to advice_reset. */
enum rc advice_copy(struct stats *s, uint64_t digest, struct stats_advice *out) must_check;
/* The adviser is to be asked about it, and has not been. */
struct view_row;
bool advice_awaited(struct stats *s, const struct view_row *r);
#define ADVICE_WITHHELD "?" /* a path that may not be told */
void advice_forget_values(struct stats_advice *a); /* the literals in it */
bool advice_adds_index(const struct stats_advice *a); /* its SQL does that */
void advice_reset(struct stats_advice *a); /* frees its strings */

#endif
