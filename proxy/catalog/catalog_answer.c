/*
 * catalog_answer.c - the answers from the last snapshot, for those that ask.
 */
#include "catalog_impl.h"

#include <stdio.h>

#include "catalog_today.h"
#include "clock.h"
#include "log.h"

#define MISS_GAP_NS (5 * NS_PER_SEC) /* between two readings for a name that was not found */

/* A reference to what is in force, or NULL and why. */
static struct snapshot *take(struct catalog *c, struct span schema, const char **why)
{
	struct snapshot *s = NULL;

	*why = NULL;
	if (catalog_is_system(schema)) {
		*why = "it is of a system schema";
		return NULL;
	}
	pthread_mutex_lock(&c->lock);
	if (catalog_is_stale(c))
		*why = c->now ? "the schema has changed and is being read" : "the schema has not been read yet";
	else if (!c->readable)
		*why = "the schema cannot be read";
	else
		s = snapshot_ref(c->now);
	pthread_mutex_unlock(&c->lock);
	return s;
}

/* Looks again, but not at every turn. */
static void look_again(struct catalog *c)
{
	uint64_t last = atomic_load_explicit(&c->missed_ns, memory_order_relaxed), now = clock_mono_ns();

	if (now - last > MISS_GAP_NS && atomic_compare_exchange_strong_explicit(
						&c->missed_ns, &last, now, memory_order_relaxed, memory_order_relaxed))
		catalog_read_soon(c);
}

/* A table that is not there may have been made behind our back a moment ago: look again, but not at every turn. What is
 * known of the others stays in force meanwhile. */
static enum rc miss(struct catalog *c, const struct snapshot *s, enum rc rc, const char *why)
{
	if (rc == RC_DECLINED && s && why && strcmp(why, SNAPSHOT_NOT_THERE) == 0 && catalog_is_wanted(c))
		look_again(c);
	return rc;
}

/* Rules for such a schema would be without effect, and nobody would know why. */
static void tell_hidden(struct catalog *c, const struct snapshot *s, struct span schema)
{
	char of[sizeof(c->hidden_of)];

	if (!catalog_is_wanted(c) || rights_see_all(&s->rights, schema, s->fold) || atomic_exchange(&c->hidden, true))
		return;
	(void)log_quote(of, sizeof(of), schema);
	pthread_mutex_lock(&c->lock);
	(void)snprintf(c->hidden_of, sizeof(c->hidden_of), "%s", of);
	pthread_mutex_unlock(&c->lock);
	log_warn("catalog", "the account that reads the schema does not see all of it: nothing of it is cached or queued, and a write to it empties the "
			    "cache, until the account has SELECT, SHOW VIEW and TRIGGER there (backend.monitor.user)", "schema=%s", of);
}

typedef enum rc (*closure_fn)(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
			      const char **why);

static enum rc closure(struct catalog *c, closure_fn fn, struct span schema, struct span table, catalog_put_fn put, void *arg,
		       const char **why)
{
	struct snapshot *s = take(c, schema, why);
	enum rc rc = s ? fn(s, schema, table, put, arg, why) : RC_DECLINED;

	if (rc == RC_DECLINED && s)
		tell_hidden(c, s, schema);
	rc = miss(c, s, rc, *why);
	snapshot_unref(s);
	return rc;
}

enum rc catalog_reads(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg,
		      const char **why)
{
	return closure(c, snapshot_reads, schema, table, put, arg, why);
}

enum rc catalog_writes(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg,
		       const char **why)
{
	return closure(c, snapshot_writes, schema, table, put, arg, why);
}

enum rc catalog_needs(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg, const char **why)
{
	struct snapshot *s = take(c, schema, why);
	enum rc rc = s ? snapshot_needs(s, schema, table, put, arg, why) : RC_DECLINED;

	snapshot_unref(s);
	return rc;
}

enum rc catalog_row_changes(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg,
			const char **why)
{
	struct snapshot *s = take(c, schema, why);
	enum rc rc = s ? snapshot_row_changes(s, schema, table, put, arg, why) : RC_DECLINED;

	snapshot_unref(s);
	return rc;
}

enum rc catalog_called(struct catalog *c, struct span schema, struct span table, catalog_put_fn put, void *arg,
		       const char **why)
{
	struct snapshot *s = take(c, schema, why);
	enum rc rc = s ? snapshot_called(s, schema, table, put, arg, why) : RC_AGAIN;

	snapshot_unref(s);
	return rc == RC_ERROR ? RC_DECLINED : rc;
}

