/*
 * deltas.c - what a reply has changed: session state, transaction, position, and with them the cache.
 *
 * Applied when the server's packet is here and before the client gets it: C1 counts from the client's point of view.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "doubt.h"
#include "globals.h"
#include "log.h"
#include "mem.h"
#include "rows.h"

static void pin(struct request *r, unsigned pins)
{
	static const struct { unsigned pin; enum stats_counter counter; } counters[] = {
		{PIN_TRANSACTION, STATS_C_PIN_TRANSACTION},	{PIN_USER_VARIABLE, STATS_C_PIN_USER_VARIABLE},
		{PIN_TEMP_TABLE, STATS_C_PIN_TEMP_TABLE},	{PIN_LOCK, STATS_C_PIN_LOCK},
		{PIN_USER_LOCK, STATS_C_PIN_LOCK},		{PIN_CURSOR, STATS_C_PIN_CURSOR},
		{PIN_LONG_DATA, STATS_C_PIN_LONG_DATA},		{PIN_SESSION_STATE, STATS_C_PIN_SESSION_STATE},
		{PIN_SQL_PREPARE, STATS_C_PIN_PREPARED_TEXT},	{PIN_NEXT_TRANSACTION, STATS_C_PIN_TRANSACTION},
		{PIN_UNKNOWN, STATS_C_PIN_UNKNOWN},		{PIN_CONNECTION_ID, STATS_C_PIN_SESSION_STATE},
		{PIN_XA, STATS_C_PIN_XA},
	};
	unsigned fresh = pins & ~r->s->pins;

	for (size_t i = 0; fresh && i < countof(counters); i++)
		if (fresh & counters[i].pin)
			stats_count(r->s->worker->sink, counters[i].counter, 1);
	r->s->pins |= pins;
}

/* ---- session state the server has reported ---- */

static void take_vars(struct request *r, const struct varset *vars)
{
	if (!vars) { /* too much, or no memory: what cannot be replayed stays with the connection */
		pin(r, PIN_SESSION_STATE);
		return;
	}
	session_set_vars(r->s, vars);
	if (r->s->up)
		upstream_set_vars(r->s->up, vars);
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
	return name.len >= 13 && strncasecmp(name.p, "session_track", 13) == 0;
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
		s->last_insert_id = number_of(item->value);
		return;
	}
	if (is_set_statement(r))
		return;
	/* WHERE id IS NULL then asks for the last insert id, in any SELECT. */
	if (span_ieq(item->name, span_str("sql_auto_is_null")) && !span_ieq(item->value, span_str("OFF")) &&
	    !span_eq(item->value, span_str("0")))
		pin(r, PIN_SESSION_STATE);
	if (is_volatile(item->name)) {
		if (item->name.len >= 13 && strncasecmp(item->name.p, "session_track", 13) == 0)
			s->tracks_itself = true;
		pin(r, PIN_SESSION_STATE);
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
	if (changed && !named && !r->plan.pins && !r->plan.unpins && !r->s->pins && r->st &&
	    r->st->facts.verb != SQL_SET && r->st->facts.verb != SQL_DROP) {
		pin(r, PIN_UNKNOWN);
		r->st->leaves_state = true; /* whoever runs it again can write afterwards */
	}
}

/* SET NAMES x COLLATE y gives results a collation that no single variable can: it is replayed as it was said. */
void deltas_names(struct request *r)
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
		pin(r, PIN_TRANSACTION);
	else
		s->pins &= ~(unsigned)PIN_TRANSACTION;
	s->in_transaction = in;
}

/* It has chosen what the server reports, which the server need not report. */
static void take_choice(struct request *r)
{
	if (likely(!r->st || !(r->st->facts.verbs & UINT64_C(1) << SQL_SET)) || !strstr(r->st->text, "session_track"))
		return;
	r->s->tracks_itself = true;
	r->s->tracks_change |= strstr(r->st->text, "session_track_state_change") != NULL;
	pin(r, PIN_SESSION_STATE);
}

void deltas_ok(struct request *r, const struct ok_packet *ok)
{
	take_choice(r);
	if (ok->track.len)
		take_tracked(r, ok->track);
	if (r->s->up && !r->s->up->tracks)
		take_untracked(r);
	r->insert_id = ok->insert_id;
	if (ok->insert_id) {
		r->s->last_insert_id = ok->insert_id;
		if (r->s->up)
			r->s->up->insert_id_of = r->s->id;
	}
	take_status(r, ok->status);
}

