/*
 * predict.h - what a cache rule would be worth, before there is one: for each digest that could be cached a ghost, a cache of
 * keys without values.
 *
 *   stats_record ── predict_note ── is its digest's ghost there, its key among those sampled? ── hit or miss, for each time to live
 *
 * Sampled in space: a key is looked at always or never, by its hash, so that what is seen of it is its whole history; the share
 * of keys falls by half whenever PREDICT_KEYS of them are there (Waldspurger et al., "Efficient MRC Construction with SHARDS",
 * FAST 2015). An entry holds the versions of all its result depends on, as the cache's own do, so writes end it exactly as
 * they would there. What is not taken into account is the cache's size; how many bytes it would hold is told instead.
 *
 * All sinks share the ghosts. A statement never waits for one: where another thread is at it, it is left out.
 *
 * Memory: PREDICT_DIGESTS x 2 PREDICT_KEYS x 96 bytes at most, 6 MiB, made as they are needed.
 */
#ifndef SUIMON_STATS_PREDICT_H
#define SUIMON_STATS_PREDICT_H

#include "core.h"

#define PREDICT_TTLS 6

/* What a digest's ghost has seen; amounts are of the sample, weighed so that shares of them are right. */
struct predict_sum {
	uint64_t reads, read_ns;    /* looked up */
	uint64_t hits[PREDICT_TTLS], hit_ns[PREDICT_TTLS];
	uint64_t invalidated;       /* would have been there, but for a write */
	double keys, bytes;         /* all of them there now, not only those sampled */
};

extern const uint64_t predict_ttl_ns[PREDICT_TTLS];

/* The sink's thread. r, hash: the event's row and what names it. */
void predict_note(struct stats *s, const struct stats_row *r, uint64_t hash, const struct stats_event *e);
/* False: nothing is known of it. Any thread. */
bool predict_get(struct stats *s, uint64_t digest, struct predict_sum *out);
/* Of an earlier life; what this one knows already goes before it. keys and bytes are not taken. Any thread. */
void predict_put(struct stats *s, uint64_t digest, const struct predict_sum *sum);
/* Calls fn for each digest of which something is known. */
void predict_each(struct stats *s, void (*fn)(void *arg, uint64_t digest, const struct predict_sum *sum), void *arg);
void predict_free(struct stats *s);

#endif
