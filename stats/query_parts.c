/*
 * query_parts.c - what a digest's row says by name: users, schemas, routes, servers, error codes, accounts.
 */
#include "queries.h"

#define NAMES_MAX 16    /* users, routes listed a digest */
#define ERRORS_MAX 16   /* error codes */
#define ACCOUNTS_MAX 16 /* schemas and users, one by one */

struct names {
	struct {
		const char *text;
		uint64_t weight;
	} name[NAMES_MAX];
	unsigned n;
};

static void names_add(struct names *l, const char *text, uint64_t weight)
{
	if (text[0] == '\0')
		return;
	for (unsigned i = 0; i < l->n; i++) {
		if (strcmp(l->name[i].text, text) == 0) {
			l->name[i].weight += weight;
			return;
		}
	}
	if (l->n < NAMES_MAX) {
		l->name[l->n].text = text;
		l->name[l->n++].weight = weight;
	}
}

/* Heaviest first. */
static void names_put(struct names *l, struct jsonw *w, const char *key)
{
	jsonw_open(w, key, '[');
	while (l->n > 0) {
		unsigned best = 0;

		for (unsigned i = 1; i < l->n; i++) {
			if (l->name[i].weight > l->name[best].weight)
				best = i;
		}
		jsonw_text(w, NULL, l->name[best].text);
		l->name[best] = l->name[--l->n];
	}
	jsonw_close(w, ']');
}

/* {"name": weight, ...} as a list of objects: a name may be any text, and a key must be a literal. */
static void put_weights(const struct names *l, struct jsonw *w, const char *key)
{
	jsonw_open(w, key, '[');
	for (unsigned i = 0; i < l->n; i++) {
		jsonw_open(w, NULL, '{');
		jsonw_text(w, "addr", l->name[i].text);
		jsonw_uint(w, "calls", l->name[i].weight);
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
}

static void add_tags(struct names *l, const struct stats_row_tag *tags, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		const char *text = atomic_load_explicit(&tags[i].text, memory_order_acquire);

		if (text)
			names_add(l, text, stats_get(&tags[i].count));
	}
}

void query_names_put(const struct view *v, const struct view_row *r, struct jsonw *w)
{
	struct names users = {0}, schemas = {0}, tags = {0}, servers = {0};

	for (uint32_t i = r->main ? r->refs : VIEW_NONE; i != VIEW_NONE; i = v->ref[i].next) {
		const struct stats_row *row = v->ref[i].row;
		uint64_t spent = stats_get(&row->n[STATS_N_TOTAL_NS]);

		names_add(&users, row->digest->user, spent);
		names_add(&schemas, row->digest->schema, spent);
		add_tags(&tags, row->tag, STATS_TAGS);
		add_tags(&servers, row->server, STATS_SERVERS);
	}
	names_put(&users, w, "users");
	names_put(&schemas, w, "schemas");
	names_put(&tags, w, "tags");
	put_weights(&servers, w, "servers");
}

struct codes {
	struct {
		uint32_t code;
		uint64_t count;
	} at[ERRORS_MAX];
	unsigned n;
};

static void codes_add(struct codes *l, uint32_t code, uint64_t count)
{
	unsigned i;

	for (i = 0; i < l->n && l->at[i].code != code; i++)
		;
	if (i == ERRORS_MAX)
		return; /* what is missing in the sum were others */
	if (i == l->n) {
		l->at[l->n].code = code;
		l->at[l->n++].count = 0;
	}
	l->at[i].count += count;
}

void query_errors_put(const struct view *v, const struct view_row *r, struct jsonw *w)
{
	struct codes l = {0};

	for (uint32_t i = r->refs; i != VIEW_NONE; i = v->ref[i].next) {
		for (unsigned e = 0; e < STATS_ERRORS; e++) {
			const struct stats_row_error *at = &v->ref[i].row->error[e];
			uint32_t code = atomic_load_explicit(&at->code, memory_order_acquire);

			if (code)
				codes_add(&l, code, stats_get(&at->count));
		}
	}
	jsonw_open(w, "errors_by_code", '[');
	for (unsigned i = 0; i < l.n; i++) {
		jsonw_open(w, NULL, '{');
		jsonw_uint(w, "code", l.at[i].code);
		jsonw_uint(w, "count", l.at[i].count);
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
}

/* ---- a digest by schema and user ---- */

struct accounts {
	struct account_sum {
		const struct stats_digest *of;
		uint64_t n[STATS_NUMBERS];
	} at[ACCOUNTS_MAX];
	unsigned n;
};

static void accounts_add(struct accounts *l, const struct stats_row *row)
{
	unsigned i;

	for (i = 0; i < l->n && l->at[i].of != row->digest; i++)
		;
	if (i == ACCOUNTS_MAX)
		return;
	if (i == l->n)
		l->at[l->n++] = (struct account_sum){.of = row->digest};
	for (unsigned n = 0; n < STATS_NUMBERS; n++)
		l->at[i].n[n] += stats_get(&row->n[n]);
}

void query_accounts_put(const struct view *v, const struct view_row *r, struct jsonw *w)
{
	struct accounts l = {0};

	for (uint32_t i = r->main ? r->refs : VIEW_NONE; i != VIEW_NONE; i = v->ref[i].next)
		accounts_add(&l, v->ref[i].row);
	jsonw_open(w, "accounts", '[');
	for (unsigned i = 0; i < l.n; i++) {
		const struct account_sum *a = &l.at[i];

		jsonw_open(w, NULL, '{');
		jsonw_text(w, "schema", a->of->schema);
		jsonw_text(w, "user", a->of->user);
		jsonw_uint(w, "calls", a->n[STATS_N_CALLS]);
		jsonw_uint(w, "errors", a->n[STATS_N_ERRORS]);
		jsonw_seconds(w, "total_time", a->n[STATS_N_TOTAL_NS]);
		jsonw_uint(w, "rows_sent", a->n[STATS_N_ROWS_SENT]);
		jsonw_uint(w, "rows_affected", a->n[STATS_N_ROWS_AFFECTED]);
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
}
