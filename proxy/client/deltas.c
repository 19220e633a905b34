/*
 * deltas.c - what a reply has changed: what it wrote, and with it the cache; transaction and pins. What the server itself
 * reports of the session is in reported.c.
 *
 * Applied when the server's packet is here and before the client gets it: C1 counts from the client's point of view.
 */
#include "catalog_accounts.h"
#include "clock.h"
#include "doubt.h"
#include "globals.h"
#include "mem.h"
#include "routine.h"
#include "rows.h"

void deltas_pin(struct request *r, unsigned pins)
{
	static const struct { unsigned pin; enum stats_counter counter; } counters[] = {
		{PIN_TRANSACTION, STATS_C_PIN_TRANSACTION},	{PIN_USER_VARIABLE, STATS_C_PIN_USER_VARIABLE},
		{PIN_TEMP_TABLE, STATS_C_PIN_TEMP_TABLE},	{PIN_LOCK, STATS_C_PIN_LOCK},
		{PIN_USER_LOCK, STATS_C_PIN_LOCK},		{PIN_CURSOR, STATS_C_PIN_CURSOR},
		{PIN_LONG_DATA, STATS_C_PIN_LONG_DATA},		{PIN_SESSION_STATE, STATS_C_PIN_SESSION_STATE},
		{PIN_SQL_PREPARE, STATS_C_PIN_PREPARED_TEXT},	{PIN_NEXT_TRANSACTION, STATS_C_PIN_TRANSACTION},
		{PIN_UNKNOWN, STATS_C_PIN_UNKNOWN},		{PIN_CONNECTION_ID, STATS_C_PIN_SESSION_STATE},
		{PIN_XA, STATS_C_PIN_XA},			{PIN_TIME, STATS_C_PIN_SESSION_STATE},
		{PIN_UNKNOWN_YET, STATS_C_PIN_UNKNOWN},
	};
	unsigned fresh = pins & ~r->s->pins;

	for (size_t i = 0; fresh && i < countof(counters); i++)
		if (fresh & counters[i].pin)
			stats_count(r->s->worker->sink, counters[i].counter, 1);
	r->s->pins |= pins;
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
	if (!w) {
		w = s->transaction = mem_zalloc(sizeof(*w));
		if (w)
			w->schema_version = r->schema_version;
	}
	if (!w) { /* no memory to remember it: treat it as done now, and again at the end */
		if (s->worker->cache)
			cache_invalidate_all(s->worker->cache, CACHE_BY_WRITE, instance_lag_window(s->worker->settings));
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

/* Of a server that was the primary: there may be another of that number by now. */
static bool is_primarys(const struct request *r)
{
	return likely(r->backend && topology_is_primary(r->worker->in->topology, r->backend));
}

static void invalidate(struct request *r, const cache_tag *tags, unsigned n, bool anything)
{
	struct session *s = r->s;
	uint64_t window = instance_lag_window(s->worker->settings);
	struct cache_pos pos = {.domain = r->commit.domain, .seq = r->commit.seq};
	/* An error bears no position: one that is known is of what was before that. */
	bool known = (r->commit_known && !r->error && is_primarys(r)) || changed_nothing(r);

	if (!known)
		s->written_unknown_ns = clock_mono_ns();
	if (!s->worker->cache)
		return;
	if (anything)
		cache_invalidate_all(s->worker->cache, CACHE_BY_WRITE, window);
	else
		cache_invalidate(s->worker->cache, CACHE_BY_WRITE, tags, n, known ? &pos : NULL, window);
}

/* What it has written may be read through other names by now, and by what came after it other tables may have been written. */
static bool is_anything(const struct request *r, const struct write_set *w)
{
	return w->anything || unlikely(w->schema_version != catalog_version(r->worker->in->catalog));
}

bool deltas_transaction_wrote_anything(const struct request *r)
{
	return r->s->transaction && is_anything(r, r->s->transaction);
}

static void invalidate_set(struct request *r, const struct write_set *w)
{
	invalidate(r, w->by_table ? w->tables : w->tags, w->by_table ? w->ntables : w->n, is_anything(r, w));
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

/* Not a word of it ran: the server could not read its first statement. One that suimon could read, or that runs others, has met
 * such an error further in: in a text that a routine executes, or by SIGNAL in a function or trigger. */
static bool never_ran(const struct request *r)
{
	if ((r->error != 1064 && r->error != 1065) || !r->s->up || r->s->up->track.results)
		return false;
	return r->cmd == COM_STMT_PREPARE || (r->st && r->st->facts.flags & SQL_F_UNKNOWN && !globals_run_others(r));
}

/* No error says whether a transaction is open: without autocommit what failed may have begun one, whose locks and snapshot are the
 * session's. Its connection's next answer says it. */
static bool may_have_begun(const struct request *r)
{
	return unlikely(!session_autocommit(r->s)) && r->s->up && r->cmd != COM_STMT_PREPARE && (r->st || command_may_be_anything(r)) &&
	       !never_ran(r);
}

static bool is_rollback(const struct request *r)
{
	/* A warning of ROLLBACK says that some table could not be rolled back. */
	return !r->error && r->st && r->st->facts.verb == SQL_ROLLBACK && !(r->st->facts.flags & SQL_F_MULTI) &&
	       r->warnings == 0;
}

/* A transaction is open, but it need not be the one that was: BEGIN, COMMIT AND CHAIN, a routine or DDL that failed may
 * have committed what was written before, and the latter two what they wrote themselves. */
static bool may_have_committed(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;
	uint64_t may = SQL_VERB(SQL_COMMIT) | SQL_VERB(SQL_CALL) | SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_COMPOUND) |
		       SQL_VERB(SQL_XA);

	return f ? f->verbs & may || f->flags & (SQL_F_IMPLICIT_COMMIT | SQL_F_CHAIN | SQL_F_UNKNOWN) : r->plan.writes_anything;
}

/* MariaDB answers INSERT DELAYED, which no transaction holds, before the row is there: nobody tells when it comes. */
static bool comes_later(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	if (likely(f && !(f->flags & (SQL_F_DELAYED | SQL_F_UNKNOWN)) && !(f->verbs & SQL_VERB(SQL_EXECUTE))))
		return false;
	return (f && f->flags & SQL_F_DELAYED) || r->s->executes_delayed;
}

static void settle_writes(struct request *r)
{
	struct write_targets t;
	struct rows_tags rows;

	if (!r->plan.writes || r->not_run || never_ran(r))
		return;
	temps_targets(r, &t);
	if (!t.n && !t.anything)
		return; /* nobody else sees it */
	rows_written(r, &t, &rows);
	if (r->s->in_transaction)
		remember_write(r, &t, &rows);
	/* What cannot be rolled back others see already. */
	if (!r->s->in_transaction || !t.transactional || may_have_committed(r))
		invalidate(r, rows.tag, rows.n, t.anything);
	if (unlikely(comes_later(r)))
		doubts_add(r->s->worker, t.tags, t.n, t.anything);
}

static void settle_inner_commit(struct request *r)
{
	struct session *s = r->s;
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;
	const struct write_set *w = s->transaction;

	if (!w || never_ran(r))
		return;
	if (is_rollback(r)) { /* AND CHAIN */
		forget_transaction(s);
		return;
	}
	if (!may_have_committed(r))
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

/* ---- the schema ---- */

bool deltas_schema_moved(const struct request *r)
{
	return r->schema_version != catalog_version(r->worker->in->catalog);
}

/* A table that gets another trigger, or by another name has those of one. */
static bool moves_triggers(const struct sql_facts *f, struct span sql)
{
	return f->verbs & SQL_VERB(SQL_RENAME) || (f->verbs & SQL_VERB(SQL_ALTER) && f->ntables > 1) ||
	       (f->verbs & SQL_VERB(SQL_CREATE) && catalog_has_word(sql, "trigger"));
}

/* The name of the routine that it is about; or an empty one. */
static struct span routine_of(const struct request *r, const struct sql_facts *f)
{
	struct span name;

	return !(f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI)) && f->flags & SQL_F_DDL && sql_routine_of(r->sql, r->mode, &name) ? name : span_str("");
}

/* What it does to routines, triggers and views: CATALOG_ADDS and so on. ALTER leaves a routine its body, and a table its triggers. */
static unsigned change_of(const struct request *r, const struct sql_facts *f)
{
	bool trigger = catalog_has_word(r->sql, "trigger"), moves = moves_triggers(f, r->sql);
	bool view = !moves && f->ntables && f->verbs & (SQL_VERB(SQL_CREATE) | SQL_VERB(SQL_ALTER)) && catalog_has_word(r->sql, "view");
	unsigned how = (moves ? CATALOG_TRIGGER : 0) | (view ? CATALOG_OF_VIEW : 0); /* by another name a table has the triggers that it had */

	moves |= view;
	if (f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI) || f->verb == SQL_RENAME)
		return moves ? how | CATALOG_ADDS | CATALOG_LOSES : 0;
	if (f->verb == SQL_DROP)
		return CATALOG_LOSES | (trigger ? CATALOG_TRIGGER : 0);
	if (f->verb == SQL_CREATE && sql_is_or_replace(r->sql, r->mode))
		how |= CATALOG_LOSES;
	return moves || (f->verb == SQL_CREATE && !f->ntables) ? how | CATALOG_ADDS | (f->verb == SQL_ALTER ? CATALOG_LOSES : 0) : how;
}

static void invalidate_view(const struct request *r, struct catalog *c, unsigned how)
{
	struct sql_facts select;
	struct span text;
	bool known = !(r->st->facts.flags & (SQL_F_UNKNOWN | SQL_F_MULTI)) && sql_view_select(r->sql, r->mode, &text) &&
		     sql_facts_parse(text, r->mode, &select) == RC_OK;

	catalog_invalidate_view(c, &r->st->facts, known ? &select : NULL, span_of(r->st->schema, r->st->schema_len), how);
	if (known)
		sql_facts_free(&select);
}

static void invalidate_schema(struct request *r, struct catalog *c, bool over)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;
	unsigned how = f ? change_of(r, f) | (over ? CATALOG_OVER : 0) : 0;

	if (f && globals_keep_procedures(r) && how & CATALOG_OF_VIEW)
		invalidate_view(r, c, how);
	else if (f && globals_keep_procedures(r) && f->ntables == 0 && catalog_has_word(r->sql, "function"))
		catalog_invalidate_function(c, routine_of(r, f), how);
	else if (f && globals_keep_procedures(r))
		catalog_invalidate_triggers(c, f, how);
	else if (f && !r->may_change_procedures)
		catalog_invalidate_routine(c, routine_of(r, f), how);
	else
		catalog_invalidate(c);
}

