#include "entry.h"

#include <string.h>

#include "arena.h"
#include "tables.h"

#define ALLOCATION 16 /* the allocator's own bytes and rounding, at the least: store.c adds what it takes beyond that */
#define INDEX 18      /* the entry's share of the map's buckets and of the ghosts: 8 to 16 bytes of the one, 4 to 8 of the others */

static size_t charge_of(size_t bytes)
{
	return (bytes + ALLOCATION - 1) / ALLOCATION * ALLOCATION + INDEX;
}

static struct entry *from_public(const struct cache_entry *e)
{
	return (struct entry *)((uintptr_t)e - offsetof(struct entry, pub));
}

static uint32_t at_most(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void put_tags(struct entry *e, const struct entry_parts *p)
{
	uint16_t *slots;

	e->stamp = p->epoch;
	for (unsigned i = 0; i < p->ntags; i++) {
		e->stamp += p->versions[i];
		if (p->tables && tables_counts(p->tags[i]))
			e->places[e->pub.ntables++] = tables_place(p->tables, tables_key(p->tags[i]));
	}
	if (p->tables && p->rule) {
		e->places[e->pub.ntables++] = tables_place(p->tables, p->rule);
		e->ruled = true;
	}
	slots = e->places + e->pub.ntables;
	for (unsigned i = 0; i < p->ntags; i++)
		slots[i] = (uint16_t)rkey_slot(p->tags[i]);
	e->pub.ntags = (uint8_t)p->ntags;
}

static unsigned places_of(const struct entry_parts *p)
{
	unsigned n = p->rule != 0;

	if (!p->tables)
		return 0;
	for (unsigned i = 0; i < p->ntags; i++)
		n += tables_counts(p->tags[i]);
	return n;
}

/* Rounded to the past. */
static uint32_t behind(const struct entry_parts *p)
{
	uint64_t us = (p->read_ns - p->has_ns + 999) / 1000;

	return p->has_ns == 0 || p->has_ns > p->read_ns || us * 1000 > p->read_ns || us >= ENTRY_BEHIND_UNKNOWN ? ENTRY_BEHIND_UNKNOWN
														   : (uint32_t)us;
}

/* Rounded to the past as well. */
static uint32_t lives(const struct entry_parts *p)
{
	return p->expires_ns > p->read_ns ? at_most((p->expires_ns - p->read_ns) / NS_PER_MS) : 0;
}

void entry_confirm(struct entry *e, const struct entry *old)
{
	uint64_t one = entry_has(e), other = entry_has(old);
	struct entry_parts p = {.read_ns = e->pub.read_ns > old->pub.read_ns ? e->pub.read_ns : old->pub.read_ns, .has_ns = one > other ? one : other};

	p.expires_ns = entry_expires_ns(e);
	e->pub.read_ns = p.read_ns;
	e->pub.behind_us = behind(&p);
	e->pub.lives_ms = lives(&p);
}

static struct entry *allocate(size_t bytes)
{
	return arena_alloc(bytes > sizeof(struct entry) ? bytes : sizeof(struct entry));
}

static struct entry *allocate_for(const struct entry_parts *p)
{
	size_t bytes = offsetof(struct entry, places) + (places_of(p) + p->ntags) * sizeof(uint16_t) + p->key.rest.len + p->data.len;

	return allocate(bytes);
}

struct entry *entry_new(const struct entry_parts *p)
{
	struct entry *e;
	uint8_t *bytes;

	_Static_assert(CACHE_MAX_TAGS < UINT8_MAX && RKEY_SLOTS - 1 <= UINT16_MAX, "tags, a rule beside them, and slots fit");
	if (p->ntags > CACHE_MAX_TAGS || p->key.rest.len > INT32_MAX || p->data.len > INT32_MAX || p->key.rest.len + p->data.len > INT32_MAX)
		return NULL;
	e = allocate_for(p);
	if (!e)
		return NULL;
	*e = (struct entry){
		.pub = {.read_ns = p->read_ns, .len = (uint32_t)p->data.len, .rows = at_most(p->rows),
			.cost_us = at_most(p->cost_ns / 1000), .results_status = p->results_status,
			.lives_ms = lives(p), .behind_us = behind(p)},
		.head = p->key.head.len ? heads_take(p->heads, p->key.head) : NULL,
		.key_len = (uint32_t)p->key.rest.len,
	};
	if (p->key.head.len && !e->head) {
		arena_free(e);
		return NULL;
	}
	atomic_init(&e->refs, 1);
	put_tags(e, p);
	bytes = (uint8_t *)(e->places + e->pub.ntables + e->pub.ntags);
	if (p->key.rest.len)
		memcpy(bytes, p->key.rest.p, p->key.rest.len);
	if (p->data.len)
		memcpy(bytes + p->key.rest.len, p->data.p, p->data.len);
	return e;
}

static size_t size_of(const struct entry *e)
{
	return (size_t)(entry_data(e) - (const uint8_t *)e) + e->pub.len;
}

struct entry *entry_move(struct entry *e)
{
	size_t bytes = size_of(e);
	struct entry *to = allocate(bytes);

	if (!to)
		return NULL;
	memcpy(to, e, bytes);
	arena_free(e);
	return to;
}

void entry_unref(struct entry *e)
{
	/* Release what this thread did with it; the last one acquires all of that before it frees. */
	if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	head_drop(e->head);
	arena_free(e);
}

uint32_t entry_charge(const struct entry *e)
{
	return (uint32_t)charge_of(size_of(e));
}

const uint8_t *cache_entry_data(const struct cache_entry *e)
{
	return entry_data(from_public(e));
}

void cache_entry_ref(const struct cache_entry *e)
{
	entry_ref(from_public(e));
}

void cache_entry_unref(const struct cache_entry *e)
{
	entry_unref(from_public(e));
}
