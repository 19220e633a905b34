#include "announce.h"

#include <string.h>

void announce_init(struct announce *a)
{
	pthread_mutex_init(&a->lock, NULL);
	a->n = 1;
	a->slots[0].slot = ANNOUNCE_ALL;
	a->place[ANNOUNCE_ALL] = 1;
}

void announce_reset(struct announce *a)
{
	pthread_mutex_destroy(&a->lock);
}

static bool listed(const struct announce_slot *s)
{
	return s->held || s->used_ns;
}

/* The slot's place, made if there is room; else ANNOUNCE_ALL's. Under lock. */
static struct announce_slot *place_of(struct announce *a, uint16_t slot)
{
	if (a->place[slot])
		return &a->slots[a->place[slot] - 1];
	if (a->n == ANNOUNCE_MOST)
		return &a->slots[0];
	a->slots[a->n] = (struct announce_slot){.slot = slot};
	a->place[slot] = (uint16_t)++a->n;
	return &a->slots[a->n - 1];
}

bool announce_hold(struct announce *a, uint16_t *slots, unsigned n)
{
	bool known = true;

	pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < n; i++) {
		struct announce_slot *s = place_of(a, slots[i]);

		slots[i] = s->slot;
		s->held++;
		known &= s->known;
		a->wanted |= !s->sent;
	}
	pthread_mutex_unlock(&a->lock);
	return known;
}

bool announce_known(struct announce *a, const uint16_t *slots, unsigned n)
{
	bool known = true;

	pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < n; i++)
		known &= a->slots[a->place[slots[i]] - 1].known; /* held, so it has a place */
	pthread_mutex_unlock(&a->lock);
	return known;
}

void announce_release(struct announce *a, const uint16_t *slots, unsigned n, uint64_t now)
{
	pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < n; i++) {
		struct announce_slot *s = &a->slots[a->place[slots[i]] - 1];

		s->held--;
		s->used_ns = now;
	}
	pthread_mutex_unlock(&a->lock);
}

/* ---- the thread that talks to Redis ---- */

bool announce_wanted(struct announce *a)
{
	bool wanted;

	pthread_mutex_lock(&a->lock);
	wanted = a->wanted;
	pthread_mutex_unlock(&a->lock);
	return wanted;
}

bool announce_held(struct announce *a)
{
	bool held = false;

	pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < a->n; i++)
		held |= a->slots[i].held > 0;
	pthread_mutex_unlock(&a->lock);
	return held;
}

/* Under lock. The last one takes the place that becomes free. */
static void drop(struct announce *a, unsigned i)
{
	struct announce_slot *s = &a->slots[i];

	if (i == 0) {
		*s = (struct announce_slot){.slot = ANNOUNCE_ALL};
		return;
	}
	a->place[s->slot] = 0;
	*s = a->slots[--a->n];
	if (i < a->n)
		a->place[s->slot] = (uint16_t)(i + 1);
}

static bool idle(const struct announce_slot *s, uint64_t now)
{
	return !s->held && now - s->used_ns >= ANNOUNCE_LINGER_NS;
}

size_t announce_entry(struct announce *a, bool settled, uint64_t now, uint8_t bytes[ANNOUNCE_BYTES],
		      uint64_t *number)
{
	size_t len = 0;

	pthread_mutex_lock(&a->lock);
	a->wanted = false;
	*number = ++a->entry;
	for (unsigned i = a->n; i-- > 0;)
		if (settled && idle(&a->slots[i], now))
			drop(a, i);
	for (unsigned i = 0; i < a->n; i++) {
		struct announce_slot *s = &a->slots[i];

		if (!listed(s))
			continue;
		if (!s->sent)
			s->sent = *number;
		bytes[len++] = (uint8_t)s->slot;
		bytes[len++] = (uint8_t)(s->slot >> 8);
	}
	pthread_mutex_unlock(&a->lock);
	return len;
}

void announce_acknowledge(struct announce *a, uint64_t number)
{
	pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < a->n; i++)
		if (a->slots[i].sent && a->slots[i].sent <= number)
			a->slots[i].known = true;
	pthread_mutex_unlock(&a->lock);
	atomic_store_explicit(&a->late, false, memory_order_release);
}

void announce_forget(struct announce *a)
{
	pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < a->n; i++) {
		a->slots[i].known = false;
		a->slots[i].sent = 0;
	}
	a->wanted = true;
	pthread_mutex_unlock(&a->lock);
}
