/*
 * row.c - the numbers of one digest in one sink: adding an event, adding a row to another.
 */
#include "core.h"

#include "mem.h"

#define relaxed memory_order_relaxed
#define BATCH_TAKES_MOST_NS (100 * NS_PER_MS) /* the drain makes its batches smaller where they take longer */

struct stats_row *stats_row_new(struct stats_digest *d)
{
	struct stats_row *r = mem_zalloc(sizeof(*r));

	if (!r)
		return NULL;
	r->digest = d;
	stats_set(&r->min_ns, UINT64_MAX);
	hist_init_narrow(&r->hist);
	return r;
}

void stats_row_free(struct stats *s, struct stats_row *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < STATS_TAGS; i++)
		mem_free(atomic_load_explicit(&r->tag[i].text, relaxed));
	for (unsigned i = 0; i < STATS_SERVERS; i++)
		mem_free(atomic_load_explicit(&r->server[i].text, relaxed));
	hist_reset(&r->hist);
	if (r->digest)
		stats_registry_unref(s, r->digest);
	mem_free(r);
}

void stats_row_error(struct stats_row *r, uint32_t code, uint64_t n)
{
	for (unsigned i = 0; i < STATS_ERRORS; i++) {
		uint32_t have = atomic_load_explicit(&r->error[i].code, relaxed);

		if (have != 0 && have != code)
			continue;
		stats_add(&r->error[i].count, n);
		if (have == 0)
			atomic_store_explicit(&r->error[i].code, code, memory_order_release);
		return;
	}
}

/* The first few names have a count of their own; text is copied when it is new. */
void stats_row_name(struct stats_row_tag *tags, unsigned most, struct span text, uint64_t hash, uint64_t n)
{
	for (unsigned i = 0; i < most; i++) {
		struct stats_row_tag *tag = &tags[i];

		if (!atomic_load_explicit(&tag->text, relaxed)) {
			char *copy = mem_dup(text.p, text.len < STATS_TAG_MAX ? text.len : STATS_TAG_MAX);

			if (!copy)
				return;
			tag->hash = hash;
			atomic_store_explicit(&tag->text, copy, memory_order_release);
		} else if (tag->hash != hash) {
			continue;
		}
		stats_add(&tag->count, n);
		return;
	}
}

/* Most numbers of most statements are 0: a test is cheaper than a store. */
static void add_some(struct stats_row *r, enum stats_number which, uint64_t n)
{
	if (n)
		stats_add(&r->n[which], n);
}

static void add_times(struct stats_row *r, const struct stats_event *e)
{
	uint64_t end = e->start_ns + e->total_ns;

	stats_add(&r->n[STATS_N_TOTAL_NS], e->total_ns);
	add_some(r, STATS_N_WAIT_NS, e->wait_ns);
	add_some(r, STATS_N_SERVER_NS, e->server_ns);
	add_some(r, STATS_N_ANSWER_NS, e->answer_ns);
	if (e->total_ns < stats_get(&r->min_ns))
		stats_set(&r->min_ns, e->total_ns);
	if (e->total_ns > stats_get(&r->max_ns))
		stats_set(&r->max_ns, e->total_ns);
	if (stats_get(&r->first_ns) == 0)
		stats_set(&r->first_ns, e->start_ns);
	if (stats_before(stats_get(&r->last_ns), end) || stats_get(&r->last_ns) == 0)
		stats_set(&r->last_ns, end);
	hist_add(&r->hist, e->total_ns);
}

/*
 * Would it have been the first of a batch, whichever thread's? As the queue's drain does it: a batch waits for more from its
 * first row on; what comes while it is applied waits for that to end, and is the next one's. A batch takes at least what this
 * write takes alone, were it not held up. How many rows it may hold is for whoever reads.
 */
static bool new_batch(struct stats_digest *d, const struct stats_event *e, uint64_t wait_ns)
{
	uint64_t closes = stats_get(&d->batch_closes_ns),
		 applied = closes + (e->total_ns < BATCH_TAKES_MOST_NS ? e->total_ns : BATCH_TAKES_MOST_NS),
		 from = e->start_ns < applied ? applied : e->start_ns;

	return e->start_ns > closes &&
	       atomic_compare_exchange_strong_explicit(&d->batch_closes_ns, &closes, from + wait_ns, relaxed, relaxed);
}