enum rc catalog_routine(struct catalog *c, struct span schema, struct span name, bool procedure, enum catalog_effect effect,
			catalog_put_fn put, void *arg, const char **why)
{
	static const enum snapshot_walk modes[] = {
		[CATALOG_PLAIN_READ] = SNAPSHOT_READ,
		[CATALOG_READ] = SNAPSHOT_READ_ANY,
		[CATALOG_WRITE] = SNAPSHOT_WRITE,
	};
	struct snapshot *s = take(c, schema, why);
	enum rc rc = RC_DECLINED;

	if (s)
		rc = snapshot_closure(snapshot_find_routine(s, schema, name, procedure), modes[effect], put, arg, why);
	rc = miss(c, s, rc, *why);
	snapshot_unref(s);
	return rc;
}

/* What has changed since, but no procedure, does not matter. */
static struct snapshot *take_procedures(struct catalog *c)
{
	struct snapshot *s = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->now && c->readable &&
	    atomic_load_explicit(&c->procedures_wanted, memory_order_acquire) ==
		    atomic_load_explicit(&c->procedures_loaded, memory_order_acquire))
		s = snapshot_ref(c->now);
	pthread_mutex_unlock(&c->lock);
	return s;
}

enum rc catalog_keeps_accounts(struct catalog *c, struct span schema, struct span name)
{
	struct snapshot *s = catalog_is_system(schema) ? NULL : take_procedures(c);
	enum rc rc = s ? snapshot_keeps_accounts(s, schema, name) : RC_DECLINED;

	if (rc == RC_AGAIN)
		(void)miss(c, s, RC_DECLINED, SNAPSHOT_NOT_THERE);
	snapshot_unref(s);
	return rc;
}

static void tell_unseen(struct catalog *c, const struct catalog_unseen *unseen)
{
	char of[256], quoted[256];

	if (atomic_exchange(&c->told_unseen, true))
		return;
	(void)log_quote(of, sizeof(of), unseen->schema);
	(void)log_quote(quoted, sizeof(quoted), unseen->name);
	if (unseen->trigger) {
		log_warn("catalog", "a trigger cannot be seen: sessions that fire such keep a server connection each, until the account that reads the "
				    "schema has TRIGGER on its table", "schema=%s table=%s", of, quoted);
		return;
	}
	log_warn("catalog", "a routine that is called cannot be seen: sessions that call such keep a server connection each, until the account that "
			    "reads the schema may see bodies: SELECT ON mysql.proc (MariaDB), SHOW_ROUTINE or SELECT ON *.* (MySQL)",
		 "schema=%s routine=%s", of, quoted);
}

/* DDL is followed by a reading only where somebody wants to know; this one does now. */
static void read_for(struct catalog *c, bool missing)
{
	if (catalog_is_stale(c) && !atomic_load_explicit(&c->failing, memory_order_acquire))
		catalog_read_soon(c);
	else if (missing)
		look_again(c);
}

/* What was read last counts, whatever DDL has changed since but what this runs. */
enum catalog_sets catalog_sets(struct catalog *c, const struct sql_facts *f, struct span schema, bool again)
{
	bool calls = f->verbs & SQL_VERB(SQL_CALL), sure;
	struct catalog_unseen unseen = {.trigger = false};
	enum catalog_sets sets = CATALOG_SETS_NOTHING;
	struct catalog_changed changed;
	struct snapshot *s;

	if (!f->nroutines && !f->ntables && !calls)
		return CATALOG_SETS_NOTHING;
	pthread_mutex_lock(&c->lock);
	s = c->now ? snapshot_ref(c->now) : NULL;
	catalog_history_waiting(&c->history, &changed);
	sure = s && c->readable && !c->history.any;
	pthread_mutex_unlock(&c->lock);
	if (s)
		sets = catalog_judge_sets(s, &changed, f, schema, &unseen);
	if (calls && (!s || !f->nroutines))
		sets = s ? CATALOG_SETS : CATALOG_SETS_MISSING;
	else if (calls && !sure && sets != CATALOG_SETS && !(sets & CATALOG_SETS_MISSING))
		sets |= CATALOG_SETS_UNSURE | CATALOG_SETS_MISSING;
	if (again && sets & CATALOG_SETS_MISSING && sure && !changed.n)
		sets = CATALOG_SETS;
	if (sets == CATALOG_SETS && unseen.name.len)
		tell_unseen(c, &unseen);
	snapshot_unref(s);
	if (sets & (CATALOG_SETS_UNSURE | CATALOG_SETS_MISSING))
		read_for(c, sets & CATALOG_SETS_MISSING);
	return sets;
}

