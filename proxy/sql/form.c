/*
 * form.c - what a digest does not tell of a text, and the server minds: how many items each of its rows has, whether its lists
 * are lists, what kind of literal stands where not every kind may, and what it says where not everything may be said.
 *
 *   in (1, 2) ~ in (7)        (1, 'a'), (2, 'b') ~ (3, null)        n = -1 ~ n = 'x'        the digest's folding, kept
 *   in (), in (1 2)           (1), (1, 'a', 3)                       limit 1, 5; is 5        another form each
 *   now(6), now(9)            escape '|', escape '||'                date '2024-02-30'       told by their text
 */
#include "digest.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

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
#define PIECE_MOMENT (UINT64_C(9) << 20)  /* a date, a time, or both, that there is in every sql_mode: and of which of these it consists */
#define PIECE_APART (UINT64_C(8) << 20)   /* an opening parenthesis with something between it and the word before: no call of most functions */

struct form {
	struct sql_scan s;
	struct sql_token t, prev; /* this one, and the one before */
	uint64_t hash;
	bool sized;    /* in parentheses that may be those of char(5), decimal(5, 2), now(6) */
	bool is_not;   /* at or behind NOT: it is that of IS NOT */
	bool prepared; /* placeholders may stand where literals may */
	bool odd;      /* no text that a client may send as it is */
};

static uint64_t mixed(uint64_t hash, uint64_t piece)
{
	hash = (hash + piece + 1) * MIXER;
	return hash ^ hash >> 29;
}

static uint64_t text_of(struct span s)
{
	return XXH3_64bits(s.p, s.len);
}

/* What stands in parentheses behind it is a length or a precision, which is no operand. */
static bool is_sized(const struct sql_token *t)
{
	static const uint16_t words[] = {SQL_W_CHAR,    SQL_W_VARCHAR,      SQL_W_BINARY,            SQL_W_VARBINARY, SQL_W_DECIMAL,        SQL_W_DEC,
					 SQL_W_NUMERIC, SQL_W_FLOAT,        SQL_W_DOUBLE,            SQL_W_TIME,      SQL_W_NOW,            SQL_W_CURTIME,
					 SQL_W_SYSDATE, SQL_W_CURRENT_TIME, SQL_W_CURRENT_TIMESTAMP, SQL_W_LOCALTIME, SQL_W_LOCALTIMESTAMP, SQL_W_UTC_TIME,
					 SQL_W_UTC_TIMESTAMP};

	for (size_t i = 0; t->kind == SQL_T_WORD && i < countof(words); i++)
		if (t->word == words[i])
			return true;
	return sql_token_is_word(t, "datetime") || sql_token_is_word(t, "nchar");
}

static void next(struct form *f)
{
	f->prev = f->t;
	sql_scan_next_code(&f->s, &f->t);
	if (sql_token_is_op(&f->t, '(') || sql_token_is_op(&f->t, ')'))
		f->sized = f->t.op == '(' && is_sized(&f->prev);
	else if (f->t.kind == SQL_T_WORD && f->t.word == SQL_W_NOT)
		f->is_not = f->prev.kind == SQL_T_WORD && f->prev.word == SQL_W_IS;
}

static bool at_end(const struct form *f)
{
	return f->t.kind == SQL_T_END || f->t.kind == SQL_T_BAD;
}

static size_t digits(struct span s, const char *among)
{
	size_t n = 0;

	while (n < s.len && s.p[n] && strchr(among, s.p[n]))
		n++;
	return n;
}

static bool is_digits(struct span s)
{
	return digits(s, "0123456789") == s.len;
}

/* x'4', x'4g', b'2' */
static bool is_no_bytes(const struct sql_token *t)
{
	char first = t->kind == SQL_T_BYTES ? (char)(t->text.p[0] | 0x20) : '0';
	struct span in;

	if ((first != 'x' && first != 'b') || t->text.len < 3)
		return false;
	in = span_of(t->text.p + 2, t->text.len - 3);
	return digits(in, first == 'x' ? "0123456789abcdefABCDEF" : "01") != in.len || (first == 'x' && in.len % 2);
}

static unsigned two_digits(const char *p)
{
	return is_digits(span_of(p, 2)) ? (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0') : 100;
}

static bool is_leap(const char *year)
{
	unsigned of_century = two_digits(year + 2);

	return of_century ? of_century % 4 == 0 : two_digits(year) % 4 == 0;
}

static bool is_date(const char *p)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned month = two_digits(p + 5), day = two_digits(p + 8);

	return is_digits(span_of(p, 4)) && memcmp(p, "0000", 4) != 0 && p[4] == '-' && p[7] == '-' && month >= 1 && month <= 12 && day >= 1 &&
	       day <= (unsigned)days[month - 1] + (month == 2 && is_leap(p));
}