void deltas_eof(struct request *r, uint16_t status)
{
	take_status(r, status);
}

/* ---- what was written ---- */

/* Each once. False: there is no room. */
static bool write_set_put(cache_tag *tags, uint16_t *n, unsigned most, cache_tag tag)
{
	for (uint16_t i = 0; i < *n; i++)
		if (tags[i] == tag)
			return true;
	if (*n == most)
		return false;
	tags[(*n)++] = tag;
	return true;
}

static void remember_write(struct request *r, const struct write_targets *t, const struct rows_tags *rows)
{
	struct session *s = r->s;
	struct write_set *w = s->transaction;

	if (!t->n && !t->anything)
		return;
	if (!w)
		w = s->transaction = mem_zalloc(sizeof(*w));
	if (!w) { /* no memory to remember it: treat it as done now, and again at the end */
		if (s->worker->cache)
			cache_invalidate_all(s->worker->cache, instance_lag_window(s->worker->settings));
		return;
	}
	w->anything |= t->anything;
	for (uint8_t i = 0; i < t->n && !w->anything; i++)
		w->anything = !write_set_put(w->tables, &w->ntables, CACHE_MAX_TAGS, t->tags[i]);
	for (unsigned i = 0; i < rows->n && !w->by_table; i++)
		w->by_table = !write_set_put(w->tags, &w->n, SESSION_WRITTEN_TAGS, rows->tag[i]);
}

/* A server that writes a binlog and reports positions gave none for this statement: it changed no row. */
static bool changed_nothing(struct request *r)
{
	struct session *s = r->s;
	struct gtid_pos pos;

	if (r->error || s->in_transaction || !s->up || !s->up->tracks || s->tracks_itself ||
	    varset_get(s->vars, "sql_log_bin").p)
		return false;
	if (s->up->track.columns && !(s->up->caps & CLIENT_DEPRECATE_EOF))
		return false; /* an EOF packet reports no positions */
	backend_position(s->up->backend, &pos);
	return !gtid_empty(&pos);
}

static void invalidate(struct request *r, const cache_tag *tags, unsigned n, bool anything)
{
	struct session *s = r->s;
	uint64_t window = instance_lag_window(s->worker->settings);
	struct cache_pos pos = {.domain = r->commit.domain, .seq = r->commit.seq};
	bool known = r->commit_known || changed_nothing(r);

	if (!known)
		s->written_unknown_ns = clock_mono_ns();
	if (!s->worker->cache)
		return;
	if (anything)
		cache_invalidate_all(s->worker->cache, window);
	else
		cache_invalidate(s->worker->cache, tags, n, known ? &pos : NULL, window);
}

static void invalidate_set(struct request *r, const struct write_set *w)
{
	invalidate(r, w->by_table ? w->tables : w->tags, w->by_table ? w->ntables : w->n, w->anything);
}

static void forget_transaction(struct session *s)
{
	mem_free(s->transaction);
	s->transaction = NULL;
}

/* The open transaction is over (or its fate is unknown): its writes take effect. */
static void settle_transaction(struct request *r, bool rolled_back)
{
	struct session *s = r->s;

	if (!s->transaction)
		return;
	if (!rolled_back)
		invalidate_set(r, s->transaction);
	forget_transaction(s);
}

/* Not a word of it ran: the server could not read its first statement. */
static bool never_ran(const struct request *r)
{
	return (r->error == 1064 || r->error == 1065) && r->s->up && r->s->up->track.results == 0;
}

static bool is_rollback(const struct request *r)
{
	/* A warning of ROLLBACK says that some table could not be rolled back. */
	return !r->error && r->st && r->st->facts.verb == SQL_ROLLBACK && !(r->st->facts.flags & SQL_F_MULTI) &&
	       r->warnings == 0;
}

static void settle_writes(struct request *r)
{
	struct write_targets t;
	struct rows_tags rows;

	if (!r->plan.writes || never_ran(r))
		return;
	temps_targets(r, &t);
	if (!t.n && !t.anything)
		return; /* nobody else sees it */
	rows_written(r, &t, &rows);
	if (r->s->in_transaction)
		remember_write(r, &t, &rows);
	/* What cannot be rolled back others see already. */
	if (!r->s->in_transaction || !t.transactional)
		invalidate(r, rows.tag, rows.n, t.anything);
}

