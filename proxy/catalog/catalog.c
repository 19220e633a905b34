/*
 * catalog.c - the thread that keeps the snapshot:
 *
 *   catalog_run: due? → target → connect → catalog_load → swap
 *
 * A snapshot answers while no DDL has been seen since its reading began; and while DDL is at the server none is read, for
 * it would be the one before it. When the server cannot be reached it goes on
 * answering (a server that is gone changes nothing, and the cache lives on); when the server refuses us, it does not.
 */
#include "catalog_impl.h"

#include <stdio.h>

#include "catalog_load.h"
#include "clock.h"
#include "log.h"
#include "mem.h"

#define LEAST_GAP_NS (200 * NS_PER_MS) /* between two readings, when DDL follows DDL */
#define REFRESH_NS (60 * NS_PER_SEC)   /* for what changes behind our back */
#define AGAIN_NS NS_PER_SEC            /* after a failure */
#define TOLD_AGAIN_NS (10 * NS_PER_SEC) /* another reason for the same failure is told no sooner */
#define CONNECT_NS (2 * NS_PER_SEC)
#define DDL_PATIENCE_NS (10 * NS_PER_SEC) /* no reading while DDL runs; an ALTER that takes longer changes the schema at its end */
#define DOUBT_GAP_NS (5 * NS_PER_SEC) /* between two for what nobody saw ... */
#define DOUBT_SHARE 20               /* ... which take this part of the time at most */

bool catalog_is_stale(struct catalog *c)
{
	return atomic_load_explicit(&c->wanted, memory_order_acquire) !=
	       atomic_load_explicit(&c->loaded, memory_order_acquire);
}

static void bump(struct catalog *c)
{
	atomic_fetch_add_explicit(&c->version, 1, memory_order_acq_rel);
}

/* ---- reading ---- */

static void keep(struct catalog *c, struct snapshot *s, uint64_t wanted, uint64_t procedures)
{
	struct snapshot *old;
	bool same, first, other;

	pthread_mutex_lock(&c->lock);
	old = c->now;
	same = c->readable && old && old->hash == s->hash && atomic_load(&c->loaded) == wanted;
	first = !c->readable || c->problem[0];
	other = old && old->hash != s->hash;
	c->now = same ? old : s;
	if (!same) {
		atomic_fetch_add_explicit(&c->readings, 1, memory_order_release);
		atomic_store_explicit(&c->hidden, false, memory_order_relaxed);
	}
	c->readable = true;
	c->problem[0] = '\0';
	c->read_ns = clock_mono_ns();
	atomic_store_explicit(&c->loaded, wanted, memory_order_release);
	atomic_store_explicit(&c->procedures_loaded, procedures, memory_order_release);
	catalog_history_until(&c->history, wanted, catalog_changes(c));
	pthread_mutex_unlock(&c->lock);
	if (first)
		log_info("catalog", "schema read", "tables=%llu views=%llu triggers=%llu cascades=%llu routines=%llu",
			 (unsigned long long)s->tables, (unsigned long long)s->views, (unsigned long long)s->triggers,
			 (unsigned long long)s->cascades, (unsigned long long)s->routines);
	snapshot_unref(same ? s : old);
	if (same)
		return;
	bump(c);
	if (other && c->hooks.changed)
		c->hooks.changed(c->hooks.arg);
}

/* unusable: what was read before may no longer be believed. */
static void keep_problem(struct catalog *c, const char *problem, bool unusable)
{
	bool fresh, known, was_readable;
	char quoted[320];

	pthread_mutex_lock(&c->lock);
	fresh = !c->problem[0] ||
		(strncmp(c->problem, problem, sizeof(c->problem) - 1) != 0 && clock_mono_ns() - c->told_ns >= TOLD_AGAIN_NS);
	if (fresh)
		c->told_ns = clock_mono_ns();
	snprintf(c->problem, sizeof(c->problem), "%s", problem);
	was_readable = c->readable;
	known = was_readable && !unusable;
	if (unusable)
		c->readable = false;
	pthread_mutex_unlock(&c->lock);
	if (fresh)
		log_warn("catalog",
			 known ? "the schema cannot be read: what is known of it stays in use"
			       : "the schema cannot be read: nothing is cached or queued until it is", "why=%s",
			 log_quote(quoted, sizeof(quoted), span_str(problem)));
	if (unusable && was_readable)
		bump(c);
}

static enum rc log_in(struct catalog *c)
{
	struct catalog_target at = {0};
	struct sqlconn_target t = {.host = at.host, .user = at.user, .connect_ns = CONNECT_NS};
	enum rc rc;

	if (c->hooks.target(c->hooks.arg, &at) != RC_OK)
		return RC_DECLINED;
	t.port = at.port;
	t.password = at.password;
	t.tls = at.tls;
	t.compress = at.compress;
	rc = sqlconn_connect(c->conn, &t);
	secret_unref(at.password);
	return rc;
}

