/*
 * counted.c - a finished request becomes one event of the statistics.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "listed.h"
#include "otlp.h"
#include "pieces.h"
#include "request.h"
#include "rows.h"

#define TAG_MOST 128
#define TRACE_AT 3
#define TRACE_LEN 32
#define ER_LOCK_WAIT_TIMEOUT 1205
#define ER_LOCK_DEADLOCK 1213

static void normalise(const struct stats_event *e, void *into)
{
	if (sql_normalise(e->text, e->mode, STATS_TEXT_MAX, into) != RC_OK)
		return; /* what fits is kept */
}

/* The same from one call to the next, but for a schema that was changed since the statement was parsed. */
static uint64_t key_of(struct request *r)
{
	struct statement *st = r->st;
	const struct account *a = r->s->account;

	if (!span_eq(request_schema(r), span_of(st->schema, st->schema_len)))
		return 0;
	if (unlikely(st->stats_account != a->id)) {
		st->stats_key = stats_key(st->digest, request_schema(r), span_str(a->user));
		st->stats_account = a->id;
		st->stats_place = (struct stats_place){.row = NULL};
	}
	return st->stats_key;
}

/* Appends a tag's value to buf; returns the new length. */
static size_t put_tag(const struct sql_lexed *l, const char *key, char *buf, size_t len, size_t cap)
{
	for (uint16_t i = 0; i < l->ntags; i++) {
		struct span v = l->tags[i].value;

		if (!span_eq(l->tags[i].key, span_str(key)))
			continue;
		while (len < cap && sql_tag_next(&v, &buf[len]))
			len++;
		break;
	}
	return len;
}

/* sqlcommenter's route, else controller:action. */
static struct span route_of(const struct sql_lexed *l, char buf[TAG_MOST])
{
	size_t len = put_tag(l, "route", buf, 0, TAG_MOST);

	if (len || !l->ntags)
		return span_of(buf, len);
	len = put_tag(l, "controller", buf, 0, TAG_MOST - 1);
	if (len) {
		buf[len++] = ':';
		len = put_tag(l, "action", buf, len, TAG_MOST);
	}
	return span_of(buf, len);
}

/* sqlcommenter's application: Rails calls it so, Django app_name. */
static struct span service_of(const struct sql_lexed *l, char buf[TAG_MOST])
{
	size_t len = l->ntags ? put_tag(l, "application", buf, 0, TAG_MOST) : 0;

	if (!len && l->ntags)
		len = put_tag(l, "app_name", buf, 0, TAG_MOST);
	return span_of(buf, len);
}

static struct span framework_of(const struct sql_lexed *l, char buf[TAG_MOST])
{
	return span_of(buf, l->ntags ? put_tag(l, "framework", buf, 0, TAG_MOST) : 0);
}

/* The trace in "00-TRACE-SPAN-FLAGS" (W3C Trace Context), as a number. */
static uint64_t trace_of(const struct sql_lexed *l)
{
	char buf[TAG_MOST];
	size_t len = l->ntags ? put_tag(l, "traceparent", buf, 0, TAG_MOST) : 0;

	if (len < TRACE_AT + TRACE_LEN || buf[TRACE_AT - 1] != '-')
		return 0;
	return map_hash(buf + TRACE_AT, TRACE_LEN);
}

/* A sample that can be explained has its values in it: bound only where somebody will look at it. */
static struct span text_of(struct request *r, bool worth_it)
{
	struct iobuf *tmp = &r->s->worker->tmp;

	if (!r->prepared || !worth_it || !r->prepared->types)
		return r->sql;
	iobuf_consume(tmp, iobuf_len(tmp));
	if (prepared_bind(r, tmp) != RC_OK)
		return r->sql;
	return span_of(iobuf_data(tmp), iobuf_len(tmp));
}

/* As the cache would have tagged its answer. A schema that is not known just now is read again, for the next. */
static unsigned depends(const struct stats_event *e, uint64_t *deps, unsigned most)
{
	struct request *r = (struct request *)(uintptr_t)e->arg;
	struct worker *w = r->s->worker;

	statement_resolve(r->st, w->in->catalog, w->settings);
	if (!r->st->resolved) {
		catalog_nudge(w->in->catalog);
		return 0;
	}
	rows_read(r);
	if (r->ntags > most)
		return 0;
	memcpy(deps, r->tags, r->ntags * sizeof(*deps));
	return r->ntags;
}

/* As depends, by table alone. */
static unsigned tables(const struct stats_event *e, uint64_t *out, unsigned most)
{
	const struct request *r = e->arg;
	const struct statement *st = r->st;
	unsigned n;

	statement_resolve(r->st, r->s->worker->in->catalog, r->s->worker->settings);
	n = e->is_read ? st->nreads : st->nwrites;
	if (!st->resolved || n > most)
		return 0;
	memcpy(out, e->is_read ? st->reads : st->writes, n * sizeof(*out));
	return n;
}

