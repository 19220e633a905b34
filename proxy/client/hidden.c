/*
 * hidden.c - what suimon says on a server connection for a session: bringing it to the session's state, waiting for a
 * position, preparing a statement again. The client sees none of it, except that an error of it is an error of its command.
 */
#include <stdio.h>
#include <string.h>

#include "choice.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "request.h"

#define POSITION_WAIT "0.05" /* seconds a replica is given to catch up before the read goes to the primary */
#define OTHER_SCHEMA "information_schema"
#define LAG_HOPELESS_NS (500 * NS_PER_MS)

enum rc hidden_say(struct request *r, enum request_hidden what, enum rc sent)
{
	if (sent != RC_OK) {
		exec_lost(r, "the connection broke while it was prepared for the statement");
		return RC_ERROR;
	}
	r->hidden = what;
	return RC_AGAIN;
}

/* ---- STEP_SYNC ---- */

static enum rc change_schema(struct request *r, struct span schema, enum request_hidden what)
{
	uint8_t payload[1 + 256];

	if (schema.len > sizeof(payload) - 1)
		return hidden_say(r, HIDDEN_NONE, RC_ERROR);
	payload[0] = COM_INIT_DB;
	memcpy(payload + 1, schema.p, schema.len);
	return hidden_say(r, what, upstream_command(r->s->up, TRACK_SIMPLE, payload, schema.len + 1));
}

static enum rc reset_connection(struct request *r)
{
	static const uint8_t reset = COM_RESET_CONNECTION;
	struct upstream *u = r->s->up;

	if (unlikely(aftermath_is_sole(r->s)) && !r->wants_new && !r->s->pins) { /* it would take with it what is asked for before another is used */
		exec_give_back(r->s, true);
		r->wants_new = true;
		r->sync_to = NULL;
		r->step = STEP_ACQUIRE;
		return RC_DECLINED;
	}
	if (unlikely(!lease_reset_is_enough(u)) && !r->wants_new && !r->s->pins) {
		r->s->up = NULL;
		lease_discard(u, "a reset would not make it what its login was");
		r->wants_new = true;
		r->step = STEP_ACQUIRE;
		return RC_DECLINED;
	}
	return hidden_say(r, HIDDEN_RESET, upstream_command(r->s->up, TRACK_SIMPLE, &reset, 1));
}

/* Not by a reset, which would cost its prepared statements, and its variables. */
static enum rc clear_warnings(struct request *r)
{
	r->s->up->warnings_of = 0;
	return hidden_say(r, HIDDEN_CLEARED, upstream_query(r->s->up, span_str(AFTERMATH_CLEAR)));
}

/* A statement without tables leaves the warnings that are there: another session's, or its own from before, must not be. */
static bool keeps_warnings(const struct request *r)
{
	return r->st && r->st->facts.ntables == 0 && r->cmd != COM_STMT_PREPARE;
}

static enum rc change_variables(struct request *r, const struct varset *to)
{
	struct upstream *u = r->s->up;
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	rc = varset_difference(u->vars, to, &sql);
	if (rc == RC_DECLINED) {
		rc = reset_connection(r);
	} else if (rc == RC_OK && iobuf_len(&sql) == 0) {
		const struct varset *now = varset_with_schema(to, u->vars->schema); /* which cannot be unchosen */

		upstream_set_vars(u, now ? now : to);
		varset_unref(now);
	} else if (rc == RC_OK) {
		stats_count(r->s->worker->sink, STATS_C_SESSION_RESTORES, 1);
		rc = hidden_say(r, HIDDEN_VARIABLES, upstream_query(u, span_of(iobuf_data(&sql), iobuf_len(&sql))));
	} else {
		exec_lost(r, "out of memory");
	}
	iobuf_reset(&sql);
	return rc;
}

/* The connection that knows LAST_INSERT_ID() went to somebody else meanwhile: this one is told. */
static enum rc give_insert_id(struct request *r)
{
	struct session *s = r->s;
	char sql[64];
	bool asks = r->st && r->st->facts.flags & SQL_F_LAST_INSERT_ID && r->cmd != COM_STMT_PREPARE;

	if ((likely(!asks) && likely(!s->worker->insert_ids_seen)) || aftermath_has_id(s) || (!asks && !aftermath_may_set_id(r)))
		return RC_OK;
	s->up->insert_id_of = s->id;
	s->up->insert_id = s->last_insert_id;
	(void)snprintf(sql, sizeof(sql), "SET last_insert_id=%llu", (unsigned long long)s->last_insert_id);
	return hidden_say(r, HIDDEN_INSERT_ID, upstream_query(s->up, span_str(sql)));
}

