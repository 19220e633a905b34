#include "supervisor.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "clock.h"
#include "log.h"
#include "process.h"
#include "worker.h"

#ifdef SUIMON_SYSTEMD
#include <systemd/sd-daemon.h>

#define SOCKETS_MOST 16
#define HTTP_NAME "http"        /* FileDescriptorName= of the socket that is for HTTP */
#define FEEDS_A_LIMIT 3         /* so often within the watchdog's limit: one late turn is not a death */
#define STOP_MARGIN_US 10000000 /* beyond drain_timeout: what hangs of queue, bus and former process ends within 8 s */

static struct {
	int clients[SOCKETS_MOST], nclients, taken;
	int http;
	struct event *feed;
	uint64_t feed_us;
	struct instance *in;
	bool asked; /* the workers are being asked whether they turn */
	bool late;  /* said so */
	bool is_main, moved;
} supervisor = {.http = -1};

static enum rc take_socket(int fd, const char *name)
{
	bool http = name && strcmp(name, HTTP_NAME) == 0;

	if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
		log_error("main", "a socket that was handed over is no listening stream socket: see ListenStream= of the unit", "name=%s",
			  name ? name : "");
		return RC_ERROR;
	}
	if ((http && supervisor.http >= 0) || supervisor.nclients == SOCKETS_MOST) {
		log_error("main", "more sockets were handed over than can be served", "allowed=\"%d for clients, 1 named http\"", SOCKETS_MOST);
		return RC_ERROR;
	}
	if (http)
		supervisor.http = fd;
	else
		supervisor.clients[supervisor.nclients++] = fd;
	return RC_OK;
}

enum rc supervisor_begin(void)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);
	enum rc rc = RC_OK;

	if (n < 0) {
		log_error("main", "the sockets that were handed over cannot be taken", "error=\"%s\"", strerror(-n));
		return RC_ERROR;
	}
	for (int i = 0; i < n && rc == RC_OK; i++)
		rc = take_socket(SD_LISTEN_FDS_START + i, names ? names[i] : NULL);
	for (int i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
	return rc;
}

int supervisor_client_socket(void)
{
	return supervisor.taken < supervisor.nclients ? supervisor.clients[supervisor.taken++] : -1;
}

int supervisor_http_socket(void)
{
	int fd = supervisor.http;

	supervisor.http = -1;
	return fd;
}

/* ---- the watchdog ---- */

static void turn(struct worker *w, void *arg)
{
	(void)w;
	(void)arg;
}

static void all_turn(void *arg)
{
	(void)arg;
	supervisor.asked = false;
	if (supervisor.late)
		log_info("main", "all workers turn again", NULL);
	supervisor.late = false;
	(void)sd_notify(0, "WATCHDOG=1");
}

static void on_feed(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {.tv_sec = (time_t)(supervisor.feed_us / 1000000), .tv_usec = (suseconds_t)(supervisor.feed_us % 1000000)};

	if (supervisor.asked && !supervisor.late) {
		supervisor.late = true;
		log_warn("main", "a worker has not turned for a third of the watchdog's limit", NULL);
	}
	/* A drain has a limit of its own, and its last mails would find no worker. */
	if (atomic_load(&supervisor.in->draining))
		(void)sd_notify(0, "WATCHDOG=1");
	else if (!supervisor.asked)
		supervisor.asked = workers_each(supervisor.in, turn, all_turn, NULL);
	(void)event_add(supervisor.feed, &tv);
}

static enum rc start_watchdog(struct instance *in)
{
	uint64_t limit_us;

	if (sd_watchdog_enabled(0, &limit_us) <= 0) /* the variable is a successor's, too */
		return RC_OK;
	supervisor.in = in;
	supervisor.feed_us = limit_us / FEEDS_A_LIMIT;
	supervisor.feed = evtimer_new(loop_base(in->control), on_feed, NULL);
	if (!supervisor.feed)
		return RC_ERROR;
	on_feed(-1, 0, NULL);
	log_info("main", "watchdog", "limit=%" PRIu64 "ms", limit_us / 1000);
	return RC_OK;
}

/* ---- what it is told ---- */

static void tell_serving(const struct instance *in)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=serving clients with %zu workers", in->nworkers);
}

enum rc supervisor_ready(struct instance *in)
{
	supervisor.is_main = true;
	if (start_watchdog(in) != RC_OK)
		return RC_ERROR;
	tell_serving(in);
	return RC_OK;
}

/* What others of the unit say counts, too: only the one that is meant speaks. */
static bool speaks(void)
{
	return supervisor.is_main && !supervisor.moved;
}

void supervisor_reloading(void)
{
	if (speaks())
		(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_ns() / 1000);
}

void supervisor_reloaded(const struct iobuf *refused)
{
	struct span first = refused ? span_of(iobuf_data(refused), iobuf_len(refused)) : span_of("", 0);
	const char *nl = first.len ? memchr(first.p, '\n', first.len) : NULL;
	char quoted[1024];

	if (!speaks())
		return;
	if (!refused) {
		tell_serving(&process.in);
		return;
	}
	if (nl)
		first.len = (size_t)(nl - first.p);
	(void)sd_notifyf(0, "READY=1\nSTATUS=the last reload was refused, and nothing has changed: %s",
			 first.len ? log_quote(quoted, sizeof(quoted), first) : "see the log");
}

void supervisor_stopping(uint64_t timeout_ns)
{
	if (speaks())
		(void)sd_notifyf(0, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%" PRIu64, timeout_ns / 1000 + STOP_MARGIN_US);
}

static void stop_watchdog(void)
{
	if (supervisor.feed)
		event_free(supervisor.feed);
	supervisor.feed = NULL;
}

void supervisor_move(int64_t pid)
{
	(void)sd_notifyf(0, "MAINPID=%" PRId64, pid);
	supervisor.moved = true;
	stop_watchdog();
}

void supervisor_become(void)
{
	if (supervisor.is_main)
		return;
	(void)sd_notifyf(0, "MAINPID=%" PRId64, (int64_t)getpid()); /* whoever should have said so may have died before */
	if (supervisor_ready(&process.in) != RC_OK)
		log_error("main", "the watchdog cannot be fed: out of memory", NULL);
}

void supervisor_regain(void)
{
	supervisor.moved = supervisor.is_main = false;
	supervisor_become();
}

void supervisor_end(void)
{
	stop_watchdog();
}

#else /* built without libsystemd */

enum rc supervisor_begin(void)
{
	if (!getenv("LISTEN_FDS"))
		return RC_OK;
	log_error("main", "sockets were handed over, but this build is without libsystemd: see suimon version", NULL);
	return RC_ERROR;
}

int supervisor_client_socket(void)
{
	return -1;
}

int supervisor_http_socket(void)
{
	return -1;
}

enum rc supervisor_ready(struct instance *in)
{
	(void)in;
	return RC_OK;
}

void supervisor_reloading(void)
{
}

void supervisor_reloaded(const struct iobuf *refused)
{
	(void)refused;
}

void supervisor_stopping(uint64_t timeout_ns)
{
	(void)timeout_ns;
}

void supervisor_move(int64_t pid)
{
	(void)pid;
}

void supervisor_become(void)
{
}

void supervisor_regain(void)
{
}

void supervisor_end(void)
{
}

#endif
