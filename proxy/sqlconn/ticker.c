#include "ticker.h"

#include <signal.h>

#include "clock.h"

void ticker_init(struct ticker *t)
{
	pthread_condattr_t attr;

	*t = (struct ticker){0};
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->cond, &attr);
	pthread_condattr_destroy(&attr);
}

void ticker_reset(struct ticker *t)
{
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->lock);
}

static void *thread_main(void *arg)
{
	struct ticker *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	t->run(t->arg);
	return NULL;
}

enum rc ticker_start(struct ticker *t, const char *name, void (*run)(void *arg), void *arg)
{
	sigset_t all, old;

	t->name = name;
	t->run = run;
	t->arg = arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	t->started = pthread_create(&t->thread, NULL, thread_main, t) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return t->started ? RC_OK : RC_ERROR;
}

bool ticker_sleep(struct ticker *t, uint64_t until_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(until_ns / NS_PER_SEC), .tv_nsec = (long)(until_ns % NS_PER_SEC)};

	pthread_mutex_lock(&t->lock);
	while (!ticker_stopping(t) && !t->woken && clock_mono_ns() < until_ns)
		pthread_cond_timedwait(&t->cond, &t->lock, &ts);
	t->woken = false;
	pthread_mutex_unlock(&t->lock);
	return !ticker_stopping(t);
}

void ticker_wake(struct ticker *t)
{
	pthread_mutex_lock(&t->lock);
	t->woken = true;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

void ticker_ask_stop(struct ticker *t)
{
	pthread_mutex_lock(&t->lock);
	atomic_store_explicit(&t->stopping, true, memory_order_release);
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

void ticker_stop(struct ticker *t)
{
	ticker_ask_stop(t);
	if (t->started)
		pthread_join(t->thread, NULL);
	t->started = false;
}
