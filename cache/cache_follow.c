/*
 * cache_follow.c - what a follower of the primary's log tells: until when nothing can be missing, and what it has not to repeat.
 */
#include "cache_impl.h"

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

bool cache_knows(struct cache *c, cache_tag tag, const struct cache_pos *pos)
{
	struct versions_pos p;

	versions_read(c->versions, rkey_slot(tag), &p);
	for (unsigned i = 0; i < p.n; i++)
		if (p.pos[i].domain == pos->domain && p.pos[i].seq >= pos->seq)
			return true;
	return false;
}
