/*
 * drain_impl.h - the drain's state, shared by drain.c (its face to other threads) and drainloop.c (its thread).
 */
#ifndef SUIMON_DRAIN_IMPL_H
#define SUIMON_DRAIN_IMPL_H

#include <pthread.h>

#include "apply.h"
#include "drain.h"

#define DRAIN_RATE_SECONDS 10
#define DRAIN_BATCH_MAX 10000u /* rows, whatever the configuration says */

struct drain {
	struct drain_parts parts;
	pthread_t thread;
	bool started;

	/* The drain's thread's. */
	struct applier applier;
	struct apply_item *items; /* owned; items_cap of them */
	size_t items_cap, count;  /* loaded */
	size_t next;              /* of them, not applied yet */
	size_t part;              /* most to apply at once, after the server undid a whole batch; 0: all */
	struct iobuf arena;       /* their bodies */
	struct iobuf tables;      /* what a batch wrote, for on_applied */
	bool need_seek;           /* the engine's place is not behind what is loaded */
	uint64_t announced_seq;   /* on_applied was called up to here */
	bool connected_once;
	unsigned failures;      /* in a row */
	uint64_t checkpoint_ns; /* when it was written last */
	double tokens;          /* of the rate limit */
	uint64_t tokens_ns;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	uint64_t batch_rows, batch_wait_ns, rate;
	struct queue_hooks hooks;
	bool stopping, ended, paused, hurry;
	bool kicked;            /* wakes it from any sleep */
	bool woken;             /* there are more records */
	enum queue_state state; /* RUNNING, WAITING, HALTED; the others are derived */
	char reason[256];
	uint64_t applied_seq;
	uint64_t oldest_us; /* when the oldest record not applied was accepted; 0: not known */
	struct list waiters;
	uint64_t applied, dead, retries, batches, last_batch_rows;
	uint64_t rate_count[DRAIN_RATE_SECONDS], rate_second[DRAIN_RATE_SECONDS];
};

/* drainloop.c */
void *drain_loop(void *arg);
void drain_set_state(struct drain *d, enum queue_state state, const char *reason);
void drain_nap(struct drain *d, uint64_t ns); /* until there is news for the thread, or ns have passed */
void drain_back_off(struct drain *d);         /* longer from failure to failure */

/* drainload.c */
void drain_load_batch(struct drain *d);   /* into items; none: the rate, or nothing is there */
void drain_drop_items(struct drain *d);   /* they are done with */
void drain_forget_batch(struct drain *d); /* they are to be loaded again */

#endif