static void schema_changed(struct request *r, bool over)
{
	struct instance *in = r->s->worker->in;
	uint64_t before = catalog_version(in->catalog);

	invalidate_schema(r, in->catalog, over);
	if (r->schema_version == before) /* its own doing: its tables are known all the same */
		r->schema_version = before + 1;
	if (in->cache)
		cache_schema_changed(in->cache);
}

/* By its text and its values: a procedure may run what it is given. */
static bool says_ddl(const struct request *r)
{
	return r->streamed || (r->prepared && r->prepared->long_data) || catalog_says_ddl(r->sql) || memchr(r->sql.p, '@', r->sql.len) ||
	       (r->prepared && catalog_holds_ddl(r->execute.values));
}

static enum catalog_ddl called_ddl(const struct request *r)
{
	const struct statement *st = r->st;
	const struct sql_facts *f = &st->facts;
	struct catalog *c = r->s->worker->in->catalog;
	enum catalog_ddl most = f->nroutines ? CATALOG_DDL_NONE : CATALOG_DDL_MAY;
	bool says;

	if (r->cmd == COM_STMT_PREPARE || (st->calls != PLAN_CALLS_UNKNOWN && st->catalog_version == catalog_version(c)))
		return CATALOG_DDL_NONE;
	says = says_ddl(r);
	/* Of one CALL the procedure is the first; the others are functions. */
	for (uint16_t i = 0; i < f->nroutines && (i == 0 || f->flags & SQL_F_MULTI); i++) {
		const struct sql_routine *to = &f->routines[i];
		enum catalog_ddl ddl = catalog_ddl(c, to->schema.len ? to->schema : span_of(st->schema, st->schema_len), to->name, says);

		if (ddl > most)
			most = ddl;
	}
	return most;
}

