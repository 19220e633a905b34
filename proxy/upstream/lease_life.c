/*
 * lease_life.c - a connection's comings and goings: opened, idle, reset, lost, given back.
 */
#include "lease_impl.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"

/* What has passed since it was last counted. */
static void count_bytes(struct upstream *u)
{
	stats_count(u->pool->sink, STATS_C_BYTES_SERVER_IN, u->ch.bytes_in);
	stats_count(u->pool->sink, STATS_C_BYTES_SERVER_OUT, u->ch.bytes_out);
	u->ch.bytes_in = u->ch.bytes_out = 0;
}

static void go_idle(struct upstream *u)
{
	struct lease_pool *p = u->pool;
	struct lease_backend *lb = lease_place(p, u->backend);
	bool full = lease_is_full(p, u->backend, u->account);

	count_bytes(u);
	u->state = UPSTREAM_IDLE;
	u->owner = NULL;
	u->ops = NULL;
	u->since_ns = loop_now_ns(p->loop);
	list_push_front(&lb->idle, &u->node);
	u->given = u->given || (full && lease_gives_up(lb, u->backend));
	if (unlikely(u->given))
		lease_close_idle(u, "another worker needs the place");
	else if (!list_empty(&lb->waiters) && (full || !u->keep))
		lease_serve_soon(p);
	else if (full && lease_is_crowded(u->backend, u->account) && atomic_load_explicit(&u->backend->waiting, memory_order_relaxed))
		lease_close_idle(u, "another worker needs a connection of the server's");
}

/* A fresh connection has the character sets of its login, and nothing else. false: no memory to know them by. */
static bool begin_state(struct upstream *u)
{
	const struct varset *vars;
	char number[8];

	if (!u->collation || u->collation >= 256) {
		upstream_set_vars(u, u->pool->empty);
		return true;
	}
	(void)snprintf(number, sizeof(number), "%u", u->collation);
	vars = varset_with(u->pool->empty, span_str(VARSET_LOGIN_COLLATION), span_str(number));
	if (!vars)
		return false;
	upstream_set_vars(u, vars);
	varset_unref(vars);
	return true;
}

/* Too many connections: of all, of this account at once, of this account by its own limit. */
static bool says_crowded(uint16_t code)
{
	return code == ER_CON_COUNT || code == ER_ACCOUNT_COUNT || code == ER_ACCOUNT_LIMIT;
}

/* The server has no connection left: its waiter goes on waiting for one that becomes free, here or there. What lies idle
 * meets it now, should it have been kept for somebody. */
static void crowded(struct upstream *u)
{
	struct crowd *c = u->err_code == ER_CON_COUNT ? &u->backend->crowd : &u->account->crowd;
	char user[256];

	if (!crowd_is(c))
		log_warn("lease", "the server has no connection left: statements wait",
			 "addr=%s user=%s error=%u open=%u", u->backend->text, log_quote(user, sizeof(user), span_str(u->account->user)), u->err_code,
			 atomic_load_explicit(&u->backend->connections, memory_order_relaxed));
	crowd_begin(c);
	lease_serve_soon(u->pool);
}

void lease_opened(struct upstream *u, bool ok, const char *why)
{
	struct lease_pool *p = u->pool;
	struct lease_backend *lb = lease_place(p, u->backend);

	evtimer_del(&u->timer);
	if (ok) {
		bool known = begin_state(u);

		u->ready_ns = clock_mono_ns();
		stats_count(p->sink, STATS_C_UPSTREAM_CONNECTS, 1);
		stats_count(p->sink, STATS_C_UPSTREAM_ACTIVE, 1);
		if (atomic_load_explicit(&u->backend->role, memory_order_relaxed) == BACKEND_PRIMARY)
			atomic_store_explicit(&u->account->verified_ns, u->ready_ns, memory_order_relaxed); /* a replica may be behind */
		crowd_end(&u->backend->crowd);
		crowd_end(&u->account->crowd);
		list_remove(&lb->opening, &u->node);
		if (backend_state(u->backend) == BACKEND_DOWN || backend_state(u->backend) == BACKEND_UNKNOWN)
			if (atomic_load_explicit(&u->backend->role, memory_order_relaxed) == BACKEND_PRIMARY)
				backend_set_state(u->backend, BACKEND_UP, "");
		list_each(&lb->waiters, n)
			if (container_of(n, struct lease_request, node)->opening == u)
				container_of(n, struct lease_request, node)->opening = NULL;
		go_idle(u);
		if (!known)
			upstream_close(u, "out of memory"); /* its waiter tries again, at the next tick */
		return;
	}
	stats_count(p->sink, STATS_C_UPSTREAM_CONNECT_ERRORS, 1);
	if (!u->err_code) { /* the network, not a refusal */
		backend_problem(u->backend, why);
		backend_set_state(u->backend, BACKEND_DOWN, why);
		topology_look(p->topology);
	}
	list_each_safe(&lb->waiters, n, tmp) {
		struct lease_request *r = container_of(n, struct lease_request, node);

		if (r->opening != u)
			continue;
		r->opening = NULL;
		snprintf(r->err_text, sizeof(r->err_text), "%s", why);
		r->err_code = u->err_code;
		r->err_theirs = u->err_theirs;
		memcpy(r->err_state, u->err_state, sizeof(r->err_state));
		if (says_crowded(u->err_code))
			crowded(u);
		if (u->err_code && !says_crowded(u->err_code)) {
			lease_leave(lb, r);
			r->done(r, RC_ERROR, NULL);
		} else if (r->impatient) {
			lease_leave(lb, r);
			r->done(r, RC_DECLINED, NULL);
		}
		return; /* one connection serves one request; a request to the primary waits for the next tick */
	}
}

