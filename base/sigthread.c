#include "sigthread.h"

#include <signal.h>

#include "clock.h"

int sigthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *arg), void *arg)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	sigset_t set, before;
	int err;

	sigfillset(&set);
	for (size_t i = 0; i < countof(faults); i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_BLOCK, &set, &before); /* inherited by the new thread */
	err = pthread_create(thread, attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

enum rc sigthread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg)
{
	if (sigthread_create(thread, NULL, run, arg) != 0)
		return RC_ERROR;
	pthread_setname_np(*thread, name);
	return RC_OK;
}

enum rc sigthread_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int error = pthread_condattr_init(&attr);

	if (error)
		return RC_ERROR;
	error = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!error)
		error = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return error ? RC_ERROR : RC_OK;
}

void sigthread_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(until_ns / NS_PER_SEC), .tv_nsec = (long)(until_ns % NS_PER_SEC)};

	pthread_cond_timedwait(cond, lock, &ts);
}
