/*
 * lost.c - a request that cannot be served, and a connection that breaks: under a statement, or between two (R3).
 */
#include <stdio.h>
#include <string.h>

#include "request.h"

#define ATTEMPTS_MOST 3 /* of one request, after a connection was lost under it */

void lost_why(const struct lease_request *l, struct reply_own *why)
{
	const char *text = l->err_text[0] ? l->err_text : "no server can be reached";

	if (!l->err_theirs) {
		reply_make_own(why, l->err_code ? l->err_code : 1927, l->err_code ? l->err_state : "08S01", "%s", text);
		return;
	}
	(void)snprintf(why->text, sizeof(why->text), "%s", text);
	why->packet = (struct err_packet){.code = l->err_code, .message = span_str(why->text)};
	memcpy(why->packet.sqlstate, l->err_state, sizeof(why->packet.sqlstate));
}

/* The client is told by the error that the server or the pool gave. */
void exec_fail(struct request *r)
{
	struct session *s = r->s;
	struct reply_own why;

	if (r->checking && (queued_check_denied(r) || queued_check_failed(r)))
		return;
	if (!r->lease.err_code && cached_rescue(r)) {
		exec_resume(r, STEP_END);
		return;
	}
	lost_why(&r->lease, &why);
	if (s->login) {
		login_failed(r, &why.packet);
		return;
	}
	reply_server_error(s, &why.packet);
	r->error = why.packet.code;
	if (r->cmd == COM_STMT_SEND_LONG_DATA) { /* nobody awaits its reply: the next one's would be taken for it */
		session_close(s, CLOSE_BACKEND, "long data could not be passed on");
		return;
	}
	exec_resume(r, STEP_END);
}

/* R3: what has not been sent, or a read of which no byte of the answer has left. */
static bool may_retry(struct request *r)
{
	if (r->reply_started || r->s->pins || r->streamed || r->cmd == COM_STMT_SEND_LONG_DATA ||
	    r->attempts >= ATTEMPTS_MOST)
		return false;
	return !r->sent_ns || failover_only_reads(r);
}

static void retry(struct request *r)
{
	stats_count(r->worker->sink, STATS_C_RETRIES, 1);
	r->attempts++;
	if (r->sent_ns)
		r->hold_until_ns = 0; /* it did not wait until now: it ran */
	r->primary_only |= !r->replica_last;
	r->sent_ns = r->first_ns = 0;
	r->sync_to = NULL;
	r->hidden_answer = r->floor = r->proven = r->unproven = false;
	iobuf_consume(&r->fill, iobuf_len(&r->fill));
	iobuf_consume(&r->number_reply, iobuf_len(&r->number_reply));
	exec_resume(r, STEP_ACQUIRE);
}

/* An open transaction goes with its connection; but not one that XA has prepared. */
static bool is_rolled_back(const struct session *s)
{
	return s->in_transaction && !(s->pins & (PIN_UNKNOWN | PIN_UNKNOWN_YET | PIN_XA));
}

bool exec_commits(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	return f && (f->verb == SQL_COMMIT || (f->flags & SQL_F_AUTOCOMMIT_SET && r->s->in_transaction));
}

/* What the client must know of a statement that was on its way: what became of it, as far as that can be known. */
static const char *outcome(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	if (!r->sent_ns && is_rolled_back(r->s))
		return "; the statement was not sent, its transaction is rolled back";
	if (!r->sent_ns)
		return r->plan.writes ? "; the statement was not sent" : "";
	if (exec_commits(r))
		return "; whether the transaction was committed is not known";
	if (is_rolled_back(r->s) && f && !(f->flags & (SQL_F_IMPLICIT_COMMIT | SQL_F_UNKNOWN | SQL_F_MULTI)) &&
	    f->verb != SQL_CALL && f->verb != SQL_XA)
		return "; its transaction is rolled back";
	return r->plan.writes || r->s->pins ? "; whether the statement was executed is not known" : "";
}

static void tell_lost(struct session *s, const char *why, const char *became)
{
	unsigned state = s->pins & ~(unsigned)PIN_TRANSACTION;

	reply_error(s, 1927, "08S01", "the connection to the server was lost (%s)%s%s%s%s", why, became,
		    state ? "; the session's state (" : "", plan_pin_name(state), state ? ") is lost with it" : "");
}

void exec_lost_between(struct session *s, const char *why)
{
	s->seq = 1; /* the client takes it for the answer to its next command */
	tell_lost(s, why, is_rolled_back(s) ? "; its transaction is rolled back" : "");
	session_close(s, CLOSE_BACKEND, why);
}

void exec_lost(struct request *r, const char *why)
{
	struct session *s = r->s;

	if (s->up) { /* it broke under our hands: nobody else has noticed yet */
		struct upstream *u = s->up;

		s->up = NULL;
		lease_discard(u, why);
	}
	r->lost_on = r->backend;
	r->hidden = HIDDEN_NONE;
	topology_look(s->worker->in->topology);
	if (may_retry(r)) {
		retry(r);
		return;
	}
	if (s->login) {
		struct reply_own own;

		reply_make_own(&own, 1927, "08S01", "the connection to the server was lost during the login");
		login_failed(r, &own.packet);
		return;
	}
	if (!s->pins && cached_rescue(r)) {
		exec_resume(r, STEP_END);
		return;
	}
	r->error = 1927;
	if (!r->reply_started)
		tell_lost(s, why, outcome(r));
	deltas_lost(r);
	if (r->reply_started || s->pins) /* half a reply, or a session whose state is gone: the client cannot go on with it */
		session_close(s, CLOSE_BACKEND, why);
	else
		exec_resume(r, STEP_END);
}

/*
 * A server may stand still while its host answers, so that no link breaks: a disk that has stalled, a process that was stopped. Nobody can tell its
 * statements from those that take long, so they are waited for. Once another server is the primary, though, and the monitor has had no answer
 * either for a while, what was sent to the former one is broken off as if its link were lost, and so is, at once, what the queue would
 * like to be told and can do without.
 */
static bool is_given_up(const struct request *r, uint64_t now_ns)
{
	const struct session *s = r->s;
	const struct backend *b = s->up->backend;

	return s->on_primary && !b->endpoint && !r->reply_started && backend_is_silent(b, now_ns) &&
	       !topology_is_primary(s->worker->in->topology, b);
}

static void discard_silent(struct request *r)
{
	struct upstream *u = r->s->up;

	r->s->up = NULL;
	stats_count(r->worker->sink, STATS_C_UPSTREAM_LOST, 1);
	lease_discard(u, "the server does not answer");
}

bool exec_silent_tick(struct request *r, uint64_t now_ns)
{
	if (!r->s->up || (!r->sent_ns && r->hidden == HIDDEN_NONE))
		return false;
	if (unlikely(r->checking) && !r->s->pins && backend_is_silent(r->s->up->backend, now_ns) && queued_check_may_fail(r)) {
		discard_silent(r);
		r->hidden = HIDDEN_NONE;
		r->lease.err_code = 0;
		if (queued_check_failed(r))
			return true;
	} else if (is_given_up(r, now_ns)) {
		discard_silent(r);
	} else {
		return false;
	}
	exec_lost(r, "the server does not answer");
	return true;
}
