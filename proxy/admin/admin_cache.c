/*
 * admin_cache.c - /api/cache: what the result cache holds and does; and emptying it, whole or of a table.
 */
#include "admin_impl.h"

#include <jansson.h>

/* ---- showing ---- */

static void put_match(struct jsonw *w, const struct settings_match *m)
{
	const struct {
		const char *name, *value;
	} rows[] = {
		{"query", m->query}, {"table", m->table}, {"schema", m->schema}, {"user", m->user}, {"verb", m->verb},
	};

	jsonw_open(w, "match", '{');
	if (m->has_digest)
		jsonw_hex64(w, "digest", m->digest);
	for (size_t i = 0; i < countof(rows); i++)
		if (rows[i].value)
			jsonw_text(w, rows[i].name, rows[i].value);
	if (m->tag_key) {
		jsonw_open(w, "tag", '{');
		jsonw_text(w, m->tag_key, m->tag_value);
		jsonw_close(w, '}');
	}
	jsonw_close(w, '}');
}

static void put_refused(struct jsonw *w, const uint64_t *refused)
{
	jsonw_open(w, "refused", '{');
	for (unsigned i = CACHE_STORED + 1; i < CACHE_REFUSALS; i++)
		jsonw_uint(w, cache_refusal_name((enum cache_refusal)i), refused[i]);
	jsonw_close(w, '}');
}

static void put_invalidations(struct jsonw *w, const uint64_t *by)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < CACHE_CAUSES; i++)
		all += by[i];
	jsonw_uint(w, "invalidations", all);
	jsonw_open(w, "invalidations_by", '{');
	for (unsigned i = 0; i < CACHE_CAUSES; i++)
		jsonw_uint(w, cache_cause_name((enum cache_cause)i), by[i]);
	jsonw_close(w, '}');
}

/* What a table and a rule have alike. */
static void put_counts(void *arg, const struct cache_table *t)
{
	struct jsonw *w = arg;

	jsonw_uint(w, "entries", t->entries);
	jsonw_uint(w, "bytes", t->bytes);
	jsonw_uint(w, "hits", t->hits);
	jsonw_uint(w, "misses", t->misses);
	jsonw_uint(w, "fills", t->fills);
	jsonw_uint(w, "invalidations", t->invalidations);
	jsonw_seconds(w, "time_saved", t->saved_us * 1000);
	put_refused(w, t->refused);
}

