/*
 * sets.c - what a statement sets for its session, and no server tells of, by the procedures, functions and triggers that it runs: only
 * its connection has it.
 *
 * What is not known yet pins until the schema has been read; what it was when it was read before counts meanwhile. By then it is judged what
 * such a statement did at its time: what it ran may be what was read before, or what is read now. If it was made in between and was gone again
 * before it had been read, nobody can tell.
 */
#include "clock.h"
#include "mem.h"
#include "request.h"

#define UNSURE_MOST 8

struct sets_unsure {
	uint64_t moment; /* a reading that began since may tell */
	bool failed, untold; /* one of them did: the server told nothing of it; ... nor of another, at the end of its rows */
	unsigned n;
	struct {
		struct statement *st; /* a reference */
		bool kept;            /* what it ran was there when it was sent */
		uint64_t first, last; /* when: catalog_changes() */
	} of[UNSURE_MOST];
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
	uint64_t now = catalog_changes(r->worker->in->catalog);
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
		u->of[i].first = r->sent_at;
		u->n++;
	}
	u->of[i].last = now;
	u->of[i].kept &= kept;
	u->failed |= r->error != 0;
	u->untold |= !is_told(r);
	u->moment = catalog_moment(r->worker->in->catalog);
	return true;
}

/* failed, untold: so did it. */
static unsigned pins_of(enum catalog_sets known, bool failed, bool untold)
{
	static const unsigned pins[] = {[CATALOG_SETS_TEMPORARY] = PIN_TEMP_TABLE, [CATALOG_SETS] = PIN_UNKNOWN};

	if (known == CATALOG_SETS_DROPPED)
		return failed ? PIN_TEMP_TABLE : 0;
	if (known == CATALOG_SETS_TOLD)
		return untold ? PIN_UNKNOWN : 0;
	return pins[known];
}

/* "PROCEDURE schema.name does not exist", in any language. One that is there and calls another that is not gets the same error, of the other's
 * name, when it has run so far. */
bool sets_names_called(const struct request *r, struct span message)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;
	struct span schema, name;

	if (!f || f->verb != SQL_CALL || f->nroutines == 0 || f->flags & (SQL_F_MULTI | SQL_F_UNKNOWN))
		return false;
	schema = f->routines[0].schema.len ? f->routines[0].schema : span_of(r->st->schema, r->st->schema_len);
	name = f->routines[0].name;
	for (size_t i = 1, n = schema.len + 1 + name.len; i + n < message.len; i++)
		if (message.p[i - 1] == ' ' && message.p[i + n] == ' ' && message.p[i + schema.len] == '.' &&
		    span_ieq(span_of(message.p + i, schema.len), schema) && span_ieq(span_of(message.p + i + schema.len + 1, name.len), name))
			return true;
	return false;
}

void sets_sent(struct request *r)
{
	struct catalog *c = r->worker->in->catalog;

	if (!r->st)
		return;
	r->sent_at = catalog_changes(c);
	r->sets = statement_sets(r->st, c);
}

/* The schema may have been read while it ran: it may have run what was there before. */
unsigned sets_pins(struct request *r)
{
	enum catalog_sets sets;
	unsigned pins;

	if (!r->st || r->cmd == COM_STMT_PREPARE || !r->s->up)
		return 0;
	sets = statement_sets(r->st, r->worker->in->catalog);
	if (likely((sets | r->sets) == CATALOG_SETS_NOTHING) || ((sets | r->sets) == CATALOG_SETS_MISSING && r->not_there))
		return 0;
	pins = pins_of(sets & CATALOG_SETS_KNOWN, r->error != 0, !is_told(r)) | pins_of(r->sets & CATALOG_SETS_KNOWN, r->error != 0, !is_told(r));
	if ((sets | r->sets) & (CATALOG_SETS_UNSURE | CATALOG_SETS_MISSING))
		pins |= remember(r, !(r->sets & CATALOG_SETS_MISSING)) ? PIN_UNKNOWN_YET : PIN_UNKNOWN;
	return pins;
}

bool sets_dropped(const struct request *r)
{
	return r->st && r->st->facts.verb == SQL_CALL && statement_sets(r->st, r->worker->in->catalog) == CATALOG_SETS_DROPPED;
}

/* One that was there, was not made anew, and is not any more, has been dropped. */
static enum catalog_sets judge(struct catalog *c, const struct sets_unsure *u, unsigned i)
{
	struct statement *st = u->of[i].st;
	struct span schema = span_of(st->schema, st->schema_len);
	uint64_t version = catalog_version(c);
	enum catalog_sets sets;

	if (catalog_lost(c, &st->facts, schema, u->of[i].first, u->of[i].last))
		return CATALOG_SETS;
	sets = catalog_sets(c, &st->facts, schema, !u->of[i].kept);
	if (u->of[i].kept && sets & CATALOG_SETS_MISSING && !(sets & CATALOG_SETS_UNSURE))
		return sets & ~(unsigned)CATALOG_SETS_MISSING;
	st->sets = sets;
	st->sets_version = version;
	return sets;
}

void sets_look_again(struct session *s)
{
	struct sets_unsure *u = s->unsure;
	struct catalog *c = s->worker->in->catalog;
	unsigned pins = 0, all = 0;

	if (!u || !catalog_read_since(c, u->moment))
		return;
	for (unsigned i = 0; i < u->n; i++) {
		enum catalog_sets sets = judge(c, u, i);

		all |= sets;
		pins |= pins_of(sets & CATALOG_SETS_KNOWN, u->failed, u->untold);
	}
	s->pins |= pins;
	s->holds_untold |= pins;
	if (!(pins & PIN_UNKNOWN) && all & (CATALOG_SETS_UNSURE | CATALOG_SETS_MISSING)) {
		u->moment = catalog_moment(c);
		return;
	}
	s->pins &= ~(unsigned)PIN_UNKNOWN_YET;
	sets_forget(s);
}

enum rc sets_await(struct request *r)
{
	struct session *s = r->s;

	sets_look_again(s);
	if (!s->pins) {
		exec_give_back(s, true);
		return RC_OK;
	}
	r->awaits_schema = s->pins == PIN_UNKNOWN_YET && clock_mono_ns() < failover_deadline(r);
	return r->awaits_schema ? RC_AGAIN : RC_ERROR;
}

void sets_tick(struct session *s)
{
	if (likely(!(s->pins & PIN_UNKNOWN_YET)))
		return;
	sets_look_again(s);
	if (!s->pins && s->up)
		exec_give_back(s, true); /* what it may ask about its last statement lies there */
}
