/*
 * process.h - one running suimon: the instance that layers below know, and what only the process has around it.
 *
 *   process_run   start.c   make the parts, start the threads, run the control loop, take all down
 *   process_reload  reload.c  SIGHUP and POST /api/config/reload
 *   process_drain   drain.c   SIGTERM and SIGINT
 *
 * All of it belongs to the control thread.
 */
#ifndef SUIMON_PROCESS_H
#define SUIMON_PROCESS_H

#include "admin.h"
#include "advise.h"
#include "instance.h"
#include "listener.h"
#include "monitor.h"

/* The contract's exit codes. */
enum { EXIT_FINE = 0, EXIT_CONFIG = 1, EXIT_START = 2, EXIT_FATAL = 3 };

#define PROCESS_LISTENERS_MOST 16 /* as listen.mysql takes */

struct process {
	struct instance in;
	const char *file, *primary; /* from the command line; either may be NULL */
	struct listener *listeners[PROCESS_LISTENERS_MOST];
	size_t nlisteners;
	struct admin *admin;
	struct monitor *monitor;
	struct advise *advise;
	struct stats_sink *sink;    /* the control thread's */
	struct event *on_term, *on_int, *on_hup;
	size_t next_worker;         /* gets the next client */
	size_t undrained;           /* workers that still have sessions */
};

extern struct process process; /* one a process: signal handlers and worker callbacks find it here */

/* Runs until drained. file, primary: the configuration's file and --primary, one may be NULL. Returns an exit code. */
int process_run(const char *file, const char *primary);

/*
 * Takes the configuration's file again, all of it or nothing. why: gets a line for each fault. Returns RC_ERROR where
 * it was refused. The signature is admin_hooks' (arg is not used).
 */
enum rc process_reload(void *arg, struct iobuf *why);

/* Stops accepting, lets transactions finish up to drain_timeout, then stops the loop; a second call exits at once. */
void process_drain(void);

/* What each part takes from the settings, at start and at a reload. */
void process_log_setup(const struct settings *s); /* and from SUIMON_DEBUG */
struct stats_options process_stats_options(const struct settings *s);
struct cache_options process_cache_options(const struct settings *s);
struct queue_options process_queue_options(const struct settings *s);

#endif
