/*
 * scan.c - cuts a statement into tokens.
 *
 * One table says what a byte may start; one small function a class does the rest. Follows sql_lex.cc of MariaDB 10.11
 * and sql_lexer.cc of MySQL 8.0: where they differ, the reading that hides less code is taken.
 */
#include "scan.h"

#include "facts.h"

enum byte_class {
	C_BAD = 0,
	C_BLANK,
	C_QUOTE,
	C_BACKTICK,
	C_PUNCT,
	C_DOT,
	C_SLASH,
	C_HASH,
	C_MINUS,
	C_AT,
	C_PARAM,
	C_STAR,
	C_BACKSLASH,
	C_LESS,
	C_GREATER,
	C_TWIN,
	C_COLON,
	C_BANG,
	C_NAME,
	C_DIGIT, /* last: what a name may hold */
};

#define FOUR(c, class) [c] = class, [(c) + 1] = class, [(c) + 2] = class, [(c) + 3] = class
#define SIXTEEN(c, class) FOUR(c, class), FOUR((c) + 4, class), FOUR((c) + 8, class), FOUR((c) + 12, class)
#define LETTERS(c, class)                                                                                              \
	FOUR(c, class), FOUR((c) + 4, class), FOUR((c) + 8, class), FOUR((c) + 12, class), FOUR((c) + 16, class),      \
		FOUR((c) + 20, class), [(c) + 24] = class, [(c) + 25] = class

static const uint8_t classes[256] = {
	['\t'] = C_BLANK,      ['\n'] = C_BLANK,      ['\v'] = C_BLANK,      ['\f'] = C_BLANK,
	['\r'] = C_BLANK,      [' '] = C_BLANK,       LETTERS('a', C_NAME),  LETTERS('A', C_NAME),
	['_'] = C_NAME,        ['$'] = C_NAME,        SIXTEEN(0x80, C_NAME), SIXTEEN(0x90, C_NAME),
	SIXTEEN(0xa0, C_NAME), SIXTEEN(0xb0, C_NAME), SIXTEEN(0xc0, C_NAME), SIXTEEN(0xd0, C_NAME),
	SIXTEEN(0xe0, C_NAME), SIXTEEN(0xf0, C_NAME), FOUR('0', C_DIGIT),    FOUR('4', C_DIGIT),
	['8'] = C_DIGIT,       ['9'] = C_DIGIT,       ['\''] = C_QUOTE,      ['"'] = C_QUOTE,
	['`'] = C_BACKTICK,    ['('] = C_PUNCT,       [')'] = C_PUNCT,       [','] = C_PUNCT,
	[';'] = C_PUNCT,       ['='] = C_PUNCT,       ['+'] = C_PUNCT,       ['%'] = C_PUNCT,
	['^'] = C_PUNCT,       ['~'] = C_PUNCT,       ['{'] = C_PUNCT,       ['}'] = C_PUNCT,
	['['] = C_PUNCT,       [']'] = C_PUNCT,       ['.'] = C_DOT,         ['/'] = C_SLASH,
	['#'] = C_HASH,        ['-'] = C_MINUS,       ['@'] = C_AT,          ['?'] = C_PARAM,
	['*'] = C_STAR,        ['\\'] = C_BACKSLASH,  ['<'] = C_LESS,        ['>'] = C_GREATER,
	['|'] = C_TWIN,        ['&'] = C_TWIN,        [':'] = C_COLON,       ['!'] = C_BANG,
};

static inline uint8_t class_of(char c)
{
	return classes[(unsigned char)c];
}

