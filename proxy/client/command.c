/*
 * command.c - a client's command becomes a request that runs (STEP_WAIT_QUEUE), or is answered at once.
 */
#include <stdio.h>
#include <string.h>

#include "choice.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "kill.h"
#include "numbers.h"
#include "request.h"

/* ---- commands answered here ---- */

static void set_option(struct request *r, struct span payload)
{
	struct session *s = r->s;
	bool off = payload.len >= 2 && payload.p[1] == 1;

	if (off)
		s->caps &= ~CLIENT_MULTI_STATEMENTS;
	else
		s->caps |= CLIENT_MULTI_STATEMENTS;
	s->wire = (s->wire & ~UPSTREAM_WIRE_CAPS) | (s->caps & UPSTREAM_WIRE_CAPS); /* what else it has, compression, stays */
}

/* MariaDB goes back to the character sets of the login, MySQL to the server's own. */
static struct span collation_after_reset(const struct session *s, char room[8])
{
	struct backend_identity id;

	if (!backend_identity(topology_primary(s->worker->in->topology), &id) || id.mariadb)
		return varset_get(s->vars, VARSET_LOGIN_COLLATION);
	(void)snprintf(room, 8, "%u", (unsigned)id.collation);
	return span_str(room);
}

static void reset_session(struct session *s)
{
	const struct varset *vars = varset_with_schema(s->worker->leases->empty, s->vars->schema), *with;
	char room[8];

	with = vars ? varset_with(vars, span_str(VARSET_LOGIN_COLLATION), collation_after_reset(s, room)) : NULL;
	varset_unref(vars);
	if (!with) {
		session_close(s, CLOSE_MEMORY, "COM_RESET_CONNECTION");
		return;
	}
	session_set_vars(s, with);
	session_forget(s);
	replica_session_begins(s);
	s->epoch = accounts_epoch(s->worker->in->accounts);
	reply_ok(s);
}

static enum rc refuse_replication(struct request *r, struct span payload)
{
	r->error = 1235;
	reply_error(r->s, r->error, "42000", "replication does not pass through suimon: connect to the server itself");
	return RC_ERROR;
}

/* ---- dispatch ---- */

/* The text stands behind the command, and behind its attributes. */
static enum rc begin_text(struct request *r, struct span payload)
{
	uint16_t attributes = 0;
	enum rc rc = RC_OK;

	r->text_at = 1;
	if (r->cmd == COM_QUERY && r->s->caps & CLIENT_QUERY_ATTRIBUTES)
		rc = stmt_parse_query(payload, &r->text_at, &attributes);
	r->sql = span_of(payload.p + r->text_at, payload.len - r->text_at);
	if (rc != RC_OK) { /* the server says what is wrong with it, or it is longer than what is here */
		r->sql.len = 0;
		command_plan_blind(r);
		return command_allowed_blind(r);
	}
	rc = command_plan_text(r);
	if (attributes)
		command_plan_attributes(r);
	return rc;
}

static enum rc begin_query(struct request *r, struct span payload)
{
	enum rc rc = begin_text(r, payload);

	if (rc != RC_OK || !r->st)
		return rc;
	if (unlikely(r->st->names_threads))
		return numbers_begin(r);
	if (unlikely(r->st->names_tracking))
		return choice_begin(r);
	return r->st->facts.verb == SQL_KILL ? kill_statement(r) : rc;
}

static enum rc begin_execute(struct request *r, struct span payload)
{
	enum rc rc = command_stmt_execute(r, payload);

	return rc == RC_OK && r->st && r->st->facts.verb == SQL_KILL ? kill_statement(r) : rc;
}

static enum rc unknown_command(struct request *r)
{
	r->error = 1047;
	reply_error(r->s, r->error, "08S01", "unknown command %u", (unsigned)r->cmd);
	return RC_ERROR;
}

static enum rc begin_bulk(struct request *r, struct span payload)
{
	return r->s->caps & MARIADB_CLIENT_STMT_BULK_OPERATIONS ? command_stmt_bulk(r, payload) : unknown_command(r);
}

/* Only asks what the statement is like. */
static enum rc begin_prepare(struct request *r, struct span payload)
{
	r->s->last_prepared = 0;
	if (begin_text(r, payload) != RC_OK)
		return RC_ERROR;
	if (unlikely(prepared_is_full(r->s, r->sql.len))) {
		reply_error(r->s, ER_MAX_PREPARED_STMT_COUNT_REACHED, "42000",
			    "this session has prepared too many statements, or too long ones: close those that it does not need");
		r->error = ER_MAX_PREPARED_STMT_COUNT_REACHED;
		return RC_ERROR;
	}
	r->plan.target = PLAN_PRIMARY;
	r->plan.cache = r->plan.queue = r->plan.writes = r->plan.writes_anything = false;
	r->plan.pins = r->plan.unpins = 0;
	r->blind = false; /* it runs nothing */
	return r->st && r->st->names_threads ? numbers_begin(r) : RC_OK;
}

