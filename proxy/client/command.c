/*
 * command.c - a client's command becomes a request: parsed, planned, or answered at once. And the request's end.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "request.h"

static unsigned text_mode(const struct session *s)
{
	return (s->vars->ansi_quotes ? SQL_MODE_ANSI_QUOTES : 0) |
	       (s->vars->no_backslash ? SQL_MODE_NO_BACKSLASH_ESCAPES : 0) | (s->vars->oracle ? SQL_MODE_ORACLE : 0) |
	       (s->vars->wide_trail ? SQL_MODE_WIDE_TRAIL : 0);
}

/* ---- planning ---- */

static void take_verdict(struct request *r)
{
	struct session *s = r->s;
	struct statement *st = r->st;
	const struct settings *cfg = s->worker->settings;

	if (st->verdict_settings == s->worker->settings_serial && st->verdict_account == s->account->id)
		return;
	plan_verdict(cfg, &(struct rule_subject){.digest = st->digest, .text = span_of(st->text, st->text_len),
						 .facts = &st->facts, .schema = s->vars->schema,
						 .user = span_str(s->account->user), .lexed = &r->lexed},
		     &st->verdict);
	st->verdict_settings = rule_verdicts_last(cfg) ? s->worker->settings_serial : 0;
	st->verdict_account = s->account->id;
}

static void count_unqueued(struct request *r)
{
	if (r->plan.queue || !(r->plan.queue_rule || r->lexed.hints & SQL_HINT_QUEUE))
		return;
	stats_count(r->s->worker->sink,
		    r->s->in_transaction ? STATS_C_QUEUE_DECLINED_TRANSACTION : STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, 1);
}

static void make_plan(struct request *r)
{
	struct session *s = r->s;
	const struct instance *in = s->worker->in;
	struct plan_session ss = {
		.pins = s->pins,
		.in_transaction = s->in_transaction,
		.autocommit = session_autocommit(s),
		.has_replicas = in->topology->n > 1,
		.tracked = s->worker->tracked,
		.tracks_reads = s->caps & CLIENT_DEPRECATE_EOF,
	};

	take_verdict(r);
	plan_make(s->worker->settings, &r->st->verdict, &r->st->facts, &r->lexed, &ss, &r->plan);
	if (r->plan.writes || r->plan.cache || r->plan.queue)
		statement_resolve(r->st, in->catalog);
	if (r->st->facts.flags & (SQL_F_FOUND_ROWS | SQL_F_ROW_COUNT))
		s->worker->follow_ups_seen = true;
	if (r->lexed.hints & SQL_HINT_BAD)
		stats_count(s->worker->sink, STATS_C_HINT_ERRORS, 1);
	count_unqueued(r);
}

/* A statement of which only the beginning is here, or which could not be parsed for lack of memory: P2. */
static void plan_blind(struct request *r)
{
	r->plan = (struct plan){.target = PLAN_PRIMARY, .target_why = "too large to be looked at whole",
				.writes = true, .writes_anything = true};
}

/* Its text to facts to a plan. RC_ERROR: out of memory, answered. */
static enum rc plan_text(struct request *r)
{
	struct session *s = r->s;
	bool fresh;

	r->mode = text_mode(s);
	sql_lex(r->sql, r->mode, &r->lexed);
	if (r->stream_left || r->stream_more) {
		plan_blind(r);
		return RC_OK;
	}
	r->st = statement_get(&s->worker->statements, r->lexed.body, r->mode, &r->lexed, s->vars->schema, &fresh);
	if (!r->st) {
		reply_error(s, 1041, "HY000", "out of memory");
		return RC_ERROR;
	}
	stats_count(s->worker->sink, fresh ? STATS_C_FACTS_MISSES : STATS_C_FACTS_HITS, 1);
	make_plan(r);
	return RC_OK;
}

/* ---- prepared statements ---- */

static enum rc unknown_statement(struct request *r, uint32_t id)
{
	struct err_packet e = {.code = 1243, .sqlstate = "HY000"};
	char text[96];

	(void)snprintf(text, sizeof(text), "Unknown prepared statement handler (%u) given to %s", id,
		       r->cmd == COM_STMT_EXECUTE ? "mysqld_stmt_execute" : "mysqld_stmt_reset");
	e.message = span_str(text);
	reply_server_error(r->s, &e);
	r->error = 1243;
	return RC_ERROR;
}

