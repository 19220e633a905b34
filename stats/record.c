/*
 * record.c - one finished statement: the sink's counters, its row, what was remembered of recent reads, loops.
 */
#include "core.h"
#include "costs.h"
#include "locks.h"
#include "outcome.h"
#include "paths.h"
#include "predict.h"
#include "slowlog.h"

uint64_t stats_key(uint64_t digest, struct span schema, struct span user)
{
	uint64_t key[3] = {digest, map_hash(schema.p, schema.len), map_hash(user.p, user.len)}, hash;

	hash = map_hash(key, sizeof(key));
	return hash ? hash : 1;
}

/* The same statement with the same literals within a minute, from any session of this sink? */
static bool seen_again(struct stats_table *t, uint64_t hash, const struct stats_event *e)
{
	struct stats_recent *slot;
	uint64_t mark;
	bool again;

	if (!e->cacheable || e->cached != STATS_NOT_CACHEABLE)
		return false;
	mark = stats_mix(hash, e->literals);
	slot = &t->recent[mark & (STATS_RECENT - 1)];
	again = slot->key == mark && e->start_ns - slot->at_ns < STATS_RECENT_NS;
	if (!again)
		*slot = (struct stats_recent){mark, e->start_ns};
	return again;
}

/* A slot of the history is taken over when its second comes; a reader believes it only if the second is right. */
static void second_add(struct stats_table *t, const struct stats_event *e)
{
	uint64_t now = (e->start_ns + e->total_ns) / NS_PER_SEC;
	struct stats_second *sec = &t->second[now & (STATS_SECONDS - 1)];

	if (unlikely(stats_get(&sec->second) != now)) {
		for (unsigned i = 0; i < STATS_ROUTES; i++)
			atomic_store_explicit(&sec->count[i], 0, memory_order_relaxed);
		atomic_store_explicit(&sec->errors, 0, memory_order_relaxed);
		stats_set(&sec->total_ns, 0);
		stats_set(&sec->second, now);
	}
	atomic_store_explicit(&sec->count[e->route],
			      atomic_load_explicit(&sec->count[e->route], memory_order_relaxed) + 1,
			      memory_order_relaxed);
	if (unlikely(e->error))
		atomic_store_explicit(&sec->errors, atomic_load_explicit(&sec->errors, memory_order_relaxed) + 1,
				      memory_order_relaxed);
	stats_add(&sec->total_ns, e->total_ns);
}

static void count_event(struct stats_sink *k, const struct stats_event *e, bool slow)
{
	stats_count(k, STATS_C_QUERIES_PRIMARY + e->route, 1);
	stats_count(k, STATS_C_TIME_TOTAL, e->total_ns);
	stats_count(k, STATS_C_TIME_WAIT, e->wait_ns);
	stats_count(k, STATS_C_TIME_SERVER, e->server_ns);
	stats_count(k, STATS_C_ROWS_SENT, e->rows_sent);
	stats_count(k, STATS_C_ROWS_AFFECTED, e->rows_affected);
	if (e->warnings)
		stats_count(k, STATS_C_WARNINGS, e->warnings);
	if (e->error)
		stats_count(k, STATS_C_ERRORS, 1);
	if (unlikely(e->lock))
		stats_count(k, e->lock == STATS_LOCK_DEADLOCK ? STATS_C_DEADLOCKS : STATS_C_LOCK_TIMEOUTS, 1);
	if (slow)
		stats_count(k, STATS_C_SLOW_QUERIES, 1);
	if (e->no_index || e->no_good_index)
		stats_count(k, STATS_C_NO_INDEX_QUERIES, 1);
}

static void log_slow(struct stats_sink *k, const struct stats_event *e)
{
	struct slowlog *l = atomic_load(&k->stats->slowlog);

	if (l)
		slowlog_add(l, k, e, atomic_load(&k->stats->samples), clock_wall_us() - e->total_ns / 1000);
}

void stats_record(struct stats_sink *k, struct stats_nplus1 *n, const struct stats_event *e)
{
	struct stats *s = k->stats;
	struct stats_table *t = k->table;
	bool slow = e->slow_flag || e->total_ns > stats_get(&s->slow_ns);
	struct stats_row *r;
	uint64_t hash;

	count_event(k, e, slow);
	if (unlikely(e->total_ns > stats_get(&s->slow_ns)))
		log_slow(k, e);
	if (!t)
		return;
	hash = e->key ? e->key : stats_key(e->digest, e->schema, e->user);
	r = stats_table_row(t, hash, e);
	stats_row_add(r, e, slow, seen_again(t, hash, e), e->queueable ? stats_get(&s->batch_wait_ns) : 0);
	if (e->cacheable && e->cached == STATS_NOT_CACHEABLE)
		predict_note(s, r, hash, e);
	hist_add(&t->route[e->route], e->total_ns);
	second_add(t, e);
	stats_costs_add(t, n, e);
	if (unlikely(e->lock))
		locks_failed(s, e);
	if (r->digest) {
		if (unlikely(atomic_load_explicit(&r->digest->hidden, memory_order_relaxed)))
			stats_registry_learn(s, r->digest, e);
		if (unlikely(atomic_load_explicit(&r->digest->looks_inside, memory_order_relaxed)))
			paths_note(r->digest, e->text);
		stats_sample_offer(s, r->digest, e);
	}
	if (n) {
		outcome_note(t, n, e);
		stats_nplus1_note(k, n, e);
	}
}
