#include "queue_json.h"

void queue_json_totals(struct jsonw *w, const struct queue_totals *t)
{
	static const struct queue_totals none;
	const char *state = t ? queue_state_name(t->state) : "off";

	if (!t)
		t = &none;
	jsonw_text(w, "state", state);
	jsonw_text(w, "reason", t->reason);
	if (t->engine) {
		jsonw_text(w, "engine", t->engine);
		jsonw_uint(w, "lanes", t->lanes);
		jsonw_uint(w, "lanes_here", t->lanes_here);
	}
	jsonw_uint(w, "depth", t->depth);
	jsonw_uint(w, "bytes", t->bytes);
	jsonw_seconds(w, "oldest_age", t->oldest_age_ns);
	jsonw_uint(w, "enqueued", t->enqueued);
	jsonw_uint(w, "applied", t->applied);
	jsonw_uint(w, "dead", t->dead);
	jsonw_uint(w, "dead_waiting", t->dead_waiting);
	jsonw_uint(w, "retries", t->retries);
	jsonw_uint(w, "batches", t->batches);
	jsonw_uint(w, "last_batch_rows", t->last_batch_rows);
	jsonw_double(w, "mean_batch_rows", t->batches ? (double)t->applied / (double)t->batches : 0);
	jsonw_uint(w, "batch_rows_now", t->batch_rows_now);
	jsonw_double(w, "drain_rate", t->drain_rate);
	jsonw_open(w, "fsync", '{');
	jsonw_uint(w, "count", t->fsyncs);
	jsonw_seconds(w, "last", t->fsync_ns_last);
	jsonw_seconds(w, "mean", t->fsyncs ? t->fsync_ns_total / t->fsyncs : 0);
	jsonw_close(w, '}');
	jsonw_uint(w, "first_seq", t->first_seq);
	jsonw_uint(w, "last_seq", t->last_seq);
	jsonw_uint(w, "applied_seq", t->applied_seq);
	jsonw_uint(w, "waits_for", t->waits_for);
}

/* "schema\0table\0" pairs as "schema.table". */
static void put_tables(struct jsonw *w, struct span tables)
{
	const char *p = tables.p, *end = p + tables.len;

	jsonw_open(w, "tables", '[');
	while (p < end) {
		const char *schema_end = memchr(p, '\0', (size_t)(end - p));
		const char *table = schema_end ? schema_end + 1 : end;
		const char *table_end = table < end ? memchr(table, '\0', (size_t)(end - table)) : NULL;

		if (!table_end)
			break;
		jsonw_printf(w, NULL, "%s%s%s", p, *p ? "." : "", table);
		p = table_end + 1;
	}
	jsonw_close(w, ']');
}

static void put_values(const struct queue_json_list *l, const struct queue_view *v)
{
	struct jsonw *w = l->w;

	if (!l->samples) {
		jsonw_null(w, "statement");
		return;
	}
	jsonw_str(w, "environment", v->environment);
	jsonw_str(w, "statement", span_of(v->sql.p, v->sql.len < l->statement_most ? v->sql.len : l->statement_most));
}

void queue_json_view(void *arg, const struct queue_view *v)
{
	struct queue_json_list *l = arg;
	struct jsonw *w = l->w;

	if (l->only && l->only != (v->dead_id ? v->dead_id : v->seq))
		return;
	l->shown++;
	jsonw_open(w, NULL, '{');
	if (v->dead_id) {
		jsonw_uint(w, "id", v->dead_id);
		jsonw_uint(w, "error_code", v->error_code);
		if (l->samples) /* the server cites values in it */
			jsonw_str(w, "error", v->error);
		else
			jsonw_printf(w, "error", "error %u; its text holds values", v->error_code);
		jsonw_time(w, "failed", v->failed_us);
	}
	jsonw_uint(w, "seq", v->seq);
	jsonw_time(w, "time", v->time_us);
	jsonw_hex64(w, "digest", v->digest);
	jsonw_str(w, "user", v->account);
	jsonw_str(w, "schema", v->schema);
	put_tables(w, v->tables);
	jsonw_uint(w, "statement_bytes", v->sql.len);
	put_values(l, v);
	jsonw_close(w, '}');
}
