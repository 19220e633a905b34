/*
 * sets.c - what a statement sets for its session, and no server tells of, by the procedures, functions and triggers that it runs: only
 * its connection has it.
 *
 * What is not known yet pins until the schema has been read. By then it is judged what such a statement did at its time: what was there
 * then, and set nothing, may have been made anew in the meantime.
 */
#include "mem.h"
#include "request.h"

#define UNSURE_MOST 8

struct sets_unsure {
	uint64_t moment; /* a reading that began since may tell */
	bool failed, untold; /* one of them did: the server told nothing of it; ... nor of another, at the end of its rows */
	unsigned n;
	struct { struct statement *st; bool kept; } of[UNSURE_MOST]; /* references; kept: what it ran set nothing when the schema was read before */
};

void sets_forget(struct session *s)
{
	for (unsigned i = 0; s->unsure && i < s->unsure->n; i++)
		statement_unref(s->unsure->of[i].st);
	mem_free(s->unsure);
	s->unsure = NULL;
}

/* Errors tell nothing of what was set, nor do EOF packets. */
static bool is_told(const struct request *r)
{
	return !r->error && !r->tells_nothing && r->worker->tracked;
}

static bool remember(struct request *r, bool kept)
{
	struct session *s = r->s;
	struct sets_unsure *u = s->unsure;
	unsigned i = 0;

	if (!u)
		u = s->unsure = mem_zalloc(sizeof(*u));
	while (u && i < u->n && u->of[i].st != r->st)
		i++;
	if (!u || i == UNSURE_MOST)
		return false;
	if (i == u->n) {
		u->of[i].st = statement_ref(r->st);
		u->of[i].kept = true;
		u->n++;
	}
	u->of[i].kept &= kept;
	u->failed |= r->error != 0;
	u->untold |= !is_told(r);
	u->moment = catalog_moment(r->worker->in->catalog);
	return true;
}

unsigned sets_pins(struct request *r)
{
	enum catalog_sets sets;

	if (!r->st || r->cmd == COM_STMT_PREPARE || !r->s->up)
		return 0;
	sets = statement_sets(r->st, r->worker->in->catalog);
	if (likely(sets == CATALOG_SETS_NOTHING) || (sets == CATALOG_SETS_MISSING && r->error == ER_SP_DOES_NOT_EXIST))
		return 0;
	if (sets == CATALOG_SETS_TOLD)
		return is_told(r) ? 0 : PIN_UNKNOWN;
	if (sets == CATALOG_SETS_TEMPORARY || sets == CATALOG_SETS_DROPPED)
		return sets == CATALOG_SETS_TEMPORARY || r->error ? PIN_TEMP_TABLE : 0;
	return sets != CATALOG_SETS && remember(r, sets == CATALOG_SETS_UNSURE) ? PIN_UNKNOWN_YET : PIN_UNKNOWN;
}

bool sets_dropped(const struct request *r)
{
	return r->st && r->st->facts.verb == SQL_CALL && statement_sets(r->st, r->worker->in->catalog) == CATALOG_SETS_DROPPED;
}

/* One that was there and is not any more has been dropped. */
static enum catalog_sets judge(struct catalog *c, struct statement *st, bool kept)
{
	uint64_t version = catalog_version(c);
	enum catalog_sets sets = catalog_sets(c, &st->facts, span_of(st->schema, st->schema_len), !kept);

	if (kept && sets == CATALOG_SETS_MISSING)
		return CATALOG_SETS_NOTHING;
	st->sets = sets;
	st->sets_version = version;
	return sets;
}

void sets_look_again(struct session *s)
{
	struct sets_unsure *u = s->unsure;
	struct catalog *c = s->worker->in->catalog;
	enum catalog_sets worst = CATALOG_SETS_NOTHING;

	if (!u || !catalog_read_since(c, u->moment))
		return;
	for (unsigned i = 0; i < u->n; i++) {
		enum catalog_sets sets = judge(c, u->of[i].st, u->of[i].kept);

		worst = sets > worst ? sets : worst;
	}
	if (worst == CATALOG_SETS_UNSURE || worst == CATALOG_SETS_MISSING) {
		u->moment = catalog_moment(c);
		return;
	}
	if (worst == CATALOG_SETS || (worst == CATALOG_SETS_TOLD && u->untold))
		s->pins |= PIN_UNKNOWN;
	if (worst == CATALOG_SETS_TEMPORARY || (worst == CATALOG_SETS_DROPPED && u->failed))
		s->pins |= PIN_TEMP_TABLE;
	s->pins &= ~(unsigned)PIN_UNKNOWN_YET;
	sets_forget(s);
}

void sets_tick(struct session *s)
{
	if (likely(!(s->pins & PIN_UNKNOWN_YET)))
		return;
	sets_look_again(s);
	if (!s->pins && s->up)
		exec_give_back(s, true); /* what it may ask about its last statement lies there */
}
