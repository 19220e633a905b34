/*
 * conf_overlay.c - a document that many instances share, laid over the host's own: what it names stands instead of what the
 * host's says, option by option; a list or mapping that is one option's value is taken whole.
 *
 * Its nodes keep their own origin and line, so that a fault names the document it stands in.
 */
#include <string.h>

#include "conf_run.h"

static struct conf_edge *member(const struct conf_node *n, const char *key)
{
	for (struct conf_edge *e = n->first; e; e = e->next)
		if (strcmp(e->key->text, key) == 0)
			return e;
	return NULL;
}

/* Nodes of the host's document are not changed where an alias may show them twice: a mapping on the way is made anew. */
static struct conf_node *copy_map(struct conf_ctx *c, const struct conf_node *of, const struct conf_node *where)
{
	struct conf_node *n = conf_alloc(c, sizeof(*n));

	if (!n)
		return NULL;
	*n = (struct conf_node){.kind = CONF_MAP, .resolved = true, .line = where->line, .origin = where->origin, .weight = 1};
	for (const struct conf_edge *e = of ? of->first : NULL; e; e = e->next)
		if (conf_edge_add(c, n, e->key, e->value) != RC_OK)
			return NULL;
	return n;
}

static void put(struct conf_ctx *c, struct conf_node *into, const struct conf_edge *e)
{
	struct conf_edge *old = member(into, e->key->text);

	if (old) {
		old->key = e->key;
		old->value = e->value;
	} else {
		(void)!conf_edge_add(c, into, e->key, e->value); /* no_memory is set */
	}
}

static void overlay_table(struct conf_ctx *c, const struct conf_table *t, struct conf_node *into, const struct conf_node *over,
			  struct iobuf *names);

/* A mapping of options in the host's document that is none keeps the fault it has. */
static void overlay_section(struct conf_ctx *c, const struct conf_opt *o, struct conf_node *into, const struct conf_edge *e,
			    struct iobuf *names)
{
	struct conf_edge *old = member(into, o->name);
	struct conf_node *below;

	if (old && old->value->kind != CONF_MAP && !conf_is_null(old->value))
		return;
	below = copy_map(c, old ? old->value : NULL, e->value);
	if (!below)
		return;
	if (old)
		old->value = below;
	else if (conf_edge_add(c, into, e->key, below) != RC_OK)
		return;
	overlay_table(c, o->table, below, e->value, names);
}

static void overlay_option(struct conf_ctx *c, const struct conf_opt *o, struct conf_node *into, const struct conf_edge *e,
			   struct iobuf *names)
{
	if (!o->shared) {
		conf_fault(c, e->key,
			   "does not belong into a document that instances share, allowed are the options that the manual marks as shared");
		return;
	}
	put(c, into, e);
	if (names && iobuf_printf(names, "%s\n", c->path) != RC_OK)
		conf_no_memory(c);
}

static void overlay_table(struct conf_ctx *c, const struct conf_table *t, struct conf_node *into, const struct conf_node *over,
			  struct iobuf *names)
{
	for (const struct conf_edge *e = over->first; e && !c->no_memory; e = e->next) {
		const struct conf_opt *o = conf_row(t, e->key->text);
		size_t mark = conf_enter(c, e->key->shown);

		if (!o || e->key->bad || (o->type == CONF_TABLE && e->value->kind != CONF_MAP && !conf_is_null(e->value)))
			put(c, into, e); /* conf_fill says what is wrong */
		else if (o->type != CONF_TABLE)
			overlay_option(c, o, into, e, names);
		else if (e->value->kind == CONF_MAP)
			overlay_section(c, o, into, e, names);
		conf_leave(c, mark);
	}
}

void conf_overlay(struct conf_ctx *c, const struct conf_table *t, const char *origin, struct span text, struct iobuf *names)
{
	struct conf_node *own = c->root, *over;
	const char *file = c->file;

	if (!conf_sound(c))
		return;
	c->refs = NULL; /* those of the host's document are resolved */
	c->nrefs = 0;
	c->root = NULL;
	c->file = origin;
	c->foreign = true;
	conf_read(c, text);
	if (c->root)
		conf_env_resolve(c, c->root);
	c->foreign = false;
	over = c->root;
	c->file = file;
	c->root = own ? own : conf_need_root(c);
	if (over && c->root && conf_sound(c))
		overlay_table(c, t, c->root, over, names);
}
