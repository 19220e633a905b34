#include "takeover.h"

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "clock.h"
#include "failpoint.h"
#include "handover.h"
#include "log.h"
#include "process.h"
#include "rest.h"
#include "session.h"
#include "supervisor.h"

#define SOCKETS_MOST (PROCESS_LISTENERS_MOST + 1)
#define FIRST_WORDS_MS 10000
#define READY_LIMIT_NS (30 * NS_PER_SEC)
#define TICK_MS 20
#define ELDEST_MOST 32 /* processes of which each has sessions yet */
#define DISABLED_MOST 64 /* servers of which the former process is told */
#define NUMBERS_APART 1000000 /* connections that the former process may number yet: it accepts some until it is told */

enum stage {
	STAGE_NONE,    /* started as usual */
	STAGE_STARTED, /* not ready */
	STAGE_READY,   /* waits to be told to go ahead */
	STAGE_SERVING, /* beside the former one */
};

static struct {
	enum stage stage;
	int link;
	struct { int fd; char name[HANDOVER_WORD]; } sockets[SOCKETS_MOST];
	size_t nsockets;
	struct event *readable, *tick;
	uint64_t deadline_ns; /* to be ready */
	uint64_t applied;     /* told */
	uint64_t bus;         /* the former one's */
	int former;           /* its pidfd; -1: it cannot be had */
	int eldest[ELDEST_MOST]; /* of those before that which were there when this one began */
	size_t neldest;
	bool disabled[DISABLED_MOST]; /* by place in the topology: the former one knows it so */
	int shared;           /* rules of config.source that are in force at the former one (fleet_lend); -1: none */
	bool shares;          /* there are such */
	bool reload_due;      /* the former one has taken its file anew: this one has read an older one, perhaps */
} takeover = {.link = -1, .former = -1, .shared = -1};

/* ---- before anything else ---- */

/* RC_DECLINED: it was the last one. */
static enum rc take_word(const char *text, int fd)
{
	const char *name = handover_rest(text, "socket");
	uint64_t n;

	if (name && fd >= 0 && takeover.nsockets < SOCKETS_MOST) {
		takeover.sockets[takeover.nsockets].fd = fd;
		(void)snprintf(takeover.sockets[takeover.nsockets].name, HANDOVER_WORD, "%s", name);
		takeover.nsockets++;
		return RC_OK;
	}
	if (strcmp(text, "eldest") == 0 && fd >= 0) {
		if (takeover.neldest == ELDEST_MOST)
			return RC_ERROR; /* this process ends, and the descriptor with it */
		takeover.eldest[takeover.neldest++] = fd;
		return RC_OK;
	}
	if (strcmp(text, "shared") == 0 && takeover.shared < 0) {
		takeover.shared = fd;
		takeover.shares = true;
		return RC_OK;
	}
	if (fd >= 0)
		close(fd);
	if (handover_number(text, "numbers", &n) == RC_OK)
		atomic_store(&process.in.next_session, n + NUMBERS_APART);
	else if (handover_number(text, "bus", &n) == RC_OK)
		takeover.bus = n;
	return strcmp(text, "end") == 0 ? RC_DECLINED : RC_OK;
}

static enum rc take_first_words(void)
{
	struct pollfd p = {.fd = takeover.link, .events = POLLIN};
	char text[HANDOVER_WORD];
	enum rc rc;
	int fd;

	while (poll(&p, 1, FIRST_WORDS_MS) == 1 && (rc = handover_receive(takeover.link, text, &fd)) != RC_DECLINED) {
		rc = rc == RC_OK ? take_word(text, fd) : RC_OK;
		if (rc == RC_DECLINED)
			return RC_OK;
		if (rc == RC_ERROR) {
			log_error("upgrade", "more processes before this one have sessions yet than can be waited for", "most=%d", ELDEST_MOST);
			return RC_ERROR;
		}
	}
	log_error("upgrade", "the process to be replaced has gone, or does not say what it has", NULL);
	return RC_ERROR;
}

enum rc takeover_begin(void)
{
	const char *text = getenv(HANDOVER_ENV);
	char *end;
	long fd;

	if (!text)
		return RC_OK;
	fd = strtol(text, &end, 10);
	if (*end || end == text || fd < 3 || fd > INT32_MAX) {
		log_error("upgrade", HANDOVER_ENV " is no descriptor: it is set by suimon for its successor, and by nobody else", NULL);
		return RC_ERROR;
	}
	(void)unsetenv(HANDOVER_ENV);
	takeover.link = (int)fd;
	takeover.former = pidfd_open(getppid(), 0);
	takeover.stage = STAGE_STARTED;
	if (evutil_make_socket_closeonexec(takeover.link) != 0)
		return RC_ERROR;
	return take_first_words();
}

bool takeover_is_one(void)
{
	return takeover.stage == STAGE_STARTED || takeover.stage == STAGE_READY;
}

int takeover_socket(const char *name)
{
	for (size_t i = 0; i < takeover.nsockets; i++) {
		int fd = takeover.sockets[i].fd;

		if (fd < 0 || strcmp(takeover.sockets[i].name, name) != 0)
			continue;
		takeover.sockets[i].fd = -1;
		return fd;
	}
	return -1;
}

