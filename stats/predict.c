/*
 * predict.c - ghosts: see predict.h.
 */
#include "predict.h"

#include <sched.h>

#include "mem.h"

#define KEYS STATS_PREDICT_KEYS
#define SLOTS (2 * KEYS)
#define CALLS_LEAST 32        /* of a digest, before it gets a ghost */
#define FORGET_TICKS (3600ULL * NS_PER_SEC >> TICK_SHIFT)
#define TICK_SHIFT 24         /* of 17 ms: what an entry's age is counted in */
#define WEIGHT_MOST (1u << 20) /* reads; then all is halved, so that what is told follows what happens */

const uint64_t predict_ttl_ns[PREDICT_TTLS] = {NS_PER_SEC,      5 * NS_PER_SEC,   15 * NS_PER_SEC,
					       60 * NS_PER_SEC, 300 * NS_PER_SEC, 3600 * NS_PER_SEC};

struct predict_key {
	uint64_t mark;                 /* 0: free */
	uint64_t version;              /* of what it depends on, when it was filled */
	uint32_t filled[PREDICT_TTLS]; /* ticks; one for each time to live */
	uint32_t bytes, ndeps;
	uint64_t deps[STATS_DEPENDS];
};

struct predict_ghost {
	_Atomic bool busy;
	/* whoever has set busy: */
	_Atomic uint64_t digest; /* 0: free; read by all */
	uint64_t worth;    /* time spent on the digest by the sink that used it last */
	uint64_t share;    /* keys whose hash is below it are sampled; UINT32_MAX + 1: all */
	unsigned nkeys;
	struct predict_sum sum;
	struct predict_key key[SLOTS];
};

static bool take(struct predict_ghost *g)
{
	return !atomic_exchange_explicit(&g->busy, true, memory_order_acquire);
}

static void give(struct predict_ghost *g)
{
	atomic_store_explicit(&g->busy, false, memory_order_release);
}

/* For a reader: nobody keeps it for longer than it takes to thin it out. */
static void take_patiently(struct predict_ghost *g)
{
	while (!take(g))
		sched_yield();
}

/* ---- keys ---- */

/* How many there are in all, where so many are sampled. */
static double scaled(const struct predict_ghost *g, double n)
{
	return n * ((double)UINT32_MAX + 1) / (double)g->share;
}

static uint32_t tick_of(uint64_t ns)
{
	uint32_t tick = (uint32_t)(ns >> TICK_SHIFT);

	return tick ? tick : 1;
}

static struct predict_key *slot_of(struct predict_ghost *g, uint64_t mark)
{
	unsigned at = mark & (SLOTS - 1);

	while (g->key[at].mark && g->key[at].mark != mark)
		at = (at + 1) & (SLOTS - 1);
	return &g->key[at];
}

static bool sampled(const struct predict_ghost *g, uint64_t mark)
{
	return mark >> 32 < g->share;
}

static bool forgotten(const struct predict_key *k, uint32_t now)
{
	return now - k->filled[PREDICT_TTLS - 1] > FORGET_TICKS;
}

static void halve(struct predict_sum *s)
{
	s->reads /= 2;
	s->read_ns /= 2;
	s->invalidated /= 2;
	for (unsigned i = 0; i < PREDICT_TTLS; i++) {
		s->hits[i] /= 2;
		s->hit_ns[i] /= 2;
	}
}

static bool stays(const struct predict_ghost *g, const struct predict_key *k, uint32_t now)
{
	return k->mark && sampled(g, k->mark) && !forgotten(k, now);
}

static unsigned staying(const struct predict_ghost *g, uint32_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		n += stays(g, &g->key[i], now);
	return n;
}

/* Keeps n keys: those that stay. Without memory none. */
static void sift(struct predict_ghost *g, uint32_t now, unsigned n)
{
	struct predict_key *kept = n ? mem_alloc(n * sizeof(*kept)) : NULL;

	g->nkeys = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		struct predict_key *k = &g->key[i];

		if (kept && stays(g, k, now))
			kept[g->nkeys++] = *k;
		k->mark = 0;
		k->ndeps = 0;
	}
	for (unsigned i = 0; i < g->nkeys; i++)
		*slot_of(g, kept[i].mark) = kept[i];
	mem_free(kept);
}

