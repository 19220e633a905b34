#include "userlock.h"

#include "parse.h"

/* A string whose bytes are its characters, whatever the character set and the mode. */
static bool plain_string(struct sql_parser *p, struct span *out)
{
	struct span s = p->t.text;

	if (p->t.kind != SQL_T_STRING || s.len < 3 || s.p[0] != '\'')
		return false;
	*out = span_of(s.p + 1, s.len - 2);
	for (size_t i = 0; i < out->len; i++)
		if (out->p[i] < ' ' || out->p[i] > '~' || out->p[i] == '\'' || out->p[i] == '\\')
			return false;
	sql_advance(p);
	return true;
}

static bool time_limit(struct sql_parser *p)
{
	(void)sql_accept_op(p, '-');
	if (p->t.kind != SQL_T_NUMBER)
		return false;
	sql_advance(p);
	return true;
}

static enum sql_user_lock called(struct sql_parser *p, struct span *name)
{
	enum sql_user_lock what = sql_accept(p, SQL_W_GET_LOCK)            ? SQL_LOCK_TAKEN
				  : sql_accept(p, SQL_W_RELEASE_LOCK)      ? SQL_LOCK_GIVEN
				  : sql_accept(p, SQL_W_RELEASE_ALL_LOCKS) ? SQL_LOCK_ALL_GIVEN
									   : SQL_LOCK_UNTOLD;

	if (what == SQL_LOCK_UNTOLD || !sql_accept_op(p, '(') || (what != SQL_LOCK_ALL_GIVEN && !plain_string(p, name)) ||
	    (what == SQL_LOCK_TAKEN && (!sql_accept_op(p, ',') || !time_limit(p))))
		return SQL_LOCK_UNTOLD;
	return sql_accept_op(p, ')') ? what : SQL_LOCK_UNTOLD;
}

static void column_name(struct sql_parser *p)
{
	struct span name;

	if (!sql_accept(p, SQL_W_AS) && !sql_at_name(p))
		return;
	if (p->t.kind == SQL_T_STRING)
		sql_advance(p);
	else
		(void)sql_name(p, &name);
}

/* The call alone, with or without a name for its column. */
static enum sql_user_lock alone(struct span text, unsigned mode, struct span *name)
{
	enum sql_user_lock what;
	struct sql_parser p;

	sql_parser_init(&p, text, mode, false);
	if (!sql_accept(&p, SQL_W_SELECT) && !sql_accept(&p, SQL_W_DO))
		return SQL_LOCK_UNTOLD;
	what = called(&p, name);
	column_name(&p);
	while (sql_accept_op(&p, ';'))
		;
	return p.why || p.t.kind != SQL_T_END ? SQL_LOCK_UNTOLD : what;
}

static bool may_take(struct span text, unsigned mode)
{
	struct sql_parser p;

	for (sql_parser_init(&p, text, mode, false); !p.why && p.t.kind != SQL_T_END; sql_advance(&p))
		if (sql_is(&p, SQL_W_GET_LOCK))
			return true;
	return p.why != NULL;
}

enum sql_user_lock sql_user_lock(struct span text, unsigned mode, struct span *name)
{
	enum sql_user_lock what = sql_depends_on_server(text, mode) ? SQL_LOCK_UNTOLD : alone(text, mode, name);

	if (what != SQL_LOCK_UNTOLD)
		return what;
	return may_take(text, mode) ? SQL_LOCK_UNTOLD : SQL_LOCK_NONE;
}
