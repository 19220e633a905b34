/*
 * hist.c - octave 0 holds 0 to 63 ns in steps of 2 ns; octave k holds 2^(k+5) to 2^(k+6) - 1 ns in steps of 2^k ns:
 * a step is at most 1/32 of any value in it, so its midpoint is off by at most 1/64 (and by 1 ns in octave 0).
 */
#include "hist.h"

#include "mem.h"

#define relaxed memory_order_relaxed

struct place {
	unsigned octave, step;
};

static struct place place_of(uint64_t ns)
{
	unsigned top;

	if (ns < 2 * HIST_STEPS)
		return (struct place){0, (unsigned)(ns / 2)};
	top = 63 - (unsigned)__builtin_clzll(ns); /* 6 or more */
	if (top - 5 >= HIST_OCTAVES)
		return (struct place){HIST_OCTAVES - 1, HIST_STEPS - 1};
	return (struct place){top - 5, (unsigned)(ns >> (top - 5)) - HIST_STEPS};
}

static uint64_t midpoint(unsigned octave, unsigned step)
{
	if (octave == 0)
		return (uint64_t)step * 2 + 1;
	return ((uint64_t)(HIST_STEPS + step) << octave) + (UINT64_C(1) << (octave - 1));
}

/* A single writer adds: a plain load and store, no locked instruction. */
static void add64(_Atomic uint64_t *at, uint64_t n)
{
	atomic_store_explicit(at, atomic_load_explicit(at, relaxed) + n, relaxed);
}

static void raise_to(_Atomic uint64_t *at, uint64_t n)
{
	if (n > atomic_load_explicit(at, relaxed))
		atomic_store_explicit(at, n, relaxed);
}

/* The octave's buckets for its writer, made when there are none; NULL: no memory. */
static void *octave_for_write(struct hist *h, unsigned octave)
{
	void *steps = atomic_load_explicit(&h->octave[octave], relaxed);

	if (likely(steps != NULL))
		return steps;
	steps = mem_zalloc(HIST_STEPS * (h->narrow ? sizeof(_Atomic uint32_t) : sizeof(_Atomic uint64_t)));
	if (steps)
		atomic_store_explicit(&h->octave[octave], steps, memory_order_release);
	return steps;
}

static const void *octave_for_read(const struct hist *h, unsigned octave)
{
	return atomic_load_explicit(&h->octave[octave], memory_order_acquire);
}

static uint64_t bucket(const struct hist *h, const void *steps, unsigned step)
{
	return h->narrow ? atomic_load_explicit((const _Atomic uint32_t *)steps + step, relaxed) :
			   atomic_load_explicit((const _Atomic uint64_t *)steps + step, relaxed);
}

/* A reader meanwhile sees some halved and some not: for a moment its percentiles are off. */
static void halve(struct hist *h)
{
	for (unsigned o = 0; o < HIST_OCTAVES; o++) {
		_Atomic uint32_t *steps = atomic_load_explicit(&h->octave[o], relaxed);

		for (unsigned s = 0; steps && s < HIST_STEPS; s++)
			atomic_store_explicit(&steps[s], (atomic_load_explicit(&steps[s], relaxed) + 1) / 2, relaxed);
	}
}

static void add_narrow(struct hist *h, _Atomic uint32_t *at, uint64_t n)
{
	uint64_t now = atomic_load_explicit(at, relaxed);

	for (; unlikely(now + n > UINT32_MAX); now = atomic_load_explicit(at, relaxed)) {
		halve(h);
		n /= 2;
	}
	atomic_store_explicit(at, (uint32_t)(now + n), relaxed);
}

static void add_to(struct hist *h, void *steps, unsigned step, uint64_t n)
{
	if (h->narrow)
		add_narrow(h, (_Atomic uint32_t *)steps + step, n);
	else
		add64((_Atomic uint64_t *)steps + step, n);
}

void hist_init(struct hist *h)
{
	for (unsigned o = 0; o < HIST_OCTAVES; o++)
		atomic_init(&h->octave[o], NULL);
	atomic_init(&h->count, 0);
	atomic_init(&h->sum_ns, 0);
	atomic_init(&h->max_ns, 0);
	h->narrow = false;
}

void hist_init_narrow(struct hist *h)
{
	hist_init(h);
	h->narrow = true;
}

void hist_reset(struct hist *h)
{
	for (unsigned o = 0; o < HIST_OCTAVES; o++)
		mem_free(atomic_load_explicit(&h->octave[o], relaxed));
	h->narrow ? hist_init_narrow(h) : hist_init(h);
}

