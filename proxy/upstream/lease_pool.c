/*
 * lease_pool.c - the pool's life, and what happens by time: waiters that have waited long enough, places that others
 * need more, connections too old or too long idle.
 */
#include "lease_impl.h"

#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define TICK_NS (100 * NS_PER_MS)
#define SPARE_NS NS_PER_SEC /* so long a connection stays that no client of today can need */

struct lease_backend *lease_place(struct lease_pool *p, const struct backend *b)
{
	return &p->backends[b->slot];
}

void lease_close_statements(struct lease_pool *p, const struct backend *b)
{
	list_each(&lease_place(p, b)->idle, n)
		upstream_stmt_close_all(container_of(n, struct upstream, node));
}

/* ---- time ---- */

/* opening: one was on its way for it. */
static void say_why(struct lease_request *r, bool opening)
{
	if (r->err_text[0])
		return;
	if (opening) {
		snprintf(r->err_text, sizeof(r->err_text),
			 "no connection to %s was ready in time: one was being opened, and it was slow to let it in (network, TLS, login)",
			 r->backend->text);
		return;
	}
	if (lease_is_crowded(r->backend, r->account)) {
		r->err_code = ER_CON_COUNT;
		snprintf(r->err_state, sizeof(r->err_state), "08004");
		snprintf(r->err_text, sizeof(r->err_text),
			 "no connection became free in time, and %s has none left to open: raise its max_connections or "
			 "look for what holds them (/api/clients)", r->backend->text);
		return;
	}
	snprintf(r->err_text, sizeof(r->err_text),
		 "no connection to %s became free in time: raise backend.pool.max or look for what holds them (/api/clients)",
		 r->backend->text);
}

/* Those whose connection somebody else was given, or that had to wait for room. True: one has gone elsewhere, and the list is not what
 * it was. */
static bool open_for_one(struct lease_pool *p, struct lease_backend *lb)
{
	list_each(&lb->waiters, n) {
		struct lease_request *r = container_of(n, struct lease_request, node);
		enum rc rc;

		if (r->opening || lease_awaits_answer(r) || !crowd_may_try(&r->backend->crowd) || !crowd_may_try(&r->account->crowd))
			continue;
		rc = lease_open(p, lb, r);
		if (rc == RC_DECLINED)
			return false;
		if (rc == RC_ERROR && r->impatient) { /* refused at once: the server is not there */
			lease_leave(lb, r);
			r->done(r, RC_DECLINED, NULL);
			return true;
		}
	}
	return false;
}

void lease_open_waiting(struct lease_pool *p, struct lease_backend *lb)
{
	while (open_for_one(p, lb))
		;
}

static void tick_waiters(struct lease_pool *p, struct lease_backend *lb, uint64_t now)
{
	struct list_node *first;

	/* In order of their deadlines, nearly. done() may change the list: it is looked at anew each time. */
	while ((first = list_first(&lb->waiters)) != NULL) {
		struct lease_request *r = container_of(first, struct lease_request, node);
		bool opening = r->opening;

		if (now < r->deadline_ns)
			break;
		lease_leave(lb, r);
		stats_count(p->sink, STATS_C_POOL_WAIT_TIMEOUTS, 1);
		say_why(r, opening);
		r->done(r, RC_DECLINED, NULL);
	}
	lease_open_waiting(p, lb);
}

static bool has_unused(const struct lease_backend *lb, uint64_t now)
{
	const struct list_node *n = list_last(&lb->idle);

	return n && now - container_of(n, const struct upstream, node)->since_ns > LEASE_PASSED_OVER_NS;
}

/* Another worker's requests wait, no new connection is to be had, and connections lie unused here: their places are given up. */
static void tick_yield(struct lease_pool *p, struct lease_backend *lb, struct backend *b, uint64_t now)
{
	size_t waiting = atomic_load_explicit(&b->waiting, memory_order_relaxed);

	if (likely(waiting <= lb->waiters.count))
		return;
	for (waiting -= lb->waiters.count; waiting && lease_no_room(p, b) && has_unused(lb, now) && lease_evict(lb); waiting--)
		;
	list_each_safe(&lb->idle, n, tmp) {
		struct upstream *u = container_of(n, struct upstream, node);

		if (waiting && crowd_is(&u->account->crowd)) {
			lease_close_idle(u, "another worker needs its account's place");
			waiting--;
		}
	}
}

static void tick_idle(struct lease_pool *p, struct lease_backend *lb, uint64_t now)
{
	list_each_safe(&lb->idle, n, tmp) {
		struct upstream *u = container_of(n, struct upstream, node);

		if (now - u->born_ns > p->limits.max_age_ns)
			lease_close_idle(u, "max_age");
		else if (now - u->since_ns > p->limits.idle_timeout_ns && lb->idle.count > p->limits.min_idle)
			lease_close_idle(u, "idle_timeout");
	}
}

static void tick_busy(struct lease_backend *lb, uint64_t now)
{
	list_each(&lb->busy, n)
		if (upstream_is_gone(container_of(n, struct upstream, node), now))
			return; /* the list is not what it was: the others have their turn at the next tick */
}

/* The one that idles longest of those that no session of today has used last; NULL: none is spare. */
static struct upstream *spare(const struct lease_backend *lb, uint64_t now)
{
	for (struct list_node *n = list_last(&lb->idle); n; n = list_prev(&lb->idle, n)) {
		struct upstream *u = container_of(n, struct upstream, node);

		if (now - u->since_ns < SPARE_NS)
			return NULL;
		if (!u->park)
			return u;
	}
	return NULL;
}

