/*
 * costs.h - time by service, route, account and host, for the other files of this layer.
 */
#ifndef SUIMON_STATS_COSTS_H
#define SUIMON_STATS_COSTS_H

#include "core.h"

void stats_costs_add(struct stats_table *t, const struct stats_event *e); /* the sink's thread */
void stats_costs_free(struct stats_table *t);

#endif
