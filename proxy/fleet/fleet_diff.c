/*
 * fleet_diff.c - what both have at head and tail is left out; between them the longest common subsequence of lines, or, where that would
 * take too long, all of the one and then all of the other.
 */
#include "fleet_diff.h"

#include <stdint.h>
#include <string.h>

#include "mem.h"

#define TABLE_MAX ((size_t)4 * 1024 * 1024) /* cells of the table of lengths */

struct lines {
	struct span *at; /* owned */
	size_t n;
};

static enum rc split(struct span text, struct lines *out)
{
	size_t most = 1;

	for (size_t i = 0; i < text.len; i++)
		most += text.p[i] == '\n';
	*out = (struct lines){.at = mem_alloc(most * sizeof(*out->at))};
	if (!out->at)
		return RC_ERROR;
	while (text.len) {
		const char *nl = memchr(text.p, '\n', text.len);
		size_t len = nl ? (size_t)(nl - text.p) : text.len;

		out->at[out->n++] = span_of(text.p, len);
		len += nl != NULL;
		text = span_of(text.p + len, text.len - len);
	}
	return RC_OK;
}

static enum rc put(struct iobuf *out, const char *mark, const struct lines *l, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		uint8_t *p = iobuf_reserve(out, l->at[i].len + 2);

		if (!p)
			return RC_ERROR;
		p[0] = (uint8_t)mark[0];
		for (size_t k = 0; k < l->at[i].len; k++) {
			uint8_t c = (uint8_t)l->at[i].p[k];

			p[k + 1] = (c < 0x20 && c != '\t') || c == 0x7f ? '?' : c;
		}
		p[l->at[i].len + 1] = '\n';
		iobuf_commit(out, l->at[i].len + 2);
	}
	return RC_OK;
}

/* The lengths of the longest common subsequences of what is behind line i of the one and line k of the other. */
static uint16_t *lengths(const struct lines *a, const struct lines *b, size_t head, size_t na, size_t nb)
{
	size_t width = nb + 1;
	uint16_t *t = na < UINT16_MAX && nb < UINT16_MAX && (na + 1) * width <= TABLE_MAX ? mem_zalloc((na + 1) * width * sizeof(*t)) : NULL;

	for (size_t i = na; t && i-- > 0;)
		for (size_t k = nb; k-- > 0;) {
			uint16_t below = t[(i + 1) * width + k], right = t[i * width + k + 1];

			t[i * width + k] = span_eq(a->at[head + i], b->at[head + k]) ? (uint16_t)(t[(i + 1) * width + k + 1] + 1)
					 : below > right                             ? below
										     : right;
		}
	return t;
}

static enum rc put_middle(const struct lines *a, const struct lines *b, size_t head, size_t na, size_t nb, struct iobuf *out)
{
	uint16_t *t = lengths(a, b, head, na, nb);
	size_t i = 0, k = 0, width = nb + 1;
	bool same = true;
	enum rc rc = RC_OK;

	while (rc == RC_OK && (i < na || k < nb)) {
		if (t && i < na && k < nb && span_eq(a->at[head + i], b->at[head + k])) {
			i++;
			k++;
			same = true;
			continue;
		}
		if (same)
			rc = iobuf_printf(out, "@ line %zu\n", head + k + 1);
		same = false;
		if (rc != RC_OK)
			break;
		if (i < na && (k == nb || !t || t[(i + 1) * width + k] >= t[i * width + k + 1])) {
			rc = put(out, "-", a, head + i, head + i + 1);
			i++;
		} else {
			rc = put(out, "+", b, head + k, head + k + 1);
			k++;
		}
	}
	mem_free(t);
	return rc;
}

enum rc fleet_diff(struct span old, struct span new, struct iobuf *out)
{
	struct lines a, b = {.at = NULL};
	size_t head = 0, tail = 0;
	enum rc rc = split(old, &a);

	if (rc == RC_OK)
		rc = split(new, &b);
	if (rc == RC_OK) {
		while (head < a.n && head < b.n && span_eq(a.at[head], b.at[head]))
			head++;
		while (tail < a.n - head && tail < b.n - head && span_eq(a.at[a.n - 1 - tail], b.at[b.n - 1 - tail]))
			tail++;
		rc = put_middle(&a, &b, head, a.n - head - tail, b.n - head - tail, out);
	}
	mem_free(a.at);
	mem_free(b.at);
	return rc;
}
