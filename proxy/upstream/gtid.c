#include "gtid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A decimal number ended by `stop` or the end of the text. */
static enum rc take_number(struct span *s, char stop, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	size_t i = 0;

	for (; i < s->len && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
		unsigned digit = (unsigned)(s->p[i] - '0');

		if (v > (max - digit) / 10)
			return RC_ERROR;
		v = v * 10 + digit;
	}
	if (i == 0)
		return RC_ERROR;
	if (stop) {
		if (i == s->len || s->p[i] != stop)
			return RC_ERROR;
		i++;
	}
	*s = span_of(s->p + i, s->len - i);
	*out = v;
	return RC_OK;
}

/* ---- MariaDB: domain-server-sequence,... ---- */

static enum rc parse_triples(struct span text, struct gtid_pos *out)
{
	while (text.len) {
		uint64_t domain, server, seq;

		while (text.len && (*text.p == ' ' || *text.p == '\n'))
			text = span_of(text.p + 1, text.len - 1);
		if (take_number(&text, '-', UINT32_MAX, &domain) != RC_OK ||
		    take_number(&text, '-', UINT32_MAX, &server) != RC_OK ||
		    take_number(&text, 0, UINT64_MAX, &seq) != RC_OK)
			return RC_ERROR;
		gtid_advance(out, &(struct gtid){(uint32_t)domain, (uint32_t)server, seq});
		if (text.len) {
			if (*text.p != ',')
				return RC_ERROR;
			text = span_of(text.p + 1, text.len - 1);
			if (text.len == 0)
				return RC_ERROR;
		}
	}
	return RC_OK;
}

/* ---- MySQL: uuid:[tag:]interval[:interval]...[:tag:interval...],... ---- */

static struct span trim(struct span s)
{
	while (s.len && (*s.p == ' ' || *s.p == '\n' || *s.p == '\r' || *s.p == '\t'))
		s = span_of(s.p + 1, s.len - 1);
	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\n' || s.p[s.len - 1] == '\r' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* What stands before the next `stop`, trimmed; *s goes on behind it. */
static struct span take_part(struct span *s, char stop)
{
	const char *end = memchr(s->p, stop, s->len);
	struct span part = span_of(s->p, end ? (size_t)(end - s->p) : s->len);

	*s = end ? span_of(end + 1, s->len - part.len - 1) : span_of(s->p + s->len, 0);
	return trim(part);
}

/* "7" or "3-9". An end before the beginning is an empty interval. */
static enum rc take_interval(struct span part, uint64_t *from, uint64_t *to)
{
	bool range = memchr(part.p, '-', part.len);

	if (take_number(&part, range ? '-' : 0, INT64_MAX, from) != RC_OK || *from == 0)
		return RC_ERROR;
	*to = *from;
	if (range && take_number(&part, 0, INT64_MAX, to) != RC_OK)
		return RC_ERROR;
	return part.len == 0 ? RC_OK : RC_ERROR;
}

/* Servers print intervals in their order, joined where they touch: one that does not begin at 1 comes behind a gap. */
static enum rc parse_source(struct span text, bool applied, struct gtid_pos *out)
{
	struct span uuid = take_part(&text, ':'), tag = span_of(NULL, 0);
	struct gtid g = {0};
	uint64_t from, to;

	if (text.len == 0 || text.p[text.len - 1] == ':' || gtid_source_number(uuid, tag, &g.domain) != RC_OK)
		return RC_ERROR;
	while (text.len) {
		struct span part = take_part(&text, ':');

		if (part.len && (*part.p < '0' || *part.p > '9')) {
			if (text.len == 0 || gtid_source_number(uuid, part, &g.domain) != RC_OK)
				return RC_ERROR;
			continue;
		}
		if (take_interval(part, &from, &to) != RC_OK)
			return RC_ERROR;
		g.seq = to;
		if (to >= from && (!applied || from == 1))
			gtid_advance(out, &g);
	}
	return RC_OK;
}

static enum rc parse(struct span text, bool applied, struct gtid_pos *out)
{
	memset(out, 0, sizeof(*out));
	if (!text.len || !memchr(text.p, ':', text.len))
		return parse_triples(text, out);
	while (text.len)
		if (parse_source(take_part(&text, ','), applied, out) != RC_OK)
			return RC_ERROR;
	return RC_OK;
}

enum rc gtid_parse(struct span text, struct gtid_pos *out)
{
	return parse(text, false, out);
}

enum rc gtid_parse_applied(struct span text, struct gtid_pos *out)
{
	return parse(text, true, out);
}

/* ---- both ---- */

/* A cluster is of one kind: a position of both kinds is nobody's, and means that nothing is known. */
static bool is_of_other_kind(const struct gtid_pos *pos, const struct gtid *g)
{
	return pos->n && !gtid_source_text(pos->at[0].domain) != !gtid_source_text(g->domain);
}

void gtid_advance(struct gtid_pos *pos, const struct gtid *g)
{
	for (uint8_t i = 0; i < pos->n; i++) {
		if (pos->at[i].domain == g->domain) {
			if (g->seq > pos->at[i].seq)
				pos->at[i] = *g;
			return;
		}
	}
	if (pos->n == GTID_DOMAINS || is_of_other_kind(pos, g))
		pos->overflow = true;
	else
		pos->at[pos->n++] = *g;
}

void gtid_merge(struct gtid_pos *pos, const struct gtid_pos *other)
{
	for (uint8_t i = 0; i < other->n; i++)
		gtid_advance(pos, &other->at[i]);
	pos->overflow |= other->overflow;
}

bool gtid_reached(const struct gtid_pos *server, const struct gtid_pos *wanted)
{
	if (wanted->overflow)
		return false;
	for (uint8_t i = 0; i < wanted->n; i++) {
		bool found = false;

		for (uint8_t j = 0; j < server->n && !found; j++)
			found = server->at[j].domain == wanted->at[i].domain && server->at[j].seq >= wanted->at[i].seq;
		if (!found)
			return false;
	}
	return true;
}

size_t gtid_print(const struct gtid_pos *pos, char *out)
{
	size_t len = 0;

	out[0] = '\0';
	for (uint8_t i = 0; i < pos->n; i++) {
		const struct gtid *g = &pos->at[i];
		const char *source = gtid_source_text(g->domain), *comma = i ? "," : "";
		size_t room = GTID_TEXT_CAP - len;

		if (source)
			len += (size_t)snprintf(out + len, room, "%s%s:1-%" PRIu64, comma, source, g->seq);
		else
			len += (size_t)snprintf(out + len, room, "%s%" PRIu32 "-%" PRIu32 "-%" PRIu64, comma, g->domain,
						g->server, g->seq);
	}
	return len;
}
