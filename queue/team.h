/*
 * team.h - the connections that apply at the same time, each on a thread of its own with a share of the keys.
 *
 * A worker is its thread's while busy, else the drain's: nothing of it is locked but that one word.
 */
#ifndef SUIMON_TEAM_H
#define SUIMON_TEAM_H

#include <pthread.h>

#include "apply.h"
#include "shares.h"

struct team;

struct team_worker {
	struct team *team; /* not owned */
	pthread_t thread;
	bool started;
	bool busy; /* guarded by the team's lock */
	struct applier applier;
	struct apply_item *items; /* owned; what of the stretch falls to it */
	size_t n, cap;
	enum apply_result result; /* of the last run */
	uint64_t took_ns;
};

struct team {
	pthread_mutex_t lock; /* guards stopping and the workers' busy */
	pthread_cond_t work, done;
	bool stopping;
	unsigned n;
	struct team_worker worker[];
};

struct team *team_new(unsigned n, const uint8_t id[QUEUE_ID_BYTES], struct dead *dead) must_check; /* NULL: no memory */
enum rc team_start(struct team *p) must_check;
void team_stop(struct team *p); /* ends the threads, whatever they wait for */
void team_free(struct team *p); /* NULL is allowed */

/* All of them, to where `main` is connected; shares and main's position are what was read there. RC_ERROR: reason, and
 * none is connected. */
enum rc team_connect(struct team *p, const struct queue_target *target, const struct applier *main,
		     const struct shares *shares, char *reason, size_t cap) must_check;
void team_disconnect(struct team *p);
void team_interrupt(struct team *p); /* any thread */

void team_clear(struct team *p);
/* A copy of the item. RC_ERROR: no memory. */
enum rc team_give(struct team_worker *w, const struct apply_item *it) must_check;
void team_run(struct team_worker *w);
void team_wait(struct team *p); /* until none is busy */

#endif