static inline bool is_name_byte(char c)
{
	return class_of(c) >= C_NAME;
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The byte n places on, or NUL behind the end. */
static inline char ahead(const struct sql_scan *s, size_t n)
{
	return n < (size_t)(s->end - s->p) ? s->p[n] : '\0';
}

void sql_scan_init(struct sql_scan *s, struct span text, unsigned mode)
{
	const char *p = text.p ? text.p : "";

	*s = (struct sql_scan){.base = p, .p = p, .end = p + text.len, .mode = mode};
}

static inline void finish(struct sql_scan *s, struct sql_token *t, enum sql_token_kind kind, const char *from)
{
	t->kind = (uint8_t)kind;
	t->text = (struct span){.p = from, .len = (size_t)(s->p - from)};
}

static void op(struct sql_scan *s, struct sql_token *t, unsigned code, size_t len)
{
	const char *from = s->p;

	s->p += len;
	t->op = (uint16_t)code;
	finish(s, t, SQL_T_OP, from);
}

/* Moves behind the quote that closes what opens at s->p; false when there is none. */
static bool skip_quoted(struct sql_scan *s, char quote, bool escapes)
{
	const char *p = s->p + 1;

	while (p < s->end) {
		char c = *p++;

		if (c == '\\' && escapes) {
			p += p < s->end;
		} else if (c == quote) {
			if (p == s->end || *p != quote) {
				s->p = p;
				return true;
			}
			p++;
		}
	}
	s->p = s->end;
	s->broken = true;
	return false;
}

/* A string, or a name in double quotes, that opens at s->p; from is where its token began. */
static void quoted(struct sql_scan *s, struct sql_token *t, const char *from)
{
	char quote = *s->p;
	bool name = quote == '`' || (quote == '"' && (s->mode & SQL_MODE_ANSI_QUOTES));
	bool escapes = !name && !(s->mode & SQL_MODE_NO_BACKSLASH_ESCAPES);
	bool closed = skip_quoted(s, quote, escapes);

	finish(s, t, !closed ? SQL_T_BAD : name ? SQL_T_QUOTED : SQL_T_STRING, from);
	if (name)
		s->name_end = s->p;
}

/* x'4d' and b'1': only hexadecimal or binary digits count; the closing quote ends it in any case. */
static void bytes_literal(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;

	s->p++;
	finish(s, t, skip_quoted(s, '\'', false) ? SQL_T_BYTES : SQL_T_BAD, from);
}

static void word(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p, *p = from, *end = s->end;
	char c = *from | 0x20;

	if (ahead(s, 1) == '\'' && !s->name_next) {
		if (c == 'x' || c == 'b') {
			bytes_literal(s, t);
			return;
		}
		if (c == 'n') {
			s->p++;
			quoted(s, t, from);
			return;
		}
	}
	while (p < end && is_name_byte(*p))
		p++;
	s->p = s->name_end = p;
	finish(s, t, SQL_T_WORD, from);
	t->word = (uint16_t)sql_word_find(from, t->text.len, s->end);
	s->name_next = false;
}

/* 0x4d or 0b01 at p; the end of it, or NULL when it is something else. */
static const char *radix_literal(const char *p, const char *end)
{
	const char *q = p + 2;
	bool hex;

	if (end - p < 3 || *p != '0' || (p[1] != 'x' && p[1] != 'b'))
		return NULL;
	hex = p[1] == 'x';
	while (q < end && (hex ? is_digit(*q) || ((*q | 0x20) >= 'a' && (*q | 0x20) <= 'f') : *q == '0' || *q == '1'))
		q++;
	return q > p + 2 && (q == end || !is_name_byte(*q)) ? q : NULL;
}

static const char *digits(const char *p, const char *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

/* An exponent at p: its end, or p. */
static const char *exponent(const char *p, const char *end)
{
	const char *q = p;

	if (q == end || (*q | 0x20) != 'e')
		return p;
	q++;
	if (q < end && (*q == '+' || *q == '-'))
		q++;
	return q < end && is_digit(*q) ? digits(q, end) : p;
}

/* A number, or a name that starts with digits. */
static void number(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p, *p = radix_literal(from, s->end), *q;

	if (p) {
		s->p = p;
		finish(s, t, SQL_T_BYTES, from);
		return;
	}
	p = digits(from, s->end);
	q = exponent(p, s->end);
	if (q == p && p < s->end && is_name_byte(*p)) {
		word(s, t);
		return;
	}
	if (q == p && p < s->end && *p == '.') {
		p = digits(p + 1, s->end);
		q = exponent(p, s->end);
	}
	s->p = q;
	finish(s, t, SQL_T_NUMBER, from);
}

static void dot(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;
	bool qualifies = s->p == s->name_end;

	if (!qualifies && is_digit(ahead(s, 1))) {
		s->p = digits(s->p + 1, s->end);
		s->p = exponent(s->p, s->end);
		finish(s, t, SQL_T_NUMBER, from);
		return;
	}
	op(s, t, '.', 1);
	s->name_next = qualifies && s->p < s->end && is_name_byte(*s->p);
}

/* Moves behind the end of a comment whose opening has been read; nested: may hold one more level of comments. */
static bool skip_comment(struct sql_scan *s, bool nested)
{
	while (s->end - s->p >= 2) {
		if (s->p[0] == '*' && s->p[1] == '/') {
			s->p += 2;
			return true;
		}
		if (nested && s->p[0] == '/' && s->p[1] == '*') {
			s->p += 2;
			if (!skip_comment(s, false))
				return false;
			continue;
		}
		s->p++;
	}
	s->p = s->end;
	s->broken = true;
	return false;
}

static void line_comment(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;
	const char *nl = memchr(s->p, '\n', (size_t)(s->end - s->p));

	s->p = nl ? nl : s->end;
	/* MySQL ends such a comment at a NUL, MariaDB does not: neither is right for both */
	finish(s, t, memchr(from, '\0', (size_t)(s->p - from)) ? SQL_T_BAD : SQL_T_COMMENT, from);
}

/* The version digits of an executable comment at s->p: five or six, or none. */
static uint32_t version_digits(struct sql_scan *s)
{
	uint32_t v = 0;
	size_t n = 0;

	while (n < 6 && is_digit(ahead(s, n)))
		v = v * 10 + (uint32_t)(s->p[n++] - '0');
	if (n < 5)
		return 0;
	s->p += n;
	return v;
}

static void executable(struct sql_scan *s, struct sql_token *t, size_t opening)
{
	const char *from = s->p;

	s->p += opening;
	t->maria = opening == 4;
	t->version = version_digits(s);
	if (s->skip_versions && sql_token_some_servers(t)) {
		finish(s, t, SQL_T_BAD, from);
		if (skip_comment(s, true))
			finish(s, t, SQL_T_COMMENT, from);
		return;
	}
	s->in_exec = true;
	finish(s, t, SQL_T_EXEC_OPEN, from);
}

static void slash(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;
	enum sql_token_kind kind = SQL_T_COMMENT;

	if (ahead(s, 1) != '*') {
		op(s, t, '/', 1);
		return;
	}
	if (ahead(s, 2) == '!') {
		executable(s, t, 3);
		return;
	}
	if (ahead(s, 2) == 'M' && ahead(s, 3) == '!') {
		executable(s, t, 4);
		return;
	}
	if (ahead(s, 2) == '+')
		kind = SQL_T_HINT;
	s->p += 2;
	finish(s, t, skip_comment(s, false) ? kind : SQL_T_BAD, from);
	if (t->kind == SQL_T_BAD)
		t->text.len = (size_t)(s->end - from);
}

static void star(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;

	if (!s->in_exec || ahead(s, 1) != '/') {
		op(s, t, '*', 1);
		return;
	}
	s->p += 2;
	s->in_exec = false;
	finish(s, t, SQL_T_EXEC_CLOSE, from);
}

static void minus(struct sql_scan *s, struct sql_token *t)
{
	char c = ahead(s, 2);

	if (ahead(s, 1) == '-' && ((unsigned char)c <= ' ' || c == 0x7f))
		line_comment(s, t);
	else if (ahead(s, 1) == '>')
		op(s, t, ahead(s, 2) == '>' ? SQL_OP_ARROW2 : SQL_OP_ARROW, ahead(s, 2) == '>' ? 3 : 2);
	else
		op(s, t, '-', 1);
}

static void at_sign(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;
	char c = ahead(s, 1);

	s->p++;
	if (c == '@') {
		s->p++;
		s->name_next = s->p < s->end && is_name_byte(*s->p);
		finish(s, t, SQL_T_SYSTEM_VAR, from);
	} else if (c == '\'' || c == '"' || c == '`') {
		bool escapes = c != '`' && !(s->mode & SQL_MODE_NO_BACKSLASH_ESCAPES) &&
			       !(c == '"' && (s->mode & SQL_MODE_ANSI_QUOTES));

		finish(s, t, skip_quoted(s, c, escapes) ? SQL_T_USER_VAR : SQL_T_BAD, from);
		t->text.len = (size_t)(s->p - from);
	} else {
		while (s->p < s->end && (is_name_byte(*s->p) || *s->p == '.'))
			s->p++;
		finish(s, t, SQL_T_USER_VAR, from);
	}
}

static void less(struct sql_scan *s, struct sql_token *t)
{
	char c = ahead(s, 1);

	if (c == '=' && ahead(s, 2) == '>')
		op(s, t, SQL_OP_NULLSAFE, 3);
	else if (c == '=' || c == '>' || c == '<')
		op(s, t, c == '=' ? SQL_OP_LE : c == '>' ? SQL_OP_NE : SQL_OP_SHL, 2);
	else
		op(s, t, '<', 1);
}

static void greater(struct sql_scan *s, struct sql_token *t)
{
	char c = ahead(s, 1);

	if (c == '=' || c == '>')
		op(s, t, c == '=' ? SQL_OP_GE : SQL_OP_SHR, 2);
	else
		op(s, t, '>', 1);
}

/* | and &, alone or doubled. */
static void twin(struct sql_scan *s, struct sql_token *t)
{
	char c = *s->p;

	if (ahead(s, 1) == c)
		op(s, t, c == '|' ? SQL_OP_OROR : SQL_OP_ANDAND, 2);
	else
		op(s, t, (unsigned char)c, 1);
}

static void one_byte(struct sql_scan *s, struct sql_token *t, enum sql_token_kind kind, size_t len)
{
	const char *from = s->p;

	s->p += len;
	finish(s, t, kind, from);
}

static void dispatch(struct sql_scan *s, struct sql_token *t)
{
	char c = *s->p;

	switch ((enum byte_class)class_of(c)) {
	case C_NAME:
		word(s, t);
		break;
	case C_DIGIT:
		s->name_next ? word(s, t) : number(s, t);
		break;
	case C_QUOTE:
	case C_BACKTICK:
		quoted(s, t, s->p);
		break;
	case C_PUNCT:
		op(s, t, (unsigned char)c, 1);
		break;
	case C_DOT:
		dot(s, t);
		break;
	case C_SLASH:
		slash(s, t);
		break;
	case C_HASH:
		line_comment(s, t);
		break;
	case C_MINUS:
		minus(s, t);
		break;
	case C_AT:
		at_sign(s, t);
		break;
	case C_PARAM:
		one_byte(s, t, SQL_T_PARAM, 1);
		break;
	case C_STAR:
		star(s, t);
		break;
	case C_LESS:
		less(s, t);
		break;
	case C_GREATER:
		greater(s, t);
		break;
	case C_TWIN:
		twin(s, t);
		break;
	case C_COLON:
		ahead(s, 1) == '=' ? op(s, t, SQL_OP_ASSIGN, 2) : op(s, t, ':', 1);
		break;
	case C_BANG:
		ahead(s, 1) == '=' ? op(s, t, SQL_OP_NE, 2) : op(s, t, '!', 1);
		break;
	case C_BACKSLASH: /* \N is NULL */
		one_byte(s, t, ahead(s, 1) == 'N' ? SQL_T_WORD : SQL_T_BAD, ahead(s, 1) == 'N' ? 2 : 1);
		t->word = t->kind == SQL_T_WORD ? SQL_W_NULL : SQL_WORD_NONE;
		break;
	case C_BLANK:
	case C_BAD:
		one_byte(s, t, SQL_T_BAD, 1);
		break;
	}
}

void sql_scan_next(struct sql_scan *s, struct sql_token *t)
{
	const char *p = s->p, *end = s->end;

	while (p < end && class_of(*p) == C_BLANK)
		p++;
	*t = (struct sql_token){.blank = p != s->p};
	s->p = p;
	if (p == end) {
		s->broken |= s->in_exec;
		finish(s, t, SQL_T_END, s->p);
		return;
	}
	dispatch(s, t);
}

bool sql_scan_ambiguous(struct span text)
{
	for (size_t i = 0; i + 1 < text.len; i++) {
		uint8_t next = classes[(unsigned char)text.p[i + 1]];

		if ((unsigned char)text.p[i] >= 0x80 && (unsigned char)text.p[i + 1] >= 0x40 && next != C_NAME)
			return true;
	}
	return false;
}
