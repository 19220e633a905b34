/*
 * monitor_quiet.c - when there is nothing to ask: a primary that stands alone, with clients at work on it.
 *
 * There is no other server to choose, and the workers' own connections show that it is there: an error or a lost link of
 * theirs has it looked at at once (topology_look), and a machine that is gone ends them (TCP's own probes). So the server
 * sees no connection and no statement that it would not see without suimon, in its list of processes, its counters and
 * its limit of connections.
 */
#include "monitor_impl.h"

static bool is_alone(const struct watch *w)
{
	return atomic_load_explicit(&w->m->topology->n, memory_order_acquire) == 1 && !w->conf.aurora_host[0];
}

static bool has_workers(const struct watch *w)
{
	return atomic_load_explicit(&w->b->connections, memory_order_relaxed) > 0;
}

bool monitor_is_quiet(struct watch *w)
{
	uint64_t looked = atomic_load_explicit(&w->m->topology->looked_ns, memory_order_acquire);
	bool asked = looked != w->looked_ns || w->asked_of != w->conf.generation;

	w->looked_ns = looked;
	w->asked_of = w->conf.generation;
	return !asked && is_alone(w) && has_workers(w) && backend_state(w->b) == BACKEND_UP &&
	       atomic_load_explicit(&w->b->access, memory_order_acquire) == BACKEND_WRITABLE;
}

void monitor_hush(struct watch *w)
{
	if (is_alone(w) && has_workers(w))
		sqlconn_close(w->conn);
}
