/*
 * outcome.c - inserts that could not wait in the queue: of which the session asks for the outcome, puts the generated id into one of its
 * next statements, or reads the table at once, by itself, in a join or through a view.
 */
#include "outcome.h"

#define LOOK 8 /* statements behind an insert */
#define MOST_TABLES 8

static bool is_insert(const struct stats_event *e)
{
	return !e->is_read && e->verb && (*e->verb == 'i' || *e->verb == 'r'); /* insert, replace */
}

/* As a value in a statement is: of its digits. By hand, since it is done for each insert, and printf takes 670 instructions. */
static uint64_t hash_of_id(uint64_t id)
{
	char text[20];
	size_t at = sizeof(text);

	if (!id)
		return 0;
	for (; id; id /= 10)
		text[--at] = (char)('0' + id % 10);
	return map_hash(text + at, sizeof(text) - at);
}

static bool holds(const uint64_t *at, unsigned n, uint64_t sought)
{
	for (unsigned i = 0; i < n && sought; i++)
		if (at[i] == sought)
			return true;
	return false;
}

struct looked {
	bool values_known, tables_known;
	struct stats_values values;
	uint64_t table[MOST_TABLES];
	unsigned ntables;
};

/* Only what some insert hangs on is looked at. */
static bool is_needed(const struct stats_inserted *i, const struct stats_event *e, struct looked *l)
{
	if (i->last && e->asks_outcome)
		return true;
	if (i->id && e->values && !l->values_known) {
		e->values(e, &l->values);
		l->values_known = true;
	}
	if (i->table && e->is_read && e->tables && !l->tables_known) {
		l->ntables = e->tables(e, l->table, MOST_TABLES);
		l->tables_known = true;
	}
	return holds(l->values.hash, l->values.n, i->id) || (e->is_read && holds(l->table, l->ntables, i->table));
}

static void count(struct stats_table *t, const struct stats_inserted *i, const struct stats_event *e)
{
	struct stats_event insert = *e;
	struct stats_row *r;

	insert.digest = i->digest;
	r = stats_table_find(t, stats_key(insert.digest, e->schema, e->user), &insert);
	if (r)
		stats_add(&r->n[STATS_N_ASKED], 1);
}

static void remember(struct stats_nplus1 *n, const struct stats_event *e)
{
	struct stats_inserted *i;

	for (unsigned k = 0; k < STATS_INSERTED; k++)
		n->inserted[k].last = false;
	if (!e->queueable || e->digest == 0)
		return;
	i = &n->inserted[n->next_inserted++ % STATS_INSERTED];
	n->waiting += i->digest == 0;
	*i = (struct stats_inserted){.digest = e->digest, .id = hash_of_id(e->insert_id), .left = LOOK, .last = true};
	if (e->tables && e->tables(e, &i->table, 1) != 1)
		i->table = 0;
}

static void forget(struct stats_nplus1 *n, struct stats_inserted *i)
{
	i->digest = 0;
	n->waiting--;
}

static void look(struct stats_table *t, struct stats_nplus1 *n, const struct stats_event *e)
{
	struct looked l = {.ntables = 0};

	for (unsigned k = 0; k < STATS_INSERTED; k++) {
		struct stats_inserted *i = &n->inserted[k];

		if (i->digest == 0)
			continue;
		if (is_needed(i, e, &l)) {
			count(t, i, e);
			forget(n, i);
		} else if (--i->left == 0) {
			forget(n, i);
		}
	}
}

void outcome_note(struct stats_table *t, struct stats_nplus1 *n, const struct stats_event *e)
{
	if (unlikely(n->waiting))
		look(t, n, e);
	if (unlikely(is_insert(e)))
		remember(n, e);
}
