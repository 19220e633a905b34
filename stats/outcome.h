/*
 * outcome.h - does the application need what becomes of an insert at once? For the other files of this layer.
 */
#ifndef SUIMON_STATS_OUTCOME_H
#define SUIMON_STATS_OUTCOME_H

#include "core.h"

/* Counts STATS_N_ASKED for those inserts of the session that this statement shows to be needed, and remembers it if it is one. */
void outcome_note(struct stats_table *t, struct stats_nplus1 *n, const struct stats_event *e);

#endif
