/*
 * qthread.h - the queue's own threads: no loop, because they block on the disk and on the database by design.
 */
#ifndef SUIMON_QTHREAD_H
#define SUIMON_QTHREAD_H

#include <pthread.h>
#include <stdint.h>

#include "rc.h"

/* Signals are blocked in it. name: a literal of at most 15 bytes. */
enum rc qthread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg) must_check;
/* A condition whose time is monotonic. */
enum rc qthread_cond_init(pthread_cond_t *cond) must_check;
/* Waits until signalled or until the monotonic time until_ns. */
void qthread_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns);

#endif
