#include "reports.h"

#include "parse.h"

static bool is_it(struct span name)
{
	return span_ieq(name, span_str(SQL_REPORTS));
}

/* 'a,b', '*': nothing that character sets or sql_mode read in another way, or of which the server would complain. */
static bool names_of(struct sql_parser *p, struct span *names)
{
	struct span s = p->t.text;

	if (p->t.kind != SQL_T_STRING || s.len < 2 || s.p[0] != '\'')
		return false;
	*names = span_of(s.p + 1, s.len - 2);
	for (size_t i = 0; !span_eq(*names, span_str("*")) && i < names->len; i++) {
		char c = names->p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ','))
			return false;
	}
	if (span_iholds(*names, span_str("session_track"))) /* the client would be told what suimon has chosen */
		return false;
	sql_advance(p);
	return true;
}

/* @@global.session_track_system_variables */
static bool is_global_value(struct sql_parser *p)
{
	if (p->t.kind != SQL_T_SYSTEM_VAR)
		return false;
	sql_advance(p);
	if (!sql_accept(p, SQL_W_GLOBAL) || !sql_accept_op(p, '.') || p->t.kind != SQL_T_WORD || !is_it(p->t.text))
		return false;
	sql_advance(p);
	return true;
}

static bool takes_value(struct sql_parser *p, struct sql_reports *out)
{
	const char *from = p->t.text.p;
	bool understood;

	if (sql_accept(p, SQL_W_DEFAULT))
		understood = out->to_default = true;
	else if (sql_accept(p, SQL_W_CONCAT))
		understood = out->to_default = sql_accept_op(p, '(') && is_global_value(p) && sql_accept_op(p, ',') &&
					       names_of(p, &out->names) && !span_eq(out->names, span_str("*")) && sql_accept_op(p, ')');
	else
		understood = names_of(p, &out->names);
	out->value = span_of(from, (size_t)(p->last.p + p->last.len - from));
	return understood && (sql_at_end(p) || sql_is_op(p, ','));
}

/* [SESSION|LOCAL] name, @@[SESSION.|LOCAL.]name: to behind the name. */
static bool is_its_target(struct sql_parser *p)
{
	struct sql_parser_mark begin = sql_mark(p);

	if (p->t.kind == SQL_T_SYSTEM_VAR) {
		sql_advance(p);
		if ((sql_is(p, SQL_W_SESSION) || sql_is(p, SQL_W_LOCAL)) && sql_peek_op(p, '.')) {
			sql_advance(p);
			sql_advance(p);
		}
	} else if (!sql_accept(p, SQL_W_SESSION)) {
		(void)sql_accept(p, SQL_W_LOCAL);
	}
	if (p->t.kind == SQL_T_WORD && is_it(p->t.text)) {
		sql_advance(p);
		if (sql_accept_op(p, '=') || sql_accept_op(p, SQL_OP_ASSIGN))
			return true;
	}
	sql_rewind(p, &begin);
	return false;
}

/* To the comma behind an assignment, or the statement's end; false: it may have to do with what is reported, too. */
static bool skips_another(struct sql_parser *p)
{
	size_t depth = 0;

	for (; !p->why && p->t.kind != SQL_T_END && (depth || (!sql_is_op(p, ',') && !sql_at_end(p))); sql_advance(p)) {
		if (p->t.kind == SQL_T_QUOTED || p->t.kind == SQL_T_USER_VAR ||
		    (p->t.kind == SQL_T_WORD && span_iholds(p->t.text, span_str("session_track"))))
			return false;
		if (sql_is_op(p, '('))
			depth++;
		else if (sql_is_op(p, ')') && depth)
			depth--;
	}
	return !p->why;
}

/* Something else than assignments and NAMES. */
static bool is_special(const struct sql_parser *p)
{
	static const enum sql_word words[] = {SQL_W_STATEMENT, SQL_W_TRANSACTION, SQL_W_PASSWORD, SQL_W_ROLE,
					      SQL_W_DEFAULT,   SQL_W_RESOURCE,    SQL_W_GLOBAL,   SQL_W_PERSIST, SQL_W_PERSIST_ONLY};

	for (size_t i = 0; i < countof(words); i++)
		if (sql_is(p, words[i]))
			return true;
	return false;
}

enum rc sql_set_reports(struct span text, unsigned mode, struct sql_reports *out)
{
	struct sql_parser p;
	const char *first, *end; /* of what stands before it */
	bool found = false;

	*out = (struct sql_reports){0};
	sql_parser_init(&p, text, mode, false);
	/* Its parts are put in another order: no executable comment may lie across them. */
	if (!sql_accept(&p, SQL_W_SET) || span_iholds(text, span_str("/*!")) || span_iholds(text, span_str("/*M!")))
		return RC_DECLINED;
	first = end = p.t.text.p;
	do {
		if (is_special(&p))
			return RC_DECLINED;
		if (!is_its_target(&p)) {
			if (!skips_another(&p))
				return RC_DECLINED;
			end = p.last.p + p.last.len;
			continue;
		}
		if (found || !takes_value(&p, out))
			return RC_DECLINED;
		found = true;
		out->before = span_of(first, (size_t)(end - first));
		out->behind = span_of(p.last.p + p.last.len, (size_t)(text.p + text.len - p.last.p - p.last.len));
	} while (sql_accept_op(&p, ','));
	(void)sql_accept_op(&p, ';');
	return found && !p.why && p.t.kind == SQL_T_END ? RC_OK : RC_DECLINED;
}