/* Would a rule have helped? Only where none was at work. */
static void add_chances(struct stats_row *r, const struct stats_event *e, bool again, uint64_t batch_wait_ns)
{
	if (e->cacheable && e->cached == STATS_NOT_CACHEABLE) {
		stats_add(&r->n[STATS_N_CACHEABLE], 1);
		if (again) {
			stats_add(&r->n[STATS_N_REPEATS], 1);
			stats_add(&r->n[STATS_N_REPEATS_NS], e->total_ns);
		}
	}
	if (e->queueable && e->route == STATS_PRIMARY && !e->error) {
		stats_add(&r->n[STATS_N_QUEUEABLE], 1);
		if (r->digest && new_batch(r->digest, e, batch_wait_ns))
			stats_add(&r->n[STATS_N_BATCHES], 1);
	}
	if (e->cached != STATS_NOT_CACHEABLE && stats_get(&r->ttl_ns) != e->ttl_ns)
		stats_set(&r->ttl_ns, e->ttl_ns);
}

void stats_row_add(struct stats_row *r, const struct stats_event *e, bool slow, bool again, uint64_t batch_wait_ns)
{
	stats_add(&r->n[STATS_N_CALLS], 1);
	stats_add(&r->n[STATS_N_ROUTED + e->route], 1);
	add_times(r, e);
	add_some(r, STATS_N_ROWS_SENT, e->rows_sent);
	add_some(r, STATS_N_ROWS_AFFECTED, e->rows_affected);
	add_some(r, STATS_N_BYTES_IN, e->bytes_in);
	add_some(r, STATS_N_BYTES_OUT, e->bytes_out);
	add_some(r, STATS_N_CACHE_HITS, e->cached == STATS_HIT);
	add_some(r, STATS_N_CACHE_MISSES, e->cached == STATS_MISS);
	add_some(r, STATS_N_CACHE_REFUSED, e->cache_refused);
	add_some(r, STATS_N_RETRIES, e->retries);
	add_some(r, STATS_N_NO_INDEX, e->no_index);
	add_some(r, STATS_N_NO_GOOD_INDEX, e->no_good_index);
	add_some(r, STATS_N_SLOW, slow);
	add_some(r, STATS_N_WARNINGS, e->warnings);
	add_chances(r, e, again, batch_wait_ns);
	if (unlikely(e->error)) {
		stats_add(&r->n[STATS_N_ERRORS], 1);
		stats_row_error(r, e->error, 1);
	}
	if (!r->digest)
		return;
	if (e->tag_route.len)
		stats_row_name(r->tag, STATS_TAGS, e->tag_route, map_hash(e->tag_route.p, e->tag_route.len), 1);
	if (e->server.len)
		stats_row_name(r->server, STATS_SERVERS, e->server,
			       e->server_hash ? e->server_hash : map_hash(e->server.p, e->server.len), 1);
}

/* Into "other", which has no names. */
static void fold_errors(struct stats_row *into, const struct stats_row *from)
{
	for (unsigned i = 0; i < STATS_ERRORS; i++) {
		uint32_t code = atomic_load_explicit(&from->error[i].code, memory_order_acquire);

		if (code)
			stats_row_error(into, code, stats_get(&from->error[i].count));
	}
}

enum rc stats_row_fold(struct stats_row *into, const struct stats_row *from)
{
	uint64_t first = stats_get(&from->first_ns), have = stats_get(&into->first_ns), last = stats_get(&from->last_ns);

	for (unsigned i = 0; i < STATS_NUMBERS; i++)
		add_some(into, i, stats_get(&from->n[i]));
	if (stats_get(&from->min_ns) < stats_get(&into->min_ns))
		stats_set(&into->min_ns, stats_get(&from->min_ns));
	if (stats_get(&from->max_ns) > stats_get(&into->max_ns))
		stats_set(&into->max_ns, stats_get(&from->max_ns));
	if (first && (have == 0 || stats_before(first, have)))
		stats_set(&into->first_ns, first);
	if (last && (stats_get(&into->last_ns) == 0 || stats_before(stats_get(&into->last_ns), last)))
		stats_set(&into->last_ns, last);
	fold_errors(into, from);
	return hist_merge(&into->hist, &from->hist);
}

static void fold_names(struct stats_row_tag *into, const struct stats_row_tag *from, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		const char *text = atomic_load_explicit(&from[i].text, memory_order_acquire);

		if (text)
			stats_row_name(into, most, span_str(text), map_hash(text, strlen(text)), stats_get(&from[i].count));
	}
}

void stats_row_fold_names(struct stats_row *into, const struct stats_row *from)
{
	fold_names(into->tag, from->tag, STATS_TAGS);
	fold_names(into->server, from->server, STATS_SERVERS);
}
