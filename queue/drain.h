/*
 * drain.h - the thread that applies what is durable, in order, and tells those who wait.
 *
 *   engine.next → a batch (up to batch_rows, or what came within batch_wait) → applier_run → on_applied →
 *   engine.applied → the applied position moves → waiters are posted
 */
#ifndef SUIMON_DRAIN_H
#define SUIMON_DRAIN_H

#include "dead.h"
#include "engine.h"
#include "qdir.h"
#include "queue.h"

struct drain;

struct drain_parts {
	const struct qdir *dir; /* not owned, none of them; all outlive the drain */
	struct queue_engine *engine;
	struct dead *dead;
	struct stats_sink *sink;      /* the drain's thread's own; NULL: not counted */
	struct qdir_checkpoint known; /* of an earlier run */
	bool paused;
};

struct drain *drain_new(const struct drain_parts *parts,
			const struct queue_options *opt) must_check; /* NULL: no memory */
enum rc drain_start(struct drain *d) must_check;
void drain_stop(struct drain *d); /* ends the thread, posts every waiter, notes how far it has come */
/* The same for a queue that another process takes over: whoever waits goes on waiting, for drain_follow. */
void drain_hand_over(struct drain *d);
void drain_free(struct drain *d); /* NULL is allowed */

/* Any thread. */
void drain_wake(void *drain); /* there is more to do */
void drain_tune(struct drain *d, const struct queue_options *opt);
void drain_set_paused(struct drain *d, bool paused); /* false also ends a halt */
void drain_hurry(struct drain *d);
uint64_t drain_applied(struct drain *d);
void drain_follow(struct drain *d, uint64_t seq); /* all up to seq are applied: posts who waits for that */
enum rc drain_wait(struct drain *d, struct queue_waiter *w) must_check;
bool drain_wait_cancel(struct drain *d, struct queue_waiter *w);
void drain_totals(struct drain *d, struct queue_totals *out);

#endif
