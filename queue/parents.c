/*
 * parents.c - see parents.h.
 */
#include "parents.h"

#include <string.h>

#define MARK_EVERY_NS NS_PER_SEC
/* Between two refusals: more than back-off and a batch take was an outage, a pause, or the lane was another process'. */
#define GAP_MOST_NS (5 * NS_PER_SEC)

static void forget(struct parents *p)
{
	p->n = 0;
	p->over_ns = 0;
	p->held_seq = 0;
}

static bool is_over(const struct parents *p, uint64_t tried_ns)
{
	return p->tried_ns - tried_ns >= PARENTS_PATIENCE_NS;
}

void parents_begin(struct parents *p, uint64_t now_ns)
{
	size_t n = 0;

	if (!p->over_ns || now_ns - p->over_ns < PARENTS_PATIENCE_NS)
		return;
	p->over_ns = 0;
	while (n < p->n && is_over(p, p->mark[n].tried_ns))
		n++;
	p->n -= n;
	memmove(p->mark, p->mark + n, p->n * sizeof(p->mark[0]));
}

/* The oldest goes where there is no room: its time is over long since. */
static void add_mark(struct parents *p, uint64_t seq)
{
	if (p->n == PARENTS_MARKS)
		memmove(p->mark, p->mark + 1, --p->n * sizeof(p->mark[0]));
	p->mark[p->n++] = (struct parents_mark){.seq = seq, .tried_ns = p->tried_ns};
}

/* Since when it waits. */
static uint64_t since(struct parents *p, uint64_t seq, uint64_t last_seq)
{
	for (size_t i = 0; i < p->n; i++)
		if (seq <= p->mark[i].seq)
			return p->mark[i].tried_ns;
	add_mark(p, last_seq > seq ? last_seq : seq);
	return p->tried_ns;
}

bool parents_wait(struct parents *p, uint64_t seq, uint64_t last_seq, uint64_t now_ns)
{
	uint64_t gap = now_ns - p->asked_ns;
	const struct parents_mark *last;

	p->tried_ns += gap < GAP_MOST_NS ? gap : GAP_MOST_NS;
	p->asked_ns = now_ns;
	p->held_seq = seq;
	if (is_over(p, since(p, seq, last_seq))) {
		p->over_ns = p->over_ns ? p->over_ns : now_ns;
		return false;
	}
	last = &p->mark[p->n - 1];
	if (last_seq > last->seq && p->tried_ns - last->tried_ns >= MARK_EVERY_NS)
		add_mark(p, last_seq);
	return true;
}

void parents_came(struct parents *p, uint64_t seq)
{
	if (p->n && seq >= p->held_seq)
		forget(p);
}
