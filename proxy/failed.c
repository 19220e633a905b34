#include "failed.h"

#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "clock.h"
#include "handover.h"
#include "log.h"
#include "process.h"
#include "takeover.h"

#define FAILED_MOST 8
#define TICK_MS 100
#define MARGIN_NS (10 * NS_PER_SEC) /* beyond drain_timeout, which a cancelled process may use; and until a killed one is killed again */

struct failed {
	pid_t pid;
	int pidfd;
	bool served;
	uint64_t kill_ns; /* monotonic */
};

static struct {
	struct failed of[FAILED_MOST];
	size_t n;
	struct event *tick; /* owned */
} failed;

static void stop_tick(void)
{
	if (failed.tick)
		event_free(failed.tick);
	failed.tick = NULL;
}

static bool one_served(void)
{
	for (size_t i = 0; i < failed.n; i++)
		if (failed.of[i].served)
			return true;
	return false;
}

/* Of those that are left the ids are their own yet: a child's is nobody else's until its parent has asked after its end. */
static void forget_ended(void)
{
	bool served = one_served();
	size_t kept = 0;

	for (size_t i = 0; i < failed.n; i++) {
		if (waitpid(failed.of[i].pid, NULL, WNOHANG) == 0)
			failed.of[kept++] = failed.of[i];
		else if (failed.of[i].pidfd >= 0)
			close(failed.of[i].pidfd);
	}
	failed.n = kept;
	if (kept == 0)
		stop_tick();
	if (served && !one_served() && !upgrade_has_successor())
		takeover_yielding(false); /* not before: the former process would serve beside it, should this one die */
}

static void kill_it(const struct failed *f)
{
	if (f->pidfd < 0 || pidfd_send_signal(f->pidfd, SIGKILL, NULL, 0) != 0)
		(void)kill(f->pid, SIGKILL);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	uint64_t now = clock_mono_ns();

	forget_ended();
	for (size_t i = 0; i < failed.n; i++) {
		if (now < failed.of[i].kill_ns)
			continue;
		log_error("upgrade", "the process that failed does not end: it is killed", "pid=%ld", (long)failed.of[i].pid);
		kill_it(&failed.of[i]);
		failed.of[i].kill_ns = now + MARGIN_NS;
	}
}

static bool start_tick(void)
{
	static const struct timeval every = {.tv_usec = TICK_MS * 1000};

	if (!failed.tick)
		failed.tick = event_new(loop_base(process.in.control), -1, EV_PERSIST, on_tick, NULL);
	return failed.tick && event_add(failed.tick, &every) == 0;
}

void failed_add(pid_t pid, int pidfd, bool served)
{
	struct settings *s = instance_settings(&process.in);

	failed.of[failed.n++] = (struct failed){.pid = pid, .pidfd = pidfd, .served = served,
						.kill_ns = clock_mono_ns() + s->drain_timeout_ns + MARGIN_NS};
	settings_unref(s);
	if (!start_tick())
		log_error("upgrade", "nobody will end the process that failed, should it hang: out of memory", "pid=%ld", (long)pid);
	forget_ended();
}

bool failed_full(void)
{
	forget_ended();
	return failed.n == FAILED_MOST;
}

bool failed_writes(void)
{
	forget_ended();
	return one_served();
}

enum rc failed_pass_on(int link)
{
	enum rc rc = RC_OK;

	forget_ended();
	for (size_t i = 0; i < failed.n && rc == RC_OK; i++)
		if (failed.of[i].served) /* whom the next one cannot wait for, it must not be started beside */
			rc = failed.of[i].pidfd >= 0 ? handover_send(link, failed.of[i].pidfd, "eldest") : RC_ERROR;
	return rc;
}

void failed_end(void)
{
	forget_ended();
	for (size_t i = 0; i < failed.n; i++) {
		log_warn("upgrade", "the process that failed is there yet: it is killed, for this one ends", "pid=%ld", (long)failed.of[i].pid);
		kill_it(&failed.of[i]);
		if (failed.of[i].pidfd >= 0)
			close(failed.of[i].pidfd);
	}
	failed.n = 0;
	stop_tick();
}
