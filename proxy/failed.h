/*
 * failed.h - new processes that did not take over from this one, or died later, as long as they are there yet.
 *
 * One that was cancelled ends within drain_timeout, with the sessions that it may have had by then. Until it has ended it may write
 * (who waits for its end: rest.h), and hold the queue's directory and the sockets. One that hangs is killed: that has its limit.
 *
 * All of it belongs to the control thread.
 */
#ifndef SUIMON_FAILED_H
#define SUIMON_FAILED_H

#include <stdbool.h>
#include <sys/types.h>

#include "rc.h"

/* pid: this process' child. pidfd: its own from here on; -1: it cannot be had. served: clients may have come to it. There is room for it if
 * failed_full said so before it was started. */
void failed_add(pid_t pid, int pidfd, bool served);
bool failed_full(void);
bool failed_writes(void); /* one is there to which clients may have come */
enum rc failed_pass_on(int link) must_check; /* to a successor: how to know that they have ended (handover.h: eldest) */
void failed_end(void); /* nobody is left who would end what hangs: whoever is there is killed */

#endif
