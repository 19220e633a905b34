#include "versions.h"

#include <sched.h>

#include "mem.h"

#define SPINS_BEFORE_YIELD 100

static void spin_lock(_Atomic uint32_t *lock)
{
	unsigned spins = 0;

	while (atomic_exchange_explicit(lock, 1, memory_order_acquire)) {
		while (atomic_load_explicit(lock, memory_order_relaxed)) {
			if (++spins >= SPINS_BEFORE_YIELD) { /* the holder may have been preempted */
				sched_yield();
				spins = 0;
			}
		}
	}
}

static void spin_unlock(_Atomic uint32_t *lock)
{
	atomic_store_explicit(lock, 0, memory_order_release);
}

static uint64_t lag_window(const struct versions *v)
{
	return atomic_load_explicit(&v->lag_window_ns, memory_order_relaxed);
}

void versions_set_lag_window(struct versions *v, uint64_t ns)
{
	atomic_store_explicit(&v->lag_window_ns, ns, memory_order_relaxed);
}

struct versions *versions_new(uint64_t lag_window_ns)
{
	const size_t line = _Alignof(struct versions_slot);
	struct versions *v = mem_zalloc(sizeof(*v));

	if (!v)
		return NULL;
	v->memory = mem_zalloc(RKEY_SLOTS * sizeof(struct versions_slot) + line);
	if (!v->memory) {
		mem_free(v);
		return NULL;
	}
	v->slots = (struct versions_slot *)(((uintptr_t)v->memory + line - 1) / line * line);
	atomic_init(&v->lag_window_ns, lag_window_ns);
	atomic_init(&v->epoch, 1);
	return v;
}

void versions_free(struct versions *v)
{
	if (!v)
		return;
	mem_free(v->memory);
	mem_free(v);
}

static uint64_t later(uint64_t now, uint64_t ns)
{
	return ns > UINT64_MAX - now ? UINT64_MAX : now + ns;
}

struct versions_pos versions_pos_of(const struct versions *v, const struct cache_pos *pos, uint64_t now, uint64_t lag_ns)
{
	struct versions_pos p = {.n = 0};

	if (pos) {
		p.pos[0] = *pos;
		p.n = 1;
	} else {
		p.unknown_at = now;
		p.unknown_until = later(now, lag_ns ? lag_ns : lag_window(v));
	}
	return p;
}

static void pos_unknown(struct versions_pos *p, uint64_t at, uint64_t until)
{
	if (at > p->unknown_at)
		p->unknown_at = at;
	if (until > p->unknown_until)
		p->unknown_until = until;
}

/* Keeps the largest a domain: answers of commits arrive out of their order. */
static void pos_merge(struct versions_pos *p, struct cache_pos w, uint64_t now, uint64_t lag_ns)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (p->pos[i].domain == w.domain) {
			if (w.seq > p->pos[i].seq)
				p->pos[i].seq = w.seq;
			return;
		}
	}
	if (p->n < VERSIONS_POSITIONS) {
		p->pos[p->n++] = w;
		return;
	}
	pos_unknown(p, now, later(now, lag_ns));
	for (unsigned i = 1; i < VERSIONS_POSITIONS; i++)
		p->pos[i - 1] = p->pos[i];
	p->pos[VERSIONS_POSITIONS - 1] = w;
}

static bool is_former(const struct versions *v, const struct versions_slot *s)
{
	return s->history != atomic_load_explicit(&v->history, memory_order_acquire);
}

static void begin_history(const struct versions *v, struct versions_slot *s)
{
	if (likely(!is_former(v, s)))
		return;
	s->history = atomic_load_explicit(&v->history, memory_order_acquire);
	s->pos.n = 0;
}

void versions_bump(struct versions *v, uint32_t slot, const struct versions_pos *write, uint64_t now, bool own)
{
	struct versions_slot *s = &v->slots[slot];

	spin_lock(&s->lock);
	begin_history(v, s);
	for (unsigned i = 0; i < write->n; i++)
		pos_merge(&s->pos, write->pos[i], now, lag_window(v));
	pos_unknown(&s->pos, write->unknown_at, write->unknown_until);
	if (own)
		atomic_fetch_add_explicit(&s->own, 1, memory_order_relaxed);
	/* Sequentially consistent, so that on any machine it is done before the client's answer is written. */
	atomic_fetch_add_explicit(&s->version, 1, memory_order_seq_cst);
	spin_unlock(&s->lock);
}

static void epoch_bump(struct versions *v, bool own)
{
	if (own)
		atomic_fetch_add_explicit(&v->own_all, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&v->epoch, 1, memory_order_seq_cst);
}