static enum rc find_prepared(struct request *r, struct span payload)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	uint8_t cmd;
	uint32_t id;

	if (mbuf_u8(&m, &cmd) != RC_OK || mbuf_u32(&m, &id) != RC_OK) {
		session_close(r->s, CLOSE_MALFORMED, "a statement command without a statement");
		return RC_ERROR;
	}
	r->prepared = prepared_find(r->s, id);
	if (!r->prepared)
		return r->cmd == COM_STMT_SEND_LONG_DATA ? RC_ERROR : unknown_statement(r, id);
	r->sql = span_of(r->prepared->text, r->prepared->text_len);
	r->mode = r->prepared->mode;
	r->st = r->prepared->st ? statement_ref(r->prepared->st) : NULL;
	r->lexed = r->prepared->lexed;
	return RC_OK;
}

static enum rc begin_execute(struct request *r, struct span payload)
{
	struct session *s = r->s;
	enum rc rc = find_prepared(r, payload);

	if (rc != RC_OK)
		return rc;
	rc = prepared_read_execute(r, payload);
	if (rc == RC_DECLINED) {
		reply_error(s, 1210, "HY000", "the statement's parameters have never been given types");
		r->error = 1210;
		return RC_ERROR;
	}
	if (rc != RC_OK) {
		session_close(s, CLOSE_MALFORMED, "COM_STMT_EXECUTE");
		return RC_ERROR;
	}
	if (r->st)
		make_plan(r);
	else
		plan_blind(r);
	if (r->stream_left || r->stream_more || r->prepared->long_data)
		r->plan.cache = r->plan.queue = false;
	if (r->execute.flags & 0x07) { /* a cursor lives on one connection */
		r->plan.cache = r->plan.queue = false;
		r->plan.target = PLAN_PRIMARY; /* what follows until it is closed runs there, too, writes among it */
		r->plan.target_why = "opens a cursor";
		r->prepared->cursor = true;
	}
	r->prepared->long_data = false;
	return RC_OK;
}

/* Pins that prepared statements cause, counted anew. */
struct pins_of { unsigned pins; };

static void add_pins(struct map_node *node, void *arg)
{
	const struct prepared *p = container_of(node, struct prepared, node);
	struct pins_of *out = arg;

	out->pins |= (p->cursor ? PIN_CURSOR : 0) | (p->long_data ? PIN_LONG_DATA : 0);
}

static void recount_pins(struct session *s)
{
	struct pins_of now = {0};

	if (!(s->pins & (PIN_CURSOR | PIN_LONG_DATA)))
		return;
	map_each(&s->prepared, add_pins, &now);
	s->pins = (s->pins & ~(unsigned)(PIN_CURSOR | PIN_LONG_DATA)) | now.pins;
}

/* COM_STMT_CLOSE has no reply and needs no server: the statement stays prepared there for whoever prepares the same. */
static void close_statement(struct session *s, struct span payload)
{
	struct mbuf m = mbuf_of(payload.p + 1, payload.len - 1);
	struct prepared *p;
	uint32_t id;

	if (mbuf_u32(&m, &id) != RC_OK)
		return;
	p = prepared_find(s, id);
	if (!p)
		return;
	if (s->up && (p->cursor || p->long_data)) {
		struct upstream_stmt *stmt = upstream_stmt_find(s->up, p->key);
		uint8_t reset[5] = {COM_STMT_CLOSE};

		if (stmt) { /* its cursor or its data must go on the server, too */
			memcpy(reset + 1, &stmt->id, 4);
			(void)upstream_notify(s->up, reset, sizeof(reset));
			upstream_stmt_drop(s->up, stmt);
		}
	}
	prepared_free(s, p);
	recount_pins(s);
	if (s->up && !s->pins) {
		struct upstream *u = s->up;

		s->up = NULL;
		lease_release(u);
	}
}

/* ---- commands answered here ---- */

static void set_option(struct request *r, struct span payload)
{
	struct session *s = r->s;
	bool off = payload.len >= 2 && payload.p[1] == 1;

	if (off)
		s->caps &= ~CLIENT_MULTI_STATEMENTS;
	else
		s->caps |= CLIENT_MULTI_STATEMENTS;
	s->wire = s->caps & UPSTREAM_WIRE_CAPS;
}