/* While clients are here, more connections than clients are of no use to any of them: those that nobody came back for
 * are closed. So a server sees no more connections than it would without suimon. What a client used last stays, and with
 * it what the server counts for that connection (SHOW SESSION STATUS). */
static void tick_spare(struct lease_pool *p, struct lease_backend *lb, struct backend *b, uint64_t now)
{
	uint32_t clients = p->clients ? atomic_load_explicit(p->clients, memory_order_relaxed) : 0;

	while (clients && atomic_load_explicit(&b->connections, memory_order_relaxed) > clients) {
		struct upstream *u = spare(lb, now);

		if (!u)
			return;
		upstream_close(u, "no client needs it");
	}
}

/* ---- owed to another worker: each has connections of its own, but the limit is for all of them ---- */

/* When the one who waits longest here for a place that others have has asked; 0: nobody waits long. */
static uint64_t longest(const struct lease_backend *lb)
{
	list_each(&lb->waiters, n) {
		const struct lease_request *r = container_of(n, struct lease_request, node);

		if (!r->opening && !lease_is_crowded(r->backend, r->account))
			return r->asked_ns + LEASE_PASSED_OVER_NS < clock_mono_ns() ? r->asked_ns : 0;
	}
	return 0;
}

void lease_tell_owed(struct lease_backend *lb, struct backend *b)
{
	uint64_t mine = longest(lb), was = lb->owed_ns, said;

	if (likely(!mine && !was))
		return;
	if (was && was != mine)
		(void)atomic_compare_exchange_strong_explicit(&b->owed_ns, &was, 0, memory_order_relaxed, memory_order_relaxed);
	said = atomic_load_explicit(&b->owed_ns, memory_order_relaxed);
	if (mine && (!said || mine < said)) /* should two workers say it at once, the next tick puts it right */
		atomic_store_explicit(&b->owed_ns, mine, memory_order_relaxed);
	lb->owed_ns = mine;
}

bool lease_owes(const struct lease_backend *lb, const struct backend *b, uint64_t since_ns)
{
	uint64_t theirs = atomic_load_explicit(&b->owed_ns, memory_order_relaxed);

	return unlikely(theirs) && theirs != lb->owed_ns && theirs + LEASE_PASSED_OVER_NS < since_ns;
}

bool lease_gives_up(const struct lease_backend *lb, struct backend *b)
{
	const struct list_node *first = list_first(&lb->waiters);
	uint64_t given = atomic_load_explicit(&b->given_ns, memory_order_relaxed), now;

	if (likely(!atomic_load_explicit(&b->owed_ns, memory_order_relaxed)))
		return false;
	now = clock_mono_ns();
	if (!lease_owes(lb, b, first ? container_of(first, const struct lease_request, node)->asked_ns : now))
		return false;
	return given + LEASE_PASSED_OVER_NS < now && atomic_compare_exchange_strong_explicit(&b->given_ns, &given, now, memory_order_relaxed,
											     memory_order_relaxed);
}

/* ---- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct lease_pool *p = arg;
	uint64_t now = clock_mono_ns();

	for (size_t i = 0; i < p->topology->n; i++) {
		if (!list_empty(&p->backends[i].waiters))
			tick_waiters(p, &p->backends[i], now);
		lease_tell_owed(&p->backends[i], p->topology->all[i]);
		tick_yield(p, &p->backends[i], p->topology->all[i], now);
		tick_idle(p, &p->backends[i], now);
		tick_busy(&p->backends[i], now);
		tick_spare(p, &p->backends[i], p->topology->all[i], now);
	}
}

/* ---- life ---- */

struct lease_pool *lease_pool_new(struct loop *loop, struct channel_scratch *scratch, struct topology *t,
				  struct accounts *as, struct stats_sink *sink, const struct lease_limits *limits)
{
	struct lease_pool *p = mem_zalloc(sizeof(*p));
	struct timeval tv = {.tv_usec = TICK_NS / 1000};

	if (!p)
		return NULL;
	p->loop = loop;
	p->scratch = scratch;
	p->topology = t;
	p->accounts = as;
	p->sink = sink;
	p->limits = *limits;
	p->load = backend_load_place();
	varsets_init(&p->varsets);
	p->empty = varset_empty(&p->varsets);
	p->backends = mem_zalloc(t->cap * sizeof(*p->backends));
	p->tick = event_new(loop_base(loop), -1, EV_PERSIST, on_tick, p);
	if (!p->empty || !p->backends || !p->tick || event_add(p->tick, &tv) != 0) {
		lease_pool_free(p);
		return NULL;
	}
	for (size_t i = 0; i < t->cap; i++) {
		list_init(&p->backends[i].idle);
		list_init(&p->backends[i].busy);
		list_init(&p->backends[i].opening);
		list_init(&p->backends[i].waiters);
	}
	return p;
}

static void close_all(struct list *l)
{
	while (!list_empty(l))
		upstream_close(container_of(list_first(l), struct upstream, node), "shutting down");
}

void lease_pool_close(struct lease_pool *p)
{
	p->closing = true;
	for (size_t i = 0; i < p->topology->n; i++) {
		close_all(&p->backends[i].idle);
		close_all(&p->backends[i].opening);
		close_all(&p->backends[i].busy);
	}
	if (p->tick)
		event_del(p->tick);
}

void lease_pool_free(struct lease_pool *p)
{
	if (!p)
		return;
	if (p->tick)
		event_free(p->tick);
	varset_unref(p->empty);
	varsets_reset(&p->varsets);
	mem_free(p->backends);
	mem_free(p);
}
