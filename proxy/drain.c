/*
 * drain.c - leaving without loss:
 *
 *   process_drain: /readyz says 503, all goes on → lead_tick: who looks at it has had the time to send new clients elsewhere
 *   → leave_now: nobody new, transactions finish → all_drained: the queue's log and the bus are settled → leave: out
 */
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <event2/event.h>

#include "clock.h"
#include "failed.h"
#include "log.h"
#include "mem.h"
#include "process.h"
#include "sigthread.h"
#include "supervisor.h"
#include "takeover.h"
#include "worker.h"

#define FORMER_MARGIN_NS (2 * NS_PER_SEC) /* beyond drain_timeout, until the process that this one has replaced, or one that failed to replace it, has ended */
#define LEAD_SHARE 10 /* of drain_timeout */
#define LEAD_MOST_NS (5 * NS_PER_SEC)
#define LEAD_TICK_US 10000
#define QUEUE_LEAST_NS (NS_PER_SEC / 2) /* for its batch under way, however late it is */
#define SETTLE_TRIES 20 /* of 50 ms: the other instances learn of the last writes, if Redis answers */

/* The others know of all writes, and that none is left for which to stand in. Doubtful ones they go on invalidating. */
static bool has_told(struct cache *c)
{
	return cache_settled(c) && (process.doubts || cache_leave(c) != RC_AGAIN);
}

static void leave(evutil_socket_t fd, short what, void *arg)
{
	static int tries;
	struct timeval tv = {.tv_usec = 50000};

	/* Under a supervisor all that is left of them ends with the main process. */
	if ((atomic_load(&process.in.has_former) || failed_writes()) && clock_mono_ns() < process.drain_deadline_ns + FORMER_MARGIN_NS &&
	    event_base_once(loop_base(process.in.control), -1, EV_TIMEOUT, leave, NULL, &tv) == 0)
		return;
	if (process.in.cache && !has_told(process.in.cache) && ++tries < SETTLE_TRIES &&
	    event_base_once(loop_base(process.in.control), -1, EV_TIMEOUT, leave, NULL, &tv) == 0)
		return;
	loop_stop(process.in.control);
}

/* No session is left: the queue applies what it has in hand, while the control loop still carries its invalidations. A database that
 * hangs has what is left of drain_timeout; what it did then is read back by whoever applies next (Q2). */
static void all_drained(void)
{
	uint64_t least = clock_mono_ns() + QUEUE_LEAST_NS, most = least + QUEUE_STOP_NS, until = process.drain_deadline_ns;

	log_info("main", "drained", NULL);
	if (process.in.queue)
		queue_stop_by(process.in.queue, until < least ? least : until > most ? most : until);
	leave(-1, 0, NULL);
}

struct drained {
	struct mail mail;
	unsigned doubts;
};

static void on_drained_mail(struct mail *m)
{
	struct drained *d = container_of(m, struct drained, mail);

	process.doubts += d->doubts;
	mem_free(d);
	if (--process.undrained == 0)
		all_drained();
}

static void worker_is_drained(struct worker *w)
{
	struct drained *d = mem_zalloc(sizeof(*d));

	if (!d)
		_exit(EXIT_FINE); /* nothing acknowledged is lost by it: the queue's log is its own memory */
	d->mail.run = on_drained_mail;
	d->doubts = w->doubts.n;
	loop_post(process.in.control, &d->mail);
}

static atomic_uint signals; /* heard so far */

/* The first one drains, also where that has begun by itself: in an upgrade both processes may get it, and the other one's word is
 * sometimes quicker. At the second, what is acknowledged is with the kernel, and the log's next reader checks it. */
static void heard_signal(void)
{
	if (atomic_fetch_add(&signals, 1) == 0)
		return;
	log_warn("main", "second signal: exiting at once", NULL);
	_exit(EXIT_FINE);
}

static sigset_t leaving_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return set;
}

static void *await_second(void *arg)
{
	sigset_t set = leaving_signals();
	int sig;

	while (sigwait(&set, &sig) == 0)
		heard_signal();
	return NULL;
}

/* From now on a thread of its own takes the signal: the control loop waits for the queue, and when all is taken down there is
 * no loop any more. Without the thread the loop goes on taking it while it can. */
static void expect_second(void)
{
	sigset_t set = leaving_signals();
	pthread_t thread;

	pthread_sigmask(SIG_BLOCK, &set, NULL); /* all other threads never had it */
	if (sigthread_start(&thread, "second signal", await_second, NULL) == RC_OK)
		pthread_detach(thread);
	else
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void leave_now(void)
{
	if (upgrade_has_successor())
		upgrade_leave_sockets();
	for (size_t i = 0; i < process.nlisteners; i++)
		listener_stop(process.listeners[i]);
	process.undrained = process.in.nworkers;
	for (size_t i = 0; i < process.in.nworkers; i++) {
		process.in.workers[i]->drained = worker_is_drained;
		worker_drain(process.in.workers[i], process.drain_deadline_ns);
	}
}

/* With no session there is nobody who would come back. */
static void lead_tick(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {.tv_usec = LEAD_TICK_US};

	if (clock_mono_ns() >= process.lead_end_ns || atomic_load(&process.in.sessions) == 0 ||
	    event_base_once(loop_base(process.in.control), -1, EV_TIMEOUT, lead_tick, NULL, &tv) != 0)
		leave_now();
}

/* One that has a successor accepts nobody as it is. */
static uint64_t lead_of(const struct settings *s)
{
	uint64_t lead = s->drain_timeout_ns / LEAD_SHARE;

	return upgrade_has_successor() ? 0 : lead < LEAD_MOST_NS ? lead : LEAD_MOST_NS;
}

void process_drain(void)
{
	struct settings *s;

	if (atomic_exchange(&process.in.draining, true))
		return;
	expect_second();
	s = instance_settings(&process.in);
	process.drain_deadline_ns = clock_mono_ns() + s->drain_timeout_ns;
	log_info("main", "draining", "sessions=%u timeout=%lums", atomic_load(&process.in.sessions),
		 (unsigned long)(s->drain_timeout_ns / NS_PER_MS));
	supervisor_stopping(s->drain_timeout_ns);
	upgrade_cancel();
	takeover_drain();
	process.lead_end_ns = clock_mono_ns() + lead_of(s);
	settings_unref(s);
	lead_tick(-1, 0, NULL);
}

void process_term(void)
{
	heard_signal();
	process_drain();
}
