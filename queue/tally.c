/*
 * tally.c - see tally.h.
 */
#include "tally.h"

#include <string.h>

#define PARTS (TALLY_GROUPS / 4)

void tally_init(struct tally *l)
{
	pthread_mutex_init(&l->lock, NULL);
	l->n = 0;
}

void tally_destroy(struct tally *l)
{
	pthread_mutex_destroy(&l->lock);
}

/* Neighbours become one, up to a part of the whole: nobody hears earlier than before, some a little later. Two that stay
 * neighbours are more than such a part together, so that at most twice so many stay. */
static void join_neighbours(struct tally *l, uint64_t end)
{
	uint64_t most = (end - l->group[0].first) / PARTS + 1;
	size_t n = 1;

	for (size_t i = 1; i < l->n; i++) {
		uint64_t behind = i + 1 < l->n ? l->group[i + 1].first : end;

		if (behind - l->group[n - 1].first <= most)
			l->group[n - 1].upto = l->group[i].upto;
		else
			l->group[n++] = l->group[i];
	}
	l->n = n;
}

uint64_t tally_give(struct tally *l, _Atomic uint64_t *last, uint64_t seq)
{
	uint64_t number;

	pthread_mutex_lock(&l->lock);
	if (l->n == TALLY_GROUPS)
		join_neighbours(l, atomic_load(last) + 1);
	number = atomic_fetch_add(last, 1) + 1;
	l->group[l->n++] = (struct tally_group){.first = number, .upto = seq};
	pthread_mutex_unlock(&l->lock);
	return number;
}

uint64_t tally_applied(struct tally *l, uint64_t applied_seq)
{
	size_t done = 0;

	while (done < l->n && l->group[done].upto <= applied_seq)
		done++;
	l->n -= done;
	if (done)
		memmove(l->group, l->group + done, l->n * sizeof(l->group[0]));
	return l->n ? l->group[0].first - 1 : UINT64_MAX;
}
