/*
 * examined.h - how many rows the servers examine for each digest, by their own count.
 */
#ifndef SUIMON_EXAMINED_H
#define SUIMON_EXAMINED_H

#include "stats.h"

/* Rows a call of this normalised statement in this schema, in thousandths. False: not known. */
typedef bool (*stats_examined_fn)(void *arg, struct span schema, struct span text, uint64_t *thousandths);
/* Asks for each digest whose text is whole, and keeps the answer for as long as the digest. Any thread. */
void stats_take_examined(struct stats *s, stats_examined_fn fn, void *arg);

#endif
