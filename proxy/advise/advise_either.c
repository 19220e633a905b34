/*
 * advise_either.c - a = ? OR b = ?: no single index serves both sides, but one for each does (index_merge). All sides must
 * have one, and few rows match: the server reads each of them.
 */
#include "advise_impl.h"

#define MOST_SHARE 20 /* of the rows may match in all; putting them together costs, too */

/* All of its columns are compared with literals: how many rows match can be told. */
static bool can_be_tried(const struct advise_columns *index)
{
	for (size_t i = 0; i < index->n; i++)
		if (index->at[i].test.len == 0)
			return false;
	return index->n > 0;
}

static bool same(const struct advise_columns *a, const struct advise_columns *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (!span_ieq(span_str(a->at[i].name), span_str(b->at[i].name)))
			return false;
	return a->n == b->n;
}

static void keep(struct advise_sides *out, const struct advise_columns *index)
{
	for (size_t i = 0; i < out->n; i++)
		if (same(&out->at[i], index))
			return;
	out->at[out->n++] = *index;
}

static enum rc look(struct sqlconn *c, const struct advise_table *t, struct advise_columns *side, struct advise_sides *out)
{
	struct advise_columns index;
	struct advise_sample sample;
	struct advise_known known;

	if (advise_look_columns(c, t, side) != RC_OK)
		return RC_ERROR;
	advise_choose(side, &index);
	if (!can_be_tried(&index))
		return RC_DECLINED;
	if (advise_look_order(c, t, &index) != RC_OK || advise_look_indexes(c, t, &index, &known) != RC_OK ||
	    advise_look_values(c, t, &index, &sample) != RC_OK)
		return RC_ERROR;
	if (!known.serves[0])
		keep(out, &index);
	out->sample.rows = sample.rows;
	out->sample.match += sample.match;
	return RC_OK;
}

enum rc advise_sides(struct sqlconn *c, const struct advise_table *t, const struct advise_scan *s, struct advise_sides *out)
{
	struct advise_columns side[ADVISE_MOST_SIDES];
	struct advise_sides found = {0};
	size_t n = s->condition && s->rows >= ADVISE_LEAST_ROWS
			   ? advise_either(span_str(s->condition), span_str(s->table), side)
			   : 0;
	enum rc rc = RC_OK;

	*out = found;
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = look(c, t, &side[i], &found);
	if (rc != RC_OK)
		return rc;
	if (found.n == 0 || (found.sample.rows >= ADVISE_LEAST_SAMPLE && found.sample.match * MOST_SHARE > found.sample.rows))
		return RC_DECLINED;
	*out = found;
	return RC_OK;
}
