#include "kill.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define LATE_WAIT_NS NS_PER_SEC

struct kill {
	struct mail mail;
	struct request *r;         /* the killer's; waits for us, also when its session is gone. NULL: none, kill_overdue */
	struct worker *home;       /* the killer's */
	struct account *killer;    /* reference */
	size_t at;                 /* index of the worker that is asked */
	struct worker *there;      /* the victim's */
	struct sql_kill what;
	uint64_t victim;           /* its session's id */
	struct { uint64_t start_ns, sent_ns, digest, wire; } late; /* kill_overdue: the victim's request, when it was sent, and its session's wire */
	bool over;                 /* ... has ended before there was a connection to say so on */
	struct backend *backend;   /* where the thread to kill is */
	uint32_t thread;
	bool held;                 /* it is the victim's own; else the stand-in's */
	struct lease_request lease; /* of the side at work */
	struct upstream *stand_in; /* there */
	struct upstream *up;       /* home */
	bool fresh;                /* ... and newly logged in */
	struct reply_own told;     /* ... by its code; 0: OK */
};

static void post(struct kill *k, struct worker *w, void (*run)(struct mail *m))
{
	k->mail.run = run;
	loop_post(w->loop, &k->mail);
}

/* The server speaks of its thread, the client knows the session's number. */
static void take_error(struct kill *k, const struct err_packet *e)
{
	struct reply_own *t = &k->told;
	char thread[16], text[256], *at;

	(void)snprintf(thread, sizeof(thread), "%u", k->thread);
	(void)snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(e->message));
	at = strstr(text, thread);
	if (at)
		(void)snprintf(t->text, sizeof(t->text), "%.*s%llu%s", (int)(at - text), text,
			       (unsigned long long)k->what.id, at + strlen(thread));
	else
		(void)snprintf(t->text, sizeof(t->text), "%s", text);
	t->packet = *e;
	t->packet.message = span_str(t->text);
}

/* A connection of a on the server concerned, beyond the pool's limit if need be: a KILL is what ends a full pool. What nobody waits for is
 * tried again: it takes the next one that becomes free, where the server has no other, but keeps its victim's session waiting only so long. */
static enum rc borrow(struct kill *k, struct worker *w, struct account *a, uint64_t wire,
		      void (*done)(struct lease_request *l, enum rc rc, struct upstream *u), struct upstream **u)
{
	k->lease = (struct lease_request){
		.backend = k->backend, .account = a, .wire = wire, .done = done,
		.urgent = true, .impatient = k->r != NULL, .fresh = k->fresh,
		.deadline_ns = clock_mono_ns() + (k->r ? w->settings->backend.failover_hold_ns : LATE_WAIT_NS),
	};
	return lease_acquire(w->leases, &k->lease, u);
}

static void give_back(struct worker *w, struct upstream *u)
{
	if (atomic_load_explicit(&u->backend->connections, memory_order_relaxed) > w->leases->limits.max)
		u->condemned = true;
	u->parked_for = 0;
	u->keep = false;
	lease_release(u);
}

/* ---- home: the end ---- */

static void kill_free(struct kill *k)
{
	account_unref(k->killer);
	mem_free(k);
}

/* What stands behind it is the server's to run, and to answer: behind one that does nothing, whose OK is the KILL's. */
static void leave_rest(struct request *r, struct span rest)
{
	static const char nothing[] = "DO 0";
	uint8_t *from = r->packet.data + r->packet.start + PACKET_HEADER + r->text_at;
	size_t len = (size_t)(rest.p - r->sql.p);

	memset(from, ' ', len);
	memcpy(from, nothing, sizeof(nothing) - 1); /* shorter than any KILL of a session's number */
}

static void kill_end(struct mail *m)
{
	struct kill *k = container_of(m, struct kill, mail);
	struct request *r = k->r;

	if (!r) { /* nobody asked */
		kill_free(k);
		return;
	}
	r->killing = false;
	if (r->dead) {
		kill_free(k);
		request_abort(r);
		return;
	}
	if (k->told.packet.code) {
		reply_server_error(r->s, &k->told.packet);
		r->error = k->told.packet.code;
	} else {
		stats_count(r->worker->sink, STATS_C_KILLS, 1);
		if (k->what.rest.len) {
			leave_rest(r, k->what.rest);
			kill_free(k);
			exec_run(r);
			return;
		}
		reply_ok(r->s);
	}
	kill_free(k);
	exec_resume(r, STEP_END);
}

/* Nobody here has this number: the server may have. */
static void kill_pass_on(struct mail *m)
{
	struct kill *k = container_of(m, struct kill, mail);
	struct request *r = k->r;

	r->killing = false;
	kill_free(k);
	if (r->dead)
		request_abort(r);
	else
		exec_run(r);
}

/* ---- there: what the server allowed ---- */

static void apply(struct kill *k, struct session *s)
{
	if (!k->what.query)
		session_close(s, CLOSE_KILLED, "KILL");
	else if (s->request && !s->login)
		request_interrupt(s->request);
}

/* The request that has run too long; NULL: it has ended. */
static struct request *late_request(const struct kill *k, struct session *s)
{
	struct request *r = s ? s->request : NULL;

