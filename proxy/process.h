/*
 * process.h - one running suimon: the instance that layers below know, and what only the process has around it.
 *
 *   process_run   start.c   make the parts, start the threads, run the control loop, take all down
 *   process_reload  reload.c  SIGHUP and POST /api/config/reload
 *   process_term    drain.c   SIGTERM and SIGINT
 *   process_upgrade upgrade.c SIGUSR2; takeover.c is the new process' side of it; failed.c and rest.c what follows where it fails
 *
 * All of it belongs to the control thread.
 */
#ifndef SUIMON_PROCESS_H
#define SUIMON_PROCESS_H

#include "admin.h"
#include "advise.h"
#include "emf.h"
#include "fleet.h"
#include "follow.h"
#include "handover.h"
#include "instance.h"
#include "listener.h"
#include "log.h"
#include "monitor.h"

/* The contract's exit codes. */
enum { EXIT_FINE = 0, EXIT_CONFIG = 1, EXIT_START = 2, EXIT_FATAL = LOG_EXIT_FATAL };

#define PROCESS_LISTENERS_MOST 16 /* as listen.mysql takes */

struct process {
	struct instance in;
	char **argv;                /* the command line */
	const char *file, *primary; /* from it; either may be NULL */
	struct listener *listeners[PROCESS_LISTENERS_MOST];
	char listener_names[PROCESS_LISTENERS_MOST][HANDOVER_WORD - 8]; /* as handover.h says */
	size_t nlisteners;
	char http_name[HANDOVER_WORD - 8];
	struct admin *admin;
	struct monitor *monitor;
	struct advise *advise;
	struct emf *emf;
	struct follow *follow;      /* NULL: cache.binlog is off, or there is no cache */
	struct fleet *fleet;        /* NULL: no config.source */
	struct stats_sink *sink;    /* the control thread's */
	struct event *on_term, *on_int, *on_hup, *on_usr2;
	size_t next_worker;         /* gets the next client */
	uint64_t drain_deadline_ns; /* monotonic; once draining */
	uint64_t lead_end_ns;       /* until then clients are accepted yet */
	size_t undrained;           /* workers that still have sessions */
	unsigned doubts;            /* writes of which the drained workers do not know the outcome (doubt.h) */
};

extern struct process process; /* one a process: signal handlers and worker callbacks find it here */

/* Runs until drained. argv: the command line, kept; file, primary: the configuration's file and --primary, one may be NULL.
 * Returns an exit code. */
int process_run(char **argv, const char *file, const char *primary);
enum rc process_serve(void) must_check; /* the last step of a start: queue, HTTP, clients */
/* A listener that was given up for good listens again where it did, at rest. */
enum rc process_listen_again(size_t listener) must_check;
/* Serves HTTP. fd: a socket that listens for it, taken; -1: as listen.http says. */
enum rc process_open_http(int fd) must_check;

/*
 * Takes the configuration's file again, with what of config.source is in force, all of it or nothing. why: gets a line for each fault. Returns RC_ERROR where
 * it was refused. The signature is admin_hooks' (arg is not used).
 */
enum rc process_reload(void *arg, struct iobuf *why);
void process_reload_said(void); /* the same for nobody who waits for the faults: the log has them */
/* The same, since another process of an upgrade has taken it. pass_on: tells those that it did not hear it from. RC_ERROR: refused. */
enum rc process_reload_heard(void (*pass_on)(void)) must_check;
enum rc process_take_shared(const struct settings_shared *doc, struct iobuf *why); /* the same with another one of config.source */
/* A refused configuration: a line of the log for each line of why. */
void process_log_refusal(const char *text, const struct iobuf *why);
struct settings *process_load_again(const struct settings_shared *shared, struct iobuf *why); /* behind the start. NULL: why says */

/* /readyz turns; a little later it stops accepting, lets transactions finish up to drain_timeout, then stops the loop; a second call
 * changes nothing. */
void process_drain(void);
void process_term(void); /* the same for a signal: the second one exits at once */

/* Another process has changed schema, accounts and rights, perhaps: accounts are put to a server before they are believed, the schema is read
 * again within seconds. */
void process_doubt_all(void);

/* Starts the program anew as this process' successor; nothing where one is under way. */
void process_upgrade(void);
void upgrade_cancel(void); /* one that is under way; this process ends */
bool upgrade_has_successor(void); /* another process serves, or is about to */
void upgrade_leave_sockets(void); /* they and their paths are the successor's for good */
void upgrade_reloaded(void); /* the file was taken anew: whoever is about to serve takes it, too */
void upgrade_end(void);

/* What each part takes from the settings, at start and at a reload. */
void process_log_setup(const struct settings *s); /* and from SUIMON_DEBUG */
struct stats_options process_stats_options(const struct settings *s);
struct cache_options process_cache_options(const struct settings *s);
struct queue_options process_queue_options(const struct settings *s);

#endif
