/*
 * form.c - what a digest does not tell of a text, and the server minds: how many items each of its rows has, whether its lists
 * are lists, and what kind of literal stands where not every kind may.
 *
 *   in (1, 2) ~ in (7)        (1, 'a'), (2, 'b') ~ (3, null)        n = -1 ~ n = 'x'        the digest's folding, kept
 *   in (), in (1 2)           (1), (1, 'a', 3)                       limit 1, 5; is 5        another form each
 */
#include "digest.h"

#include <string.h>

#include "norm.h"

#define MIXER UINT64_C(0x9e3779b97f4a7c15)

/* What is mixed into a form, beside the operators; each is far from the next. */
#define PIECE_VALUE (UINT64_C(1) << 20)   /* a literal of any kind, signed or not, that is an operand */
#define PIECE_LITERAL (UINT64_C(2) << 20) /* one that need not be: and its kind */
#define PIECE_KIND (UINT64_C(3) << 20)    /* any other token */
#define PIECE_LIST (UINT64_C(4) << 20)    /* of literals, one or more */
#define PIECE_ROW (UINT64_C(5) << 20)     /* and how many it has */
#define PIECE_GROUP (UINT64_C(6) << 20)   /* parentheses around something else */
#define PIECE_ASC (UINT64_C(7) << 20)     /* a word that digests leave out where it says nothing, and some that it does not */
#define PIECE_APART (UINT64_C(8) << 20)   /* an opening parenthesis with something between it and the word before: no call of most functions */

struct form {
	struct sql_scan s;
	struct sql_token t, prev; /* this one, and the one before */
	uint64_t hash;
	bool prepared; /* placeholders may stand where literals may */
	bool odd;      /* no text that a client may send as it is */
};

static uint64_t mixed(uint64_t hash, uint64_t piece)
{
	hash = (hash + piece + 1) * MIXER;
	return hash ^ hash >> 29;
}

static void next(struct form *f)
{
	f->prev = f->t;
	sql_scan_next_code(&f->s, &f->t);
}

static bool at_end(const struct form *f)
{
	return f->t.kind == SQL_T_END || f->t.kind == SQL_T_BAD;
}

