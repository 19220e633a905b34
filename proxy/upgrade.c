/*
 * upgrade.c - SIGUSR2: a new process of the program takes over from this one, which serves the sessions it has to their end.
 *
 *   process_upgrade → start_successor → on_ready (accept no more, give the queue up) → on_serving → retire_tick …
 *   → process_drain, when no session is left or upgrade_timeout is over
 *
 * Until the new one says that it serves, whatever goes wrong with it leaves this one serving: serve_on. The queue and the file of
 * the statistics, which it may have given up, it takes back as soon as the other one has let go of them. So it does when the new one
 * dies later, while this one is there: on_successor_died. For that it keeps the sockets, at rest.
 *
 * A new one with another queue (queue.dir was changed, or its rules are gone) leaves this one its own: it applies that to the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "clock.h"
#include "failed.h"
#include "handover.h"
#include "log.h"
#include "mem.h"
#include "process.h"
#include "rest.h"
#include "successor.h"
#include "supervisor.h"
#include "takeover.h"
#include "worker.h"

#define START_LIMIT_S 60 /* from its start until it is ready */
#define RETIRE_TICK_MS 200
#define RETAKE_TICK_MS 100
#define RETAKE_SHARE 10  /* of the time between two attempts the last one took so much, at most */

enum stage {
	STAGE_NONE,      /* nobody is about to replace this process */
	STAGE_STARTING,  /* the new one starts */
	STAGE_SWITCHING, /* it was told to go ahead */
	STAGE_RETIRING,  /* it serves */
};

static struct {
	enum stage stage;
	int link;
	pid_t pid;            /* 0: none that is this process' business */
	int pidfd;            /* -1: it cannot be had */
	struct event *readable, *timer, *on_child;
	uint64_t bus;         /* the new one's */
	uint64_t queue;       /* its queue's place */
	bool queue_told;      /* ... which an older version does not say: it has ours */
	struct event *retake; /* while the queue is to be taken back */
	uint64_t deadline_ns; /* retiring: then the sessions that are left drain */
	int http;             /* a copy of the socket for HTTP; -1: it is the new one's business alone */
	bool left[PROCESS_LISTENERS_MOST]; /* the new one has no use for these listeners */
	bool yielding;        /* retiring: the new one's own successor may serve already, */
	bool succeeded;       /* and does; for good */
	bool settled;         /* no client that this process accepted is on its way to a worker any more */
} upgrade = {.link = -1, .pidfd = -1, .http = -1};

static void end_link(void)
{
	if (upgrade.readable)
		event_free(upgrade.readable);
	upgrade.readable = NULL;
	if (upgrade.link >= 0)
		close(upgrade.link);
	upgrade.link = -1;
}

static void forget_it(void)
{
	end_link();
	if (upgrade.pidfd >= 0)
		close(upgrade.pidfd);
	upgrade.pidfd = -1;
	upgrade.pid = 0;
}

/* It may be there yet, and is to end. */
static void await_its_end(bool served)
{
	if (upgrade.pid > 0)
		failed_add(upgrade.pid, upgrade.pidfd, served);
	upgrade.pidfd = -1;
	forget_it();
}

static void close_http(void)
{
	if (upgrade.http >= 0)
		close(upgrade.http);
	upgrade.http = -1;
}

static void stop_timer(void)
{
	if (upgrade.timer)
		event_free(upgrade.timer);
	upgrade.timer = NULL;
}

/* ---- it does not work out ---- */

static void stop_retaking(void)
{
	if (upgrade.retake)
		event_free(upgrade.retake);
	upgrade.retake = NULL;
}

/* True: it is here again. */
static bool try_retake(void)
{
	struct settings *s = instance_settings(&process.in);
	struct queue_options opt = process_queue_options(s);
	char err[512];
	enum rc rc = queue_take_back(process.in.queue, &opt, process.in.stats, err, sizeof(err));

	settings_unref(s);
	if (rc != RC_OK)
		log_debug("upgrade", "the queue is not back yet", "reason=\"%s\"", err);
	return rc == RC_OK;
}

/* A log that is read again and refused again must not have the thread that accepts clients for itself. */
static enum rc retake_later(uint64_t took_ns)
{
	uint64_t us = took_ns / 1000 * RETAKE_SHARE;
	struct timeval tv;

