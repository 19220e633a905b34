#include "limit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "clock.h"
#include "map.h"
#include "mem.h"

struct limit_gate {
	struct map_node node;
	uint64_t key;
	struct limit_terms terms; /* those of the last to come: a reload may change them */
	uint64_t running;
	uint64_t full_ns;         /* when the tokens that were spent will all be back */
	struct list waiters;
};

struct limits {
	pthread_mutex_t lock;
	struct map gates;
	_Atomic uint64_t waiting;
};

static bool gate_eq(const struct map_node *node, const void *key)
{
	return container_of(node, struct limit_gate, node)->key == *(const uint64_t *)key;
}

struct limits *limits_new(void)
{
	struct limits *l = mem_zalloc(sizeof(*l));

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	map_init(&l->gates, gate_eq);
	return l;
}

static void free_gate(struct map_node *node, void *arg)
{
	mem_free(container_of(node, struct limit_gate, node));
}

void limits_free(struct limits *l)
{
	if (!l)
		return;
	map_each(&l->gates, free_gate, NULL);
	map_reset(&l->gates);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

/* ---- one gate; the lock is held ---- */

static bool is_unused(const struct limit_gate *g)
{
	return g->running == 0 && list_empty(&g->waiters);
}

static uint64_t token_ns(const struct limit_gate *g)
{
	return NS_PER_SEC / g->terms.rate;
}

/* Tokens spent are paid back one by one; a second's worth of them may be owed. */
static bool has_token(const struct limit_gate *g, uint64_t now_ns)
{
	return !g->terms.rate || g->full_ns <= now_ns || g->full_ns - now_ns + token_ns(g) <= NS_PER_SEC;
}

static bool admits(const struct limit_gate *g, uint64_t now_ns)
{
	return (!g->terms.concurrency || g->running < g->terms.concurrency) && has_token(g, now_ns);
}

static void let_in(struct limit_gate *g, uint64_t now_ns)
{
	g->running++;
	if (g->terms.rate)
		g->full_ns = (g->full_ns > now_ns ? g->full_ns : now_ns) + token_ns(g);
}

static void serve(struct limits *l, struct limit_gate *g, uint64_t now_ns)
{
	while (!list_empty(&g->waiters) && admits(g, now_ns)) {
		struct limit_waiter *w = container_of(list_pop_front(&g->waiters), struct limit_waiter, node);

		atomic_fetch_sub_explicit(&l->waiting, 1, memory_order_relaxed);
		let_in(g, now_ns);
		loop_post(w->loop, &w->mail);
	}
}

/* ---- the table; the lock is held ---- */

struct sweep { struct limits *l; uint64_t now_ns; size_t left; };

static void sweep_gate(struct map_node *node, void *arg)
{
	struct sweep *s = arg;
	struct limit_gate *g = container_of(node, struct limit_gate, node);

	if (!s->left || !is_unused(g) || g->full_ns > s->now_ns)
		return;
	s->left--;
	map_remove(&s->l->gates, node);
	mem_free(g);
}

/* Rates that are forgotten are small beside this many. */
static void make_room(struct limits *l, uint64_t now_ns)
{
	struct sweep s = {.l = l, .now_ns = now_ns, .left = LIMIT_GATES_MOST / 2};

	map_each(&l->gates, sweep_gate, &s);
	s.now_ns = UINT64_MAX;
	if (l->gates.count >= LIMIT_GATES_MOST)
		map_each(&l->gates, sweep_gate, &s);
}

static struct limit_gate *gate_of(struct limits *l, uint64_t key, uint64_t now_ns)
{
	uint64_t hash = map_hash(&key, sizeof(key));
	struct map_node *n = map_find(&l->gates, hash, &key);
	struct limit_gate *g;

	if (n)
		return container_of(n, struct limit_gate, node);
	if (l->gates.count >= LIMIT_GATES_MOST)
		make_room(l, now_ns);
	g = mem_zalloc(sizeof(*g));
	if (!g)
		return NULL;
	g->key = key;
	list_init(&g->waiters);
	if (map_insert(&l->gates, &g->node, hash) == RC_OK)
		return g;
	mem_free(g);
	return NULL;
}

/* ---- for statements ---- */

enum rc limit_enter(struct limits *l, uint64_t key, const struct limit_terms *terms, struct limit_waiter *w, uint64_t now_ns)
{
	struct limit_gate *g;
	enum rc rc = RC_OK;

	pthread_mutex_lock(&l->lock);
	g = gate_of(l, key, now_ns);
	w->gate = g;
	w->node = (struct list_node){0};
	if (!g) {
		rc = RC_ERROR;
	} else {
		g->terms = *terms;
		if (list_empty(&g->waiters) && admits(g, now_ns)) {
			let_in(g, now_ns);
		} else {
			list_push_back(&g->waiters, &w->node);
			atomic_fetch_add_explicit(&l->waiting, 1, memory_order_relaxed);
			serve(l, g, now_ns); /* its terms may have become wider */
			rc = RC_AGAIN;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return rc;
}

bool limit_cancel(struct limits *l, struct limit_waiter *w)
{
	bool stood;

	pthread_mutex_lock(&l->lock);
	stood = list_linked(&w->node);
	if (stood) {
		list_remove(&w->gate->waiters, &w->node);
		atomic_fetch_sub_explicit(&l->waiting, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&l->lock);
	return stood;
}

void limit_leave(struct limits *l, struct limit_gate *g, uint64_t now_ns)
{
	pthread_mutex_lock(&l->lock);
	g->running--;
	serve(l, g, now_ns);
	if (is_unused(g) && g->full_ns <= now_ns) {
		map_remove(&l->gates, &g->node);
		mem_free(g);
	}
	pthread_mutex_unlock(&l->lock);
}

struct tick { struct limits *l; uint64_t now_ns; };

static void tick_gate(struct map_node *node, void *arg)
{
	const struct tick *t = arg;

	serve(t->l, container_of(node, struct limit_gate, node), t->now_ns);
}

void limits_tick(struct limits *l, uint64_t now_ns)
{
	struct tick t = {l, now_ns};

	if (!limits_waiting(l))
		return;
	pthread_mutex_lock(&l->lock);
	map_each(&l->gates, tick_gate, &t);
	pthread_mutex_unlock(&l->lock);
}

uint64_t limits_waiting(const struct limits *l)
{
	return atomic_load_explicit(&l->waiting, memory_order_relaxed);
}

size_t limits_gates(struct limits *l)
{
	size_t n;

	pthread_mutex_lock(&l->lock);
	n = l->gates.count;
	pthread_mutex_unlock(&l->lock);
	return n;
}
