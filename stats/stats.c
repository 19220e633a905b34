/*
 * stats.c - making and ending it all, sinks, and the rule by which readers and writers share rows (see core.h).
 */
#include "stats.h"

#include <stdio.h>

#include "advice.h"
#include "core.h"
#include "mem.h"
#include "predict.h"
#include "slowlog.h"
#include "snapshot.h"

#define DIGESTS_LEAST 16
#define DIGESTS_MOST 1000000

static uint32_t digests_of(const struct stats_options *opt)
{
	if (opt->digests < DIGESTS_LEAST)
		return DIGESTS_LEAST;
	return opt->digests > DIGESTS_MOST ? DIGESTS_MOST : (uint32_t)opt->digests;
}

static void options_take(struct stats *s, const struct stats_options *opt)
{
	stats_set(&s->slow_ns, opt->slow_ns);
	stats_set(&s->nplus1_repeats, opt->nplus1_repeats);
	stats_set(&s->nplus1_window_ns, opt->nplus1_window_ns);
	stats_set(&s->cost_millionths, (uint64_t)(opt->cost_per_hour * 1e6));
	stats_set(&s->batch_wait_ns, opt->batch_wait_ns);
	stats_set(&s->batch_rows, opt->batch_rows);
	atomic_store(&s->samples, opt->samples);
	atomic_store(&s->explain, opt->explain);
}

struct stats *stats_new(const struct stats_options *opt)
{
	struct stats *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	for (unsigned i = 0; i < STATS_TRACE_LOCKS; i++)
		s->trace_lock[i] = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	if (stats_registry_init(s, digests_of(opt)) != RC_OK || pthread_mutex_init(&s->lock, NULL) != 0) {
		stats_registry_free(s);
		mem_free(s);
		return NULL;
	}
	s->mono_ns = clock_mono_ns();
	s->wall_us = s->since_us = clock_wall_us();
	options_take(s, opt);
	s->spell = opt->spell;
	return s;
}

void stats_reconfigure(struct stats *s, const struct stats_options *opt)
{
	bool had = atomic_load(&s->samples);

	options_take(s, opt);
	if (opt->samples)
		return;
	stats_sample_forget(s);
	if (had)
		snapshot_soon(s->snapshot);
}

enum rc stats_slow_log(struct stats *s, const char *path, char *err, size_t cap)
{
	struct slowlog *l = atomic_load(&s->slowlog);
	struct stats_sink *counts;

	if (!l && !*path)
		return RC_OK;
	if (!l) {
		counts = stats_sink_new(s, false);
		l = counts ? slowlog_new(counts) : NULL;
		if (!l) {
			(void)snprintf(err, cap, "stats.slow_log: out of memory");
			return RC_ERROR;
		}
		atomic_store(&s->slowlog, l);
	}
	return slowlog_open(l, path, SLOWLOG_MAX, err, cap);
}

void stats_free(struct stats *s)
{
	if (!s)
		return;
	snapshot_free(s->snapshot);
	slowlog_free(atomic_load(&s->slowlog));
	for (struct stats_sink *k = atomic_load(&s->sinks), *next; k; k = next) {
		next = k->next;
		stats_table_free(k->table);
		mem_free(k);
	}
	stats_registry_free(s);
	predict_free(s);
	for (uint32_t i = 0; i < s->nadvice; i++)
		advice_reset(&s->advice[i]);
	for (unsigned i = 0; i < STATS_TRACE_LOCKS; i++)
		pthread_mutex_destroy(&s->trace_lock[i]);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

struct stats_sink *stats_sink_new(struct stats *s, bool statements)
{
	struct stats_sink *k = mem_zalloc(sizeof(*k));

	if (!k)
		return NULL;
	k->stats = s;
	if (statements) {
		k->table = stats_table_new(k, s->registry.cap);
		if (!k->table) {
			mem_free(k);
			return NULL;
		}
	}
	k->next = atomic_load(&s->sinks);
	while (!atomic_compare_exchange_weak(&s->sinks, &k->next, k))
		;
	return k;
}

uint64_t stats_sum(struct stats *s, enum stats_counter c)
{
	uint64_t sum = 0;

	for (struct stats_sink *k = atomic_load(&s->sinks); k; k = k->next)
		sum += stats_get(&k->counter[c]);
	return sum;
}

void stats_enter(struct stats *s)
{
	atomic_fetch_add(&s->readers, 1);
}

void stats_leave(struct stats *s)
{
	atomic_fetch_sub(&s->readers, 1);
}

uint64_t stats_wall_us(const struct stats *s, uint64_t mono_ns)
{
	int64_t since = (int64_t)(mono_ns - s->mono_ns) / 1000;

	return s->wall_us + (uint64_t)since;
}

uint64_t stats_mono_ns(const struct stats *s, uint64_t wall_us)
{
	uint64_t now = clock_wall_us(), at;

	at = s->mono_ns + ((wall_us < now ? wall_us : now) - s->wall_us) * 1000;
	return at ? at : 1;
}

void stats_limbo_empty(struct stats_table *t)
{
	if (!t->limbo || atomic_load(&t->stats->readers) != 0)
		return;
	for (struct stats_limbo *l = t->limbo, *next; l; l = next) {
		next = l->next;
		l->drop(t->stats, l);
	}
	t->limbo = NULL;
	t->nlimbo = 0;
}

void stats_limbo_put(struct stats_table *t, struct stats_limbo *l)
{
	l->next = t->limbo;
	t->limbo = l;
	t->nlimbo++;
	stats_limbo_empty(t);
}
