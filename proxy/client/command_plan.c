/*
 * command_plan.c - a statement's text becomes facts, and facts, rules and the session's state a plan.
 */
#include <string.h>

#include "request.h"
#include "thread.h"

static unsigned mode_bits(const struct varset_mode *m)
{
	return (m->ansi_quotes ? SQL_MODE_ANSI_QUOTES : 0) |
	       (m->no_backslash ? SQL_MODE_NO_BACKSLASH_ESCAPES : 0) | (m->oracle ? SQL_MODE_ORACLE : 0);
}

static unsigned text_mode(const struct session *s)
{
	return mode_bits(varset_mode(s->vars)) | (s->vars->wide_trail ? SQL_MODE_WIDE_TRAIL : 0);
}

/* Nothing is cached or queued before the schema is known, and with it comes how text reads: also in a worker that has no connection yet. */
static void meet_mode(struct worker *w)
{
	uint64_t readings = catalog_readings(w->in->catalog);
	struct iobuf mode;

	if (likely(w->mode_reading == readings))
		return;
	iobuf_init(&mode, 0);
	if (catalog_sql_mode(w->in->catalog, &mode) == RC_OK) {
		varsets_begin_with(&w->leases->varsets, span_of(iobuf_data(&mode), iobuf_len(&mode)));
		w->mode_reading = readings;
	}
	iobuf_reset(&mode);
}

/* Does text with these bytes read differently in the two modes? */
static bool reads_otherwise(struct span sql, unsigned a, unsigned b)
{
	return (a ^ b) & SQL_MODE_ORACLE || memchr(sql.p, '"', sql.len) || memchr(sql.p, '\\', sql.len);
}

bool command_is_misread(const struct request *r)
{
	const struct session *s = r->s;
	const struct upstream *u = s->up;
	unsigned theirs, ours = r->mode & ~(unsigned)SQL_MODE_WIDE_TRAIL;

	if (!u->mode_known || !r->st || (r->prepared ? r->prepared->env : s->vars)->has_mode)
		return false;
	theirs = mode_bits(&u->mode);
	return unlikely(theirs != ours) && r->sql.len && reads_otherwise(r->sql, theirs, ours);
}

bool command_mode_is_old(const struct request *r)
{
	return mode_bits(&r->worker->leases->varsets.mode) == (r->mode & ~(unsigned)SQL_MODE_WIDE_TRAIL);
}

/* Of a long text only the beginning is kept: patterns that forbid or hold back see all of it. */
static void whole_text(struct rule_subject *subject, const struct sql_lexed *lexed, unsigned mode, struct iobuf *whole)
{
	subject->cut = !lexed->body.len || sql_normalise(lexed->body, mode, SIZE_MAX, whole) != RC_OK;
	if (!subject->cut)
		subject->text = span_of(iobuf_data(whole), iobuf_len(whole));
}

/* facts: the statement's, or what of them is to count. */
static void judge(struct session *s, const struct statement *st, const struct sql_lexed *lexed, unsigned mode, const struct sql_facts *facts,
		  struct plan_verdict *out)
{
	const struct settings *cfg = s->worker->settings;
	struct rule_subject subject = {.digest = st->digest, .text = span_of(st->text, st->text_len), .facts = facts,
				       .schema = span_of(st->schema, st->schema_len), .user = span_str(s->account->user), .lexed = lexed,
				       .time_left_ns = s->request ? &s->request->rules_left_ns : NULL};
	struct iobuf whole;

	iobuf_init(&whole, 0);
	if (unlikely(st->text_cut && cfg->routing.patterns))
		whole_text(&subject, lexed, mode, &whole);
	plan_verdict(cfg, &subject, out);
	iobuf_reset(&whole);
}

void command_verdict_as_known(struct session *s, const struct statement *st, const struct sql_lexed *lexed, unsigned mode, struct plan_verdict *out)
{
	struct sql_facts known = st->facts;

	known.flags &= ~SQL_F_UNKNOWN;
	judge(s, st, lexed, mode, &known, out);
}