/* What the statement asks for was left on no connection, or on another: this one gets it. */
static enum rc give_aftermath(struct request *r)
{
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	rc = aftermath_bring(r, &sql);
	if (rc == RC_OK)
		rc = hidden_say(r, HIDDEN_AFTERMATH, upstream_query(r->s->up, span_of(iobuf_data(&sql), iobuf_len(&sql))));
	else
		rc = give_insert_id(r); /* no memory: it is told what there is */
	iobuf_reset(&sql);
	return rc;
}

/* A client that looks at what its server reports, or changes it, gets a connection that reports as if suimon had asked for
 * nothing: for good, since its changes are not reported any more. */
static bool wants_own_tracking(const struct request *r)
{
	if (likely(!r->st || (!r->st->names_tracking &&
			      !atomic_load_explicit(&r->worker->in->own_tracking, memory_order_relaxed))))
		return false;
	return !r->s->tracks_itself && !r->choosing && r->s->up->tracks;
}

static enum rc give_own_tracking(struct request *r)
{
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	rc = iobuf_printf(&sql, "SET session_track_state_change=DEFAULT,%s", r->s->up->mariadb ? "" : "session_track_gtids=DEFAULT,");
	if (rc == RC_OK)
		rc = choice_put(r->s->choice, &sql);
	if (rc == RC_OK)
		rc = upstream_query(r->s->up, span_of(iobuf_data(&sql), iobuf_len(&sql)));
	iobuf_reset(&sql);
	return hidden_say(r, HIDDEN_OWN_TRACKING, rc);
}

/* How lately the connection must have chosen its schema. */
static uint64_t chosen_since(const struct request *r)
{
	return r->checking ? r->checking_epoch : r->s->chose_epoch;
}

/* What a server knows of a schema (its collation) it has looked up when the schema was chosen, and forgotten at a reset. What
 * asks for what the last statement left asks the connection as that left it. */
static bool must_choose_again(const struct request *r, const struct varset *to)
{
	return r->s->up->chose_epoch < chosen_since(r) && to->schema.len && !r->plan.follow_up;
}

/* MariaDB looks at a schema that is chosen already only after a reset; another one is chosen in between, which anybody may. */
static enum rc choose_again(struct request *r, struct span schema)
{
	if (r->s->up->chose_epoch == 0 || !span_eq(r->s->up->vars->schema, schema))
		return change_schema(r, schema, HIDDEN_SCHEMA);
	return change_schema(r, span_str(OTHER_SCHEMA), HIDDEN_OTHER_SCHEMA);
}

enum rc hidden_sync(struct request *r)
{
	struct upstream *u = r->s->up;
	const struct varset *to = r->sync_to ? r->sync_to : r->s->vars;

	/* A pinned one has run statements here already. */
	if (unlikely(u->warnings_of) && (u->warnings_of != r->s->id || r->s->told_by != u) && keeps_warnings(r) && !r->s->pins)
		return clear_warnings(r);
	if (unlikely(must_choose_again(r, to)))
		return choose_again(r, to->schema);
	if (likely(u->vars == to))
		return unlikely(wants_own_tracking(r)) ? give_own_tracking(r) : give_aftermath(r);
	if (to->schema.len && !span_eq(u->vars->schema, to->schema))
		return change_schema(r, to->schema, HIDDEN_SCHEMA);
	return change_variables(r, to);
}

/* RC_ERROR: no memory to know by what state the connection is in. It must serve nobody, not even who brought it there. */
static enum rc sync_done(struct request *r)
{
	struct upstream *u = r->s->up;
	const struct varset *to = r->sync_to ? r->sync_to : r->s->vars, *now = NULL;

	switch (r->hidden) {
	case HIDDEN_CLEARED:
		r->s->aftermath.found_there = r->s->aftermath.count_there = false;
		return RC_OK;
	case HIDDEN_RESET:
		now = varset_with_schema(u->pool->empty, u->vars->schema);
		upstream_stmt_forget_all(u);
		u->insert_id_of = u->warnings_of = 0; /* it answers 0 and none to everybody now */
		aftermath_elsewhere(r->s);
		u->chose_epoch = 0;
		break;
	case HIDDEN_OTHER_SCHEMA:
		u->chose_epoch = chosen_since(r);
		now = varset_with_schema(u->vars, span_str(OTHER_SCHEMA));
		break;
	case HIDDEN_SCHEMA:
		u->chose_epoch = chosen_since(r);
		now = varset_with_schema(u->vars, to->schema);
		break;
	case HIDDEN_VARIABLES:
		now = varset_with_schema(to, u->vars->schema);
		break;
	default:
		return RC_OK;
	}
	if (!now)
		return RC_ERROR;
	upstream_set_vars(u, now);
	varset_unref(now);
	return RC_OK;
}

