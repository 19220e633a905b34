#include "lockers.h"

#include <ctype.h>

#include "request.h"

#define NAME_MOST 64 /* bytes of a schema's and of a table's name; longer ones are not told apart */

static void put_folded(char *out, struct span name)
{
	for (size_t i = 0; i < name.len && i < NAME_MOST; i++)
		out[i] = (char)tolower((unsigned char)name.p[i]);
}

static uint64_t key_of(uint64_t slot, uint32_t thread, struct span schema, struct span table)
{
	struct {
		uint64_t slot, thread;
		char schema[NAME_MOST], table[NAME_MOST];
	} what = {.slot = slot, .thread = thread};

	put_folded(what.schema, schema);
	put_folded(what.table, table);
	return map_hash(&what, sizeof(what)) | 1;
}

static void put(struct lockers *l, uint64_t key, uint64_t digest)
{
	unsigned i = (unsigned)(key >> 32) & (LOCKERS_MOST - 1);

	if (atomic_load_explicit(&l->at[i].key, memory_order_relaxed) != key) {
		atomic_store(&l->at[i].key, 0);
		atomic_store(&l->at[i].digest, digest);
		atomic_store(&l->at[i].key, key);
	} else {
		atomic_store_explicit(&l->at[i].digest, digest, memory_order_relaxed);
	}
}

static bool locks(const struct request *r)
{
	return r->st && (r->plan.writes || r->st->facts.flags & SQL_F_LOCKING_READ) && r->s->up && r->s->on_primary;
}

void lockers_note(struct lockers *l, const struct request *r)
{
	const struct sql_facts *f;
	uint64_t slot;
	uint32_t thread;

	if (!locks(r))
		return;
	f = &r->st->facts;
	slot = r->s->up->backend->slot;
	thread = r->s->up->thread_id;
	put(l, key_of(slot, thread, span_of("", 0), span_of("", 0)), r->st->digest);
	for (uint16_t i = 0; i < f->ntables; i++) {
		const struct sql_table *t = &f->tables[i];

		put(l, key_of(slot, thread, t->schema.len ? t->schema : request_schema(r), t->name), r->st->digest);
	}
}

void lockers_look(struct lockers *l, const struct request *r, uint64_t now_ns)
{
	if (r->step == STEP_REPLY && !r->first_ns && r->sent_ns && now_ns - r->sent_ns > LOCKERS_STUCK_NS && locks(r))
		atomic_store_explicit(&l->stuck_ns, now_ns, memory_order_relaxed);
}

uint64_t lockers_find(struct lockers *l, uint64_t slot, uint32_t thread, struct span schema, struct span table)
{
	uint64_t key = key_of(slot, thread, schema, table), digest;
	unsigned i = (unsigned)(key >> 32) & (LOCKERS_MOST - 1);

	if (atomic_load(&l->at[i].key) != key)
		return 0;
	digest = atomic_load(&l->at[i].digest);
	return atomic_load(&l->at[i].key) == key ? digest : 0;
}
