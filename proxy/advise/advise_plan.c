#include <stdlib.h>

#include "advise_impl.h"

#define MOST_DEPTH 64

/* A table that is looked up by a column of a scan, and drops none itself. */
struct via {
	size_t scan;
	const char *table, *path, *key;
};

struct found {
	struct advise_scan *at;
	size_t n;
	struct via via[ADVISE_MOST_SCANS];
	size_t vias;
	uint64_t most_rows;
	const char *but; /* note_filter: the table that is let be */
	bool filters;
};

/* What the object around a table says of it. */
struct around {
	const char *joined, *sort;
	bool checked;
};

typedef void (*visit_fn)(struct found *f, const json_t *object, const struct around *around);

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* MariaDB says rows; MySQL how many it looks at each time, and how many it hands on. */
static uint64_t rows_of(const json_t *table)
{
	const json_t *v = json_object_get(table, "rows");

	if (!v)
		v = json_object_get(table, "rows_examined_per_scan");
	return json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
}

/* ALL reads the table, index a whole index of it; of a join buffer's table MariaDB has the condition beside it. Names in angle brackets
 * are the plan's own temporary tables. */
static bool is_full_scan(const json_t *table, const struct around *around)
{
	const char *name = text_of(table, "table_name"), *access = text_of(table, "access_type");

	if (!name || !access || name[0] == '<' || name[0] == '\0')
		return false;
	return strcmp(access, "ALL") == 0 ||
	       (strcmp(access, "index") == 0 && (around->joined || json_object_get(table, "attached_condition")));
}

/* A whole index that has all that is asked of the table, without a condition. */
static bool is_unfiltered(const json_t *table)
{
	const char *name = text_of(table, "table_name"), *access = text_of(table, "access_type");

	return name && access && name[0] != '<' && strcmp(access, "index") == 0 && json_is_true(json_object_get(table, "using_index"));
}

/* An index finds many rows, and a condition drops some of them again. */
static bool finds_many(const json_t *table)
{
	const char *name = text_of(table, "table_name"), *access = text_of(table, "access_type");

	return name && access && name[0] != '<' && (strcmp(access, "ref") == 0 || strcmp(access, "range") == 0) &&
	       text_of(table, "key") && text_of(table, "attached_condition") && rows_of(table) >= ADVISE_LEAST_FOUND;
}

static void note_scan(struct found *f, const json_t *table, const struct around *around)
{
	struct advise_scan one = {.table = text_of(table, "table_name"),
				  .rows = rows_of(table),
				  .condition = text_of(table, "attached_condition"),
				  .joined = around->joined,
				  .sort = around->sort,
				  .checked = around->checked,
				  .covered = json_is_true(json_object_get(table, "using_index"))};
	bool whole = is_full_scan(table, around), unfiltered = !whole && is_unfiltered(table);
	size_t i = f->n;

	if (!whole && !unfiltered && !finds_many(table))
		return;
	one.unfiltered = unfiltered;
	if (!whole && !unfiltered) {
		one.searched = text_of(table, "key");
		one.keys = json_object_get(table, "used_key_parts");
		one.refs = json_object_get(table, "ref");
	}
	one.ordered = strcmp(text_of(table, "access_type"), "index") == 0 && !one.covered;
	if (f->n == ADVISE_MOST_SCANS) {
		if (f->at[--i].rows >= one.rows)
			return;
	} else {
		f->n++;
	}
	for (; i > 0 && f->at[i - 1].rows < one.rows; i--)
		f->at[i] = f->at[i - 1];
	f->at[i] = one;
}

/* MariaDB gives a number, MySQL a string. */
static double filtered(const json_t *table)
{
	const json_t *v = json_object_get(table, "filtered");
	const char *text = json_string_value(v);

	if (text)
		return strtod(text, NULL);
	return json_is_number(v) ? json_number_value(v) : 100;
}

/* Something that an index could serve; that a nullable column is not NULL goes without saying in a join. */
static bool asks(const char *condition, const char *table)
{
	struct advise_columns of = {0};

	if (condition)
		advise_condition(span_str(condition), span_str(table), &of);
	return of.n > 0;
}

static bool is_bare(const struct advise_scan *s)
{
	return !asks(s->condition, s->table) && !s->joined;
}

/* Of an outer join's inner side, which comes after the other whatever it asks. */
static bool is_outer(const char *condition)
{
	condition += strspn(condition, "(");
	return strncmp(condition, "trigcond(", 9) == 0 || strncmp(condition, "<if>(", 5) == 0;
}

/* Is it a column of this table that another is looked up by? */
static bool is_of(const char *path, const char *table)
{
	struct advise_columns of = {0};

	advise_ref(span_str(path), span_str(table), NULL, NULL, &of);
	return of.n > 0;
}

static void set_ref(struct advise_scan *s, const struct via *by, const json_t *filter)
{
	s->own = !is_bare(s);
	s->ref = by->path;
	s->ref_by = by->table;
	s->ref_key = by->key;
	s->ref_filter = text_of(filter, "table_name");
	s->ref_table = filtered(filter) * ADVISE_MOST_SORTED > 100 ? s->ref_filter : NULL;
	s->ref_condition = text_of(filter, "attached_condition");
}

