/*
 * conf_print.c - effective values: the walk over a table, and two sinks for it (YAML, fingerprint).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_run.h"
#include "map.h"
#include "mem.h"
#include "secret.h"

/* ---- putting ---- */

#define PUT(s, call)                                                                                                   \
	do {                                                                                                           \
		if ((s)->rc == RC_OK)                                                                                  \
			(s)->rc = (s)->ops->call;                                                                      \
	} while (0)

void conf_put_map(struct conf_sink *s)
{
	PUT(s, open(s, true));
}

void conf_put_list(struct conf_sink *s)
{
	PUT(s, open(s, false));
}

void conf_put_end(struct conf_sink *s)
{
	PUT(s, close(s));
}

void conf_put_key(struct conf_sink *s, const char *key)
{
	PUT(s, key(s, key));
}

static void put_scalar(struct conf_sink *s, struct conf_scalar v)
{
	PUT(s, scalar(s, &v));
}

void conf_put_text(struct conf_sink *s, const char *text)
{
	put_scalar(s, (struct conf_scalar){.type = CONF_STRING, .text = span_str(text ? text : "")});
}

void conf_put_bool(struct conf_sink *s, bool on)
{
	put_scalar(s, (struct conf_scalar){.type = CONF_BOOL, .on = on});
}

static void put_secret(struct conf_sink *s, struct span secret)
{
	put_scalar(s, (struct conf_scalar){
			      .type = CONF_STRING, .text = span_str(secret.len ? "***" : ""), .secret = secret});
}

/* scheme://user:password@host: rather too much is masked than too little. */
static void put_url(struct conf_sink *s, const char *url)
{
	const char *from = strstr(url, "://"), *at = strrchr(url, '@'), *colon;
	char *masked;

	from = from ? from + 3 : url;
	colon = at && at > from ? memchr(from, ':', (size_t)(at - from)) : NULL;
	if (!colon) {
		conf_put_text(s, url);
		return;
	}
	masked = mem_printf("%.*s:***%s", (int)(colon - url), url, at);
	if (!masked) {
		s->rc = RC_ERROR;
		return;
	}
	put_scalar(s, (struct conf_scalar){.type = CONF_STRING,
					   .text = span_str(masked),
					   .secret = span_of(colon + 1, (size_t)(at - colon - 1))});
	mem_free(masked);
}

/* Of each name=value only the name is shown, of what has no name nothing. */
static enum rc mask_query(const char *query, struct iobuf *shown)
{
	enum rc rc = RC_OK;

	for (const char *at = query; rc == RC_OK;) {
		size_t len = strcspn(at, "&");
		const char *value = memchr(at, '=', len);

		rc = iobuf_printf(shown, "%.*s***%s", value ? (int)(value + 1 - at) : 0, at, at[len] ? "&" : "");
		if (!at[len])
			break;
		at += len + 1;
	}
	return rc;
}

/* Keys for an API stand there. */
static void put_without_query(struct conf_sink *s, const char *url)
{
	const char *query = strchr(url, '?');
	struct iobuf shown;

	if (!query) {
		conf_put_text(s, url);
		return;
	}
	query++;
	iobuf_init(&shown, 4 * CONF_MAX_BYTES);
	if (iobuf_append(&shown, url, (size_t)(query - url)) == RC_OK && mask_query(query, &shown) == RC_OK &&
	    iobuf_append(&shown, "", 1) == RC_OK)
		put_scalar(s, (struct conf_scalar){.type = CONF_STRING,
						   .text = span_str((const char *)iobuf_data(&shown)),
						   .secret = span_str(query)});
	else
		s->rc = RC_ERROR;
	iobuf_reset(&shown);
}

static void put_number(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	struct conf_scalar v = {.type = o->type};

	memcpy(&v.i, at, sizeof(v.i));
	v.u = (uint64_t)v.i;
	if (o->zero && v.i == 0)
		conf_put_text(s, o->zero);
	else
		put_scalar(s, v);
}

static void put_list(struct conf_sink *s, const struct conf_opt *o, const struct conf_list *list)
{
	if (o->single && list->count == 1) {
		conf_put_opt(s, o->item, list->items);
		return;
	}
	conf_put_list(s);
	for (size_t i = 0; i < list->count; i++)
		conf_put_opt(s, o->item, (const char *)list->items + i * o->item->size);
	conf_put_end(s);
}

