/*
 * queue_impl.h - what a queue is made of, for queue.c, queue_open.c, queue_dead.c and queue_view.c.
 */
#ifndef SUIMON_QUEUE_IMPL_H
#define SUIMON_QUEUE_IMPL_H

#include "claims.h"
#include "dead.h"
#include "deadtable.h"
#include "drain.h"
#include "engine.h"
#include "filelog.h"
#include "iobuf.h"
#include "tally.h"
#include "qdir.h"
#include "queue.h"
#include "waits.h"

/* A stretch of tables with an order of its own. The file engine has one, others several. */
struct queue_lane {
	struct queue *q;
	struct queue_engine *engine; /* owned */
	struct drain *drain;         /* owned */
	struct tally tally;      /* of a shared queue */
	struct iobuf writing;        /* the tables of the batch it is about to apply; under the queue's hooks_lock */
};

/* What was in use before the directory was given up and taken back: other threads may be looking at it yet. */
struct queue_retired {
	struct queue_lane *lane; /* one; owned */
	struct dead *dead;       /* owned */
};

struct queue {
	struct queue_lane *_Atomic lane; /* owned */
	unsigned lanes;
	struct waits waits;
	struct stats_sink *front; /* counts what no lane takes, under front_lock; NULL: not counted */
	pthread_mutex_t front_lock;
	bool stopped;
	bool shared; /* other processes work it, too */

	/* One process's. */
	struct qdir dir;
	struct dead *_Atomic dead; /* owned */
	struct queue_retired *retired; /* owned */
	size_t nretired;
	_Atomic bool handed_over; /* to another process */

	/* Shared. */
	_Atomic uint64_t numbers; /* given, over all lanes */
	struct queue_hub *hub; /* owned */
	struct deadtable table;
	struct claims *claims;     /* owned */
	struct drain **drains;     /* owned; for claims */
	struct queue_hooks hooks;  /* as given; called by one lane at a time */
	pthread_mutex_t hooks_lock;
	struct iobuf writing;      /* of all lanes, under hooks_lock */
};

/* Appends and waits for the answer. RC_ERROR: not stored, or not known to be. */
enum rc queue_append_now(struct queue *q, const struct record *rec, uint64_t *seq) must_check;

#endif