static void reset_session(struct session *s)
{
	const struct varset *vars = varset_with_schema(s->worker->leases->empty, s->vars->schema), *with;
	struct span login = varset_get(s->vars, VARSET_LOGIN_COLLATION);

	with = vars ? varset_with(vars, span_str(VARSET_LOGIN_COLLATION), login) : NULL;
	varset_unref(vars);
	if (!with) {
		session_close(s, CLOSE_MEMORY, "COM_RESET_CONNECTION");
		return;
	}
	session_set_vars(s, with);
	session_forget(s);
	reply_ok(s);
}

static void refuse_command(struct request *r, uint8_t cmd)
{
	if (cmd == COM_BINLOG_DUMP || cmd == COM_BINLOG_DUMP_GTID || cmd == COM_REGISTER_SLAVE || cmd == COM_TABLE_DUMP)
		reply_error(r->s, 1235, "42000", "replication does not pass through suimon: connect to the server itself");
	else
		reply_error(r->s, 1047, "08S01", "unknown command %u", cmd);
	r->error = 1047;
}

/* ---- dispatch ---- */

/* RC_OK: run it. RC_DECLINED: answered, nothing to run. RC_ERROR: answered with an error, or the session is closed. */
static enum rc dispatch(struct request *r, struct span payload)
{
	struct session *s = r->s;
	struct span rest = span_of(payload.p + 1, payload.len - 1);

	switch (r->cmd) {
	case COM_QUERY:
	case COM_STMT_PREPARE:
		stats_count(s->worker->sink, r->cmd == COM_QUERY ? STATS_C_COMMANDS_QUERY : STATS_C_COMMANDS_PREPARE, 1);
		r->sql = rest;
		if (plan_text(r) != RC_OK)
			return RC_ERROR;
		if (r->cmd == COM_STMT_PREPARE) { /* only asks what the statement is like */
			r->plan.target = PLAN_PRIMARY;
			r->plan.cache = r->plan.queue = r->plan.writes = r->plan.writes_anything = false;
			r->plan.pins = r->plan.unpins = 0;
		}
		return RC_OK;
	case COM_STMT_EXECUTE:
		stats_count(s->worker->sink, STATS_C_COMMANDS_EXECUTE, 1);
		return begin_execute(r, payload);
	case COM_STMT_FETCH:
	case COM_STMT_RESET:
	case COM_STMT_SEND_LONG_DATA:
		stats_count(s->worker->sink, r->cmd == COM_STMT_FETCH ? STATS_C_COMMANDS_FETCH : STATS_C_COMMANDS_OTHER, 1);
		if (find_prepared(r, payload) != RC_OK)
			return RC_ERROR;
		if (r->cmd == COM_STMT_SEND_LONG_DATA) {
			r->prepared->long_data = true;
			r->plan.pins = PIN_LONG_DATA;
			s->pins |= PIN_LONG_DATA;
		} else if (r->cmd == COM_STMT_RESET) {
			bool needed = s->up && (r->prepared->cursor || r->prepared->long_data);

			r->prepared->cursor = r->prepared->long_data = false;
			if (!needed) {
				reply_ok(s);
				return RC_DECLINED;
			}
		}
		return RC_OK;
	default:
		break;
	}
	stats_count(s->worker->sink, STATS_C_COMMANDS_OTHER, 1);
	switch (r->cmd) {
	case COM_PING:
		reply_ok(s);
		return RC_DECLINED;
	case COM_INIT_DB:
		r->sql = rest;
		return RC_OK;
	case COM_RESET_CONNECTION:
		reset_session(s);
		return RC_DECLINED;
	case COM_SET_OPTION:
		set_option(r, payload);
		if (s->up) {
			s->up->condemned = true; /* it no longer is what its pool takes it for */
			return RC_OK;
		}
		if (s->caps & CLIENT_DEPRECATE_EOF) {
			reply_ok(s);
		} else {
			reply_eof(s);
		}
		return RC_DECLINED;
	case COM_CREATE_DB:
	case COM_DROP_DB:
	case COM_REFRESH:
	case COM_SHUTDOWN:
		r->plan.writes = r->plan.writes_anything = true;
		return RC_OK;
	case COM_FIELD_LIST:
	case COM_STATISTICS:
	case COM_PROCESS_INFO:
	case COM_PROCESS_KILL:
	case COM_DEBUG:
		return RC_OK;
	default:
		refuse_command(r, (uint8_t)payload.p[0]);
		return RC_ERROR;
	}
}

