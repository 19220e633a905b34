/*
 * supervisor.h - what systemd, or whatever speaks its protocol, is told and asked: sockets handed over at the start,
 * readiness, reloads, the stop, and a watchdog.
 *
 * Source: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3). Without such a supervisor every call is empty. All of it
 * belongs to the control thread.
 */
#ifndef SUIMON_SUPERVISOR_H
#define SUIMON_SUPERVISOR_H

#include <stdint.h>

#include "instance.h"
#include "iobuf.h"
#include "rc.h"

/* Before any socket is opened: takes over the descriptors of LISTEN_FDS. RC_ERROR: one of them cannot be served (logged). */
enum rc supervisor_begin(void) must_check;
/* A socket that was handed over, -1 when there is none left; the caller's from now on. */
int supervisor_client_socket(void);
int supervisor_http_socket(void);

/* The instance serves. Starts the watchdog, if one is asked for: it is fed while control loop and all workers turn. */
enum rc supervisor_ready(struct instance *in) must_check;
void supervisor_reloading(void); /* until supervisor_reloaded */
/* The reload is over. refused: the faults, a line each, of which the status has the first; NULL: it was taken. */
void supervisor_reloaded(const struct iobuf *refused);
void supervisor_stopping(uint64_t timeout_ns); /* the drain has begun and takes at most so long */
/* An upgrade: the process pid is the main one from now on, and this one says no more. */
void supervisor_move(int64_t pid);
void supervisor_become(void); /* this process is the main one, if it was not: supervisor_ready */
void supervisor_regain(void); /* after supervisor_move: that process has ended, this one is the main one again */
void supervisor_end(void);

#endif