uint64_t takeover_bus(void)
{
	const struct instance *in = &process.in;

	return in->cache && !atomic_load(&in->cache_rests) ? cache_bus_id(in->cache) : 0;
}

bool takeover_rests_beside(uint64_t bus)
{
	return bus == 0 || bus != takeover_bus();
}

bool takeover_rests_beside_former(void)
{
	const struct instance *in = &process.in;

	return takeover.bus == 0 || !in->cache || takeover.bus != cache_bus_id(in->cache);
}

/* ---- beside the former process ---- */

static void end_link(void)
{
	if (takeover.readable)
		event_free(takeover.readable);
	if (takeover.tick)
		event_free(takeover.tick);
	takeover.readable = takeover.tick = NULL;
	if (takeover.link >= 0)
		close(takeover.link);
	takeover.link = -1;
}

/* Addresses that this configuration has no more: who connects there is refused, instead of waiting for nobody. */
static void leave_rest(void)
{
	for (size_t i = 0; i < takeover.nsockets; i++) {
		if (takeover.sockets[i].fd < 0)
			continue;
		close(takeover.sockets[i].fd);
		if (handover_send(takeover.link, -1, "left %s", takeover.sockets[i].name) != RC_OK)
			log_warn("upgrade", "the former process was not told of an address that is left", "addr=%s", takeover.sockets[i].name);
	}
	takeover.nsockets = 0;
}

static void give_up(const char *why)
{
	log_error("upgrade", "this process does not take over", "reason=\"%s\"", why);
	_exit(EXIT_START); /* it has served nobody */
}

static void on_go(void)
{
	FAILPOINT("upgrade-go");
	if (process_serve() != RC_OK)
		give_up("it cannot serve");
	if (takeover.reload_due)
		process_reload_said(); /* before anybody is accepted: this is the thread that does */
	leave_rest();
	takeover.stage = STAGE_SERVING;
	atomic_store(&process.in.has_former, true);
	FAILPOINT("upgrade-serving");
	if (handover_send(takeover.link, -1, "serving") != RC_OK)
		log_warn("upgrade", "the former process has gone meanwhile", NULL);
	log_info("upgrade", "took over from the former process", NULL);
}

/* Nobody writes beside this process any more, but its successor if it has one. */
static void on_alone(void)
{
	atomic_store(&process.in.has_former, false);
	rest_on();
	process_doubt_all();
	log_info("upgrade", "the former process has ended", NULL);
}

static bool has_ended(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* The former one ends after those before it, but where it dies: there is no link to them, and they go on with their sessions. */
static void await_eldest(evutil_socket_t fd, short what, void *arg)
{
	while (takeover.neldest && has_ended(takeover.eldest[takeover.neldest - 1]))
		close(takeover.eldest[--takeover.neldest]);
	if (takeover.neldest == 0) {
		on_alone();
		return;
	}
	if (event_base_once(loop_base(process.in.control), takeover.eldest[takeover.neldest - 1], EV_READ, await_eldest, NULL, NULL) != 0)
		log_error("upgrade", "memory stays at rest until suimon is restarted: out of memory", NULL);
}

static void on_gone(void)
{
	if (takeover.stage != STAGE_SERVING)
		give_up("the former process has gone, or goes on itself");
	end_link();
	takeover.stage = STAGE_NONE;
	supervisor_become();
	await_eldest(-1, 0, NULL);
	if (takeover.neldest)
		log_warn("upgrade", "the former process has gone, and one before it has sessions yet", NULL);
}

/* The former process did not hear that this one serves, and goes on or stops: the sessions that are here already end as on SIGTERM, and
 * what the supervisor is told is that one's business. */
static void on_cancel_late(void)
{
	log_warn("upgrade", "cancelled while taking over: this process ends with the sessions it has", NULL);
	for (size_t i = 0; i < process.nlisteners; i++)
		listener_leave(process.listeners[i]); /* where clients find the former one, */
	admin_pause(process.admin, true);             /* and scrapers */
	end_link();
	takeover.stage = STAGE_NONE;
	atomic_store(&process.in.has_former, false);
	rest_disown();
	if (!atomic_load(&process.in.draining))
		process_drain();
}

static uint64_t own_queue(void)
{
	struct settings *s = instance_settings(&process.in);
	uint64_t place = settings_wants_queue(s) && s->queue.engine == SETTINGS_ENGINE_FILE ? queue_place_of(s->queue.dir) : 0;

	settings_unref(s);
	return place;
}

static void on_reload(void)
{
	if (takeover.stage != STAGE_SERVING)
		takeover.reload_due = true;
	else if (process_reload_heard(upgrade_reloaded) != RC_OK)
		log_warn("upgrade", "the former process has taken a configuration that this one has refused", NULL);
}

static void on_disabled(const char *addr)
{
	const struct topology *t = process.in.topology;

	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->all[i]->text, addr) != 0)
			continue;
		backend_disable(t->all[i], true, "by an operator, before the upgrade");
		if (i < countof(takeover.disabled))
			takeover.disabled[i] = true; /* else one that is enabled here before the next turn would be no change to tell */
		return;
	}
	log_warn("upgrade", "a server that was disabled is not known here", "addr=%s", addr);
}

