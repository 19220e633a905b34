/*
 * conf_read.c - YAML to nodes by libyaml's events, bounded in bytes, depth and values.
 *
 * An alias is the node its anchor stands on, not a copy; but it weighs as much, and the whole document's weight is
 * bounded, so that no nesting of aliases can make the walk over it long.
 */
#include <stdint.h>
#include <string.h>

#include <yaml.h>

#include "conf_run.h"
#include "secret.h"

#define MAX_ANCHORS 256

struct anchor {
	const char *name;
	struct conf_node *node;
};

struct reader {
	struct conf_ctx *c;
	size_t depth;
	struct conf_node *stack[CONF_MAX_DEPTH]; /* open mappings and lists */
	struct conf_node *key[CONF_MAX_DEPTH];   /* a mapping's key that waits for its value */
	struct anchor anchors[MAX_ANCHORS];
	size_t nanchors;
	size_t documents;
	bool ended;
};

static unsigned line_of(const yaml_event_t *ev)
{
	return (unsigned)ev->start_mark.line + 1;
}

static struct conf_node *node_new(struct reader *r, const yaml_event_t *ev, enum conf_kind kind)
{
	struct conf_node *n = conf_alloc(r->c, sizeof(*n));

	if (n)
		*n = (struct conf_node){.kind = kind, .line = line_of(ev), .origin = r->c->file, .weight = 1};
	return n;
}

static void remember_anchor(struct reader *r, const yaml_event_t *ev, const yaml_char_t *name, struct conf_node *n)
{
	char *kept;

	if (!name)
		return;
	if (r->nanchors == MAX_ANCHORS) {
		conf_broken(r->c, line_of(ev), "yaml", "too many anchors, allowed are %d", MAX_ANCHORS);
		return;
	}
	kept = conf_keep(r->c, span_str((const char *)name));
	r->anchors[r->nanchors++] = (struct anchor){.name = kept ? kept : "", .node = n};
}

static void weigh(struct reader *r, const yaml_event_t *ev, struct conf_node *into, const struct conf_node *n)
{
	into->weight += n->weight;
	if (into->weight > CONF_MAX_NODES)
		conf_broken(r->c, line_of(ev), "yaml", "too many values with all aliases expanded, allowed are %d",
			    CONF_MAX_NODES);
}

/* A complete value: the document, a key, a mapping's value or a list's member. */
static void place(struct reader *r, const yaml_event_t *ev, struct conf_node *n)
{
	struct conf_node *into;

	if (r->depth == 0) {
		r->c->root = n;
		return;
	}
	into = r->stack[r->depth - 1];
	weigh(r, ev, into, n);
	if (into->kind == CONF_SEQ) {
		(void)!conf_edge_add(r->c, into, NULL, n);
	} else if (!r->key[r->depth - 1]) {
		if (n->kind != CONF_SCALAR)
			conf_broken(r->c, line_of(ev), "yaml", "a list or mapping as a key, allowed is a name");
		r->key[r->depth - 1] = n;
	} else {
		(void)!conf_edge_add(r->c, into, r->key[r->depth - 1], n);
		r->key[r->depth - 1] = NULL;
	}
}

static void refuse_tag(struct reader *r, const yaml_event_t *ev, const yaml_char_t *tag)
{
	if (tag && strcmp((const char *)tag, "!") != 0)
		conf_broken(r->c, line_of(ev), "yaml", "tag %.40s, allowed are values without a tag",
			    (const char *)tag);
}

static void on_scalar(struct reader *r, const yaml_event_t *ev)
{
	struct conf_node *n = node_new(r, ev, CONF_SCALAR);

	if (!n)
		return;
	refuse_tag(r, ev, ev->data.scalar.tag);
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->len = ev->data.scalar.length;
	n->text = n->shown = conf_keep(r->c, span_of(ev->data.scalar.value, n->len));
	secret_wipe(ev->data.scalar.value, n->len);
	if (!n->text)
		return;
	if (memchr(n->text, 0, n->len))
		conf_broken(r->c, line_of(ev), "yaml", "a NUL byte in a value, allowed is text");
	remember_anchor(r, ev, ev->data.scalar.anchor, n);
	place(r, ev, n);
}

static void on_open(struct reader *r, const yaml_event_t *ev, enum conf_kind kind, const yaml_char_t *anchor,
		    const yaml_char_t *tag)
{
	struct conf_node *n = node_new(r, ev, kind);

	if (!n)
		return;
	refuse_tag(r, ev, tag);
	if (r->depth == CONF_MAX_DEPTH) {
		conf_broken(r->c, line_of(ev), "yaml", "nested too deeply, allowed are %d levels", CONF_MAX_DEPTH);
		return;
	}
	remember_anchor(r, ev, anchor, n);
	r->key[r->depth] = NULL;
	r->stack[r->depth++] = n;
}

