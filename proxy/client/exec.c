/*
 * exec.c - runs a request through its steps (see request.h).
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "kill_user.h"
#include "log.h"
#include "mem.h"
#include "request.h"

/* ---- the connection ---- */

static void attach(struct request *r, struct upstream *u)
{
	struct session *s = r->s;

	if (unlikely(s->park.u != u || s->park.told))
		aftermath_moved(s);
	s->up = u;
	s->on_primary = topology_is_primary(s->worker->in->topology, u->backend);
	u->ops = &relay_ops;
	u->owner = s;
	r->backend = u->backend;
	if (unlikely(u->plain)) {
		u->condemned = true;
		s->tracks_itself = true;
		s->pins |= PIN_SESSION_STATE;
	}
	if (unlikely(s->epoch < u->epoch) && !r->checking)
		s->epoch = u->epoch; /* what it has seen now does not go back */
	r->lease_ns += r->lease.asked_ns ? clock_mono_ns() - r->lease.asked_ns : 0;
	r->lease.asked_ns = 0;
}

/* What SHOW WARNINGS and GET DIAGNOSTICS tell of: an error is one, too. */
static bool leaves_conditions(const struct upstream *u)
{
	return u->track.warnings || u->track.error;
}

/* Those of its last statement, or of one before it that it has left as they are: it may ask more than once. */
static bool has_conditions(const struct session *s)
{
	return s->up->warnings_of == s->id && s->told_by == s->up;
}

void exec_give_back(struct session *s, bool keep)
{
	struct upstream *u = s->up;

	s->up = NULL;
	lease_park(u, &s->park, s->id);
	s->park.sole = aftermath_is_sole(s);
	u->keep = keep || s->park.sole;
	lease_release(u);
}

void exec_release(struct request *r)
{
	const struct session *s = r->s;
	const struct upstream *u = s->up;

	if (!u || s->pins)
		return;
	/* What the session may ask about its last statement lies on this connection alone. */
	exec_give_back(r->s, u->track.insert_id || r->blind || leaves_conditions(u) || has_conditions(s) || s->worker->follow_ups_seen ||
			     (r->st && r->st->facts.flags & (SQL_F_CALC_FOUND_ROWS | SQL_F_LAST_INSERT_ID | SQL_F_SEQUENCE)));
}

/* FOUND_ROWS(), SHOW WARNINGS and the like ask for what the last statement left where it ran. A SELECT without tables
 * goes there too: it leaves the warnings of the one before it as they are. LAST_INSERT_ID() is the primary's. */
static bool asks_last_connection(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	if (!f || f->flags & SQL_F_LAST_INSERT_ID || r->plan.writes || r->plan.pins)
		return false; /* nothing is pinned to a replica */
	return r->plan.follow_up || (f->verb == SQL_SELECT && f->ntables == 0 && r->plan.target == PLAN_REPLICA);
}

/* A group's replica runs what is sent to the group, and nobody else does: but for warnings that are there to be asked for. */
static bool may_run_there(const struct request *r)
{
	const struct session *s = r->s;
	const struct upstream *u = s->park.u;

	return r->plan.target != PLAN_REPLICA || s->last_backend->group == r->plan.group ||
	       (u && u->warnings_of == s->id && s->told_by == u);
}

static enum rc choose_backend(struct request *r)
{
	struct session *s = r->s;
	struct topology *t = s->worker->in->topology;
	enum rc rc = RC_OK;

	r->lease.parked_only = false;
	if (asks_last_connection(r) && !r->parked_tried && s->last_backend && may_run_there(r)) {
		r->parked_tried = true;
		r->lease.parked_only = true;
		r->backend = s->last_backend;
		return RC_OK;
	}
	r->backend = NULL;
	if (unlikely(request_in_lane(r))) {
		r->backend = topology_replica(t, &(struct topology_wish){.group = r->plan.group});
		return r->backend ? RC_OK : RC_ERROR;
	}
	if ((r->plan.target == PLAN_REPLICA || unlikely(s->login)) && !r->primary_only)
		rc = replica_choose(r, &r->backend);
	if (rc == RC_OK && !r->backend) {
		r->primary_only = true;
		r->backend = topology_primary(t);
	}
	return rc;
}

