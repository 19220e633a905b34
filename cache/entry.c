#include "entry.h"

#include <string.h>

#include "mem.h"
#include "tables.h"

#define ALLOCATION 16 /* the allocator's own bytes and rounding */
#define INDEX 24      /* the entry's share of the map's buckets and of the ghosts */

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
		if (tables_counts(p->tags[i]))
			e->tables[e->ntables++] = tables_key(p->tags[i]);
	}
	if (p->rule) {
		e->tables[e->ntables++] = p->rule;
		e->ruled = true;
	}
	slots = (uint16_t *)(e->tables + e->ntables);
	for (unsigned i = 0; i < p->ntags; i++)
		slots[i] = (uint16_t)rkey_slot(p->tags[i]);
	e->ntags = (uint8_t)p->ntags;
}

static unsigned tables_of(const struct entry_parts *p)
{
	unsigned n = p->rule != 0;

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

void entry_confirm(struct entry *e, const struct entry *old)
{
	uint64_t one = entry_has(e), other = entry_has(old);
	struct entry_parts p = {.read_ns = e->pub.read_ns > old->pub.read_ns ? e->pub.read_ns : old->pub.read_ns, .has_ns = one > other ? one : other};

	e->pub.read_ns = p.read_ns;
	e->behind_us = behind(&p);
}

struct entry *entry_new(const struct entry_parts *p)
{
	size_t head = sizeof(struct entry) + tables_of(p) * sizeof(uint32_t) + p->ntags * sizeof(uint16_t);
	struct entry *e;
	uint8_t *bytes;

	_Static_assert(CACHE_MAX_TAGS <= UINT8_MAX && RKEY_SLOTS - 1 <= UINT16_MAX, "tags and slots fit");
	if (p->ntags > CACHE_MAX_TAGS || p->key.len > INT32_MAX || p->data.len > INT32_MAX ||
	    p->key.len + p->data.len > INT32_MAX)
		return NULL;
	e = mem_alloc(head + p->key.len + p->data.len);
	if (!e)
		return NULL;
	bytes = (uint8_t *)e + head;
	*e = (struct entry){
		.pub = {.read_ns = p->read_ns, .len = (uint32_t)p->data.len, .rows = at_most(p->rows),
			.cost_us = at_most(p->cost_ns / 1000), .expires_ns = p->expires_ns, .results_status = p->results_status},
		.key_len = (uint32_t)p->key.len,
		.behind_us = behind(p),
	};
	atomic_init(&e->refs, 1);
	put_tags(e, p);
	if (p->key.len)
		memcpy(bytes, p->key.p, p->key.len);
	if (p->data.len)
		memcpy(bytes + p->key.len, p->data.p, p->data.len);
	return e;
}

void entry_unref(struct entry *e)
{
	/* Release what this thread did with it; the last one acquires all of that before it frees. */
	if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
		mem_free(e);
}

uint32_t entry_charge(const struct entry *e)
{
	return (uint32_t)charge_of((size_t)(entry_data(e) - (const uint8_t *)e) + e->pub.len);
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
