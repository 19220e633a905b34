/*
 * merge.c - see merge.h. When in doubt the answer is "not to be merged": that costs time, never an outcome.
 */
#include "merge.h"

#include <ctype.h>

/* Words, each between blanks. */

/* Functions whose result depends on their arguments only, and words that may stand before a parenthesis. */
static const char timeless[] =
	" abs and as aes_encrypt bin binary ceil ceiling char coalesce compress concat concat_ws conv crc32 "
	" else field floor format from_base64 from_unixtime geomfromtext greatest hex if ifnull in inet6_aton "
	" inet_aton is_uuid json_array json_object lcase least left length linestring lower lpad ltrim "
	" makedate md5 mod not nullif or point polygon pow quote repeat replace reverse right round rpad "
	" rtrim sha sha1 sha2 st_geomfromtext st_pointfromtext substr substring then to_base64 trim truncate "
	" ucase unhex upper uuid_to_bin value values when ";
/* Each reads the clock in whole seconds when it stands without an argument. */
static const char clocks[] =
	" curdate current_date current_time current_timestamp curtime localtime localtimestamp now "
	" unix_timestamp utc_date utc_time utc_timestamp ";
/* Of these, those that need no parentheses. */
static const char bare_clocks[] =
	" current_date current_time current_timestamp localtime localtimestamp utc_date utc_time "
	" utc_timestamp ";

/* What reads rows. */
static const char readers[] = " select table with ";

struct scan {
	const char *p, *end;
	enum time_need need;
};

static bool listed(struct span word, const char *list)
{
	while (*++list) {
		size_t n = strcspn(list, " ");

		if (span_ieq(word, span_of(list, n)))
			return true;
		list += n;
	}
	return false;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	char lower = (char)(c | 0x20);

	return (lower >= 'a' && lower <= 'z') || is_digit(c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void raise_need(struct scan *s, enum time_need need)
{
	if (s->need < need)
		s->need = need;
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && isspace((unsigned char)*s->p))
		s->p++;
}

/* A doubled quote ends and begins a string, which comes to the same. */
static void scan_quoted(struct scan *s, bool backslash)
{
	char quote = *s->p++;
	const char *close = memchr(s->p, quote, (size_t)(s->end - s->p));

	if (close && (!backslash || quote == '`' || !memchr(s->p, '\\', (size_t)(close - s->p)))) {
		s->p = close + 1;
		return;
	}
	while (s->p < s->end && *s->p != quote) {
		if (backslash && quote != '`' && *s->p == '\\' && s->end - s->p > 1)
			s->p++;
		s->p++;
	}
	if (s->p < s->end)
		s->p++;
	else
		raise_need(s, TIME_NEVER);
}

static void scan_word(struct scan *s)
{
	struct span word = span_of(s->p, 0);
	bool call;

	while (s->p < s->end && is_word(*s->p)) {
		s->p++;
		word.len++;
	}
	skip_space(s);
	call = s->p < s->end && *s->p == '(';
	if (!call && is_digit(*word.p))
		return; /* no list has such */
	if (call && listed(word, clocks)) {
		s->p++;
		skip_space(s);
		raise_need(s, s->p < s->end && *s->p == ')' ? TIME_SECOND : TIME_MICRO);
	} else if (listed(word, readers) || (call && !listed(word, timeless))) {
		raise_need(s, TIME_NEVER);
	} else if (!call && listed(word, bare_clocks)) {
		raise_need(s, TIME_SECOND);
	}
}

static enum time_need need_of(struct span text, bool backslash)
{
	struct scan s = {.p = text.p, .end = text.p + text.len, .need = TIME_FREE};

	while (s.p < s.end && s.need != TIME_NEVER) {
		char c = *s.p;

		if (c == '\'' || c == '"' || c == '`')
			scan_quoted(&s, backslash);
		else if (is_word(c))
			scan_word(&s);
		else if (c == '@' || c == '#' || (c == '/' && s.end - s.p > 1 && s.p[1] == '*') ||
			 (c == '-' && s.end - s.p > 1 && s.p[1] == '-'))
			raise_need(&s, TIME_NEVER); /* variables; comments, which may hide something */
		else
			s.p++;
	}
	return s.need;
}

static bool has(struct span text, const char *word)
{
	return text.len && memmem(text.p, text.len, word, strlen(word)) != NULL;
}

static bool has_backslash_escapes(const struct queue_record *r)
{
	return !has(r->environment, "NO_BACKSLASH_ESCAPES");
}

enum time_need merge_time_need(const struct queue_record *r)
{
	bool backslash = has_backslash_escapes(r);
	enum time_need rows = need_of(merge_rows(r), backslash), tail = need_of(merge_tail(r), backslash);

	return rows > tail ? rows : tail;
}

/* Behind blanks and plain comments; executable ones and hints count as text. */
static const char *skip_comments(const char *p, const char *end)
{
	for (;;) {
		const char *close;

		while (p < end && isspace((unsigned char)*p))
			p++;
		if (end - p < 4 || p[0] != '/' || p[1] != '*' || p[2] == '!' || p[2] == '+' || p[2] == 'M')
			return p;
		close = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);
		if (!close)
			return p;
		p = close + 2;
	}
}

