#include "catalog_rights.h"

#include <ctype.h>

#include "mem.h"

static void drop_list(struct schema_right *l)
{
	while (l) {
		struct schema_right *next = l->next;

		mem_free(l->pattern);
		mem_free(l);
		l = next;
	}
}

void rights_reset(struct rights *r)
{
	drop_list(r->granted);
	drop_list(r->revoked);
	*r = (struct rights){0};
}

static struct span after(struct span s, size_t n)
{
	return span_of(s.p + n, s.len - n);
}

static bool begins(struct span s, const char *word)
{
	size_t len = strlen(word);

	return s.len >= len && strncasecmp(s.p, word, len) == 0;
}

/* Where word stands outside of quotes and parentheses; s.len: nowhere. */
static size_t find_word(struct span s, const char *word)
{
	char quote = 0;
	int depth = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (quote) {
			quote = c == quote ? 0 : quote;
		} else if (c == '`' || c == '\'' || c == '"') {
			quote = c;
		} else if (c == '(') {
			depth++;
		} else if (c == ')') {
			depth--;
		} else if (depth == 0 && begins(after(s, i), word)) {
			return i;
		}
	}
	return s.len;
}

/* "SELECT, INSERT, UPDATE (a, b), TRIGGER": a right with columns behind it is not one on the whole. */
static unsigned read_bits(struct span list)
{
	unsigned bits = 0;

	while (list.len) {
		size_t end = find_word(list, ",");
		struct span one = span_of(list.p, end);

		while (one.len && *one.p == ' ')
			one = after(one, 1);
		while (one.len && one.p[one.len - 1] == ' ')
			one.len--;
		if (span_ieq(one, span_str("ALL PRIVILEGES")) || span_ieq(one, span_str("ALL")))
			bits |= RIGHTS_ALL;
		else if (span_ieq(one, span_str("SELECT")))
			bits |= RIGHT_SELECT;
		else if (span_ieq(one, span_str("TRIGGER")))
			bits |= RIGHT_TRIGGER;
		list = after(list, end < list.len ? end + 1 : end);
	}
	return bits;
}

/* "`shop`.*": the schema's pattern unquoted. RC_DECLINED: not on a whole schema. */
static enum rc read_schema(struct span on, struct span *out, char *room, size_t cap)
{
	size_t n = 0, i = 0;
	char quote = on.len && (*on.p == '`' || *on.p == '"') ? *on.p : 0;

	for (i = quote ? 1 : 0; i < on.len; i++) {
		if (quote && on.p[i] == quote && (i + 1 >= on.len || on.p[i + 1] != quote))
			break;
		if (quote && on.p[i] == quote)
			i++;
		else if (!quote && on.p[i] == '.')
			break;
		if (n == cap)
			return RC_DECLINED;
		room[n++] = on.p[i];
	}
	if (quote)
		i++;
	*out = span_of(room, n);
	return i < on.len && span_eq(after(on, i), span_str(".*")) ? RC_OK : RC_DECLINED;
}

static enum rc put(struct schema_right **list, struct span pattern, unsigned bits)
{
	struct schema_right *one = mem_zalloc(sizeof(*one));

	if (!one)
		return RC_ERROR;
	one->pattern = mem_dup(pattern.p, pattern.len);
	if (!one->pattern) {
		mem_free(one);
		return RC_ERROR;
	}
	one->bits = bits;
	one->next = *list;
	*list = one;
	return RC_OK;
}

enum rc rights_add(struct rights *r, struct span line)
{
	bool grant = begins(line, "GRANT "), revoke = begins(line, "REVOKE ");
	struct span list, on, schema;
	char room[512];
	size_t at;
	unsigned bits;

	if (!grant && !revoke)
		return RC_OK;
	line = after(line, grant ? 6 : 7);
	at = find_word(line, " ON ");
	if (at == line.len) /* a role */
		return RC_OK;
	list = span_of(line.p, at);
	on = after(line, at + 4);
	on.len = find_word(on, grant ? " TO " : " FROM ");
	bits = read_bits(list);
	if (bits == 0)
		return RC_OK;
	if (span_eq(on, span_str("*.*"))) {
		r->everywhere |= grant ? bits : 0;
		return RC_OK;
	}
	if (read_schema(on, &schema, room, sizeof(room)) != RC_OK)
		return RC_OK;
	return put(grant ? &r->granted : &r->revoked, schema, bits);
}

/* ---- asking ---- */

static bool same(char a, char b, bool fold)
{
	return a == b || (fold && tolower((unsigned char)a) == tolower((unsigned char)b));
}

/* A schema's name in a grant: % and _ stand for others, a backslash takes that from them. */
static bool matches(const char *p, struct span s, bool fold)
{
	const char *star = NULL;
	size_t i = 0, from = 0;

	while (i < s.len) {
		bool escaped = *p == '\\' && p[1];

		if (!escaped && *p == '%') {
			star = ++p;
			from = i;
		} else if (*p && ((!escaped && *p == '_') || same(escaped ? p[1] : *p, s.p[i], fold))) {
			p += escaped ? 2 : 1;
			i++;
		} else if (star) {
			p = star;
			i = ++from;
		} else {
			return false;
		}
	}
	while (*p == '%')
		p++;
	return *p == '\0';
}

/* Of several grants that match, the server takes one alone, by an order of its own: only what all of them say counts. */
bool rights_see_all(const struct rights *r, struct span schema, bool fold)
{
	unsigned bits = RIGHTS_ALL;
	bool any = false;

	for (const struct schema_right *l = r->revoked; l; l = l->next)
		if (matches(l->pattern, schema, fold))
			return false;
	for (const struct schema_right *l = r->granted; l; l = l->next) {
		if (!matches(l->pattern, schema, fold))
			continue;
		bits &= l->bits;
		any = true;
	}
	return ((any ? bits : 0) | r->everywhere) == RIGHTS_ALL;
}
