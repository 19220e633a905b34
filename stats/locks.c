/*
 * locks.c - waits for locks: those that the server ended (a time limit, a deadlock), and those that were seen to last. Who looks
 * for the latter is elsewhere: he has a server to ask.
 */
#include "locks.h"

#include <stdio.h>

static bool is_same(const struct stats_lock *l, const struct stats_lock *k)
{
	return l->waiter == k->waiter && l->holder == k->holder && l->failed == k->failed && strcmp(l->table, k->table) == 0 &&
	       strcmp(l->user, k->user) == 0;
}

/* Lock held. The one that is the same; else a new one, which may take the place of that which has cost least. */
static struct stats_lock *place_for(struct stats *s, const struct stats_lock *k)
{
	struct stats_lock *least = &s->locks[0];

	for (unsigned i = 0; i < s->nlocks; i++) {
		if (is_same(&s->locks[i], k))
			return &s->locks[i];
		if (s->locks[i].ns < least->ns)
			least = &s->locks[i];
	}
	if (s->nlocks < STATS_LOCKS_MAX)
		least = &s->locks[s->nlocks++];
	*least = *k;
	least->first_ns = clock_mono_ns();
	return least;
}

void locks_failed(struct stats *s, const struct stats_event *e)
{
	struct stats_lock key = {.waiter = e->digest, .failed = true}, *l;

	pthread_mutex_lock(&s->lock);
	l = place_for(s, &key);
	l->deadlocks += e->lock == STATS_LOCK_DEADLOCK;
	l->timeouts += e->lock == STATS_LOCK_TIMEOUT;
	l->ns += e->total_ns;
	l->last_ns = e->start_ns + e->total_ns;
	pthread_mutex_unlock(&s->lock);
}

static void put_name(char out[STATS_TAG_MAX + 1], struct span name)
{
	(void)snprintf(out, STATS_TAG_MAX + 1, SPAN_FMT, SPAN_ARG(name));
}

void stats_lock_seen(struct stats *s, const struct stats_lock_wait *w)
{
	struct stats_lock key = {.waiter = w->waiter, .holder = w->holder}, *l;

	put_name(key.table, w->table);
	put_name(key.index, w->index);
	put_name(key.user, w->holder_user);
	pthread_mutex_lock(&s->lock);
	l = place_for(s, &key);
	l->waits += w->begins;
	l->idle += w->begins && w->holder_idle;
	l->ns += w->more_ns;
	if (w->so_far_ns > l->longest_ns)
		l->longest_ns = w->so_far_ns;
	l->last_ns = clock_mono_ns();
	pthread_mutex_unlock(&s->lock);
}

static void add_holder(struct locks_of *out, const struct stats_lock *l)
{
	unsigned at = out->nholders;

	while (at > 0 && out->holder[at - 1].ns < l->ns)
		at--;
	if (at == LOCKS_HOLDERS)
		return;
	if (out->nholders < LOCKS_HOLDERS)
		out->nholders++;
	for (unsigned i = out->nholders - 1; i > at; i--)
		out->holder[i] = out->holder[i - 1];
	out->holder[at] = *l;
}

static void add(struct locks_of *out, const struct stats_lock *l)
{
	if (out->first_ns == 0 || l->first_ns < out->first_ns)
		out->first_ns = l->first_ns;
	if (l->last_ns > out->last_ns)
		out->last_ns = l->last_ns;
	if (l->failed) {
		out->timeouts += l->timeouts;
		out->deadlocks += l->deadlocks;
		out->failed_ns += l->ns;
		return;
	}
	out->waits += l->waits;
	out->waited_ns += l->ns;
	if (l->longest_ns > out->longest_ns)
		out->longest_ns = l->longest_ns;
	add_holder(out, l);
}

enum rc locks_of(struct stats *s, uint64_t waiter, struct locks_of *out)
{
	*out = (struct locks_of){0};
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->nlocks; i++)
		if (s->locks[i].waiter == waiter)
			add(out, &s->locks[i]);
	pthread_mutex_unlock(&s->lock);
	return out->last_ns ? RC_OK : RC_DECLINED;
}
