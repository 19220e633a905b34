/*
 * worker.h - one thread: its loop, its sessions, its server connections, its part of cache and statistics.
 */
#ifndef SUIMON_WORKER_H
#define SUIMON_WORKER_H

#include <stdatomic.h>

#include "channel.h"
#include "instance.h"
#include "known.h"
#include "lease.h"
#include "login_key.h"
#include "pool.h"
#include "statement.h"

struct session;

struct doubts { struct list list; unsigned n; }; /* doubt.h */

/* What other threads tell a worker: a letter of each kind is part of it, so that none is lost for want of memory. */
enum worker_letter { WORKER_RELOAD, WORKER_MOVED, WORKER_PRIMARY_AT, WORKER_DRAIN, WORKER_STOP, WORKER_LETTERS };

struct worker {
	struct instance *in;
	unsigned index;
	struct loop *loop;
	struct channel_scratch *scratch;
	struct lease_pool *leases;
	struct cache_worker *cache;      /* NULL: no cache */
	struct stats_sink *sink;
	struct listed *listed;           /* owned; NULL where memory was short: loops are told by their counts */
	struct statements statements;
	struct known known;              /* texts of hits */
	struct settings *settings;       /* this worker's reference; replaced by mail at a reload */
	uint64_t settings_serial;        /* changes with settings; never 0 */
	struct list sessions;
	uint64_t mode_reading; /* of the catalog, whose sql_mode the worker has taken over */
	struct login_key_wait key_wait;
	struct doubts doubts;            /* writes whose outcome is not known */
	struct pool *session_pool, *request_pool;
	struct event *tick;
	struct iobuf tmp;                /* short-lived text: keys, SQL made by suimon */
	struct queued_parts { struct iobuf sql, ends, tables, key; } parts; /* queued.c: what a record's spans point into, while it is appended */
	bool tracked;                    /* the primary reports session state */
	bool follow_ups_seen;            /* somebody uses FOUND_ROWS() or ROW_COUNT(): connections are kept for it, and asked (lease_left.c) */
	bool insert_ids_seen;            /* ... LAST_INSERT_ID(): what a procedure may have set it to is asked, too */
	bool lastvals_seen;              /* ... LASTVAL(): who uses a sequence keeps its connection, which alone knows */
	struct letter { struct mail mail; struct worker *worker; atomic_bool posted; } letters[WORKER_LETTERS]; /* of other threads */
	_Atomic uint64_t drain_posted_ns; /* the deadline that WORKER_DRAIN brings */
	bool draining;
	uint64_t drain_deadline_ns;
	void (*drained)(struct worker *w); /* all sessions are gone after worker_drain */
};

struct worker *worker_new(struct instance *in, unsigned index) must_check;
/* What the settings say of connections to servers. */
struct lease_limits worker_limits(const struct settings *s);
enum rc worker_start(struct worker *w) must_check;
void worker_stop(struct worker *w); /* closes all it has and waits for its thread */
void worker_free(struct worker *w); /* after worker_stop, or before worker_start */

/* Any thread: fd becomes a session of this worker. peer is copied. */
void worker_adopt(struct worker *w, int fd, const char *peer);
void worker_reload(struct worker *w);   /* any thread: take the instance's settings */
void worker_primary_moved(struct worker *w); /* any thread: what waits for the old one asks the new one */
void worker_primary_at(struct worker *w);    /* any thread: the primary's position is known anew */
void worker_drain(struct worker *w, uint64_t deadline_ns); /* any thread: end sessions as they become free, all by the deadline */

/* Runs fn(w, arg) on the thread of every worker, then done(arg) on the control loop. Any thread. false: out of memory. */
bool workers_each(struct instance *in, void (*fn)(struct worker *w, void *arg), void (*done)(void *arg), void *arg) must_check;

/* One line of /api/clients. Worker's thread; spans are valid during the call. */
struct session_view {
	uint64_t id;
	struct span user, schema;
	const char *peer, *state, *pinned, *backend;
	struct span statement;  /* running now; normalised */
	double age, idle;       /* seconds */
	bool in_transaction;
	uint64_t prepared;
};
void worker_view_sessions(struct worker *w, void (*fn)(void *arg, const struct session_view *v), void *arg);

#endif
