/*
 * scan.c - cuts a statement into tokens.
 *
 * One table says what a byte may start; one small function a class does the rest. Follows sql_lex.cc of MariaDB 10.11
 * and sql_lexer.cc of MySQL 8.0: where they differ, the reading that hides less code is taken.
 */
#include "scan_fast.h"
#include "scan_impl.h"

#define FOUR(c, class) [c] = class, [(c) + 1] = class, [(c) + 2] = class, [(c) + 3] = class
#define SIXTEEN(c, class) FOUR(c, class), FOUR((c) + 4, class), FOUR((c) + 8, class), FOUR((c) + 12, class)
#define LETTERS(c, class)                                                                                              \
	FOUR(c, class), FOUR((c) + 4, class), FOUR((c) + 8, class), FOUR((c) + 12, class), FOUR((c) + 16, class),      \
		FOUR((c) + 20, class), [(c) + 24] = class, [(c) + 25] = class

const uint8_t sql_byte_classes[256] = {
	['\t'] = SQL_C_BLANK,      ['\n'] = SQL_C_BLANK,      ['\v'] = SQL_C_BLANK,      ['\f'] = SQL_C_BLANK,
	['\r'] = SQL_C_BLANK,      [' '] = SQL_C_BLANK,       LETTERS('a', SQL_C_NAME),  LETTERS('A', SQL_C_NAME),
	['_'] = SQL_C_NAME,        ['$'] = SQL_C_NAME,        SIXTEEN(0x80, SQL_C_NAME), SIXTEEN(0x90, SQL_C_NAME),
	SIXTEEN(0xa0, SQL_C_NAME), SIXTEEN(0xb0, SQL_C_NAME), SIXTEEN(0xc0, SQL_C_NAME), SIXTEEN(0xd0, SQL_C_NAME),
	SIXTEEN(0xe0, SQL_C_NAME), SIXTEEN(0xf0, SQL_C_NAME), FOUR('0', SQL_C_DIGIT),    FOUR('4', SQL_C_DIGIT),
	['8'] = SQL_C_DIGIT,       ['9'] = SQL_C_DIGIT,       ['\''] = SQL_C_QUOTE,      ['"'] = SQL_C_QUOTE,
	['`'] = SQL_C_BACKTICK,    ['('] = SQL_C_PUNCT,       [')'] = SQL_C_PUNCT,       [','] = SQL_C_PUNCT,
	[';'] = SQL_C_PUNCT,       ['='] = SQL_C_PUNCT,       ['+'] = SQL_C_PUNCT,       ['%'] = SQL_C_PUNCT,
	['^'] = SQL_C_PUNCT,       ['~'] = SQL_C_PUNCT,       ['{'] = SQL_C_PUNCT,       ['}'] = SQL_C_PUNCT,
	['['] = SQL_C_PUNCT,       [']'] = SQL_C_PUNCT,       ['.'] = SQL_C_DOT,         ['/'] = SQL_C_SLASH,
	['#'] = SQL_C_HASH,        ['-'] = SQL_C_MINUS,       ['@'] = SQL_C_AT,          ['?'] = SQL_C_PARAM,
	['*'] = SQL_C_STAR,        ['\\'] = SQL_C_BACKSLASH,  ['<'] = SQL_C_LESS,        ['>'] = SQL_C_GREATER,
	['|'] = SQL_C_TWIN,        ['&'] = SQL_C_TWIN,        [':'] = SQL_C_COLON,       ['!'] = SQL_C_BANG,
};

void sql_scan_init(struct sql_scan *s, struct span text, unsigned mode)
{
	const char *p = text.p ? text.p : "";

	*s = (struct sql_scan){.base = p, .p = p, .end = p + text.len, .mode = mode};
}

void scan_word(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p, *p = from, *end = s->end;
	char c = *from | 0x20;

	if (scan_ahead(s, 1) == '\'' && !s->name_next) {
		if (c == 'x' || c == 'b') {
			scan_bytes(s, t);
			return;
		}
		if (c == 'n') {
			s->p++;
			scan_quoted(s, t, from);
			return;
		}
	}
	while (p < end && is_name_byte(*p))
		p++;
	s->p = s->name_end = p;
	scan_finish(s, t, SQL_T_WORD, from);
	t->word = (uint16_t)sql_word_find(from, t->text.len);
	s->name_next = false;
}

static void dot(struct sql_scan *s, struct sql_token *t)
{
	bool qualifies = s->p == s->name_end;

	if (!qualifies && is_digit(scan_ahead(s, 1))) {
		scan_fraction(s, t);
		return;
	}
	scan_op(s, t, '.', 1);
	s->name_next = qualifies && s->p < s->end && is_name_byte(*s->p);
}

static void star(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;

	if (!s->in_exec || scan_ahead(s, 1) != '/') {
		scan_op(s, t, '*', 1);
		return;
	}
	s->p += 2;
	s->in_exec = false;
	scan_finish(s, t, SQL_T_EXEC_CLOSE, from);
}

static void minus(struct sql_scan *s, struct sql_token *t)
{
	char c = scan_ahead(s, 2);

	if (scan_ahead(s, 1) == '-' && ((unsigned char)c <= ' ' || c == 0x7f))
		scan_line_comment(s, t);
	else if (scan_ahead(s, 1) == '>')
		scan_op(s, t, scan_ahead(s, 2) == '>' ? SQL_OP_ARROW2 : SQL_OP_ARROW, scan_ahead(s, 2) == '>' ? 3 : 2);
	else
		scan_op(s, t, '-', 1);
}

