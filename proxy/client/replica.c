/*
 * replica.c - which replica a session reads from, so that its reads do not go back in time (R2).
 *
 * A session stays with the replica it read from. It moves to one that is much less busy, or when its own is gone, and
 * then only to one that is known to have applied all that was committed when it read last:
 *
 *   - by the monitor's checks (backend_fresh), at most an interval old: enough for a session that was quiet for so long
 *   - by the primary's position asked after that read: the read waits for the monitor to look, some milliseconds, and
 *     then for the replica to be there (STEP_POSITION)
 *   - where servers have no GTIDs the read goes to the primary until the first holds
 *
 * The price: a clock read for each read, and the wait when a replica goes. `eventual` reads do none of it.
 */
#include "clock.h"
#include "request.h"

#define POSITION_KNOWN_WITHIN_NS (150 * NS_PER_MS) /* the monitor's look takes this long at most */
#define BEHIND_AGAIN_NS NS_PER_SEC                 /* replicas that were too far behind are not tried again for so long */

static struct topology *topology_of(const struct request *r)
{
	return r->worker->in->topology;
}

static bool position_known(const struct request *r)
{
	return atomic_load_explicit(&topology_of(r)->primary_asked_ns, memory_order_acquire) >= r->s->read_ns;
}

/* None is known to be past what the session has seen: can one be waited for? */
static enum rc choose_unproven(struct request *r, struct backend **b)
{
	struct session *s = r->s;
	struct topology *t = topology_of(r);
	struct backend *any = topology_replica(t, NULL);

	*b = NULL;
	if (!any || !backend_usable(topology_primary(t)))
		return RC_OK;
	r->floor = true;
	if (!atomic_load_explicit(&t->primary_asked_ns, memory_order_acquire) ||
	    (s->behind_ns && clock_mono_ns() - s->behind_ns < BEHIND_AGAIN_NS)) {
		stats_count(r->worker->sink, STATS_C_REPLICA_LAG_FALLBACKS, 1);
		return RC_OK;
	}
	if (!position_known(r)) {
		(void)failover_deadline(r);
		r->awaits_position = true;
		r->asked_ns = clock_mono_ns();
		atomic_fetch_add_explicit(&r->worker->in->position_waiters, 1, memory_order_relaxed);
		topology_look(t);
		return RC_AGAIN;
	}
	*b = any;
	return RC_OK;
}

enum rc replica_choose(struct request *r, struct backend **b)
{
	struct session *s = r->s;
	struct topology_wish wish = {.prefer = s->read_from, .read_ns = s->read_ns};

	r->floor = false;
	if (r->plan.eventual || r->replica_last) { /* while no primary answers any replica is better than none (R4) */
		*b = topology_replica(topology_of(r), NULL);
		return RC_OK;
	}
	wish.window_ns = instance_lag_window(r->worker->settings);
	*b = topology_replica(topology_of(r), &wish);
	return *b || !s->read_from ? RC_OK : choose_unproven(r, b);
}

void replica_floor(struct request *r, struct gtid_pos *wanted)
{
	struct gtid_pos pos;

	backend_position(topology_primary(topology_of(r)), &pos);
	gtid_merge(wanted, &pos);
}

void replica_read(struct request *r)
{
	struct session *s = r->s;

	if (r->route == STATS_REPLICA)
		s->read_from = s->up->backend;
	else if (!r->floor || !atomic_load_explicit(&topology_of(r)->primary_asked_ns, memory_order_relaxed))
		return; /* read on the primary for another reason */
	s->read_ns = clock_mono_ns();
}

void replica_wait_over(struct request *r)
{
	if (!r->awaits_position)
		return;
	r->awaits_position = false;
	atomic_fetch_sub_explicit(&r->worker->in->position_waiters, 1, memory_order_relaxed);
}

static void go_on(struct request *r, bool known)
{
	replica_wait_over(r);
	r->primary_only |= !known;
	exec_resume(r, STEP_ACQUIRE);
}

void replica_position_known(struct worker *w)
{
	list_each_safe(&w->sessions, n, tmp) {
		struct request *r = container_of(n, struct session, node)->request;

		if (r && r->awaits_position && position_known(r))
			go_on(r, true);
	}
}

void replica_tick(struct request *r, uint64_t now_ns)
{
	if (r->awaits_position && now_ns - r->asked_ns >= POSITION_KNOWN_WITHIN_NS)
		go_on(r, false);
}
