/*
 * lease.c - a request asks for a connection, and gets one at once, when one has been opened, or when it is its turn:
 *
 *   lease_acquire → choose_idle → lend
 *                 → lease_open … lease_opened (lease_life.c) → idle → serve_waiters → lend → done
 */
#include "lease_impl.h"

#include <stdio.h>

#include "clock.h"

#define LOOK_AT 64 /* idle connections considered for a request */

/* ---- counts ---- */

/* For who has asked then. */
static bool count_one_more(struct lease_pool *p, struct backend *b, uint64_t since_ns)
{
	uint32_t n = atomic_load_explicit(&b->connections, memory_order_relaxed);

	do {
		if (n >= p->limits.max || (n + 1 == p->limits.max && lease_owes(lease_place(p, b), b, since_ns)))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&b->connections, &n, n + 1, memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

/* ---- choosing ---- */

/* Its own login was as early: what it would find on a connection of its own, it finds there. */
static bool is_its_past(const struct upstream *u, const struct lease_request *r)
{
	return r->own_past && r->session && u->parked_for == r->session;
}

static bool fits(const struct upstream *u, const struct lease_request *r)
{
	return u->wire == r->wire && u->plain == r->plain && (likely(u->epoch >= r->epoch) || is_its_past(u, r)) &&
	       (u->account == r->account || u->account->id == r->account->id);
}

/* A connection with a schema cannot go back to having none. */
static bool state_reachable(const struct upstream *u, const struct lease_request *r)
{
	return !r->vars || r->vars->schema.len || !u->vars->schema.len;
}

/* The connection this session used last, if it lies here idle. */
static struct upstream *parked(const struct lease_request *r)
{
	struct upstream *u = r->park ? r->park->u : NULL;

	return u && u->state == UPSTREAM_IDLE && u->backend == r->backend && fits(u, r) && state_reachable(u, r) ? u : NULL;
}

/* How much is lost if another has it, or nobody: nothing; what a session may have left that is somewhere else by now, or gone; what a session
 * may ask for next; what has to be asked first. */
static int hangs_on(const struct upstream *u)
{
	if (u->park && u->park->sole)
		return 3;
	return !u->keep ? 0 : u->park ? 2 : 1;
}

static struct upstream *choose_idle(struct lease_pool *p, struct lease_backend *lb, const struct lease_request *r)
{
	struct upstream *best = parked(r);
	int best_score = -100, looked = 0;
	bool full = lease_is_full(p, r->backend, r->account);

	if (likely(best != NULL))
		return best;
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
		score = u->epoch == r->epoch ? 4 : 0;
		score -= 8 * hangs_on(u);
		score += u->vars == r->vars ? 2 : span_eq(u->vars->schema, r->vars ? r->vars->schema : u->vars->schema);
		if (score > best_score || (score == best_score && u->keep)) { /* of those that are kept, the one that nobody has asked for longest */
			best = u;
			best_score = score;
			if (score == 6 && r->session == 0)
				break;
		}
	}
	return best;
}

struct upstream *lease_parked(struct lease_pool *p, struct backend *b, uint64_t session)
{
	int looked = 0;

	list_each(&lease_place(p, b)->idle, n) {
		struct upstream *u = container_of(n, struct upstream, node);

		if (u->parked_for == session)
			return u;
		if (++looked > LOOK_AT)
			break;
	}
	return NULL;
}

static void lend(struct upstream *u, struct lease_request *r)
{
	struct lease_backend *lb = lease_place(u->pool, u->backend);

	list_remove(&lb->idle, &u->node);
	list_push_back(&lb->busy, &u->node);
	if (u->park != r->park)
		lease_unpark(u);
	u->state = UPSTREAM_LEASED;
	u->lent = true;
	atomic_fetch_add_explicit(&u->load->active, 1, memory_order_relaxed);
}

/* The one on which least hangs, and of those the one that idles longest. NULL: none is idle. */
static struct upstream *least_missed(const struct lease_backend *lb)
{
	struct upstream *least = NULL;

	for (struct list_node *n = list_last(&lb->idle); n; n = list_prev(&lb->idle, n)) {
		struct upstream *u = container_of(n, struct upstream, node);

		if (!least || hangs_on(u) < hangs_on(least))
			least = u;
		if (hangs_on(least) == 0)
			break;
	}
	return least;
}

/* It may have to be asked first what it knows. */
bool lease_evict(struct lease_backend *lb)
{
	struct upstream *u = least_missed(lb);

	if (!u || lease_ask(u))
		return false;
	upstream_close(u, "making room for somebody else");
	return true;
}

/* What is about to be dealt out to those who wait is not closed for one of them. */
static bool may_evict(struct lease_pool *p)
{
	p->unopened |= p->serving;
	return !p->serving;
}

enum rc lease_open(struct lease_pool *p, struct lease_backend *lb, struct lease_request *r)
{
	struct upstream *u;

	if (r->urgent)
		atomic_fetch_add_explicit(&r->backend->connections, 1, memory_order_relaxed);
	else if (!count_one_more(p, r->backend, r->asked_ns) && !(may_evict(p) && lease_evict(lb) && count_one_more(p, r->backend, r->asked_ns)))
		return RC_DECLINED;
	u = upstream_open(p, r->backend, r->account, r->wire, r->vars ? varset_login_collation(r->vars) : 0);
	if (u)
		u->plain = r->plain;
	if (!u) {
		lease_count_less(r->backend);
		snprintf(r->err_text, sizeof(r->err_text), "cannot connect to %s", r->backend->text);
		return RC_ERROR;
	}
	list_push_back(&lb->opening, &u->node);
	r->opening = u;
	return RC_OK;
}

/* ---- parking ---- */

void lease_unpark(struct upstream *u)
{
	if (u->park)
		u->park->u = NULL;
	u->park = NULL;
}

void lease_park_end(struct lease_park *park)
{
	if (!park->u)
		return;
	park->u->keep = false;
	lease_unpark(park->u);
}

void lease_park(struct upstream *u, struct lease_park *park, uint64_t session)
{
	u->parked_for = session;
	park->sole = park->told = false; /* what was left before counts no more */
	if (likely(u->park == park))
		return;
	lease_unpark(u);
	if (park->u)
		lease_unpark(park->u);
	u->park = park;
	park->u = u;
}

/* ---- requests ---- */

void lease_leave(struct lease_backend *lb, struct lease_request *r)
{
	list_remove(&lb->waiters, &r->node);
	atomic_fetch_sub_explicit(&r->backend->waiting, 1, memory_order_relaxed);
	r->opening = NULL;
}

enum rc lease_acquire(struct lease_pool *p, struct lease_request *r, struct upstream **u)
{
	struct lease_backend *lb = lease_place(p, r->backend);
	bool own, asked;
	struct upstream *idle;

	if (unlikely(r->asks_first))
		lease_ask_first(r);
	own = asked = unlikely(lease_awaits_answer(r));
	idle = !own && !r->fresh && (list_empty(&lb->waiters) || r->parked_only) ? choose_idle(p, lb, r) : NULL;

	r->err_code = 0;
	r->err_theirs = false;
	r->err_text[0] = '\0';
	r->opening = NULL;
	r->node = (struct list_node){NULL, NULL};
	if (r->parked_only && !own && (!idle || idle->parked_for != r->session))
		return RC_DECLINED;
	if (idle && unlikely(idle->park != r->park) && lease_ask(idle)) {
		idle = NULL;
		asked = true;
	}
	if (idle) {
		lend(idle, r);
		*u = idle;
		return RC_OK;
	}
	if (p->closing)
		return RC_DECLINED;
	r->asked_ns = clock_mono_ns();
	if (!asked && (lease_is_crowded(r->backend, r->account) ? r->impatient : lease_open(p, lb, r) == RC_ERROR && r->impatient))
		return RC_DECLINED;
	if (r->urgent || own)
		list_push_front(&lb->waiters, &r->node);
	else
		list_push_back(&lb->waiters, &r->node);
	atomic_fetch_add_explicit(&r->backend->waiting, 1, memory_order_relaxed);
	stats_count(p->sink, STATS_C_POOL_WAITS, 1);
	return RC_AGAIN;
}

void lease_cancel(struct lease_pool *p, struct lease_request *r)
{
	if (list_linked(&r->node))
		lease_leave(lease_place(p, r->backend), r);
}

/* Nothing that became free was of use to it for so long: the next place is its own, whatever those behind it could use. */
static bool is_owed_place(const struct lease_pool *p, const struct lease_request *r)
{
	return !r->opening && !lease_is_crowded(r->backend, r->account) && lease_no_room(p, r->backend) &&
	       clock_mono_ns() - r->asked_ns > LEASE_PASSED_OVER_NS;
}

static void serve(struct lease_backend *lb, struct lease_request *r, struct upstream *u)
{
	lease_leave(lb, r);
	lend(u, r);
	r->done(r, RC_OK, u);
}

/* Gives an idle connection to the first waiter it fits, or that one what it used last, if that idles, too: only there is what it has left.
 * False: nobody's, and nothing changed. */
static bool serve_waiters(struct lease_pool *p, struct lease_backend *lb, struct upstream *u)
{
	list_each(&lb->waiters, n) {
		struct lease_request *r = container_of(n, struct lease_request, node);
		struct upstream *own = r->fresh ? NULL : parked(r);

		if (unlikely(lease_awaits_answer(r)))
			continue;
		if (own) {
			serve(lb, r, own);
			return true;
		}
		if (!fits(u, r) || !state_reachable(u, r)) {
			if (!is_owed_place(p, r))
				continue;
			if (!lease_ask(u)) {
				upstream_close(u, "making room for one that has waited longest");
				(void)lease_open(p, lb, r);
			}
			return true;
		}
		if (unlikely(u->park != r->park) && lease_ask(u))
			return true;
		if (r->fresh && u->lent) { /* it needs a new one, and would see those behind it served for ever */
			if (r->opening || lease_is_crowded(r->backend, r->account) || !lease_no_room(p, r->backend))
				continue;
			upstream_close(u, "making room for a new one");
			(void)lease_open(p, lb, r);
			return true;
		}
		serve(lb, r, u);
		return true;
	}
	/* None fits: a waiter of another account needs the place more than this connection does. */
	if (!list_empty(&lb->waiters)) {
		struct lease_request *r = container_of(list_first(&lb->waiters), struct lease_request, node);

		if (!r->opening && lease_no_room(p, r->backend)) {
			if (lease_ask(u))
				return true;
			upstream_close(u, "making room for another account");
			(void)lease_open(p, lb, r);
			return true;
		}
	}
	return false;
}

static bool serve_one(struct lease_pool *p, struct lease_backend *lb)
{
	list_each(&lb->idle, n) {
		struct upstream *u = container_of(n, struct upstream, node);
		bool full = lease_is_full(p, u->backend, u->account);

		if ((full || !u->keep) && serve_waiters(p, lb, u))
			return true; /* the lists are not what they were */
	}
	return false;
}

static void on_serve(struct mail *m)
{
	struct lease_pool *p = container_of(m, struct lease_pool, serve_mail);

	bool open = p->unopened;

	p->serving = p->unopened = false;
	for (size_t i = 0; i < p->topology->n && !p->closing; i++) {
		while (!list_empty(&p->backends[i].waiters) && serve_one(p, &p->backends[i]))
			;
		if (unlikely(open) && !p->closing)
			lease_open_waiting(p, &p->backends[i]);
	}
}

void lease_serve_soon(struct lease_pool *p)
{
	if (p->serving)
		return;
	p->serving = true;
	p->serve_mail.run = on_serve;
	loop_defer(p->loop, &p->serve_mail);
}
