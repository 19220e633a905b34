/*
 * norm_union.c - SELECTs that a UNION repeats, folded as the fingerprint does: the text of one and a mark.
 */
#include "norm.h"

static bool starts(const char *p, const char *end, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(end - p) >= len && memcmp(p, word, len) == 0;
}

static bool name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
	       (unsigned char)c >= 0x80;
}

/* The end of the SELECT at p: where " union" stands on its own level of parentheses. NULL: there is none. */
static const char *select_end(const char *p, const char *end)
{
	int depth = 0;

	for (; p < end; p++) {
		if (*p == '(')
			depth++;
		else if (*p == ')' && --depth < 0)
			return NULL;
		else if (depth == 0 && starts(p, end, " union "))
			return p;
	}
	return NULL;
}

/* At " union ": the length of " union " or " union all ". */
static size_t union_length(const char *p, const char *end)
{
	return starts(p, end, " union all ") ? 11 : 7;
}

/* Behind the repetitions of the SELECT [p, q); *words: what joins the last of them. */
static const char *repetitions(const char *p, const char *q, const char *end, size_t *words)
{
	size_t len = (size_t)(q - p);
	const char *at = q;

	while (starts(at, end, " union ")) {
		size_t joint = union_length(at, end);
		const char *next = at + joint;

		if ((size_t)(end - next) < len || memcmp(next, p, len) != 0 ||
		    (next + len < end && name_byte(next[len])))
			break;
		at = next + len;
		*words = joint;
	}
	return at;
}

static char *write_mark(char *to, size_t words)
{
	to = mempcpy(to, " /*repeat", 9);
	to = mempcpy(to, words == 11 ? " union all" : " union", words == 11 ? 10 : 6);
	return mempcpy(to,
		       "*"
		       "/",
		       2);
}

/* The text from p on moves up, when the mark is longer than what it replaces. False: there is no room. */
static bool make_room(char *text, size_t *len, size_t cap, size_t at, size_t have, size_t need)
{
	if (have >= need)
		return true;
	if (*len + (need - have) > cap)
		return false;
	memmove(text + at + (need - have), text + at, *len - at);
	*len += need - have;
	return true;
}

size_t sql_norm_unions(char *text, size_t len, size_t cap)
{
	size_t at = 0, to = 0;

	while (at < len) {
		const char *p = text + at, *end = text + len, *q = NULL, *after;
		size_t words = 0, size, mark;

		if (starts(p, end, "select ") && (at == 0 || !name_byte(p[-1])))
			q = select_end(p, end);
		after = q ? repetitions(p, q, end, &words) : NULL;
		mark = words == 11 ? 21 : 17;
		size = q ? (size_t)(q - p) : 0;
		if (!q || after == q ||
		    !make_room(text, &len, cap, (size_t)(after - text), (size_t)(after - q), mark)) {
			text[to++] = text[at++];
			continue;
		}
		at = (size_t)(after - text);
		at += (size_t)(after - q) < mark ? mark - (size_t)(after - q) : 0;
		memmove(text + to, p, size);
		to = (size_t)(write_mark(text + to + size, words) - text);
	}
	return to;
}
