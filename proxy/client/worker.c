#include "listed.h"
#include "worker.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "doubt.h"
#include "log.h"
#include "mem.h"
#include "request.h"

#define TICK_MS 200
#define UNHEARD_LEAST_NS (5 * NS_PER_SEC) /* however short failover_hold is: packets are lost now and then */
#define KEY_WAIT_NS (30 * NS_PER_SEC)      /* for a key that is being made: half a second, on a starved machine several */

/* ---- time ---- */

/* A client that came before the primary was known: greeted as soon as it is, sent away after failover_hold. */
static void tick_greeting(struct session *s, uint64_t now)
{
	struct backend *primary = topology_primary(s->worker->in->topology);
	char problem[256];

	switch (login_greet(s)) {
	case RC_OK:
		return;
	case RC_AGAIN:
		if (now - s->opened_ns < s->worker->settings->backend.failover_hold_ns)
			return;
		pthread_mutex_lock(&primary->lock);
		(void)snprintf(problem, sizeof(problem), "%s", primary->problem);
		pthread_mutex_unlock(&primary->lock);
		reply_error(s, 1927, "08S01", "the primary %s cannot be reached%s%s", primary->text,
			    problem[0] ? ": " : "", problem);
		session_close(s, CLOSE_BACKEND, "no primary to take the identity from");
		return;
	default:
		session_close(s, CLOSE_MEMORY, "no greeting");
	}
}

static void tick_session(struct session *s, uint64_t now)
{
	const struct settings *cfg = s->worker->settings;

	switch (s->state) {
	case SESSION_HEADER:
		entry_tick(s, now);
		break;
	case SESSION_GREETED:
		if (!s->login) {
			tick_greeting(s, now);
			break;
		}
		/* fall through */
	case SESSION_AUTH:
		if (now - s->active_ns > (login_awaits_key(s) ? KEY_WAIT_NS : cfg->listen.handshake_timeout_ns))
			session_close(s, CLOSE_TIMEOUT, "handshake_timeout");
		break;
	case SESSION_READY:
		shown_tick(s);
		sets_tick(s);
		if (now - s->active_ns > cfg->listen.idle_timeout_ns)
			session_close(s, CLOSE_TIMEOUT, "idle_timeout");
		else if (s->vars->wait_ns && now - s->active_ns > s->vars->wait_ns)
			session_close(s, CLOSE_TIMEOUT, "the session's own wait_timeout");
		break;
	default:
		if (s->request)
			exec_tick(s->request, now);
		else
			login_tick(s, now);
	}
}