static bool calls(const struct sql_facts *f)
{
	return unlikely(f && f->verbs & SQL_VERB(SQL_CALL) && !(f->flags & SQL_F_UNKNOWN));
}

static bool changes_schema(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	if (f && f->flags & (SQL_F_DDL | SQL_F_UNKNOWN))
		return !never_ran(r) && !temps_only(r) && (f->flags & SQL_F_DDL || unread_may_change_schema(r));
	return f ? r->called_ddl == CATALOG_DDL_MAY : command_may_be_anything(r);
}

/* What is not understood mostly is none, and may be a report that takes minutes. */
static bool is_ddl(const struct request *r)
{
	return (r->st && r->st->facts.flags & SQL_F_DDL) || r->called_ddl == CATALOG_DDL_MAY || catalog_says_ddl(r->sql);
}

void deltas_schema_sent(struct request *r)
{
	unread_sent(r);
	if (r->st && calls(&r->st->facts))
		r->called_ddl = called_ddl(r);
	if (likely(!changes_schema(r)))
		return;
	if (!r->ddl_runs && is_ddl(r)) {
		catalog_ddl_begins(r->worker->in->catalog);
		r->ddl_runs = true;
	}
	schema_changed(r, false);
}

void deltas_schema_over(struct request *r)
{
	if (unlikely(r->ddl_runs))
		catalog_ddl_ends(r->worker->in->catalog);
	r->ddl_runs = false;
}