/* Its OK says whether a transaction is open. */
static enum rc begin_ping(struct request *r, struct span payload)
{
	if (unlikely(r->s->transaction_unsure && r->s->up))
		return RC_OK;
	reply_ok(r->s);
	return RC_DECLINED;
}

static enum rc begin_init_db(struct request *r, struct span payload)
{
	r->sql = span_of(payload.p + 1, payload.len - 1);
	return RC_OK;
}

static enum rc begin_reset(struct request *r, struct span payload)
{
	reset_session(r->s);
	return RC_DECLINED;
}

static enum rc begin_set_option(struct request *r, struct span payload)
{
	static const struct err_packet unknown = {.code = 1047, .sqlstate = "08S01",
						  .message = {.p = "Unknown command", .len = 15}};
	struct session *s = r->s;

	if (payload.len >= 3 && (payload.p[1] > 1 || payload.p[2])) { /* the server's words for an option it does not know */
		r->error = unknown.code;
		reply_server_error(s, &unknown);
		return RC_ERROR;
	}
	set_option(r, payload);
	if (s->up) {
		s->up->condemned = true; /* it no longer is what its pool takes it for */
		return RC_OK;
	}
	if (s->caps & CLIENT_DEPRECATE_EOF)
		reply_ok(s);
	else
		reply_eof(s);
	return RC_DECLINED;
}

/* What it changes no text says. */
static enum rc begin_unknown_write(struct request *r, struct span payload)
{
	r->plan.writes = r->plan.writes_anything = true;
	return RC_OK;
}

/* The command for what the statement does: words, and a database's name. */
static enum rc allowed_as(struct request *r, const char *words, struct span name)
{
	struct iobuf text;
	enum rc rc;

	iobuf_init(&text, 0);
	rc = iobuf_append(&text, words, strlen(words));
	for (size_t i = 0; i < name.len && rc == RC_OK; i++)
		rc = iobuf_append(&text, name.p[i] == '`' ? "``" : &name.p[i], name.p[i] == '`' ? 2 : 1);
	if (rc == RC_OK && name.len)
		rc = iobuf_append(&text, "`", 1);
	if (rc == RC_OK)
		rc = command_allowed_as(r, span_of(iobuf_data(&text), iobuf_len(&text)));
	else
		session_close(r->s, CLOSE_MEMORY, "a command");
	iobuf_reset(&text);
	return rc;
}

static enum rc begin_create_db(struct request *r, struct span payload)
{
	return allowed_as(r, "CREATE DATABASE `", span_of(payload.p + 1, payload.len - 1)) == RC_OK ? begin_unknown_write(r, payload) : RC_ERROR;
}

static enum rc begin_drop_db(struct request *r, struct span payload)
{
	return allowed_as(r, "DROP DATABASE `", span_of(payload.p + 1, payload.len - 1)) == RC_OK ? begin_unknown_write(r, payload) : RC_ERROR;
}

static enum rc begin_refresh(struct request *r, struct span payload)
{
	return allowed_as(r, "FLUSH TABLES", (struct span){0}) == RC_OK ? begin_unknown_write(r, payload) : RC_ERROR;
}

static enum rc begin_shutdown(struct request *r, struct span payload)
{
	return allowed_as(r, "SHUTDOWN", (struct span){0}) == RC_OK ? begin_unknown_write(r, payload) : RC_ERROR;
}

static enum rc begin_kill(struct request *r, struct span payload)
{
	return allowed_as(r, "KILL 1", (struct span){0}) == RC_OK ? kill_command(r, payload) : RC_ERROR;
}

static enum rc begin_as_it_is(struct request *r, struct span payload)
{
	return RC_OK;
}

static enum rc begin_process_info(struct request *r, struct span payload)
{
	request_lists_numbers(r);
	return RC_OK;
}

/* One row a command. begin: RC_OK: run it. RC_DECLINED: answered, nothing to run. RC_AGAIN: under
 * way. RC_ERROR: answered with an error, or the session is closed. What is not here suimon does not know, and says so. */