/* A replica that does not answer: the read goes to the primary. A primary that does not: to a replica, if it is a read
 * that was sent to the primary only to be on the safe side. */
static bool try_elsewhere(struct request *r)
{
	if (unlikely(request_in_lane(r)))
		return false;
	if (unlikely(r->checking)) { /* the primary is there, and has no connection free: that is waited for */
		bool again = r->lease.impatient && topology_primary_usable(r->worker->in->topology);

		r->checks_patiently |= again;
		return again;
	}
	if (!r->primary_only) {
		r->primary_only = true;
		return true;
	}
	if (!r->lease.impatient)
		return false;
	r->replica_last = true;
	/* A replica may not know yet what a login's account became on the primary: it is asked only while that cannot be. */
	r->primary_only = r->s->login && topology_primary_usable(r->worker->in->topology);
	return true;
}

/* May this request be served elsewhere, should the server it asks for not be there? Or without it? */
static bool has_elsewhere(const struct request *r)
{
	if (unlikely(request_in_lane(r)))
		return false;
	if (unlikely(r->checking))
		return !r->checks_patiently && queued_check_may_fail(r);
	return !r->primary_only || ((r->plan.target == PLAN_REPLICA || r->s->login) && !r->replica_last &&
				    topology_replica(r->s->worker->in->topology, NULL));
}

static void on_lease(struct lease_request *l, enum rc rc, struct upstream *u)
{
	struct request *r = container_of(l, struct request, lease);

	r->leasing = false;
	if (rc == RC_OK) {
		attach(r, u);
		exec_resume(r, STEP_SYNC);
	} else if ((rc == RC_DECLINED || !r->primary_only) && try_elsewhere(r)) { /* a replica may not know the account yet */
		if (unlikely(r->s->login))
			login_guess_spent(r->s, l->err_code);
		exec_resume(r, STEP_ACQUIRE);
	} else {
		exec_fail(r);
	}
}

/* It is pinned to what was the primary: what it would do there is not what it means. */
static enum rc end_stranded(struct request *r)
{
	struct session *s = r->s;

	reply_error(s, 1927, "08S01", "another server has become the primary, and this session's state (%s) was on %s",
		    plan_pin_name(s->pins), s->up->backend->text);
	r->error = 1927;
	session_close(s, CLOSE_BACKEND, "its state is on a former primary");
	return RC_ERROR;
}

/* The session's state lies on a replica (a read left it there that did not look like it), and this may not run there. */
static enum rc refuse_on_replica(struct request *r)
{
	reply_error(r->s, 1290, "HY000",
		    "this statement needs the primary, and the session holds state (%s) on the replica %s: open a new connection, or "
		    "read with /* suimon: primary */ what leaves that state", plan_pin_name(r->s->pins), r->backend->text);
	r->error = 1290;
	r->step = STEP_END;
	return RC_DECLINED;
}

/* RC_OK: it may; or nothing keeps its session there any more. */
static enum rc stays_where_it_is(struct request *r)
{
	struct session *s = r->s;
	enum rc rc;

	/* A transaction on what was the primary is told by that server itself. */
	if (likely(!(r->plan.needs_primary || r->plan.writes || r->plan.strays) || s->on_primary) ||
	    atomic_load_explicit(&r->backend->role, memory_order_relaxed) != BACKEND_REPLICA)
		return RC_OK;
	rc = sets_await(r);
	return rc == RC_ERROR ? refuse_on_replica(r) : rc;
}

/* Elsewhere it would be in the way of those whose replicas its group is not. */
static enum rc refuse_lane(struct request *r)
{
	const struct topology *t = r->worker->in->topology;
	const char *name = "";

	for (size_t i = 0; i < t->n; i++)
		if (t->all[i]->group == r->plan.group)
			name = t->all[i]->group_name;
	stats_count(r->worker->sink, STATS_C_GROUP_UNAVAILABLE, 1);
	reply_error(r->s, 1927, "08S01", "no replica of the group %s can be reached, and its statements run nowhere else", name);
	r->error = 1927;
	r->step = STEP_END;
	return RC_DECLINED;
}

/* FOUND_ROWS() is behind it what it was before: it is no read, or only prepared, or has failed where it was tried first. */
static bool leaves_numbers(const struct request *r)
{
	return !r->st || r->st->facts.verb != SQL_SELECT || r->cmd == COM_STMT_PREPARE || r->primary_only;
}