bool catalog_lost(struct catalog *c, const struct sql_facts *f, struct span schema, uint64_t first, uint64_t last)
{
	struct catalog_unseen unseen;
	struct catalog_changed lost;
	struct snapshot *s;
	bool known;

	pthread_mutex_lock(&c->lock);
	s = c->now ? snapshot_ref(c->now) : NULL;
	known = catalog_history_lost(&c->history, first, last, &lost);
	pthread_mutex_unlock(&c->lock);
	if (known && s && lost.n)
		known = !(catalog_judge_sets(s, &lost, f, schema, &unseen) & CATALOG_SETS_UNSURE);
	snapshot_unref(s);
	return !known;
}

uint64_t catalog_moment(struct catalog *c)
{
	return atomic_load_explicit(&c->begun, memory_order_acquire) + 1;
}

bool catalog_read_since(struct catalog *c, uint64_t moment)
{
	if (atomic_load_explicit(&c->done, memory_order_acquire) >= moment)
		return true;
	look_again(c);
	return false;
}

/* What was read last, be it out of date. */
static struct snapshot *take_last(struct catalog *c)
{
	struct snapshot *s;

	pthread_mutex_lock(&c->lock);
	s = c->now ? snapshot_ref(c->now) : NULL;
	pthread_mutex_unlock(&c->lock);
	return s;
}

enum catalog_ddl catalog_ddl(struct catalog *c, struct span schema, struct span name, bool says)
{
	struct snapshot *s = take_procedures(c);
	bool sure = s != NULL;
	enum catalog_ddl ddl;

	if (!s)
		s = take_last(c);
	ddl = s && !catalog_is_system(schema) ? snapshot_ddl(s, schema, name, says) : CATALOG_DDL_NEW;
	snapshot_unref(s);
	if (ddl == CATALOG_DDL_NEW) /* made a moment ago, or past suimon */
		return sure ? CATALOG_DDL_UNSEEN : CATALOG_DDL_MAY;
	return ddl == CATALOG_DDL_NONE && !sure ? CATALOG_DDL_UNSEEN : ddl;
}

enum rc catalog_transactional(struct catalog *c, struct span schema, struct span table, const char **why)
{
	struct snapshot *s = take(c, schema, why);
	enum rc rc = s ? snapshot_transactional(s, schema, table, why) : RC_DECLINED;

	snapshot_unref(s);
	return rc;
}

enum rc catalog_later(struct catalog *c, struct span schema, struct span table, bool *defaults, const char **why)
{
	struct snapshot *s = take(c, schema, why);
	enum rc rc = s ? snapshot_later(s, schema, table, defaults, why) : RC_DECLINED;

	snapshot_unref(s);
	return rc;
}

enum rc catalog_row_keys(struct catalog *c, struct span schema, struct span table, struct catalog_keys *out)
{
	const char *why;
	struct snapshot *s = take(c, schema, &why);
	enum rc rc = s ? snapshot_row_keys(s, schema, table, out) : RC_DECLINED;

	snapshot_unref(s);
	return rc;
}

bool catalog_is_integer(struct catalog *c, struct span schema, struct span table, struct span column)
{
	const char *why;
	struct snapshot *s = take(c, schema, &why);
	bool is = s && snapshot_is_integer(s, schema, table, column);

	snapshot_unref(s);
	return is;
}

enum rc catalog_today(struct catalog *c, const struct sql_facts *f, struct span schema, struct span text, unsigned mode,
		      struct sql_today *out)
{
	const char *why;
	struct snapshot *s = take(c, schema, &why);

	if (!s)
		return RC_DECLINED;
	catalog_judge_today(s, f, schema, text, mode, out);
	snapshot_unref(s);
	return RC_OK;
}

void catalog_status(struct catalog *c, struct catalog_status *out)
{
	*out = (struct catalog_status){.version = catalog_version(c), .wanted = catalog_is_wanted(c), .stale = catalog_is_stale(c)};
	pthread_mutex_lock(&c->lock);
	out->readable = c->readable;
	if (c->now) {
		out->tables = c->now->tables;
		out->views = c->now->views;
		out->triggers = c->now->triggers;
		out->cascades = c->now->cascades;
		out->routines = c->now->routines;
		out->age_ns = clock_mono_ns() - c->read_ns;
	}
	out->hidden = out->wanted && c->now && atomic_load_explicit(&c->hidden, memory_order_relaxed);
	memcpy(out->problem, c->problem, sizeof(out->problem));
	if (out->hidden && !out->problem[0])
		(void)snprintf(out->problem, sizeof(out->problem), "the account that reads the schema does not see all of %s", c->hidden_of);
	pthread_mutex_unlock(&c->lock);
}