static bool is_time(const char *p)
{
	return two_digits(p) < 24 && p[2] == ':' && two_digits(p + 3) < 60 && p[5] == ':' && two_digits(p + 6) < 60;
}

/* '2024-01-31', '23:59:59.5', or both: which of these. 0: it is none, or may be none in some sql_mode. */
static unsigned moment(struct span quoted)
{
	const char *p = quoted.p + 1;
	size_t left = quoted.len < 2 ? 0 : quoted.len - 2;
	unsigned is = 0;

	if (left >= 10 && is_date(p)) {
		is = 1;
		p += 10;
		left -= 10;
		if (!left)
			return is;
		if (*p++ != ' ')
			return 0;
		left--;
	}
	if (left < 8 || !is_time(p))
		return 0;
	p += 8;
	left -= 8;
	is |= 2;
	if (!left)
		return is;
	return *p == '.' && left >= 2 && left <= 7 && is_digits(span_of(p + 1, left - 1)) ? is | 4 : 0;
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
static bool is_operands(const struct form *f)
{
	static const uint16_t words[] = {SQL_W_AND,    SQL_W_OR,   SQL_W_XOR,  SQL_W_NOT,  SQL_W_BETWEEN, SQL_W_LIKE,  SQL_W_REGEXP, SQL_W_RLIKE,
					 SQL_W_CASE, SQL_W_WHEN, SQL_W_THEN, SQL_W_ELSE, SQL_W_DIV,     SQL_W_MOD, SQL_W_WHERE};

	const struct sql_token *t = &f->prev;

	if (t->kind == SQL_T_OP)
		return t->op != ')' && !(f->sized && (t->op == '(' || t->op == ','));
	for (size_t i = 0; t->kind == SQL_T_WORD && i < countof(words); i++)
		if (t->word == words[i])
			return !(t->word == SQL_W_NOT && f->is_not);
	return false;
}

/* DATE, TIME, TIMESTAMP, and {d, {t, {ts: what moment() says of what may stand behind it, but for fractions. 0: another word. */
static unsigned moment_wanted(const struct sql_token *t)
{
	if (t->kind != SQL_T_WORD)
		return 0;
	if (t->word == SQL_W_DATE || sql_token_is_word(t, "d"))
		return 1;
	if (t->word == SQL_W_TIME || sql_token_is_word(t, "t"))
		return 2;
	return t->word == SQL_W_TIMESTAMP || sql_token_is_word(t, "ts") ? 3 : 0;
}

/* Where a literal is no operand, its kind is told, and its text where not every one is right. */
static uint64_t other_literal(const struct form *f)
{
	bool whole = f->t.kind == SQL_T_NUMBER && is_digits(f->t.text), string = f->t.kind == SQL_T_STRING;
	uint64_t kind = PIECE_LITERAL + 2u * f->t.kind + whole;
	unsigned wanted = string ? moment_wanted(&f->prev) : 0, is;

	if (wanted) {
		is = moment(f->t.text);
		return (is & 3) == wanted ? PIECE_MOMENT + is : mixed(kind, text_of(f->t.text)); /* MariaDB reads DATE '10:11:12' as a day of 2010 */
	}
	if (string && f->prev.kind == SQL_T_WORD && f->prev.word == SQL_W_ESCAPE)
		return mixed(kind, text_of(f->t.text));
	if (sql_token_is_literal(&f->prev)) /* only strings follow one another */
		return mixed(kind, f->prev.kind);
	if (whole && f->sized) /* a length has few digits, a precision one or two */
		return mixed(kind, f->t.text.len > 2 ? f->t.text.len : text_of(f->t.text));
	return kind;
}

/* A name of the servers' own words is shown in lower case, and a table's name is one only as it is spelt. */
static bool is_behind_word(const struct form *f)
{
	return f->t.op == '.' && f->prev.kind == SQL_T_WORD && f->prev.word != SQL_WORD_NONE;
}

static bool stands_apart(const struct form *f)
{
	return sql_token_is_op(&f->t, '(') && f->prev.kind == SQL_T_WORD && f->prev.text.p + f->prev.text.len != f->t.text.p;
}

static uint64_t piece(struct form *f)
{
	bool operand = (sql_token_is_literal(&f->t) || is_sign(&f->t)) && is_operands(f);

	if (operand && is_sign(&f->t))
		join_sign(f);
	if (stands_apart(f))
		return PIECE_APART;
	if (f->t.kind == SQL_T_WORD && f->t.word == SQL_W_ASC)
		return PIECE_ASC;
	if (f->t.kind == SQL_T_OP)
		return is_behind_word(f) ? mixed(f->t.op, text_of(f->prev.text)) : f->t.op;
	if (!sql_token_is_literal(&f->t))
		return PIECE_KIND + f->t.kind;
	f->odd |= (f->t.kind == SQL_T_PARAM && !f->prepared) || is_no_bytes(&f->t);
	return operand ? PIECE_VALUE : other_literal(f);
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