void hist_add(struct hist *h, uint64_t ns)
{
	struct place p = place_of(ns);
	void *steps = octave_for_write(h, p.octave);

	add64(&h->count, 1);
	add64(&h->sum_ns, ns);
	raise_to(&h->max_ns, ns);
	if (likely(steps != NULL))
		add_to(h, steps, p.step, 1);
}

enum rc hist_merge(struct hist *into, const struct hist *from)
{
	for (unsigned o = 0; o < HIST_OCTAVES; o++) {
		const void *theirs = octave_for_read(from, o);
		void *ours;

		if (!theirs)
			continue;
		ours = octave_for_write(into, o);
		if (!ours)
			return RC_ERROR;
		for (unsigned s = 0; s < HIST_STEPS; s++)
			add_to(into, ours, s, bucket(from, theirs, s));
	}
	add64(&into->count, atomic_load_explicit(&from->count, relaxed));
	add64(&into->sum_ns, atomic_load_explicit(&from->sum_ns, relaxed));
	raise_to(&into->max_ns, atomic_load_explicit(&from->max_ns, relaxed));
	return RC_OK;
}

enum rc hist_difference(struct hist *out, const struct hist *now, const struct hist *before)
{
	for (unsigned at = 0; at < HIST_BUCKETS; at++) {
		uint64_t more = hist_bucket(now, at) - hist_bucket(before, at);

		if (more && hist_bucket_add(out, at, more) != RC_OK)
			return RC_ERROR;
	}
	add64(&out->count, atomic_load_explicit(&now->count, relaxed) - atomic_load_explicit(&before->count, relaxed));
	add64(&out->sum_ns, atomic_load_explicit(&now->sum_ns, relaxed) - atomic_load_explicit(&before->sum_ns, relaxed));
	raise_to(&out->max_ns, atomic_load_explicit(&now->max_ns, relaxed));
	return RC_OK;
}

/* The buckets' own total: `count` may be ahead of them while somebody writes. */
static uint64_t bucket_total(const struct hist *h)
{
	uint64_t total = 0;

	for (unsigned o = 0; o < HIST_OCTAVES; o++) {
		const void *steps = octave_for_read(h, o);

		for (unsigned s = 0; steps && s < HIST_STEPS; s++)
			total += bucket(h, steps, s);
	}
	return total;
}

/* Which value stands for a bucket: nothing lies above the largest seen, and the last bucket holds all that saturated. */
static uint64_t value_of(const struct hist *h, unsigned octave, unsigned step)
{
	uint64_t max = atomic_load_explicit(&h->max_ns, relaxed), mid = midpoint(octave, step);

	if (mid > max || (octave == HIST_OCTAVES - 1 && step == HIST_STEPS - 1))
		return max;
	return mid;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t total = bucket_total(h), seen = 0, rank;

	if (total == 0)
		return 0;
	if (!(q < 1.0)) /* also for NaN */
		return atomic_load_explicit(&h->max_ns, relaxed);
	rank = q > 0.0 ? (uint64_t)(q * (double)total) : 0; /* how many lie below the one asked for */
	if (rank >= total)
		rank = total - 1;
	for (unsigned o = 0; o < HIST_OCTAVES; o++) {
		const void *steps = octave_for_read(h, o);

		for (unsigned s = 0; steps && s < HIST_STEPS; s++) {
			seen += bucket(h, steps, s);
			if (seen > rank)
				return value_of(h, o, s);
		}
	}
	return atomic_load_explicit(&h->max_ns, relaxed);
}

void hist_cumulative(const struct hist *h, const uint64_t *bounds, size_t n, uint64_t *out)
{
	uint64_t seen = 0;
	size_t at = 0;

	for (unsigned o = 0; o < HIST_OCTAVES; o++) {
		const void *steps = octave_for_read(h, o);

		for (unsigned s = 0; steps && s < HIST_STEPS; s++) {
			uint64_t here = bucket(h, steps, s);

			if (!here)
				continue;
			for (uint64_t value = value_of(h, o, s); at < n && bounds[at] < value; at++)
				out[at] = seen;
			seen += here;
		}
	}
	for (; at < n; at++)
		out[at] = seen;
}

uint64_t hist_bucket(const struct hist *h, unsigned at)
{
	const void *steps = octave_for_read(h, at / HIST_STEPS);

	return steps ? bucket(h, steps, at % HIST_STEPS) : 0;
}

enum rc hist_bucket_add(struct hist *h, unsigned at, uint64_t n)
{
	void *steps = octave_for_write(h, at / HIST_STEPS);

	if (!steps)
		return RC_ERROR;
	add_to(h, steps, at % HIST_STEPS, n);
	return RC_OK;
}
