#include "tables.h"

#include "mem.h"

struct tables *tables_new(void)
{
	struct tables *t = mem_zalloc(sizeof(*t));

	if (t)
		pthread_mutex_init(&t->lock, NULL);
	return t;
}

void tables_free(struct tables *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < TABLES_MOST; i++)
		mem_free(t->all[i].name);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

/* Its place, or the free one where it would be. NULL: neither. */
static struct table_counts *place_of(struct tables *t, uint32_t tag, bool *found)
{
	for (unsigned i = 0; i < TABLES_MOST; i++) {
		struct table_counts *n = &t->all[(tag + i) % TABLES_MOST];
		uint32_t there = atomic_load_explicit(&n->tag, memory_order_acquire);

		*found = there == tag;
		if (*found || there == 0)
			return n;
	}
	return NULL;
}

struct table_counts *tables_find(struct tables *t, uint32_t tag)
{
	bool found;
	struct table_counts *n = place_of(t, tag, &found);

	return n && found ? n : &t->other;
}

_Static_assert(TABLES_NAMED + TABLES_RULES <= TABLES_MOST - TABLES_MOST / 4, "looking for what is not there ends soon");

void tables_name(struct tables *t, cache_tag tag, struct span schema, struct span table)
{
	struct table_counts *n;
	bool found;

	pthread_mutex_lock(&t->lock);
	n = place_of(t, tables_key(tag), &found);
	if (n && !found && t->named < TABLES_NAMED) {
		n->name = mem_printf(SPAN_FMT "." SPAN_FMT, SPAN_ARG(schema), SPAN_ARG(table));
		if (n->name) {
			atomic_store_explicit(&n->tag, tables_key(tag), memory_order_release);
			t->named++;
		}
	}
	pthread_mutex_unlock(&t->lock);
}

static struct table_counts *give_rule(struct tables *t, uint32_t key)
{
	struct table_counts *n;
	bool found;

	pthread_mutex_lock(&t->lock);
	n = place_of(t, key, &found); /* another thread may have been faster */
	if (n && !found && t->rules < TABLES_RULES) {
		atomic_store_explicit(&n->tag, key, memory_order_release);
		t->rules++;
		found = true;
	}
	pthread_mutex_unlock(&t->lock);
	return found ? n : NULL;
}

struct table_counts *tables_rule(struct tables *t, uint64_t rule)
{
	bool found;
	struct table_counts *n = place_of(t, tables_key(rule), &found);

	return n && found ? n : give_rule(t, tables_key(rule));
}