	if (us < RETAKE_TICK_MS * 1000)
		us = RETAKE_TICK_MS * 1000;
	tv = (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
	return event_add(upgrade.retake, &tv) == 0 ? RC_OK : RC_ERROR;
}

static void retake_tick(evutil_socket_t fd, short what, void *arg)
{
	uint64_t began = clock_mono_ns();

	if (try_retake() || retake_later(clock_mono_ns() - began) != RC_OK)
		stop_retaking();
}

static void retake_queue(void)
{
	stop_retaking();
	upgrade.retake = event_new(loop_base(process.in.control), -1, 0, retake_tick, NULL);
	if (!upgrade.retake || retake_later(0) != RC_OK)
		log_error("upgrade", "the queue cannot be taken back: its writes run directly until suimon is restarted", NULL);
}

static void serve_on(void)
{
	struct instance *in = &process.in;
	uint64_t last_seq;

	for (size_t i = 0; i < process.nlisteners; i++)
		if (listener_pause(process.listeners[i], false) != RC_OK)
			log_error("upgrade", "a socket cannot be served again: restart suimon", NULL);
	if (process.admin)
		admin_pause(process.admin, false);
	if (in->cache)
		cache_flush(in->cache, CACHE_BY_FLUSH);
	rest_on(); /* the other one may have had clients, and writes to the end of its sessions */
	if (stats_keep_again(in->stats) != RC_OK)
		log_warn("upgrade", "statistics are not kept on disk until an upgrade succeeds or suimon is restarted", NULL);
	if (!in->queue || !queue_is_handed_over(in->queue, &last_seq) || try_retake())
		return;
	log_warn("upgrade", "the queue was given up: its writes run directly until it is back", "last_seq=%" PRIu64, last_seq);
	retake_queue();
}

static void fail(const char *why)
{
	bool switching = upgrade.stage == STAGE_SWITCHING;

	log_error("upgrade", "the new process does not take over: this one goes on", "pid=%ld reason=\"%s\"", (long)upgrade.pid, why);
	stats_count(process.sink, STATS_C_UPGRADE_FAILURES, 1);
	(void)!handover_send(upgrade.link, -1, "cancel");
	upgrade.stage = STAGE_NONE;
	await_its_end(switching);
	stop_timer();
	close_http();
	if (switching)
		serve_on();
}

void upgrade_cancel(void)
{
	if (upgrade.stage == STAGE_STARTING || upgrade.stage == STAGE_SWITCHING)
		fail("this process was told to stop");
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	fail("it was not ready in time");
}

/* ---- it does ---- */

static void every_worker(struct worker *w, void *arg)
{
	(void)w;
	(void)arg;
}

static void workers_have_all(void *arg)
{
	(void)arg;
	upgrade.settled = true;
}

/* Acknowledged and not applied, in a queue that no other process has. */
static uint64_t own_records(void)
{
	struct queue *q = process.in.queue;
	struct queue_totals t;
	uint64_t last_seq;

	if (!q || queue_place(q) == 0 || queue_is_handed_over(q, &last_seq))
		return 0;
	queue_totals(q, &t);
	return t.depth;
}

static void retire_tick(evutil_socket_t fd, short what, void *arg)
{
	/* The process before this one may have sessions yet: its end is told to the new one by ours. */
	bool none = upgrade.settled && atomic_load(&process.in.sessions) == 0 && !atomic_load(&process.in.has_former);
	uint64_t left = own_records();

	if ((!none || left) && clock_mono_ns() < upgrade.deadline_ns)
		return;
	stop_timer();
	if (left)
		log_error("upgrade", "acknowledged writes are left in the directory that was queue.dir: start suimon with it to have them applied",
			  "records=%" PRIu64, left);
	if (!atomic_load(&process.in.draining))
		process_drain();
}

static enum rc start_timer(event_callback_fn fn, short kind, unsigned ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	stop_timer();
	upgrade.timer = event_new(loop_base(process.in.control), -1, kind, fn, NULL);
	return upgrade.timer && event_add(upgrade.timer, &tv) == 0 ? RC_OK : RC_ERROR;
}

static enum rc tell_disabled(void)
{
	const struct topology *t = process.in.topology;
	enum rc rc = RC_OK;