void versions_bump_all(struct versions *v, uint64_t now, uint64_t lag_ns, bool own)
{
	uint64_t until = later(now, lag_ns ? lag_ns : lag_window(v));

	spin_lock(&v->lock);
	if (now > v->gap_at)
		v->gap_at = now;
	if (until > atomic_load_explicit(&v->gap_until, memory_order_relaxed))
		atomic_store_explicit(&v->gap_until, until, memory_order_relaxed);
	epoch_bump(v, own);
	spin_unlock(&v->lock);
}

void versions_renumber(struct versions *v, uint64_t now, uint64_t lag_ns, bool own)
{
	spin_lock(&v->lock);
	atomic_fetch_add_explicit(&v->history, 1, memory_order_release);
	v->nfloor = 0;
	if (now > v->floor_asked)
		v->floor_asked = now; /* an answer under way is of the former one */
	spin_unlock(&v->lock);
	versions_bump_all(v, now, lag_ns, own);
}

void versions_drop_all(struct versions *v, bool own)
{
	epoch_bump(v, own);
}

void versions_read(struct versions *v, uint32_t slot, struct versions_pos *out)
{
	struct versions_slot *s = &v->slots[slot];

	spin_lock(&s->lock);
	*out = s->pos;
	if (unlikely(is_former(v, s)))
		out->n = 0;
	spin_unlock(&s->lock);
}

static void needs_unknown(struct cache_needs *n, uint64_t until)
{
	n->unknown = true;
	if (until > n->unknown_until_ns)
		n->unknown_until_ns = until;
}

static void needs_pos(const struct versions *v, struct cache_needs *n, struct cache_pos p, uint64_t now)
{
	for (unsigned i = 0; i < n->n; i++) {
		if (n->pos[i].domain == p.domain) {
			if (p.seq > n->pos[i].seq)
				n->pos[i].seq = p.seq;
			return;
		}
	}
	if (n->n < countof(n->pos))
		n->pos[n->n++] = p;
	else
		needs_unknown(n, later(now, lag_window(v)));
}

/* Writes of unknown position up to `at`: the primary's own position bounds them if it was asked later. */
static void needs_bounded(struct versions *v, struct cache_needs *n, uint64_t at, uint64_t until, uint64_t now)
{
	struct cache_pos floor[VERSIONS_FLOOR];
	unsigned nfloor;
	bool known;

	spin_lock(&v->lock);
	known = v->nfloor && v->floor_asked > at;
	nfloor = v->nfloor;
	for (unsigned i = 0; i < nfloor; i++)
		floor[i] = v->floor[i];
	spin_unlock(&v->lock);
	if (!known) {
		needs_unknown(n, until);
		return;
	}
	for (unsigned i = 0; i < nfloor; i++)
		needs_pos(v, n, floor[i], now);
}

void versions_needs(struct versions *v, const cache_tag *tags, unsigned ntags, uint64_t now, struct cache_needs *out)
{
	uint64_t gap_until = atomic_load_explicit(&v->gap_until, memory_order_acquire);

	*out = (struct cache_needs){.n = 0};
	for (unsigned t = 0; t < ntags; t++) {
		struct versions_pos p;

		versions_read(v, rkey_slot(tags[t]), &p);
		for (unsigned i = 0; i < p.n; i++)
			needs_pos(v, out, p.pos[i], now);
		if (p.unknown_until > now)
			needs_bounded(v, out, p.unknown_at, p.unknown_until, now);
	}
	if (gap_until > now) {
		uint64_t gap_at;

		spin_lock(&v->lock);
		gap_at = v->gap_at;
		spin_unlock(&v->lock);
		needs_bounded(v, out, gap_at, gap_until, now);
	}
}

void versions_primary_at(struct versions *v, const struct cache_pos *pos, unsigned n, uint64_t asked_ns)
{
	if (n == 0 || n > VERSIONS_FLOOR)
		return;
	spin_lock(&v->lock);
	if (asked_ns > v->floor_asked) {
		for (unsigned i = 0; i < n; i++)
			v->floor[i] = pos[i];
		v->nfloor = n;
		v->floor_asked = asked_ns;
	}
	spin_unlock(&v->lock);
}

uint32_t versions_own(const struct versions *v, uint32_t slot)
{
	return atomic_load_explicit(&v->slots[slot].own, memory_order_acquire);
}

void versions_settle(struct versions *v, uint32_t slot, uint32_t own)
{
	_Atomic uint32_t *settled = &v->slots[slot].settled;

	/* Only the settling thread stores; the comparison allows the counter to wrap. */
	if ((int32_t)(own - atomic_load_explicit(settled, memory_order_relaxed)) > 0)
		atomic_store_explicit(settled, own, memory_order_release);
}

uint32_t versions_own_all(const struct versions *v)
{
	return atomic_load_explicit(&v->own_all, memory_order_acquire);
}

void versions_settle_all(struct versions *v, uint32_t own)
{
	if ((int32_t)(own - atomic_load_explicit(&v->settled_all, memory_order_relaxed)) > 0)
		atomic_store_explicit(&v->settled_all, own, memory_order_release);
}