static uint64_t version(const struct stats_event *e, const uint64_t *deps, unsigned n)
{
	const struct request *r = e->arg;

	return cache_stamp(r->s->worker->in->cache, deps, n);
}

static void count(struct request *r, uint64_t now_ns, bool cache_refused)
{
	struct session *s = r->s;
	const struct sql_facts *f = &r->st->facts;
	bool served = r->route == STATS_PRIMARY || r->route == STATS_REPLICA;
	const struct backend *by = served ? r->backend : NULL;
	uint16_t status = served && s->up ? s->up->track.status : 0;
	uint64_t total = now_ns - r->start_ns;
	bool unsure = statement_text_unsure(r->st, by != NULL, r->error);
	char table[256], route[TAG_MOST], service[TAG_MOST], framework[TAG_MOST];
	uint64_t key = key_of(r);
	struct stats_event e = {
		.digest = r->st->digest,
		.arg = r,
		.values = listed_values,
		.listed = listed_in,
		.key = key,
		.place = key ? &r->st->stats_place : NULL,
		.literals = r->prepared ? map_hash(r->execute.values.p, r->execute.values.len) : r->lexed->literals,
		.verb = sql_verb_name(f->verb),
		.text = text_of(r, status & (STATUS_NO_INDEX | STATUS_NO_GOOD_INDEX) ||
					   total >= s->worker->settings->stats.slow_ns),
		.normalise = normalise,
		.mode = r->mode,
		.schema = request_schema(r),
		.user = span_of(s->account->user, s->account->user_len),
		.host = span_of(s->peer, s->peer_len),
		.session = s->id,
		.table = unsure ? span_of("", 0) : statement_table(r->st, table, sizeof(table)),
		.tag_route = route_of(r->lexed, route),
		.tag_service = service_of(r->lexed, service),
		.tag_framework = framework_of(r->lexed, framework),
		.trace = trace_of(r->lexed),
		.start_ns = r->start_ns,
		.total_ns = total,
		.wait_ns = r->lease_ns,
		.server_ns = served && r->first_ns > r->sent_ns ? r->first_ns - r->sent_ns : 0,
		.answer_ns = served && r->first_ns > r->sent_ns ? now_ns - r->sent_ns : 0,
		.server = by ? span_of(by->text, by->text_len) : span_of("", 0),
		.server_hash = by ? by->text_hash : 0,
		.retries = r->attempts,
		.cache_refused = cache_refused,
		.rows_sent = r->rows,
		.rows_affected = r->affected,
		.bytes_in = iobuf_len(&r->packet),
		.bytes_out = r->bytes_out,
		.error = r->error,
		.lock = !served                            ? STATS_LOCK_NONE /* suimon's own 1205: the queue was waited for */
			: r->error == ER_LOCK_WAIT_TIMEOUT ? STATS_LOCK_TIMEOUT
			: r->error == ER_LOCK_DEADLOCK     ? STATS_LOCK_DEADLOCK
							   : STATS_LOCK_NONE,
		.warnings = r->warnings,
		.no_index = status & STATUS_NO_INDEX,
		.no_good_index = status & STATUS_NO_GOOD_INDEX,
		.slow_flag = status & STATUS_QUERY_WAS_SLOW,
		.is_read = !(f->flags & SQL_F_WRITES),
		.asks_outcome = f->flags & (SQL_F_LAST_INSERT_ID | SQL_F_ROW_COUNT),
		.insert_id = r->insert_id,
		.tables = tables,
		.private_text = sql_is_private(f, r->sql),
		.unsure_text = unsure,
		.route = r->route,
		.cached = r->cache_hit ? STATS_HIT : r->looked_up && r->plan.cache ? STATS_MISS : STATS_NOT_CACHEABLE,
		.cacheable = r->plan.cacheable,
		.queueable = r->plan.queueable,
		.ttl_ns = r->plan.cache_ttl_ns,
		.alone = !s->in_transaction && session_autocommit(s) && !s->pins && !s->vars->dirty_reads,
		.too_large = r->bytes_out > s->worker->settings->cache.max_result,
		.state = (uint64_t)(uintptr_t)s->vars,
		.depends = s->worker->in->cache ? depends : NULL,
		.version = version,
	};

	listed_end(r);
	if (pieces_count(r, &e) != RC_OK)
		stats_record(s->worker->sink, &s->nplus1, &e);
	if (unlikely(otlp_is_on(s->worker->in->otlp)))
		request_trace(r, &e);
}

void request_count(struct request *r, uint64_t now_ns, bool cache_refused)
{
	if (COUNTED)
		count(r, now_ns, cache_refused);
}
