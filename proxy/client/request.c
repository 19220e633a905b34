/*
 * request.c - a request's beginning and end.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "choice.h"
#include "clock.h"
#include "pieces.h"
#include "request.h"
#include "result.h"

static const struct sql_lexed no_text;

struct request *request_new(struct session *s)
{
	struct request *r = pool_get(s->worker->request_pool);

	if (!r)
		return NULL;
	r->s = s;
	r->worker = s->worker;
	r->start_ns = clock_mono_ns();
	r->route = STATS_LOCAL;
	r->rules_left_ns = RULES_TIME_NS;
	r->lexed = &no_text;
	memset(&r->lease, 0, offsetof(struct lease_request, err_text));
	r->lease.err_text[0] = '\0';
	r->plan.target_why = "not a statement";
	iobuf_init(&r->packet, 0);
	iobuf_init(&r->key, 0);
	iobuf_init(&r->fill, 0);
	iobuf_init(&r->number_reply, RESULT_SMALL);
	s->request = r;
	return r;
}

void request_lists_numbers(struct request *r)
{
	r->own_number = r->number_in_list = true;
	r->numbers.n[0] = session_number(r->s);
	r->number_reply.max = RESULT_LIST;
}

static void request_free(struct request *r)
{
	struct worker *w = r->worker; /* the session may be gone already */

	cached_cancel(r);
	announced_end(r);
	deltas_schema_over(r);
	iobuf_reset(&r->packet);
	iobuf_reset(&r->number_reply);
	pieces_free(r->pieces);
	choosing_free(r->choosing);
	statement_unref(r->st);
	varset_unref(r->bridge);
	pool_put(w->request_pool, r);
}

void request_end(struct request *r)
{
	struct session *s = r->s;
	bool was_login = s->login != NULL, cut_short = r->stream_left || r->stream_more, begun = !r->begins_anew;
	uint64_t now = clock_mono_ns(), rest = r->stream_left;
	bool unread = rest && !r->stream_more && s->state == SESSION_RUNNING; /* nothing of the rest has gone anywhere */
	bool filling = r->filling, cache_refused = cached_finish(r);

	if (r->st && !was_login && r->cmd != COM_STMT_PREPARE && r->cmd != COM_STMT_SEND_LONG_DATA &&
	    r->cmd != COM_STMT_RESET && r->cmd != COM_STMT_FETCH)
		request_count(r, now, cache_refused);
	shown_read(r, filling && !cache_refused && !r->lookup.outdone, now);
	command_stmt_settle(r);
	s->request = NULL;
	exec_release(r);
	request_free(r);
	limited_leave(s);
	if (s->state == SESSION_CLOSED)
		return;
	if (unread) {
		s->discard = rest;
	} else if (cut_short) { /* answered before all of it came: the rest must not be taken for commands */
		session_close(s, CLOSE_BACKEND, "a statement failed before all of it had come");
		return;
	}
	if (unlikely(!begun)) { /* what the client takes for an open transaction is none */
		session_close(s, CLOSE_BACKEND, "its transaction left a replica, and could not be begun on the primary");
		return;
	}
	if (was_login) {
		login_done(s, true, NULL);
		return;
	}
	(void)channel_flush(&s->ch);
	session_next(s);
}

void login_failed(struct request *r, const struct err_packet *e)
{
	struct session *s = r->s;
	char text[256];
	struct err_packet copy = *e;

	(void)snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(e->message)); /* e may lie in the request */
	copy.message = span_str(text);
	s->request = NULL;
	exec_release(r);
	request_free(r);
	login_done(s, false, &copy);
}

void request_interrupt(struct request *r)
{
	static const struct err_packet interrupted = {.code = ER_QUERY_INTERRUPTED, .sqlstate = "70100",
						      .message = {.p = "Query execution was interrupted", .len = 31}};

	if (r->leasing) {
		lease_cancel(r->worker->leases, &r->lease);
		r->leasing = false;
	} else if (r->held || r->awaits_position) {
		r->held = false;
		replica_wait_over(r);
	} else if (r->awaits_schema) {
		r->awaits_schema = false;
	} else if (r->lookup_pending) { /* perhaps for another's answer */
		cached_cancel(r);
	} else if (r->announce_pending) {
		announced_end(r);
	} else if (r->turn_waiting) {
		if (!limited_cancel(r))
			return; /* its turn has come, and this may be said to what runs next */
	} else if (!r->queue_waiting || !queued_cancel(r)) {
		return; /* a server has it, and was told */
	}
	reply_server_error(r->s, &interrupted);
	r->error = interrupted.code;
	exec_resume(r, STEP_END);
}

void request_abort(struct request *r)
{
	struct session *s = r->s;

	if (!r->dead) {
		s->request = NULL;
		if (r->leasing)
			lease_cancel(s->worker->leases, &r->lease);
		r->leasing = false;
		replica_wait_over(r);
		if (s->up && s->up->tracking && r->sent_ns && !r->hidden)
			deltas_lost(r); /* what it may have written is not known any more */
		if (s->up && (s->up->tracking || (r->sent_ns && (r->stream_left || r->stream_more)))) {
			struct upstream *u = s->up;

			s->up = NULL;
			lease_discard(u, "its session ended in the middle of a reply");
		}
		cached_cancel(r);
		announced_end(r);
	}
	r->dead = true;
	if (queued_cancel(r) && limited_cancel(r) && !r->killing)
		request_free(r);
}