static void tick_drain(struct worker *w, uint64_t now)
{
	list_each_safe(&w->sessions, n, tmp) {
		struct session *s = container_of(n, struct session, node);

		if (now >= w->drain_deadline_ns || s->state <= SESSION_AUTH ||
		    (s->state == SESSION_READY && !s->in_transaction))
			session_close(s, CLOSE_SHUTDOWN, "draining");
	}
	if (list_empty(&w->sessions) && w->drained) {
		void (*drained)(struct worker *) = w->drained;

		w->drained = NULL;
		drained(w);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	uint64_t now = clock_mono_ns();

	list_each_safe(&w->sessions, n, tmp)
		tick_session(container_of(n, struct session, node), now);
	doubts_tick(w, now);
	limits_tick(w->in->limits, now);
	if (w->draining)
		tick_drain(w, now);
}

/* ---- mail ---- */

struct adopt_mail { struct mail mail; struct worker *worker; int fd; char peer[46]; };

static void on_adopt(struct mail *m)
{
	struct adopt_mail *a = container_of(m, struct adopt_mail, mail);

	session_open(a->worker, a->fd, a->peer);
	mem_free(a);
}

void worker_adopt(struct worker *w, int fd, const char *peer)
{
	struct adopt_mail *a = mem_zalloc(sizeof(*a));

	if (!a) {
		close(fd);
		return;
	}
	a->mail.run = on_adopt;
	a->worker = w;
	a->fd = fd;
	(void)snprintf(a->peer, sizeof(a->peer), "%s", peer);
	loop_post(w->loop, &a->mail);
}

/* Thread-safe, and no memory is needed: what was posted and is not read yet says the new, too. */
static void post(struct worker *w, enum worker_letter kind, void (*run)(struct mail *m))
{
	struct letter *l = &w->letters[kind];

	if (atomic_exchange(&l->posted, true))
		return;
	l->mail.run = run;
	l->worker = w;
	loop_post(w->loop, &l->mail);
}

/* From here on another one may be posted: what this one does comes after that. */
static struct worker *opened(struct mail *m)
{
	struct letter *l = container_of(m, struct letter, mail);
	struct worker *w = l->worker;

	atomic_store(&l->posted, false);
	return w;
}

struct lease_limits worker_limits(const struct settings *s)
{
	return (struct lease_limits){
		.max = (uint64_t)s->backend.pool.max,
		.min_idle = (uint64_t)s->backend.pool.min_idle,
		.idle_timeout_ns = s->backend.pool.idle_timeout_ns,
		.max_age_ns = s->backend.pool.max_age_ns,
		.connect_timeout_ns = s->backend.connect_timeout_ns,
		.unheard_ns = s->backend.failover_hold_ns > UNHEARD_LEAST_NS ? s->backend.failover_hold_ns : UNHEARD_LEAST_NS,
		.tls_mode = (enum tls_mode)s->backend.tls.mode,
		.tls = s->backend.tls_context,
		.compress = (enum settings_compress)s->backend.compress,
	};
}

static void on_reload(struct mail *m)
{
	struct worker *w = opened(m);
	struct settings *old = w->settings;

	w->settings = instance_settings(w->in);
	w->settings_serial++;
	w->leases->limits = worker_limits(w->settings);
	statements_forget_settings(&w->statements);
	list_each(&w->sessions, n) { /* plans in flight point into the old rules */
		struct request *r = container_of(n, struct session, node)->request;

		if (r)
			r->plan.cache_rule = NULL, r->plan.queue_rule = NULL, r->plan.limit = NULL;
	}
	settings_unref(old);
}

void worker_reload(struct worker *w)
{
	post(w, WORKER_RELOAD, on_reload);
}

static void on_moved(struct mail *m)
{
	failover_moved(opened(m));
}

void worker_primary_moved(struct worker *w)
{
	post(w, WORKER_MOVED, on_moved);
}

static void on_primary_at(struct mail *m)
{
	replica_position_known(opened(m));
}

void worker_primary_at(struct worker *w)
{
	post(w, WORKER_PRIMARY_AT, on_primary_at);
}

static void on_drain(struct mail *m)
{
	struct worker *w = opened(m);

	w->draining = true;
	w->drain_deadline_ns = atomic_load(&w->drain_posted_ns);
	tick_drain(w, clock_mono_ns());
}

void worker_drain(struct worker *w, uint64_t deadline_ns)
{
	atomic_store(&w->drain_posted_ns, deadline_ns);
	post(w, WORKER_DRAIN, on_drain);
}

/* ---- every worker, one after the other ---- */

struct each_mail {
	struct mail mail;
	struct instance *in;
	size_t next;
	void (*fn)(struct worker *w, void *arg);
	void (*done)(void *arg);
	void *arg;
};

static void on_each(struct mail *m)
{
	struct each_mail *e = container_of(m, struct each_mail, mail);
	struct instance *in = e->in;

	if (e->next < in->nworkers)
		e->fn(in->workers[e->next], e->arg);
	e->next++;
	if (e->next < in->nworkers) {
		loop_post(in->workers[e->next]->loop, &e->mail);
	} else if (e->next == in->nworkers) {
		loop_post(in->control, &e->mail); /* and once more, on the control loop */
	} else {
		e->done(e->arg);
		mem_free(e);
	}
}

bool workers_each(struct instance *in, void (*fn)(struct worker *w, void *arg), void (*done)(void *arg), void *arg)
{
	struct each_mail *e = mem_zalloc(sizeof(*e));

	if (!e)
		return false;
	*e = (struct each_mail){.mail = {.run = on_each}, .in = in, .fn = fn, .done = done, .arg = arg};
	loop_post(in->workers[0]->loop, &e->mail);
	return true;
}

static const char *state_text(const struct session *s)
{
	static const char *const names[] = {"proxied", "greeted", "authenticating", "idle", "running", "receiving", "infile", "closed"};

	return names[s->state];
}

/* While it runs nobody has said yet that it is SQL at all. */
static struct span shown(const struct statement *st)
{
	if (st->text_broken || (st->facts.flags & SQL_F_UNKNOWN))
		return span_str(sql_verb_name(st->facts.verb));
	return span_of(st->text, st->text_len);
}

void worker_view_sessions(struct worker *w, void (*fn)(void *arg, const struct session_view *v), void *arg)
{
	uint64_t now = clock_mono_ns();

	list_each(&w->sessions, n) {
		struct session *s = container_of(n, struct session, node);
		struct session_view v = {
			.id = session_number(s),
			.user = span_str(s->account ? s->account->user : ""),
			.schema = s->vars->schema,
			.peer = s->peer,
			.state = state_text(s),
			.pinned = plan_pin_name(s->pins),
			.backend = s->up ? s->up->backend->text : "",
			.statement = s->request && s->request->st ? shown(s->request->st) : span_of("", 0),
			.age = (double)(now - s->opened_ns) / 1e9,
			.idle = s->request ? 0 : (double)(now - s->active_ns) / 1e9,
			.in_transaction = s->in_transaction,
			.prepared = s->prepared.count,
		};

		fn(arg, &v);
	}
}

/* ---- life ---- */

static const enum sends_way sends_ways[] = {
	[SETTINGS_SEND_AUTO] = SENDS_AUTO,
	[SETTINGS_SEND_IO_SUBMIT] = SENDS_IO_SUBMIT,
	[SETTINGS_SEND_OFF] = SENDS_ALONE,
};

struct worker *worker_new(struct instance *in, unsigned index)
{
	struct worker *w = mem_zalloc(sizeof(*w));
	struct timeval tv = {.tv_usec = TICK_MS * 1000};
	struct lease_limits limits;
	static const char *const names[] = {"worker-0", "worker-1", "worker-2", "worker-3", "worker-4", "worker-5",
					    "worker-6", "worker-7", "worker"};

	if (!w)
		return NULL;
	w->in = in;
	w->index = index;
	list_init(&w->sessions);
	list_init(&w->key_wait.logins);
	doubts_init(&w->doubts);
	statements_init(&w->statements, STATEMENTS_MOST);
	iobuf_init(&w->tmp, 0);
	w->settings = instance_settings(in);
	w->settings_serial = 1;
	limits = worker_limits(w->settings);
	w->loop = loop_new(names[index < countof(names) ? index : countof(names) - 1]);
	w->key_wait.loop = w->loop;
	w->key_wait.told = login_key_told;
	w->scratch = w->loop ? channel_scratch_new(w->loop) : NULL;
	if (w->scratch)
		channel_scratch_batch(w->scratch, sends_ways[w->settings->send_together]);
	w->sink = stats_sink_new(in->stats, true);
	w->listed = listed_new();
	w->session_pool = pool_new("session", sizeof(struct session), 256);
	w->request_pool = pool_new_part("request", sizeof(struct request), offsetof(struct request, lease), 64);
	if (!w->scratch || !w->sink || !w->session_pool || !w->request_pool)
		goto fail;
	w->leases = lease_pool_new(w->loop, w->scratch, in->topology, in->accounts, w->sink, &limits);
	w->tick = event_new(loop_base(w->loop), -1, EV_PERSIST, on_tick, w);
	if (!w->leases || !w->tick || event_add(w->tick, &tv) != 0)
		goto fail;
	w->leases->clients = &in->sessions;
	if (in->cache) {
		w->cache = cache_worker_new(in->cache, w->loop, w->sink);
		if (!w->cache)
			goto fail;
	}
	return w;
fail:
	worker_free(w);
	return NULL;
}

/* Everything is closed on the worker's own thread; what that defers is freed before its loop ends. */
static void on_stop(struct mail *m)
{
	struct worker *w = opened(m);

	while (!list_empty(&w->sessions))
		session_close(container_of(list_first(&w->sessions), struct session, node), CLOSE_SHUTDOWN, "exit");
	lease_pool_close(w->leases);
	loop_stop(w->loop);
}

void worker_stop(struct worker *w)
{
	post(w, WORKER_STOP, on_stop);
	loop_join(w->loop);
}

enum rc worker_start(struct worker *w)
{
	return loop_start(w->loop);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	if (w->tick)
		event_free(w->tick);
	if (w->cache)
		cache_worker_free(w->cache);
	doubts_reset(&w->doubts);
	statements_reset(&w->statements);
	lease_pool_free(w->leases);
	channel_scratch_free(w->scratch);
	pool_free(w->request_pool);
	pool_free(w->session_pool);
	listed_free(w->listed);
	known_reset(&w->known);
	settings_unref(w->settings);
	iobuf_reset(&w->tmp);
	iobuf_reset(&w->parts.sql);
	iobuf_reset(&w->parts.ends);
	iobuf_reset(&w->parts.tables);
	iobuf_reset(&w->parts.key);
	if (w->loop)
		loop_free(w->loop);
	mem_free(w);
}
