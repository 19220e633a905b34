/*
 * lease_impl.h - the pool's own room: what its files share. Others use lease.h.
 *
 * lease.c       a request asks for a connection: choosing, opening, waiting in order
 * lease_life.c  a connection comes and goes: opened, idle, reset, lost, given back
 * lease_left.c  what a connection alone knows is asked before it is anybody else's
 * lease_pool.c  the pool's life, and what happens by time
 */
#ifndef SUIMON_LEASE_IMPL_H
#define SUIMON_LEASE_IMPL_H

#include "lease.h"

struct lease_backend *lease_place(struct lease_pool *p, const struct backend *b);
#define LEASE_PASSED_OVER_NS (100 * NS_PER_MS) /* so long others may be served before one who asked earlier, by what is of no use to it or another worker's */

#define ER_CON_COUNT 1040     /* max_connections */
#define ER_ACCOUNT_COUNT 1203 /* max_user_connections, for all */
#define ER_ACCOUNT_LIMIT 1226 /* the account's own */

/* The server has no new connection left for this account. */
static inline bool lease_is_crowded(const struct backend *b, const struct account *a)
{
	return crowd_is(&b->crowd) || crowd_is(&a->crowd);
}
/* No new connection to b is to be had for anybody: the limit is reached, or the server's own. */
static inline bool lease_no_room(const struct lease_pool *p, const struct backend *b)
{
	return atomic_load_explicit(&b->connections, memory_order_relaxed) >= p->limits.max || crowd_is(&b->crowd);
}
/* ... or for this account: whoever waits is served from those there are. */
static inline bool lease_is_full(const struct lease_pool *p, const struct backend *b, const struct account *a)
{
	return lease_no_room(p, b) || crowd_is(&a->crowd);
}
static inline void lease_count_less(struct backend *b)
{
	atomic_fetch_sub_explicit(&b->connections, 1, memory_order_relaxed);
}
/* Opens one for r. RC_OK: one is on its way. RC_DECLINED: the limit is reached. RC_ERROR: it cannot even be tried. */
enum rc lease_open(struct lease_pool *p, struct lease_backend *lb, struct lease_request *r);
/* Somebody else's idle connection makes room. false: there is none. */
bool lease_evict(struct lease_backend *lb) must_check;
/* r waits no longer. */
void lease_leave(struct lease_backend *lb, struct lease_request *r);
/* True: u, which is idle, alone knows what its session may ask for, and is asked: it will be idle again. */
bool lease_ask(struct upstream *u) must_check;
/* u, which is idle, is closed, for others or by time; once it was asked. */
void lease_close_idle(struct upstream *u, const char *why);
void lease_ask_first(const struct lease_request *r); /* if r wants that: lease_awaits_answer tells */
/* The connection that r's session used last is being asked: what it answers r may ask for. */
bool lease_awaits_answer(const struct lease_request *r) must_check;
/* Waiters that have no connection on its way get one, as far as there is room. */
void lease_open_waiting(struct lease_pool *p, struct lease_backend *lb);
/* The worker's part of backend.owed_ns, at each tick. */
void lease_tell_owed(struct lease_backend *lb, struct backend *b);
/* At another worker somebody has asked for a connection long before then. */
bool lease_owes(const struct lease_backend *lb, const struct backend *b, uint64_t since_ns) must_check;
/* ... and before anybody here: what becomes free is given up for that one. One place at a time, of all workers. */
bool lease_gives_up(const struct lease_backend *lb, struct backend *b) must_check;
/* Idle connections meet waiters after the turn. */
void lease_serve_soon(struct lease_pool *p);

#endif
