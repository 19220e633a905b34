/*
 * place.c - as what each placeholder of a statement stands there. When in doubt it is an operand.
 */
#include "digest.h"

#include "norm.h"

struct place_scan {
	struct sql_scan s;
	struct sql_token before, t; /* the token before, and this one; no comments */
	unsigned depth;
	uint64_t rows, members; /* a bit a level of parentheses: it holds a row of VALUES, the members of an IN list */
	bool in_values, in_limit;
};

static void next_code(struct sql_scan *s, struct sql_token *t)
{
	do
		sql_scan_next(s, t);
	while (t->kind == SQL_T_COMMENT || t->kind == SQL_T_HINT);
}

static bool is_word(const struct sql_token *t, enum sql_word word)
{
	return t->kind == SQL_T_WORD && t->word == word;
}

static bool compares(const struct sql_token *t)
{
	return sql_token_is_op(t, '=') || sql_token_is_op(t, '<') || sql_token_is_op(t, '>') || sql_token_is_op(t, SQL_OP_LE) ||
	       sql_token_is_op(t, SQL_OP_GE) || sql_token_is_op(t, SQL_OP_NE) || sql_token_is_op(t, SQL_OP_NULLSAFE);
}

static bool ends_item(const struct sql_token *t)
{
	return sql_token_is_op(t, ',') || sql_token_is_op(t, ')');
}

/* Of a comparison or an assignment. */
static bool ends_side(const struct sql_token *t)
{
	return t->kind == SQL_T_END || ends_item(t) || sql_token_is_op(t, ';') || is_word(t, SQL_W_AND) || is_word(t, SQL_W_OR) ||
	       is_word(t, SQL_W_WHERE) || is_word(t, SQL_W_ORDER) || is_word(t, SQL_W_LIMIT) || is_word(t, SQL_W_ON) ||
	       is_word(t, SQL_W_RETURNING);
}

static enum sql_place place_of(const struct place_scan *p)
{
	uint64_t bit = p->depth < 64 ? UINT64_C(1) << p->depth : 0;
	struct sql_scan ahead = p->s;
	struct sql_token next;

	if (p->in_limit)
		return SQL_PLACE_LIMIT;
	next_code(&ahead, &next);
	if (compares(&p->before))
		return ends_side(&next) ? SQL_PLACE_SIDE : SQL_PLACE_OPERAND;
	if (!ends_item(&next) || (!sql_token_is_op(&p->before, '(') && !sql_token_is_op(&p->before, ',')))
		return SQL_PLACE_OPERAND;
	return p->rows & bit ? SQL_PLACE_ITEM : p->members & bit ? SQL_PLACE_SIDE : SQL_PLACE_OPERAND;
}

static void open_level(struct place_scan *p)
{
	bool first = is_word(&p->before, SQL_W_VALUES) || is_word(&p->before, SQL_W_VALUE);
	bool row = !p->depth && (first || (p->in_values && sql_token_is_op(&p->before, ','))), members = is_word(&p->before, SQL_W_IN);
	uint64_t bit = ++p->depth < 64 ? UINT64_C(1) << p->depth : 0;

	p->rows = row ? p->rows | bit : p->rows & ~bit;
	p->members = members ? p->members | bit : p->members & ~bit;
}

static void follow(struct place_scan *p)
{
	const struct sql_token *t = &p->t;

	if (sql_token_is_op(t, '('))
		open_level(p);
	else if (sql_token_is_op(t, ')'))
		p->depth -= p->depth > 0;
	else if (t->kind == SQL_T_WORD && !p->depth)
		p->in_values = t->word == SQL_W_VALUES || t->word == SQL_W_VALUE;
	p->in_limit = is_word(t, SQL_W_LIMIT) || (p->in_limit && (t->kind == SQL_T_PARAM || t->kind == SQL_T_NUMBER ||
								   is_word(t, SQL_W_OFFSET) || sql_token_is_op(t, ',')));
	p->before = *t;
}

/* A word behind a dot is a name. */
static void step(struct place_scan *p)
{
	next_code(&p->s, &p->t);
	if (p->t.kind == SQL_T_WORD && sql_token_is_op(&p->before, '.'))
		p->t.kind = SQL_T_QUOTED;
}

enum rc sql_places(struct span text, unsigned mode, uint16_t params, uint8_t *places)
{
	struct place_scan p = {.before.kind = SQL_T_END};
	uint16_t n = 0;

	sql_scan_init(&p.s, text, mode);
	for (step(&p); p.t.kind != SQL_T_END; step(&p)) {
		if (p.t.kind == SQL_T_PARAM) {
			if (n == params)
				return RC_ERROR;
			places[n++] = (uint8_t)place_of(&p);
		}
		follow(&p);
	}
	return n == params ? RC_OK : RC_ERROR;
}
