/*
 * hist.h - a latency histogram: log-linear, 32 steps an octave, so a percentile is off by at most 1/64 (1.6 %).
 *
 * Single writer, any number of readers: buckets are relaxed atomics. Octaves are allocated when first hit. Buckets are of 64 bits, or
 * of 32 where there are many histograms: when one of these is full, all are halved: what comes later weighs more.
 * Source of the shape: Tene, HdrHistogram.
 */
#ifndef SUIMON_HIST_H
#define SUIMON_HIST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rc.h"

#define HIST_STEPS 32   /* buckets an octave */
#define HIST_OCTAVES 36 /* the first is 0 to 63 ns, the last ends at 2^41 ns (36 minutes); above saturates */
#define HIST_BUCKETS (HIST_OCTAVES * HIST_STEPS)

struct hist {
	_Atomic(void *) octave[HIST_OCTAVES]; /* owned: HIST_STEPS buckets; NULL until hit */
	bool narrow;                          /* they are of 32 bits; immutable */
	_Atomic uint64_t count;
	_Atomic uint64_t sum_ns;
	_Atomic uint64_t max_ns;
};

void hist_init(struct hist *h);
void hist_init_narrow(struct hist *h); /* of half the size */
void hist_reset(struct hist *h);            /* frees; only when no reader can hold it */
void hist_add(struct hist *h, uint64_t ns); /* out of memory: counted in count, sum and max only */
enum rc hist_merge(struct hist *into, const struct hist *from) must_check; /* from may be written to meanwhile */
/* What `now` has counted since it was `before`, into an empty one; its max is that of all time. */
enum rc hist_difference(struct hist *out, const struct hist *now, const struct hist *before) must_check;
uint64_t hist_quantile(const struct hist *h, double q);                    /* q in 0..1; nanoseconds; 0 when empty */
/* Cumulative counts at or below each bound (ascending, ns): for Prometheus buckets. */
void hist_cumulative(const struct hist *h, const uint64_t *bounds, size_t n, uint64_t *out);

/* To keep one elsewhere and bring it back: what bucket `at` (below HIST_BUCKETS) has counted, and n more of it. count, sum
 * and max are the caller's to set. */
uint64_t hist_bucket(const struct hist *h, unsigned at);
enum rc hist_bucket_add(struct hist *h, unsigned at, uint64_t n) must_check;

#endif