static enum rc step_acquire(struct request *r)
{
	struct session *s = r->s;
	struct worker *w = s->worker;
	struct upstream *u = NULL;
	enum rc rc;

	if (unlikely(s->readonly) && readonly_must_leave(r))
		readonly_leave(r);
	if (unlikely(s->in_transaction) && failover_leaves(r))
		session_unpin_all(s);
	if (s->up) {
		r->backend = s->up->backend;
		if (unlikely(failover_strands(s)))
			return end_stranded(r);
		if (unlikely(s->readonly == READONLY_HELD) && readonly_strays(r)) {
			readonly_refuse(r);
			return RC_DECLINED;
		}
		rc = stays_where_it_is(r);
		if (rc != RC_OK || s->up)
			return rc;
	}
	rc = choose_backend(r);
	if (rc == RC_ERROR)
		return refuse_lane(r);
	if (rc == RC_AGAIN || failover_holds(r))
		return RC_AGAIN;
	r->lease.backend = r->backend;
	r->lease.account = login_account(s);
	r->lease.wire = s->wire;
	r->lease.vars = s->vars;
	r->lease.session = s->id;
	r->lease.park = &s->park;
	r->lease.epoch = r->checking ? r->checking_epoch : s->epoch;
	r->lease.own_past = s->own_past || (r->st && r->st->facts.flags & SQL_F_LAST_INSERT_ID);
	r->lease.asks_first = s->park.sole && (leaves_numbers(r) || s->aftermath.id_there || r->wants_new);
	r->lease.plain = !s->login && atomic_load_explicit(&w->in->own_tracking, memory_order_relaxed);
	r->lease.fresh = r->wants_new || r->lost_on == r->backend || (s->login && login_wants_proof(s));
	r->lease.done = on_lease;
	r->lease.impatient = has_elsewhere(r);
	r->lease.asked_ns = 0;
	r->lease.deadline_ns = failover_deadline(r);
	rc = lease_acquire(w->leases, &r->lease, &u);
	if (rc == RC_OK) {
		attach(r, u);
	} else if (rc == RC_AGAIN) {
		r->leasing = true;
	} else if (r->lease.parked_only || try_elsewhere(r)) {
		r->step = STEP_ACQUIRE;
		return RC_DECLINED;
	} else {
		exec_fail(r);
		return RC_ERROR;
	}
	return rc;
}

/* ---- sending ---- */

/* A routine has no cursor to give, even if one is asked for: its own are its business. */
bool exec_opens_cursor(const struct request *r)
{
	return r->execute.flags & 0x07 &&
	       !(r->st && (r->st->facts.verb == SQL_CALL || r->st->facts.verb == SQL_COMPOUND));
}

static enum track_reply reply_kind(const struct request *r)
{
	switch (r->cmd) {
	case COM_QUERY:
	case COM_STMT_BULK_EXECUTE:
	case COM_PROCESS_INFO:
		return TRACK_RESULT;
	case COM_STMT_EXECUTE:
		return exec_opens_cursor(r) ? TRACK_CURSOR : TRACK_RESULT;
	case COM_STMT_PREPARE:
		return TRACK_PREPARE;
	case COM_FIELD_LIST:
		return TRACK_FIELDS;
	case COM_STMT_FETCH:
		return TRACK_ROWS;
	case COM_STATISTICS:
		return TRACK_TEXT;
	default:
		return TRACK_SIMPLE;
	}
}

static void put_id(uint8_t *at, uint32_t id)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(id >> (8 * i));
}

/* The packet as the client sent it, its statement id changed to this connection's. */
static enum rc push_packet(struct request *r, struct upstream_stmt *stmt)
{
	uint8_t *p = r->packet.data + r->packet.start;

	if (stmt && iobuf_len(&r->packet) >= PACKET_HEADER + 5)
		put_id(p + PACKET_HEADER + 1, stmt->id);
	return channel_command(&r->s->up->ch) == RC_OK ? channel_push(&r->s->up->ch, p, iobuf_len(&r->packet)) : RC_ERROR;
}

/* The packet in b is the beginning of one that goes on for `left` bytes. */
static enum rc lengthen(struct iobuf *b, uint64_t left)
{
	uint64_t len = iobuf_len(b) - PACKET_HEADER + left;
	uint8_t *p = b->data + b->start;

