#include "bound.h"

#include "rkey.h"

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static struct bound_table *find(struct cache_bound *b, uint16_t slot)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->table[i].slot == slot)
			return &b->table[i];
	return NULL;
}

/* Its place; if there is none left, that of the table that was shown longest ago. */
static struct bound_table *place_of(struct cache_bound *b, cache_tag table)
{
	uint16_t slot = (uint16_t)rkey_slot(table);
	struct bound_table *t = find(b, slot);

	if (t)
		return t;
	if (b->n < BOUND_TABLES) {
		t = &b->table[b->n++];
	} else {
		t = &b->table[0];
		for (unsigned i = 1; i < BOUND_TABLES; i++)
			if (b->table[i].last_ns < t->last_ns)
				t = &b->table[i];
		b->all_ns = later(b->all_ns, t->last_ns);
	}
	*t = (struct bound_table){.slot = slot};
	return t;
}

/* The oldest goes, should there be no room, and the table stands for it. */
static void put_part(struct bound_table *t, uint16_t slot, uint64_t now)
{
	unsigned at = 0;

	while (at < t->n && t->part[at] != slot)
		at++;
	if (at == BOUND_PARTS) {
		at = 0;
		for (unsigned i = 1; i < BOUND_PARTS; i++)
			if (t->part_ns[i] < t->part_ns[at])
				at = i;
		t->whole_ns = later(t->whole_ns, t->part_ns[at]);
	} else if (at == t->n) {
		t->n++;
	}
	t->part[at] = slot;
	t->part_ns[at] = now;
}

void cache_bound_table(struct cache_bound *b, cache_tag table, uint64_t now)
{
	struct bound_table *t = place_of(b, table);

	t->whole_ns = t->last_ns = b->last_ns = now;
	t->n = 0; /* none of its rows was shown later */
}

void cache_bound_rows(struct cache_bound *b, cache_tag table, const cache_tag *parts, unsigned n, uint64_t now)
{
	struct bound_table *t = place_of(b, table);

	for (unsigned i = 0; i < n; i++)
		put_part(t, (uint16_t)rkey_slot(parts[i]), now);
	t->last_ns = b->last_ns = now;
}

void cache_bound_all(struct cache_bound *b, uint64_t now)
{
	b->all_ns = b->last_ns = now;
	b->n = 0;
}

static uint64_t of_slot(const struct cache_bound *b, uint16_t slot)
{
	uint64_t ns = 0;

	for (unsigned i = 0; i < b->n; i++) {
		const struct bound_table *t = &b->table[i];

		if (t->slot == slot)
			ns = later(ns, t->whole_ns);
		for (unsigned j = 0; j < t->n; j++)
			if (t->part[j] == slot)
				ns = later(ns, t->part_ns[j]);
	}
	return ns;
}

uint64_t cache_bound_slots(const struct cache_bound *b, const uint16_t *slots, unsigned n)
{
	uint64_t ns = b->all_ns;

	for (unsigned i = 0; i < n; i++)
		ns = later(ns, of_slot(b, slots[i]));
	return ns;
}

uint64_t cache_bound_tags(const struct cache_bound *b, const cache_tag *tags, unsigned n)
{
	uint64_t ns = b->all_ns;

	for (unsigned i = 0; i < n; i++)
		ns = later(ns, of_slot(b, (uint16_t)rkey_slot(tags[i])));
	return ns;
}