	return r && r->start_ns == k->late.start_ns ? r : NULL;
}

static void settle_late(struct kill *k, struct session *s)
{
	struct request *r = late_request(k, s);
	char user[256];

	if (k->told.packet.code) {
		if (r && r->sent_ns == k->late.sent_ns)
			limited_kill_failed(r, &k->told.packet);
		return;
	}
	if (k->over)
		return;
	stats_count(k->there->sink, STATS_C_LIMIT_KILLS, 1);
	log_warn("limit", "a statement has run too long: it is killed", "digest=0x%016lx user=%s backend=%s",
		 (unsigned long)k->late.digest, log_quote(user, sizeof(user), span_str(k->killer->user)), k->backend->text);
	if (r)
		apply(k, s);
}

static void kill_settle(struct mail *m)
{
	struct kill *k = container_of(m, struct kill, mail);
	struct session *s;

	if (k->stand_in)
		give_back(k->there, k->stand_in);
	k->stand_in = NULL;
	s = session_find(k->there, k->victim);
	if (s && k->held)
		s->kills--;
	if (!k->r)
		settle_late(k, s);
	else if (s && k->told.packet.code == 0)
		apply(k, s);
	if (s && s->kills == 0 && s->state == SESSION_READY)
		session_next(s);
	if (k->held)
		lease_unhold(k->there->leases, k->backend, k->thread);
	post(k, k->home, kill_end);
}

/* ---- home: the server judges ---- */

static void judge_piece(struct upstream *u, const struct track_piece *piece)
{
	struct kill *k = u->owner;
	struct err_packet e;

	if (piece->kind != TRACK_ERR_PACKET ||
	    packet_parse_err(span_of(piece->p + PACKET_HEADER, piece->len - PACKET_HEADER), &e) != RC_OK)
		return;
	take_error(k, &e);
}

static void kill_judge(struct mail *m);

/* A connection has the privileges of its login: one that was made before a GRANT is not the last word. */
static void judge_done(struct upstream *u)
{
	struct kill *k = u->owner;
	bool again = k->told.packet.code == 1095 && !k->fresh;

	k->up = NULL;
	give_back(k->home, u);
	if (again) {
		k->fresh = true;
		k->told.packet.code = 0;
	}
	post(k, again ? k->home : k->there, again ? kill_judge : kill_settle);
}

static void judge_turn(struct upstream *u)
{
}

static void judge_gone(struct upstream *u, const char *why)
{
	struct kill *k = u->owner;

	k->up = NULL;
	reply_make_own(&k->told, 1927, "08S01", "the connection to the server was lost; whether the KILL ran is not known");
	post(k, k->there, kill_settle);
}

static void judge_drained(struct upstream *u)
{
}

static const struct upstream_ops judge_ops = {judge_piece, judge_done, judge_turn, judge_gone, judge_drained};

static void say(struct kill *k, struct upstream *u)
{
	char sql[64];

	k->up = u;
	u->ops = &judge_ops;
	u->owner = k;
	/* What only stands in for the victim is not to be lost: the right to kill is the same for its statement. */
	(void)snprintf(sql, sizeof(sql), "KILL %s%s %u", k->what.how,
		       k->what.query || !k->held ? "QUERY" : "CONNECTION", k->thread);
	if (upstream_query(u, span_str(sql)) != RC_OK) {
		lease_discard(u, "a KILL could not be sent");
		judge_gone(u, "");
	}
}

static void judge_leased(struct lease_request *l, enum rc rc, struct upstream *u)
{
	struct kill *k = container_of(l, struct kill, lease);

	if (rc == RC_OK && !k->r && !late_request(k, session_find(k->there, k->victim))) {
		k->over = true;
		give_back(k->home, u);
	} else if (rc == RC_OK) {
		say(k, u);
		return;
	} else {
		lost_why(l, &k->told);
	}
	post(k, k->there, kill_settle);
}

static void kill_judge(struct mail *m)
{
	struct kill *k = container_of(m, struct kill, mail);
	struct upstream *u = NULL;
	/* As good as any: a KILL and its OK look the same whatever was negotiated. But one that lies idle is found by it. */
	uint64_t wire = !k->r ? k->late.wire : k->r->dead ? 0 : k->r->s->wire;
	enum rc rc = borrow(k, k->home, k->killer, wire, judge_leased, &u);

	if (rc != RC_AGAIN)
		judge_leased(&k->lease, rc, u);
}

/* ---- there: whose is it? ---- */

static void stand_in_piece(struct upstream *u, const struct track_piece *piece)
{
}

static void stand_in_done(struct upstream *u)
{
}

static void stand_in_gone(struct upstream *u, const char *why)
{
	((struct kill *)u->owner)->stand_in = NULL;
}

static const struct upstream_ops stand_in_ops = {stand_in_piece, stand_in_done, judge_turn, stand_in_gone,
						 judge_drained};

