/*
 * parse.c - the parser's ground: tokens one at a time, names, and what has been found.
 */
#include "parse.h"

#include "scan_fast.h"

void sql_parser_init(struct sql_parser *p, struct span text, unsigned mode, bool skip_versions)
{
	/* the arrays are written before they are read */
	memset(p, 0, offsetof(struct sql_parser, refs));
	sql_scan_init(&p->scan, text, mode);
	p->scan.skip_versions = skip_versions;
	if ((mode & SQL_MODE_WIDE_TRAIL) && sql_scan_ambiguous(text))
		sql_fail(p, "characters that may end in a quote or a backslash");
	sql_advance(p);
}

/* The next token that is code. */
static void next_code(struct sql_scan *s, struct sql_token *t)
{
	do
		sql_scan_next_fast(s, t);
	while (t->kind == SQL_T_COMMENT || t->kind == SQL_T_HINT || t->kind == SQL_T_EXEC_OPEN ||
	       t->kind == SQL_T_EXEC_CLOSE);
}

void sql_advance(struct sql_parser *p)
{
	if (p->why)
		return;
	p->last = p->t.text;
	p->params += p->t.kind == SQL_T_PARAM;
	next_code(&p->scan, &p->t);
	if (p->scan.broken)
		sql_fail(p, "a quote or comment has no end");
	else if (p->t.kind == SQL_T_BAD)
		sql_fail(p, "a byte that no statement holds");
}

void sql_fail(struct sql_parser *p, const char *why)
{
	if (!p->why)
		p->why = why;
	p->t = (struct sql_token){.kind = SQL_T_BAD};
}

bool sql_deeper(struct sql_parser *p)
{
	if (++p->depth <= SQL_MAX_DEPTH)
		return true;
	sql_fail(p, "nested too deeply");
	return false;
}

bool sql_accept(struct sql_parser *p, enum sql_word w)
{
	if (!sql_is(p, w))
		return false;
	sql_advance(p);
	return true;
}

bool sql_accept_op(struct sql_parser *p, unsigned op)
{
	if (!sql_is_op(p, op))
		return false;
	sql_advance(p);
	return true;
}

void sql_expect(struct sql_parser *p, enum sql_word w, const char *why)
{
	if (!sql_accept(p, w))
		sql_fail(p, why);
}

void sql_expect_op(struct sql_parser *p, unsigned op, const char *why)
{
	if (!sql_accept_op(p, op))
		sql_fail(p, why);
}

struct sql_token sql_peek(const struct sql_parser *p)
{
	struct sql_scan s = p->scan;
	struct sql_token t;

	if (p->why)
		return p->t;
	next_code(&s, &t);
	return t;
}

bool sql_peek_is(const struct sql_parser *p, enum sql_word w)
{
	struct sql_token t = sql_peek(p);

	return t.kind == SQL_T_WORD && t.word == w;
}

bool sql_peek_op(const struct sql_parser *p, unsigned op)
{
	struct sql_token t = sql_peek(p);

	return t.kind == SQL_T_OP && t.op == op;
}

bool sql_at_end(const struct sql_parser *p)
{
	return p->t.kind == SQL_T_END || p->t.kind == SQL_T_BAD || sql_is_op(p, ';');
}

bool sql_at_name(const struct sql_parser *p)
{
	if (p->t.kind == SQL_T_QUOTED)
		return true;
	if (p->t.kind != SQL_T_WORD)
		return false;
	/* behind a dot any word is a name */
	return !sql_word_is(p->t.word, SQL_WT_RESERVED) || (p->last.len == 1 && *p->last.p == '.');
}

bool sql_name(struct sql_parser *p, struct span *out)
{
	if (!sql_at_name(p)) {
		sql_fail(p, "a name was expected");
		return false;
	}
	*out = p->t.text;
	sql_advance(p);
	return true;
}

bool sql_any_word(struct sql_parser *p)
{
	switch (p->t.kind) {
	case SQL_T_WORD:
	case SQL_T_QUOTED:
	case SQL_T_STRING:
	case SQL_T_NUMBER:
	case SQL_T_BYTES:
	case SQL_T_PARAM:
	case SQL_T_USER_VAR:
		sql_advance(p);
		return true;
	default:
		return false;
	}
}

void sql_skip_parens(struct sql_parser *p)
{
	size_t open = 0;

	do {
		if (sql_is_op(p, '('))
			open++;
		else if (sql_is_op(p, ')'))
			open--;
		else if (sql_at_end(p))
			sql_fail(p, "a parenthesis has no end");
		sql_advance(p);
	} while (open && !p->why);
}