static const struct {
	enum rc (*begin)(struct request *r, struct span payload);
	enum stats_counter counter;
} commands[256] = {
	[COM_QUERY] = {begin_query, STATS_C_COMMANDS_QUERY},
	[COM_INIT_DB] = {begin_init_db, STATS_C_COMMANDS_OTHER},
	[COM_FIELD_LIST] = {begin_as_it_is, STATS_C_COMMANDS_OTHER},
	[COM_CREATE_DB] = {begin_create_db, STATS_C_COMMANDS_OTHER},
	[COM_DROP_DB] = {begin_drop_db, STATS_C_COMMANDS_OTHER},
	[COM_REFRESH] = {begin_refresh, STATS_C_COMMANDS_OTHER},
	[COM_SHUTDOWN] = {begin_shutdown, STATS_C_COMMANDS_OTHER},
	[COM_STATISTICS] = {begin_as_it_is, STATS_C_COMMANDS_OTHER},
	[COM_PROCESS_INFO] = {begin_process_info, STATS_C_COMMANDS_OTHER},
	[COM_PROCESS_KILL] = {begin_kill, STATS_C_COMMANDS_OTHER},
	[COM_DEBUG] = {begin_as_it_is, STATS_C_COMMANDS_OTHER},
	[COM_PING] = {begin_ping, STATS_C_COMMANDS_OTHER},
	[COM_STMT_PREPARE] = {begin_prepare, STATS_C_COMMANDS_PREPARE},
	[COM_STMT_EXECUTE] = {begin_execute, STATS_C_COMMANDS_EXECUTE},
	[COM_STMT_BULK_EXECUTE] = {begin_bulk, STATS_C_COMMANDS_EXECUTE},
	[COM_STMT_SEND_LONG_DATA] = {command_stmt_long_data, STATS_C_COMMANDS_OTHER},
	[COM_STMT_RESET] = {command_stmt_reset, STATS_C_COMMANDS_OTHER},
	[COM_SET_OPTION] = {begin_set_option, STATS_C_COMMANDS_OTHER},
	[COM_STMT_FETCH] = {command_stmt_fetch, STATS_C_COMMANDS_FETCH},
	[COM_RESET_CONNECTION] = {begin_reset, STATS_C_COMMANDS_OTHER},
	[COM_BINLOG_DUMP] = {refuse_replication, STATS_C_COMMANDS_OTHER},
	[COM_BINLOG_DUMP_GTID] = {refuse_replication, STATS_C_COMMANDS_OTHER},
	[COM_REGISTER_SLAVE] = {refuse_replication, STATS_C_COMMANDS_OTHER},
	[COM_TABLE_DUMP] = {refuse_replication, STATS_C_COMMANDS_OTHER},
};

static enum rc dispatch(struct request *r, struct span payload)
{
	uint8_t cmd = (uint8_t)payload.p[0];

	stats_count(r->s->worker->sink, commands[cmd].begin ? commands[cmd].counter : STATS_C_COMMANDS_OTHER, 1);
	return commands[cmd].begin ? commands[cmd].begin(r, payload) : unknown_command(r);
}

static void run_or_end(struct request *r, enum rc begun)
{
	if (r->s->state == SESSION_CLOSED)
		return;
	if (begun == RC_OK)
		exec_run(r);
	else if (begun != RC_AGAIN)
		request_end(r);
}

void command_again(struct request *r)
{
	const char *payload = (const char *)iobuf_data(&r->packet) + PACKET_HEADER;

	statement_unref(r->st);
	r->st = NULL;
	run_or_end(r, commands[r->cmd].begin(r, span_of(payload, iobuf_len(&r->packet) - PACKET_HEADER)));
}

/* A login: the primary must take the account and the schema. */
static void begin_login(struct session *s)
{
	struct request *r = request_new(s);
	const struct varset *vars = r ? varset_with_schema(s->vars, login_schema(s)) : NULL;

	if (!vars) {
		session_close(s, CLOSE_MEMORY, "login");
		return;
	}
	session_set_vars(s, vars);
	r->cmd = COM_CONNECT;
	r->primary_only = true;
	exec_run(r);
}

void command_begin(struct session *s, const uint8_t *packet, size_t len, uint64_t left, bool more)
{
	struct span payload = span_of(packet + PACKET_HEADER, len - PACKET_HEADER);
	struct request *r;

	if (!packet) {
		begin_login(s);
		return;
	}
	s->seq = 1;
	switch ((uint8_t)payload.p[0]) {
	case COM_QUIT:
		session_close(s, CLOSE_QUIT, "COM_QUIT");
		return;
	case COM_STMT_CLOSE:
		command_stmt_close(s, payload);
		return;
	case COM_CHANGE_USER:
		session_set_state(s, SESSION_AUTH);
		s->active_ns = clock_mono_ns();
		login_change_user(s, span_of(payload.p + 1, payload.len - 1), 0);
		return;
	default:
		break;
	}
	r = request_new(s);
	if (!r || iobuf_append(&r->packet, packet, len) != RC_OK) {
		session_close(s, CLOSE_MEMORY, "a command");
		return;
	}
	r->packet.data[r->packet.start + 3] = 0; /* its number: a client that compresses may have counted on */
	r->cmd = (enum command)(uint8_t)payload.p[0];
	r->stream_left = left;
	r->stream_more = more;
	r->streamed = left || more;
	session_set_state(s, SESSION_RUNNING);
	payload.p = (const char *)iobuf_data(&r->packet) + PACKET_HEADER;
	run_or_end(r, dispatch(r, payload));
}