static struct request *request_new(struct session *s)
{
	struct request *r = pool_get(s->worker->request_pool);

	if (!r)
		return NULL;
	r->s = s;
	r->worker = s->worker;
	r->start_ns = clock_mono_ns();
	r->route = STATS_LOCAL;
	r->plan.target_why = "not a statement";
	iobuf_init(&r->packet, 0);
	iobuf_init(&r->key, 0);
	iobuf_init(&r->fill, 0);
	s->request = r;
	return r;
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
	enum rc rc;

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
		close_statement(s, payload);
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
	r->cmd = (enum command)(uint8_t)payload.p[0];
	r->stream_left = left;
	r->stream_more = more;
	session_set_state(s, SESSION_RUNNING);
	payload.p = (const char *)iobuf_data(&r->packet) + PACKET_HEADER;
	rc = dispatch(r, payload);
	if (s->state == SESSION_CLOSED)
		return;
	if (rc == RC_OK)
		exec_run(r);
	else
		request_end(r);
}

/* ---- the end of a request ---- */

static void request_free(struct request *r)
{
	struct worker *w = r->worker; /* the session may be gone already */

	cached_cancel(r);
	iobuf_reset(&r->packet);
	statement_unref(r->st);
	varset_unref(r->bridge);
	pool_put(w->request_pool, r);
}

/* What a cursor's or long data's statement left pinned. */
static void settle_prepared(struct request *r)
{
	struct session *s = r->s;
	struct prepared *p = r->prepared;

	if (!p)
		return;
	if (r->cmd == COM_STMT_EXECUTE && p->cursor) {
		p->cursor = !r->error && (r->status & STATUS_CURSOR_EXISTS) && !(r->status & STATUS_LAST_ROW_SENT);
		if (p->cursor)
			s->pins |= PIN_CURSOR;
	} else if (r->cmd == COM_STMT_FETCH && s->up && (r->error || s->up->track.status & STATUS_LAST_ROW_SENT)) {
		p->cursor = false;
	}
	recount_pins(s);
}

void request_end(struct request *r)
{
	struct session *s = r->s;
	bool was_login = s->login != NULL, cut_short = r->stream_left || r->stream_more;

	if (r->st && !was_login && r->cmd != COM_STMT_PREPARE && r->cmd != COM_STMT_SEND_LONG_DATA &&
	    r->cmd != COM_STMT_RESET && r->cmd != COM_STMT_FETCH)
		request_count(r);
	cached_finish(r);
	settle_prepared(r);
	s->request = NULL;
	exec_release(r);
	request_free(r);
	if (s->state == SESSION_CLOSED)
		return;
	if (cut_short) { /* answered before all of it came: the rest must not be taken for commands */
		session_close(s, CLOSE_BACKEND, "a statement failed before all of it had come");
		return;
	}
	if (was_login) {
		login_done(s, true, NULL);
		return;
	}
	(void)channel_flush(&s->ch);
	session_next(s);
}

void login_failed(struct request *r, const struct err_packet *e)
{
	struct session *s = r->s;
	char text[256];
	struct err_packet copy = *e;

	(void)snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(e->message)); /* e may lie in the request */
	copy.message = span_str(text);
	s->request = NULL;
	exec_release(r);
	request_free(r);
	login_done(s, false, &copy);
}

void request_abort(struct request *r)
{
	struct session *s = r->s;

	if (!r->dead) {
		s->request = NULL;
		if (r->leasing)
			lease_cancel(s->worker->leases, &r->lease);
		r->leasing = false;
		if (s->up && s->up->tracking && r->sent_ns && !r->hidden)
			deltas_lost(r); /* what it may have written is not known any more */
		if (s->up && (s->up->tracking || (r->sent_ns && (r->stream_left || r->stream_more)))) {
			struct upstream *u = s->up;

			s->up = NULL;
			lease_discard(u, "its session ended in the middle of a reply");
		}
		cached_cancel(r);
	}
	r->dead = true;
	if (queued_cancel(r))
		request_free(r);
}
