/*
 * readonly.c - read-only transactions on a replica (R1, R2, P1).
 *
 *   START TRANSACTION READ ONLY → a replica that has all that the session wrote and saw → plain reads there → COMMIT
 *                                                └ anything else → the primary, from then on
 *
 * What a replica cannot answer for as the primary would (a write, a lock, a user variable, an error of the replica's own)
 * makes the transaction leave: nothing was changed in it, so ending it there and beginning one on the primary is seen by
 * nobody, except that a new one has a new snapshot. Therefore only transactions of sessions that have set READ COMMITTED
 * or less go to replicas by themselves; others do where a rule or hint says so (plan.c). A write then gets the
 * primary's own 1792.
 *
 * One that is sent to a group, WITH CONSISTENT SNAPSHOT too, is held: a dump or a report is neither to see two states nor to come to the
 * primary. All that reads or concerns its session alone runs on its replica, SHOW and SAVEPOINT among it; all else is refused.
 */
#include "request.h"

static bool is_plain_command(const struct request *r)
{
	switch (r->cmd) {
	case COM_QUERY:
	case COM_STMT_EXECUTE:
	case COM_STMT_BULK_EXECUTE:
	case COM_STMT_SEND_LONG_DATA:
	case COM_STMT_PREPARE:
		return true;
	default:
		return false;
	}
}

bool readonly_may_leave(const struct request *r)
{
	const struct session *s = r->s;

	return s->readonly && s->readonly != READONLY_HELD && s->up && s->pins == PIN_TRANSACTION && !s->on_primary &&
	       is_plain_command(r) && !r->streamed && !r->reply_started;
}

bool readonly_must_leave(const struct request *r)
{
	const struct session *s = r->s;

	if (!s->readonly || !s->up || s->pins != PIN_TRANSACTION || s->on_primary || !is_plain_command(r))
		return false;
	if (s->readonly == READONLY_HELD)
		return r->plan.leaves && r->cmd != COM_STMT_PREPARE;
	return r->primary_only || r->plan.leaves || r->plan.writes || r->cmd == COM_STMT_SEND_LONG_DATA ||
	       (r->cmd == COM_STMT_EXECUTE && exec_opens_cursor(r));
}

bool readonly_strays(const struct request *r)
{
	const struct session *s = r->s;

	if (s->readonly != READONLY_HELD || s->on_primary)
		return false;
	return r->plan.strays || r->plan.needs_primary || r->plan.writes ||
	       (r->plan.leaves && r->cmd != COM_STMT_PREPARE); /* state of the session's keeps it here: that BEGIN would be none for writes */
}

void readonly_refuse(struct request *r)
{
	reply_error(r->s, 1792, "25006",
		    "this transaction reads one state of a replica of the group %s, where nothing is written or locked and only plain reads "
		    "run: end it first, or begin it with /* suimon: primary */ START TRANSACTION", r->backend->group_name);
	r->error = 1792;
	r->step = STEP_END;
}

void readonly_leave(struct request *r)
{
	struct session *s = r->s;

	stats_count(r->worker->sink, STATS_C_READ_ONLY_MOVED, 1);
	r->begins_anew = s->readonly == READONLY_BEGUN; /* without autocommit the statement itself begins one */
	r->primary_only = true;
	session_unpin_all(s);
}

enum rc readonly_begin(struct request *r)
{
	if (likely(!r->begins_anew))
		return RC_OK;
	return hidden_say(r, HIDDEN_BEGIN, upstream_query(r->s->up, span_str("START TRANSACTION READ ONLY")));
}

void readonly_begun(struct request *r)
{
	struct session *s = r->s;

	r->begins_anew = false;
	s->pins |= PIN_TRANSACTION;
	s->in_transaction = true;
	exec_resume(r, STEP_PREPARE);
}

void readonly_settle(struct request *r)
{
	struct session *s = r->s;

	if (likely(!s->in_transaction)) {
		s->readonly = READONLY_NOT;
	} else if (unlikely(r->plan.opens && r->route == STATS_REPLICA && !s->readonly)) {
		s->readonly = r->plan.holds ? READONLY_HELD : r->st && r->st->facts.verb == SQL_BEGIN ? READONLY_BEGUN : READONLY_IMPLIED;
		s->readonly_proven = r->proven;
		s->readonly_in_lane = request_in_lane(r);
	}
}
