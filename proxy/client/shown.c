/*
 * shown.c - what servers have shown a session past the cache, and what its next look-up makes of it (cache/bound.h).
 *
 *   a reply that becomes no stored result → shown_read      cached_step → shown_bound → cache_get
 *                                                           ... memory does not answer → shown_to_replicas → replica_choose
 *
 * While memory answers, what binds is known by table. While it does not (Redis is away), a replica is to have all that the primary, or a
 * hit, has shown the session: as if it had read that on the primary (seen.h). Replicas keep their part (F1).
 *
 * Where nobody else writes, or nobody tells of it (neither cache.redis nor cache.binlog), nothing is kept. A session that reads by the
 * cache alone keeps nothing either: what a miss brings is the stored result from then on.
 */
#include "bound.h"
#include "clock.h"
#include "mem.h"
#include "rows.h"

/* It runs what its text does not say. st->calls: of a statement that is resolved. */
static bool reads_anything(const struct statement *st)
{
	static const uint64_t verbs = SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_COMPOUND) | SQL_VERB(SQL_HANDLER);
	const struct sql_facts *f = &st->facts;

	return f->flags & SQL_F_UNKNOWN || f->verbs & verbs ||
	       (f->verbs & SQL_VERB(SQL_CALL) && st->calls == PLAN_CALLS_UNKNOWN);
}

/* Of the servers' own nothing is stored that could be older. */
static bool is_of_servers(const struct sql_facts *f)
{
	for (unsigned i = 0; i < f->ntables; i++)
		if (!catalog_is_system(f->tables[i].schema))
			return false;
	return f->ntables != 0 && f->nroutines == 0;
}

static void keep(struct request *r, struct cache_bound *b, uint64_t now)
{
	struct worker *w = r->s->worker;
	struct statement *st = r->st;
	struct rows_tags rows;

	statement_resolve(st, w->in->catalog, w->settings);
	if (!st->resolved || reads_anything(st) || r->schema_version != catalog_version(w->in->catalog)) {
		cache_bound_all(b, now);
		return;
	}
	/* Of a table that nobody has looked for in the cache it is not worth telling the rows. */
	rows.named = false;
	if (st->keys && cache_table_named(w->in->cache, st->keys_of))
		rows_shown(r, &rows);
	if (rows.named) {
		cache_bound_rows(b, st->keys_of, rows.tag, rows.n, now);
		return;
	}
	for (unsigned i = 0; i < st->nreads; i++)
		if ((st->reads[i] & CACHE_TAG_KIND) == CACHE_TAG_TABLE)
			cache_bound_table(b, st->reads[i], now);
}

/* A preparation has no rows; and of what has no tables of its own only that is kept of which nobody knows what it reads. */
static bool shows_tables(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	return f && r->cmd != COM_STMT_PREPARE && (reads_anything(r->st) || ((f->ntables || f->nroutines) && !is_of_servers(f)));
}

/* Its place. What was not kept for want of memory binds everything by then. NULL: there is none now either. */
static struct cache_bound *place(struct session *s)
{
	if (!s->shown)
		s->shown = mem_zalloc(sizeof(*s->shown));
	if (s->shown && unlikely(s->shown_lost_ns)) {
		cache_bound_all(s->shown, s->shown_lost_ns);
		s->shown_lost_ns = 0;
	}
	return s->shown;
}

/* Nothing binds any more that was shown by heard. */
static void forget_heard(struct session *s, uint64_t heard)
{
	if (s->shown_lost_ns <= heard && (!s->shown || s->shown->last_ns <= heard))
		shown_forget(s);
}

bool shown_bound(struct session *s, struct cache_lookup *l)
{
	if (likely(!s->shown && !s->shown_lost_ns))
		return true;
	l->bound_past_ns = cache_heard(s->worker->in->cache);
	forget_heard(s, l->bound_past_ns);
	if (unlikely(s->shown_lost_ns) && !place(s))
		return false;
	l->bound = s->shown;
	return true;
}

bool shown_binds(const struct request *r)
{
	const struct cache_lookup *l = &r->lookup;

	return cache_bound_tags(l->bound, r->tags, r->ntags) > l->bound_past_ns;
}

void shown_tick(struct session *s)
{
	if (unlikely(s->shown || s->shown_lost_ns))
		forget_heard(s, cache_heard(s->worker->in->cache));
}

void shown_forget(struct session *s)
{
	mem_free(s->shown);
	s->shown = NULL;
	s->shown_lost_ns = 0;
}

void shown_hit(struct session *s, const struct cache_entry *e)
{
	if (e->read_ns > s->shown_ns)
		s->shown_ns = e->read_ns;
}

void shown_to_replicas(struct request *r)
{
	struct session *s = r->s;
	const struct backend *primary = topology_primary(s->worker->in->topology);
	uint64_t ns = s->shown_ns > s->seen.ns ? s->shown_ns : s->seen.ns;

	if (likely(!s->shown_ns) || r->plan.eventual)
		return;
	if (s->seen.on != primary || s->seen.ns < ns)
		seen_read(&s->seen, primary, ns, ns);
	s->shown_ns = 0;
}

void shown_read(struct request *r, bool stored, uint64_t now)
{
	struct session *s = r->s;

	if (!r->showed || !s->worker->cache || !cache_binds(s->worker->in->cache) || !shows_tables(r))
		return;
	if (r->route == STATS_PRIMARY)
		s->shown_ns = now;
	if (stored)
		return;
	if (likely(place(s) != NULL))
		keep(r, s->shown, now);
	else
		s->shown_lost_ns = now;
}