	for (size_t i = 0; i < t->n && rc == RC_OK; i++)
		if (backend_state(t->all[i]) == BACKEND_DISABLED)
			rc = handover_send(upgrade.link, -1, "disabled %s", t->all[i]->text);
	return rc;
}

/* No client is accepted and no record appended by two processes: this one stops first. */
static void on_ready(void)
{
	struct instance *in = &process.in;

	upgrade.stage = STAGE_SWITCHING;
	for (size_t i = 0; i < process.nlisteners; i++)
		(void)!listener_pause(process.listeners[i], true);
	if (process.admin) {
		admin_pause(process.admin, true);
		upgrade.http = fcntl(admin_fd(process.admin), F_DUPFD_CLOEXEC, 0);
	}
	memset(upgrade.left, 0, sizeof(upgrade.left));
	rest_stop();
	if (takeover_rests_beside(upgrade.bus))
		atomic_store(&in->cache_rests, CACHE_RESTS_BESIDE);
	if (in->queue && (!upgrade.queue_told || upgrade.queue == queue_place(in->queue))) {
		stop_retaking();
		queue_hand_over(in->queue);
	} else if (in->queue && queue_place(in->queue)) {
		log_info("upgrade", "the new process has another queue: this one applies its own to the end", NULL);
	}
	stats_keep_no_more(in->stats);
	takeover_yielding(true);
	if (tell_disabled() != RC_OK || handover_send(upgrade.link, -1, "go") != RC_OK)
		fail("the link broke");
}

/* The new one has no use for that socket. Until it serves, this one may. */
static void on_left(const char *name)
{
	for (size_t i = 0; i < process.nlisteners; i++)
		if (strcmp(process.listener_names[i], name) == 0)
			upgrade.left[i] = true;
	if (strcmp(process.http_name, name) == 0)
		close_http();
}

/* Nobody is to wait for a process that rests. */
static void close_left(void)
{
	for (size_t i = 0; i < process.nlisteners; i++)
		if (upgrade.left[i])
			listener_stop(process.listeners[i]);
}

static void on_serving(void)
{
	struct settings *s = instance_settings(&process.in);

	upgrade.stage = STAGE_RETIRING;
	upgrade.deadline_ns = clock_mono_ns() + s->upgrade_timeout_ns;
	log_info("upgrade", "the new process serves: this one ends with its sessions", "pid=%ld sessions=%u timeout=%lus",
		 (long)upgrade.pid, atomic_load(&process.in.sessions), (unsigned long)(s->upgrade_timeout_ns / NS_PER_SEC));
	settings_unref(s);
	close_left();
	atomic_store(&process.in.retiring, true);
	admin_close(process.admin);
	process.admin = NULL;
	supervisor_move(upgrade.pid);
	takeover_succeeded();
	if (handover_send(upgrade.link, -1, "main") != RC_OK)
		log_warn("upgrade", "the new process was not told that it is alone now", NULL);
	upgrade.settled = false;
	if (!workers_each(&process.in, every_worker, workers_have_all, NULL) || start_timer(retire_tick, EV_PERSIST, RETIRE_TICK_MS) != RC_OK)
		process_drain();
}

static void on_applied(uint64_t seq)
{
	struct instance *in = &process.in;
	uint64_t last_seq;

	if (!in->queue || !queue_is_handed_over(in->queue, &last_seq))
		return;
	pthread_mutex_lock(&in->drain_lock);
	in->drain_unknown_ns = clock_mono_ns();
	pthread_mutex_unlock(&in->drain_lock);
	queue_follow(in->queue, seq);
}

void upgrade_leave_sockets(void)
{
	for (size_t i = 0; i < process.nlisteners; i++)
		listener_leave(process.listeners[i]);
	close_http();
}

static void set_disabled(const char *addr, bool disabled)
{
	struct backend *b = topology_find(process.in.topology, addr);

	if (b)
		backend_disable(b, disabled, "by an operator, at the new process");
}

/* A rule that denies or routes is for all sessions, not for those that came after the upgrade. */
static void on_reloaded(void)
{
	if (process_reload_heard(takeover_reloaded) != RC_OK)
		log_warn("upgrade", "sessions from before the upgrade keep the configuration they had: this process cannot take the new one", NULL);
}

static void reopen_left(void)
{
	for (size_t i = 0; i < process.nlisteners; i++)
		if (upgrade.left[i] && process_listen_again(i) != RC_OK)
			log_error("upgrade", "clients of that address find nobody until suimon is restarted", NULL);
}

/* Nobody else would accept clients, and a supervisor does not see the end of a process that is not its child. */
static void on_successor_died(void)
{
	int http = upgrade.http;

	log_error("upgrade", "the new process has died: this one serves again", "pid=%ld", (long)upgrade.pid);
	stats_count(process.sink, STATS_C_UPGRADE_FAILURES, 1);
	await_its_end(true);
	stop_timer();
	upgrade.stage = STAGE_NONE;
	atomic_store(&process.in.retiring, false);
	upgrade.http = -1; /* admin's from here on */
	if (process_open_http(http) != RC_OK)
		log_error("upgrade", "no HTTP is served until suimon is restarted", NULL);
	reopen_left();
	serve_on();
	if (upgrade.queue_told && upgrade.queue && (!process.in.queue || upgrade.queue != queue_place(process.in.queue)))
		log_error("upgrade", "the new process had another queue.dir: what it acknowledged and did not apply waits there for a suimon that is "
				     "started with it", NULL);
	supervisor_regain();
	process_doubt_all();
	process_reload_said(); /* what the new one has taken since */
}

static void on_gone(void)
{
	if (upgrade.stage != STAGE_RETIRING) {
		fail("it ended: its last lines of the log say why");
		return;
	}
	if (!upgrade.yielding && !upgrade.succeeded && !atomic_load(&process.in.draining)) {
		on_successor_died();
		return;
	}
	upgrade_leave_sockets(); /* who connects, should nobody serve, is refused and does not wait */
	log_info("upgrade", "the new process has ended: this one serves the sessions it has, and no others", "pid=%ld", (long)upgrade.pid);
	forget_it();
}

static void on_message(const char *text)
{
	const char *left = handover_rest(text, "left"), *disabled = handover_rest(text, "disabled"), *enabled = handover_rest(text, "enabled");
	uint64_t number;

	if (handover_number(text, "bus", &number) == RC_OK) {
		upgrade.bus = number;
	} else if (handover_number(text, "queue", &number) == RC_OK) {
		upgrade.queue = number;
		upgrade.queue_told = true;
	} else if (strcmp(text, "ready") == 0 && upgrade.stage == STAGE_STARTING) {
		on_ready();
	} else if (left && upgrade.stage == STAGE_SWITCHING) {
		on_left(left);
	} else if (strcmp(text, "serving") == 0 && upgrade.stage == STAGE_SWITCHING) {
		on_serving();
	} else if (disabled && upgrade.stage == STAGE_RETIRING) {
		set_disabled(disabled, true);
	} else if (enabled && upgrade.stage == STAGE_RETIRING) {
		set_disabled(enabled, false);
	} else if ((strcmp(text, "yielding") == 0 || strcmp(text, "stays") == 0) && upgrade.stage == STAGE_RETIRING) {
		upgrade.yielding = text[0] == 'y';
		atomic_store(&process.in.cache_rests, CACHE_RESTS_BESIDE); /* a third one writes, perhaps with another Redis: it lasts to this one's end */
	} else if (strcmp(text, "succeeded") == 0 && upgrade.stage == STAGE_RETIRING) {
		upgrade.succeeded = true;
		upgrade_leave_sockets();
	} else if (strcmp(text, "reload") == 0 && upgrade.stage == STAGE_RETIRING) {
		on_reloaded();
	} else if (handover_number(text, "applied", &number) == RC_OK && upgrade.stage == STAGE_RETIRING) {
		on_applied(number);
	} else if (strcmp(text, "drain") == 0 && upgrade.stage == STAGE_RETIRING && !atomic_load(&process.in.draining)) {
		process_drain();
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	if (handover_each(&upgrade.link, on_message) != RC_OK)
		on_gone();
}

/* ---- the start of it ---- */

static enum rc send_all(void)
{
	int shared = fleet_lend(process.fleet);
	enum rc rc = RC_OK;

	for (size_t i = 0; i < process.nlisteners && rc == RC_OK; i++)
		rc = handover_send(upgrade.link, listener_fd(process.listeners[i]), "socket %s", process.listener_names[i]);
	if (rc == RC_OK && process.admin)
		rc = handover_send(upgrade.link, admin_fd(process.admin), "socket %s", process.http_name);
	if (rc == RC_OK)
		rc = handover_send(upgrade.link, -1, "numbers %" PRIu64, (uint64_t)atomic_load(&process.in.next_session));
	if (rc == RC_OK)
		rc = handover_send(upgrade.link, -1, "bus %" PRIu64, takeover_bus());
	if (rc == RC_OK && fleet_in_force(process.fleet))
		rc = handover_send(upgrade.link, shared, "shared");
	if (rc == RC_OK)
		rc = takeover_pass_on(upgrade.link);
	if (rc == RC_OK)
		rc = failed_pass_on(upgrade.link);
	if (shared >= 0)
		close(shared);
	return rc == RC_OK ? handover_send(upgrade.link, -1, "end") : rc;
}

/* This process starts no others than its successors; wherever one is asked after, that there is none is an answer. */
static void on_child(evutil_socket_t sig, short what, void *arg)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static bool expect_children(void)
{
	if (!upgrade.on_child)
		upgrade.on_child = evsignal_new(loop_base(process.in.control), SIGCHLD, on_child, NULL);
	return upgrade.on_child && event_add(upgrade.on_child, NULL) == 0;
}

static void start_successor(void)
{
	int pair[2];

	if (!expect_children())
		log_warn("upgrade", "a new process that fails stays in the list of processes until this one ends: out of memory", NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		log_error("upgrade", "no link to a new process", "error=\"%s\"", strerror(errno));
		stats_count(process.sink, STATS_C_UPGRADE_FAILURES, 1);
		return;
	}
	upgrade.stage = STAGE_STARTING;
	upgrade.bus = 0;
	upgrade.queue_told = upgrade.yielding = upgrade.succeeded = false;
	upgrade.link = pair[0];
	upgrade.pid = successor_spawn(pair[1]);
	close(pair[1]);
	if (upgrade.pid < 0) {
		fail("it could not be started");
		return;
	}
	upgrade.pidfd = pidfd_open(upgrade.pid, 0); /* nobody has asked after it yet: the number is its own */
	log_info("upgrade", "a new process starts", "pid=%ld program=%s", (long)upgrade.pid, process.argv[0]);
	upgrade.readable = event_new(loop_base(process.in.control), upgrade.link, EV_READ | EV_PERSIST, on_readable, NULL);
	if (!upgrade.readable || event_add(upgrade.readable, NULL) != 0 || start_timer(on_late, 0, START_LIMIT_S * 1000) != RC_OK ||
	    send_all() != RC_OK)
		fail("the link broke");
}

void process_upgrade(void)
{
	if (upgrade.stage != STAGE_NONE || takeover_is_one() || atomic_load(&process.in.draining))
		log_warn("upgrade", "no upgrade: one is under way, or this process stops", NULL);
	else if (failed_full())
		log_warn("upgrade", "no upgrade: too many that failed have not ended yet", NULL);
	else if (getpid() == 1)
		log_warn("upgrade", "no upgrade: with process 1 its container ends; replace the container", NULL);
	else
		start_successor();
}

void upgrade_reloaded(void)
{
	if (upgrade.stage != STAGE_NONE && upgrade.link >= 0 && handover_send(upgrade.link, -1, "reload") != RC_OK)
		log_warn("upgrade", "the new process was not told of the reload: reload it", "pid=%ld", (long)upgrade.pid);
}

bool upgrade_has_successor(void)
{
	return upgrade.stage == STAGE_SWITCHING || upgrade.stage == STAGE_RETIRING;
}

void upgrade_end(void)
{
	stop_timer();
	stop_retaking();
	failed_end();
	forget_it();
	close_http();
	if (upgrade.on_child)
		event_free(upgrade.on_child);
	upgrade.on_child = NULL;
}
