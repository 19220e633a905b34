/*
 * lease_hold.c - a connection that is being spoken of elsewhere by its thread's number: nobody else gets it meanwhile.
 */
#include "lease_impl.h"

static void held_piece(struct upstream *u, const struct track_piece *piece)
{
}

static void held_event(struct upstream *u)
{
}

static void held_gone(struct upstream *u, const char *why)
{
}

static const struct upstream_ops held_ops = {held_piece, held_event, held_event, held_gone, held_event};

void lease_hold(struct upstream *u)
{
	u->holds++;
}

bool lease_is_held(struct upstream *u)
{
	if (u->holds == 0)
		return false;
	u->ops = &held_ops;
	u->owner = NULL;
	u->let_go = true;
	return true;
}

static void unhold(struct upstream *u)
{
	if (u->holds == 0 || --u->holds > 0 || !u->let_go)
		return;
	u->let_go = false;
	u->dirty = true; /* a KILL that came late may still lie in wait for the next statement */
	lease_release(u);
}

void lease_unhold(struct lease_pool *p, const struct backend *b, uint32_t thread)
{
	list_each_safe(&lease_place(p, b)->busy, n, tmp) {
		struct upstream *u = container_of(n, struct upstream, node);

		if (u->thread_id == thread)
			unhold(u);
	}
}