#define VERB(v) (UINT64_C(1) << (v))

/* A transaction is open, but it need not be the one that was: BEGIN, COMMIT AND CHAIN, a routine or DDL that failed may
 * have committed what was written before. */
static void settle_inner_commit(struct request *r)
{
	struct session *s = r->s;
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;
	const struct write_set *w = s->transaction;
	uint64_t may = VERB(SQL_COMMIT) | VERB(SQL_CALL) | VERB(SQL_EXECUTE) | VERB(SQL_COMPOUND) | VERB(SQL_XA);

	if (!w || never_ran(r))
		return;
	if (is_rollback(r)) { /* AND CHAIN */
		forget_transaction(s);
		return;
	}
	if (f ? !(f->verbs & may) && !(f->flags & (SQL_F_IMPLICIT_COMMIT | SQL_F_CHAIN | SQL_F_UNKNOWN))
	      : !r->plan.writes_anything)
		return;
	invalidate_set(r, w);
	if (f && !r->error && (f->verb == SQL_COMMIT || f->verb == SQL_BEGIN) && !(f->flags & SQL_F_MULTI))
		forget_transaction(s);
}

static void settle_transactions(struct request *r, bool rolled_back)
{
	if (r->s->in_transaction)
		settle_inner_commit(r);
	else
		settle_transaction(r, rolled_back);
}

void deltas_partial(struct request *r)
{
	settle_transactions(r, false);
	settle_writes(r);
}

/* P3: the server has given it a position, though neither it nor its transaction seemed to have written. Temporary tables have
 * positions, too, and FLUSH and its like. */
static bool has_written_unseen(const struct request *r)
{
	const struct session *s = r->s;

	if (likely(!r->commit_known) || r->plan.writes || s->transaction || !r->st)
		return false;
	return r->st->facts.verb == SQL_SELECT || (r->st->facts.verb == SQL_COMMIT && !(s->pins & PIN_TEMP_TABLE));
}

/* What it wrote is not known. Seen only where positions are reported at the end of results; the rest is the catalog's. */
static void settle_unseen(struct request *r)
{
	invalidate(r, NULL, 0, true);
	r->st->writes_unseen = r->st->facts.verb == SQL_SELECT;
}

void deltas_settle(struct request *r)
{
	struct session *s = r->s;
	bool failed = r->error != 0;

	if (r->reply_settled)
		return;
	r->reply_settled = true;
	if (unlikely(has_written_unseen(r)))
		settle_unseen(r);
	globals_settle(r, failed);
	if (!failed) {
		pin(r, r->plan.pins);
		s->pins &= ~r->plan.unpins;
		if (r->st && (r->st->facts.flags & SQL_F_RELEASE) && s->up)
			s->up->condemned = true;
	} else if ((r->plan.pins & (PIN_UNKNOWN | PIN_USER_VARIABLE | PIN_USER_LOCK) ||
		    (r->st && (r->st->facts.flags & SQL_F_MULTI))) && !never_ran(r)) {
		pin(r, r->plan.pins); /* a part of it may have run */
	}
	deltas_schema(r);
	settle_transactions(r, is_rollback(r));
	settle_writes(r);
	temps_settle(r);
}

static void schema_changed(struct instance *in)
{
	catalog_invalidate(in->catalog);
	if (in->cache)
		cache_schema_changed(in->cache);
}

void deltas_schema(struct request *r)
{
	if (r->st && (r->st->facts.flags & (SQL_F_DDL | SQL_F_UNKNOWN)) && !never_ran(r) && !temps_only(r))
		schema_changed(r->s->worker->in);
}

void deltas_lost(struct request *r)
{
	struct write_targets t;
	struct rows_tags rows;

	deltas_schema(r);
	if (r->sent_ns && !r->reply_settled)
		globals_settle(r, true);
	r->commit_known = false;
	temps_targets(r, &t);
	if (r->plan.writes && !r->reply_settled) {
		rows_by_table(&t, &rows);
		remember_write(r, &t, &rows);
	}
	r->reply_settled = true;
	if (r->s->transaction)
		doubts_add(r->s->worker, r->s->transaction->tables, r->s->transaction->ntables,
			   r->s->transaction->anything);
	settle_transaction(r, false);
	r->s->in_transaction = false;
}
