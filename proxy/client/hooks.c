#include "hooks.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "worker.h"

/* ---- accounts for background work, best first ---- */

struct credentials {
	char user[128];
	struct secret *password; /* a reference, or NULL */
};

static bool use(struct credentials *c, const char *user, struct secret *password)
{
	if (!user || !user[0])
		return false;
	(void)snprintf(c->user, sizeof(c->user), "%s", user);
	c->password = secret_ref(password);
	return true;
}

static bool use_configured(struct credentials *c, const struct settings *s)
{
	for (size_t i = 0; i < s->nusers; i++)
		if (!s->users[i].passthrough && s->users[i].password && use(c, s->users[i].name, s->users[i].password))
			return true;
	return false;
}

static bool use_learnt(struct credentials *c, struct instance *in)
{
	struct account *a = accounts_any(in->accounts);
	bool ok = a && use(c, a->user, a->password);

	account_unref(a);
	return ok;
}

static void put_tls(const struct settings *s, struct tls_policy *out)
{
	out->mode = (enum tls_mode)s->backend.tls.mode;
	(void)snprintf(out->ca, sizeof(out->ca), "%s", s->backend.tls.ca);
}

static void fill_target(struct backend *b, const struct credentials *c, struct catalog_target *out)
{
	(void)snprintf(out->host, sizeof(out->host), "%s", b->host);
	out->port = b->is_unix ? 0 : b->port;
	(void)snprintf(out->user, sizeof(out->user), "%s", c->user);
	out->password = c->password;
}

/* ---- the catalog ---- */

static enum rc catalog_where(void *arg, struct catalog_target *out)
{
	struct instance *in = arg;
	struct settings *s = instance_settings(in);
	struct credentials c = {.password = NULL};
	bool ok = use(&c, s->backend.monitor.user, s->backend.monitor.password) || use_configured(&c, s) ||
		  use_learnt(&c, in);

	put_tls(s, &out->tls);
	out->compress = s->backend.compress > SETTINGS_COMPRESS_CLIENT;
	settings_unref(s);
	if (!ok)
		return RC_DECLINED;
	fill_target(topology_primary(in->topology), &c, out);
	return RC_OK;
}

/* What was stored by the former schema, after it had become another one, no write would end: since when it has, nobody knows. */
static void catalog_changed(void *arg)
{
	struct instance *in = arg;
	struct settings *s = instance_settings(in);

	if (in->cache)
		cache_invalidate_all_from(in->cache, CACHE_BY_SCHEMA, instance_lag_window(s));
	settings_unref(s);
	stats_table_changed(in->stats, span_of("", 0), span_of("", 0));
}

struct catalog_hooks hooks_catalog(struct instance *in)
{
	return (struct catalog_hooks){.arg = in, .target = catalog_where, .changed = catalog_changed};
}

enum rc hooks_explain_target(void *arg, const char *user, struct catalog_target *out)
{
	struct instance *in = arg;
	struct settings *s = instance_settings(in);
	struct backend *b = topology_replica(in->topology, NULL);
	struct account *a = accounts_find(in->accounts, span_str(user));
	struct credentials c = {.password = NULL};
	bool ok = (a && use(&c, a->user, a->password)) || use(&c, s->backend.monitor.user, s->backend.monitor.password);

	account_unref(a);
	put_tls(s, &out->tls);
	out->compress = s->backend.compress > SETTINGS_COMPRESS_CLIENT;
	settings_unref(s);
	if (!ok)
		return RC_DECLINED;
	fill_target(b ? b : topology_primary(in->topology), &c, out);
	return RC_OK;
}

bool hooks_stuck(void *arg)
{
	uint64_t seen = atomic_load_explicit(&((struct instance *)arg)->lockers.stuck_ns, memory_order_relaxed);

	return seen && clock_mono_ns() - seen < 2 * NS_PER_SEC;
}

uint64_t hooks_locker(void *arg, uint32_t thread, struct span schema, struct span table)
{
	struct instance *in = arg;

	return lockers_find(&in->lockers, topology_primary(in->topology)->slot, thread, schema, table);
}

/* ---- the queue ---- */

static bool use_queues(struct credentials *c, const struct settings *s)
{
	return use(c, s->queue.user.name, s->queue.user.password) || use(c, s->backend.monitor.user, s->backend.monitor.password) ||
	       use_configured(c, s);
}

bool hooks_queue_login_differs(const struct settings *a, const struct settings *b)
{
	struct credentials was = {.password = NULL}, now = {.password = NULL};
	bool differs = use_queues(&was, a) != use_queues(&now, b) || strcmp(was.user, now.user) != 0 ||
		       !span_eq(secret_text(was.password), secret_text(now.password));

	secret_unref(was.password);
	secret_unref(now.password);
	return differs;
}

static enum rc queue_where(void *arg, struct queue_target *out)
{
	struct instance *in = arg;
	struct settings *s = instance_settings(in);
	struct backend *b = topology_primary(in->topology);
	struct credentials c = {.password = NULL};
	bool ok = use_queues(&c, s) || use_learnt(&c, in);