/* ---- STEP_POSITION ---- */

static enum rc go_to_primary(struct request *r, enum stats_counter why)
{
	stats_count(r->s->worker->sink, why, 1);
	if (unlikely(r->floor))
		r->s->behind_ns = clock_mono_ns();
	if (unlikely(r->s->pins && !r->s->readonly)) {
		reply_error(r->s, 1290, "HY000",
			    "what this statement must see has not reached the replica %s yet, and the session keeps to it (%s): try again, or "
			    "open a new connection", r->backend->text, plan_pin_name(r->s->pins));
		r->error = 1290;
		r->step = STEP_END;
		return RC_DECLINED;
	}
	exec_release(r);
	r->primary_only = true;
	r->step = STEP_ACQUIRE;
	return RC_DECLINED;
}

/* There is no primary to go to: what it must see the replica has from its relay log in a moment, or never. */
static bool only_replicas(const struct request *r)
{
	return r->replica_last && !topology_primary_usable(r->worker->in->topology);
}

/* A write whose position the server did not tell is bounded by the primary's, asked after it; or by time. */
static bool has_unknown_write(struct request *r)
{
	struct session *s = r->s;
	struct backend *primary = topology_primary(s->worker->in->topology);

	if (backend_position_since(primary, s->written_unknown_ns, &s->written)) {
		s->written_unknown_ns = 0;
		return true;
	}
	return backend_was_fresh(r->backend, s->written_unknown_ns, s->up->ready_ns) ||
	       ((!backend_asked(primary) || !backend_usable(primary)) &&
		clock_mono_ns() - s->written_unknown_ns >= instance_lag_window(s->worker->settings));
}

/* This connection's sessions begin in another sql_mode than the one by which the text was understood. */
static enum rc read_otherwise(struct request *r)
{
	struct session *s = r->s;
	struct upstream *u = s->up;
	bool replica = atomic_load_explicit(&r->backend->role, memory_order_relaxed) != BACKEND_PRIMARY;

	if (s->pins || request_in_lane(r) || (replica ? r->primary_only || r->replica_last : r->wants_new || !command_mode_is_old(r))) {
		if (!replica)
			command_plan_misread(r);
		return RC_OK;
	}
	if (replica) {
		exec_release(r);
		r->primary_only = true;
	} else {
		s->up = NULL;
		lease_discard(u, "the servers' sql_mode has changed since its login");
		r->wants_new = true;
	}
	r->step = STEP_ACQUIRE;
	return RC_DECLINED;
}

/* It reads nothing that a position could be of: it asks what the statement before has left on this connection, where a question of ours would
 * leave something else. */
static bool asks_what_was_left(const struct request *r)
{
	return r->plan.follow_up && r->st && r->st->facts.ntables == 0 && r->st->facts.nroutines == 0;
}

enum rc hidden_position(struct request *r)
{
	struct session *s = r->s;
	struct gtid_pos wanted = {0};
	char pos[GTID_TEXT_CAP], sql[GTID_TEXT_CAP + 64];
	uint64_t lag;
	enum rc rc;