void conf_put_opt(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	switch (o->type) {
	case CONF_STRING:
		if (o->hides_query && *(char *const *)at)
			put_without_query(s, *(char *const *)at);
		else
			conf_put_text(s, *(char *const *)at);
		break;
	case CONF_SECRET:
		put_secret(s, secret_text(*(struct secret *const *)at));
		break;
	case CONF_URL:
		put_url(s, secret_text(*(struct secret *const *)at).p);
		break;
	case CONF_BOOL:
		conf_put_bool(s, *(const bool *)at);
		break;
	case CONF_CHOICE:
		conf_put_text(s, o->words[*(const bool *)at]);
		break;
	case CONF_ENUM:
		conf_put_text(s, o->words[*(const int *)at]);
		break;
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
		put_number(s, o, at);
		break;
	case CONF_DOUBLE:
		put_scalar(s, (struct conf_scalar){.type = CONF_DOUBLE, .d = *(const double *)at});
		break;
	case CONF_TABLE:
		conf_put_table(s, o->table, at);
		break;
	case CONF_LIST:
		put_list(s, o, at);
		break;
	case CONF_CUSTOM:
		o->print(s, o, at);
		break;
	}
}

void conf_put_table(struct conf_sink *s, const struct conf_table *t, const void *at)
{
	conf_put_map(s);
	for (const struct conf_opt *o = t->opts; o->name; o++) {
		const void *value = (const char *)at + o->offset;

		if (o->given && !o->given(value))
			continue;
		conf_put_key(s, o->name);
		conf_put_opt(s, o, value);
	}
	conf_put_end(s);
}

/* ---- fingerprints ---- */

/* Two values are the same when all that is put of them hashes the same: 64 seeded bits, and no secret is copied. */
struct fingerprint {
	struct conf_sink sink;
	uint64_t hash;
};

static enum rc mix(struct conf_sink *s, uint64_t tag, struct span bytes, uint64_t number)
{
	struct fingerprint *f = container_of(s, struct fingerprint, sink);
	uint64_t parts[4] = {f->hash, tag, bytes.len ? map_hash(bytes.p, bytes.len) : 0, number};

	f->hash = map_hash(parts, sizeof(parts));
	return RC_OK;
}

static enum rc mix_open(struct conf_sink *s, bool map)
{
	return mix(s, 100 + map, span_str(""), 0);
}

static enum rc mix_close(struct conf_sink *s)
{
	return mix(s, 102, span_str(""), 0);
}

static enum rc mix_key(struct conf_sink *s, const char *key)
{
	return mix(s, 103, span_str(key), 0);
}

static enum rc mix_scalar(struct conf_sink *s, const struct conf_scalar *v)
{
	uint64_t number = v->u ^ (uint64_t)v->i * 3 ^ v->on;

	if (v->type == CONF_DOUBLE)
		memcpy(&number, &v->d, sizeof(number));
	return mix(s, v->type, v->text, number) == RC_OK ? mix(s, 104, v->secret, 0) : RC_ERROR;
}

static enum rc fingerprint(const struct conf_opt *o, const void *at, uint64_t *out)
{
	static const struct conf_sink_ops ops = {mix_open, mix_close, mix_key, mix_scalar};
	struct fingerprint f = {.sink = {.ops = &ops}};

	conf_put_opt(&f.sink, o, at);
	*out = f.hash;
	return f.sink.rc;
}

static enum rc differ(const struct conf_opt *o, const void *a, const void *b, const char *path, struct iobuf *out)
{
	uint64_t x, y;

	if (fingerprint(o, a, &x) != RC_OK || fingerprint(o, b, &y) != RC_OK)
		return RC_ERROR;
	return x == y ? RC_OK : iobuf_printf(out, "%s: only a restart can change it\n", path);
}

static enum rc fixed_differ(const struct conf_table *t, const void *a, const void *b, const char *above,
			    struct iobuf *out)
{
	enum rc rc = RC_OK;

	for (const struct conf_opt *o = t->opts; o->name && rc == RC_OK; o++) {
		const char *va = (const char *)a + o->offset, *vb = (const char *)b + o->offset;
		char path[128];

		snprintf(path, sizeof(path), "%s%s%s", above, *above ? "." : "", o->name);
		if (o->type == CONF_TABLE)
			rc = fixed_differ(o->table, va, vb, path, out);
		else if (!o->reload)
			rc = differ(o, va, vb, path, out);
	}
	return rc;
}

enum rc conf_fixed_differ(const struct conf_table *t, const void *a, const void *b, struct iobuf *out)
{
	return fixed_differ(t, a, b, "", out);
}
