/*
 * sigthread.h - threads without a loop of their own, and waiting in them by the monotonic clock.
 *
 * They take no signals: those are the main thread's, which may be leaving. What the processor raises for a fault stays deliverable.
 */
#ifndef SUIMON_SIGTHREAD_H
#define SUIMON_SIGTHREAD_H

#include <pthread.h>
#include <stdint.h>

#include "rc.h"

/* As pthread_create. */
int sigthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *arg), void *arg);
/* name: a literal of at most 15 bytes. */
enum rc sigthread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg) must_check;
/* A condition whose time is monotonic. */
enum rc sigthread_cond_init(pthread_cond_t *cond) must_check;
/* Waits until signalled or until the monotonic time until_ns. */
void sigthread_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns);

#endif
