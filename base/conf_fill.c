/*
 * conf_fill.c - nodes into structs by tables: defaults, types, absent features.
 *
 * A row that has a fault gets its default, so that the caller's own checks find a complete struct and one fault is not
 * reported as many.
 */
#include <stdio.h>
#include <string.h>

#include "conf_run.h"
#include "mem.h"
#include "secret.h"

#define ALLOWED_TEXT 512

static enum rc fill_table(struct conf_ctx *c, const struct conf_table *t, const struct conf_node *n, unsigned line,
			  void *at);

/* ---- one value ---- */

static const char *const wrong_type = "is not what belongs here", *const wrong_range = "is out of range";

/* What a scalar of the wrong type is not. */
static const char *misfit(const struct conf_opt *o)
{
	switch (o->type) {
	case CONF_INT:
		return "is no whole number";
	case CONF_DOUBLE:
		return "is no number";
	case CONF_DURATION:
		return "is no duration (such as 250ms, 5s, 10m, 1h)";
	case CONF_SIZE:
		return "is no size (such as 64KiB, 256MiB, 4GiB)";
	case CONF_BOOL:
		return "is neither on nor off";
	default:
		return wrong_type;
	}
}

static enum rc wrong(struct conf_ctx *c, const struct conf_opt *o, const struct conf_node *n, const char *what)
{
	char allowed[ALLOWED_TEXT];
	bool masked = o->type == CONF_SECRET || o->type == CONF_URL;

	conf_allowed(o, allowed, sizeof(allowed));
	if (masked && n->kind == CONF_SCALAR)
		conf_fault(c, n, "the value %s, allowed is %s", what, allowed);
	else
		conf_fault(c, n, "%s %s, allowed is %s", conf_shown(n), what, allowed);
	return RC_ERROR;
}

static enum rc fill_scalar(struct conf_ctx *c, const struct conf_opt *o, const struct conf_node *n, void *at)
{
	const char *fault;
	enum rc rc;

	if (n->kind != CONF_SCALAR || conf_is_null(n))
		return wrong(c, o, n, misfit(o));
	if (o->check && (fault = o->check(n->text))) {
		conf_fault(c, n, "%s", fault);
		return RC_ERROR;
	}
	rc = conf_scalar_parse(o, n->text, at);
	if (rc == RC_OK)
		return RC_OK;
	if (rc == RC_DECLINED)
		return wrong(c, o, n, misfit(o));
	if (o->type == CONF_INT || o->type == CONF_DOUBLE || o->type == CONF_DURATION || o->type == CONF_SIZE)
		return wrong(c, o, n, wrong_range);
	conf_no_memory(c);
	return RC_ERROR;
}

static enum rc fill_items(struct conf_ctx *c, const struct conf_opt *o, const struct conf_node *n,
			  struct conf_list *list)
{
	enum rc rc = RC_OK;
	size_t i = 0;

	list->items = mem_zalloc(n->count * o->item->size);
	if (!list->items) {
		conf_no_memory(c);
		return RC_ERROR;
	}
	list->count = n->count;
	for (const struct conf_edge *e = n->first; e; e = e->next, i++) {
		size_t mark = conf_enter_index(c, i);

		if (conf_fill_opt(c, o->item, e->value, (char *)list->items + i * o->item->size) != RC_OK)
			rc = RC_ERROR;
		conf_leave(c, mark);
	}
	return rc;
}

static enum rc fill_single(struct conf_ctx *c, const struct conf_opt *o, const struct conf_node *n,
			   struct conf_list *list)
{
	list->items = mem_zalloc(o->item->size);
	if (!list->items) {
		conf_no_memory(c);
		return RC_ERROR;
	}
	list->count = 1;
	return conf_fill_opt(c, o->item, n, list->items);
}

static enum rc fill_list(struct conf_ctx *c, const struct conf_opt *o, const struct conf_node *n, void *at)
{
	if (conf_is_null(n) || (n->kind == CONF_SEQ && n->count == 0))
		return RC_OK;
	if (n->kind == CONF_SEQ && o->max && n->count > (size_t)o->max) {
		conf_fault(c, n, "a list of %zu is too long, allowed are %lld", n->count, (long long)o->max);
		return RC_ERROR;
	}
	if (n->kind == CONF_SEQ)
		return fill_items(c, o, n, at);
	if (o->single && n->kind == CONF_SCALAR)
		return fill_single(c, o, n, at);
	return wrong(c, o, n, wrong_type);
}

enum rc conf_fill_opt(struct conf_ctx *c, const struct conf_opt *o, const struct conf_node *n, void *at)
{
	if (n->bad)
		return RC_ERROR;
	switch (o->type) {
	case CONF_TABLE:
		return conf_fill_table(c, o->table, n, at);
	case CONF_LIST:
		return fill_list(c, o, n, at);
	case CONF_CUSTOM:
		return o->parse(c, n, o, at);
	default:
		return fill_scalar(c, o, n, at);
	}
}

/* ---- a mapping ---- */

static void fill_default(struct conf_ctx *c, const struct conf_opt *o, unsigned line, void *at)
{
	struct conf_node *n = conf_scalar_node(c, o->def, line, c->file);

	if (!n)
		return;
	if (strcmp(o->def, "[]") == 0)
		n->kind = CONF_SEQ;
	else if (strcmp(o->def, "{}") == 0)
		n->kind = CONF_MAP;
	if (conf_fill_opt(c, o, n, at) != RC_OK && !c->no_memory)
		conf_fault(c, n, "the built-in default is not allowed, allowed is a value of one's own");
}