static void stand_in_leased(struct lease_request *l, enum rc rc, struct upstream *u)
{
	struct kill *k = container_of(l, struct kill, lease);

	if (rc != RC_OK) {
		lost_why(l, &k->told);
		post(k, k->home, kill_end);
		return;
	}
	k->stand_in = u;
	u->ops = &stand_in_ops;
	u->owner = k;
	k->thread = u->thread_id;
	post(k, k->home, kill_judge);
}

static void found(struct kill *k, struct session *s)
{
	struct upstream *u = NULL;
	enum rc rc;

	k->victim = s->id;
	if (s->up) {
		k->held = true;
		s->kills++;
		k->backend = s->up->backend;
		k->thread = s->up->thread_id;
		lease_hold(s->up);
		channel_scratch_send(s->worker->scratch); /* the victim's statement must be there before its KILL is */
		post(k, k->home, kill_judge);
	} else if (strcmp(s->account->user, k->killer->user) == 0) { /* one may always kill one's own */
		apply(k, s);
		post(k, k->home, kill_end);
	} else {
		k->backend = topology_primary(s->worker->in->topology);
		rc = borrow(k, s->worker, s->account, s->wire, stand_in_leased, &u);
		if (rc != RC_AGAIN)
			stand_in_leased(&k->lease, rc, u);
	}
}

static void kill_look(struct mail *m)
{
	struct kill *k = container_of(m, struct kill, mail);
	struct instance *in = k->home->in;
	struct session *s;

	k->there = in->workers[k->at];
	s = session_find(k->there, k->what.id);
	if (s && s->account)
		found(k, s);
	else if (++k->at < in->nworkers)
		post(k, in->workers[k->at], kill_look);
	else
		post(k, k->home, kill_pass_on);
}

enum rc kill_overdue(struct request *r)
{
	struct session *s = r->s;
	struct kill *k = s->up && s->account ? mem_zalloc(sizeof(*k)) : NULL;

	if (!k)
		return RC_ERROR;
	*k = (struct kill){.home = r->worker, .there = r->worker, .killer = account_ref(s->account), .what = {.how = "", .query = true},
			   .victim = s->id, .backend = s->up->backend, .thread = s->up->thread_id, .held = true,
			   .late = {r->start_ns, r->sent_ns, r->st ? r->st->digest : 0, s->wire}};
	s->kills++;
	lease_hold(s->up);
	post(k, k->home, kill_judge);
	return RC_OK;
}

/* ---- home: the beginning ---- */

/* Oneself: the server knows which of its threads that is. */
static enum rc suicide(struct request *r, const struct sql_kill *what)
{
	char text[64];
	size_t head = upstream_query_head(r->s->caps, text);
	uint8_t seq = 0;

	(void)snprintf(text + head, sizeof(text) - head, "KILL %s%s CONNECTION_ID()", what->how,
		       what->query ? "QUERY" : "CONNECTION");
	iobuf_consume(&r->packet, iobuf_len(&r->packet));
	if (packet_put(&r->packet, &seq, text, head + strlen(text + head)) != RC_OK) {
		session_close(r->s, CLOSE_MEMORY, "KILL");
		return RC_ERROR;
	}
	r->cmd = COM_QUERY;
	r->prepared = NULL;
	r->kills_itself = !what->query;
	return RC_OK;
}

static enum rc kill_begin(struct request *r, const struct sql_kill *what)
{
	struct instance *in = r->worker->in;
	struct kill *k;

	if (!session_is_number(what->id))
		return RC_OK;
	if (what->id == session_number(r->s))
		return suicide(r, what);
	k = mem_zalloc(sizeof(*k));
	if (!k) {
		reply_error(r->s, 1041, "HY000", "out of memory");
		r->error = 1041;
		return RC_ERROR;
	}
	k->r = r;
	k->home = r->worker;
	k->killer = account_ref(r->s->account);
	k->what = *what;
	r->killing = true;
	post(k, in->workers[0], kill_look);
	return RC_AGAIN;
}

/* The server runs the first of several statements only for whom it runs several; a comment that it reads may span them. */
static bool may_have_rest(const struct request *r)
{
	return r->cmd == COM_QUERY && r->s->caps & CLIENT_MULTI_STATEMENTS && !r->lexed->has_executable_comment;
}

enum rc kill_statement(struct request *r)
{
	struct iobuf *tmp = &r->worker->tmp;
	struct span text = r->sql;
	struct sql_kill what;

	if (r->prepared && r->prepared->params) {
		iobuf_consume(tmp, iobuf_len(tmp));
		if (!r->prepared->types || prepared_bind(r, tmp) != RC_OK)
			return RC_OK;
		text = span_of(iobuf_data(tmp), iobuf_len(tmp));
	}
	if (sql_kill_parse(text, r->mode, &what) != RC_OK || (what.rest.len && !may_have_rest(r)))
		return RC_OK;
	return kill_begin(r, &what);
}

enum rc kill_command(struct request *r, struct span payload)
{
	struct mbuf m = mbuf_of(payload.p + 1, payload.len - 1);
	struct sql_kill what = {.how = ""};
	uint32_t id;

	if (mbuf_u32(&m, &id) != RC_OK)
		return RC_OK; /* the server says what is wrong with it */
	what.id = id;
	return kill_begin(r, &what);
}