static bool is_digits(struct span s)
{
	size_t n = 0;

	while (n < s.len && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	return n == s.len;
}

/* x'4' */
static bool is_half_a_byte(const struct sql_token *t)
{
	return t->kind == SQL_T_BYTES && (t->text.p[0] | 0x20) == 'x' && t->text.len % 2 == 0;
}

static bool is_sign(const struct sql_token *t)
{
	return sql_token_is_op(t, '-') || sql_token_is_op(t, '+');
}

/* At a sign: a number behind it takes its place. */
static void join_sign(struct form *f)
{
	struct sql_scan ahead = f->s;
	struct sql_token t;

	sql_scan_next_code(&ahead, &t);
	if (t.kind != SQL_T_NUMBER)
		return;
	f->s = ahead;
	f->t = t;
}

/* Behind an operator, or a word that is as one, stands an operand: a literal of any kind. */
static bool is_operands(const struct sql_token *t)
{
	static const uint16_t words[] = {SQL_W_AND,    SQL_W_OR,   SQL_W_XOR,  SQL_W_NOT,  SQL_W_BETWEEN, SQL_W_LIKE,  SQL_W_REGEXP, SQL_W_RLIKE,
					 SQL_W_CASE, SQL_W_WHEN, SQL_W_THEN, SQL_W_ELSE, SQL_W_DIV,     SQL_W_MOD, SQL_W_WHERE};

	if (t->kind == SQL_T_OP)
		return t->op != ')';
	for (size_t i = 0; t->kind == SQL_T_WORD && i < countof(words); i++)
		if (t->word == words[i])
			return true;
	return false;
}

static bool stands_apart(const struct form *f)
{
	return sql_token_is_op(&f->t, '(') && f->prev.kind == SQL_T_WORD && f->prev.text.p + f->prev.text.len != f->t.text.p;
}

static uint64_t piece(struct form *f)
{
	bool operand = (sql_token_is_literal(&f->t) || is_sign(&f->t)) && is_operands(&f->prev);

	if (operand && is_sign(&f->t))
		join_sign(f);
	if (stands_apart(f))
		return PIECE_APART;
	if (f->t.kind == SQL_T_WORD && f->t.word == SQL_W_ASC)
		return PIECE_ASC;
	if (!sql_token_is_literal(&f->t))
		return f->t.kind == SQL_T_OP ? f->t.op : PIECE_KIND + f->t.kind;
	f->odd |= (f->t.kind == SQL_T_PARAM && !f->prepared) || is_half_a_byte(&f->t);
	if (operand)
		return PIECE_VALUE;
	return PIECE_LITERAL + 2u * f->t.kind + (f->t.kind == SQL_T_NUMBER && is_digits(f->t.text));
}

static const char *behind_blanks(const char *p, const char *end)
{
	while (p < end && sql_byte_classes[(unsigned char)*p] == SQL_C_BLANK)
		p++;
	return p;
}

/* Behind digits, or a string without a backslash; NULL: it is neither. */
static const char *behind_plain(const char *p, const char *end)
{
	const char *from = p, *close;

	if (p < end && *p == '\'') {
		close = memchr(p + 1, '\'', (size_t)(end - p - 1));
		return close && !memchr(p, '\\', (size_t)(close - p)) ? close + 1 : NULL;
	}
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p > from ? p : NULL;
}

/* At "(": how many items to its ")", where they are as plain as most are; then it is passed. 0: they are not. */
static uint64_t plain_items(struct form *f)
{
	const char *p = f->t.text.p, *end = f->s.end;
	uint64_t n = 0;

	do {
		p = behind_plain(behind_blanks(p + 1, end), end);
		if (!p)
			return 0;
		p = behind_blanks(p, end);
		n++;
	} while (p < end && *p == ',');
	if (p == end || *p != ')')
		return 0;
	f->s.p = p + 1;
	f->t.op = ')'; /* what the next token has before it */
	return n;
}

/* At "(": to the token behind its ")". What it is as a whole: a list is the same however long it is. */
static uint64_t group(struct form *f, bool list)
{
	uint64_t hash = 0, n = plain_items(f), at = 0, what = 0;
	unsigned depth = n == 0;
	bool plain = true;

	while (depth && (next(f), !at_end(f))) {
		what = piece(f);
		depth += sql_token_is_op(&f->t, '(');
		depth -= sql_token_is_op(&f->t, ')');
		if (!depth)
			break;
		plain &= what == (at++ % 2 ? ',' : PIECE_VALUE);
		hash = mixed(hash, what);
	}
	if (!at_end(f))
		next(f);
	if (!n && plain && at % 2)
		n = at / 2 + 1;
	if (n)
		return list ? PIECE_LIST : PIECE_ROW + n;
	return mixed(PIECE_GROUP, hash);
}

/* At the first one's "(". Those that follow one of their own form say nothing more. */
static void rows(struct form *f)
{
	uint64_t row = group(f, false), other;

	f->hash = mixed(f->hash, row);
	while (sql_token_is_op(&f->t, ',')) {
		next(f);
		if (!sql_token_is_op(&f->t, '(')) {
			f->hash = mixed(f->hash, ',');
			return;
		}
		other = group(f, false);
		if (other != row)
			f->hash = mixed(f->hash, other);
		row = other;
	}
}

uint64_t sql_form(struct span text, unsigned mode, bool prepared)
{
	struct form f = {.prepared = prepared};
	enum sql_word word;

	sql_scan_init(&f.s, text, mode);
	next(&f);
	while (!at_end(&f) && !f.odd) {
		word = f.t.kind == SQL_T_WORD ? (enum sql_word)f.t.word : SQL_WORD_NONE;
		f.hash = mixed(f.hash, piece(&f));
		next(&f);
		if (!sql_token_is_op(&f.t, '('))
			continue;
		if (word == SQL_W_IN)
			f.hash = mixed(f.hash, group(&f, true));
		else if (word == SQL_W_VALUES || word == SQL_W_VALUE)
			rows(&f);
	}
	return f.t.kind == SQL_T_BAD || f.s.broken || f.odd ? 0 : f.hash | 1;
}
