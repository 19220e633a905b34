/*
 * binlog_gtids.c - MySQL's sets of GTIDs: a source's uuid, then intervals of its numbers, perhaps a tag before them.
 */
#include <string.h>

#include "binlog.h"
#include "iobuf.h"

#define UUID_TEXT 36
#define TAG_MOST 32
#define TAGGED UINT64_C(1)      /* the format of a set with tags */

struct walk {
	struct mbuf left;
	uint8_t uuid[16];
	bool source;            /* a uuid was read */
	struct span tag;        /* behind it; empty: none */
	uint64_t first, last;
};

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static enum rc read_uuid(struct walk *w)
{
	struct span text;
	unsigned n = 0;

	if (mbuf_bytes(&w->left, UUID_TEXT, &text) != RC_OK)
		return RC_ERROR;
	for (unsigned i = 0; i < UUID_TEXT; i++) {
		int digit = span_hex_digit(text.p[i]);

		if (text.p[i] == '-')
			continue;
		if (digit < 0 || n == 32)
			return RC_ERROR;
		w->uuid[n / 2] = (uint8_t)(n % 2 ? w->uuid[n / 2] | digit : digit << 4);
		n++;
	}
	w->source = n == 32;
	w->tag = (struct span){0};
	return w->source ? RC_OK : RC_ERROR;
}

static enum rc read_number(struct mbuf *m, uint64_t *out)
{
	const uint8_t *began = m->p;

	for (*out = 0; m->p < m->end && *m->p >= '0' && *m->p <= '9' && m->p - began < 19; m->p++)
		*out = *out * 10 + (uint64_t)(*m->p - '0');
	return m->p > began ? RC_OK : RC_ERROR;
}

static enum rc read_interval(struct walk *w)
{
	if (read_number(&w->left, &w->first) != RC_OK)
		return RC_ERROR;
	w->last = w->first;
	if (mbuf_left(&w->left) && *w->left.p == '-') {
		w->left.p++;
		if (read_number(&w->left, &w->last) != RC_OK)
			return RC_ERROR;
	}
	return w->first > 0 && w->last >= w->first ? RC_OK : RC_ERROR;
}

static bool begins_tag(const struct mbuf *m)
{
	return mbuf_left(m) && (((*m->p | 0x20) >= 'a' && (*m->p | 0x20) <= 'z') || *m->p == '_');
}

static enum rc read_tag(struct walk *w)
{
	const uint8_t *began = w->left.p;

	while (mbuf_left(&w->left) && *w->left.p != ':' && *w->left.p != ',')
		w->left.p++;
	w->tag = span_of(began, (size_t)(w->left.p - began));
	return w->tag.len <= TAG_MOST ? RC_OK : RC_ERROR;
}

/* RC_DECLINED: that was the last one. */
static enum rc next(struct walk *w)
{
	for (;;) {
		uint8_t c;

		if (!mbuf_left(&w->left))
			return RC_DECLINED;
		c = *w->left.p;
		if (is_space(c) || c == ',') {
			w->left.p++;
			if (c == ',')
				w->source = false;
		} else if (!w->source) {
			if (read_uuid(w) != RC_OK)
				return RC_ERROR;
		} else if (c == ':') {
			w->left.p++;
			if (!begins_tag(&w->left))
				return read_interval(w);
			if (read_tag(w) != RC_OK)
				return RC_ERROR;
		} else {
			return RC_ERROR;
		}
	}
}

bool binlog_gtids_has(struct span set, const uint8_t uuid[16], uint64_t seq)
{
	struct walk w = {.left = mbuf_of(set.p, set.len)};

	while (next(&w) == RC_OK)
		if (!w.tag.len && seq >= w.first && seq <= w.last && memcmp(w.uuid, uuid, sizeof(w.uuid)) == 0)
			return true;
	return false;
}

static enum rc put(struct iobuf *out, uint64_t v)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(v >> 8 * i);
	return iobuf_append(out, bytes, sizeof(bytes));
}

static void patch(struct iobuf *out, size_t at, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		out->data[out->start + at + i] = (uint8_t)(v >> 8 * i);
}

static bool has_tags(struct span set)
{
	struct walk w = {.left = mbuf_of(set.p, set.len)};

	while (next(&w) == RC_OK)
		if (w.tag.len)
			return true;
	return false;
}

/* Its uuid, and in a set that has tags the length of its own, doubled (the server's own form of small numbers), and that. */
static enum rc put_source(struct iobuf *out, const struct walk *w, bool tags)
{
	const uint8_t len = (uint8_t)(w->tag.len << 1);

	if (iobuf_append(out, w->uuid, sizeof(w->uuid)) != RC_OK)
		return RC_ERROR;
	if (tags && (iobuf_append(out, &len, 1) != RC_OK || iobuf_append(out, w->tag.p, w->tag.len) != RC_OK))
		return RC_ERROR;
	return put(out, 0);
}

/* How many sources, in a set that has tags (MySQL 8.3 and later) between two bytes that say so; of each, or of each tag that it has, how many
 * intervals, and these: the first, and one behind the last. */
enum rc binlog_gtids_encode(struct span set, struct iobuf *out)
{
	struct walk w = {.left = mbuf_of(set.p, set.len)};
	const bool tags = has_tags(set);
	size_t head = iobuf_len(out), source = 0;
	uint64_t sources = 0, intervals = 0;
	uint8_t uuid[16] = {0};
	struct span tag = {0};
	enum rc rc;

	if (put(out, 0) != RC_OK)
		return RC_ERROR;
	while ((rc = next(&w)) == RC_OK) {
		if (sources == 0 || memcmp(uuid, w.uuid, sizeof(uuid)) != 0 || !span_eq(tag, w.tag)) {
			memcpy(uuid, w.uuid, sizeof(uuid));
			tag = w.tag;
			if (put_source(out, &w, tags) != RC_OK)
				return RC_ERROR;
			source = iobuf_len(out) - 8;
			intervals = 0;
			sources++;
		}
		if (put(out, w.first) != RC_OK || put(out, w.last + 1) != RC_OK)
			return RC_ERROR;
		patch(out, source, ++intervals);
	}
	if (rc == RC_ERROR)
		return RC_DECLINED;
	patch(out, head, tags ? TAGGED << 56 | sources << 8 | TAGGED : sources);
	return RC_OK;
}
