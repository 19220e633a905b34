/*
 * command_stmt.c - the commands that work a prepared statement: execute, fetch, reset, long data, close.
 */
#include <stdio.h>
#include <string.h>

#include "request.h"

static enum rc unknown_statement(struct request *r, uint32_t id)
{
	struct err_packet e = {.code = 1243, .sqlstate = "HY000"};
	char text[96];

	(void)snprintf(text, sizeof(text), "Unknown prepared statement handler (%u) given to %s", id,
		       r->cmd == COM_STMT_EXECUTE ? "mysqld_stmt_execute"
		       : r->cmd == COM_STMT_BULK_EXECUTE ? "mysqld_stmt_bulk_execute" : "mysqld_stmt_reset");
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
	r->lexed = &r->prepared->lexed;
	return RC_OK;
}

/* MySQL does not tell this from any other packet that ends too soon. */
static enum rc untyped(struct request *r)
{
	struct backend_identity id;
	bool mysql = backend_identity(topology_primary(r->s->worker->in->topology), &id) && !id.mariadb;

	r->error = mysql ? 1835 : 1210;
	reply_error(r->s, r->error, "HY000", "the statement's parameters have never been given types");
	return RC_ERROR;
}

/* Its statement and its parameters' types, and the plan. */
static enum rc read_execute(struct request *r, struct span payload)
{
	struct session *s = r->s;
	enum rc rc = find_prepared(r, payload);

	if (rc != RC_OK)
		return rc;
	rc = prepared_read_execute(r, payload);
	if (rc == RC_DECLINED)
		return untyped(r);
	if (rc != RC_OK) { /* what comes next is in its place, whatever this is: a server's session goes on, too */
		stats_count(s->worker->sink, STATS_C_MALFORMED_PACKETS, 1);
		reply_error(s, 1835, "HY000", "the parameters sent are not those of the statement");
		r->error = 1835;
		return RC_ERROR;
	}
	if (!r->st) {
		command_plan_blind(r);
		return command_allowed_blind(r);
	}
	command_plan(r);
	if (unlikely(r->execute.attributes))
		command_plan_attributes(r);
	return command_allowed(r);
}

enum rc command_stmt_execute(struct request *r, struct span payload)
{
	enum rc rc = read_execute(r, payload);

	if (rc != RC_OK)
		return rc;
	r->names_rows = !r->stream_left && !r->stream_more && !r->prepared->long_data;
	if (!r->names_rows)
		command_plan_alone(r);
	r->names_rows &= !r->s->vars->other_ascii;
	if (r->execute.flags & 0x07) { /* a cursor lives on one connection */
		command_plan_alone(r);
		r->plan.target = PLAN_PRIMARY; /* what follows until it is closed runs there, too, writes among it */
		r->plan.target_why = "opens a cursor";
		r->prepared->cursor = true;
	}
	r->prepared->long_data = false;
	return RC_OK;
}

/* Many executions in one: what they write counts by table. */
enum rc command_stmt_bulk(struct request *r, struct span payload)
{
	enum rc rc = read_execute(r, payload);

	if (rc != RC_OK)
		return rc;
	if (!queued_bulk_fits(r))
		command_plan_alone(r);
	r->plan.cache = false;
	r->plan.target = PLAN_PRIMARY;
	r->plan.target_why = "a bulk execution";
	r->prepared->long_data = false;
	return RC_OK;
}

enum rc command_stmt_fetch(struct request *r, struct span payload)
{
	return find_prepared(r, payload);
}

enum rc command_stmt_long_data(struct request *r, struct span payload)
{
	enum rc rc = find_prepared(r, payload);

	if (rc != RC_OK)
		return rc;
	r->prepared->long_data = true;
	r->plan.pins = PIN_LONG_DATA;
	r->s->pins |= PIN_LONG_DATA;
	return RC_OK;
}

enum rc command_stmt_reset(struct request *r, struct span payload)
{
	enum rc rc = find_prepared(r, payload);
	bool needed;

	if (rc != RC_OK)
		return rc;
	needed = r->s->up && (r->prepared->cursor || r->prepared->long_data);
	r->prepared->cursor = r->prepared->long_data = false;
	if (needed)
		return RC_OK;
	reply_ok(r->s);
	return RC_DECLINED;
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

/* Statements that read and write rows are prepared again and again: they stay on the server for whoever does. Others
 * would hold what they name (a plugin that is to be uninstalled). */
static bool stays_prepared(const struct prepared *p)
{
	const uint64_t kept = SQL_VERB(SQL_SELECT) | SQL_VERB(SQL_INSERT) | SQL_VERB(SQL_REPLACE) |
			      SQL_VERB(SQL_UPDATE) | SQL_VERB(SQL_DELETE) | SQL_VERB(SQL_CALL);

	return p->st && SQL_VERB(p->st->facts.verb) & kept && !p->cursor && !p->long_data;
}

static void close_on_server(struct session *s, const struct prepared *p)
{
	struct upstream *u = s->up;
	struct upstream_stmt *stmt;
	uint8_t payload[5] = {COM_STMT_CLOSE};

	if (!u && s->last_backend)
		u = lease_parked(s->worker->leases, s->last_backend, s->id);
	stmt = u ? upstream_stmt_find(u, p->key) : NULL;
	if (!stmt)
		return;
	memcpy(payload + 1, &stmt->id, 4);
	(void)upstream_notify(u, payload, sizeof(payload));
	upstream_stmt_drop(u, stmt);
}

/* COM_STMT_CLOSE has no reply. */
void command_stmt_close(struct session *s, struct span payload)
{
	struct mbuf m = mbuf_of(payload.p + 1, payload.len - 1);
	struct prepared *p;
	uint32_t id;

	if (mbuf_u32(&m, &id) != RC_OK)
		return;
	p = prepared_find(s, id);
	if (!p)
		return;
	if (!stays_prepared(p))
		close_on_server(s, p);
	prepared_free(s, p);
	recount_pins(s);
	if (s->up && !s->pins) {
		struct upstream *u = s->up;

		s->up = NULL;
		lease_release(u);
	}
}

/* What a cursor's or long data's statement left pinned. */
void command_stmt_settle(struct request *r)
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
	if (s->up && !p->cursor && !p->long_data) {
		struct upstream_stmt *stmt = upstream_stmt_find(s->up, p->key);

		if (stmt && stmt->claimed_by == p->id)
			stmt->claimed_by = 0;
	}
	recount_pins(s);
}

