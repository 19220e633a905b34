#include "flight.h"

#include <string.h>

#include "cache_impl.h"

static struct cache_lookup *lookup_of(const struct map_node *n)
{
	return container_of(n, struct cache_lookup, flight.node);
}

static bool same_key(const struct map_node *n, const void *key)
{
	return span_eq(lookup_of(n)->key, *(const struct span *)key);
}

void flights_init(struct flights *f)
{
	pthread_mutex_init(&f->lock, NULL);
	map_init(&f->map, same_key);
}

void flights_reset(struct flights *f)
{
	map_reset(&f->map);
	pthread_mutex_destroy(&f->lock);
}

/* Nothing that the one depends on was written between the two look-ups' beginnings. */
static bool same_versions(const struct cache_lookup *a, const struct cache_lookup *b)
{
	if (a->epoch != b->epoch || a->ntags != b->ntags)
		return false;
	for (unsigned i = 0; i < a->ntags; i++)
		if (a->tags[i] != b->tags[i] || a->versions[i] != b->versions[i])
			return false;
	return true;
}

static struct cache_lookup *leader_of(struct flights *f, const struct cache_lookup *l)
{
	struct map_node *n = map_find(&f->map, l->key_hash, &l->key);

	return n ? lookup_of(n) : NULL;
}

/* Under lock. Without memory for its place it asks alone. */
static void lead(struct flights *f, struct cache_lookup *l)
{
	list_init(&l->flight.waiters);
	if (map_insert(&f->map, &l->flight.node, l->key_hash) != RC_OK)
		return;
	l->flight.state = CACHE_LEADING;
	l->flight.listed = true;
}

enum rc flight_join(struct flights *f, struct cache_lookup *l, uint64_t now)
{
	struct cache_lookup *leader;
	enum rc rc = RC_OK;

	pthread_mutex_lock(&f->lock);
	leader = leader_of(f, l);
	if (leader && !same_versions(leader, l)) { /* who comes from now on waits for this one */
		map_remove(&f->map, &leader->flight.node);
		leader->flight.listed = false;
		leader = NULL;
	}
	if (!leader) {
		lead(f, l);
	} else if (l->may_wait && l->flight.joins < FLIGHT_JOINS && leader->flight.waiters.count < FLIGHT_WAITERS) {
		l->flight.state = CACHE_WAITING;
		l->flight.joins++;
		l->flight.leader = leader;
		l->flight.deadline_ns = now + FLIGHT_LIMIT_NS;
		list_push_back(&leader->flight.waiters, &l->flight.beside);
		list_push_back(&l->worker->waiting, &l->flight.mine);
		rc = RC_AGAIN;
	}
	pthread_mutex_unlock(&f->lock);
	return rc;
}

bool flight_under_way(struct flights *f, struct cache_lookup *l)
{
	bool somebody;

	pthread_mutex_lock(&f->lock);
	somebody = leader_of(f, l) != NULL;
	if (!somebody)
		lead(f, l);
	pthread_mutex_unlock(&f->lock);
	return somebody;
}

bool flights_waits(struct flights *f, const struct cache_worker *w)
{
	bool waits;

	pthread_mutex_lock(&f->lock);
	waits = !list_empty(&w->waiting);
	pthread_mutex_unlock(&f->lock);
	return waits;
}

void flight_end(struct flights *f, struct cache_lookup *l, enum flight_end how)
{
	struct list_node *n;

	if (l->flight.state != CACHE_LEADING)
		return;
	pthread_mutex_lock(&f->lock);
	if (l->flight.listed)
		map_remove(&f->map, &l->flight.node);
	l->flight.listed = false;
	l->flight.state = CACHE_ALONE;
	while ((n = list_pop_front(&l->flight.waiters))) {
		struct cache_lookup *w = container_of(n, struct cache_lookup, flight.beside);

		w->flight.leader = NULL;
		w->flight.ended = (uint8_t)how;
		list_remove(&w->worker->waiting, &w->flight.mine);
		list_push_back(&w->worker->landed, &w->flight.mine);
		cache_worker_nudge(w->worker);
	}
	pthread_mutex_unlock(&f->lock);
}

/* Under lock. */
static void forget(struct cache_lookup *l)
{
	if (l->flight.leader) {
		list_remove(&l->flight.leader->flight.waiters, &l->flight.beside);
		list_remove(&l->worker->waiting, &l->flight.mine);
	} else {
		list_remove(&l->worker->landed, &l->flight.mine);
	}
	l->flight.leader = NULL;
	l->flight.state = CACHE_ALONE;
}

void flight_leave(struct flights *f, struct cache_lookup *l)
{
	if (l->flight.state != CACHE_WAITING)
		return;
	pthread_mutex_lock(&f->lock);
	forget(l);
	pthread_mutex_unlock(&f->lock);
}

struct cache_lookup *flight_landed(struct flights *f, struct cache_worker *w, uint64_t now, enum flight_end *how)
{
	struct list_node *n;
	struct cache_lookup *l = NULL;

	pthread_mutex_lock(&f->lock);
	if ((n = list_first(&w->landed))) {
		l = container_of(n, struct cache_lookup, flight.mine);
		*how = (enum flight_end)l->flight.ended;
	} else if ((n = list_first(&w->waiting)) &&
		   container_of(n, struct cache_lookup, flight.mine)->flight.deadline_ns <= now) {
		l = container_of(n, struct cache_lookup, flight.mine);
		*how = FLIGHT_REFUSED;
	}
	if (l)
		forget(l);
	pthread_mutex_unlock(&f->lock);
	return l;
}