struct span merge_head(const struct queue_record *r)
{
	const char *end = r->sql.p + r->rows_at, *p = skip_comments(r->sql.p, end);

	return span_of(p, (size_t)(end - p));
}

struct span merge_rows(const struct queue_record *r)
{
	return span_of(r->sql.p + r->rows_at, r->rows_end - r->rows_at);
}

struct span merge_tail(const struct queue_record *r)
{
	const char *p = r->sql.p + r->rows_end, *end = r->sql.p + r->sql.len;

	if (skip_comments(p, end) == end)
		return span_of(end, 0);
	return span_of(p, (size_t)(end - p));
}

static bool has_word(struct span text, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= text.len; i++) {
		if ((i == 0 || !is_word(text.p[i - 1])) && (i + n == text.len || !is_word(text.p[i + n])) &&
		    strncasecmp(text.p + i, word, n) == 0)
			return true;
	}
	return false;
}

bool merge_possible(const struct queue_record *r, bool strict)
{
	struct span head;

	if (r->rows_end <= r->rows_at || !r->rows_at)
		return false;
	if (has(r->environment, "sql_mode"))
		strict = has(r->environment, "STRICT_TRANS_TABLES") || has(r->environment, "STRICT_ALL_TABLES");
	if (!strict)
		return false;
	head = merge_head(r);
	return !has_word(head, "ignore") && !has_word(head, "delayed");
}

/* Of two that have rows to merge: but for these, the same text in the same state. */
static bool differs_in_rows(const struct queue_record *a, const struct queue_record *b)
{
	return a->rows_at == b->rows_at && a->rows_end > a->rows_at && b->rows_end > b->rows_at &&
	       span_eq(a->environment, b->environment) && memcmp(a->sql.p, b->sql.p, a->rows_at) == 0 &&
	       span_eq(span_of(a->sql.p + a->rows_end, a->sql.len - a->rows_end),
		       span_of(b->sql.p + b->rows_end, b->sql.len - b->rows_end));
}

enum time_need merge_look(struct merge_known *known, const struct queue_record *r, bool strict)
{
	enum time_need rows;

	if (!known->r || !differs_in_rows(known->r, r)) {
		known->r = r;
		known->backslash = has_backslash_escapes(r);
		known->tail = merge_possible(r, strict) ? need_of(merge_tail(r), known->backslash) : TIME_NEVER;
	}
	if (known->tail == TIME_NEVER)
		return TIME_NEVER;
	rows = need_of(merge_rows(r), known->backslash);
	return rows > known->tail ? rows : known->tail;
}

static bool same_time(uint64_t a_us, uint64_t b_us, enum time_need need)
{
	switch (need) {
	case TIME_FREE:
		return true;
	case TIME_SECOND:
		return a_us / 1000000 == b_us / 1000000;
	case TIME_MICRO:
		return a_us == b_us;
	case TIME_NEVER:
		break;
	}
	return false;
}

bool merge_same(const struct queue_record *a, const struct queue_record *b, enum time_need need)
{
	return a->digest == b->digest && same_time(a->time_us, b->time_us, need) && a->on_error == b->on_error &&
	       span_eq(a->environment, b->environment) && span_eq(a->schema, b->schema) &&
	       span_eq(merge_head(a), merge_head(b)) && span_eq(merge_tail(a), merge_tail(b));
}
