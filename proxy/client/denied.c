/*
 * denied.c - statements that a rule forbids or limits, wherever they stand: alone, among several in one text, in a compound statement's body,
 * as what PREPARE and EXECUTE IMMEDIATE are given; and what rules say of one of which only the beginning is here.
 */
#include <inttypes.h>
#include <string.h>

#include "inner.h"
#include "request.h"

#define DEEPEST 4       /* texts in texts */
#define PIECES_MOST 4096 /* statements in all of them that are looked at for one command */

static const struct sql_facts anything = {.verb = SQL_OTHER};

static enum rc refuse(struct request *r, const struct statement *st)
{
	const char *why = st->facts.unknown_why;

	r->error = 1148;
	stats_count(r->worker->sink, STATS_C_RULE_DENIED, 1);
	reply_error(r->s, r->error, "42000", "a rule denies this statement (digest 0x%016" PRIx64 ")%s%s", st->digest,
		    why ? ", or one that it may be: " : "", why ? why : "");
	return RC_ERROR;
}

static enum rc refuse_for_memory(struct request *r)
{
	r->error = 1041;
	reply_error(r->s, r->error, "HY000", "out of memory");
	return RC_ERROR;
}

/* It is, or holds, one that cannot be told: by what is known of it, rules do not forbid it, and that of limits which comes first may hold. */
static enum rc refuse_unknown(struct request *r, const struct sql_facts *facts, const char *why)
{
	const struct settings *cfg = r->worker->settings;
	const struct rule_subject subject = {.schema = r->s->vars->schema, .user = span_str(r->s->account->user), .facts = facts};
	const struct settings_limit_rule *limit = rule_may_limit(cfg, &subject);

	if (limit && (!r->plan.limit || limit < r->plan.limit))
		r->plan.limit = limit;
	if (!rule_may_deny(cfg, &subject))
		return RC_OK;
	r->error = 1148;
	stats_count(r->worker->sink, STATS_C_RULE_DENIED, 1);
	reply_error(r->s, r->error, "42000", "a rule denies statements of which this may be one: %s", why);
	return RC_ERROR;
}

/* ---- texts in texts ---- */

/* All of these: RC_ERROR: answered. RC_DECLINED: what it holds cannot be told. */
static enum rc look_inside(struct request *r, const struct statement *st, struct span text, unsigned depth);
static enum rc look_at_inner(struct request *r, struct span text, unsigned depth);

/* Of all rules of limits that mean something in a text the first one holds it. */
static void note_limit(struct request *r, const struct statement *st, const struct plan_verdict *v)
{
	const struct settings_limit_rule *rule = v->limit;

	if (!rule || (r->plan.limit && r->plan.limit <= rule))
		return;
	r->plan.limit = rule;
	r->limit_digest = st->digest;
}

/* A statement before it in its text has changed the schema, or how text reads, which was not taken into account. */
static bool is_misread(const struct request *r, const struct statement *st, struct span text)
{
	if (r->schema_moved && st->facts.ntables)
		return true;
	for (size_t i = 0; r->reads_anew && i < text.len; i++)
		if (text.p[i] == '"' || text.p[i] == '\\' || (unsigned char)text.p[i] >= 0x80)
			return true;
	return false;
}

/* body: it is from a compound statement's body, whose every statement is looked at. */
static enum rc look_at(struct request *r, struct span text, unsigned depth, bool body)
{
	struct session *s = r->s;
	struct plan_verdict verdict;
	struct sql_lexed lexed;
	struct statement *st;
	bool fresh;
	enum rc rc;

