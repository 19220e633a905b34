/*
 * failover.c - statements, and a primary that refuses writes or is another server now (R3, R4):
 *
 *   refused as read-only (1290, 1836): not executed, so it may be sent again → held until the primary has moved or takes
 *       writes again → STEP_ACQUIRE
 *   a write, or the beginning of a transaction, while the primary is known to be read-only → held before it is sent
 *   waiting for a connection to a server that is the primary no more → asks the new one
 *   refused by a server that is going down: what only reads is sent elsewhere
 *   no room for another prepared statement (1461) → the same connection again, when others have been closed
 *   any other error of a replica: the primary's is the one that counts
 *
 *   BEGIN in a transaction on what was the primary, which has written nothing → left there, begun on the new one
 *
 * All of it for backend.failover_hold at most. A statement of an open transaction is never held: its server's own answer
 * is what the client needs to know.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "request.h"

#define LAST_WORD_NS (2 * NS_PER_SEC) /* for a connection to a server whose refusal is all that is left */
#define ER_SERVER_SHUTDOWN 1053
#define ER_OPTION_PREVENTS_STATEMENT 1290
#define ER_READ_ONLY_MODE 1836
#define ER_CONNECTION_KILLED 1927

static struct topology *topology_of(const struct request *r)
{
	return r->worker->in->topology;
}

uint64_t failover_deadline(struct request *r)
{
	if (!r->hold_until_ns)
		r->hold_until_ns = loop_now_ns(r->worker->loop) + r->worker->settings->backend.failover_hold_ns;
	return r->hold_until_ns;
}

/* ---- what may be sent again ---- */

/* BEGIN on a lost connection is undone with it; a session's SET twice is as once. */
static bool may_run_twice(const struct sql_facts *f)
{
	const char *why;

	switch (f->verb) {
	case SQL_BEGIN:
	case SQL_USE:
		return true;
	case SQL_SET:
		return !(f->flags & (SQL_F_GLOBAL_SET | SQL_F_USER_VAR_WRITE));
	default:
		return sql_replica_safe(f, &why);
	}
}

bool failover_only_reads(const struct request *r)
{
	switch (r->cmd) {
	case COM_QUERY:
	case COM_STMT_EXECUTE:
		return r->st && !r->plan.writes && !(r->st->facts.flags & SQL_F_MULTI) && may_run_twice(&r->st->facts);
	case COM_INIT_DB:
	case COM_STMT_PREPARE:
	case COM_FIELD_LIST:
	case COM_STATISTICS:
	case COM_PROCESS_INFO:
		return true;
	default:
		return false;
	}
}

/* It is all here, no byte of an answer has left, and nothing of the session lies on the connection alone. */
static bool is_movable(const struct request *r)
{
	const struct session *s = r->s;

	return !r->reply_started && !s->pins && !s->in_transaction && !s->login && !s->kills && !r->streamed &&
	       (r->cmd == COM_QUERY || r->cmd == COM_STMT_EXECUTE);
}

static bool says_read_only(const struct err_packet *e)
{
	static const char *const words[] = {"read-only", "read_only"};

	if (e->code == ER_READ_ONLY_MODE)
		return true;
	for (size_t i = 0; i < countof(words) && e->code == ER_OPTION_PREVENTS_STATEMENT; i++)
		if (memmem(e->message.p, e->message.len, words[i], strlen(words[i])))
			return true;
	return false;
}

/* A server that has been read-only for longer than anybody is to wait is meant to be: its error is the answer. */
static bool is_passing(const struct request *r, const struct backend *b)
{
	return topology_read_only_for(b) < r->worker->settings->backend.failover_hold_ns;
}

/* A replica may lack what the primary has (a table that was made a moment ago, a right), and what an error leaves for GET
 * DIAGNOSTICS must be where the session's variables are: the primary is asked, and its error passes. Not for a statement
 * that was ended on purpose, or that would take its time again. */
static bool is_replicas_own(const struct request *r, const struct err_packet *e)
{
	static const uint16_t ended[] = {1205, 1213, ER_QUERY_INTERRUPTED, 1969, 3024};

	for (size_t i = 0; i < countof(ended); i++)
		if (e->code == ended[i])
			return false;
	return !topology_is_primary(topology_of(r), r->backend) && !r->replica_last &&
	       (is_movable(r) || readonly_may_leave(r)) && failover_only_reads(r) &&
	       topology_primary_usable(topology_of(r));
}

