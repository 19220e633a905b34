#include "rest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "clock.h"
#include "failed.h"
#include "log.h"
#include "mem.h"
#include "process.h"
#include "takeover.h"

#define TICK_MS 200
#define REST_NS (10 * NS_PER_SEC)

static struct {
	struct event *tick; /* owned; NULL: no rest runs out */
	uint64_t end_ns;    /* monotonic */
	char *path;         /* owned; NULL: no file, or another process' */
} rest;

void rest_stop(void)
{
	if (rest.tick)
		event_free(rest.tick);
	rest.tick = NULL;
}

static void rest_tick(evutil_socket_t fd, short what, void *arg)
{
	struct instance *in = &process.in;
	struct settings *s;

	if (failed_writes())
		rest.end_ns = clock_mono_ns() + REST_NS;
	if (clock_mono_ns() < rest.end_ns)
		return;
	rest_stop();
	catalog_invalidate(in->catalog); /* DDL may have been among the last of it */
	s = instance_settings(in);
	cache_invalidate_all_from(in->cache, CACHE_BY_FLUSH, instance_lag_window(s)); /* and no replica is believed that lacks what was written */
	settings_unref(s);
	atomic_store(&in->cache_rests, atomic_load(&in->has_former) && takeover_rests_beside_former());
}

void rest_on(void)
{
	static const struct timeval every = {.tv_usec = TICK_MS * 1000};

	if (!process.in.cache || !atomic_load(&process.in.cache_rests) || upgrade_has_successor())
		return;
	rest.end_ns = clock_mono_ns() + REST_NS;
	if (rest.tick)
		return;
	rest.tick = event_new(loop_base(process.in.control), -1, EV_PERSIST, rest_tick, NULL);
	if (!rest.tick || event_add(rest.tick, &every) != 0)
		log_error("upgrade", "memory stays at rest until suimon is restarted: out of memory", NULL);
}

/* ---- the file ---- */

static void note(void)
{
	int fd = open(rest.path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0)
		(void)close(fd);
	else
		log_warn("main", "should this process be killed, the next one will not know of it: its memory will not rest", "file=%s error=\"%s\"",
			 rest.path, strerror(errno));
}

/* Through a Redis it would be known what the other process was writing: the ledger stands in for it (cache/ledger.h). */
static bool rests_behind_it(void)
{
	const struct cache *c = process.in.cache;

	return c && cache_bus_id(c) == 0 && !takeover_is_one() && access(rest.path, F_OK) == 0;
}

void rest_begin(char *path)
{
	struct instance *in = &process.in;

	rest.path = path;
	if (!path)
		return;
	if (rests_behind_it()) {
		log_warn("main", "a server may still be at what a process before this one sent: memory rests for ten seconds", "file=%s", path);
		atomic_store(&in->cache_rests, true);
		rest_on();
	}
	note();
}

void rest_disown(void)
{
	mem_free(rest.path);
	rest.path = NULL;
}

/* Nothing that this process sent, or one that it knows of, is with a server yet. */
static bool all_in_order(void)
{
	const struct instance *in = &process.in;

	return !process.doubts && !atomic_load(&in->cache_rests) && !atomic_load(&in->has_former) && !failed_writes();
}

void rest_end(void)
{
	rest_stop();
	if (rest.path && !upgrade_has_successor() && all_in_order())
		(void)unlink(rest.path);
	rest_disown();
}
