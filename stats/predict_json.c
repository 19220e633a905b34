/*
 * predict_json.c - predictions for people: beside a finding, and beside what came of the rule.
 */
#include <math.h>

#include "predict.h"
#include "predict_json.h"

#define HIT_NS (50 * 1000)  /* what an answer from the cache takes instead */
#define USUAL_TTL 3         /* a minute: it bounds only how long a write that bypasses suimon goes unseen */
#define ENOUGH_SHARE 0.9    /* of what the longest time to live would save */
#define READS_LEAST 100     /* in the sample; fewer say nothing */

bool predict_tells(const struct predict_sum *p)
{
	return p->reads >= READS_LEAST && p->read_ns > 0;
}

double predict_hit_ratio(const struct predict_sum *p, unsigned ttl)
{
	return (double)p->hits[ttl] / (double)p->reads;
}

double predict_saved_share(const struct predict_sum *p, unsigned ttl)
{
	double saved = (double)p->hit_ns[ttl] - (double)p->hits[ttl] * HIT_NS;

	return saved > 0 ? saved / (double)p->read_ns : 0;
}

unsigned predict_choose(const struct predict_sum *p)
{
	unsigned ttl = USUAL_TTL;

	while (ttl < PREDICT_TTLS - 1 &&
	       predict_saved_share(p, ttl) < ENOUGH_SHARE * predict_saved_share(p, PREDICT_TTLS - 1))
		ttl++;
	return ttl;
}

/* Between the times that were tried the ratio follows their logarithm well enough. */
static double ratio_at(const struct predict_sum *p, uint64_t ttl_ns)
{
	unsigned i = 0;
	double part;

	if (ttl_ns <= predict_ttl_ns[0])
		return predict_hit_ratio(p, 0) * (double)ttl_ns / (double)predict_ttl_ns[0];
	while (i < PREDICT_TTLS - 1 && predict_ttl_ns[i] < ttl_ns)
		i++;
	if (predict_ttl_ns[i] <= ttl_ns)
		return predict_hit_ratio(p, i);
	part = log((double)ttl_ns / (double)predict_ttl_ns[i - 1]) /
	       log((double)predict_ttl_ns[i] / (double)predict_ttl_ns[i - 1]);
	return predict_hit_ratio(p, i - 1) + part * (predict_hit_ratio(p, i) - predict_hit_ratio(p, i - 1));
}

void predict_put_evidence(const struct predict_sum *p, uint64_t total_ns, struct jsonw *w)
{
	jsonw_open(w, "prediction", '{');
	jsonw_uint(w, "sampled_reads", p->reads);
	jsonw_double(w, "invalidated_share", (double)p->invalidated / (double)p->reads);
	jsonw_uint(w, "keys", (uint64_t)p->keys);
	jsonw_uint(w, "bytes", (uint64_t)p->bytes);
	jsonw_open(w, "by_ttl", '[');
	for (unsigned i = 0; i < PREDICT_TTLS; i++) {
		jsonw_open(w, NULL, '{');
		jsonw_seconds(w, "ttl", predict_ttl_ns[i]);
		jsonw_double(w, "hit_ratio", predict_hit_ratio(p, i));
		jsonw_seconds(w, "time_saved", (uint64_t)(predict_saved_share(p, i) * (double)total_ns));
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
	jsonw_close(w, '}');
}

double predict_batch_rows(const struct stats *s, const struct view_row *r)
{
	uint64_t most = stats_get(&s->batch_rows);
	double rows = r->n[STATS_N_BATCHES] ? (double)r->n[STATS_N_QUEUEABLE] / (double)r->n[STATS_N_BATCHES] : 1;

	return most && rows > (double)most ? (double)most : rows;
}

/* ---- beside what came of it ---- */

static uint64_t ttl_of(const struct view *v, const struct view_row *r)
{
	uint64_t ttl = 0;

	for (uint32_t i = r->refs; i != VIEW_NONE && !ttl; i = v->ref[i].next)
		ttl = stats_get(&v->ref[i].row->ttl_ns);
	return ttl;
}

static void put_cached(const struct view *v, const struct view_row *r, struct jsonw *w)
{
	uint64_t hits = r->n[STATS_N_CACHE_HITS], misses = r->n[STATS_N_CACHE_MISSES], ttl = ttl_of(v, r);
	struct predict_sum p;

	if (hits + misses == 0 || ttl == 0 || !predict_get(v->stats, r->digest, &p) || !predict_tells(&p))
		return;
	jsonw_open(w, NULL, '{');
	jsonw_hex64(w, "digest", r->digest);
	jsonw_text(w, "text", r->main->text);
	jsonw_seconds(w, "ttl", ttl);
	jsonw_double(w, "predicted_hit_ratio", ratio_at(&p, ttl));
	jsonw_double(w, "hit_ratio", (double)hits / (double)(hits + misses));
	jsonw_uint(w, "reads", hits + misses);
	jsonw_close(w, '}');
}

static void put_queued(const struct view *v, const struct view_row *r, struct jsonw *w)
{
	if (!r->n[STATS_N_ROUTED + STATS_QUEUE] || !r->n[STATS_N_BATCHES])
		return;
	jsonw_open(w, NULL, '{');
	jsonw_hex64(w, "digest", r->digest);
	jsonw_text(w, "text", r->main->text);
	jsonw_double(w, "predicted_batch_rows", predict_batch_rows(v->stats, r));
	jsonw_uint(w, "queued", r->n[STATS_N_ROUTED + STATS_QUEUE]);
	jsonw_close(w, '}');
}

static enum rc put_all(struct stats *s, struct jsonw *w, void (*put)(const struct view *, const struct view_row *, struct jsonw *))
{
	struct view v;

	if (view_open(s, &v) != RC_OK)
		return RC_ERROR;
	jsonw_open(w, "predictions", '[');
	for (size_t i = 0; i < v.count; i++)
		put(&v, &v.row[i], w);
	jsonw_close(w, ']');
	view_close(&v);
	return RC_OK;
}

enum rc stats_put_cache_predictions(struct stats *s, struct jsonw *w)
{
	return put_all(s, w, put_cached);
}

enum rc stats_put_queue_predictions(struct stats *s, struct jsonw *w)
{
	return put_all(s, w, put_queued);
}