static void on_message(const char *text)
{
	const char *disabled = handover_rest(text, "disabled");

	if (strcmp(text, "go") == 0 && takeover.stage == STAGE_READY)
		on_go();
	else if (disabled)
		on_disabled(disabled);
	else if (strcmp(text, "reload") == 0)
		on_reload();
	else if (strcmp(text, "main") == 0)
		supervisor_become();
	else if (strcmp(text, "cancel") == 0 && takeover.stage == STAGE_SERVING)
		on_cancel_late();
	else if (strcmp(text, "cancel") == 0)
		give_up("it was cancelled");
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	if (handover_each(&takeover.link, on_message) != RC_OK)
		on_gone();
}

/* What an operator takes out here or gives back, for the time in which the former one may serve again. */
static void tell_disabled(void)
{
	const struct topology *t = process.in.topology;

	for (size_t i = 0; i < t->n && i < countof(takeover.disabled); i++) {
		bool disabled = backend_state(t->all[i]) == BACKEND_DISABLED;

		if (disabled != takeover.disabled[i] &&
		    handover_send(takeover.link, -1, "%s %s", disabled ? "disabled" : "enabled", t->all[i]->text) == RC_OK)
			takeover.disabled[i] = disabled; /* else the next turn tells */
	}
}

static void tell_applied(void)
{
	uint64_t seq = process.in.queue ? queue_applied(process.in.queue) : 0;

	if (seq == takeover.applied)
		return;
	if (handover_send(takeover.link, -1, "applied %" PRIu64, seq) == RC_OK)
		takeover.applied = seq; /* else the next turn tells */
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	if (takeover.stage == STAGE_SERVING) {
		tell_disabled();
		tell_applied();
		return;
	}
	if (takeover.stage != STAGE_STARTED)
		return;
	if (admin_ready(&process.in, NULL)) {
		takeover.stage = STAGE_READY;
		if (handover_send(takeover.link, -1, "bus %" PRIu64, takeover_bus()) != RC_OK ||
		    handover_send(takeover.link, -1, "queue %" PRIu64, own_queue()) != RC_OK ||
		    handover_send(takeover.link, -1, "ready") != RC_OK)
			give_up("the former process has gone");
	} else if (clock_mono_ns() > takeover.deadline_ns) {
		give_up("its servers do not answer");
	}
}

enum rc takeover_wait(void)
{
	struct event_base *base = loop_base(process.in.control);
	struct timeval tv = {.tv_usec = TICK_MS * 1000};

	takeover.deadline_ns = clock_mono_ns() + READY_LIMIT_NS;
	takeover.readable = event_new(base, takeover.link, EV_READ | EV_PERSIST, on_readable, NULL);
	takeover.tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	if (!takeover.readable || !takeover.tick || event_add(takeover.readable, NULL) != 0 || event_add(takeover.tick, &tv) != 0)
		return RC_ERROR;
	return RC_OK;
}

void takeover_drain(void)
{
	if (takeover_is_one())
		give_up("it was told to stop");
	if (takeover.stage == STAGE_SERVING && handover_send(takeover.link, -1, "drain") != RC_OK)
		log_warn("upgrade", "the former process was not told to end", NULL);
}

enum rc takeover_pass_on(int link)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < takeover.neldest && rc == RC_OK; i++)
		if (!has_ended(takeover.eldest[i]))
			rc = handover_send(link, takeover.eldest[i], "eldest");
	if (rc == RC_OK && takeover.stage == STAGE_SERVING && takeover.former >= 0)
		rc = handover_send(link, takeover.former, "eldest");
	return rc;
}

void takeover_yielding(bool yields)
{
	if (takeover.stage == STAGE_SERVING && handover_send(takeover.link, -1, yields ? "yielding" : "stays") != RC_OK)
		log_warn("upgrade", "the former process was not told that there may be a third", NULL);
}

enum rc takeover_shared(struct fleet *f)
{
	bool lent = takeover.shared >= 0;
	enum rc rc = f ? fleet_first(f, takeover.shared) : RC_OK;

	if (lent)
		close(takeover.shared);
	takeover.shared = -1;
	if (rc == RC_OK && (lent || !takeover.shares || !f || fleet_in_force(f)))
		return RC_OK;
	log_error("upgrade", "the shared rules that are in force are refused here, or cannot be had: what they deny must not be allowed by an upgrade", NULL);
	return RC_ERROR;
}

void takeover_reloaded(void)
{
	if (takeover.stage == STAGE_SERVING && handover_send(takeover.link, -1, "reload") != RC_OK)
		log_warn("upgrade", "the former process was not told of the reload: its sessions keep the configuration they had", NULL);
}

void takeover_succeeded(void)
{
	if (takeover.stage == STAGE_SERVING && handover_send(takeover.link, -1, "succeeded") != RC_OK)
		log_warn("upgrade", "the former process was not told that there is a third", NULL);
}

void takeover_end(void)
{
	end_link();
}
