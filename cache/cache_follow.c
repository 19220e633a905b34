/*
 * cache_follow.c - what a follower of the primary's log tells: until when nothing can be missing, and what it has not to repeat.
 */
#include "cache_impl.h"
#include "clock.h"

uint64_t cache_clock(void)
{
	return bus_clock();
}

void cache_follow(struct cache *c)
{
	atomic_store_explicit(&c->followed_until, 0, memory_order_release);
}

void cache_followed(struct cache *c, uint64_t asked_ns)
{
	atomic_store_explicit(&c->followed_until, asked_ns + CACHE_FOLLOW_LEASE_NS, memory_order_release);
}

void cache_unfollowed(struct cache *c)
{
	if (atomic_load_explicit(&c->followed_until, memory_order_relaxed) != CACHE_UNFOLLOWING)
		cache_follow(c);
}

/* Until then on the clock that goes on while the machine sleeps; if it has slept since, that was the longer ago. */
static uint64_t on_monotonic(uint64_t boot_ns)
{
	uint64_t mono = clock_mono_ns(), boot = bus_clock(), ago = boot > boot_ns ? boot - boot_ns : 0;

	return mono > ago ? mono - ago : 0;
}

bool cache_binds(const struct cache *c)
{
	return c->bus || atomic_load_explicit(&c->followed_until, memory_order_relaxed) != CACHE_UNFOLLOWING;
}

uint64_t cache_heard(struct cache *c)
{
	uint64_t until = atomic_load_explicit(&c->followed_until, memory_order_acquire), heard, now;

	if (until != CACHE_UNFOLLOWING)
		return until ? on_monotonic(until - CACHE_FOLLOW_LEASE_NS) : 0;
	if (!c->bus)
		return UINT64_MAX;
	heard = atomic_load_explicit(&bus_view(c->bus)->heard, memory_order_acquire);
	now = bus_clock();
	heard = heard < now ? heard : now;
	return on_monotonic(heard > CACHE_TOLD_WITHIN_NS ? heard - CACHE_TOLD_WITHIN_NS : 0);
}

bool cache_knows(struct cache *c, cache_tag tag, const struct cache_pos *pos)
{
	struct versions_pos p;

	versions_read(c->versions, rkey_slot(tag), &p);
	for (unsigned i = 0; i < p.n; i++)
		if (p.pos[i].domain == pos->domain && p.pos[i].seq >= pos->seq)
			return true;
	return false;
}
