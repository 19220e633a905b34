#include "gtid.h"

#include <inttypes.h>
#include <stdio.h>

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

enum rc gtid_parse(struct span text, struct gtid_pos *out)
{
	memset(out, 0, sizeof(*out));
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

void gtid_advance(struct gtid_pos *pos, const struct gtid *g)
{
	for (uint8_t i = 0; i < pos->n; i++) {
		if (pos->at[i].domain == g->domain) {
			if (g->seq > pos->at[i].seq)
				pos->at[i] = *g;
			return;
		}
	}
	if (pos->n == GTID_DOMAINS)
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
	for (uint8_t i = 0; i < pos->n; i++)
		len += (size_t)snprintf(out + len, GTID_TEXT_CAP - len, "%s%" PRIu32 "-%" PRIu32 "-%" PRIu64,
					i ? "," : "", pos->at[i].domain, pos->at[i].server, pos->at[i].seq);
	return len;
}
