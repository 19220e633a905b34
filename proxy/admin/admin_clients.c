/*
 * admin_clients.c - /api/clients: every worker in turn adds its sessions on its own thread, then the answer is sent.
 */
#include "admin_impl.h"

#include "mem.h"
#include "worker.h"

#define STATEMENT_MOST 1024 /* bytes shown of a statement */

/* Goes from worker to worker: only one of them has it at a time. */
struct survey {
	struct pending pending; /* the control loop's */
	struct iobuf out;
	struct jsonw w;
};

static void put_session(void *arg, const struct session_view *v)
{
	struct jsonw *w = arg;

	jsonw_open(w, NULL, '{');
	jsonw_uint(w, "id", v->id);
	jsonw_str(w, "user", v->user);
	jsonw_text(w, "address", v->peer);
	jsonw_str(w, "schema", v->schema);
	jsonw_text(w, "state", v->state);
	jsonw_text(w, "pinned", v->pinned && v->pinned[0] ? v->pinned : NULL);
	jsonw_text(w, "backend", v->backend && v->backend[0] ? v->backend : NULL);
	if (v->statement.len)
		jsonw_str(
			w, "statement",
			span_of(v->statement.p, v->statement.len < STATEMENT_MOST ? v->statement.len : STATEMENT_MOST));
	else
		jsonw_null(w, "statement");
	jsonw_bool(w, "in_transaction", v->in_transaction);
	jsonw_uint(w, "prepared", v->prepared);
	jsonw_double(w, "age", v->age);
	jsonw_double(w, "idle", v->idle);
	jsonw_close(w, '}');
}

static void survey_worker(struct worker *w, void *arg)
{
	struct survey *s = arg;

	worker_view_sessions(w, put_session, &s->w);
}

static void survey_done(void *arg)
{
	struct survey *s = arg;
	static const char failed[] = "{\"error\":\"the answer is too large, or memory is short\"}";

	jsonw_close(&s->w, ']');
	jsonw_close(&s->w, '}');
	if (jsonw_end(&s->w) == RC_OK) {
		pending_finish(&s->pending, 200, &s->out);
	} else {
		iobuf_reset(&s->out);
		if (iobuf_append(&s->out, failed, sizeof(failed) - 1) != RC_OK)
			iobuf_reset(&s->out);
		pending_finish(&s->pending, 500, &s->out);
	}
	mem_free(s);
}

int get_clients(struct call *c)
{
	struct survey *s = mem_zalloc(sizeof(*s));

	if (!s)
		return call_done(c, RC_ERROR);
	iobuf_init(&s->out, ADMIN_ANSWER_MAX);
	jsonw_init(&s->w, &s->out);
	jsonw_open(&s->w, NULL, '{');
	jsonw_open(&s->w, "clients", '[');
	if (!workers_each(c->a->in, survey_worker, survey_done, s)) {
		iobuf_reset(&s->out);
		mem_free(s);
		return call_done(c, RC_ERROR);
	}
	call_suspend(c, &s->pending);
	return 0;
}
