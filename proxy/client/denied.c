/*
 * denied.c - statements that a rule forbids, wherever they stand: alone, among several in one text, as what PREPARE and EXECUTE
 * IMMEDIATE are given; and what rules say of one of which only the beginning is here.
 */
#include <inttypes.h>
#include <string.h>

#include "inner.h"
#include "request.h"

#define DEEPEST 4 /* texts in texts */

static enum rc refuse(struct request *r, uint64_t digest)
{
	r->error = 1148;
	stats_count(r->worker->sink, STATS_C_RULE_DENIED, 1);
	reply_error(r->s, r->error, "42000", "a rule denies this statement (digest 0x%016" PRIx64 ")", digest);
	return RC_ERROR;
}

static enum rc refuse_for_memory(struct request *r)
{
	r->error = 1041;
	reply_error(r->s, r->error, "HY000", "out of memory");
	return RC_ERROR;
}

/* ---- texts in texts ---- */

static enum rc look_inside(struct request *r, struct span text, unsigned depth);

static enum rc look_at(struct request *r, struct span text, unsigned depth)
{
	struct session *s = r->s;
	struct sql_lexed lexed;
	struct statement *st;
	uint64_t denied = 0;
	bool fresh;

	sql_lex(text, r->mode, &lexed);
	st = statement_get(&s->worker->statements, lexed.body, r->mode, &lexed, s->vars->schema, &fresh);
	if (!st)
		return refuse_for_memory(r);
	command_verdict(s, st, &lexed, r->mode);
	if (st->verdict.route && st->verdict.route->to == TO_DENY)
		denied = st->digest;
	statement_unref(st);
	return denied ? refuse(r, denied) : look_inside(r, lexed.body, depth);
}

static enum rc look_at_inner(struct request *r, struct span text, unsigned depth)
{
	struct iobuf inner;
	bool whole;
	enum rc rc;

	iobuf_init(&inner, text.len + 1);
	rc = sql_inner_text(text, r->mode, &inner, &whole);
	if (rc == RC_ERROR)
		rc = refuse_for_memory(r);
	else if (rc == RC_OK)
		rc = look_at(r, span_of(iobuf_data(&inner), iobuf_len(&inner)), depth + 1);
	iobuf_reset(&inner);
	return rc == RC_DECLINED ? RC_OK : rc;
}

/* text: a statement that is allowed by itself, or several. */
static enum rc look_inside(struct request *r, struct span text, unsigned depth)
{
	struct span one;
	size_t at = 0;
	enum rc rc;

	if (depth == DEEPEST)
		return RC_OK;
	rc = look_at_inner(r, text, depth);
	if (rc != RC_OK || !text.len || !memchr(text.p, ';', text.len))
		return rc;
	while (rc == RC_OK && sql_split(text, r->mode, &at, &one))
		if (one.len < text.len)
			rc = look_at(r, one, depth + 1);
	return rc;
}

/* Does it hold, or may it hold, another one? */
static bool may_hold(const struct request *r)
{
	const uint64_t verbs = SQL_VERB(SQL_PREPARE) | SQL_VERB(SQL_EXECUTE);

	return r->st->facts.verbs & verbs || (r->lexed->body.len && memchr(r->lexed->body.p, ';', r->lexed->body.len));
}

enum rc command_allowed(struct request *r)
{
	if (unlikely(r->plan.denied))
		return refuse(r, r->st->digest);
	if (likely(!r->worker->settings->routing.denies || !may_hold(r)))
		return RC_OK;
	return look_inside(r, r->lexed->body, 0);
}

/* ---- of which only the beginning is here ---- */

/* By its beginning it reads or writes rows, as what is so large does nearly always: alone it changes neither schema nor rights, and leaves
 * nothing to its session. */
static bool begins_with_rows(struct request *r)
{
	const uint64_t verbs = SQL_VERB(SQL_SELECT) | SQL_VERB(SQL_INSERT) | SQL_VERB(SQL_REPLACE) | SQL_VERB(SQL_UPDATE) |
			       SQL_VERB(SQL_DELETE) | SQL_VERB(SQL_LOAD);
	struct sql_facts f;
	bool rows;

	if (!r->sql.len || sql_facts_parse(r->sql, r->mode, &f) != RC_OK)
		return false;
	rows = f.verbs && !(f.verbs & ~verbs) && !(f.flags & (SQL_F_USER_VAR_WRITE | SQL_F_USER_LOCK | SQL_F_DDL | SQL_F_MULTI));
	r->blind_select = f.verb == SQL_SELECT;
	sql_facts_free(&f);
	return rows;
}

void command_plan_blind(struct request *r)
{
	r->blind = true;
	r->blind_rows = begins_with_rows(r);
	r->plan = (struct plan){.target = PLAN_PRIMARY, .target_why = "too large to be looked at whole",
				.writes = true, .writes_anything = true, .pins = r->blind_rows ? 0 : PIN_UNKNOWN};
}

bool command_may_be_anything(const struct request *r)
{
	const struct upstream *u = r->s->up;

	if (!r->blind || !r->blind_rows)
		return r->blind;
	if (!u)
		return r->s->caps & CLIENT_MULTI_STATEMENTS;
	/* A SELECT without a result set has put it INTO something. */
	if (r->blind_select && u->track.results == 1 && !u->track.columns && !u->track.error)
		return true;
	/* One that stands alone has one answer; several may go together where the client has said so. */
	return r->s->caps & CLIENT_MULTI_STATEMENTS && u->track.results + (u->track.error != 0) > 1;
}

enum rc command_allowed_blind(struct request *r)
{
	const struct settings *cfg = r->worker->settings;
	struct rule_subject subject = {.schema = r->s->vars->schema, .user = span_str(r->s->account->user)};
	struct sql_facts facts;
	bool denied;

	if (likely(!cfg->routing.denies && !cfg->limits.nrules))
		return RC_OK;
	if (sql_facts_parse(r->sql, r->mode, &facts) != RC_OK)
		return refuse_for_memory(r);
	subject.facts = &facts;
	denied = rule_may_deny(cfg, &subject);
	r->plan.limit = rule_may_limit(cfg, &subject);
	sql_facts_free(&facts);
	if (!denied)
		return RC_OK;
	r->error = 1148;
	stats_count(r->worker->sink, STATS_C_RULE_DENIED, 1);
	reply_error(r->s, r->error, "42000", "a rule denies statements of which this may be one: it is too large to be told apart");
	return RC_ERROR;
}