	if (r->pieces_looked_at++ == PIECES_MOST)
		return RC_DECLINED;
	sql_lex(text, r->mode, &lexed);
	st = statement_get(&s->worker->statements, lexed.body, r->mode, &lexed, s->vars->schema, &fresh);
	if (!st)
		return refuse_for_memory(r);
	command_verdict(s, st, &lexed, r->mode);
	verdict = st->verdict;
	if (body && st->facts.flags & SQL_F_UNKNOWN && !sql_inner_is_statement(lexed.body, r->mode))
		command_verdict_as_known(s, st, &lexed, r->mode, &verdict);
	note_limit(r, st, &verdict);
	if (verdict.route && verdict.route->to == TO_DENY)
		rc = refuse(r, st);
	else if (!body && is_misread(r, st, lexed.body))
		rc = RC_DECLINED;
	else
		rc = body ? look_at_inner(r, lexed.body, depth) : look_inside(r, st, lexed.body, depth);
	r->schema_moved |= st->facts.verbs & SQL_VERB(SQL_USE);
	r->reads_anew |= st->facts.reads_anew && st->facts.verb != SQL_USE;
	statement_unref(st);
	return rc;
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
	else if (rc == RC_DECLINED)
		rc = RC_OK;
	else if (depth == DEEPEST || !whole)
		rc = RC_DECLINED;
	else
		rc = look_at(r, span_of(iobuf_data(&inner), iobuf_len(&inner)), depth + 1, false);
	iobuf_reset(&inner);
	return rc;
}

struct body { struct request *r; unsigned depth; enum rc rc; };

static enum rc look_at_body(void *arg, struct span one)
{
	struct body *b = arg;

	return b->rc = look_at(b->r, one, b->depth, true);
}

/* text: a statement that is allowed by itself, or several. */
static enum rc look_inside(struct request *r, const struct statement *st, struct span text, unsigned depth)
{
	struct body body = {.r = r, .depth = depth};
	struct span one;
	size_t at = 0;
	bool parts = false;
	bool several = text.len && memchr(text.p, ';', text.len);
	enum rc rc = look_at_inner(r, text, depth);

	while (rc == RC_OK && several && sql_split(text, r->mode, &at, &one)) {
		if (one.len == text.len)
			break;
		parts = true;
		rc = depth == DEEPEST ? RC_DECLINED : look_at(r, one, depth + 1, false);
	}
	if (rc != RC_OK || parts || !(st->facts.flags & SQL_F_UNKNOWN))
		return rc;
	rc = sql_inner_statements(text, r->mode, look_at_body, &body);
	return rc == RC_OK || body.rc != RC_OK ? rc : RC_DECLINED;
}

/* Does it hold, or may it hold, another one? */
static bool may_hold(const struct request *r)
{
	const uint64_t verbs = SQL_VERB(SQL_PREPARE) | SQL_VERB(SQL_EXECUTE);

	return r->st->facts.verbs & verbs || (r->lexed->body.len && memchr(r->lexed->body.p, ';', r->lexed->body.len));
}

enum rc command_allowed(struct request *r)
{
	const struct settings *cfg = r->worker->settings;
	enum rc rc;

	if (unlikely(r->plan.denied))
		return refuse(r, r->st);
	if (likely((!cfg->routing.denies && !cfg->limits.nrules) || !may_hold(r)))
		return RC_OK;
	r->pieces_looked_at = 0;
	r->schema_moved = r->reads_anew = false;
	rc = look_inside(r, r->st, r->lexed->body, 0);
	return rc == RC_DECLINED ? refuse_unknown(r, &anything, "what it holds cannot be told apart") : rc;
}

enum rc command_allowed_as(struct request *r, struct span text)
{
	const struct settings *cfg = r->worker->settings;
	enum rc rc;

	if (likely(!cfg->routing.denies))
		return RC_OK;
	rc = look_at(r, text, 0, false);
	r->plan.limit = NULL; /* which are for statements */
	return rc == RC_DECLINED ? refuse_unknown(r, &anything, "what it holds cannot be told apart") : rc;
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
	struct sql_facts facts;
	enum rc rc;

	if (likely(!cfg->routing.denies && !cfg->limits.nrules))
		return RC_OK;
	if (r->cmd == COM_QUERY && r->s->caps & CLIENT_MULTI_STATEMENTS) /* behind what is here another one may stand */
		return refuse_unknown(r, &anything, "it is too large to be told apart");
	if (sql_facts_parse(r->sql, r->mode, &facts) != RC_OK)
		return refuse_for_memory(r);
	rc = refuse_unknown(r, &facts, "it is too large to be told apart");
	sql_facts_free(&facts);
	return rc;
}