	if (len >= PACKET_MAX_PAYLOAD)
		return RC_ERROR;
	for (int i = 0; i < 3; i++)
		p[i] = (uint8_t)(len >> (8 * i));
	return RC_OK;
}

/* An execute whose parameter types this connection has not seen must bring them along. */
static enum rc push_execute(struct request *r, struct upstream_stmt *stmt)
{
	struct prepared *p = r->prepared;
	struct iobuf b;
	uint8_t seq = 0;
	enum rc rc;

	if (p->params == 0 || r->execute.new_types || stmt->types_of == p->types_id) {
		stmt->types_of = p->types_id;
		return push_packet(r, stmt);
	}
	iobuf_init(&b, 0);
	rc = r->stream_more ? RC_ERROR /* no room for them: what the server would make of the values is not known */
			    : stmt_put_execute(&b, &seq, &r->execute, p->params, stmt->id,
					       span_of(p->types, 2 * (size_t)p->params));
	if (rc == RC_OK && r->stream_left)
		rc = lengthen(&b, r->stream_left);
	if (rc == RC_OK)
		rc = channel_command(&r->s->up->ch);
	if (rc == RC_OK)
		rc = channel_put(&r->s->up->ch, iobuf_data(&b), iobuf_len(&b));
	iobuf_reset(&b);
	stmt->types_of = p->types_id;
	return rc;
}

/* What is never sent twice: that its connection has ended already is asked first. Now it can wait for another, or be told plainly; a
 * moment later nobody could say whether it was executed. */
static bool must_not_be_in_doubt(const struct request *r)
{
	return r->plan.writes || exec_commits(r);
}

static enum rc step_send(struct request *r)
{
	struct session *s = r->s;
	struct upstream *u = s->up;
	struct upstream_stmt *stmt = r->prepared ? prepared_on(r) : NULL;
	enum rc rc;

	if (s->login) { /* a login is over when the server has taken account and schema */
		if (login_asks_expiry(s))
			return hidden_say(r, HIDDEN_EXPIRY, upstream_query(u, span_str("DO 1")));
		r->step = STEP_END;
		return RC_DECLINED;
	}
	if (must_not_be_in_doubt(r) && unlikely(channel_has_ended(&u->ch))) {
		exec_lost(r, "closed by peer");
		return RC_ERROR;
	}
	deltas_schema_sent(r); /* before the server commits it, and again when it has answered */
	sets_sent(r);
	lockers_note(&s->worker->in->lockers, r);
	r->sent_ns = clock_mono_ns();
	r->route = r->backend && atomic_load_explicit(&r->backend->role, memory_order_relaxed) == BACKEND_REPLICA
			   ? STATS_REPLICA : STATS_PRIMARY;
	s->last_backend = r->backend;
	if (r->filling)
		r->lookup.has_ns = replica_has(r);
	if (stmt && (r->prepared->cursor || r->prepared->long_data))
		stmt->claimed_by = r->prepared->id;
	if ((r->cmd == COM_STMT_EXECUTE || r->cmd == COM_STMT_BULK_EXECUTE) && stmt)
		rc = push_execute(r, stmt);
	else
		rc = push_packet(r, stmt);
	if (rc == RC_OK && (r->stream_left || r->stream_more)) {
		session_set_state(s, SESSION_STREAMING);
		channel_resume(&s->ch);
		channel_kick(&s->ch);
	}
	if (rc == RC_OK && r->cmd == COM_STMT_SEND_LONG_DATA) { /* has no reply */
		if (channel_flush(&u->ch) == RC_ERROR)
			rc = RC_ERROR;
		r->step = STEP_END;
		if (rc == RC_OK)
			return s->state == SESSION_STREAMING ? RC_AGAIN : RC_DECLINED;
	} else if (rc == RC_OK) {
		rc = upstream_await(u, reply_kind(r));
	}
	if (rc != RC_OK) {
		exec_lost(r, "the statement could not be sent");
		return RC_ERROR;
	}
	r->step = STEP_REPLY;
	return RC_AGAIN;
}

/* ---- running ---- */

