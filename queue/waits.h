/*
 * waits.h - who waits until records are applied. Any thread.
 */
#ifndef SUIMON_WAITS_H
#define SUIMON_WAITS_H

#include <pthread.h>
#include <stdatomic.h>

#include "queue.h"

struct waits {
	pthread_mutex_t lock;
	struct list list;
	bool closed;      /* nobody waits any more */
	atomic_bool some; /* somebody waits */
};

void waits_init(struct waits *w);
void waits_destroy(struct waits *w);
/* RC_OK: nobody waits any more. RC_AGAIN: it will be posted by waits_move, or by waits_close. */
enum rc waits_add(struct waits *w, struct queue_waiter *who) must_check;
bool waits_cancel(struct waits *w, struct queue_waiter *who); /* true: it was still waiting */
void waits_move(struct waits *w, uint64_t applied);           /* posts those for this and less */
void waits_close(struct waits *w);                            /* posts all */

static inline bool waits_any(struct waits *w)
{
	return atomic_load_explicit(&w->some, memory_order_relaxed);
}

#endif
