/*
 * facts.c - a text's facts: every statement parsed, what was found copied out of the text.
 */
#include "facts.h"

#include "mem.h"
#include "parse.h"

_Static_assert(SQL_VERBS <= 64, "more verbs than bits");

/* Verbs that say by themselves what a statement leaves behind or may write: facts of several statements have the first
 * one's verb, so these may only come first. */
static bool says_it_by_verb(enum sql_verb v)
{
	switch (v) {
	case SQL_CALL:
	case SQL_HANDLER:
	case SQL_XA:
	case SQL_SET_TRANSACTION:
	case SQL_USE:
	case SQL_GRANT:
	case SQL_REVOKE:
	case SQL_ADMIN:
	case SQL_LOCK_TABLES:
	case SQL_UNLOCK_TABLES:
	case SQL_PREPARE:
	case SQL_EXECUTE:
	case SQL_DEALLOCATE:
	case SQL_COMPOUND:
		return true;
	default:
		return false;
	}
}

/* Everything up to the end of the text; facts of several statements are their union. */
static void parse_all(struct sql_parser *p)
{
	const char *hidden = NULL;
	enum sql_verb first = SQL_OTHER;
	uint64_t flags = 0;
	unsigned n = 0;
	bool reads_anew = false;

	for (;;) {
		while (sql_accept_op(p, ';'))
			;
		if (p->t.kind == SQL_T_END || p->why)
			break;
		p->flags = 0;
		sql_statement(p);
		flags |= p->flags;
		p->verbs |= SQL_VERB(p->verb);
		if (n && says_it_by_verb(p->verb))
			hidden = "several statements, and one behind the first is of a kind that has to stand alone";
		if (n && reads_anew)
			hidden = "several statements, and one changes how the next are read";
		reads_anew |= p->reads_anew;
		if (n++ == 0)
			first = p->verb;
	}
	if (hidden)
		sql_fail(p, hidden);
	p->verb = first;
	if (n > 1)
		flags = (flags | SQL_F_MULTI) & ~SQL_F_INSERT_VALUES;
	p->flags = flags;
}

static void parse(struct sql_parser *p, struct span text, unsigned mode, bool skip_versions)
{
	sql_parser_init(p, text, mode, skip_versions);
	parse_all(p);
	if ((p->flags & SQL_F_SUBQUERY) && (p->flags & SQL_F_WRITES))
		p->flags |= SQL_F_REPLAY_UNSAFE;
	if (p->why)
		p->flags |= SQL_F_UNKNOWN;
}

/* Of the comments that some servers run and others do not: none; of one kind, that a server runs all of or none; of several. */
enum some_run { SOME_RUN_NONE, SOME_RUN_ONE_KIND, SOME_RUN_SEVERAL };

static enum some_run some_run(struct span text, unsigned mode)
{
	struct sql_token t, first = {.kind = SQL_T_END};
	struct sql_scan s;

	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t)) {
		if (t.kind != SQL_T_EXEC_OPEN || !sql_token_some_servers(&t))
			continue;
		if (first.kind != SQL_T_END && (t.maria != first.maria || t.version != first.version))
			return SOME_RUN_SEVERAL;
		first = t;
	}
	return first.kind == SQL_T_END ? SOME_RUN_NONE : SOME_RUN_ONE_KIND;
}

static bool may_depend_on_server(struct span text)
{
	for (const char *p = text.p; p && (p = memchr(p, '!', (size_t)(text.p + text.len - p))); p++)
		if (p > text.p && (p[-1] == '*' || p[-1] == 'M'))
			return true;
	return false;
}

bool sql_depends_on_server(struct span text, unsigned mode)
{
	return may_depend_on_server(text) && some_run(text, mode) != SOME_RUN_NONE;
}

struct builder {
	struct sql_facts *f;
	char *at; /* where the next name goes in f->memory */
};

/* A copy of a name with its quotes taken off; never longer than what was written. */
static struct span copy_name(struct builder *b, struct span s)
{
	char *from = b->at;
	char quote = s.len > 1 && (*s.p == '`' || *s.p == '"') ? *s.p : '\0';

	if (!quote && s.len)
		b->at = mempcpy(b->at, s.p, s.len);
	for (size_t i = 1; quote && i + 1 < s.len; i++) {
		*b->at++ = s.p[i];
		if (s.p[i] == quote && i + 2 < s.len)
			i++;
	}
	return (struct span){.p = from, .len = (size_t)(b->at - from)};
}

