/*
 * cache_impl.h - what cache*.c share.
 */
#ifndef SUIMON_CACHE_IMPL_H
#define SUIMON_CACHE_IMPL_H

#include <pthread.h>

#include "bus.h"
#include "cache.h"
#include "flight.h"
#include "l2.h"
#include "list.h"
#include "loop.h"
#include "redis_url.h"
#include "rkey.h"
#include "store.h"
#include "tables.h"
#include "versions.h"

struct cache {
	struct versions *versions; /* owned */
	struct store *store;       /* owned */
	struct tables *tables;     /* owned */
	struct flights flights;
	struct redis_url url;      /* empty without Redis */
	struct rkeys keys;         /* with Redis */
	uint64_t bus_id;
	struct bus *bus;           /* owned; NULL without Redis */
	struct stats *stats;
	struct stats_sink *control; /* the bus's */
	struct stats_sink *others;  /* of threads that have none; under lock */
	_Atomic uint64_t max_result, stale_ns;
	_Atomic uint64_t followed_until; /* bus_clock; CACHE_UNFOLLOWING: the primary's log is not asked for */
	void (*schema_changed)(void *arg); /* may be NULL */
	void *arg;
	uint64_t last_run;         /* of the control loop: what the workers were told of */
	pthread_mutex_t lock;
	struct list workers;       /* struct cache_worker.node; under lock */
	struct list nudges;        /* struct nudge.node, all ever made; under lock */
};

/* A mail to a worker. It outlives the worker, for it may be under way when that goes. */
struct nudge {
	struct mail mail;
	struct list_node node;
	struct cache_worker *worker; /* NULL: gone. The worker's thread only */
	_Atomic bool posted;
};

struct cache_worker {
	struct cache *c;
	struct loop *loop;
	struct stats_sink *sink;
	struct bus_view *view; /* the bus's; NULL without Redis */
	struct l2 *l2;         /* owned; NULL without Redis */
	struct nudge *nudge;   /* the cache's */
	struct list announcing; /* struct cache_announcement.node, by deadline */
	_Atomic bool announces; /* it is not empty */
	struct event *announce_limit; /* owned; the first deadline; NULL without Redis */
	struct list waiting, landed; /* struct cache_lookup.flight.mine: by deadline, and to be resumed; under the flights' lock */
	struct event *patience;      /* owned; looks after waiting */
	struct list_node node;
};

#define CACHE_UNFOLLOWING UINT64_MAX

/* Nothing can be missing of what the primary's log says. */
static inline bool cache_is_followed(const struct cache *c)
{
	uint64_t until = atomic_load_explicit(&c->followed_until, memory_order_acquire);

	return likely(until == CACHE_UNFOLLOWING) || until > bus_clock();
}

/* The counters stand in the order of the refusals. */
static inline enum stats_counter cache_refusal_counter(unsigned r)
{
	return (enum stats_counter)(STATS_C_CACHE_REFUSED_VERSION + (r - CACHE_REFUSED_VERSION));
}

void cache_worker_nudge(struct cache_worker *w); /* from any thread, while the worker is there */
void cache_resume_landed(struct cache_worker *w);
void cache_patience(evutil_socket_t fd, short what, void *worker);
void cache_bus_changed(void *cache); /* bus_options.changed */
void cache_announce_wake(struct cache_worker *w); /* the bus changed, or an announcement was acknowledged */
void cache_announce_limit(evutil_socket_t fd, short what, void *worker);

#endif
