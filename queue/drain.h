/*
 * drain.h - the thread that applies what is durable, in order, and tells those who wait.
 *
 *   engine.next → a batch (up to batch_rows, or what came within batch_wait) → applier_run → on_applied →
 *   engine.applied → the applied position moves → waiters are posted
 */
#ifndef SUIMON_DRAIN_H
#define SUIMON_DRAIN_H

#include "dead.h"
#include "deadtable.h"
#include "engine.h"
#include "qdir.h"
#include "queue.h"
#include "waits.h"

struct drain;

struct drain_parts {
	const struct qdir *dir; /* not owned, none of them; all outlive the drain. NULL: the engine has no directory */
	uint8_t id[QUEUE_ID_BYTES];
	struct queue_engine *engine;
	struct dead *dead;
	struct deadtable *table; /* instead of dead: other processes may apply this, one at a time (drain_want) */
	struct waits *waits;     /* whoever is in it is in a hurry */
	void (*moved)(void *arg); /* the applied position has moved; the drain's thread, no lock held */
	void *moved_arg;
	struct stats_sink *sink;      /* the drain's thread's own; NULL: not counted */
	struct qdir_checkpoint known; /* of an earlier run */
	bool paused;
};

struct drain *drain_new(const struct drain_parts *parts,
			const struct queue_options *opt) must_check; /* NULL: no memory */
enum rc drain_start(struct drain *d) must_check;
void drain_end(struct drain *d, uint64_t until_ns);  /* it begins to end: for those that are to end together */
void drain_stop(struct drain *d, uint64_t until_ns); /* ends the thread, notes how far it has come; a batch may take until then */
void drain_free(struct drain *d); /* NULL is allowed */

/* Any thread. */
void drain_wake(void *drain); /* there is more to do */
void drain_tune(struct drain *d, const struct queue_options *opt);
void drain_set_paused(struct drain *d, bool paused); /* false also ends a halt */
void drain_hurry(struct drain *d);
/* The one record that all wait for, or that has halted them, becomes a dead letter. RC_DECLINED: it is not the one. */
enum rc drain_bury(struct drain *d, uint64_t seq) must_check;
void drain_log_in_anew(struct drain *d);   /* behind what is under way */
void drain_primary_moved(struct drain *d); /* what is under way at the former one is broken off */
uint64_t drain_applied(struct drain *d); /* of those of this process, if others apply, too: UINT64_MAX when all are */
void drain_follow(struct drain *d, uint64_t seq); /* all up to seq are applied: whoever waits for that hears of it */
void drain_nudge(struct drain *d);       /* somebody waits: no batch is worth waiting to fill */
void drain_totals(struct drain *d, struct queue_totals *out);

/* Of a queue that other processes apply, too. Any thread. */
void drain_want(struct drain *d, bool wanted); /* it is to be applied here, if nobody else does; from the start it is not */
bool drain_wanted(struct drain *d);
bool drain_holds(struct drain *d); /* it is applied here */
struct queue_engine *drain_engine(struct drain *d);
void drain_observe(struct drain *d, uint64_t applied); /* so far others have come */
void drain_note_own(struct drain *d, struct span tables); /* a record that writes these is about to be appended */

#endif