static bool add_table(struct builder *b, const struct sql_ref *r)
{
	struct sql_facts *f = b->f;
	struct sql_table t;
	char *mark = b->at;

	t = (struct sql_table){.read = r->read, .written = r->written};
	t.schema = copy_name(b, r->schema);
	t.name = copy_name(b, r->name);
	for (uint16_t i = 0; i < f->ntables; i++) {
		if (span_eq(f->tables[i].schema, t.schema) && span_eq(f->tables[i].name, t.name)) {
			f->tables[i].read |= t.read;
			f->tables[i].written |= t.written;
			b->at = mark;
			return true;
		}
	}
	if (f->ntables == SQL_MAX_TABLES)
		return false;
	f->tables[f->ntables++] = t;
	return true;
}

static void unknown(struct sql_facts *f, const char *why)
{
	f->flags |= SQL_F_UNKNOWN;
	if (!f->unknown_why)
		f->unknown_why = why;
}

static void add_routine(struct builder *b, const struct sql_call *c)
{
	struct sql_facts *f = b->f;
	struct sql_routine *r = &f->routines[f->nroutines++];

	r->schema = copy_name(b, c->schema);
	r->name = copy_name(b, c->name);
}

static enum rc name_of_cause(struct sql_facts *f, struct span cause)
{
	char *s;

	if (!cause.len)
		return RC_OK;
	s = mem_dup(cause.p, cause.len);
	if (!s)
		return RC_ERROR;
	for (size_t i = 0; s[i]; i++)
		if (s[i] >= 'a' && s[i] <= 'z')
			s[i] -= 32;
	f->nondeterministic = s;
	return RC_OK;
}

static size_t names_length(const struct sql_parser *p)
{
	size_t n = p->use_schema.len + p->drop_schema.len;

	for (uint16_t i = 0; i < p->nrefs; i++)
		n += p->refs[i].schema.len + p->refs[i].name.len;
	for (uint16_t i = 0; i < p->ncalls; i++)
		n += p->calls[i].schema.len + p->calls[i].name.len;
	return n;
}

/* Copies what the parser found; the text may go afterwards. */
static enum rc build(const struct sql_parser *p, struct sql_facts *f)
{
	size_t tables = p->nrefs < SQL_MAX_TABLES ? p->nrefs : SQL_MAX_TABLES;
	struct builder b = {.f = f};

	f->verb = p->verb;
	f->verbs = p->verbs;
	f->flags = p->flags;
	f->unknown_why = p->why;
	f->reads_anew = p->reads_anew;
	if (name_of_cause(f, p->nondeterministic) != RC_OK)
		return RC_ERROR;
	f->memory = mem_alloc(names_length(p) + 1);
	f->tables = tables ? mem_alloc(tables * sizeof *f->tables) : NULL;
	f->routines = p->ncalls ? mem_alloc(p->ncalls * sizeof *f->routines) : NULL;
	if (!f->memory || (tables && !f->tables) || (p->ncalls && !f->routines))
		return RC_ERROR;
	b.at = f->memory;
	f->use_schema = copy_name(&b, p->use_schema);
	f->drop_schema = copy_name(&b, p->drop_schema);
	for (uint16_t i = 0; i < p->nrefs; i++)
		if (!add_table(&b, &p->refs[i]))
			unknown(f, "too many tables");
	for (uint16_t i = 0; i < p->ncalls; i++)
		add_routine(&b, &p->calls[i]);
	return RC_OK;
}

/* Do both read, write and call these? */
static bool has_ref(const struct sql_parser *p, const struct sql_ref *r)
{
	for (uint16_t i = 0; i < p->nrefs; i++)
		if (sql_same_name(p->refs[i].schema, r->schema) && sql_same_name(p->refs[i].name, r->name) &&
		    p->refs[i].read >= r->read && p->refs[i].written >= r->written)
			return true;
	return false;
}

static bool has_call(const struct sql_parser *p, const struct sql_call *c)
{
	for (uint16_t i = 0; i < p->ncalls; i++)
		if (sql_same_name(p->calls[i].schema, c->schema) && sql_same_name(p->calls[i].name, c->name))
			return true;
	return false;
}

/* What the facts of the one say holds for the other, too. */
static bool covers(const struct sql_parser *with, const struct sql_parser *without)
{
	const uint64_t permit = SQL_F_INSERT_VALUES | SQL_F_TEMP_TABLE | SQL_F_TRX_READ_ONLY | SQL_F_SNAPSHOT | SQL_F_SESSION_SET | SQL_F_XA_END;

	for (uint16_t i = 0; i < without->nrefs; i++)
		if (!has_ref(with, &without->refs[i]))
			return false;
	for (uint16_t i = 0; i < without->ncalls; i++)
		if (!has_call(with, &without->calls[i]))
			return false;
	return !((with->flags ^ without->flags) & permit) && !(without->verbs & ~with->verbs) && without->reads_anew <= with->reads_anew &&
	       span_eq(without->use_schema, with->use_schema) && span_eq(without->drop_schema, with->drop_schema);
}