	if (unlikely(command_is_misread(r))) {
		rc = read_otherwise(r);
		if (rc != RC_OK)
			return rc;
	}
	if (atomic_load_explicit(&r->backend->role, memory_order_relaxed) == BACKEND_PRIMARY)
		return RC_OK;
	if (unlikely(asks_what_was_left(r)))
		return RC_OK;
	if (unlikely(s->pins && s->on_primary)) /* its transaction began where then was the primary, and can go nowhere else */
		return RC_OK;
	if (r->hidden_answer || s->readonly) /* its transaction began behind what it must see */
		return RC_OK;
	if (!r->plan.eventual) {
		if (unlikely(s->written_unknown_ns) && !has_unknown_write(r))
			return go_to_primary(r, STATS_C_REPLICA_LAG_FALLBACKS);
		wanted = s->written;
	}
	switch (replica_prove(r, &wanted)) {
	case RC_OK:
		break;
	case RC_DECLINED:
		exec_release(r);
		r->step = STEP_ACQUIRE;
		return RC_DECLINED;
	default:
		return go_to_primary(r, STATS_C_REPLICA_LAG_FALLBACKS);
	}
	if (!cached_needs(r, &wanted)) {
		if (!r->replica_last && topology_primary_usable(s->worker->in->topology))
			return go_to_primary(r, STATS_C_REPLICA_LAG_FALLBACKS);
		r->fill_refusal = CACHE_REFUSED_LAG; /* reads go on without the primary (R4), but nothing is stored */
	}
	if (gtid_empty(&wanted) || gtid_reached(&s->up->reached, &wanted) ||
	    backend_has_position(r->backend, &wanted, s->up->ready_ns))
		return RC_OK;
	if (wanted.overflow)
		return go_to_primary(r, STATS_C_REPLICA_LAG_FALLBACKS);
	lag = atomic_load_explicit(&r->backend->lag_ns, memory_order_relaxed);
	if (lag != BACKEND_LAG_UNKNOWN && lag > LAG_HOPELESS_NS && !only_replicas(r))
		return go_to_primary(r, STATS_C_REPLICA_LAG_FALLBACKS);
	stats_count(s->worker->sink, STATS_C_GTID_WAITS, 1);
	gtid_print(&wanted, pos);
	(void)snprintf(sql, sizeof(sql), "SELECT %s('%s'," POSITION_WAIT ")",
		       s->up->mariadb ? "MASTER_GTID_WAIT" : "WAIT_FOR_EXECUTED_GTID_SET", pos);
	r->wanted = wanted;
	return hidden_say(r, HIDDEN_POSITION, upstream_query(s->up, span_str(sql)));
}

static void position_done(struct request *r)
{
	if (r->hidden_answer) {
		backend_saw_position(r->backend, &r->wanted);
		gtid_merge(&r->s->up->reached, &r->wanted);
		exec_resume(r, STEP_POSITION);
	} else if (only_replicas(r) && !r->s->up->track.error && clock_mono_ns() < failover_deadline(r)) {
		exec_resume(r, STEP_POSITION); /* asked again */
	} else if (go_to_primary(r, STATS_C_GTID_WAIT_TIMEOUTS) == RC_DECLINED) {
		exec_resume(r, r->step);
	}
}

/* ---- STEP_PREPARE ---- */

static enum rc prepare_text(struct request *r, enum request_hidden what, struct span sql)
{
	struct iobuf b;
	enum rc rc;

	iobuf_init(&b, 0);
	rc = packet_put_uint(&b, COM_STMT_PREPARE, 1);
	if (rc == RC_OK)
		rc = iobuf_append(&b, sql.p, sql.len);
	if (rc == RC_OK)
		rc = upstream_command(r->s->up, TRACK_PREPARE, iobuf_data(&b), iobuf_len(&b));
	iobuf_reset(&b);
	return hidden_say(r, what, rc);
}

/* The state to prepare the statement in again: the one it was prepared in. On a pinned connection a reset, or another
 * autocommit, would end the session's transaction: there only the schema and the sql_mode are brought back. */
static const struct varset *prepare_under(struct request *r)
{
	const struct varset *env = r->prepared->env, *with;
	struct span mode = varset_get(env, "sql_mode");

	if (!r->s->pins)
		return env;
	r->s->up->dirty = true; /* its other statements are not to be shared: they may read differently here */
	with = varset_with_schema(r->s->vars, env->schema.len ? env->schema : r->s->vars->schema);
	if (with && mode.p) {
		const struct varset *less = with;

		with = varset_with(less, span_str("sql_mode"), mode);
		varset_unref(less);
	}
	varset_unref(r->bridge);
	r->bridge = with;
	return with;
}

enum rc hidden_prepare(struct request *r)
{
	struct prepared *p = r->prepared;
	struct upstream *u = r->s->up;

	if (r->checking)
		return prepare_text(r, HIDDEN_CHECK_PREPARE, r->prepared ? r->sql : r->lexed->body);
	if (!p || prepared_on(r)) {
		if (!r->sync_to)
			return RC_OK;
		r->sync_to = NULL; /* prepared under its old state; now back to the session's present one */
		r->step = STEP_SYNC;
		return RC_DECLINED;
	}
	if (u->vars != p->env && !r->sync_to) {
		r->sync_to = prepare_under(r);
		if (!r->sync_to) {
			exec_lost(r, "out of memory");
			return RC_ERROR;
		}
		r->step = STEP_SYNC;
		return RC_DECLINED;
	}
	stats_count(r->s->worker->sink, STATS_C_PREPARED_REPREPARES, 1);
	return prepare_text(r, HIDDEN_PREPARE, r->sql);
}