void sql_skip_statement(struct sql_parser *p)
{
	while (!sql_at_end(p))
		sql_advance(p);
}

void sql_alias(struct sql_parser *p, bool strings, struct span *out)
{
	bool as = sql_accept(p, SQL_W_AS) || (!strings && sql_accept_op(p, '=')); /* MariaDB: FROM t = alias */

	if (strings && p->t.kind == SQL_T_STRING) {
		sql_advance(p);
		return;
	}
	if (!as && (!sql_at_name(p) || (p->t.kind == SQL_T_WORD && sql_word_is(p->t.word, SQL_WT_NO_ALIAS)) ||
		    ((p->scan.mode & SQL_MODE_ORACLE) && sql_is(p, SQL_W_MINUS))))
		return;
	sql_name(p, out);
}

struct sql_parser_mark sql_mark(const struct sql_parser *p)
{
	return (struct sql_parser_mark){.scan = p->scan, .t = p->t, .last = p->last, .params = p->params};
}

void sql_rewind(struct sql_parser *p, const struct sql_parser_mark *m)
{
	if (p->why)
		return;
	p->scan = m->scan;
	p->t = m->t;
	p->last = m->last;
	p->params = m->params;
}

void sql_effects(struct sql_parser *p, uint64_t flags, struct span cause)
{
	p->flags |= flags & SQL_F_REPLAY_UNSAFE ? flags | SQL_F_UNSAFE_VALUE : flags;
	if ((flags & SQL_F_NONDETERMINISTIC) && !p->nondeterministic.len)
		p->nondeterministic = cause;
}

void sql_add_call(struct sql_parser *p, struct span schema, struct span name)
{
	for (uint16_t i = 0; i < p->ncalls; i++)
		if (sql_same_name(p->calls[i].schema, schema) && sql_same_name(p->calls[i].name, name))
			return;
	if (p->ncalls == SQL_MAX_CALLS)
		sql_fail(p, "too many stored routines");
	else
		p->calls[p->ncalls++] = (struct sql_call){.schema = schema, .name = name};
}

static bool is_cte(const struct sql_parser *p, struct span name)
{
	for (uint16_t i = 0; i < p->nctes; i++)
		if (sql_same_name(p->ctes[i], name))
			return true;
	return false;
}

static bool is_system_schema(struct span schema)
{
	static const char *const names[] = {"information_schema", "performance_schema", "mysql", "sys"};

	for (size_t i = 0; i < countof(names); i++)
		if (sql_like_name(schema, span_str(names[i])))
			return true;
	return false;
}

struct sql_ref *sql_add_ref(struct sql_parser *p, struct span schema, struct span name)
{
	if (p->why || (!schema.len && is_cte(p, name)))
		return NULL;
	if (p->nrefs == SQL_MAX_REFS) {
		sql_fail(p, "too many tables");
		return NULL;
	}
	if (is_system_schema(schema))
		p->flags |= SQL_F_SYSTEM_SCHEMA;
	p->refs[p->nrefs] = (struct sql_ref){.schema = schema, .name = name, .level = p->level};
	return &p->refs[p->nrefs++];
}

struct sql_ref *sql_table_name(struct sql_parser *p)
{
	struct span schema = {0}, name = {0};

	if (!sql_name(p, &name))
		return NULL;
	if (sql_accept_op(p, '.')) {
		schema = name;
		if (!sql_name(p, &name))
			return NULL;
	}
	return sql_add_ref(p, schema, name);
}

/* One byte of a name with its quotes taken off; -1 behind the end. *at moves on. */
static int name_byte(struct span s, size_t *at)
{
	char quote = s.len > 1 && (*s.p == '`' || *s.p == '"') ? *s.p : '\0';
	char c;

	if (quote && *at == 0)
		*at = 1;
	if (*at >= s.len - (quote ? 1 : 0) || !s.len)
		return -1;
	c = s.p[(*at)++];
	if (quote && c == quote && *at < s.len - 1)
		(*at)++;
	return (unsigned char)c;
}

static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static bool names_match(struct span a, struct span b, bool letter_case)
{
	size_t i = 0, j = 0;

	for (;;) {
		int x = name_byte(a, &i), y = name_byte(b, &j);

		if (letter_case ? x != y : lower(x) != lower(y))
			return false;
		if (x < 0)
			return true;
	}
}

bool sql_same_name(struct span a, struct span b)
{
	return names_match(a, b, true);
}

bool sql_like_name(struct span a, struct span b)
{
	return names_match(a, b, false);
}
