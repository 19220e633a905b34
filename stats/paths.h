/*
 * paths.h - whether a digest's JSON paths stay the same, for the other files of this layer.
 */
#ifndef SUIMON_STATS_PATHS_H
#define SUIMON_STATS_PATHS_H

#include "core.h"

#define PATHS_VARY UINT64_MAX

/* May the normalised text hold one? */
bool paths_in(const char *text);
/* One more statement of the digest; any thread. */
void paths_note(struct stats_digest *d, struct span text);
/* What two records of a digest have seen: a hash, 0 or PATHS_VARY, as they do. */
uint64_t paths_together(uint64_t a, uint64_t b);

#endif