static void close_on_server(struct upstream *u, uint32_t id)
{
	uint8_t payload[5] = {COM_STMT_CLOSE, (uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24)};

	(void)upstream_notify(u, payload, sizeof(payload));
}

static void prepare_done(struct request *r)
{
	if (!upstream_stmt_add(r->s->up, r->prepared->key, r->hidden_stmt)) {
		exec_lost(r, "out of memory");
		return;
	}
	exec_resume(r, STEP_PREPARE);
}

static void check_done(struct request *r, bool accepted)
{
	r->hidden_answer = false;
	queued_checked(r, accepted);
	exec_release(r);
	r->primary_only = false;
	exec_resume(r, STEP_QUEUE);
}

/* The text is accepted; but PREPARE does not mind a column left out that must be given. */
static void check_columns(struct request *r)
{
	struct iobuf sql;
	enum rc rc;

	close_on_server(r->s->up, r->hidden_stmt);
	iobuf_init(&sql, 0);
	rc = queued_columns_sql(r, &sql);
	r->hidden_answer = false;
	if (rc == RC_OK)
		(void)hidden_say(r, HIDDEN_CHECK_COLUMNS, upstream_query(r->s->up, span_of(iobuf_data(&sql), iobuf_len(&sql))));
	else
		check_done(r, rc == RC_DECLINED);
	iobuf_reset(&sql);
}

/* ---- STEP_AFTER ---- */

static enum rc have_reported(struct request *r)
{
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	rc = reported_not(r, &sql);
	if (rc == RC_OK)
		rc = hidden_say(r, HIDDEN_COLLATION, upstream_query(r->s->up, span_of(iobuf_data(&sql), iobuf_len(&sql))));
	iobuf_reset(&sql);
	return rc == RC_DECLINED ? RC_OK : rc;
}

/* SET NAMES with a COLLATE is reported by its character set alone: have the server say the collation. And SET @@name not at all. */
enum rc hidden_after(struct request *r)
{
	if (!r->s->up)
		return RC_OK;
	if (r->error) {
		reported_not_at_error(r);
		return RC_OK;
	}
	if (likely(!r->collation_unknown))
		return have_reported(r);
	r->collation_unknown = false;
	return hidden_say(r, HIDDEN_COLLATION,
		   upstream_query(r->s->up, span_str("SET collation_connection=@@collation_connection")));
}

/* ---- */

/* A statement could not be prepared again, or a state not be reached: room can be made for it, or a replica lacks what the
 * primary has. */
static bool not_the_last_word(struct request *r)
{
	if (r->lease.err_code == ER_MAX_PREPARED_STMT_COUNT_REACHED && prepared_make_room(r)) {
		exec_resume(r, STEP_PREPARE);
		return true;
	}
	if ((r->s->pins && !readonly_may_leave(r)) || r->primary_only ||
	    topology_is_primary(r->worker->in->topology, r->backend))
		return false;
	/* The schema of a login that a replica does not have is the primary's to refuse, whenever there is one. */
	if (!r->s->login && (r->replica_last || !topology_primary_usable(r->worker->in->topology)))
		return false;
	r->sync_to = NULL;
	(void)go_to_primary(r, STATS_C_REPLICA_ERROR_FALLBACKS);
	exec_resume(r, STEP_ACQUIRE);
	return true;
}

/* Whose password has expired logs in with a schema, which then cannot be chosen before there is a new one: until then nothing runs but
 * what sets it, in whatever state. */
static bool awaits_password(struct request *r, enum request_hidden what)
{
	if (r->s->up->track.error != ER_MUST_CHANGE_PASSWORD || (what != HIDDEN_SCHEMA && what != HIDDEN_OTHER_SCHEMA && what != HIDDEN_VARIABLES))
		return false;
	atomic_store_explicit(&login_account(r->s)->expired, true, memory_order_relaxed);
	r->s->up->condemned = true;
	r->lease.err_code = 0;
	exec_resume(r, STEP_POSITION);
	return true;
}

