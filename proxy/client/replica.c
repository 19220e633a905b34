/*
 * replica.c - which replica a session reads from, so that its reads do not go back in time (R2; the invariant: seen.h).
 *
 *   replica_choose → a connection of it → replica_prove (STEP_POSITION) → the read → replica_read
 *
 * A session stays with the replica it read from. It moves when another one is much less busy, or when its own is gone, and
 * then only to one that is known to have applied all that was committed when it read last:
 *
 *   - by the monitor's checks (backend_fresh), at most an interval old: enough for a session that was quiet for so long
 *   - by the primary's position asked after that read: the read waits for the monitor to look, some milliseconds, and
 *     then for the replica to be there (STEP_POSITION)
 *   - where servers have no GTIDs the read goes to the primary until the first holds
 *
 * So it is with a read that ran on the primary because no replica would do. The price: a clock read for each read, and
 * the wait when a replica goes. `eventual` reads do none of it.
 */
#include "clock.h"
#include "request.h"

#define POSITION_KNOWN_WITHIN_NS (150 * NS_PER_MS) /* the monitor's look takes this long at most */
#define BEHIND_AGAIN_NS NS_PER_SEC                 /* replicas that were too far behind are not tried again for so long */

static struct topology *topology_of(const struct request *r)
{
	return r->worker->in->topology;
}

static uint64_t window(const struct request *r)
{
	return instance_lag_window(r->worker->settings);
}

/* While no primary answers any replica is better than none (R4). */
static bool any_will_do(const struct request *r)
{
	return r->plan.eventual || r->replica_last || !topology_primary_usable(topology_of(r));
}

/* None is known to be past what the session has seen: can one be waited for? */
static enum rc choose_unproven(struct request *r, struct backend **b)
{
	struct session *s = r->s;
	struct topology *t = topology_of(r);
	struct backend *any = topology_replica(t, NULL);

	*b = NULL;
	if (!any)
		return RC_OK;
	if (!backend_asked(topology_primary(t)) ||
	    (s->behind_ns && clock_mono_ns() - s->behind_ns < BEHIND_AGAIN_NS)) {
		stats_count(r->worker->sink, STATS_C_REPLICA_LAG_FALLBACKS, 1);
		return RC_OK;
	}
	if (!seen_bounded(&s->seen, t)) {
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

	r->floor = r->proven = false;
	if (any_will_do(r)) {
		*b = topology_replica(topology_of(r), NULL);
		return RC_OK;
	}
	*b = r->unproven ? NULL : seen_choose(&s->seen, topology_of(r), window(r));
	return *b || !s->seen.ns ? RC_OK : choose_unproven(r, b);
}

enum rc replica_prove(struct request *r, struct gtid_pos *wanted)
{
	struct session *s = r->s;

	if (any_will_do(r) || r->lease.parked_only) /* the latter asks for what the last statement left there */
		return RC_OK;
	switch (seen_prove(&s->seen, topology_of(r), r->backend, s->up->ready_ns, window(r), wanted)) {
	case SEEN_BY_POSITION:
		r->floor = true;
		break;
	case SEEN_UNKNOWN:
		if (r->unproven || !backend_asked(topology_primary(topology_of(r))))
			return RC_ERROR;
		r->unproven = true;
		return RC_DECLINED;
	case SEEN_PROVEN:
		break;
	}
	r->proven = true;
	return RC_OK;
}

/* An application that connects anew for each of its requests is to see what its last one wrote. */
void replica_session_begins(struct session *s)
{
	struct backend *primary = topology_primary(s->worker->in->topology);

	if (primary)
		backend_acked(primary, &s->written);
}

void replica_read(struct request *r)
{
	struct session *s = r->s;

	if (r->plan.eventual || (r->route == STATS_REPLICA && !r->proven))
		return;
	seen_read(&s->seen, s->up->backend, r->sent_ns, clock_mono_ns());
}

uint64_t replica_has(const struct request *r)
{
	const struct session *s = r->s;
	uint64_t fresh;

	if (topology_is_primary(topology_of(r), r->backend))
		return r->sent_ns;
	fresh = backend_fresh(r->backend);
	if (!backend_was_fresh(r->backend, fresh, s->up->ready_ns))
		fresh = 0;
	return r->floor && s->seen.ns > fresh ? s->seen.ns : fresh;
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

		if (r && r->awaits_position && seen_bounded(&r->s->seen, topology_of(r)))
			go_on(r, true);
	}
}

void replica_tick(struct request *r, uint64_t now_ns)
{
	if (r->awaits_position && now_ns - r->asked_ns >= POSITION_KNOWN_WITHIN_NS)
		go_on(r, false);
}
