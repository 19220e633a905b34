#include "lease.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define LOOK_AT 64            /* idle connections considered for a request */
#define TICK_NS (100 * NS_PER_MS)

static struct lease_backend *place_of(struct lease_pool *p, const struct backend *b)
{
	for (size_t i = 0; i < p->topology->n; i++)
		if (p->topology->all[i] == b)
			return &p->backends[i];
	log_fatal("lease", "a backend that is not in the topology", "addr=%s", b->text);
}

/* ---- counts ---- */

static bool count_one_more(struct lease_pool *p, struct backend *b)
{
	uint32_t n = atomic_load_explicit(&b->connections, memory_order_relaxed);

	do {
		if (n >= p->limits.max)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&b->connections, &n, n + 1, memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

static void count_one_less(struct backend *b)
{
	atomic_fetch_sub_explicit(&b->connections, 1, memory_order_relaxed);
}

/* ---- choosing ---- */

static bool fits(const struct upstream *u, const struct lease_request *r)
{
	return u->wire == r->wire && (u->account == r->account || u->account->id == r->account->id);
}

/* A connection with a schema cannot go back to having none. */
static bool state_reachable(const struct upstream *u, const struct lease_request *r)
{
	return !r->vars || r->vars->schema.len || !u->vars->schema.len;
}

static struct upstream *choose_idle(struct lease_pool *p, struct lease_backend *lb, const struct lease_request *r)
{
	struct upstream *best = NULL;
	int best_score = -1, looked = 0;
	bool full = atomic_load_explicit(&r->backend->connections, memory_order_relaxed) >= p->limits.max;

	list_each(&lb->idle, n) {
		struct upstream *u = container_of(n, struct upstream, node);
		int score;

		if (++looked > LOOK_AT)
			break;
		if (!fits(u, r) || !state_reachable(u, r))
			continue;
		if (r->session && u->parked_for == r->session)
			return u;
		if (u->keep && !full)
			continue;
		score = u->vars == r->vars ? 2 : span_eq(u->vars->schema, r->vars ? r->vars->schema : u->vars->schema);
		if (score > best_score) {
			best = u;
			best_score = score;
			if (score == 2 && r->session == 0)
				break;
		}
	}
	return best;
}

static void lend(struct upstream *u, struct lease_request *r)
{
	struct lease_backend *lb = place_of(u->pool, u->backend);

	list_remove(&lb->idle, &u->node);
	list_push_back(&lb->busy, &u->node);
	u->state = UPSTREAM_LEASED;
	u->lent = true;
	u->since_ns = clock_mono_ns();
	atomic_fetch_add_explicit(&u->backend->active, 1, memory_order_relaxed);
}

/* Somebody else's idle connection makes room for this request's own. */
static bool evict_one(struct lease_backend *lb)
{
	struct list_node *n = list_last(&lb->idle);

	if (!n)
		return false;
	upstream_close(container_of(n, struct upstream, node), "making room for somebody else");
	return true;
}

/* RC_OK: one is on its way. RC_DECLINED: the limit is reached. RC_ERROR: it cannot even be tried. */
static enum rc open_for(struct lease_pool *p, struct lease_backend *lb, struct lease_request *r)
{
	struct upstream *u;

	if (!count_one_more(p, r->backend) && !(evict_one(lb) && count_one_more(p, r->backend)))
		return RC_DECLINED;
	u = upstream_open(p, r->backend, r->account, r->wire, r->vars ? varset_login_collation(r->vars) : 0);
	if (!u) {
		count_one_less(r->backend);
		snprintf(r->err_text, sizeof(r->err_text), "cannot connect to %s", r->backend->text);
		return RC_ERROR;
	}
	list_push_back(&lb->opening, &u->node);
	r->opening = u;
	stats_count(p->sink, STATS_C_UPSTREAM_CONNECTS, 1);
	return RC_OK;
}

/* ---- requests ---- */

static void leave_queue(struct lease_backend *lb, struct lease_request *r)
{
	list_remove(&lb->waiters, &r->node);
	atomic_fetch_sub_explicit(&r->backend->waiting, 1, memory_order_relaxed);
	r->opening = NULL;
}

enum rc lease_acquire(struct lease_pool *p, struct lease_request *r, struct upstream **u)
{
	struct lease_backend *lb = place_of(p, r->backend);
	struct upstream *idle = !r->fresh && (list_empty(&lb->waiters) || r->parked_only) ? choose_idle(p, lb, r) : NULL;

	r->err_code = 0;
	r->err_text[0] = '\0';
	r->opening = NULL;
	r->node = (struct list_node){NULL, NULL};
	if (r->parked_only && (!idle || idle->parked_for != r->session))
		return RC_DECLINED;
	if (idle) {
		lend(idle, r);
		*u = idle;
		return RC_OK;
	}
	if (p->closing)
		return RC_DECLINED;
	r->asked_ns = clock_mono_ns();
	if (open_for(p, lb, r) == RC_ERROR && r->impatient)
		return RC_DECLINED;
	list_push_back(&lb->waiters, &r->node);
	atomic_fetch_add_explicit(&r->backend->waiting, 1, memory_order_relaxed);
	stats_count(p->sink, STATS_C_POOL_WAITS, 1);
	return RC_AGAIN;
}

void lease_cancel(struct lease_pool *p, struct lease_request *r)
{
	if (list_linked(&r->node))
		leave_queue(place_of(p, r->backend), r);
}

/* Gives an idle connection to the first waiter it fits. False: nobody's, and nothing changed. */
static bool serve_waiters(struct lease_pool *p, struct lease_backend *lb, struct upstream *u)
{
	list_each(&lb->waiters, n) {
		struct lease_request *r = container_of(n, struct lease_request, node);

		if (!fits(u, r) || !state_reachable(u, r) || (r->fresh && u->lent))
			continue;
		leave_queue(lb, r);
		lend(u, r);
		r->done(r, RC_OK, u);
		return true;
	}
	/* None fits: a waiter of another account needs the place more than this connection does. */
	if (!list_empty(&lb->waiters)) {
		struct lease_request *r = container_of(list_first(&lb->waiters), struct lease_request, node);

		if (!r->opening && atomic_load_explicit(&r->backend->connections, memory_order_relaxed) >= p->limits.max) {
			upstream_close(u, "making room for another account");
			(void)open_for(p, lb, r);
			return true;
		}
	}
	return false;
}

static bool serve_one(struct lease_pool *p, struct lease_backend *lb)
{
	list_each(&lb->idle, n) {
		struct upstream *u = container_of(n, struct upstream, node);
		bool full = atomic_load_explicit(&u->backend->connections, memory_order_relaxed) >= p->limits.max;

		if ((full || !u->keep) && serve_waiters(p, lb, u))
			return true; /* the lists are not what they were */
	}
	return false;
}

static void on_serve(struct mail *m)
{
	struct lease_pool *p = container_of(m, struct lease_pool, serve_mail);

	p->serving = false;
	for (size_t i = 0; i < p->topology->n && !p->closing; i++)
		while (!list_empty(&p->backends[i].waiters) && serve_one(p, &p->backends[i]))
			;
}

static void serve_soon(struct lease_pool *p)
{
	if (p->serving)
		return;
	p->serving = true;
	p->serve_mail.run = on_serve;
	loop_defer(p->loop, &p->serve_mail);
}

static void go_idle(struct upstream *u)
{
	struct lease_pool *p = u->pool;
	struct lease_backend *lb = place_of(p, u->backend);
	bool full = atomic_load_explicit(&u->backend->connections, memory_order_relaxed) >= p->limits.max;

	u->state = UPSTREAM_IDLE;
	u->owner = NULL;
	u->ops = NULL;
	u->since_ns = clock_mono_ns();
	list_push_front(&lb->idle, &u->node);
	if (!list_empty(&lb->waiters) && (full || !u->keep))
		serve_soon(p);
	else if (full && unlikely(atomic_load_explicit(&u->backend->waiting, memory_order_relaxed)))
		upstream_close(u, "another worker needs the place");
}

/* A fresh connection has the character sets of its login, and nothing else. */
static void begin_state(struct upstream *u)
{
	const struct varset *vars = NULL;
	char number[8];

	if (u->collation && u->collation < 256) {
		(void)snprintf(number, sizeof(number), "%u", u->collation);
		vars = varset_with(u->pool->empty, span_str(VARSET_LOGIN_COLLATION), span_str(number));
	}
	upstream_set_vars(u, vars ? vars : u->pool->empty);
	varset_unref(vars);
}

void lease_opened(struct upstream *u, bool ok, const char *why)
{
	struct lease_pool *p = u->pool;
	struct lease_backend *lb = place_of(p, u->backend);

	evtimer_del(&u->timer);
	if (ok) {
		atomic_store_explicit(&u->account->verified_ns, clock_mono_ns(), memory_order_relaxed);
		begin_state(u);
		list_remove(&lb->opening, &u->node);
		if (backend_state(u->backend) == BACKEND_DOWN || backend_state(u->backend) == BACKEND_UNKNOWN)
			if (atomic_load_explicit(&u->backend->role, memory_order_relaxed) == BACKEND_PRIMARY)
				backend_set_state(u->backend, BACKEND_UP, "");
		list_each(&lb->waiters, n)
			if (container_of(n, struct lease_request, node)->opening == u)
				container_of(n, struct lease_request, node)->opening = NULL;
		go_idle(u);
		return;
	}
	stats_count(p->sink, STATS_C_UPSTREAM_CONNECT_ERRORS, 1);
	if (!u->err_code) { /* the network, not a refusal */
		backend_problem(u->backend, why);
		backend_set_state(u->backend, BACKEND_DOWN, why);
	}
	list_each_safe(&lb->waiters, n, tmp) {
		struct lease_request *r = container_of(n, struct lease_request, node);

		if (r->opening != u)
			continue;
		r->opening = NULL;
		snprintf(r->err_text, sizeof(r->err_text), "%s", why);
		r->err_code = u->err_code;
		memcpy(r->err_state, u->err_state, sizeof(r->err_state));
		if (u->err_code) {
			leave_queue(lb, r);
			r->done(r, RC_ERROR, NULL);
		} else if (r->impatient) {
			leave_queue(lb, r);
			r->done(r, RC_DECLINED, NULL);
		}
		return; /* one connection serves one request; a request to the primary waits for the next tick */
	}
}

void lease_ready(struct upstream *u)
{
	struct lease_backend *lb = place_of(u->pool, u->backend);

	evtimer_del(&u->timer);
	list_remove(&lb->busy, &u->node);
	go_idle(u);
}

void lease_lost(struct upstream *u)
{
	struct lease_backend *lb = place_of(u->pool, u->backend);

	switch (u->state) {
	case UPSTREAM_CONNECTING:
	case UPSTREAM_GREETING:
	case UPSTREAM_AUTH:
	case UPSTREAM_INIT:
		list_remove(&lb->opening, &u->node);
		break;
	case UPSTREAM_IDLE:
		list_remove(&lb->idle, &u->node);
		break;
	case UPSTREAM_LEASED:
		atomic_fetch_sub_explicit(&u->backend->active, 1, memory_order_relaxed);
		list_remove(&lb->busy, &u->node);
		break;
	case UPSTREAM_RESETTING:
		list_remove(&lb->busy, &u->node);
		break;
	case UPSTREAM_CLOSED:
		return;
	}
	count_one_less(u->backend);
}

void lease_discard(struct upstream *u, const char *why)
{
	u->ops = NULL;
	u->owner = NULL;
	upstream_close(u, why);
}

/* Asks the server to forget the session; prepared statements go with it, the schema stays. */
static void begin_reset(struct upstream *u)
{
	static const uint8_t reset = COM_RESET_CONNECTION;
	struct timeval tv = {.tv_sec = 5};
	const struct varset *clean = varset_with_schema(u->pool->empty, u->vars->schema);

	u->state = UPSTREAM_RESETTING;
	if (!clean) {
		upstream_close(u, "out of memory");
		return;
	}
	upstream_set_vars(u, clean);
	varset_unref(clean);
	upstream_stmt_forget_all(u);
	u->dirty = false;
	u->parked_for = u->insert_id_of = u->warnings_of = 0;
	evtimer_add(&u->timer, &tv);
	if (upstream_command(u, TRACK_SIMPLE, &reset, 1) != RC_OK)
		upstream_close(u, "connection lost at reset");
}

void lease_release(struct upstream *u)
{
	struct lease_pool *p = u->pool;

	if (u->state != UPSTREAM_LEASED)
		return;
	if (u->ch.paused)
		channel_resume(&u->ch);
	if (u->tracking || u->condemned || p->closing || !u->ch.open) {
		lease_discard(u, u->tracking ? "left in the middle of a reply" : "no longer wanted");
		return;
	}
	atomic_fetch_sub_explicit(&u->backend->active, 1, memory_order_relaxed);
	u->ops = NULL;
	u->owner = NULL;
	if (u->dirty) {
		begin_reset(u);
		return;
	}
	list_remove(&place_of(p, u->backend)->busy, &u->node);
	go_idle(u);
}

/* ---- time ---- */

static void tick_waiters(struct lease_pool *p, struct lease_backend *lb, uint64_t now)
{
	struct list_node *first;

	/* In order of their deadlines, nearly. done() may change the list: it is looked at anew each time. */
	while ((first = list_first(&lb->waiters)) != NULL) {
		struct lease_request *r = container_of(first, struct lease_request, node);

		if (now < r->deadline_ns)
			break;
		leave_queue(lb, r);
		stats_count(p->sink, STATS_C_POOL_WAIT_TIMEOUTS, 1);
		if (!r->err_text[0])
			snprintf(r->err_text, sizeof(r->err_text),
				 "no connection to %s became free in time: raise backend.pool.max or look for "
				 "what holds them (/api/clients)", r->backend->text);
		r->done(r, RC_DECLINED, NULL);
	}
	list_each(&lb->waiters, n) {
		struct lease_request *r = container_of(n, struct lease_request, node);

		if (!r->opening && open_for(p, lb, r) == RC_DECLINED)
			break;
	}
}

/* Another worker's requests wait, the limit is reached, and connections lie idle here: their places are given up. */
static void tick_yield(struct lease_pool *p, struct lease_backend *lb, struct backend *b)
{
	size_t waiting = atomic_load_explicit(&b->waiting, memory_order_relaxed);

	if (likely(waiting <= lb->waiters.count) ||
	    atomic_load_explicit(&b->connections, memory_order_relaxed) < p->limits.max)
		return;
	for (waiting -= lb->waiters.count; waiting && evict_one(lb); waiting--)
		;
}

static void tick_idle(struct lease_pool *p, struct lease_backend *lb, uint64_t now)
{
	list_each_safe(&lb->idle, n, tmp) {
		struct upstream *u = container_of(n, struct upstream, node);

		if (now - u->born_ns > p->limits.max_age_ns)
			upstream_close(u, "max_age");
		else if (now - u->since_ns > p->limits.idle_timeout_ns && lb->idle.count > p->limits.min_idle)
			upstream_close(u, "idle_timeout");
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct lease_pool *p = arg;
	uint64_t now = clock_mono_ns();

	for (size_t i = 0; i < p->topology->n; i++) {
		if (!list_empty(&p->backends[i].waiters))
			tick_waiters(p, &p->backends[i], now);
		tick_yield(p, &p->backends[i], p->topology->all[i]);
		tick_idle(p, &p->backends[i], now);
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
	varsets_init(&p->varsets);
	p->empty = varset_empty(&p->varsets);
	p->backends = mem_zalloc(t->n * sizeof(*p->backends));
	p->tick = event_new(loop_base(loop), -1, EV_PERSIST, on_tick, p);
	if (!p->empty || !p->backends || !p->tick || event_add(p->tick, &tv) != 0) {
		lease_pool_free(p);
		return NULL;
	}
	for (size_t i = 0; i < t->n; i++) {
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
