/*
 * scan_text.c - tokens that go on to an end of their own: strings, names in quotes, comments.
 */
#include "scan_impl.h"

/* The first of these two bytes from p on, or end. */
static const char *find_either(const char *p, const char *end, char a, char b)
{
	for (; end - p >= VEC; p += VEC) {
		vec v = vec_load(p, end);
		unsigned n = vec_run((vec)(v != (uint8_t)a) & (vec)(v != (uint8_t)b));

		if (n < VEC)
			return p + n;
	}
	while (p < end && *p != a && *p != b)
		p++;
	return p;
}

bool scan_skip_quoted(struct sql_scan *s, char quote, bool escapes)
{
	const char *p = s->p + 1, *end = s->end;

	for (;;) {
		p = find_either(p, end, quote, escapes ? '\\' : quote);
		if (end - p < 2 || (*p == quote && p[1] != quote))
			break;
		p += 2; /* a quote doubled, or an escape and what it escapes */
	}
	if (p < end && *p == quote) {
		s->p = p + 1;
		return true;
	}
	s->p = end;
	s->broken = true;
	return false;
}

void scan_quoted(struct sql_scan *s, struct sql_token *t, const char *from)
{
	char quote = *s->p;
	bool name = quote == '`' || (quote == '"' && (s->mode & SQL_MODE_ANSI_QUOTES));
	bool escapes = !name && !(s->mode & SQL_MODE_NO_BACKSLASH_ESCAPES);
	bool closed = scan_skip_quoted(s, quote, escapes);

	scan_finish(s, t, !closed ? SQL_T_BAD : name ? SQL_T_QUOTED : SQL_T_STRING, from);
	if (name)
		s->name_end = s->p;
}

/* Only hexadecimal or binary digits count; the closing quote ends it in any case. */
void scan_bytes(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;

	s->p++;
	scan_finish(s, t, scan_skip_quoted(s, '\'', false) ? SQL_T_BYTES : SQL_T_BAD, from);
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

void scan_line_comment(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;
	const char *nl = memchr(s->p, '\n', (size_t)(s->end - s->p));

	s->p = nl ? nl : s->end;
	/* MySQL ends such a comment at a NUL, MariaDB does not: neither is right for both */
	scan_finish(s, t, memchr(from, '\0', (size_t)(s->p - from)) ? SQL_T_BAD : SQL_T_COMMENT, from);
}

/* The version digits of an executable comment at s->p: five or six, or none. */
static uint32_t version_digits(struct sql_scan *s)
{
	uint32_t v = 0;
	size_t n = 0;

	while (n < 6 && is_digit(scan_ahead(s, n)))
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
		scan_finish(s, t, SQL_T_BAD, from);
		if (skip_comment(s, true))
			scan_finish(s, t, SQL_T_COMMENT, from);
		return;
	}
	s->in_exec = true;
	scan_finish(s, t, SQL_T_EXEC_OPEN, from);
}

void scan_slash(struct sql_scan *s, struct sql_token *t)
{
	const char *from = s->p;
	enum sql_token_kind kind = SQL_T_COMMENT;

	if (scan_ahead(s, 1) != '*') {
		scan_op(s, t, '/', 1);
		return;
	}
	if (scan_ahead(s, 2) == '!') {
		executable(s, t, 3);
		return;
	}
	if (scan_ahead(s, 2) == 'M' && scan_ahead(s, 3) == '!') {
		executable(s, t, 4);
		return;
	}
	if (scan_ahead(s, 2) == '+')
		kind = SQL_T_HINT;
	s->p += 2;
	scan_finish(s, t, skip_comment(s, false) ? kind : SQL_T_BAD, from);
	if (t->kind == SQL_T_BAD)
		t->text.len = (size_t)(s->end - from);
}