static void on_close(struct reader *r, const yaml_event_t *ev)
{
	struct conf_node *n = r->stack[--r->depth];

	place(r, ev, n);
}

static bool is_open(const struct reader *r, const struct conf_node *n)
{
	for (size_t i = 0; i < r->depth; i++)
		if (r->stack[i] == n)
			return true;
	return false;
}

static void on_alias(struct reader *r, const yaml_event_t *ev)
{
	const char *name = (const char *)ev->data.alias.anchor;
	size_t i = r->nanchors;

	while (i > 0 && strcmp(r->anchors[i - 1].name, name) != 0)
		i--;
	if (i == 0)
		conf_broken(r->c, line_of(ev), "yaml", "alias *%.40s of no anchor, allowed is one that stands above",
			    name);
	else if (is_open(r, r->anchors[i - 1].node))
		conf_broken(r->c, line_of(ev), "yaml", "alias *%.40s inside its own anchor, allowed is one outside",
			    name);
	else
		place(r, ev, r->anchors[i - 1].node);
}

static void on_event(struct reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (r->documents++)
			conf_broken(r->c, line_of(ev), "yaml", "a second document, allowed is one");
		break;
	case YAML_SCALAR_EVENT:
		on_scalar(r, ev);
		break;
	case YAML_SEQUENCE_START_EVENT:
		on_open(r, ev, CONF_SEQ, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
		break;
	case YAML_MAPPING_START_EVENT:
		on_open(r, ev, CONF_MAP, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_close(r, ev);
		break;
	case YAML_ALIAS_EVENT:
		on_alias(r, ev);
		break;
	case YAML_STREAM_END_EVENT:
		r->ended = true;
		break;
	default:
		break;
	}
}

/* libyaml says of bytes that are not UTF-8 only how far in they stand. */
static size_t line_at(struct span text, size_t offset)
{
	size_t line = 0;

	for (size_t i = 0; i < offset && i < text.len; i++)
		line += text.p[i] == '\n';
	return line;
}

static void parse_failed(struct conf_ctx *c, const yaml_parser_t *p, struct span text)
{
	size_t line = p->error == YAML_READER_ERROR ? line_at(text, p->problem_offset) : p->problem_mark.line;

	if (p->error == YAML_MEMORY_ERROR)
		conf_no_memory(c);
	else
		conf_broken(c, (unsigned)line + 1, "yaml", "%s%s%s, allowed is well-formed YAML in UTF-8",
			    p->context ? p->context : "", p->context ? ": " : "", p->problem ? p->problem : "broken");
}

static void read_events(struct conf_ctx *c, yaml_parser_t *p, struct span text)
{
	struct reader r = {.c = c};
	yaml_event_t ev;

	while (!r.ended && !c->broken && !c->no_memory) {
		if (!yaml_parser_parse(p, &ev)) {
			parse_failed(c, p, text);
			break;
		}
		on_event(&r, &ev);
		yaml_event_delete(&ev);
	}
	if (c->broken || c->no_memory)
		c->root = NULL;
}

/* The library's buffers hold the whole text, passwords too, and it frees them as they are. */
static void delete_parser(yaml_parser_t *p)
{
	if (p->raw_buffer.start)
		secret_wipe(p->raw_buffer.start, (size_t)(p->raw_buffer.end - p->raw_buffer.start));
	if (p->buffer.start)
		secret_wipe(p->buffer.start, (size_t)(p->buffer.end - p->buffer.start));
	yaml_parser_delete(p);
}

void conf_read(struct conf_ctx *c, struct span text)
{
	yaml_parser_t parser;
	struct span marked;

	if (text.len > CONF_MAX_BYTES) {
		conf_broken(c, 1, "yaml", "the document is too large, allowed are %d bytes", CONF_MAX_BYTES);
		return;
	}
	marked = conf_env_mark(c, text);
	if (!marked.p)
		return;
	if (!yaml_parser_initialize(&parser)) {
		conf_no_memory(c);
		return;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)marked.p, marked.len);
	read_events(c, &parser, marked);
	delete_parser(&parser);
	if (c->root && c->root->kind != CONF_MAP) {
		if (!conf_is_null(c->root))
			conf_broken(c, c->root->line, "yaml", "%s, allowed is a mapping of options",
				    c->root->kind == CONF_SEQ ? "a list" : "a single value");
		c->root = NULL;
	}
}