void command_verdict(struct session *s, struct statement *st, const struct sql_lexed *lexed, unsigned mode)
{
	const struct settings *cfg = s->worker->settings;

	if (st->verdict_settings == s->worker->settings_serial && st->verdict_account == s->account->id)
		return;
	judge(s, st, lexed, mode, &st->facts, &st->verdict);
	st->planned = false;
	st->verdict_settings = rule_verdicts_last(cfg) && !(s->request && !s->request->rules_left_ns) ? s->worker->settings_serial : 0;
	st->verdict_account = s->account->id;
}

/* A write that a rule or a hint sends to the queue, whatever it may be fit for. */
static bool asks_for_queue(const struct request *r)
{
	enum sql_verb verb = r->st->facts.verb;

	if (r->cmd == COM_STMT_PREPARE || (verb != SQL_INSERT && verb != SQL_REPLACE && verb != SQL_UPDATE && verb != SQL_DELETE))
		return false;
	return !(r->lexed->hints & SQL_HINT_SYNC) && (r->st->verdict.queue || r->lexed->hints & SQL_HINT_QUEUE);
}

static void count_unqueued(struct request *r)
{
	bool transaction = r->s->in_transaction || !session_autocommit(r->s);

	if (r->plan.queue || !asks_for_queue(r))
		return;
	stats_count(r->s->worker->sink, transaction ? STATS_C_QUEUE_DECLINED_TRANSACTION : STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, 1);
}

void command_plan_alone(struct request *r)
{
	if (r->plan.queue)
		stats_count(r->s->worker->sink, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, 1);
	r->plan.cache = r->plan.queue = false;
}

/* The plan is a function of what it is made from: where that is the same as last time, so is the plan. */
static void plan_again(struct request *r, const struct plan_session *ss)
{
	struct statement *st = r->st;
	bool lasts = st->verdict_settings && !r->lexed->hints;

	if (likely(lasts && st->planned && memcmp(&st->plan_for, ss, sizeof(*ss)) == 0)) {
		r->plan = st->plan;
		return;
	}
	plan_make(r->s->worker->settings, &st->verdict, &st->facts, r->lexed, ss, &r->plan);
	if (lasts) {
		st->plan = r->plan;
		st->plan_for = *ss;
		st->planned = true;
	}
}

/* Its text says less than it does. */
static void plan_hidden_write(struct request *r, const char *why)
{
	r->plan.target = PLAN_PRIMARY;
	r->plan.target_why = why;
	r->plan.needs_primary = r->plan.writes = r->plan.writes_anything = true;
	r->plan.cache = r->plan.queue = false;
}

void command_plan_misread(struct request *r)
{
	plan_hidden_write(r, "its server reads it in another sql_mode than it was read here");
}

