/*
 * takeover.h - the other end of an upgrade: this process was started to replace the one that holds the link (handover.h).
 *
 * All of it belongs to the control thread.
 */
#ifndef SUIMON_TAKEOVER_H
#define SUIMON_TAKEOVER_H

#include <stdbool.h>

#include "rc.h"

/* Before any socket is opened, and when session numbers have their first: takes what the former process sends first. RC_ERROR: the link broke (logged). */
enum rc takeover_begin(void) must_check;
bool takeover_is_one(void); /* this process was started so, and does not serve yet */
/* The former process' socket of that name (handover.h), -1: it had none; the caller's. */
int takeover_socket(const char *name);
/* All but queue, HTTP and accepting runs: says so when the servers answer, and serves when it is told to. */
enum rc takeover_wait(void) must_check;
/* Two processes of an instance keep each other's memory right by one Redis, or not at all. What names it for the other one
 * (cache_bus_id); 0: this one hears of nothing, or of less than there is. */
uint64_t takeover_bus(void);
bool takeover_rests_beside(uint64_t bus); /* a process that tells there */
bool takeover_rests_beside_former(void);
void takeover_drain(void); /* the former one ends, too */
/* This one's own successor is about to serve, or is not after all and has ended: until then the former one does not serve in this one's place. */
void takeover_yielding(bool yields);
enum rc takeover_pass_on(int link) must_check; /* to a successor: how to know that those before this process have ended */
void takeover_succeeded(void); /* its own successor serves: the former one has no use for the sockets any more */
struct fleet;
enum rc takeover_shared(struct fleet *f) must_check; /* fleet_first with what the former process has; f NULL: no use for it. RC_ERROR: this one must not replace it (logged) */
void takeover_reloaded(void); /* the file was taken anew: sessions of the former process are to have it, too */
void takeover_end(void);

#endif