/* given: the value in the document, or NULL. */
static enum rc fill_row(struct conf_ctx *c, const struct conf_opt *o, const struct conf_node *n, unsigned line,
			bool quiet, void *at)
{
	struct conf_node where = {.line = line, .origin = c->file};
	char allowed[ALLOWED_TEXT];

	if (o->type == CONF_TABLE)
		return fill_table(c, o->table, n, line, at);
	if (n && conf_fill_opt(c, o, n, at) == RC_OK)
		return RC_OK;
	if (n && o->type == CONF_LIST)
		return RC_ERROR; /* stays as far as it is good, so that its members can be checked further */
	if (n)
		conf_drop_opt(o, at);
	if (o->def) {
		fill_default(c, o, line, at);
	} else if (!n && !quiet && !o->given) {
		conf_allowed(o, allowed, sizeof(allowed));
		conf_fault(c, &where, "is missing, allowed is %s", allowed);
	}
	return n || (!o->def && !o->given) ? RC_ERROR : RC_OK;
}

static enum rc fill_rows(struct conf_ctx *c, const struct conf_table *t, const struct conf_node *n, unsigned line,
			 bool quiet, void *at)
{
	enum rc rc = RC_OK;

	for (const struct conf_opt *o = t->opts; o->name && !c->no_memory; o++) {
		const struct conf_node *value = n ? conf_get(n, o->name) : NULL;
		size_t mark = conf_enter(c, o->name);

		if (fill_row(c, o, value, line, quiet, (char *)at + o->offset) != RC_OK)
			rc = RC_ERROR;
		conf_leave(c, mark);
	}
	return c->no_memory ? RC_ERROR : rc;
}

static void not_a_mapping(struct conf_ctx *c, const struct conf_table *t, const struct conf_node *n)
{
	char keys[ALLOWED_TEXT] = "";

	if (n->bad)
		return;
	conf_key_list(t, keys, sizeof(keys));
	/* a single value is not cited: it may be a password without its key */
	conf_fault(c, n, "%s %s, allowed is a mapping (%s)", n->kind == CONF_SEQ ? "a list" : "a single value",
		   wrong_type, keys);
}

/* n NULL: not given, all defaults. */
static enum rc fill_table(struct conf_ctx *c, const struct conf_table *t, const struct conf_node *n, unsigned line,
			  void *at)
{
	if (!n)
		return fill_rows(c, t, NULL, line, false, at);
	if (n->kind != CONF_MAP && !conf_is_null(n)) {
		not_a_mapping(c, t, n);
		(void)fill_rows(c, t, NULL, n->line, true, at);
		return RC_ERROR;
	}
	conf_refuse_unknown(c, t, n);
	return fill_rows(c, t, n, n->line, false, at);
}

enum rc conf_fill_table(struct conf_ctx *c, const struct conf_table *t, const struct conf_node *n, void *at)
{
	return fill_table(c, t, n, n->line, at);
}

/* ---- features that this build does not have ---- */

static void refuse_absent(struct conf_ctx *c, const struct conf_table *t, const void *at);

static void refuse_absent_items(struct conf_ctx *c, const struct conf_opt *item, const struct conf_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		size_t mark = conf_enter_index(c, i);

		refuse_absent(c, item->table, (const char *)list->items + i * item->size);
		conf_leave(c, mark);
	}
}

static void refuse_absent(struct conf_ctx *c, const struct conf_table *t, const void *at)
{
	for (const struct conf_opt *o = t->opts; o->name; o++) {
		const void *value = (const char *)at + o->offset;
		size_t mark = conf_enter(c, o->name);
		const struct conf_absent *a = o->absent;

		if (o->type == CONF_TABLE)
			refuse_absent(c, o->table, value);
		else if (o->type == CONF_LIST && o->item->type == CONF_TABLE)
			refuse_absent_items(c, o->item, value);
		if (a && a->chosen(at))
			conf_fault_at(c, c->path, "%s: not available in this build, allowed is %s", a->what,
				      a->allowed);
		conf_leave(c, mark);
	}
}

enum rc conf_fill(struct conf_ctx *c, const struct conf_table *t, void *at)
{
	if (conf_sound(c))
		(void)fill_table(c, t, c->root, 0, at);
	if (conf_sound(c))
		refuse_absent(c, t, at);
	return c->nfaults || !conf_sound(c) ? RC_ERROR : RC_OK;
}

/* ---- freeing ---- */

static void drop_list(const struct conf_opt *o, struct conf_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		conf_drop_opt(o->item, (char *)list->items + i * o->item->size);
	mem_free(list->items);
	*list = (struct conf_list){0};
}

void conf_drop_opt(const struct conf_opt *o, void *at)
{
	switch (o->type) {
	case CONF_STRING:
		mem_free(*(char **)at);
		*(char **)at = NULL;
		break;
	case CONF_SECRET:
	case CONF_URL:
		secret_unref(*(struct secret **)at);
		*(struct secret **)at = NULL;
		break;
	case CONF_TABLE:
		conf_drop(o->table, at);
		break;
	case CONF_LIST:
		drop_list(o, at);
		break;
	case CONF_CUSTOM:
		o->drop(at);
		break;
	default:
		break;
	}
}

void conf_drop(const struct conf_table *t, void *at)
{
	for (const struct conf_opt *o = t->opts; o->name; o++)
		conf_drop_opt(o, (char *)at + o->offset);
}
