/*
 * instance.h - what all threads of one suimon share. Made by main, read by workers and by the admin interface.
 */
#ifndef SUIMON_INSTANCE_H
#define SUIMON_INSTANCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "account.h"
#include "cache.h"
#include "catalog.h"
#include "lease.h"
#include "limit.h"
#include "lockers.h"
#include "loop.h"
#include "queue.h"
#include "settings.h"
#include "stats.h"
#include "throttle.h"
#include "topology.h"

struct otlp;
struct worker;
struct login_key;

/* Does memory rest (nothing is answered from it, nothing stored), and of which writes does nobody tell? */
enum cache_rest {
	CACHE_RESTS_NOT,
	CACHE_RESTS_BESIDE, /* another process' that lives */
	CACHE_RESTS_BEHIND, /* those of one that has ended, to which a server may still be at (rest.h): what it acknowledged is from before */
};

struct instance {
	pthread_mutex_t settings_lock;
	struct settings *settings;       /* the present ones; a reference; take one with instance_settings */
	struct loop *control;            /* main thread's */
	struct topology *topology;
	struct accounts *accounts;
	struct catalog *catalog;
	struct stats *stats;
	struct otlp *otlp;
	struct cache *cache;             /* NULL: switched off */
	struct queue *queue;             /* NULL: no rule asks for it */
	struct login_key *login_key;
	struct throttle *throttle;
	struct limits *limits;
	struct worker **workers;
	size_t nworkers;
	_Atomic uint64_t next_session;
	_Atomic uint32_t sessions;       /* open, all workers */
	_Atomic uint32_t position_waiters; /* requests that wait to be told where the primary is */
	_Atomic bool own_tracking;       /* somebody changed what the server reports by default: each session has it its own way */
	_Atomic bool secure_only;        /* somebody set require_secure_transport: clients without TLS are refused */
	_Atomic bool draining;
	_Atomic enum cache_rest cache_rests; /* no answer from memory (C1) */
	_Atomic bool retiring;           /* another process has taken over: the gauges are that one's */
	_Atomic bool has_former;         /* the process that this one took over from has sessions yet */
	struct cache_slots drain_writes; /* the drain's thread's: what it has announced */
	pthread_mutex_t drain_lock;
	struct gtid_pos drain_pos;       /* of the last batch the queue's drain committed; under drain_lock */
	uint64_t drain_unknown_ns;       /* when it committed a batch whose position the server did not tell; likewise */
	struct lockers lockers;          /* of the servers' threads that locks are about */
	uint64_t started_ns;
	uint64_t salt;                   /* this process's own, for what means nothing to another */
};

struct settings *instance_settings(struct instance *in) must_check; /* a reference; any thread */
void instance_put_settings(struct instance *in, struct settings *s); /* takes the reference over */

/* How long after a write of unknown position replicas are distrusted (nanoseconds). */
uint64_t instance_lag_window(const struct settings *s);

#endif
