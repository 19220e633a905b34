/*
 * admin_health.c - /healthz: the process serves. /readyz: a client could run a read.
 */
#include "admin_impl.h"

#include <stdio.h>

int get_healthz(struct call *c)
{
	c->content_type = "text/plain; charset=utf-8";
	return call_done(c, iobuf_append(&c->out, "ok\n", 3));
}

static void put_reason(struct jsonw *w, struct backend *b, const char *what)
{
	char problem[sizeof(b->problem)];

	if (!w)
		return;
	pthread_mutex_lock(&b->lock);
	(void)snprintf(problem, sizeof(problem), "%s", b->problem);
	pthread_mutex_unlock(&b->lock);
	jsonw_printf(w, NULL, "%s %s %s%s%s",
		     b == NULL                                  ? ""
		     : atomic_load(&b->role) == BACKEND_PRIMARY ? "primary"
								: "replica",
		     b->text, what, problem[0] ? ": " : "", problem);
}

/* After a switch-over the file may name the former primary: while it is read-only, another may be found to be the primary now. */
static struct backend *not_looked_at(const struct topology *t, const struct backend *primary)
{
	for (size_t i = 0; backend_is_read_only(primary) && i < t->n; i++)
		if (backend_state(t->all[i]) == BACKEND_UNKNOWN)
			return t->all[i];
	return NULL;
}

bool admin_ready(struct instance *in, struct jsonw *w)
{
	struct backend *primary = topology_primary(in->topology), *other = not_looked_at(in->topology, primary);
	struct backend_identity id;
	bool up = false, ready = true;

	for (size_t i = 0; i < in->topology->n; i++)
		up = up || backend_state(in->topology->all[i]) == BACKEND_UP;
	if (atomic_load(&in->draining)) {
		ready = false;
		if (w)
			jsonw_text(w, NULL, "draining: new clients belong elsewhere");
	}
	if (!backend_identity(primary, &id)) {
		ready = false;
		put_reason(w, primary, "has not been reached yet, so what it is (version, character set) is not known");
	}
	if (other) {
		ready = false;
		put_reason(w, other, "has not been looked at yet, and the primary is read-only: this may be the primary now");
	}
	if (!up) {
		ready = false;
		for (size_t i = 0; i < in->topology->n; i++)
			put_reason(w, in->topology->all[i], backend_state_name(backend_state(in->topology->all[i])));
	}
	return ready;
}

int get_readyz(struct call *c)
{
	struct jsonw w;
	int status;
	bool ready;

	if (admin_ready(c->a->in, NULL)) {
		c->content_type = "text/plain; charset=utf-8";
		return call_done(c, iobuf_append(&c->out, "ready\n", 6));
	}
	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	jsonw_text(&w, "error", "not ready: a client could not run a read");
	jsonw_open(&w, "reasons", '[');
	ready = admin_ready(c->a->in, &w);
	jsonw_close(&w, ']');
	jsonw_bool(&w, "ready", ready);
	jsonw_close(&w, '}');
	status = call_done(c, jsonw_end(&w));
	return status == 200 && !ready ? 503 : status;
}
