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
/* What a server commits later than that, behind a lock say, ends what was read before it as any write that nobody sees the end of does
 * (doubt.c): all is invalidated again, at intervals that double, for about a minute. */
#define ECHO_FIRST_NS (8 * NS_PER_SEC)
#define ECHO_LAST_NS (32 * NS_PER_SEC)

static struct {
	struct event *tick; /* owned; NULL: no rest runs out */
	uint64_t end_ns;    /* of the rest, then of the wait for the next echo; monotonic */
	uint64_t echo_ns;   /* that wait; 0: memory rests yet */
	char *path;         /* owned; NULL: no file, or another process' */
} rest;

void rest_stop(void)
{
	if (rest.tick)
		event_free(rest.tick);
	rest.tick = NULL;
}

static void invalidate_all(void)
{
	struct settings *s = instance_settings(&process.in);

	cache_invalidate_all_from(process.in.cache, CACHE_BY_FLUSH, instance_lag_window(s)); /* and no replica is believed that lacks what was written */
	settings_unref(s);
}

static bool others_write(void)
{
	return failed_writes() || (atomic_load(&process.in.has_former) && takeover_rests_beside_former());
}

/* What others acknowledged is from before now. A read hangs on it as on a write of unknown position. */
static void nobody_beside(void)
{
	struct instance *in = &process.in;
	struct settings *s;

	if (atomic_load(&in->cache_rests) != CACHE_RESTS_BESIDE || others_write())
		return;
	s = instance_settings(in);
	cache_distrust(in->cache, instance_lag_window(s));
	settings_unref(s);
	atomic_store(&in->cache_rests, CACHE_RESTS_BEHIND);
}

static void rest_tick(evutil_socket_t fd, short what, void *arg)
{
	struct instance *in = &process.in;

	if (!rest.echo_ns && failed_writes())
		rest.end_ns = clock_mono_ns() + REST_NS;
	nobody_beside();
	if (clock_mono_ns() < rest.end_ns)
		return;
	catalog_invalidate(in->catalog); /* DDL may have been among the last of it */
	invalidate_all();
	if (!rest.echo_ns)
		atomic_store(&in->cache_rests, others_write() ? CACHE_RESTS_BESIDE : CACHE_RESTS_NOT);
	rest.echo_ns = rest.echo_ns ? 2 * rest.echo_ns : ECHO_FIRST_NS;
	rest.end_ns = clock_mono_ns() + rest.echo_ns;
	if (rest.echo_ns > ECHO_LAST_NS)
		rest_stop();
}

void rest_on(void)
{
	static const struct timeval every = {.tv_usec = TICK_MS * 1000};

	if (!process.in.cache || !atomic_load(&process.in.cache_rests) || upgrade_has_successor())
		return;
	nobody_beside();
	rest.end_ns = clock_mono_ns() + REST_NS;
	rest.echo_ns = 0;
	if (rest.tick)
		return;
	rest.tick = event_new(loop_base(process.in.control), -1, EV_PERSIST, rest_tick, NULL);
	if (!rest.tick || event_add(rest.tick, &every) != 0)
		log_error("upgrade", "memory stays at rest until suimon is restarted: out of memory", NULL);
}

/* ---- the file ---- */

/* It says through which Redis this process tells of its writes; 0: through none. */
static void note(void)
{
	uint64_t told = process.in.cache ? cache_bus_id(process.in.cache) : 0;
	int fd = open(rest.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || write(fd, &told, sizeof(told)) != (ssize_t)sizeof(told))
		log_warn("main", "should this process be killed, the next one may not know of it: its memory may not rest", "file=%s error=\"%s\"",
			 rest.path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
}

/* The Redis that the process before this one told of its writes, 0: none, or that is not known. False: it has ended in order. */
static bool noted(uint64_t *told)
{
	int fd = open(rest.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	*told = 0;
	if (fd < 0)
		return errno != ENOENT;
	if (read(fd, told, sizeof(*told)) != (ssize_t)sizeof(*told))
		*told = 0;
	(void)close(fd);
	return true;
}

/* Through the same Redis it is known what the other process was writing: the ledger stands in for it (cache/ledger.h). */
static bool rests_behind_it(void)
{
	uint64_t told;

	return process.in.cache && !takeover_is_one() && noted(&told) && (!told || told != cache_bus_id(process.in.cache));
}

void rest_begin(char *path)
{
	struct instance *in = &process.in;

	rest.path = path;
	if (!path)
		return;
	if (rests_behind_it()) {
		log_warn("main", "a server may still be at what a process before this one sent: memory rests for ten seconds", "file=%s", path);
		atomic_store(&in->cache_rests, CACHE_RESTS_BEHIND); /* the cache distrusts what is from before its own beginning */
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