/* A table that is looked up by a column of a scan, itself or by what is, and drops most rows: with an index on that column it could come first. */
static void note_ref(struct found *f, const json_t *table, const struct around *around)
{
	const char *condition = text_of(table, "attached_condition");
	struct via by = {.table = text_of(table, "table_name"),
			 .path = json_string_value(json_array_get(json_object_get(table, "ref"), 0)),
			 .key = json_string_value(json_array_get(json_object_get(table, "used_key_parts"), 0))};

	(void)around;
	/* Without statistics MariaDB says that all rows pass, MySQL a tenth for an equality. */
	if (!by.path || !by.table || (condition && is_outer(condition)))
		return;
	if (!asks(condition, by.table))
		condition = NULL;
	for (size_t i = 0; i < f->vias && condition; i++)
		if (is_of(by.path, f->via[i].table) && !f->at[f->via[i].scan].ref)
			set_ref(&f->at[f->via[i].scan], &f->via[i], table);
	for (size_t i = 0; i < f->n; i++) {
		const struct advise_scan *s = &f->at[i];

		by.scan = i;
		if (!is_of(by.path, s->table) || s->searched || s->unfiltered || (!is_bare(s) && (s->joined || s->ordered)))
			continue;
		if (condition)
			set_ref(&f->at[i], &by, table);
		else if (f->vias < countof(f->via))
			f->via[f->vias++] = by;
	}
}

static void note_rows(struct found *f, const json_t *table, const struct around *around)
{
	uint64_t n = rows_of(table);

	(void)around;
	if (n > f->most_rows)
		f->most_rows = n;
}

static void walk(struct found *f, const json_t *node, struct around around, visit_fn visit, unsigned depth)
{
	static const struct around nothing;
	struct around inner;
	const json_t *child;
	const char *key;
	size_t i;

	if (depth > MOST_DEPTH)
		return;
	if (json_is_array(node)) {
		json_array_foreach(node, i, child)
		{
			walk(f, child, nothing, visit, depth + 1);
		}
		return;
	}
	visit(f, node, &around);
	inner = (struct around){text_of(node, "attached_condition"), text_of(node, "sort_key"),
				json_is_array(json_object_get(node, "keys"))};
	/* jansson's iterator does not take a const object */
	json_object_foreach((json_t *)(uintptr_t)node, key, child)
	{
		if (json_is_object(child) || json_is_array(child))
			walk(f, child, strcmp(key, "table") == 0 ? inner : nothing, visit, depth + 1);
	}
}

uint64_t advise_plan_rows(const json_t *plan)
{
	struct found f = {0};

	walk(&f, plan, (struct around){0}, note_rows, 0);
	return f.most_rows;
}

/* MariaDB has an object for each ("temporary_table", "filesort"), MySQL a mark at what needs it; there a derived table's own is
 * marked, too, and is not what EXPLAIN calls "Using temporary". */
static void note_work(struct advise_work *work, const json_t *node, unsigned depth)
{
	const json_t *child;
	const char *key;
	size_t i;

	if (depth > MOST_DEPTH)
		return;
	json_array_foreach(node, i, child)
	{
		note_work(work, child, depth + 1);
	}
	/* jansson's iterator does not take a const object */
	json_object_foreach((json_t *)(uintptr_t)node, key, child)
	{
		bool derived = strcmp(key, "materialized_from_subquery") == 0;

		work->temporary |= (strcmp(key, "temporary_table") == 0 && json_is_object(child)) ||
				   (strcmp(key, "using_temporary_table") == 0 && json_is_true(child));
		work->filesort |= (strcmp(key, "filesort") == 0 && json_is_object(child)) ||
				  (strcmp(key, "using_filesort") == 0 && json_is_true(child));
		note_work(work, derived ? json_object_get(child, "query_block") : child, depth + 1);
	}
}

struct advise_work advise_plan_work(const json_t *plan)
{
	struct advise_work work = {0};

	note_work(&work, plan, 0);
	return work;
}

/* A table that drops rows of a join. The condition of an outer join does not. */
static void note_filter(struct found *f, const json_t *table, const struct around *around)
{
	const char *name = text_of(table, "table_name"), *condition = text_of(table, "attached_condition");

	if (name && strcmp(name, f->but) != 0 && (condition || around->joined))
		f->filters |= !condition || !is_outer(condition);
}

bool advise_plan_filters(const json_t *plan, const char *but)
{
	struct found f = {.but = but};

	walk(&f, plan, (struct around){0}, note_filter, 0);
	return f.filters;
}

size_t advise_plan_scans(const json_t *plan, struct advise_scan out[ADVISE_MOST_SCANS])
{
	struct found f = {.at = out};

	walk(&f, plan, (struct around){0}, note_scan, 0);
	walk(&f, plan, (struct around){0}, note_ref, 0);
	return f.n;
}
