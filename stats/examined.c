#include "examined.h"

#include "view.h"

/* Rows of several sinks share a digest. */
static bool seen_before(const struct view *v, const struct view_row *r, uint32_t ref)
{
	for (uint32_t i = r->refs; i != ref; i = v->ref[i].next)
		if (v->ref[i].row->digest == v->ref[ref].row->digest)
			return true;
	return false;
}

static void take(struct stats_digest *d, stats_examined_fn fn, void *arg)
{
	struct span text = span_str(d->text);
	uint64_t thousandths;

	if (text.len < STATS_TEXT_MAX && fn(arg, span_str(d->schema), text, &thousandths))
		stats_set(&d->examined, thousandths + 1);
}

void stats_take_examined(struct stats *s, stats_examined_fn fn, void *arg)
{
	struct view v;

	if (view_open(s, &v) != RC_OK)
		return;
	for (size_t i = 0; i < v.count; i++)
		for (uint32_t at = v.row[i].refs; at != VIEW_NONE; at = v.ref[at].next)
			if (!seen_before(&v, &v.row[i], at))
				take(v.ref[at].row->digest, fn, arg);
	view_close(&v);
}
