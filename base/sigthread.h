/*
 * sigthread.h - a thread that takes no signals: they are the main thread's, which may be leaving.
 */
#ifndef SUIMON_SIGTHREAD_H
#define SUIMON_SIGTHREAD_H

#include <pthread.h>

/* As pthread_create. What the processor raises for a fault stays deliverable. */
int sigthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *arg), void *arg);

#endif
