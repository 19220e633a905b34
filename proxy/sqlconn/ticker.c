#include "ticker.h"

#include "clock.h"
#include "sigthread.h"

/* On Linux none of it can fail. */
void ticker_init(struct ticker *t)
{
	*t = (struct ticker){0};
	pthread_mutex_init(&t->lock, NULL);
	(void)!sigthread_cond_init(&t->cond);
}

void ticker_reset(struct ticker *t)
{
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->lock);
}

static void *thread_main(void *arg)
{
	struct ticker *t = arg;

	t->run(t->arg);
	return NULL;
}

enum rc ticker_start(struct ticker *t, const char *name, void (*run)(void *arg), void *arg)
{
	t->run = run;
	t->arg = arg;
	t->started = sigthread_start(&t->thread, name, thread_main, t) == RC_OK;
	return t->started ? RC_OK : RC_ERROR;
}

bool ticker_sleep(struct ticker *t, uint64_t until_ns)
{
	pthread_mutex_lock(&t->lock);
	while (!ticker_stopping(t) && !t->woken && clock_mono_ns() < until_ns)
		sigthread_wait_until(&t->cond, &t->lock, until_ns);
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