/* RC_DECLINED: nobody to log in as yet. */
static enum rc read_once(struct catalog *c, uint64_t wanted, uint64_t procedures)
{
	struct snapshot *s = NULL;
	char problem[256];
	enum rc rc = log_in(c);

	if (rc == RC_DECLINED) {
		keep_problem(c, "no account is known yet: set backend.monitor.user, or let a client log in", false);
		return rc;
	}
	if (rc == RC_OK)
		rc = catalog_load(c->conn, &s, problem, sizeof(problem));
	else
		snprintf(problem, sizeof(problem), "%s", sqlconn_error(c->conn));
	if (rc == RC_OK) {
		keep(c, s, wanted, procedures);
		atomic_store_explicit(&c->done, atomic_load_explicit(&c->begun, memory_order_relaxed), memory_order_release);
	} else if (!ticker_stopping(&c->ticker)) {
		keep_problem(c, problem, sqlconn_refused(c->conn));
	}
	sqlconn_close(c->conn);
	return rc;
}

/* Until when what is read would be what was there before the DDL that runs; 0: now will do. */
static uint64_t ddl_until(struct catalog *c)
{
	uint64_t until;

	pthread_mutex_lock(&c->lock);
	until = c->ddl_running ? c->ddl_since_ns + DDL_PATIENCE_NS : 0;
	pthread_mutex_unlock(&c->lock);
	return until;
}

static uint64_t doubt_gap(const struct catalog *c)
{
	uint64_t gap = DOUBT_SHARE * c->took_ns;

	return gap < DOUBT_GAP_NS ? DOUBT_GAP_NS : gap < REFRESH_NS ? gap : REFRESH_NS;
}

/* When to read next: at once when stale, but not too often. */
static uint64_t due(struct catalog *c)
{
	if (atomic_load_explicit(&c->nudged, memory_order_acquire))
		return c->began_ns + LEAST_GAP_NS;
	if (c->failing)
		return c->began_ns + AGAIN_NS;
	if (!atomic_load_explicit(&c->wanting, memory_order_acquire))
		return UINT64_MAX;
	if (catalog_is_stale(c))
		return c->began_ns + LEAST_GAP_NS;
	return c->began_ns + (atomic_load_explicit(&c->doubted, memory_order_acquire) ? doubt_gap(c) : REFRESH_NS);
}

static void read_now(struct catalog *c)
{
	/* First: DDL that begins after the second line is counted after the first. */
	uint64_t wanted = atomic_load_explicit(&c->wanted, memory_order_acquire);
	uint64_t procedures = atomic_load_explicit(&c->procedures_wanted, memory_order_acquire);

	if (ddl_until(c) > clock_mono_ns())
		return;
	c->began_ns = clock_mono_ns();
	atomic_fetch_add_explicit(&c->begun, 1, memory_order_acq_rel);
	atomic_store_explicit(&c->nudged, false, memory_order_release);
	atomic_store_explicit(&c->doubted, false, memory_order_release);
	c->failing = read_once(c, wanted, procedures) != RC_OK;
	c->took_ns = clock_mono_ns() - c->began_ns;
}

static void catalog_run(void *arg)
{
	struct catalog *c = arg;
	uint64_t at = 0, until;

	do {
		if (clock_mono_ns() >= at)
			read_now(c);
		at = due(c);
		until = ddl_until(c);
		if (at < until)
			at = until;
	} while (ticker_sleep(&c->ticker, at));
}

/* ---- life ---- */

