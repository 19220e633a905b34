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

struct entry *entry_new(const struct entry_parts *p)
{
	size_t head = sizeof(struct entry) + p->ntags * sizeof(struct entry_tag);
	struct entry *e;
	char *bytes;

	if (p->key.len > UINT32_MAX || p->data.len > SIZE_MAX / 2)
		return NULL;
	e = mem_alloc(head + p->key.len + p->data.len);
	if (!e)
		return NULL;
	bytes = (char *)e + head;
	*e = (struct entry){
		.pub = {.data = (const uint8_t *)bytes + p->key.len, .len = p->data.len, .rows = p->rows, .cost_ns = p->cost_ns,
			.stored_ns = p->stored_ns, .expires_ns = p->expires_ns, .results_status = p->results_status},
		.ntags = p->ntags,
		.epoch = p->epoch,
		.key = span_of(bytes, p->key.len),
		.charge = charge_of(head + p->key.len + p->data.len),
	};
	atomic_init(&e->refs, 1);
	for (unsigned i = 0; i < p->ntags; i++)
		e->tags[i] = (struct entry_tag){.version = p->versions[i],
						.slot = rkey_slot(p->tags[i]),
						.table = tables_counts(p->tags[i]) ? tables_key(p->tags[i]) : 0};
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

void cache_entry_ref(const struct cache_entry *e)
{
	entry_ref(from_public(e));
}

void cache_entry_unref(const struct cache_entry *e)
{
	entry_unref(from_public(e));
}