	put_tls(s, &out->tls);
	out->compress = s->backend.compress > SETTINGS_COMPRESS_CLIENT;
	settings_unref(s);
	if (!ok)
		return RC_ERROR;
	if (backend_state(b) == BACKEND_DISABLED) {
		secret_unref(c.password);
		return RC_DECLINED;
	}
	(void)snprintf(out->host, sizeof(out->host), "%s", b->host);
	out->port = b->is_unix ? 0 : b->port;
	(void)snprintf(out->user, sizeof(out->user), "%s", c.user);
	out->password = c.password;
	return RC_OK;
}

struct tag_list { cache_tag tags[CACHE_MAX_TAGS]; unsigned n; };

static enum rc put_tag(void *arg, struct span schema, struct span table)
{
	struct tag_list *l = arg;

	if (l->n == CACHE_MAX_TAGS)
		return RC_ERROR;
	l->tags[l->n++] = cache_tag_table(schema, table);
	return RC_OK;
}

/* "schema\0table\0" pairs to all the tables that writing them may have changed. false: not known. */
static bool closure_of(struct instance *in, struct span tables, struct tag_list *out)
{
	struct mbuf m = mbuf_of(tables.p, tables.len);
	struct span schema, table;
	const char *why;

	while (mbuf_left(&m)) {
		if (mbuf_str_nul(&m, &schema) != RC_OK || mbuf_str_nul(&m, &table) != RC_OK ||
		    catalog_writes(in->catalog, schema, table, put_tag, out, &why) != RC_OK)
			return false;
	}
	return true;
}

/* Runs on the drain's thread before the applied position moves: whoever waits for it finds the cache invalidated. */
static void queue_applied_hook(void *arg, struct span tables, struct span gtid)
{
	struct instance *in = arg;
	struct settings *s = instance_settings(in);
	struct tag_list list = {.n = 0};
	struct gtid_pos pos;
	bool known = gtid_parse(gtid, &pos) == RC_OK && pos.n == 1;
	struct cache_pos at = {.domain = known ? pos.at[0].domain : 0, .seq = known ? pos.at[0].seq : 0};

	pthread_mutex_lock(&in->drain_lock);
	if (known)
		gtid_merge(&in->drain_pos, &pos);
	else
		in->drain_unknown_ns = clock_mono_ns();
	pthread_mutex_unlock(&in->drain_lock);
	if (known)
		backend_saw_position(topology_primary(in->topology), &pos);
	if (in->cache && closure_of(in, tables, &list))
		cache_invalidate_from(in->cache, CACHE_BY_QUEUE, list.tags, list.n, known ? &at : NULL, instance_lag_window(s));
	else if (in->cache)
		cache_invalidate_all_from(in->cache, CACHE_BY_QUEUE, instance_lag_window(s));
	settings_unref(s);
}

/* C1: should this process die before it has invalidated, the other instances do (cache/ledger.h). */
static void queue_applying(void *arg, struct span tables)
{
	struct instance *in = arg;
	struct tag_list list = {.n = 0};
	bool known;

	if (!in->cache)
		return;
	cache_announce_end_from(in->cache, &in->drain_writes);
	if (!tables.len)
		return;
	known = closure_of(in, tables, &list);
	cache_announce_from(in->cache, &in->drain_writes, list.tags, list.n, !known);
}

struct queue_hooks hooks_queue(struct instance *in)
{
	return (struct queue_hooks){
		.arg = in, .target = queue_where, .on_applied = queue_applied_hook, .on_applying = queue_applying};
}

/* ---- the monitor ---- */

static void primary_changed(void *arg, struct backend *now)
{
	struct instance *in = arg;

	if (backend_state(now) == BACKEND_UP)
		catalog_nudge(in->catalog);
}

/* Bounds the writes whose position was not known: replicas past this are believed again. */
static void primary_at(void *arg, const struct gtid_pos *pos, uint64_t asked_ns)
{
	struct instance *in = arg;
	struct cache_pos at[GTID_DOMAINS];

	if (atomic_load_explicit(&in->position_waiters, memory_order_relaxed))
		for (size_t i = 0; i < in->nworkers; i++)
			worker_primary_at(in->workers[i]);

	if (!in->cache || pos->overflow)
		return;
	for (uint8_t i = 0; i < pos->n; i++)
		at[i] = (struct cache_pos){.domain = pos->at[i].domain, .seq = pos->at[i].seq};
	cache_primary_at(in->cache, at, pos->n, asked_ns);
}

void hooks_primary_moved(void *arg, struct backend *from, struct backend *to)
{
	struct instance *in = arg;
	struct settings *s = instance_settings(in);

	/* What the former primary had acknowledged need not be on the new one, whose positions begin anew. */
	if (in->cache) {
		cache_unfollowed(in->cache);
		cache_renumber(in->cache, CACHE_BY_FAILOVER, instance_lag_window(s));
	}
	settings_unref(s);
	pthread_mutex_lock(&in->drain_lock);
	in->drain_pos = (struct gtid_pos){.n = 0};
	in->drain_unknown_ns = clock_mono_ns();
	pthread_mutex_unlock(&in->drain_lock);
	for (size_t i = 0; i < in->nworkers; i++)
		worker_primary_moved(in->workers[i]);
	if (in->queue)
		queue_primary_moved(in->queue);
	catalog_nudge(in->catalog);
}

struct monitor_hooks hooks_monitor(struct instance *in)
{
	return (struct monitor_hooks){.arg = in, .primary_changed = primary_changed, .primary_at = primary_at};
}