static enum rc run_step(struct request *r)
{
	switch (r->step) {
	case STEP_WAIT_QUEUE:
		return queued_wait_step(r);
	case STEP_CACHE:
		return cached_step(r);
	case STEP_QUEUE:
		return queued_step(r);
	case STEP_LIMIT:
		return limited_step(r);
	case STEP_ANNOUNCE:
		return announced_step(r);
	case STEP_ACQUIRE:
		return step_acquire(r);
	case STEP_SYNC:
		return hidden_sync(r);
	case STEP_POSITION:
		return hidden_position(r);
	case STEP_BEGIN:
		return readonly_begin(r);
	case STEP_PREPARE:
		return hidden_prepare(r);
	case STEP_SEND:
		return step_send(r);
	case STEP_REPLY:
		return RC_OK;
	case STEP_AFTER:
		return hidden_after(r);
	case STEP_END:
		break;
	}
	return RC_OK;
}

void exec_run(struct request *r)
{
	for (;;) {
		if (r->step == STEP_END) {
			request_end(r);
			return;
		}
		switch (run_step(r)) {
		case RC_OK:
			r->step = (enum request_step)(r->step + 1);
			break;
		case RC_DECLINED: /* the step has chosen another */
			break;
		case RC_AGAIN:
		case RC_ERROR:
			return;
		}
	}
}

void exec_resume(struct request *r, enum request_step step)
{
	r->step = step;
	exec_run(r);
}

/* The error was the server's last word on this connection: somebody has killed it there, or it has killed itself. */
static bool killed_on_server(const struct request *r)
{
	if (r->error != ER_QUERY_INTERRUPTED)
		return r->error == 1927;
	/* Behind a KILL other statements may stand, and one of these have been interrupted. */
	return r->kills_itself ||
	       (r->s->up->track.results == 0 && r->st && r->st->facts.verb == SQL_KILL && !strstr(r->st->text, "query"));
}

/* Servers hang up behind what was too long. A connection whose password has expired takes no more than a new one, and that of its own:
 * no reset, no other schema; who sets a new one, or has done so elsewhere, needs another login. */
static bool is_its_last_word(uint16_t error)
{
	return error == ER_NET_PACKET_TOO_LARGE || error == ER_MUST_CHANGE_PASSWORD;
}

void exec_replied(struct request *r)
{
	struct session *s = r->s;
	bool had;

	if (r->hidden) {
		hidden_done(r);
		return;
	}
	r->rows = s->up->track.rows;
	r->showed = s->up->track.columns || s->up->track.results > 1;
	had = s->up->warnings_of == s->id;
	if (unlikely(s->readonly))
		r->proven = s->readonly_proven;
	if ((r->plan.target == PLAN_REPLICA || s->readonly) && !r->refused)
		replica_read(r);
	readonly_settle(r);
	if (leaves_conditions(s->up) || aftermath_clears(r)) {
		s->up->warnings_of = leaves_conditions(s->up) ? s->id : 0;
		s->told_by = s->up;
	}
	if (likely(!r->refused))
		aftermath_ran(r, had);
	if (s->state == SESSION_STREAMING || s->state == SESSION_INFILE) {
		session_close(s, CLOSE_BACKEND, "the server answered before it had the whole statement");
		return;
	}
	if (unlikely(r->refused)) {
		failover_refused(r);
		return;
	}
	if (unlikely(r->st && r->st->facts.verb == SQL_KILL))
		kill_user_ran(r);
	if (unlikely(is_its_last_word(r->error)))
		s->up->condemned = true;
	if (unlikely(killed_on_server(r))) {
		s->up->condemned = true;
		session_close(s, CLOSE_KILLED, "killed on the server");
		return;
	}
	exec_resume(r, STEP_AFTER);
}

void exec_tick(struct request *r, uint64_t now_ns)
{
	/* Each may end the request: it waits for one thing at a time. */
	if (limited_tick(r, now_ns))
		return;
	if (r->held)
		failover_tick(r, now_ns);
	else if (r->awaits_schema)
		exec_resume(r, STEP_ACQUIRE);
	else if (r->awaits_position)
		replica_tick(r, now_ns);
	else if (r->queue_waiting && now_ns > r->deadline_ns)
		queued_wait_expired(r);
	else if (!exec_silent_tick(r, now_ns))
		lockers_look(&r->worker->in->lockers, r, now_ns);
}
