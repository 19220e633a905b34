/*
 * limited.c - a request and the rules of `limits`: its turn, and the end of one that runs too long.
 *
 *   limited_step (STEP_LIMIT) → in, or in line → … → limited_leave, when the statement or the transaction it is in is over
 */
#include <string.h>

#include "clock.h"
#include "kill.h"
#include "log.h"
#include "request.h"

#define KILL_AGAIN_NS NS_PER_SEC

/* COMMIT and ROLLBACK give room, and are never kept from it: nothing but they. */
static bool gives_room(const struct sql_facts *f)
{
	return (f->verb == SQL_COMMIT || f->verb == SQL_ROLLBACK) && !(f->flags & (SQL_F_MULTI | SQL_F_UNKNOWN));
}

static unsigned place_of(const struct request *r)
{
	return (unsigned)(r->plan.limit - r->worker->settings->limits.rules);
}

/* Nor is the inside of a transaction that has its place kept from anything, but by rules that stand before the one by which it has it: as each
 * goes from a later rule to an earlier one, no two wait for each other's places. */
static bool is_limited(const struct request *r)
{
	switch (r->cmd) {
	case COM_QUERY:
	case COM_STMT_EXECUTE:
	case COM_STMT_BULK_EXECUTE:
		break;
	default:
		return false;
	}
	if (r->s->gate_within) /* the request has been here */
		return false;
	return r->plan.limit && (!r->s->gate || place_of(r) < r->s->gate_place) && !(r->st && gives_room(&r->st->facts));
}

/* Names the gate: the rule's, or that of one account, digest, client or session of it. */
static uint64_t key_of(const struct request *r, const struct settings_limit_rule *rule)
{
	struct { uint64_t rule, what; } key = {.rule = rule->id}; /* a reload may move it among the others */

	switch ((enum settings_limit_per)rule->per) {
	case SETTINGS_PER_RULE:
		break;
	case SETTINGS_PER_USER:
		key.what = map_hash(r->s->account->user, strlen(r->s->account->user));
		break;
	case SETTINGS_PER_DIGEST:
		key.what = r->limit_digest ? r->limit_digest : r->st ? r->st->digest : 0; /* those too large to be told apart are one */
		break;
	case SETTINGS_PER_CLIENT:
		key.what = map_hash(r->s->peer, strlen(r->s->peer));
		break;
	case SETTINGS_PER_SESSION:
		key.what = r->s->id;
		break;
	}
	return map_hash(&key, sizeof(key));
}

static void is_in(struct request *r)
{
	struct session *s = r->s;

	if (s->gate) {
		s->gate_within = r->turn.gate;
		return;
	}
	s->gate = r->turn.gate;
	s->gate_place = r->turn_place;
}

static void on_turn(struct mail *m)
{
	struct request *r = container_of(container_of(m, struct limit_waiter, mail), struct request, turn);

	r->turn_waiting = false;
	if (r->dead) {
		limit_leave(r->worker->in->limits, r->turn.gate, clock_mono_ns());
		request_abort(r);
		return;
	}
	is_in(r);
	exec_resume(r, (enum request_step)(STEP_LIMIT + 1));
}

enum rc limited_step(struct request *r)
{
	const struct settings_limit_rule *rule = r->plan.limit;
	struct limit_terms terms;
	uint64_t now;

	if (likely(!rule))
		return RC_OK;
	r->time_most_ns = rule->max_time_ns;
	if (!is_limited(r) || (!rule->concurrency && !rule->rate))
		return RC_OK;
	now = clock_mono_ns();
	terms = (struct limit_terms){.concurrency = (uint64_t)rule->concurrency, .rate = (uint64_t)rule->rate};
	r->turn.mail.run = on_turn;
	r->turn.loop = r->worker->loop;
	r->turn_place = place_of(r);
	r->turn_waiting = true; /* before its mail can come */
	switch (limit_enter(r->worker->in->limits, key_of(r, rule), &terms, &r->turn, now)) {
	case RC_OK:
		is_in(r);
		break;
	case RC_AGAIN:
		r->turn_until_ns = now + rule->wait_ns;
		stats_count(r->worker->sink, STATS_C_LIMIT_WAITS, 1);
		return RC_AGAIN;
	default:
		break; /* no memory to count it: it runs */
	}
	r->turn_waiting = false;
	return RC_OK;
}

bool limited_cancel(struct request *r)
{
	if (r->turn_waiting && limit_cancel(r->worker->in->limits, &r->turn))
		r->turn_waiting = false;
	return !r->turn_waiting;
}

void limited_leave(struct session *s)
{
	if (unlikely(s->gate_within))
		limit_leave(s->worker->in->limits, s->gate_within, clock_mono_ns());
	s->gate_within = NULL;
	if (likely(!s->gate) || (s->in_transaction && s->state != SESSION_CLOSED))
		return;
	limit_leave(s->worker->in->limits, s->gate, clock_mono_ns());
	s->gate = NULL;
}

static void expire(struct request *r)
{
	if (!limited_cancel(r))
		return; /* its turn has come */
	stats_count(r->worker->sink, STATS_C_LIMIT_TIMEOUTS, 1);
	r->error = 1226;
	reply_error(r->s, r->error, "42000", "a rule of limits (limits.rules[%u]) lets no more of these statements run, and its turn did not come in time",
		    r->turn_place);
	exec_resume(r, STEP_END);
}

static bool is_overdue(const struct request *r, uint64_t now_ns)
{
	return r->step == STEP_REPLY && r->sent_ns && r->sent_ns != r->overdue_ns && now_ns - r->sent_ns > r->time_most_ns &&
	       now_ns >= r->kill_next_ns;
}

/* Once a statement is a line enough, however often it is tried. */
void limited_kill_failed(struct request *r, const struct err_packet *why)
{
	char user[256], text[256];

	r->overdue_ns = 0;
	r->kill_next_ns = clock_mono_ns() + KILL_AGAIN_NS;
	if (r->kill_failed)
		return;
	r->kill_failed = true;
	log_warn("limit", "a statement that has run too long cannot be killed yet: it is tried again", "digest=0x%016lx user=%s code=%u error=%s",
		 r->st ? (unsigned long)r->st->digest : 0UL, log_quote(user, sizeof(user), span_str(r->s->account->user)), why->code,
		 log_quote(text, sizeof(text), why->message));
}

bool limited_tick(struct request *r, uint64_t now_ns)
{
	if (r->turn_waiting) {
		if (now_ns > r->turn_until_ns)
			expire(r);
		return true;
	}
	if (unlikely(r->time_most_ns) && is_overdue(r, now_ns)) {
		r->overdue_ns = r->sent_ns;
		if (kill_overdue(r) != RC_OK)
			limited_kill_failed(r, &(struct err_packet){.code = 1041, .message = span_str("out of memory")});
	}
	return false;
}
