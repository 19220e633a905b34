/*
 * conf_fault.c - faults: where they stand, and that one cause is not reported as many.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf_run.h"

#define FAULTS_KEPT 1000

/* Faults stay one line each, whatever stands in the document. */
static void make_printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static void fault_insert(struct conf_ctx *c, struct conf_fault *f)
{
	struct conf_fault **at = &c->faults;

	while (*at && (*at)->line <= f->line)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
}

static void fault_add(struct conf_ctx *c, unsigned line, const char *origin, const char *path, const char *fmt,
		      va_list args) __attribute__((format(printf, 5, 0)));

static void fault_add(struct conf_ctx *c, unsigned line, const char *origin, const char *path, const char *fmt,
		      va_list args)
{
	struct conf_fault *f;
	char text[1024], *kept_path, *kept_text;

	if (++c->nfaults > FAULTS_KEPT)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	f = conf_alloc(c, sizeof(*f));
	kept_path = conf_keep(c, span_str(path));
	kept_text = conf_keep(c, span_str(text));
	if (!f || !kept_path || !kept_text)
		return;
	make_printable(kept_path);
	make_printable(kept_text);
	*f = (struct conf_fault){.line = line, .origin = origin, .path = kept_path, .text = kept_text};
	fault_insert(c, f);
}

void conf_fault(struct conf_ctx *c, const struct conf_node *n, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fault_add(c, n ? n->line : 0, n ? n->origin : c->file, c->path_len ? c->path : "yaml", fmt, args);
	va_end(args);
}

void conf_broken(struct conf_ctx *c, unsigned line, const char *key, const char *fmt, ...)
{
	va_list args;

	c->broken = true;
	va_start(args, fmt);
	fault_add(c, line, c->file, key, fmt, args);
	va_end(args);
}

void conf_no_memory(struct conf_ctx *c)
{
	c->no_memory = true;
}

/* One path is the other, or a key above it. */
static bool path_covers(const char *above, const char *path)
{
	size_t n = strlen(above);

	return strncmp(above, path, n) == 0 && (path[n] == '\0' || path[n] == '.' || path[n] == '[');
}

bool conf_faulted(const struct conf_ctx *c, const char *path)
{
	for (const struct conf_fault *f = c->faults; f; f = f->next)
		if (path_covers(f->path, path) || path_covers(path, f->path))
			return true;
	return false;
}

static const struct conf_node *nth(const struct conf_node *n, size_t index)
{
	const struct conf_edge *e = conf_first(n);

	while (e && index--)
		e = e->next;
	return e ? e->value : NULL;
}

/* One step of a path, which it moves; NULL: not in the document. */
static const struct conf_node *step(const struct conf_node *n, const char **path)
{
	const char *p = *path;
	char key[128];
	size_t len;

	if (*p == '[') {
		size_t index = 0;

		for (p++; *p >= '0' && *p <= '9'; p++)
			index = index * 10 + (size_t)(*p - '0');
		*path = p + (*p == ']');
		return n->kind == CONF_SEQ ? nth(n, index) : NULL;
	}
	p += *p == '.';
	len = strcspn(p, ".[");
	*path = p + len;
	if (len >= sizeof(key))
		return NULL;
	memcpy(key, p, len);
	key[len] = '\0';
	return n->kind == CONF_MAP ? conf_get(n, key) : NULL;
}

void conf_fault_at(struct conf_ctx *c, const char *path, const char *fmt, ...)
{
	const struct conf_node *n = c->root;
	const char *rest = path;
	va_list args;

	if (c->nfaults >= FAULTS_KEPT) {
		c->nfaults++;
		return;
	}
	if (conf_faulted(c, path))
		return;
	while (n && *rest) {
		const struct conf_node *below = step(n, &rest);

		if (!below)
			break;
		n = below;
	}
	va_start(args, fmt);
	fault_add(c, n ? n->line : 0, n ? n->origin : c->file, path, fmt, args);
	va_end(args);
}

/* ---- the key path ---- */

static size_t path_append(struct conf_ctx *c, const char *text, size_t len)
{
	size_t mark = c->path_len, room = sizeof(c->path) - 1 - mark;

	if (len > room)
		len = room;
	memcpy(c->path + mark, text, len);
	c->path_len = mark + len;
	c->path[c->path_len] = '\0';
	return mark;
}

size_t conf_enter(struct conf_ctx *c, const char *key)
{
	size_t mark = c->path_len;

	if (mark)
		(void)path_append(c, ".", 1);
	(void)path_append(c, key, strnlen(key, 128));
	return mark;
}

size_t conf_enter_index(struct conf_ctx *c, size_t index)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "[%zu]", index);

	return path_append(c, text, (size_t)len);
}

void conf_leave(struct conf_ctx *c, size_t mark)
{
	c->path_len = mark;
	c->path[mark] = '\0';
}

enum rc conf_faults_write(const struct conf_ctx *c)
{
	enum rc rc = RC_OK;

	for (const struct conf_fault *f = c->faults; f && rc == RC_OK; f = f->next)
		rc = iobuf_printf(c->out, "%s:%u: %s: %s\n", f->origin, f->line, f->path, f->text);
	if (c->nfaults > FAULTS_KEPT && rc == RC_OK)
		rc = iobuf_printf(c->out, "%s:0: faults: %zu more are not shown, allowed is none\n", c->file,
				  c->nfaults - FAULTS_KEPT);
	if (c->no_memory && rc == RC_OK)
		rc = iobuf_printf(c->out, "%s:0: memory: ran out, more memory or a smaller document is needed\n",
				  c->file);
	return rc;
}