/* A comment that only some servers run: the facts are those of running it, as far as not running it would be the same
 * kind of statement, and do nothing else. False: it may be another one where it is not run. */
static bool check_without(const struct sql_parser *with, struct span text, unsigned mode, struct sql_facts *f)
{
	struct sql_parser without;

	parse(&without, text, mode, true);
	if (!without.why && !without.verbs)
		return true; /* all of it stands in the comment */
	if (with->why)
		return false;
	if (without.why)
		unknown(f, "a comment that only some servers run changes the statement");
	else if (without.verb != with->verb && without.verb != SQL_OTHER)
		unknown(f, "a comment that only some servers run changes the statement's kind");
	else if (!covers(with, &without))
		unknown(f, "a comment that only some servers run changes what the statement is about");
	else
		f->flags |= without.flags;
	return !(f->flags & SQL_F_UNKNOWN);
}

enum rc sql_facts_parse(struct span text, unsigned mode, struct sql_facts *out)
{
	struct sql_parser p;
	bool same = true;

	*out = (struct sql_facts){0};
	parse(&p, text, mode, false);
	if (build(&p, out) != RC_OK) {
		sql_facts_free(out);
		return RC_ERROR;
	}
	if (likely(!may_depend_on_server(text)))
		return RC_OK;
	switch (some_run(text, mode)) {
	case SOME_RUN_NONE:
		return RC_OK;
	case SOME_RUN_ONE_KIND:
		same = check_without(&p, text, mode, out);
		break;
	case SOME_RUN_SEVERAL: /* there are more readings than two */
		unknown(out, "comments of several kinds that only some servers run");
		same = false;
		break;
	}
	if (!same)
		out->verb = SQL_OTHER;
	return RC_OK;
}

void sql_facts_free(struct sql_facts *f)
{
	char *cause = NULL;

	memcpy(&cause, &f->nondeterministic, sizeof cause); /* owned, although its readers may not write to it */
	mem_free(cause);
	mem_free(f->tables);
	mem_free(f->routines);
	mem_free(f->memory);
	*f = (struct sql_facts){0};
}

const char *sql_verb_name(enum sql_verb v)
{
	static const char *const names[SQL_VERBS] = {
		[SQL_OTHER] = "other",
		[SQL_SELECT] = "select",
		[SQL_INSERT] = "insert",
		[SQL_REPLACE] = "replace",
		[SQL_UPDATE] = "update",
		[SQL_DELETE] = "delete",
		[SQL_LOAD] = "load",
		[SQL_TRUNCATE] = "truncate",
		[SQL_CALL] = "call",
		[SQL_DO] = "do",
		[SQL_HANDLER] = "handler",
		[SQL_VALUES] = "values",
		[SQL_TABLE] = "table",
		[SQL_BEGIN] = "begin",
		[SQL_COMMIT] = "commit",
		[SQL_ROLLBACK] = "rollback",
		[SQL_SAVEPOINT] = "savepoint",
		[SQL_ROLLBACK_TO] = "rollback_to",
		[SQL_RELEASE_SAVEPOINT] = "release_savepoint",
		[SQL_XA] = "xa",
		[SQL_SET] = "set",
		[SQL_SET_TRANSACTION] = "set_transaction",
		[SQL_USE] = "use",
		[SQL_SHOW] = "show",
		[SQL_DESCRIBE] = "describe",
		[SQL_EXPLAIN] = "explain",
		[SQL_HELP] = "help",
		[SQL_CREATE] = "create",
		[SQL_ALTER] = "alter",
		[SQL_DROP] = "drop",
		[SQL_RENAME] = "rename",
		[SQL_GRANT] = "grant",
		[SQL_REVOKE] = "revoke",
		[SQL_ADMIN] = "admin",
		[SQL_LOCK_TABLES] = "lock_tables",
		[SQL_UNLOCK_TABLES] = "unlock_tables",
		[SQL_PREPARE] = "prepare",
		[SQL_EXECUTE] = "execute",
		[SQL_DEALLOCATE] = "deallocate",
		[SQL_KILL] = "kill",
		[SQL_COMPOUND] = "compound",
	};

	return (unsigned)v < SQL_VERBS && names[v] ? names[v] : "other";
}
