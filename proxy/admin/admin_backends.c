/*
 * admin_backends.c - /api/backends: the servers behind suimon, and taking one out of use by hand.
 */
#include "admin_impl.h"

#include <stdio.h>

#include "clock.h"

static void put_pool(struct jsonw *w, const struct backend *b, const struct settings *s)
{
	uint32_t open = atomic_load(&b->connections), active = backend_active(b->loads);

	jsonw_open(w, "pool", '{');
	jsonw_uint(w, "idle", open > active ? open - active : 0);
	jsonw_uint(w, "active", active);
	jsonw_uint(w, "max", (uint64_t)s->backend.pool.max);
	jsonw_uint(w, "waiting", atomic_load(&b->waiting));
	jsonw_close(w, '}');
}

static void put_backend(struct jsonw *w, struct backend *b, const struct settings *s)
{
	uint64_t lag = atomic_load(&b->lag_ns), since = atomic_load(&b->state_since_ns), now = clock_mono_ns();
	char gtid[GTID_TEXT_CAP], problem[sizeof(b->problem)];
	struct gtid_pos pos;

	backend_position(b, &pos);
	(void)gtid_print(&pos, gtid);
	pthread_mutex_lock(&b->lock);
	(void)snprintf(problem, sizeof(problem), "%s", b->problem);
	pthread_mutex_unlock(&b->lock);
	jsonw_open(w, NULL, '{');
	jsonw_text(w, "addr", b->text);
	jsonw_text(w, "role", backend_role_name(b));
	jsonw_text(w, "state", backend_state_name(backend_state(b)));
	if (lag == BACKEND_LAG_UNKNOWN)
		jsonw_null(w, "lag");
	else
		jsonw_seconds(w, "lag", lag);
	jsonw_uint(w, "weight", (uint64_t)b->weight);
	jsonw_text(w, "group", b->group_name ? b->group_name : "");
	put_pool(w, b, s);
	jsonw_seconds(w, "latency", atomic_load(&b->latency_ns));
	jsonw_uint(w, "errors", backend_errors(b->loads));
	jsonw_uint(w, "queries", backend_queries(b->loads));
	jsonw_text(w, "gtid", gtid);
	if (since)
		jsonw_time(w, "since", clock_wall_us() - (now > since ? now - since : 0) / 1000);
	else
		jsonw_null(w, "since");
	jsonw_text(w, "problem", problem);
	jsonw_close(w, '}');
}

int get_backends(struct call *c)
{
	const struct topology *t = c->a->in->topology;
	struct jsonw w;

	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	jsonw_open(&w, "backends", '[');
	for (size_t i = 0; i < t->n; i++)
		put_backend(&w, t->all[i], c->settings);
	jsonw_close(&w, ']');
	jsonw_close(&w, '}');
	return call_done(c, jsonw_end(&w));
}

static int set_state(struct call *c, bool disable)
{
	struct backend *b = topology_find(c->a->in->topology, c->arg);
	struct jsonw w;

	if (!b)
		return call_error(c, 404, "there is no backend %s", c->arg);
	backend_disable(b, disable, "by an operator");
	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	jsonw_text(&w, "addr", b->text);
	jsonw_text(&w, "state", backend_state_name(backend_state(b)));
	jsonw_close(&w, '}');
	return call_done(c, jsonw_end(&w));
}

int post_backend_disable(struct call *c)
{
	return set_state(c, true);
}

int post_backend_enable(struct call *c)
{
	return set_state(c, false);
}
