/*
 * listed.h - what the lists that a worker's sessions have read last hold, so that a loop over their rows can be told from reads
 * that only come after them: the values of its statements are the list's (the statistics' strongest evidence of an N+1).
 *
 * The beginning of a reply is copied into one of a few slots while it passes; its values are looked at only when the same read
 * is repeated after it. A slot goes to another session's list when its turn comes: then nothing is known.
 */
#ifndef SUIMON_LISTED_H
#define SUIMON_LISTED_H

#include "span.h"
#include "stats.h"

#ifdef STATISTICS_COMPILED_OUT /* for tests/bench/stats alone */
#define COUNTED false
#else
#define COUNTED true
#endif

struct listed;
struct request;

struct listed *listed_new(void) must_check;
void listed_free(struct listed *l);

void listed_take(struct request *r, const void *p, size_t len); /* bytes of its reply, as the client gets them */
void listed_end(struct request *r);                             /* its reply is complete: keeps it if it is a list */
/* For stats_event. */
void listed_values(const struct stats_event *e, struct stats_values *out);
struct stats_list listed_in(const struct stats_event *e, const struct stats_list *first, const struct stats_values *sought);

#endif