void command_plan(struct request *r)
{
	struct session *s = r->s;
	const struct instance *in = s->worker->in;
	struct plan_session ss;

	memset(&ss, 0, sizeof(ss)); /* compared as bytes */
	ss.pins = s->pins;
	ss.in_transaction = s->in_transaction;
	ss.autocommit = session_autocommit(s);
	ss.has_replicas = in->topology->n > 1;
	ss.stays = s->set_global || s->vars->stays ||
		   atomic_load_explicit(&in->own_tracking, memory_order_relaxed); /* its connection is its own: no replica's */
	ss.reads_only = s->vars->reads_only;
	ss.sees_anew = s->vars->sees_anew;
	ss.serializable = s->vars->serializable;
	ss.reads_away = s->readonly != READONLY_NOT;
	ss.held = s->readonly == READONLY_HELD && s->up ? s->up->backend->group : 0;
	ss.stuck = s->pins && !s->readonly && s->up && !s->on_primary;
	ss.has_queued = s->queued_seq != 0;
	ss.tracked = s->worker->tracked;
	ss.tracks_reads = s->caps & CLIENT_DEPRECATE_EOF;
	command_verdict(s, r->st, r->lexed, r->mode);
	r->schema_version = catalog_version(in->catalog);
	if (r->st->facts.nroutines) {
		if (ss.has_replicas) /* a server that stands alone is read for nothing less than the cache or the queue */
			catalog_want(in->catalog);
		statement_resolve(r->st, in->catalog, s->worker->settings);
		ss.calls = r->st->calls;
	}
	plan_again(r, &ss);
	if (unlikely(r->st->names_tracking)) {
		r->plan.target = PLAN_PRIMARY;
		r->plan.target_why = "asks what the server reports";
	}
	if (r->plan.cache || r->plan.queue)
		catalog_want(in->catalog);
	if (r->plan.target == PLAN_REPLICA &&
	    unlikely(r->st->leaves_state || statement_sets(r->st, in->catalog) > (ss.tracks_reads ? CATALOG_SETS_TOLD : CATALOG_SETS_DROPPED))) {
		r->plan.target = PLAN_PRIMARY;
		r->plan.target_why = "it leaves state that only its connection has";
	}
	if (unlikely(r->st->facts.flags & SQL_F_CONNECTION_ID) && sql_asks_alone(r->lexed->body, r->mode) == SQL_F_CONNECTION_ID &&
	    !(r->prepared && r->execute.flags & 0x07)) { /* a cursor's rows come later */
		r->own_number = true;
		r->numbers = (struct result_numbers){.columns = 1, .given = 1, .n = {session_number(s)}};
		r->plan.pins &= ~(unsigned)PIN_CONNECTION_ID;
	}
	if (unlikely(r->st->lists_threads) && !(r->prepared && r->execute.flags & 0x07))
		request_lists_numbers(r);
	if ((r->plan.writes || r->plan.cache || r->plan.queue || catalog_is_wanted(in->catalog)) && !temps_named(r))
		statement_resolve(r->st, in->catalog, s->worker->settings);
	if (unlikely(r->st->writes_by_views || r->st->writes_unseen))
		plan_hidden_write(r, "a view that it reads, or something else that its text does not show, writes");
	if (unlikely(request_in_lane(r) || (s->readonly && s->readonly_in_lane)))
		r->replica_last = true;
	if (r->st->facts.flags & (SQL_F_FOUND_ROWS | SQL_F_ROW_COUNT))
		s->worker->follow_ups_seen = true;
	if (r->st->facts.flags & SQL_F_LAST_INSERT_ID)
		s->worker->insert_ids_seen = true;
	s->worker->lastvals_seen |= r->st->asks_sequence;
	if (unlikely(r->st->facts.flags & SQL_F_SEQUENCE) && s->worker->lastvals_seen)
		r->plan.pins |= PIN_SESSION_STATE;
	if (r->lexed->hints & SQL_HINT_BAD)
		stats_count(s->worker->sink, STATS_C_HINT_ERRORS, 1);
	count_unqueued(r);
}

void command_plan_attributes(struct request *r)
{
	command_plan_alone(r);
	r->plan.cache_why = r->plan.queue_why = "it bears query attributes";
}

/* A text of which only the beginning is here is none that was kept. */
static void lex(struct request *r)
{
	struct known *known = &r->s->worker->known;
	const struct known_text *t;

	r->text_hash = 0;
	t = known->count ? known_find(known, r->sql, r->mode, &r->text_hash) : NULL;
	if (t && !r->stream_left && !r->stream_more)
		known_lexed(t, r->sql, &r->own_lexed);
	else
		sql_lex(r->sql, r->mode, &r->own_lexed);
	r->lexed = &r->own_lexed;
}

enum rc command_plan_text(struct request *r)
{
	struct session *s = r->s;
	bool fresh;

	meet_mode(s->worker);
	r->mode = text_mode(s);
	lex(r);
	if (r->stream_left || r->stream_more) {
		command_plan_blind(r);
		return command_allowed_blind(r);
	}
	r->st = statement_get(&s->worker->statements, r->lexed->body, r->mode, r->lexed, s->vars->schema, &fresh);
	if (!r->st) {
		reply_error(s, 1041, "HY000", "out of memory");
		return RC_ERROR;
	}
	r->names_rows = !s->vars->other_ascii;
	stats_count(s->worker->sink, fresh ? STATS_C_FACTS_MISSES : STATS_C_FACTS_HITS, 1);
	command_plan(r);
	return command_allowed(r);
}

