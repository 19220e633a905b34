/*
 * conf.c - a run of the configuration engine: its memory, its nodes, its beginning and end.
 */
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_run.h"
#include "mem.h"
#include "secret.h"

#define CHUNK_BYTES (32 * 1024)
#define RUN_BYTES (64u * 1024 * 1024) /* all memory of a run: bounds what variables can blow a document up to */

struct conf_chunk {
	struct conf_chunk *next;
	size_t cap, used;
	_Alignas(16) char data[];
};

/* ---- memory: the document holds passwords in the clear ---- */

static struct conf_chunk *chunk_for(struct conf_ctx *c, size_t size)
{
	struct conf_chunk *k = c->chunks;
	size_t cap = size > CHUNK_BYTES ? size : CHUNK_BYTES;

	if (k && size <= k->cap - k->used)
		return k;
	k = cap > RUN_BYTES - c->bytes ? NULL : secret_pages(sizeof(*k) + cap);
	if (!k) {
		c->no_memory = true;
		return NULL;
	}
	*k = (struct conf_chunk){.next = c->chunks, .cap = cap};
	c->chunks = k;
	c->bytes += cap;
	return k;
}

void *conf_alloc(struct conf_ctx *c, size_t size)
{
	struct conf_chunk *k;
	void *p;

	if (size > RUN_BYTES) {
		c->no_memory = true;
		return NULL;
	}
	size = (size + 15) & ~(size_t)15;
	k = chunk_for(c, size);
	if (!k)
		return NULL;
	p = k->data + k->used;
	k->used += size;
	return memset(p, 0, size);
}

char *conf_keep(struct conf_ctx *c, struct span text)
{
	char *copy = conf_alloc(c, text.len + 1);

	if (copy && text.len)
		memcpy(copy, text.p, text.len);
	return copy;
}

static void chunks_free(struct conf_ctx *c)
{
	while (c->chunks) {
		struct conf_chunk *k = c->chunks;

		c->chunks = k->next;
		secret_pages_free(k, sizeof(*k) + k->cap);
	}
}

/* ---- nodes ---- */

struct conf_node *conf_scalar_node(struct conf_ctx *c, const char *text, unsigned line, const char *origin)
{
	struct conf_node *n = conf_alloc(c, sizeof(*n));

	if (!n)
		return NULL;
	*n = (struct conf_node){.kind = CONF_SCALAR,
				.resolved = true,
				.line = line,
				.origin = origin,
				.text = text,
				.shown = text,
				.len = strlen(text),
				.weight = 1};
	return n;
}

enum conf_kind conf_kind(const struct conf_node *n)
{
	return n->kind;
}

bool conf_is_null(const struct conf_node *n)
{
	return n->kind == CONF_SCALAR && n->plain &&
	       (n->len == 0 || strcmp(n->text, "~") == 0 || strcasecmp(n->text, "null") == 0);
}

const char *conf_text(const struct conf_node *n)
{
	return n->kind == CONF_SCALAR ? n->text : "";
}

const char *conf_shown(const struct conf_node *n)
{
	static const char *const kinds[] = {[CONF_SEQ] = "a list", [CONF_MAP] = "a mapping"};

	if (n->kind != CONF_SCALAR)
		return kinds[n->kind];
	return conf_is_null(n) ? "nothing" : n->shown;
}

enum rc conf_edge_add(struct conf_ctx *c, struct conf_node *into, struct conf_node *key, struct conf_node *value)
{
	struct conf_edge *e = conf_alloc(c, sizeof(*e));

	if (!e)
		return RC_ERROR;
	*e = (struct conf_edge){.key = key, .value = value};
	if (into->last)
		into->last->next = e;
	else
		into->first = e;
	into->last = e;
	into->count++;
	return RC_OK;
}

const struct conf_edge *conf_first(const struct conf_node *n)
{
	return n->first;
}

size_t conf_count(const struct conf_node *n)
{
	return n->count;
}

const struct conf_node *conf_get(const struct conf_node *n, const char *key)
{
	for (const struct conf_edge *e = n->first; e; e = e->next)
		if (e->key && strcmp(e->key->text, key) == 0)
			return e->value;
	return NULL;
}

/* ---- the run ---- */

static struct conf_ctx *ctx_new(const char *file, struct iobuf *faults)
{
	struct conf_ctx *c = mem_zalloc(sizeof(*c));

	if (!c) {
		if (iobuf_printf(faults, "%s:0: memory: ran out, more memory is needed\n", file) != RC_OK)
			return NULL;
		return NULL;
	}
	c->file = file;
	c->out = faults;
	return c;
}

struct conf_ctx *conf_open_text(const char *name, struct span text, struct iobuf *faults)
{
	struct conf_ctx *c = ctx_new(name, faults);

	if (!c)
		return NULL;
	conf_read(c, text);
	if (c->root)
		conf_env_resolve(c, c->root);
	return c;
}

/* Reads to the end or one byte past the bound; a pipe has no size to ask for. */
static enum rc read_all(struct conf_ctx *c, int fd, struct span *out)
{
	char *buf = conf_alloc(c, CONF_MAX_BYTES + 1);
	size_t len = 0;

	if (!buf)
		return RC_ERROR;
	while (len < CONF_MAX_BYTES + 1) {
		ssize_t n = read(fd, buf + len, CONF_MAX_BYTES + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			conf_broken(c, 0, "file", "cannot be read: %s, allowed is a readable file", strerror(errno));
			return RC_ERROR;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*out = span_of(buf, len);
	return RC_OK;
}

struct conf_ctx *conf_open_file(const char *path, struct iobuf *faults)
{
	struct conf_ctx *c = ctx_new(path, faults);
	struct span text;
	int fd;

	if (!c)
		return NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		conf_broken(c, 0, "file", "cannot be read: %s, allowed is a readable file", strerror(errno));
		return c;
	}
	if (read_all(c, fd, &text) == RC_OK) {
		conf_read(c, text);
		if (c->root)
			conf_env_resolve(c, c->root);
	}
	close(fd);
	return c;
}

struct conf_node *conf_need_root(struct conf_ctx *c)
{
	struct conf_node *n = conf_alloc(c, sizeof(*n));

	if (n)
		*n = (struct conf_node){.kind = CONF_MAP, .resolved = true, .line = 0, .origin = c->file};
	return n;
}

void conf_set(struct conf_ctx *c, const char *key, const char *text, const char *origin)
{
	struct conf_node *n = conf_scalar_node(c, text, 1, origin);
	struct conf_node *k = conf_scalar_node(c, key, 1, origin);
	struct conf_edge *e = conf_alloc(c, sizeof(*e));

	if (!c->root && !c->broken)
		c->root = conf_need_root(c);
	if (!n || !k || !e || !c->root)
		return;
	for (struct conf_edge *old = c->root->first; old; old = old->next)
		if (strcmp(old->key->text, key) == 0) {
			old->value = n;
			return;
		}
	*e = (struct conf_edge){.key = k, .value = n, .next = c->root->first};
	c->root->first = e;
	if (!c->root->last)
		c->root->last = e;
	c->root->count++;
}

bool conf_sound(const struct conf_ctx *c)
{
	return !c->broken && !c->no_memory;
}

enum rc conf_close(struct conf_ctx *c)
{
	enum rc rc = c->nfaults || c->no_memory || c->broken ? RC_ERROR : RC_OK;
	enum rc said = conf_faults_write(c);

	chunks_free(c);
	mem_free(c);
	return rc == RC_OK && said == RC_OK ? RC_OK : RC_ERROR;
}