struct catalog *catalog_new(const struct catalog_hooks *hooks)
{
	struct catalog *c = mem_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->hooks = *hooks;
	c->version = 1;
	c->wanted = c->procedures_wanted = 1;
	c->conn = sqlconn_new();
	if (!c->conn) {
		mem_free(c);
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	ticker_init(&c->ticker);
	return c;
}

enum rc catalog_start(struct catalog *c)
{
	return ticker_start(&c->ticker, "catalog", catalog_run, c);
}

void catalog_stop(struct catalog *c)
{
	if (!c)
		return;
	ticker_ask_stop(&c->ticker);
	sqlconn_interrupt(c->conn);
	ticker_stop(&c->ticker);
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	sqlconn_free(c->conn);
	snapshot_unref(c->now);
	ticker_reset(&c->ticker);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

/* ---- answers ---- */

static void change(struct catalog *c, const struct sql_facts *triggers, uint64_t at, unsigned how)
{
	for (uint16_t i = 0; triggers && i < triggers->ntables; i++)
		if (!(how & CATALOG_OF_VIEW) || triggers->tables[i].written)
			catalog_history_add(&c->history, triggers->tables[i].name, at, how);
}

static void has_invalidated(struct catalog *c)
{
	pthread_mutex_unlock(&c->lock);
	bump(c);
	ticker_wake(&c->ticker);
}

/* Counted first, that a reading which began before does not take the names away; nobody judges by the new version without them. */
static void invalidate(struct catalog *c, const struct span *name, const struct sql_facts *triggers, unsigned how)
{
	uint64_t at = atomic_fetch_add_explicit(&c->wanted, 1, memory_order_acq_rel) + 1;

	pthread_mutex_lock(&c->lock);
	if (name)
		catalog_history_add(&c->history, *name, at, how);
	change(c, triggers, at, how);
	if ((how & ~(unsigned)CATALOG_OVER) == (CATALOG_LOSES | CATALOG_TRIGGER))
		catalog_history_lose_triggers(&c->history, at);
	has_invalidated(c);
}

void catalog_invalidate_tables(struct catalog *c)
{
	invalidate(c, NULL, NULL, 0);
}

void catalog_invalidate_triggers(struct catalog *c, const struct sql_facts *f, unsigned how)
{
	invalidate(c, NULL, f, how);
}

/* Judged without the lock; what has come between counts. */
void catalog_invalidate_view(struct catalog *c, const struct sql_facts *f, const struct sql_facts *select, struct span schema, unsigned how)
{
	struct catalog_changed changed;
	struct snapshot *s;
	uint64_t noise, at;
	bool quiet;

	pthread_mutex_lock(&c->lock);
	s = c->now ? snapshot_ref(c->now) : NULL;
	noise = c->history.noise;
	quiet = s && select && c->readable && !c->history.any;
	catalog_history_waiting(&c->history, &changed);
	pthread_mutex_unlock(&c->lock);
	quiet = quiet && catalog_view_is_quiet(s, &changed, select, schema);
	at = atomic_fetch_add_explicit(&c->wanted, 1, memory_order_acq_rel) + 1;
	pthread_mutex_lock(&c->lock);
	if (quiet && s == c->now && noise == c->history.noise)
		how |= CATALOG_QUIET;
	change(c, f, at, how);
	has_invalidated(c);
	snapshot_unref(s);
}

void catalog_invalidate_function(struct catalog *c, struct span name, unsigned how)
{
	invalidate(c, &name, NULL, how);
}

void catalog_invalidate_routine(struct catalog *c, struct span name, unsigned how)
{
	atomic_fetch_add_explicit(&c->procedures_wanted, 1, memory_order_acq_rel);
	invalidate(c, &name, NULL, how);
}

void catalog_invalidate(struct catalog *c)
{
	catalog_invalidate_routine(c, span_of("", 0), CATALOG_ADDS | CATALOG_LOSES);
}

void catalog_ddl_begins(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	if (c->ddl_running++ == 0)
		c->ddl_since_ns = clock_mono_ns();
	pthread_mutex_unlock(&c->lock);
}

void catalog_ddl_ends(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	c->ddl_running--;
	pthread_mutex_unlock(&c->lock);
	ticker_wake(&c->ticker);
}

void catalog_doubt(struct catalog *c)
{
	if (!atomic_exchange_explicit(&c->doubted, true, memory_order_acq_rel))
		ticker_wake(&c->ticker);
}

void catalog_want(struct catalog *c)
{
	if (likely(atomic_load_explicit(&c->wanting, memory_order_relaxed)))
		return;
	atomic_store_explicit(&c->wanting, true, memory_order_release);
	ticker_wake(&c->ticker);
}

bool catalog_is_wanted(struct catalog *c)
{
	return atomic_load_explicit(&c->wanting, memory_order_relaxed);
}

void catalog_read_soon(struct catalog *c)
{
	atomic_store_explicit(&c->nudged, true, memory_order_release);
	ticker_wake(&c->ticker);
}

void catalog_nudge(struct catalog *c)
{
	if (catalog_is_stale(c) || atomic_load_explicit(&c->failing, memory_order_acquire))
		catalog_read_soon(c);
}

uint64_t catalog_version(struct catalog *c)
{
	return atomic_load_explicit(&c->version, memory_order_acquire);
}

uint64_t catalog_changes(struct catalog *c)
{
	return atomic_load_explicit(&c->wanted, memory_order_acquire);
}

uint64_t catalog_readings(struct catalog *c)
{
	return atomic_load_explicit(&c->readings, memory_order_acquire);
}

enum rc catalog_sql_mode(struct catalog *c, struct iobuf *out)
{
	enum rc rc = RC_DECLINED;

	pthread_mutex_lock(&c->lock);
	if (c->now && c->now->sql_mode)
		rc = iobuf_append(out, c->now->sql_mode, strlen(c->now->sql_mode));
	pthread_mutex_unlock(&c->lock);
	return rc;
}

bool catalog_is_system(struct span schema)
{
	static const char *const names[] = {"information_schema", "performance_schema", "mysql", "sys"};

	for (size_t i = 0; i < countof(names); i++)
		if (span_ieq(schema, span_str(names[i])))
			return true;
	return false;
}
