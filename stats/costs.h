/*
 * costs.h - time by service, route, account and host, for the other files of this layer.
 */
#ifndef SUIMON_STATS_COSTS_H
#define SUIMON_STATS_COSTS_H

#include "core.h"

/* n: the session's, or NULL. The sink's thread. */
void stats_costs_add(struct stats_table *t, struct stats_nplus1 *n, const struct stats_event *e);
/* n: what an entry of these names has counted elsewhere. The sink's thread, or before it runs. */
void stats_costs_put(struct stats_table *t, const struct stats_event *names, const uint64_t n[STATS_SPENT_NUMBERS]);
void stats_costs_free(struct stats_table *t);

#endif
