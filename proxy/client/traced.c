/*
 * traced.c - which statements become spans: those of a share of the traces, continuing the traceparent that sqlcommenter puts
 * into a statement (W3C Trace Context), or beginning a trace of their own.
 */
#include "clock.h"
#include "map.h"
#include "otlp.h"
#include "request.h"

#define TRACEPARENT_LEN 55 /* 00-TRACE-SPAN-FLAGS */
#define TRACE_AT 3
#define PARENT_AT 36
#define FLAGS_AT 53
#define FLAG_SAMPLED 1

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* lower case, the standard says */
}

static bool hex(const char *p, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = digit(p[2 * i]), low = digit(p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* RC_DECLINED: there is none. RC_ERROR: whoever began the trace has not kept it. */
static enum rc parent_of(const struct sql_lexed *l, struct otlp_span *s)
{
	uint8_t flags;

	for (uint16_t i = 0; i < l->ntags; i++) {
		struct span v = l->tags[i].value;

		if (!span_eq(l->tags[i].key, span_str("traceparent")))
			continue;
		if (v.len != TRACEPARENT_LEN || v.p[TRACE_AT - 1] != '-' || v.p[PARENT_AT - 1] != '-' || v.p[FLAGS_AT - 1] != '-' ||
		    !hex(v.p + TRACE_AT, s->trace, sizeof(s->trace)) || !hex(v.p + PARENT_AT, s->parent, sizeof(s->parent)) ||
		    !hex(v.p + FLAGS_AT, &flags, 1))
			return RC_DECLINED;
		return flags & FLAG_SAMPLED ? RC_OK : RC_ERROR;
	}
	return RC_DECLINED;
}

/* Not to be guessed, and never 0: the hash's seed is this process's secret. */
static void make_id(uint64_t session, uint64_t start_ns, uint64_t which, uint8_t *out)
{
	uint64_t key[3] = {session, start_ns, which}, id = map_hash(key, sizeof(key)) | 1;

	memcpy(out, &id, sizeof(id));
}

static void identify(struct otlp_span *s, const struct stats_event *e)
{
	memset(s->parent, 0, sizeof(s->parent));
	make_id(e->session, e->start_ns, 1, s->trace);
	make_id(e->session, e->start_ns, 2, s->trace + 8);
}

void request_trace(struct request *r, const struct stats_event *e)
{
	static const char *const routes[STATS_ROUTES] = {"primary", "replica", "cache", "queue", "local"};
	struct otlp *o = r->s->worker->in->otlp;
	struct backend_identity id;
	struct otlp_span s = {.total_ns = e->total_ns,
			      .digest = e->digest,
			      .rows_sent = e->rows_sent,
			      .rows_affected = e->rows_affected,
			      .verb = e->verb,
			      .route = routes[e->route],
			      .table = e->table,
			      .schema = e->schema,
			      .user = e->user,
			      .server = e->server,
			      .error = e->error};
	enum rc rc = parent_of(r->lexed, &s);

	if (rc == RC_ERROR)
		return;
	if (rc == RC_DECLINED)
		identify(&s, e);
	if (!otlp_wants(o, s.trace))
		return;
	make_id(e->session, e->start_ns, 3, s.id);
	s.mariadb = backend_identity(topology_primary(r->s->worker->in->topology), &id) && id.mariadb;
	s.start_us = clock_wall_us() - e->total_ns / 1000;
	if (!e->private_text && !e->unsure_text)
		s.text = span_of(r->st->text, r->st->text_len);
	otlp_add(o, r->s->worker->sink, &s);
}