/* Full: old keys go, then every other. What was counted weighs as if it had been sampled like that from the beginning. */
static void make_room(struct predict_ghost *g, uint32_t now)
{
	unsigned n = staying(g, now);

	while (n > KEYS / 4 * 3 && g->share > 1) {
		g->share /= 2;
		halve(&g->sum);
		n = staying(g, now);
	}
	sift(g, now, n);
}

/* ---- a read ---- */

/* Would its answer have been stored? */
static bool stored(const struct stats_event *e)
{
	return !e->error && !e->warnings && !e->too_large;
}

static bool fill(struct predict_key *k, const struct stats_event *e)
{
	k->ndeps = e->depends(e, k->deps, STATS_DEPENDS);
	k->version = k->ndeps ? e->version(e, k->deps, k->ndeps) : 0;
	k->bytes = (uint32_t)(e->bytes_out < UINT32_MAX ? e->bytes_out : UINT32_MAX);
	return k->ndeps > 0;
}

static void look_up(struct predict_ghost *g, struct predict_key *k, const struct stats_event *e, uint32_t now)
{
	bool was = k->ndeps > 0, current = was && k->version == e->version(e, k->deps, k->ndeps);

	if (!stored(e))
		k->ndeps = 0;
	else if (!current && !fill(k, e))
		return; /* what it depends on is not known, or too much */
	g->sum.reads++;
	g->sum.read_ns += e->total_ns;
	if (was && !current && now - k->filled[PREDICT_TTLS - 1] < predict_ttl_ns[PREDICT_TTLS - 1] >> TICK_SHIFT)
		g->sum.invalidated++;
	for (unsigned i = 0; i < PREDICT_TTLS; i++) {
		if (current && now - k->filled[i] < predict_ttl_ns[i] >> TICK_SHIFT) {
			g->sum.hits[i]++;
			g->sum.hit_ns[i] += e->total_ns;
		} else {
			k->filled[i] = now;
		}
	}
	if (g->sum.reads >= WEIGHT_MOST)
		halve(&g->sum);
}

static void note(struct predict_ghost *g, uint64_t mark, const struct stats_event *e)
{
	uint32_t now = tick_of(e->start_ns + e->total_ns);
	struct predict_key *k = slot_of(g, mark);

	if (!k->mark && g->nkeys == KEYS) {
		make_room(g, now);
		if (!sampled(g, mark) || g->nkeys == KEYS)
			return;
		k = slot_of(g, mark);
	}
	if (!k->mark) {
		*k = (struct predict_key){.mark = mark};
		g->nkeys++;
	}
	look_up(g, k, e, now);
}

/* ---- whose ghost ---- */

static void begin(struct predict_ghost *g, uint64_t digest)
{
	memset(g->key, 0, sizeof(g->key));
	g->sum = (struct predict_sum){0};
	g->nkeys = 0;
	g->share = (uint64_t)UINT32_MAX + 1;
	g->worth = 0;
	atomic_store_explicit(&g->digest, digest, memory_order_relaxed);
}

static uint64_t whose(const struct predict_ghost *g)
{
	return atomic_load_explicit(&g->digest, memory_order_relaxed);
}

static struct predict_ghost *made_at(struct stats *s, unsigned at)
{
	struct predict_ghost *g = mem_zalloc(sizeof(*g)), *there = NULL;

	if (g && !atomic_compare_exchange_strong(&s->ghost[at], &there, g)) {
		mem_free(g);
		g = there;
	}
	return g;
}

/* A digest may have its ghost in one of two places; it gets that of one that has spent less. Nobody else's is freed. */
static unsigned place(uint64_t digest, unsigned which)
{
	return (digest >> (which ? 40 : 20)) & (STATS_GHOSTS - 1);
}