void lease_ready(struct upstream *u)
{
	struct lease_backend *lb = lease_place(u->pool, u->backend);

	evtimer_del(&u->timer);
	list_remove(&lb->busy, &u->node);
	go_idle(u);
}

void lease_lost(struct upstream *u)
{
	struct lease_backend *lb = lease_place(u->pool, u->backend);

	lease_unpark(u);
	switch (u->state) {
	case UPSTREAM_CONNECTING:
	case UPSTREAM_GREETING:
	case UPSTREAM_SECURING:
	case UPSTREAM_AUTH:
	case UPSTREAM_INIT:
		list_remove(&lb->opening, &u->node);
		break;
	case UPSTREAM_IDLE:
		list_remove(&lb->idle, &u->node);
		break;
	case UPSTREAM_LEASED:
		atomic_fetch_sub_explicit(&u->load->active, 1, memory_order_relaxed);
		list_remove(&lb->busy, &u->node);
		break;
	case UPSTREAM_RESETTING:
	case UPSTREAM_ASKED:
		list_remove(&lb->busy, &u->node);
		break;
	case UPSTREAM_CLOSED:
		return;
	}
	count_bytes(u);
	if (u->ready_ns) { /* it had come up */
		stats_count(u->pool->sink, STATS_C_UPSTREAM_CLOSES, 1);
		stats_count(u->pool->sink, STATS_C_UPSTREAM_ACTIVE, (uint64_t)-1);
	}
	lease_count_less(u->backend);
}

void lease_discard(struct upstream *u, const char *why)
{
	u->ops = NULL;
	u->owner = NULL;
	upstream_close(u, why);
}

/* Asks the server to forget the session; prepared statements go with it, the schema stays, its collation does not. */
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
	u->chose_epoch = 0;
	u->parked_for = u->insert_id_of = u->warnings_of = 0;
	lease_unpark(u);
	evtimer_add(&u->timer, &tv);
	if (upstream_command(u, TRACK_SIMPLE, &reset, 1) != RC_OK)
		upstream_close(u, "connection lost at reset");
}

/* A reset gives the server's defaults of today, and takes away what the login asked for besides. */
bool lease_reset_is_enough(const struct upstream *u)
{
	return !(u->wire & CLIENT_IGNORE_SPACE) && u->epoch == accounts_epoch(u->pool->accounts);
}

void lease_release(struct upstream *u)
{
	struct lease_pool *p = u->pool;

	if (u->state != UPSTREAM_LEASED)
		return;
	if (u->ch.paused)
		channel_resume(&u->ch);
	if (u->tracking || u->condemned || p->closing || !u->ch.open || (u->dirty && !lease_reset_is_enough(u))) {
		lease_discard(u, u->tracking ? "left in the middle of a reply" : "no longer wanted");
		return;
	}
	if (unlikely(u->holds) && lease_is_held(u))
		return;
	atomic_fetch_sub_explicit(&u->load->active, 1, memory_order_relaxed);
	u->ops = NULL;
	u->owner = NULL;
	if (u->dirty) {
		begin_reset(u);
		return;
	}
	list_remove(&lease_place(p, u->backend)->busy, &u->node);
	go_idle(u);
}
