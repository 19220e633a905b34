#include "topology.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define DISCOVERED_MOST 48                /* places for servers that discovery finds; Aurora has at most 16 in a cluster */

/* ---- the list ---- */

static enum rc add(struct topology *t, struct backend *b)
{
	size_t n = atomic_load_explicit(&t->n, memory_order_relaxed);

	if (!b || n == t->cap) {
		backend_free(b);
		return RC_ERROR;
	}
	b->slot = n;
	atomic_store_explicit(&t->all[n], b, memory_order_release);
	atomic_store_explicit(&t->n, n + 1, memory_order_release);
	return RC_OK;
}

struct topology *topology_new(const struct settings *s)
{
	struct topology *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->cap = 1 + s->nreplicas + (s->discovery_aurora ? DISCOVERED_MOST : 0);
	t->all = mem_zalloc(t->cap * sizeof(*t->all));
	if (!t->all || add(t, backend_new(&s->primary, BACKEND_PRIMARY, 1)) != RC_OK) {
		topology_free(t);
		return NULL;
	}
	t->primary = t->all[0];
	t->all[0]->endpoint = s->discovery_aurora;
	for (size_t i = 0; i < s->nreplicas; i++) {
		struct backend *b = backend_new(&s->replicas[i].addr, BACKEND_REPLICA, s->replicas[i].weight);

		if (add(t, b) != RC_OK || backend_join_group(b, s, s->replicas[i].group) != RC_OK) {
			topology_free(t);
			return NULL;
		}
	}
	return t;
}

void topology_free(struct topology *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		backend_free(t->all[i]);
	while (t->retired) {
		struct backend *b = t->retired;

		t->retired = b->next_retired;
		backend_free(b);
	}
	mem_free(t->all);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

struct backend *topology_primary(const struct topology *t)
{
	return atomic_load_explicit(&t->primary, memory_order_acquire);
}

struct backend *topology_find(const struct topology *t, const char *text)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->all[i]->text, text) == 0)
			return t->all[i];
	return NULL;
}

/* ---- discovery ---- */

#define UNLISTED_MOST 2 /* lists in a row without a server, and it is gone */

static struct backend *find_host(const struct topology *t, const char *host)
{
	for (size_t i = 0; i < t->n; i++)
		if (!t->all[i]->endpoint && strcasecmp(t->all[i]->host, host) == 0)
			return t->all[i];
	return NULL;
}

/* The place of one that is gone, with nothing left of it. */
static enum rc replace(struct topology *t, struct backend *b)
{
	for (size_t i = 0; i < t->n; i++) {
		struct backend *old = t->all[i];

		if (backend_state(old) != BACKEND_GONE || old == topology_primary(t) ||
		    atomic_load_explicit(&old->connections, memory_order_relaxed) ||
		    atomic_load_explicit(&old->waiting, memory_order_relaxed))
			continue;
		b->slot = i;
		old->next_retired = t->retired;
		t->retired = old;
		atomic_store_explicit(&t->all[i], b, memory_order_release);
		return RC_OK;
	}
	return RC_DECLINED;
}

static void join(struct topology *t, const char *host)
{
	char text[300], name[256];
	struct settings_addr addr = {.text = text, .host = name, .port = t->all[0]->port};
	struct backend *b;

	snprintf(name, sizeof(name), "%s", host);
	snprintf(text, sizeof(text), "%s:%u", host, addr.port);
	b = backend_new(&addr, BACKEND_REPLICA, 1);
	if (!b || (replace(t, b) != RC_OK && add(t, b) != RC_OK)) {
		log_error("topology", "a server of the cluster cannot be taken in", "addr=%s", text);
		return;
	}
	log_info("topology", "a server has joined the cluster", "addr=%s", text);
}

static bool is_listed(const struct topology_listing *l, const struct backend *b)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcasecmp(l->host[i], b->host) == 0)
			return true;
	return false;
}

static void drop_unlisted(struct topology *t, const struct topology_listing *l)
{
	for (size_t i = 0; i < t->n; i++) {
		struct backend *b = t->all[i];

		if (b->endpoint || is_listed(l, b))
			b->unlisted = 0;
		else if (++b->unlisted >= UNLISTED_MOST)
			backend_set_state(b, BACKEND_GONE, "its cluster lists it no more");
	}
}

void topology_listed(struct topology *t, const struct topology_listing *l)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < l->n; i++) {
		struct backend *b = find_host(t, l->host[i]);

		if (!b)
			join(t, l->host[i]);
		else if (backend_state(b) == BACKEND_GONE)
			backend_set_state(b, BACKEND_UNKNOWN, "listed again");
	}
	if (l->complete)
		drop_unlisted(t, l);
	pthread_mutex_unlock(&t->lock);
}

/* ---- reads ---- */

#define STAYS 4 /* outstanding statements that are no reason to leave a replica */

/* Outstanding for its weight, in 1/1024ths. A weight of 0 serves when nobody else does. */
static uint64_t load_of(const struct backend *b, bool preferred)
{
	uint64_t active = backend_active(b->loads);

	if (preferred)
		active = active > STAYS ? (active - STAYS) / 2 : 0;
	return b->weight > 0 ? active * 1024 / (uint64_t)b->weight : UINT64_MAX / 4;
}

static uint64_t random_below(uint64_t n)
{
	static _Thread_local uint64_t state;

	if (!state)
		state = clock_mono_ns() | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

/* What a read in its session's past saw, this replica has, too. */
static bool is_past(const struct backend *b, const struct topology_wish *wish, uint64_t now)
{
	return !wish->read_ns || b == wish->prefer || backend_fresh(b) >= wish->read_ns ||
	       now - wish->read_ns >= wish->window_ns;
}

/* What is sent to a group takes its replicas however far behind they are. */
static bool is_up_for(const struct backend *b, const struct topology_wish *wish)
{
	enum backend_state s = backend_state(b);

	return s == BACKEND_UP || (wish->group && s == BACKEND_LAGGING);
}

struct backend *topology_replica(const struct topology *t, const struct topology_wish *wish)
{
	static const struct topology_wish nothing;
	struct backend *best = NULL;
	uint64_t best_load = UINT64_MAX, now, weights = 0;

	wish = wish ? wish : &nothing;
	now = wish->read_ns ? clock_mono_ns() : 0;
	for (size_t i = 0; i < t->n; i++) {
		struct backend *b = t->all[i];
		uint64_t load, weight = b->weight > 0 ? (uint64_t)b->weight : 1;

		if (atomic_load_explicit(&b->role, memory_order_acquire) != BACKEND_REPLICA || b->endpoint ||
		    b->group != wish->group || !is_up_for(b, wish) || !is_past(b, wish, now))
			continue;
		load = load_of(b, b == wish->prefer);
		weights = load < best_load ? weight : weights + weight;
		/* Of those that are equally busy any, by weight; but not instead of the one that is preferred. */
		if (load < best_load || (load == best_load && (b == wish->prefer || (best != wish->prefer &&
										     random_below(weights) < weight))))
			best = b;
		if (load < best_load)
			best_load = load;
	}
	return best;
}
