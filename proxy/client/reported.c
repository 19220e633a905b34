/*
 * reported.c - what a server's OK and EOF packets say of the session: its variables and schema, its transaction, the position of
 * its write (P3). The server's word where it tracks; the text where it does not.
 */
#include <stdio.h>
#include <string.h>

#include "choice.h"
#include "request.h"
#include "unscoped.h"

/* Pins that may end while the session goes on: another state outlasts them. */
#define PINS_PASSING                                                                                                              \
	(PIN_TRANSACTION | PIN_NEXT_TRANSACTION | PIN_LOCK | PIN_CURSOR | PIN_LONG_DATA | PIN_XA | PIN_TIME | PIN_UNKNOWN_YET |    \
	 PIN_TEMP_TABLE | PIN_USER_LOCK)
#define UNSCOPED_MOST 16 /* variables of one statement; further ones stay with the connection */

static void take_vars(struct request *r, const struct varset *vars)
{
	if (!vars) { /* too much, or no memory: what cannot be replayed stays with the connection */
		deltas_pin(r, PIN_SESSION_STATE);
		return;
	}
	session_set_vars(r->s, vars);
	if (r->s->up)
		upstream_set_vars(r->s->up, vars);
}

static bool is_tracking(struct span name)
{
	return name.len >= 13 && strncasecmp(name.p, "session_track", 13) == 0;
}

/* Variables that mean something for the next statement or one connection only. */
static bool is_volatile(struct span name)
{
	static const char *const names[] = {"insert_id",   "rand_seed1", "rand_seed2",        "pseudo_thread_id",
					    "gtid_seq_no", "identity",   "pseudo_slave_mode", "skip_replication",
					    "gtid_next",   "pseudo_replica_mode", "original_commit_timestamp",
					    "profiling"};

	for (size_t i = 0; i < countof(names); i++)
		if (span_ieq(name, span_str(names[i])))
			return true;
	return is_tracking(name);
}

static bool says_trace(const struct track_item *item)
{
	static const char on[] = "enabled=on";

	return span_ieq(item->name, span_str("optimizer_trace")) && memmem(item->value.p, item->value.len, on, sizeof(on) - 1);
}

/* SET timestamp=DEFAULT, and no more than that. What the server reports of it cannot be told from a time that was set: it is the
 * statement's own, which is the former one. */
static bool gives_time_back(const struct request *r)
{
	static const char *const names[] = {"timestamp", "session timestamp", "local timestamp", "@@timestamp", "@@session.timestamp"};
	const char *text = r->st && strncmp(r->st->text, "set ", 4) == 0 ? r->st->text + 4 : "";

	for (size_t i = 0; i < countof(names); i++) {
		const char *p = text + strlen(names[i]);

		if (strncmp(text, names[i], strlen(names[i])) != 0)
			continue;
		p += *p == ' ';
		p += *p == ':';
		if (*p++ != '=')
			return false;
		p += *p == ' ';
		return strcmp(p, "default") == 0;
	}
	return false;
}

static void take_gtid(struct request *r, struct span text)
{
	struct gtid_pos pos;

	if (gtid_parse(text, &pos) != RC_OK || pos.n == 0)
		return;
	r->commit = pos.at[0];
	r->commit_known = true;
	gtid_merge(&r->s->written, &pos);
	if (r->backend && atomic_load_explicit(&r->backend->role, memory_order_relaxed) == BACKEND_PRIMARY)
		backend_saw_position(r->backend, &pos);
}

static uint64_t number_of(struct span s)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	return v;
}

/* "SET STATEMENT a=1 FOR ..." reports a for its own duration only. */
static bool is_set_statement(const struct request *r)
{
	return r->lexed->body.len > 13 && strncasecmp(r->lexed->body.p, "set", 3) == 0 && r->st &&
	       r->st->text_len > 13 && strncmp(r->st->text, "set statement", 13) == 0;
}

/* What is reported as a variable and is no state of the session: MariaDB's position, MySQL's count of its own statements. */
static bool is_news(struct span name)
{
	return span_ieq(name, span_str("last_gtid")) || span_ieq(name, span_str("statement_id"));
}

