/*
 * settings_keys.c - cache.keys: a mapping of tables to the columns that make a row's key.
 */
#include <string.h>

#include "mem.h"
#include "settings_rows.h"

#define NAME_BYTES 64 /* of a schema, table or column: the servers' own limit is 64 characters */
#define COLUMNS 16    /* of a key: InnoDB's own limit */

static bool is_name(struct span s)
{
	return s.len > 0 && s.len <= NAME_BYTES * 4;
}

const char *settings_keys_check_table(const char *text)
{
	const char *dot = strchr(text, '.');
	bool good = dot ? is_name(span_of(text, (size_t)(dot - text))) && is_name(span_str(dot + 1)) &&
				    !strchr(dot + 1, '.')
			: is_name(span_str(text));

	return good ? NULL : "not a table's name, allowed is table or schema.table";
}

static const char *check_column(const char *text)
{
	return is_name(span_str(text)) ? NULL : "not a column's name, allowed are 1 to 256 bytes";
}

static const struct conf_opt column_item = {
	.type = CONF_STRING, .size = sizeof(char *), .check = check_column, .unit = "a column's name"};
static const struct conf_opt columns = {.name = "columns",
					.type = CONF_LIST,
					.offset = offsetof(struct settings_cache_keys, columns),
					.item = &column_item,
					.single = true,
					.unit = "a list of columns"};
_Static_assert(offsetof(struct settings_cache_keys, ncolumns) ==
		       offsetof(struct settings_cache_keys, columns) + sizeof(void *),
	       "columns, ncolumns are a struct conf_list");

/* settings.cache.keys and nkeys stand like a struct conf_list. */
static enum rc parse_entry(struct conf_ctx *c, const struct conf_edge *e, struct settings_cache_keys *k)
{
	const char *wrong = settings_keys_check_table(conf_text(e->key));

	if (wrong) {
		conf_fault(c, e->key, "%s", wrong);
		return RC_ERROR;
	}
	k->table = mem_strdup(conf_text(e->key));
	if (!k->table) {
		conf_no_memory(c);
		return RC_ERROR;
	}
	if (conf_fill_opt(c, &columns, e->value, &k->columns) != RC_OK)
		return RC_ERROR;
	if (k->ncolumns >= 1 && k->ncolumns <= COLUMNS)
		return RC_OK;
	conf_fault(c, e->value, "%zu columns, allowed are 1 to %d", k->ncolumns, COLUMNS);
	return RC_ERROR;
}

enum rc settings_keys_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	struct conf_list *list = at;
	struct settings_cache_keys *keys;
	enum rc rc = RC_OK;

	if (conf_is_null(n) || (conf_kind(n) == CONF_MAP && conf_count(n) == 0))
		return RC_OK;
	if (conf_kind(n) != CONF_MAP) {
		conf_fault(c, n, "%s is not what belongs here, allowed is %s", conf_shown(n), o->unit);
		return RC_ERROR;
	}
	list->items = keys = mem_zalloc(conf_count(n) * sizeof(*keys));
	if (!keys) {
		conf_no_memory(c);
		return RC_ERROR;
	}
	for (const struct conf_edge *e = conf_first(n); e; e = e->next) {
		size_t mark = conf_enter(c, conf_text(e->key));

		if (parse_entry(c, e, &keys[list->count++]) != RC_OK)
			rc = RC_ERROR;
		conf_leave(c, mark);
	}
	return rc;
}

void settings_keys_print(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	const struct conf_list *list = at;
	const struct settings_cache_keys *keys = list->items;

	conf_put_map(s);
	for (size_t i = 0; i < list->count; i++) {
		conf_put_key(s, keys[i].table);
		conf_put_opt(s, &columns, &keys[i].columns);
	}
	conf_put_end(s);
}

void settings_keys_drop(void *at)
{
	struct conf_list *list = at;
	struct settings_cache_keys *keys = list->items;

	for (size_t i = 0; i < list->count; i++) {
		mem_free(keys[i].table);
		conf_drop_opt(&columns, &keys[i].columns);
	}
	mem_free(keys);
	*list = (struct conf_list){0};
}
