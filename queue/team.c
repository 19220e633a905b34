/*
 * team.c - see team.h.
 */
#include "team.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "mem.h"
#include "sigthread.h"

struct team *team_new(unsigned n, const uint8_t id[QUEUE_ID_BYTES], struct dead *dead)
{
	struct team *p = mem_zalloc(sizeof(*p) + n * sizeof(p->worker[0]));

	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->done, NULL);
	p->n = n;
	for (unsigned i = 0; i < n; i++) {
		p->worker[i].team = p;
		applier_init(&p->worker[i].applier, id, shares_shard(n, i), dead);
	}
	return p;
}

static bool wait_for_work(struct team_worker *w)
{
	bool go;

	pthread_mutex_lock(&w->team->lock);
	while (!w->busy && !w->team->stopping)
		pthread_cond_wait(&w->team->work, &w->team->lock);
	go = w->busy;
	pthread_mutex_unlock(&w->team->lock);
	return go;
}

static void *team_loop(void *arg)
{
	struct team_worker *w = arg;

	mysql_thread_init();
	while (wait_for_work(w)) {
		uint64_t start = clock_mono_ns();

		w->result = applier_run(&w->applier, w->items, w->n);
		w->took_ns = clock_mono_ns() - start;
		pthread_mutex_lock(&w->team->lock);
		w->busy = false;
		pthread_cond_signal(&w->team->done);
		pthread_mutex_unlock(&w->team->lock);
	}
	mysql_thread_end();
	return NULL;
}

enum rc team_start(struct team *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct team_worker *w = &p->worker[i];

		if (sigthread_start(&w->thread, "queue-apply", team_loop, w) != RC_OK)
			return RC_ERROR;
		w->started = true;
	}
	return RC_OK;
}

void team_stop(struct team *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	team_interrupt(p);
	for (unsigned i = 0; i < p->n; i++) {
		if (p->worker[i].started)
			pthread_join(p->worker[i].thread, NULL);
		p->worker[i].started = false;
	}
}

static void clear(struct team_worker *w)
{
	for (size_t i = 0; i < w->n; i++)
		mem_free(w->items[i].error);
	w->n = 0;
}

void team_clear(struct team *p)
{
	for (unsigned i = 0; i < p->n; i++)
		clear(&p->worker[i]);
}

void team_free(struct team *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n; i++) {
		clear(&p->worker[i]);
		applier_reset(&p->worker[i].applier);
		mem_free(p->worker[i].items);
	}
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
	mem_free(p);
}

/* Not only must it be the same server: what it says of this share must be what it said just now. */
static enum rc connect_one(struct team_worker *w, const struct queue_target *target, const struct applier *main,
			   const struct shares *shares, char *reason, size_t cap)
{
	struct applier *a = &w->applier;
	uint64_t known = shares_of(shares, a->position.shard);

	a->position.guarded = main->position.guarded;
	a->position.epoch = main->position.epoch;

	if (applier_connect(a, target, main->position.seq) != RC_OK) {
		snprintf(reason, cap, "%s", a->reason);
		return RC_ERROR;
	}
	if (strcmp(a->conn.server, main->conn.server) == 0 &&
	    (a->position.seq == known || (!known && a->position.seq <= main->position.seq)))
		return RC_OK;
	snprintf(reason, cap, "the primary has changed while its connections were made");
	return RC_ERROR;
}

enum rc team_connect(struct team *p, const struct queue_target *target, const struct applier *main,
		     const struct shares *shares, char *reason, size_t cap)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (connect_one(&p->worker[i], target, main, shares, reason, cap) == RC_OK)
			continue;
		team_disconnect(p);
		return RC_ERROR;
	}
	return RC_OK;
}

void team_disconnect(struct team *p)
{
	for (unsigned i = 0; i < p->n; i++)
		applier_disconnect(&p->worker[i].applier);
}

void team_interrupt(struct team *p)
{
	for (unsigned i = 0; i < p->n; i++)
		dbconn_interrupt(&p->worker[i].applier.conn);
}

enum rc team_give(struct team_worker *w, const struct apply_item *it)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 64;
		struct apply_item *grown = mem_realloc(w->items, cap * sizeof(*grown));

		if (!grown)
			return RC_ERROR;
		w->items = grown;
		w->cap = cap;
	}
	w->items[w->n++] = *it;
	return RC_OK;
}

void team_run(struct team_worker *w)
{
	pthread_mutex_lock(&w->team->lock);
	w->busy = true;
	pthread_cond_broadcast(&w->team->work);
	pthread_mutex_unlock(&w->team->lock);
}

static bool any_busy(const struct team *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (p->worker[i].busy)
			return true;
	}
	return false;
}

void team_wait(struct team *p)
{
	pthread_mutex_lock(&p->lock);
	while (any_busy(p))
		pthread_cond_wait(&p->done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}
