/*
 * comment.c - reads comments: "suimon: word, word=value" and sqlcommenter's "key='value',key='value'".
 */
#include "comment.h"

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span trim(struct span s)
{
	while (s.len && blank(*s.p)) {
		s.p++;
		s.len--;
	}
	while (s.len && blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* What stands between a comment's marks. */
static struct span inside(struct span c)
{
	size_t head = *c.p == '#' ? 1 : 2;
	size_t tail = *c.p == '/' ? 2 : 0;

	if (c.len < head + tail)
		return (struct span){.p = c.p, .len = 0};
	return trim((struct span){.p = c.p + head, .len = c.len - head - tail});
}

/* A length of time such as 250ms, 30s, 10m, 1h; a bare number is in seconds. False when it is none. */
static bool duration(struct span s, uint64_t *ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{"", 1000000000}, {"s", 1000000000}, {"ms", 1000000}, {"m", 60000000000}, {"h", 3600000000000},
	};
	uint64_t v = 0;
	size_t i = 0;

	while (i < s.len && i < 9 && s.p[i] >= '0' && s.p[i] <= '9')
		v = v * 10 + (uint64_t)(s.p[i++] - '0');
	if (i == 0)
		return false;
	s = (struct span){.p = s.p + i, .len = s.len - i};
	for (i = 0; i < countof(units); i++) {
		if (span_ieq(s, span_str(units[i].unit)) && v <= UINT64_MAX / units[i].ns) {
			*ns = v * units[i].ns;
			return true;
		}
	}
	return false;
}

static unsigned hint(struct span word, struct sql_lexed *out)
{
	static const struct {
		const char *word;
		unsigned bit;
	} words[] = {
		{"nocache", SQL_HINT_NOCACHE}, {"primary", SQL_HINT_PRIMARY}, {"replica", SQL_HINT_REPLICA},
		{"queue", SQL_HINT_QUEUE},     {"sync", SQL_HINT_SYNC},
	};

	for (size_t i = 0; i < countof(words); i++)
		if (span_ieq(word, span_str(words[i].word)))
			return words[i].bit;
	if (word.len > 6 && span_ieq((struct span){.p = word.p, .len = 6}, span_str("cache=")) &&
	    duration((struct span){.p = word.p + 6, .len = word.len - 6}, &out->hint_cache_ns))
		return SQL_HINT_CACHE;
	if (word.len > 8 && span_ieq((struct span){.p = word.p, .len = 8}, span_str("replica="))) {
		out->hint_group = (struct span){.p = word.p + 8, .len = word.len - 8};
		return SQL_HINT_GROUP;
	}
	return SQL_HINT_BAD;
}

/* Words with commas or blanks between them. */
static void hints(struct span s, struct sql_lexed *out)
{
	size_t words = 0;

	while (s.len) {
		size_t n = 0;

		while (n < s.len && s.p[n] != ',' && !blank(s.p[n]))
			n++;
		if (n) {
			out->hints |= hint((struct span){.p = s.p, .len = n}, out);
			words++;
		}
		n += n < s.len;
		s = (struct span){.p = s.p + n, .len = s.len - n};
	}
	if (!words)
		out->hints |= SQL_HINT_BAD;
}

static bool key_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       c == '.' || c == '%' || c == '~' || c == '*';
}

/* key='value' at *s; moves behind it. False: this is no tag, and so the comment no sqlcommenter's. */
static bool tag(struct span *s, struct sql_tag *t)
{
	const char *p = s->p, *end = s->p + s->len;
	const char *value;

	while (p < end && key_byte(*p))
		p++;
	t->key = (struct span){.p = s->p, .len = (size_t)(p - s->p)};
	if (!t->key.len || end - p < 3 || p[0] != '=' || p[1] != '\'')
		return false;
	value = p += 2;
	while (p < end && *p != '\'')
		p += *p == '\\' && p + 1 < end ? 2 : 1;
	if (p >= end)
		return false;
	t->value = (struct span){.p = value, .len = (size_t)(p - value)};
	p++;
	*s = trim((struct span){.p = p, .len = (size_t)(end - p)});
	return true;
}

bool sql_tag_next(struct span *rest, char *c)
{
	const char *p = rest->p;
	size_t used = 1;

	if (!rest->len)
		return false;
	*c = p[0];
	if (p[0] == '%' && rest->len > 2 && span_hex_digit(p[1]) >= 0 && span_hex_digit(p[2]) >= 0) {
		*c = (char)(span_hex_digit(p[1]) << 4 | span_hex_digit(p[2]));
		used = 3;
	} else if (p[0] == '\\' && rest->len > 1) {
		*c = p[1];
		used = 2;
	}
	*rest = (struct span){.p = p + used, .len = rest->len - used};
	return true;
}

/* All of the comment must read as tags; else none of it counts. */
static void tags(struct span s, struct sql_lexed *out)
{
	uint16_t before = out->ntags;
	struct sql_tag t;

	while (tag(&s, &t)) {
		if (out->ntags < SQL_MAX_TAGS)
			out->tags[out->ntags++] = t;
		if (!s.len)
			return;
		if (*s.p != ',')
			break;
		s = trim((struct span){.p = s.p + 1, .len = s.len - 1});
	}
	out->ntags = before;
}

void sql_comment_read(struct span comment, struct sql_lexed *out)
{
	struct span s = inside(comment);

	if (s.len >= 7 && span_ieq((struct span){.p = s.p, .len = 7}, span_str("suimon:")))
		hints((struct span){.p = s.p + 7, .len = s.len - 7}, out);
	else if (s.len && key_byte(*s.p) && s.p[s.len - 1] == '\'')
		tags(s, out);
}
