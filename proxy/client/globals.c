#include "globals.h"

#include <string.h>

#include "catalog_accounts.h"

/* What stands behind the first '=' that follows the name; empty: the name is not there, or nothing is. */
static struct span value_of(struct span sql, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = sql.p, *end = sql.p + sql.len; len < (size_t)(end - p); p++) {
		const char *at;

		if (strncasecmp(p, name, len) != 0)
			continue;
		at = memchr(p, '=', (size_t)(end - p));
		for (at = at ? at + 1 : end; at < end && (*at == ' ' || *at == '\t' || *at == '\n'); at++)
			;
		return span_of(at, (size_t)(end - at));
	}
	return span_of(NULL, 0);
}

static bool begins_with(struct span s, const char *word)
{
	return s.len >= strlen(word) && strncasecmp(s.p, word, strlen(word)) == 0;
}

static bool is_on(struct span value)
{
	return begins_with(value, "on") || begins_with(value, "1") || begins_with(value, "true");
}

/* Who has the server demand TLS of its clients demands it of suimon's: suimon's own connections may have it anyway. */
static void take_secure_transport(struct request *r)
{
	struct span value;

	if (!strstr(r->st->text, "require_secure_transport"))
		return;
	value = value_of(r->sql, "require_secure_transport");
	if (value.len)
		atomic_store_explicit(&r->worker->in->secure_only, is_on(value), memory_order_relaxed);
}

/* From now on a new session would see what suimon says on its connection. */
static bool is_seen_by_all(const struct request *r)
{
	if (strstr(r->st->text, "session_track"))
		return !strstr(r->st->text, "default");
	return is_on(value_of(r->sql, "profiling"));
}

/* Errors by which a server refuses the whole statement before it does any of it: without the right, or without sense. Others may
 * come in the middle of several accounts. */
static bool is_refusal(uint16_t error)
{
	static const uint16_t refusals[] = {1044, 1045, 1064, 1065, 1142, 1143, 1193, 1227, 1228, 1229, 1238, 1370, 1410};

	for (size_t i = 0; i < countof(refusals); i++)
		if (refusals[i] == error)
			return true;
	return false;
}

bool globals_run_others(const struct request *r)
{
	const struct sql_facts *f = &r->st->facts;

	if (f->verb == SQL_CALL || f->verb == SQL_EXECUTE || f->verb == SQL_COMPOUND)
		return true;
	/* In Oracle's mode any block does; a comment may hide what the server runs; what it has prepared it could read. */
	return f->flags & SQL_F_UNKNOWN &&
	       (r->mode & SQL_MODE_ORACLE || r->lexed->has_executable_comment || r->cmd == COM_STMT_EXECUTE);
}

static bool is_whole_refusal(const struct request *r)
{
	return is_refusal(r->error) && r->s->up && r->s->up->track.results == 0 && !globals_run_others(r);
}

/* Whoever could make suimon believe that would empty the cache and the pools at will. */
static bool changed_nothing(const struct request *r)
{
	return r->cmd == COM_STMT_PREPARE || is_whole_refusal(r);
}

/* The session's connections must have chosen its schema since; the one that ran this knows what it has changed itself. */
static void change_logins(struct request *r)
{
	struct accounts *as = r->worker->in->accounts;
	struct session *s = r->s;
	uint64_t before = accounts_epoch(as);

	accounts_changed(as);
	s->chose_epoch = accounts_epoch(as);
	if (s->up && s->up->chose_epoch == before)
		s->up->chose_epoch = before + 1;
}

/* ---- what a text does not say by itself ---- */

struct looking { struct request *r; bool missing; };

static enum rc look_at_procedure(void *arg, struct span schema, struct span name)
{
	struct looking *l = arg;
	const struct statement *st = l->r->st;
	enum rc rc;

	if (st->facts.verbs & SQL_VERB(SQL_PREPARE)) /* it may be another one by the time it is executed */
		return RC_DECLINED;
	rc = catalog_keeps_accounts(l->r->worker->in->catalog, schema.len ? schema : span_of(st->schema, st->schema_len), name);
	l->missing = rc == RC_AGAIN;
	return rc == RC_AGAIN ? RC_DECLINED : rc;
}

static bool keeps_accounts(struct request *r)
{
	const struct sql_facts *f = &r->st->facts;
	struct looking l = {.r = r};
	struct catalog_accounts a = {.mode = r->mode, .names_known = !r->s->executes_anything, .arg = &l, .call = look_at_procedure};

	if (likely(f->verb == SQL_CALL && f->nroutines && !(f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI))))
		return look_at_procedure(&l, f->routines[0].schema, f->routines[0].name) == RC_OK || (l.missing && r->not_there);
	return catalog_accounts_text(&a, r->sql) == RC_OK;
}

/* Has it, for all that is known of the texts and procedures that it runs, left accounts as they were? What it may have left for an
 * EXECUTE is known no more where it need not have. */
static bool accounts_kept(struct request *r)
{
	if (keeps_accounts(r))
		return true;
	r->may_change_procedures = true;
	r->s->own_past = true; /* such do not tell what LAST_INSERT_ID() they leave */
	if (r->st->facts.verbs == SQL_VERB(SQL_PREPARE))
		r->s->executes_anything |= r->error == 0;
	else
		r->s->executes_anything = true;
	return r->st->facts.verbs == SQL_VERB(SQL_PREPARE);
}

bool globals_keep_procedures(const struct request *r)
{
	const struct sql_facts *f = &r->st->facts;

	if (f->ntables && !(f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI)))
		return true;
	return !r->may_change_procedures && !catalog_accounts_routines(r->sql);
}

/* FLUSH PRIVILEGES and DROP DATABASE as commands. */
static bool is_accounts_command(const struct request *r)
{
	return r->cmd == COM_REFRESH || r->cmd == COM_DROP_DB;
}

/* Also what SET GLOBAL changes, and what an EXECUTE of the session finds. */
static void settle_anything(struct request *r)
{
	struct instance *in = r->s->worker->in;

	r->s->executes_anything = true;
	r->s->set_global = true;
	change_logins(r);
	accounts_renew(in->accounts);
	if (in->cache)
		cache_flush(in->cache, CACHE_BY_WRITE);
}

void globals_settle(struct request *r, bool failed)
{
	struct instance *in = r->worker->in;
	bool kept;

	if (!r->st) {
		if (unlikely(command_may_be_anything(r)))
			settle_anything(r);
		else if (is_accounts_command(r) && !is_refusal(r->error))
			change_logins(r);
		return;
	}
	if (changed_nothing(r))
		return;
	kept = likely(!r->st->hides_accounts) || accounts_kept(r);
	if (r->st->changes_accounts || !kept)
		change_logins(r);
	if (unlikely(r->s->expired) && r->st->changes_accounts && !failed) { /* it has a new password, and this connection alone knows */
		atomic_store_explicit(&r->s->account->expired, false, memory_order_relaxed);
		deltas_pin(r, PIN_SESSION_STATE);
	}
	if (likely(!(r->st->facts.flags & SQL_F_GLOBAL_SET)))
		return;
	r->s->set_global = true;
	accounts_renew(in->accounts);
	if (in->cache) /* new sessions begin otherwise; other instances hear of it by this alone */
		cache_flush(in->cache, CACHE_BY_WRITE);
	if (failed)
		return;
	take_secure_transport(r);
	if (r->st->names_tracking)
		atomic_store_explicit(&in->own_tracking, is_seen_by_all(r), memory_order_relaxed);
}
