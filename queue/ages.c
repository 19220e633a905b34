/*
 * ages.c - see ages.h.
 */
#include "ages.h"

#include <string.h>

#include "clock.h"

#define APART_NS NS_PER_SEC

/* No room: every second one, the first among them, is enough. */
static void thin_out(struct ages *a)
{
	for (size_t i = 0; i < AGES_MARKS / 2; i++)
		a->mark[i] = a->mark[2 * i];
	a->n = AGES_MARKS / 2;
	a->apart_ns *= 2;
}

void ages_note(struct ages *a, uint64_t seq, uint64_t now_ns)
{
	const struct ages_mark *last = a->n ? &a->mark[a->n - 1] : NULL;

	if (last && seq == last->seq)
		return;
	if (last && seq < last->seq)
		a->n = 0; /* the lane has lost what was behind it */
	if (!a->n)
		a->apart_ns = APART_NS;
	if (a->n >= 2 && now_ns - a->mark[a->n - 2].ns < a->apart_ns)
		a->n--; /* the last one moves with the lane's end until it is far enough from the one before */
	if (a->n == AGES_MARKS)
		thin_out(a);
	a->mark[a->n++] = (struct ages_mark){.seq = seq, .ns = now_ns};
}

/* Of those before a record the last is enough. */
static void forget_before(struct ages *a, uint64_t seq)
{
	size_t n = 0;

	while (n + 1 < a->n && a->mark[n + 1].seq < seq)
		n++;
	if (!n)
		return;
	a->n -= n;
	memmove(a->mark, a->mark + n, a->n * sizeof(a->mark[0]));
	if (a->n == 1)
		a->apart_ns = APART_NS;
}

void ages_set(struct ages *a, uint64_t seq, uint64_t time_us, uint64_t now_ns, uint64_t wall_us)
{
	uint64_t age = wall_us > time_us ? (wall_us - time_us) * 1000 : 0;
	size_t i = 0;

	if (!time_us) {
		ages_unset(a);
		return;
	}
	a->known = true;
	a->passed = false;
	if (a->seq == seq && a->at_ns)
		return; /* it has been looked at before */
	forget_before(a, seq);
	for (; i < a->n && a->mark[i].seq < seq; i++)
		if (age > now_ns - a->mark[i].ns)
			age = now_ns - a->mark[i].ns;
	if (i < a->n && age < now_ns - a->mark[i].ns)
		age = now_ns - a->mark[i].ns;
	a->seq = seq;
	a->at_ns = now_ns;
	a->age_ns = age;
}

void ages_pass(struct ages *a)
{
	a->passed |= a->known;
	a->known = false;
}

void ages_unset(struct ages *a)
{
	a->known = a->passed = false;
}

uint64_t ages_oldest(const struct ages *a, uint64_t now_ns)
{
	return a->known || a->passed ? a->age_ns + (now_ns - a->at_ns) : 0;
}