/* Nothing that was found of it is to be mended any more. DROP INDEX names a table, too, and of several statements nobody knows which. */
static void tell_of_drop(const struct request *r, const struct sql_facts *f)
{
	struct stats *stats = r->worker->in->stats;

	if (r->error || f->verbs != SQL_VERB(SQL_DROP) || f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI) || (f->ntables && catalog_has_word(r->sql, "index")))
		return;
	if (f->drop_schema.len)
		stats_table_dropped(stats, f->drop_schema, span_of("", 0));
	for (uint16_t i = 0; i < f->ntables; i++) {
		struct span schema = f->tables[i].schema;

		stats_table_dropped(stats, schema.len ? schema : span_of(r->st->schema, r->st->schema_len), f->tables[i].name);
	}
}

/* What was advised may just have been done; not by TRUNCATE, which leaves the indexes as they were. */
static void tell_adviser(const struct request *r)
{
	struct stats *stats = r->worker->in->stats;
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	if (!is_ddl(r) || (f && f->verbs == SQL_VERB(SQL_TRUNCATE) && !(f->flags & SQL_F_UNKNOWN)))
		return;
	if (!f || f->flags & SQL_F_UNKNOWN || !(f->flags & SQL_F_DDL))
		stats_table_changed(stats, span_of("", 0), span_of("", 0));
	for (uint16_t i = 0; f && i < f->ntables; i++) {
		struct span schema = f->tables[i].schema;

		stats_table_changed(stats, schema.len ? schema : span_of(r->st->schema, r->st->schema_len), f->tables[i].name);
	}
	if (f)
		tell_of_drop(r, f);
}

/* It is answered, or its answer will never come. */
static void settle_schema(struct request *r)
{
	if (unlikely(changes_schema(r))) {
		schema_changed(r, true);
		tell_adviser(r);
	} else if (unlikely(r->called_ddl == CATALOG_DDL_UNSEEN) && (r->commit_known || !changed_nothing(r))) {
		catalog_doubt(r->worker->in->catalog);
	}
	deltas_schema_over(r);
}

/* ---- in the order of these ---- */

void deltas_settle(struct request *r)
{
	struct session *s = r->s;
	bool failed = r->error != 0;
	unsigned pins = r->plan.pins | (unlikely(command_may_be_anything(r)) ? PIN_UNKNOWN : 0), ran;

	if (r->reply_settled)
		return;
	r->reply_settled = true;
	if (unlikely(s->pins & PIN_UNKNOWN_YET))
		sets_look_again(s);
	ran = never_ran(r) ? 0 : sets_pins(r);
	pins |= ran;
	if (unlikely(pins & PIN_USER_LOCK) && holds_takes_no_lock(r))
		pins &= ~(unsigned)PIN_USER_LOCK;
	if (unlikely(has_written_unseen(r)))
		settle_unseen(r);
	globals_settle(r, failed);
	if (unlikely(failed) && may_have_begun(r)) {
		deltas_pin(r, PIN_TRANSACTION);
		s->in_transaction = true;
	}
	if (unlikely(failed) && s->in_transaction)
		s->transaction_unsure = true; /* a deadlock or DDL may have ended it, too */
	if (!failed) {
		deltas_pin(r, pins);
		s->pins &= ~r->plan.unpins;
		if (r->st && (r->st->facts.flags & SQL_F_RELEASE) && s->up)
			s->up->condemned = true;
	} else if ((ran || pins & (PIN_UNKNOWN | PIN_USER_VARIABLE | PIN_USER_LOCK) ||
		    (r->st && (r->st->facts.flags & SQL_F_MULTI))) && !never_ran(r)) {
		deltas_pin(r, pins); /* a part of it may have run */
	}
	settle_schema(r);
	settle_transactions(r, is_rollback(r));
	settle_writes(r);
	temps_settle(r);
	holds_settle(r, ran);
}

void deltas_lost(struct request *r)
{
	struct write_targets t;
	struct rows_tags rows;

	settle_schema(r);
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
			   is_anything(r, r->s->transaction));
	settle_transaction(r, false);
	r->s->in_transaction = false;
}
