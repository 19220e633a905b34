/*
 * cache_announce.c - a write's way past the ledger: held before it is sent, let go when it has been invalidated.
 */
#include <time.h>

#include "cache_impl.h"
#include "clock.h"

#define LIMIT_NS (20 * NS_PER_MS) /* then the write goes on, and nobody waits until Redis acknowledges again */

static void take_slots(struct cache_slots *s, const cache_tag *tags, unsigned ntags, bool anything)
{
	s->n = 0;
	if (anything || ntags > countof(s->slot)) {
		s->slot[s->n++] = ANNOUNCE_ALL;
		return;
	}
	while (s->n < ntags) {
		uint32_t slot = rkey_slot(tags[s->n]);

		s->slot[s->n++] = slot < RKEY_TABLE_SLOTS ? (uint16_t)slot : ANNOUNCE_ALL;
	}
}

static void let_go(struct cache *c, struct cache_slots *s)
{
	if (s->n)
		announce_release(bus_announce(c->bus), s->slot, s->n, bus_clock());
	s->n = 0;
}

static enum rc arm(struct cache_worker *w)
{
	struct list_node *n = list_first(&w->announcing);
	uint64_t now = clock_mono_ns(), at;
	struct timeval wait = {.tv_usec = 1};

	if (!n || evtimer_pending(w->announce_limit, NULL))
		return RC_OK;
	at = container_of(n, struct cache_announcement, node)->deadline_ns;
	if (at > now)
		wait.tv_usec = (suseconds_t)((at - now) / 1000 + 1);
	return event_add(w->announce_limit, &wait) == 0 ? RC_OK : RC_ERROR;
}

static void leave(struct cache_announcement *a)
{
	list_remove(&a->worker->announcing, &a->node);
	if (list_empty(&a->worker->announcing))
		atomic_store_explicit(&a->worker->announces, false, memory_order_release);
}

enum rc cache_announce(struct cache_worker *w, struct cache_announcement *a, const cache_tag *tags, unsigned ntags, bool anything)
{
	struct announce *known;

	a->worker = w;
	a->node = (struct list_node){0};
	a->slots.n = 0;
	if (!w->c->bus)
		return RC_OK;
	known = bus_announce(w->c->bus);
	take_slots(&a->slots, tags, ntags, anything);
	if (announce_hold(known, a->slots.slot, a->slots.n))
		return RC_OK;
	bus_kick(w->c->bus);
	if (bus_view_live(w->view) && !atomic_load_explicit(&known->late, memory_order_acquire)) {
		a->deadline_ns = clock_mono_ns() + LIMIT_NS;
		list_push_back(&w->announcing, &a->node);
		atomic_store_explicit(&w->announces, true, memory_order_release);
		/* Acknowledged before anybody could see that somebody waits: then nobody will be told. */
		if (announce_known(known, a->slots.slot, a->slots.n)) {
			leave(a);
			return RC_OK;
		}
		if (arm(w) == RC_OK)
			return RC_AGAIN;
		leave(a);
	}
	stats_count(w->sink, STATS_C_CACHE_UNANNOUNCED, 1);
	return RC_OK;
}

void cache_announce_end(struct cache_announcement *a)
{
	if (list_linked(&a->node))
		leave(a);
	let_go(a->worker->c, &a->slots);
}

static void count_unannounced(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	stats_count(c->others, STATS_C_CACHE_UNANNOUNCED, 1);
	pthread_mutex_unlock(&c->lock);
}

void cache_announce_from(struct cache *c, struct cache_slots *held, const cache_tag *tags, unsigned ntags, bool anything)
{
	const struct timespec moment = {.tv_nsec = NS_PER_MS};
	struct announce *known;
	uint64_t until = clock_mono_ns() + LIMIT_NS;

	held->n = 0;
	if (!c->bus)
		return;
	known = bus_announce(c->bus);
	take_slots(held, tags, ntags, anything);
	if (announce_hold(known, held->slot, held->n))
		return;
	bus_kick(c->bus);
	while (bus_view_live(bus_view(c->bus)) && !atomic_load_explicit(&known->late, memory_order_acquire)) {
		if (announce_known(known, held->slot, held->n))
			return;
		if (clock_mono_ns() >= until)
			atomic_store_explicit(&known->late, true, memory_order_release);
		else
			nanosleep(&moment, NULL);
	}
	count_unannounced(c);
}

void cache_announce_end_from(struct cache *c, struct cache_slots *held)
{
	let_go(c, held);
}

static void wake_one(struct cache_announcement *a)
{
	leave(a);
	a->done(a);
}

static struct cache_announcement *first_ready(struct cache_worker *w, bool live)
{
	struct announce *known = bus_announce(w->c->bus);

	list_each(&w->announcing, n) {
		struct cache_announcement *a = container_of(n, struct cache_announcement, node);

		if (!live || announce_known(known, a->slots.slot, a->slots.n))
			return a;
	}
	return NULL;
}

void cache_announce_wake(struct cache_worker *w)
{
	bool live = bus_view_live(w->view);
	struct cache_announcement *a;

	/* Each done() may end its request and others: the list is looked at anew. */
	while ((a = first_ready(w, live))) {
		if (!live)
			stats_count(w->sink, STATS_C_CACHE_UNANNOUNCED, 1);
		wake_one(a);
	}
}

void cache_announce_limit(evutil_socket_t fd, short what, void *arg)
{
	struct cache_worker *w = arg;
	uint64_t now = clock_mono_ns();
	struct list_node *n;

	while ((n = list_first(&w->announcing)) && container_of(n, struct cache_announcement, node)->deadline_ns <= now) {
		atomic_store_explicit(&bus_announce(w->c->bus)->late, true, memory_order_release);
		stats_count(w->sink, STATS_C_CACHE_UNANNOUNCED, 1);
		wake_one(container_of(n, struct cache_announcement, node));
	}
	if (arm(w) == RC_OK)
		return;
	while ((n = list_first(&w->announcing))) /* no timer, no limit: they go on */
		wake_one(container_of(n, struct cache_announcement, node));
}

void cache_schema_changed(struct cache *c)
{
	if (!c->bus)
		return;
	bus_schema(c->bus);
	bus_kick(c->bus);
}