static struct predict_ghost *find(struct stats *s, uint64_t digest)
{
	for (unsigned which = 0; which < 2; which++) {
		struct predict_ghost *g = atomic_load_explicit(&s->ghost[place(digest, which)], memory_order_acquire);

		if (g && whose(g) == digest)
			return g;
	}
	return NULL;
}

/* Taken, for the caller to give back; NULL: none. r: it is worth one. */
static struct predict_ghost *admit(struct stats *s, uint64_t digest, const struct stats_row *r)
{
	for (unsigned which = 0; which < 2; which++) {
		unsigned at = place(digest, which);
		struct predict_ghost *g = atomic_load_explicit(&s->ghost[at], memory_order_acquire);

		if (!g)
			g = made_at(s, at);
		if (!g || !take(g))
			continue;
		if (whose(g) == digest)
			return g;
		if (!whose(g) || g->worth < stats_get(&r->n[STATS_N_TOTAL_NS]) / 2) {
			begin(g, digest);
			return g;
		}
		give(g);
	}
	return NULL;
}

void predict_note(struct stats *s, const struct stats_row *r, uint64_t hash, const struct stats_event *e)
{
	struct predict_ghost *g;
	uint64_t mark;

	if (!e->alone || !e->depends || !r->digest || e->route > STATS_REPLICA)
		return;
	g = find(s, e->digest);
	if (!g) {
		if (stats_get(&r->n[STATS_N_CACHEABLE]) < CALLS_LEAST)
			return;
		g = admit(s, e->digest, r);
	} else if (!take(g)) {
		return;
	}
	if (!g)
		return;
	mark = stats_mix(stats_mix(hash, e->literals), e->state);
	if (whose(g) == e->digest && sampled(g, mark)) {
		g->worth = stats_get(&r->n[STATS_N_TOTAL_NS]);
		note(g, mark ? mark : 1, e);
	}
	give(g);
}

/* ---- reading ---- */

/* Taken. */
static void sum_up(const struct predict_ghost *g, struct predict_sum *out)
{
	uint64_t bytes = 0;

	*out = g->sum;
	for (unsigned i = 0; i < SLOTS; i++)
		bytes += g->key[i].ndeps ? g->key[i].bytes : 0;
	out->keys = scaled(g, g->nkeys);
	out->bytes = scaled(g, (double)bytes);
}

void predict_each(struct stats *s, void (*fn)(void *arg, uint64_t digest, const struct predict_sum *sum), void *arg)
{
	for (unsigned i = 0; i < STATS_GHOSTS; i++) {
		struct predict_ghost *g = atomic_load_explicit(&s->ghost[i], memory_order_acquire);
		struct predict_sum sum;
		uint64_t digest;

		if (!g)
			continue;
		take_patiently(g);
		digest = whose(g);
		sum_up(g, &sum);
		give(g);
		if (digest && sum.reads)
			fn(arg, digest, &sum);
	}
}

bool predict_get(struct stats *s, uint64_t digest, struct predict_sum *out)
{
	struct predict_ghost *g = find(s, digest);
	bool known = false;

	if (!g)
		return false;
	take_patiently(g);
	if (whose(g) == digest) {
		sum_up(g, out);
		known = out->reads > 0;
	}
	give(g);
	return known;
}

void predict_put(struct stats *s, uint64_t digest, const struct predict_sum *sum)
{
	bool given = find(s, digest) != NULL;

	for (unsigned which = 0; which < 2 && digest && !given; which++) {
		unsigned at = place(digest, which);
		struct predict_ghost *g = atomic_load(&s->ghost[at]);

		if (!g)
			g = made_at(s, at);
		if (!g)
			continue;
		take_patiently(g);
		if (!whose(g)) {
			begin(g, digest);
			g->sum = *sum;
			g->worth = sum->read_ns;
		}
		given = whose(g) == digest;
		give(g);
	}
}

void predict_free(struct stats *s)
{
	for (unsigned i = 0; i < STATS_GHOSTS; i++)
		mem_free(atomic_load(&s->ghost[i]));
}
