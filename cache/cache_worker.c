/*
 * cache_worker.c - a worker's part of the cache, and how the bus, on the control loop, reaches it.
 */
#include "cache_impl.h"
#include "mem.h"


static void on_nudge(struct mail *mail)
{
	struct nudge *n = container_of(mail, struct nudge, mail);

	(void)atomic_exchange_explicit(&n->posted, false, memory_order_acq_rel);
	if (!n->worker)
		return;
	if (n->worker->l2) {
		l2_wake(n->worker->l2);
		cache_announce_wake(n->worker);
	}
	cache_resume_landed(n->worker);
}

void cache_worker_nudge(struct cache_worker *w)
{
	if (!atomic_exchange_explicit(&w->nudge->posted, true, memory_order_acq_rel))
		loop_post(w->loop, &w->nudge->mail);
}

void cache_bus_changed(void *arg)
{
	struct cache *c = arg;
	uint64_t run = atomic_load_explicit(&bus_view(c->bus)->run, memory_order_relaxed);
	bool another = run != c->last_run;

	c->last_run = run;
	pthread_mutex_lock(&c->lock);
	list_each(&c->workers, n) {
		struct cache_worker *w = container_of(n, struct cache_worker, node);

		if (l2_waits(w->l2) || atomic_load_explicit(&w->announces, memory_order_acquire) || another)
			cache_worker_nudge(w);
	}
	pthread_mutex_unlock(&c->lock);
}

static enum rc make_nudge(struct cache_worker *w)
{
	struct cache *c = w->c;

	w->patience = evtimer_new(loop_base(w->loop), cache_patience, w);
	w->nudge = mem_zalloc(sizeof(*w->nudge));
	if (!w->nudge || !w->patience)
		return RC_ERROR;
	w->nudge->mail.run = on_nudge;
	w->nudge->worker = w;
	pthread_mutex_lock(&c->lock);
	list_push_back(&c->nudges, &w->nudge->node);
	pthread_mutex_unlock(&c->lock);
	return RC_OK;
}

static enum rc worker_second_level(struct cache_worker *w)
{
	struct cache *c = w->c;
	struct l2_options opt = {.loop = w->loop, .url = &c->url, .keys = &c->keys, .versions = c->versions, .store = c->store, .tables = c->tables, .bus = c->bus, .flights = &c->flights,
				 .sink = w->sink,
				 .max_result = &c->max_result};

	w->view = bus_view(c->bus);
	w->l2 = l2_new(&opt);
	w->announce_limit = evtimer_new(loop_base(w->loop), cache_announce_limit, w);
	return w->l2 && w->announce_limit ? RC_OK : RC_ERROR;
}

struct cache_worker *cache_worker_new(struct cache *c, struct loop *loop, struct stats_sink *sink)
{
	struct cache_worker *w = mem_zalloc(sizeof(*w));

	if (!w)
		return NULL;
	w->c = c;
	w->loop = loop;
	w->sink = sink;
	list_init(&w->announcing);
	list_init(&w->waiting);
	list_init(&w->landed);
	if (make_nudge(w) != RC_OK || (c->bus && worker_second_level(w) != RC_OK)) {
		cache_worker_free(w);
		return NULL;
	}
	if (!c->bus)
		return w;
	pthread_mutex_lock(&c->lock);
	list_push_back(&c->workers, &w->node);
	pthread_mutex_unlock(&c->lock);
	cache_worker_nudge(w); /* the bus may be up already */
	return w;
}

void cache_worker_free(struct cache_worker *w)
{
	if (!w)
		return;
	if (list_linked(&w->node)) {
		pthread_mutex_lock(&w->c->lock);
		list_remove(&w->c->workers, &w->node);
		pthread_mutex_unlock(&w->c->lock);
	}
	if (w->nudge)
		w->nudge->worker = NULL;
	if (w->patience)
		event_free(w->patience);
	if (w->announce_limit)
		event_free(w->announce_limit);
	l2_free(w->l2);
	mem_free(w);
}