static void take_variable(struct request *r, const struct track_item *item)
{
	struct session *s = r->s;
	const struct varset *vars;

	if (is_news(item->name)) {
		if (span_ieq(item->name, span_str("last_gtid")))
			take_gtid(r, item->value);
		return;
	}
	if (span_ieq(item->name, span_str("last_insert_id"))) {
		aftermath_told_id(r, number_of(item->value), true);
		return;
	}
	if (is_set_statement(r))
		return;
	/* WHERE id IS NULL then asks for the last insert id, in any SELECT. */
	if (span_ieq(item->name, span_str("sql_auto_is_null")) && !span_ieq(item->value, span_str("OFF")) &&
	    !span_eq(item->value, span_str("0")))
		deltas_pin(r, PIN_SESSION_STATE);
	if (unlikely(says_trace(item))) /* of a statement its connection alone has one */
		deltas_pin(r, PIN_SESSION_STATE);
	if (span_ieq(item->name, span_str("timestamp"))) { /* replayed it would stand still; and a queued write has a time of its own */
		if (gives_time_back(r))
			s->pins &= ~(unsigned)PIN_TIME;
		else
			deltas_pin(r, PIN_TIME);
		return;
	}
	if (is_volatile(item->name)) {
		if (is_tracking(item->name)) {
			if (r->choosing)
				return;
			s->tracks_itself = true;
		}
		deltas_pin(r, PIN_SESSION_STATE);
		return;
	}
	vars = varset_with(s->vars, item->name, item->value);
	/* A character set for the connection brings its default collation with it; a collation brings its character set. */
	if (vars && span_ieq(item->name, span_str("character_set_connection"))) {
		const struct varset *less = varset_without(vars, span_str("collation_connection"));

		varset_unref(vars);
		vars = less;
		r->collation_unknown = r->st && strstr(r->st->text, "collate");
	} else if (vars && span_ieq(item->name, span_str("collation_connection"))) {
		const struct varset *less = varset_without(vars, span_str("character_set_connection"));

		varset_unref(vars);
		vars = less;
		r->collation_unknown = false;
	}
	take_vars(r, vars);
}

static void take_tracked(struct request *r, struct span block)
{
	struct track_iter it;
	struct track_item item;
	bool named = false, changed = false;

	packet_track_begin(&it, block);
	while (packet_track_next(&it, &item) == RC_OK) {
		switch (item.type) {
		case TRACK_SYSTEM_VARIABLES:
			if (!is_news(item.name))
				named = true;
			take_variable(r, &item);
			break;
		case TRACK_SCHEMA:
			named = true;
			take_vars(r, varset_with_schema(r->s->vars, item.value));
			r->s->chose_epoch = accounts_epoch(r->worker->in->accounts);
			break;
		case TRACK_STATE_CHANGE:
			changed = item.value.len && item.value.p[0] == '1';
			break;
		case TRACK_GTIDS: /* MySQL's; MariaDB has a variable */
			take_gtid(r, item.value);
			break;
		default:
			break;
		}
	}
	/* The state changed, and neither the report nor the statement's text says how: only this connection has it. */
	if (changed && !named && !r->plan.pins && !r->plan.unpins && !(r->s->pins & ~(unsigned)PINS_PASSING) &&
	    (r->st ? r->st->facts.verb != SQL_SET && r->st->facts.verb != SQL_DROP && !sets_dropped(r) && !holds_alters(r) : r->blind)) {
		deltas_pin(r, PIN_UNKNOWN);
		if (r->st)
			r->st->leaves_state = true; /* whoever runs it again can write afterwards */
	}
}

/* SET NAMES x COLLATE y gives results a collation that no single variable can: it is replayed as it was said. */
void reported_names(struct request *r)
{
	struct span set = varset_get(r->s->vars, "character_set_client"), collation = varset_get(r->s->vars, "collation_connection");
	char names[160];
	const struct varset *vars;

	if (strncmp(r->st->text, "set names", 9) != 0 || !set.len || !collation.len)
		return;
	(void)snprintf(names, sizeof(names), SPAN_FMT " COLLATE " SPAN_FMT, SPAN_ARG(set), SPAN_ARG(collation));
	vars = varset_with(r->s->vars, span_str(VARSET_NAMES), span_str(names));
	for (size_t i = 0; vars && i < 3; i++) {
		static const char *const covered[] = {"character_set_client", "character_set_results", "collation_connection"};
		const struct varset *less = varset_without(vars, span_str(covered[i]));

		varset_unref(vars);
		vars = less;
	}
	take_vars(r, vars);
}

/* SET @@transaction_isolation = .. is for the next transaction, as SET TRANSACTION is. */
static bool is_one_shot(struct span name)
{
	static const char *const names[] = {"tx_isolation", "tx_read_only", "transaction_isolation", "transaction_read_only"};

	for (size_t i = 0; i < countof(names); i++)
		if (span_ieq(name, span_str(names[i])))
			return true;
	return false;
}

static struct span without_quotes(struct span name)
{
	return name.len >= 2 && (name.p[0] == '`' || name.p[0] == '"') ? span_of(name.p + 1, name.len - 2) : name;
}

