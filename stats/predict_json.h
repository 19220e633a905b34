/*
 * predict_json.h - what is made of predictions: for the findings, and beside what came of the rule.
 */
#ifndef SUIMON_STATS_PREDICT_JSON_H
#define SUIMON_STATS_PREDICT_JSON_H

#include "jsonw.h"
#include "predict.h"
#include "view.h"

bool predict_tells(const struct predict_sum *p); /* enough to say something */
/* ttl: which of predict_ttl_ns. Shares of all reads, and of the time they took; only where it tells. */
double predict_hit_ratio(const struct predict_sum *p, unsigned ttl);
double predict_saved_share(const struct predict_sum *p, unsigned ttl);
unsigned predict_choose(const struct predict_sum *p); /* a minute, or longer where that saves much more */
/* "prediction": {...} into an open object. total_ns: what the reads took in all. */
void predict_put_evidence(const struct predict_sum *p, uint64_t total_ns, struct jsonw *w);
/* How many rows of the digest the queue would have applied in one transaction, on average; at least 1. */
double predict_batch_rows(const struct stats *s, const struct view_row *r);

#endif