static bool in_servers_words(const struct err_packet *e)
{
	static const char *const words[] = {"The MySQL server is running with the --", "The MariaDB server is running with the --",
					  "Running in read-only mode"};

	for (size_t i = 0; i < countof(words); i++)
		if (e->message.len >= strlen(words[i]) && memcmp(e->message.p, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/*
 * One statement, whose tables and all that triggers change with them can be rolled back: refused means that nothing of it
 * stands. A routine may have committed something before the statement in it that was refused, and may say anything in the
 * server's name (SIGNAL). Where the catalog cannot say what hangs on the tables, a server's own words on a plain statement
 * are taken for what they nearly always are: said before it began.
 */
static bool is_whole(const struct request *r, const struct err_packet *e)
{
	const uint64_t plain = SQL_VERB(SQL_INSERT) | SQL_VERB(SQL_REPLACE) | SQL_VERB(SQL_UPDATE) |
			       SQL_VERB(SQL_DELETE) | SQL_VERB(SQL_SELECT);
	const uint64_t parts = SQL_VERB(SQL_CALL) | SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_COMPOUND) |
			       SQL_VERB(SQL_XA) | SQL_VERB(SQL_DO);
	const struct sql_facts *f;

	if (!r->st)
		return false;
	f = &r->st->facts;
	if (f->verbs & parts || f->nroutines ||
	    f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_STORED_FUNCTION | SQL_F_USER_LOCK))
		return false;
	if (f->flags & SQL_F_DDL)
		return true; /* judged before it begins */
	statement_resolve(r->st, r->worker->in->catalog, r->worker->settings);
	return r->st->resolved ? r->st->transactional : (f->verbs & ~plain) == 0 && in_servers_words(e);
}

bool failover_takes(struct request *r, const struct err_packet *e)
{
	if (says_read_only(e) && is_replicas_own(r, e)) { /* as a replica is: a view that writes, say, belongs on the primary */
		r->refused = REFUSED_BY_REPLICA;
	} else if (says_read_only(e)) {
		if (!is_whole(r, e)) { /* its error passes; whether the server takes writes the monitor will see */
			topology_look(topology_of(r));
			return false;
		}
		r->not_run = true;
		topology_doubt(topology_of(r), r->backend);
		if (is_movable(r) && is_passing(r, r->backend))
			r->refused = REFUSED_READ_ONLY;
	} else if (e->code == ER_SERVER_SHUTDOWN || e->code == ER_CONNECTION_KILLED) {
		topology_look(topology_of(r));
		if (is_movable(r) && failover_only_reads(r) && r->attempts == 0)
			r->refused = REFUSED_ENDING;
	} else if (e->code == ER_MAX_PREPARED_STMT_COUNT_REACHED && r->cmd == COM_STMT_PREPARE && prepared_make_room(r)) {
		r->refused = REFUSED_FULL;
	} else if (is_replicas_own(r, e)) {
		r->refused = REFUSED_BY_REPLICA;
	}
	return r->refused != REFUSED_NOT;
}

/* ---- holding ---- */

/* Can the primary take it now? */
static bool is_there(const struct request *r)
{
	return !backend_is_read_only(topology_primary(topology_of(r)));
}

static void hold(struct request *r)
{
	(void)failover_deadline(r);
	stats_count(r->worker->sink, STATS_C_FAILOVER_HOLDS, 1);
	log_debug("failover", "held", "session=%lu", (unsigned long)r->s->id);
	r->held = true;
}

static void go_on(struct request *r)
{
	r->held = false;
	r->lease.err_code = 0;
	r->lease.err_theirs = false;
	r->lease.err_text[0] = '\0';
	exec_resume(r, STEP_ACQUIRE);
}

void failover_refused(struct request *r)
{
	struct session *s = r->s;
	enum request_refusal why = r->refused;

	r->refused = REFUSED_NOT;
	r->not_run = false;
	if (why == REFUSED_FULL) {
		exec_resume(r, STEP_SEND);
		return;
	}
	r->sent_ns = r->first_ns = 0;
	r->primary_only = true;
	if (why == REFUSED_BY_REPLICA) {
		stats_count(r->worker->sink, STATS_C_REPLICA_ERROR_FALLBACKS, 1);
		iobuf_consume(&r->fill, iobuf_len(&r->fill));
		exec_release(r);
		exec_resume(r, STEP_ACQUIRE);
		return;
	}
	if (s->up) { /* without autocommit the refused statement may have begun a transaction */
		s->up->dirty = true;
		s->up->condemned |= why == REFUSED_ENDING;
	}
	exec_release(r);
	if (why == REFUSED_ENDING) {
		stats_count(r->worker->sink, STATS_C_RETRIES, 1);
		r->attempts++;
		exec_resume(r, STEP_ACQUIRE);
		return;
	}
	hold(r);
	if (is_there(r))
		go_on(r);
}

static bool wants_writes(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	if (f && f->flags & SQL_F_TEMP_TABLE && f->flags & SQL_F_DDL && !(f->flags & SQL_F_MULTI))
		return false; /* a read-only server has them, too */
	return r->plan.writes || (f && f->verb == SQL_BEGIN && !(f->flags & SQL_F_TRX_READ_ONLY) && !request_in_lane(r));
}

bool failover_holds(struct request *r)
{
	if (likely(!backend_is_read_only(r->backend)) || !topology_is_primary(topology_of(r), r->backend) ||
	    r->hold_over || !is_movable(r) || !wants_writes(r) || !is_passing(r, r->backend) || clock_mono_ns() >= failover_deadline(r))
		return false;
	hold(r);
	return true;
}

void failover_tick(struct request *r, uint64_t now_ns)
{
	if (!r->held)
		return;
	if (is_there(r)) {
		go_on(r);
	} else if (now_ns >= r->hold_until_ns) {
		stats_count(r->worker->sink, STATS_C_FAILOVER_HOLD_TIMEOUTS, 1);
		r->held = false;
		if (r->lease.err_code) {
			exec_fail(r);
		} else { /* held before it was sent: the server says itself what it refuses to whom */
			r->hold_over = true;
			r->hold_until_ns = now_ns + LAST_WORD_NS;
			go_on(r);
		}
	}
}

/* ---- the primary has moved ---- */

bool failover_strands(struct session *s)
{
	return s->on_primary && s->pins && !s->in_transaction &&
	       !topology_is_primary(s->worker->in->topology, s->up->backend);
}

/* BEGIN commits what is open: where nothing was written that is nothing, and a client that begins anew after each error of a server that
 * has become read-only would never come away from it. */
bool failover_leaves(const struct request *r)
{
	const struct session *s = r->s;
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	return s->up && s->on_primary && s->in_transaction && !s->transaction && s->pins == PIN_TRANSACTION && f &&
	       f->verb == SQL_BEGIN && !(f->flags & SQL_F_MULTI) && !r->streamed &&
	       (r->cmd == COM_QUERY || r->cmd == COM_STMT_EXECUTE) &&
	       (!topology_is_primary(topology_of(r), s->up->backend) || backend_is_read_only(s->up->backend));
}

static void look_again(struct session *s)
{
	struct request *r = s->request;

	if (!r)
		return;
	if (r->held) {
		failover_tick(r, clock_mono_ns());
	} else if (r->leasing && r->primary_only && !r->lease.parked_only &&
		   !topology_is_primary(topology_of(r), r->lease.backend)) {
		lease_cancel(r->worker->leases, &r->lease);
		r->leasing = false;
		go_on(r);
	}
}

/* What the former primary had numbered need not exist here. What of it does was here when this server became the primary:
 * its own position, asked from now on, covers it. */
static void renumber(struct session *s)
{
	if (gtid_empty(&s->written))
		return;
	s->written = (struct gtid_pos){.n = 0};
	s->written_unknown_ns = clock_mono_ns();
}

void failover_moved(struct worker *w)
{
	list_each_safe(&w->sessions, n, tmp) {
		struct session *s = container_of(n, struct session, node);

		renumber(s);
		look_again(s);
	}
}