static enum rc put_unreported(struct request *r, struct span as_written, struct iobuf *sql)
{
	struct span name = without_quotes(as_written);
	char text[256];
	int n;

	if (is_one_shot(name)) {
		deltas_pin(r, PIN_NEXT_TRANSACTION);
		return RC_OK;
	}
	if (is_volatile(name) || span_ieq(name, span_str("timestamp"))) {
		take_variable(r, &(struct track_item){.type = TRACK_SYSTEM_VARIABLES, .name = name});
		return RC_OK;
	}
	n = snprintf(text, sizeof(text), "%s" SPAN_FMT "=@@" SPAN_FMT, iobuf_len(sql) ? "," : "SET ", SPAN_ARG(as_written), SPAN_ARG(as_written));
	return n > 0 && (size_t)n < sizeof(text) ? iobuf_append(sql, text, (size_t)n) : RC_ERROR;
}

static bool may_not_report(const struct request *r)
{
	return unlikely(r->st && r->st->facts.verbs & SQL_VERB(SQL_SET)) && r->cmd != COM_STMT_PREPARE && strstr(r->st->text, "@@") &&
	       r->s->up->mariadb && r->s->up->tracks && !r->s->tracks_itself;
}

/* A text that failed somewhere may have set a variable before. */
void reported_not_at_error(struct request *r)
{
	struct span name;

	if (may_not_report(r) && (r->st->facts.flags & SQL_F_MULTI || r->st->facts.verbs & SQL_VERB(SQL_COMPOUND)) &&
	    sql_set_unscoped(r->sql, r->mode, &name, 1) != 0)
		deltas_pin(r, PIN_SESSION_STATE);
}

enum rc reported_not(struct request *r, struct iobuf *sql)
{
	struct span names[UNSCOPED_MOST];
	enum rc rc = RC_OK;
	size_t n;

	if (!may_not_report(r) || (is_set_statement(r) && !(r->st->facts.flags & SQL_F_MULTI)))
		return RC_DECLINED;
	n = sql_set_unscoped(r->sql, r->mode, names, countof(names));
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = put_unreported(r, names[i], sql);
	if (rc != RC_OK || n == countof(names))
		deltas_pin(r, PIN_SESSION_STATE);
	return rc == RC_OK && iobuf_len(sql) ? RC_OK : RC_DECLINED;
}

/* A server that does not track: what the text says is all there is. */
static void take_untracked(struct request *r)
{
	if (r->cmd == COM_INIT_DB)
		take_vars(r, varset_with_schema(r->s->vars, r->sql));
	else if (r->st && r->st->facts.verb == SQL_USE)
		take_vars(r, varset_with_schema(r->s->vars, r->st->facts.use_schema));
}

static void take_status(struct request *r, uint16_t status)
{
	struct session *s = r->s;
	bool in = status & STATUS_IN_TRANS;

	r->status = status;
	if (s->in_transaction && !in) {
		stats_count(s->worker->sink, STATS_C_TRANSACTIONS, 1);
		s->pins &= ~(unsigned)PIN_NEXT_TRANSACTION;
	}
	if (in)
		deltas_pin(r, PIN_TRANSACTION);
	else
		s->pins &= ~(unsigned)PIN_TRANSACTION;
	s->in_transaction = in;
	s->transaction_unsure = false;
	s->told = status & (STATUS_IN_TRANS_READONLY | STATUS_ANSI_QUOTES);
}

/* It has chosen what the server reports, which the server need not report. */
static void take_choice(struct request *r)
{
	if (likely(!r->st || !(r->st->facts.verbs & SQL_VERB(SQL_SET))) || !strstr(r->st->text, "session_track"))
		return;
	if (r->choosing) {
		choice_made(r);
		return;
	}
	r->s->tracks_itself = true;
	r->s->tracks_change |= strstr(r->st->text, "session_track_state_change") != NULL;
	deltas_pin(r, PIN_SESSION_STATE);
}

void reported_ok(struct request *r, const struct ok_packet *ok)
{
	r->tells_nothing = false;
	take_choice(r);
	if (ok->track.len)
		take_tracked(r, ok->track);
	if (r->s->up && !r->s->up->tracks)
		take_untracked(r);
	r->insert_id = ok->insert_id;
	if (ok->insert_id)
		aftermath_told_id(r, ok->insert_id, !aftermath_may_set_id(r) && r->s->worker->insert_ids_seen);
	take_status(r, ok->status);
}

void reported_eof(struct request *r, uint16_t status)
{
	r->tells_nothing = true;
	take_status(r, status);
}
