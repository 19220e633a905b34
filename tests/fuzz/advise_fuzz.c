/*
 * advise_fuzz.c - a server's plan as JSON and the conditions in it, a statement to be explained (F2). The first byte says
 * what the rest is.
 */
#include <stdlib.h>

#include "advise_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void try_columns(struct span condition, struct span sort, struct span table)
{
	struct advise_columns found = {.n = 0}, index = {.n = 0}, named = {.n = 0}, sides[ADVISE_MOST_SIDES];
	struct advise_json inside;
	struct iobuf put;

	advise_condition(condition, table, &found);
	advise_sort(sort, table, &found);
	must(found.n <= countof(found.at));
	for (size_t i = 0; i < found.n; i++) {
		must(memchr(found.at[i].name, '\0', ADVISE_NAME) != NULL);
		found.at[i].exists = true;
	}
	advise_choose(&found, &index);
	must(index.n <= ADVISE_MOST_COLUMNS);
	must(advise_either(condition, table, sides) <= ADVISE_MOST_SIDES);
	iobuf_init(&put, 0);
	must(advise_put_condition(condition, table, &put, &named) != RC_AGAIN);
	must(named.n <= countof(named.at));
	iobuf_reset(&put);
	if (advise_json_find(condition, table, &inside))
		must(inside.column[0] && inside.path[0] == '$' && memchr(inside.column, '\0', ADVISE_NAME) && memchr(inside.path, '\0', ADVISE_JSON_PATH));
}

/* What is looked for inside a document is found again in the statement, and mended there. */
static void try_inside(struct span text)
{
	struct advise_json inside = {.column = "doc", .path = "$.a", .name = "doc_a", .collation = "utf8mb4_bin"};
	struct advise_table t = {.schema = "shop", .name = "t"};
	struct iobuf words, sql, statement;

	for (unsigned form = ADVISE_JSON_VALUE; form <= ADVISE_JSON_EXTRACT; form++) {
		inside.form = (enum advise_json_form)form;
		inside.number = text.len % 2;
		iobuf_init(&words, 0);
		iobuf_init(&sql, 0);
		iobuf_init(&statement, 0);
		if (advise_json_place(text, &inside) == RC_OK)
			must(advise_json_fix(text, &t, &inside, &words, &sql, &statement) == RC_OK && iobuf_len(&words));
		iobuf_reset(&words);
		iobuf_reset(&sql);
		iobuf_reset(&statement);
	}
}

/* A comparison that hides an index of its column is found again in the statement, and mended there. */
static void try_mended(struct span text)
{
	static const char *const functions[] = {"cast", "date", "year", "month", "lcase", "lower", "upper", "left"};
	struct advise_column of = {.name = "a", .use = ADVISE_HIDDEN, .term = span_str("left(t.a,3) = 'abc'")};
	struct iobuf sql;

	for (unsigned i = 0; i < 2 * countof(functions); i++) {
		of.function = span_str(functions[i / 2]);
		of.also = span_str(i % 4 < 2 ? "" : "month(t.a) = 3");
		of.is_text = of.folds_case = i % 2;
		iobuf_init(&sql, 0);
		must(advise_mend(text, &of, "t", &sql) == RC_OK);
		iobuf_reset(&sql);
	}
}

static void try_plan(struct span text)
{
	struct advise_scan scans[ADVISE_MOST_SCANS];
	json_t *plan = json_loadb(text.p, text.len, 0, NULL);
	size_t n = plan ? advise_plan_scans(plan, scans) : 0;

	must(n <= ADVISE_MOST_SCANS);
	for (size_t i = 0; i < n; i++) {
		must(scans[i].table && (i == 0 || scans[i].rows <= scans[i - 1].rows));
		must(advise_plan_lookups(plan, scans[i].table) >= 0);
		try_columns(span_str(scans[i].condition), span_str(scans[i].sort), span_str(scans[i].table));
	}
	json_decref(plan);
}

static void try_recode(struct span text)
{
	static struct advise_verdict v;
	struct advise_recode r = {.charset = "utf8mb4", .collation = "utf8mb4_bin"};
	struct iobuf b;

	must(advise_definition(text, "a", &r) == RC_OK);
	must(memchr(r.definition, '\0', sizeof(r.definition)) != NULL);
	v = (struct advise_verdict){.scan = {.table = "t"}, .recode = {.column = "a", .other = "b", .drops_collate = true}};
	iobuf_init(&b, 0);
	must(advise_put_without_collate(text, &v, &b) != RC_AGAIN);
	iobuf_reset(&b);
}

static void try_statement(struct span text)
{
	struct advise_columns selected = {.n = 0};
	struct span order = advise_order_by(text);
	struct advise_table t;
	struct sql_facts f;
	struct iobuf b;

	must(!order.len || (order.p >= text.p && order.p + order.len <= text.p + text.len));
	iobuf_init(&b, 0);
	must(advise_read(text, &b) != RC_AGAIN);
	iobuf_reset(&b);
	must(advise_explain_text(text, &b) != RC_AGAIN);
	iobuf_reset(&b);
	try_inside(text);
	try_mended(text);
	advise_selected(text, span_str("t"), &selected);
	must(selected.n <= countof(selected.at));
	must(sql_facts_parse(text, 0, &f) == RC_OK);
	if (advise_table_of(text, &f, "t", "shop", &t) == RC_OK)
		must(memchr(t.schema, '\0', ADVISE_NAME) && memchr(t.name, '\0', ADVISE_NAME));
	sql_facts_free(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text;

	if (!size)
		return 0;
	text = span_of(data + 1, size - 1);
	if (data[0] % 3 == 0)
		try_plan(text);
	else if (data[0] % 3 == 1)
		try_columns(text, text, span_str("t"));
	else {
		try_statement(text);
		try_recode(text);
	}
	return 0;
}