/* The connection cannot be made what it must be: a new one has nobody's warnings, and no variables. */
static bool takes_new(struct request *r, enum request_hidden what)
{
	struct upstream *u = r->s->up;

	if ((what != HIDDEN_CLEARED && what != HIDDEN_RESET) || r->wants_new || r->s->pins || u->track.error == ER_QUERY_INTERRUPTED)
		return false;
	r->s->up = NULL;
	lease_discard(u, "the server has refused to bring it to another state");
	r->wants_new = true;
	r->sync_to = NULL;
	r->lease.err_code = 0;
	exec_resume(r, STEP_ACQUIRE);
	return true;
}

void hidden_done(struct request *r)
{
	enum request_hidden what = r->hidden;

	if (what == HIDDEN_EXPIRY) {
		login_expiry_told(r);
		return;
	}
	if (what == HIDDEN_AFTERMATH) { /* whether it could be had or not: once */
		struct upstream *u = r->s->up;

		aftermath_brought(r);
		u->warnings_of = u->track.warnings ? r->s->id : 0;
		r->s->told_by = u;
		r->hidden = HIDDEN_NONE;
		exec_resume(r, STEP_SYNC);
		return;
	}
	if (r->s->up->track.error) {
		if (what == HIDDEN_POSITION) {
			r->hidden = HIDDEN_NONE;
			r->hidden_answer = false;
			position_done(r);
			return;
		}
		if (what == HIDDEN_COLLATION) { /* the client has its answer */
			r->hidden = HIDDEN_NONE;
			deltas_pin(r, PIN_SESSION_STATE);
			exec_resume(r, STEP_END);
			return;
		}
		if (what == HIDDEN_CHECK_COLUMNS) { /* not known: it runs directly */
			r->hidden = HIDDEN_NONE;
			check_done(r, false);
			return;
		}
		if (what == HIDDEN_CLEARED || what == HIDDEN_RESET || what == HIDDEN_TRACKING || what == HIDDEN_VARIABLES || what == HIDDEN_OTHER_SCHEMA)
			r->s->up->condemned = true; /* what state it is in is not known any more */
		if (what == HIDDEN_INSERT_ID) /* it has whosever it had */
			r->s->up->insert_id_of = UPSTREAM_NOBODY;
		r->hidden = HIDDEN_NONE;
		if ((what == HIDDEN_PREPARE || what == HIDDEN_SCHEMA || what == HIDDEN_VARIABLES) && not_the_last_word(r))
			return;
		if (takes_new(r, what))
			return;
		if (unlikely(awaits_password(r, what)))
			return;
		r->error = r->lease.err_code;
		exec_fail(r);
		return;
	}
	if (sync_done(r) != RC_OK) {
		exec_lost(r, "out of memory");
		return;
	}
	r->hidden = HIDDEN_NONE;
	switch (what) {
	case HIDDEN_RESET:
		if (r->s->up->tracks) {
			if (hidden_say(r, HIDDEN_TRACKING,
				upstream_query(r->s->up, upstream_tracking_sql(r->s->up))) != RC_AGAIN)
				return;
			break;
		}
		exec_resume(r, STEP_SYNC);
		break;
	case HIDDEN_OWN_TRACKING:
		r->s->tracks_itself = true;
		r->s->pins |= PIN_SESSION_STATE;
		exec_resume(r, STEP_SYNC);
		break;
	case HIDDEN_BEGIN:
		readonly_begun(r);
		break;
	case HIDDEN_INSERT_ID:
		r->s->aftermath.count_there = false; /* of the SET it is 0 */
		exec_resume(r, STEP_SYNC);
		break;
	case HIDDEN_CLEARED:
	case HIDDEN_TRACKING:
	case HIDDEN_OTHER_SCHEMA:
	case HIDDEN_SCHEMA:
	case HIDDEN_VARIABLES:
		exec_resume(r, STEP_SYNC);
		break;
	case HIDDEN_POSITION:
		position_done(r);
		break;
	case HIDDEN_PREPARE:
		prepare_done(r);
		break;
	case HIDDEN_CHECK_PREPARE:
		check_columns(r);
		break;
	case HIDDEN_CHECK_COLUMNS:
		check_done(r, r->hidden_answer);
		break;
	case HIDDEN_COLLATION:
		reported_names(r);
		exec_resume(r, STEP_END);
		break;
	case HIDDEN_AFTERMATH:
	case HIDDEN_EXPIRY:
	case HIDDEN_NONE:
		break;
	}
}
