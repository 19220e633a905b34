/*
 * cache_testing.h - for the cache's tests: a real redis-server, a link to it that can be cut, slowed and silenced, and
 * cache instances with loops of their own, driven step by step from the test's thread.
 */
#ifndef SUIMON_CACHE_TESTING_H
#define SUIMON_CACHE_TESTING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache.h"
#include "loop.h"
#include "stats.h"

/* ---- redis-server ---- */

struct server {
	pid_t pid;       /* 0: not running */
	unsigned port;
	char dir[64];    /* its own, removed by server_remove */
	const char *extra[12]; /* further options; NULL ends them */
};

bool server_available(void);            /* redis-server is installed */
void server_start(struct server *s);    /* on a free loopback port the first time, on the same one again after */
void server_stop(struct server *s, int signal);
void server_remove(struct server *s);
/* One command by redis-cli; its output without the last newline. */
const char *server_cli(const struct server *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
unsigned free_port(void);

/* ---- a link: a TCP forwarder ---- */

struct link_state;
struct link {
	struct link_state *state;
	unsigned port;
};

struct link link_start(unsigned to_port);
void link_stop(struct link *l);
void link_cut(struct link *l, bool cut);        /* closes what is open and refuses new ones */
void link_silence(struct link *l, bool silent); /* keeps connections open and forwards nothing */
void link_delay(struct link *l, unsigned ms);   /* of what the server answers */

/* ---- an instance ---- */

struct instance {
	struct stats *stats;
	struct loop *control, *loop;
	struct cache *cache;
	struct cache_worker *worker;
	uint64_t lag_window_ns;
	void (*schema_changed)(void *arg); /* these are the caller's, before instance_start */
	void *schema_arg;
};

void instance_start(struct instance *i, const char *url, uint64_t memory);
void instance_stop(struct instance *i);
/* Another worker of the same cache, with a loop of its own, to be used like an instance. Stopped before the first. */
void instance_join(struct instance *i, const struct instance *first);
void instance_leave(struct instance *i);
bool instance_live(struct instance *i);
bool instance_wait_live(struct instance *i, bool live, unsigned ms); /* false: not within that time */
struct cache_totals instance_totals(struct instance *i);
uint64_t instance_count(struct instance *i, enum stats_counter c);

/* One read: look-up, then perhaps a fill. Zeroed before use; key and tag set by the caller. */
struct read {
	struct get *get; /* the look-up under way */
	char key[64];
	cache_tag tag;
	struct cache_lookup l;
	bool hit;
	char data[128]; /* of a hit, NUL-terminated */
	uint64_t took_ns;
};

bool read_get(struct instance *i, struct read *r, const char *key, cache_tag tag); /* true: a hit */
enum cache_refusal read_fill(struct instance *i, struct read *r, const char *data);
void instance_invalidate(struct instance *i, cache_tag tag, const struct cache_pos *pos);
/* Runs fn on the instance's loop and waits for it. */
void instance_run(struct instance *i, void (*fn)(void *arg), void *arg);
void instance_control(struct instance *i, void (*fn)(void *arg), void *arg); /* on the control loop */

/* ---- two instances on one server, b through a link ---- */

#define PAIR_MEMORY (UINT64_C(8) << 20)
#define PAIR_TAG 77

struct pair {
	struct server server;
	struct link link; /* b's way to Redis */
	struct instance a, b;
};

extern struct pair two;

/* extra: options of redis-server, NULL ends them, or NULL. url_fmt has one %u, the port. */
void pair_start(const char *const *extra, const char *url_fmt);
int pair_setup(void **state); /* for cmocka: started and live */
int pair_teardown(void **state);
const char *value_name(const char *key); /* of a key in Redis; static */
bool in_redis(const char *name);
/* Read, miss, fill, and wait until Redis has it. */
void fill_through(struct instance *i, const char *key, const char *data);

/* Until cond is true, at most ms. */
#define WITHIN(ms, cond)                                                                                               \
	__extension__({                                                                                                 \
		bool met_ = false;                                                                                     \
		for (unsigned t_ = 0; t_ <= (ms) && !(met_ = (cond)); t_ += 5)                                         \
			usleep(5000);                                                                                  \
		met_;                                                                                                  \
	})

#endif