static void at_sign(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;
	char c = scan_ahead(s, 1);

	s->p++;
	if (c == '@') {
		s->p++;
		s->name_next = s->p < s->end && is_name_byte(*s->p);
		scan_finish(s, t, SQL_T_SYSTEM_VAR, from);
	} else if (c == '\'' || c == '"' || c == '`') {
		bool escapes = c != '`' && !(s->mode & SQL_MODE_NO_BACKSLASH_ESCAPES) &&
			       !(c == '"' && (s->mode & SQL_MODE_ANSI_QUOTES));

		scan_finish(s, t, scan_skip_quoted(s, c, escapes) ? SQL_T_USER_VAR : SQL_T_BAD, from);
		t->text.len = (size_t)(s->p - from);
	} else {
		while (s->p < s->end && (is_name_byte(*s->p) || *s->p == '.'))
			s->p++;
		scan_finish(s, t, SQL_T_USER_VAR, from);
	}
}

static void less(struct sql_scan *s, struct sql_token *t)
{
	char c = scan_ahead(s, 1);

	if (c == '=' && scan_ahead(s, 2) == '>')
		scan_op(s, t, SQL_OP_NULLSAFE, 3);
	else if (c == '=' || c == '>' || c == '<')
		scan_op(s, t, c == '=' ? SQL_OP_LE : c == '>' ? SQL_OP_NE : SQL_OP_SHL, 2);
	else
		scan_op(s, t, '<', 1);
}

static void greater(struct sql_scan *s, struct sql_token *t)
{
	char c = scan_ahead(s, 1);

	if (c == '=' || c == '>')
		scan_op(s, t, c == '=' ? SQL_OP_GE : SQL_OP_SHR, 2);
	else
		scan_op(s, t, '>', 1);
}

/* | and &, alone or doubled. */
static void twin(struct sql_scan *s, struct sql_token *t)
{
	char c = *s->p;

	if (scan_ahead(s, 1) == c)
		scan_op(s, t, c == '|' ? SQL_OP_OROR : SQL_OP_ANDAND, 2);
	else
		scan_op(s, t, (unsigned char)c, 1);
}

static void one_byte(struct sql_scan *s, struct sql_token *t, enum sql_token_kind kind, size_t len)
{
	const char *from = s->p;

	s->p += len;
	scan_finish(s, t, kind, from);
}

void sql_scan_any(struct sql_scan *s, struct sql_token *t)
{
	char c = *s->p;

	switch ((enum sql_byte_class)class_of(c)) {
	case SQL_C_NAME:
		scan_word(s, t);
		break;
	case SQL_C_DIGIT:
		s->name_next ? scan_word(s, t) : scan_number(s, t);
		break;
	case SQL_C_QUOTE:
	case SQL_C_BACKTICK:
		scan_quoted(s, t, s->p);
		break;
	case SQL_C_PUNCT:
		scan_op(s, t, (unsigned char)c, 1);
		break;
	case SQL_C_DOT:
		dot(s, t);
		break;
	case SQL_C_SLASH:
		scan_slash(s, t);
		break;
	case SQL_C_HASH:
		scan_line_comment(s, t);
		break;
	case SQL_C_MINUS:
		minus(s, t);
		break;
	case SQL_C_AT:
		at_sign(s, t);
		break;
	case SQL_C_PARAM:
		one_byte(s, t, SQL_T_PARAM, 1);
		break;
	case SQL_C_STAR:
		star(s, t);
		break;
	case SQL_C_LESS:
		less(s, t);
		break;
	case SQL_C_GREATER:
		greater(s, t);
		break;
	case SQL_C_TWIN:
		twin(s, t);
		break;
	case SQL_C_COLON:
		scan_ahead(s, 1) == '=' ? scan_op(s, t, SQL_OP_ASSIGN, 2) : scan_op(s, t, ':', 1);
		break;
	case SQL_C_BANG:
		scan_ahead(s, 1) == '=' ? scan_op(s, t, SQL_OP_NE, 2) : scan_op(s, t, '!', 1);
		break;
	case SQL_C_BACKSLASH: /* \N is NULL */
		one_byte(s, t, scan_ahead(s, 1) == 'N' ? SQL_T_WORD : SQL_T_BAD, scan_ahead(s, 1) == 'N' ? 2 : 1);
		t->word = t->kind == SQL_T_WORD ? SQL_W_NULL : SQL_WORD_NONE;
		break;
	case SQL_C_BLANK:
	case SQL_C_BAD:
		one_byte(s, t, SQL_T_BAD, 1);
		break;
	}
}

void sql_scan_next(struct sql_scan *s, struct sql_token *t)
{
	sql_scan_next_fast(s, t);
}

bool sql_scan_ambiguous(struct span text)
{
	for (size_t i = 0; i + 1 < text.len; i++) {
		uint8_t next = class_of(text.p[i + 1]);

		if ((unsigned char)text.p[i] >= 0x80 && (unsigned char)text.p[i + 1] >= 0x40 && next != SQL_C_NAME)
			return true;
	}
	return false;
}