static void put_rules(struct jsonw *w, const struct settings *s, struct cache *cache)
{
	static const struct cache_table nothing;

	jsonw_open(w, "rules", '[');
	for (size_t i = 0; i < s->cache.nrules; i++) {
		const struct settings_cache_rule *r = &s->cache.rules[i];

		jsonw_open(w, NULL, '{');
		put_match(w, &r->match);
		jsonw_seconds(w, "ttl", r->ttl_ns);
		jsonw_seconds(w, "refresh", r->refresh_ns);
		if (!cache || cache_rule(cache, r->id, put_counts, w) != RC_OK)
			put_counts(w, &nothing);
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
}

static void put_totals(struct jsonw *w, const struct cache_totals *t)
{
	jsonw_open(w, "memory", '{');
	jsonw_uint(w, "entries", t->entries);
	jsonw_uint(w, "bytes", t->bytes);
	jsonw_uint(w, "resident", t->resident);
	jsonw_uint(w, "limit", t->limit);
	jsonw_close(w, '}');
	jsonw_open(w, "redis", '{');
	jsonw_bool(w, "configured", t->redis_configured);
	jsonw_bool(w, "up", t->redis_up);
	jsonw_bool(w, "bus_live", t->bus_live);
	jsonw_close(w, '}');
	jsonw_open(w, "binlog", '{');
	jsonw_bool(w, "configured", t->follows);
	jsonw_bool(w, "live", t->follows && t->followed);
	jsonw_close(w, '}');
	jsonw_uint(w, "entries", t->entries);
	jsonw_uint(w, "bytes", t->bytes);
	jsonw_uint(w, "hits", t->hits);
	jsonw_uint(w, "hits_redis", t->hits_redis);
	jsonw_uint(w, "misses", t->misses);
	jsonw_uint(w, "fills", t->fills);
	put_invalidations(w, t->invalidations);
	jsonw_seconds(w, "time_saved", t->saved_ns);
	jsonw_uint(w, "evictions", t->evictions);
	jsonw_uint(w, "expirations", t->expirations);
	jsonw_uint(w, "bus_received", t->bus_received);
	put_refused(w, t->refused);
}

static void put_table(void *arg, const struct cache_table *t)
{
	struct jsonw *w = arg;

	jsonw_open(w, NULL, '{');
	if (t->name)
		jsonw_text(w, "table", t->name);
	else
		jsonw_null(w, "table");
	put_counts(w, t);
	jsonw_close(w, '}');
}

/* Without knowledge of the schema nothing is cached: it belongs to the answer to "why not?". */
static void put_catalog(struct jsonw *w, struct catalog *catalog)
{
	struct catalog_status st;

	catalog_status(catalog, &st);
	jsonw_open(w, "catalog", '{');
	jsonw_bool(w, "readable", st.readable);
	jsonw_bool(w, "stale", st.stale);
	jsonw_uint(w, "tables", st.tables);
	jsonw_uint(w, "views", st.views);
	jsonw_uint(w, "triggers", st.triggers);
	jsonw_uint(w, "cascades", st.cascades);
	jsonw_uint(w, "routines", st.routines);
	jsonw_seconds(w, "age", st.age_ns);
	jsonw_text(w, "problem", st.problem);
	jsonw_close(w, '}');
}

int get_cache(struct call *c)
{
	struct cache_totals t = {0};
	struct jsonw w;
	enum rc rc;

	if (c->a->in->cache)
		cache_totals(c->a->in->cache, &t);
	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	jsonw_bool(&w, "enabled", c->a->in->cache != NULL);
	put_totals(&w, &t);
	put_rules(&w, c->settings, c->a->in->cache);
	jsonw_open(&w, "tables", '[');
	if (c->a->in->cache)
		cache_tables(c->a->in->cache, put_table, &w);
	jsonw_close(&w, ']');
	put_catalog(&w, c->a->in->catalog);
	rc = stats_put_cache_predictions(c->a->in->stats, &w);
	jsonw_close(&w, '}');
	return call_done(c, rc == RC_OK ? jsonw_end(&w) : rc);
}

/* ---- flushing ---- */

struct closure {
	cache_tag tags[CACHE_MAX_TAGS];
	unsigned n;
	struct jsonw *w;
};

static enum rc add_table(void *arg, struct span schema, struct span table)
{
	struct closure *set = arg;

	if (set->n == CACHE_MAX_TAGS)
		return RC_ERROR;
	set->tags[set->n++] = cache_tag_table(schema, table);
	jsonw_printf(set->w, NULL, SPAN_FMT "." SPAN_FMT, SPAN_ARG(schema), SPAN_ARG(table));
	return RC_OK;
}

/* The table and all that writes to it may change. RC_DECLINED: what that is is not known, so everything must go. */
static enum rc flush_table(struct call *c, struct span schema, struct span table, const char **why)
{
	struct jsonw w;
	struct closure set = {.w = &w};

	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	jsonw_open(&w, "flushed", '[');
	*why = "it touches too many tables";
	if (catalog_writes(c->a->in->catalog, schema, table, add_table, &set, why) != RC_OK || set.n == 0)
		return RC_DECLINED;
	jsonw_close(&w, ']');
	jsonw_close(&w, '}');
	cache_invalidate_from(c->a->in->cache, CACHE_BY_FLUSH, set.tags, set.n, NULL, instance_lag_window(c->settings));
	return jsonw_end(&w);
}

static int flush_all(struct call *c, const char *why)
{
	struct jsonw w;

	cache_flush(c->a->in->cache, CACHE_BY_FLUSH);
	iobuf_reset(&c->out);
	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	jsonw_text(&w, "flushed", "everything");
	if (why)
		jsonw_text(&w, "reason", why);
	jsonw_close(&w, '}');
	return call_done(c, jsonw_end(&w));
}

static int flush(struct call *c, const char *name)
{
	const char *dot = strchr(name, '.'), *why;
	enum rc rc;

	if (!dot || dot == name || !dot[1])
		return call_error(c, 400, "table: '%s' is not allowed, allowed is schema.table", name);
	if (!c->a->in->cache)
		return call_error(c, 409, "the cache is switched off");
	rc = flush_table(c, span_of(name, (size_t)(dot - name)), span_str(dot + 1), &why);
	return rc == RC_DECLINED ? flush_all(c, why) : call_done(c, rc);
}

/* {} or no body: everything. */
static int flush_as_told(struct call *c, const json_t *body)
{
	const char *key;
	json_t *value;

	if (!json_is_object(body))
		return call_error(c, 400, "the body is not allowed, allowed is {\"table\": \"schema.table\"} or {}");
	json_object_foreach((json_t *)(uintptr_t)body, key, value) {
		if (strcmp(key, "table") != 0 || !json_is_string(value))
			return call_error(c, 400, "%s: not allowed, allowed is \"table\" with a string", key);
	}
	value = json_object_get(body, "table");
	if (value)
		return flush(c, json_string_value(value));
	if (!c->a->in->cache)
		return call_error(c, 409, "the cache is switched off");
	return flush_all(c, NULL);
}

int post_cache_flush(struct call *c)
{
	struct span text = call_body(c);
	json_error_t error;
	json_t *body = text.len ? json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, &error) : json_object();
	int status;

	if (!body)
		return call_error(c, 400, "the body is no JSON: %s", text.len ? error.text : "out of memory");
	status = flush_as_told(c, body);
	json_decref(body);
	return status;
}
