/*
 * ticker.h - a background thread that works, sleeps until its next turn, and can be woken or stopped in its sleep.
 */
#ifndef SUIMON_TICKER_H
#define SUIMON_TICKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rc.h"

struct ticker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool started;
	bool woken;            /* under lock */
	_Atomic bool stopping; /* written under lock */
	void (*run)(void *arg);
	void *arg;
};

void ticker_init(struct ticker *t);
void ticker_reset(struct ticker *t); /* stopped before */
/* Starts the thread, as sigthread_start. RC_ERROR: no thread to be had. */
enum rc ticker_start(struct ticker *t, const char *name, void (*run)(void *arg), void *arg) must_check;
/* The thread's own: sleeps until the monotonic time until_ns or ticker_wake. False: stop now. */
bool ticker_sleep(struct ticker *t, uint64_t until_ns) must_check;
void ticker_wake(struct ticker *t);     /* any thread; a wake before the sleep counts too */
void ticker_ask_stop(struct ticker *t); /* any thread; does not wait */
void ticker_stop(struct ticker *t);     /* asks and waits for the thread's end; idempotent */

static inline bool ticker_stopping(struct ticker *t)
{
	return atomic_load_explicit(&t->stopping, memory_order_acquire);
}

#endif
