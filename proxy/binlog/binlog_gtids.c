/*
 * binlog_gtids.c - MySQL's sets of GTIDs: a source's uuid, then intervals of its numbers, perhaps a tag before them.
 */
#include <string.h>

#include "binlog.h"
#include "iobuf.h"

#define UUID_TEXT 36

struct walk {
	struct mbuf left;
	uint8_t uuid[16];
	bool source, tagged;    /* a uuid was read; a tag behind it */
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
	w->tagged = false;
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

static void skip_tag(struct mbuf *m)
{
	while (mbuf_left(m) && *m->p != ':' && *m->p != ',')
		m->p++;
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
			w->tagged = true;
			skip_tag(&w->left);
		} else {
			return RC_ERROR;
		}
	}
}

bool binlog_gtids_has(struct span set, const uint8_t uuid[16], uint64_t seq)
{
	struct walk w = {.left = mbuf_of(set.p, set.len)};

	while (next(&w) == RC_OK)
		if (!w.tagged && seq >= w.first && seq <= w.last && memcmp(w.uuid, uuid, sizeof(w.uuid)) == 0)
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

/* How many sources; of each its uuid, how many intervals, and these: the first, and one behind the last. */
enum rc binlog_gtids_encode(struct span set, struct iobuf *out)
{
	struct walk w = {.left = mbuf_of(set.p, set.len)};
	size_t head = iobuf_len(out), source = 0;
	uint64_t sources = 0, intervals = 0;
	uint8_t uuid[16] = {0};
	enum rc rc;

	if (put(out, 0) != RC_OK)
		return RC_ERROR;
	while ((rc = next(&w)) == RC_OK) {
		if (w.tagged)
			return RC_DECLINED;
		if (sources == 0 || memcmp(uuid, w.uuid, sizeof(uuid)) != 0) {
			memcpy(uuid, w.uuid, sizeof(uuid));
			if (iobuf_append(out, uuid, sizeof(uuid)) != RC_OK)
				return RC_ERROR;
			source = iobuf_len(out);
			intervals = 0;
			sources++;
			if (put(out, 0) != RC_OK)
				return RC_ERROR;
		}
		if (put(out, w.first) != RC_OK || put(out, w.last + 1) != RC_OK)
			return RC_ERROR;
		patch(out, source, ++intervals);
	}
	if (rc == RC_ERROR)
		return RC_DECLINED;
	patch(out, head, sources);
	return RC_OK;
}
