/*
 * conf_keys.c - keys that no row has, and the word that was meant.
 */
#include <stdio.h>
#include <string.h>

#include "conf_run.h"

#define ALLOWED_TEXT 512
#define WORD_MAX 40

/* Changes of one letter (put in, left out, another, two swapped) between words; the larger of the lengths when one is
 * too long to tell. Optimal string alignment, three rows. */
static size_t distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), row[3][WORD_MAX + 1];

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[la % 3][lb];
}

static const char *meant(const struct conf_table *t, const char *key)
{
	size_t best = strlen(key) < 4 ? 2 : 3; /* at most one change in a short word, two in others */
	const char *name = NULL;

	for (const struct conf_opt *o = t->opts; o->name; o++) {
		size_t d = distance(key, o->name);

		if (d < best) {
			best = d;
			name = o->name;
		}
	}
	return name;
}

void conf_key_list(const struct conf_table *t, char *buf, size_t cap)
{
	size_t at = 0;

	for (const struct conf_opt *o = t->opts; o->name && at < cap; o++)
		at += (size_t)snprintf(buf + at, cap - at, "%s%s", o == t->opts ? "" : ", ", o->name);
}

static void unknown_key(struct conf_ctx *c, const struct conf_table *t, const struct conf_node *key)
{
	char allowed[ALLOWED_TEXT] = "";
	const char *close = meant(t, key->text);
	size_t mark;

	conf_key_list(t, allowed, sizeof(allowed));
	mark = conf_enter(c, key->shown);
	if (close)
		conf_fault(c, key, "unknown key (did you mean %s?), allowed are %s", close, allowed);
	else
		conf_fault(c, key, "unknown key, allowed are %s", allowed);
	conf_leave(c, mark);
}

const struct conf_opt *conf_row(const struct conf_table *t, const char *key)
{
	for (const struct conf_opt *o = t->opts; o->name; o++)
		if (strcmp(o->name, key) == 0)
			return o;
	return NULL;
}

void conf_refuse_unknown(struct conf_ctx *c, const struct conf_table *t, const struct conf_node *n)
{
	for (const struct conf_edge *e = n->first; e; e = e->next)
		if (!e->key->bad && !conf_row(t, e->key->text))
			unknown_key(c, t, e->key);
}
