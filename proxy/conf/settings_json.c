/*
 * settings_json.c - the sink that makes JSON of the effective values: durations in seconds, sizes in bytes.
 */
#include <jansson.h>

#include "settings_rows.h"

#define JSON_DIGITS 12 /* so that 0.1 reads 0.1 */

struct json_sink {
	struct conf_sink sink;
	json_t *level[CONF_MAX_DEPTH]; /* references borrowed from the one above; the first is owned */
	const char *key;               /* of the value that comes next in a mapping; the walk's */
	size_t depth;
	json_t *root; /* owned */
};

static struct json_sink *json_of(struct conf_sink *s)
{
	return container_of(s, struct json_sink, sink);
}

/* Puts v, whose reference it takes, where the walk stands. */
static enum rc place(struct json_sink *j, json_t *v)
{
	json_t *into = j->depth ? j->level[j->depth - 1] : NULL;
	int rc;

	if (!v)
		return RC_ERROR;
	if (!into) {
		j->root = v;
		return RC_OK;
	}
	rc = json_is_object(into) ? json_object_set_new(into, j->key, v) : json_array_append_new(into, v);
	return rc == 0 ? RC_OK : RC_ERROR;
}

static enum rc json_open(struct conf_sink *s, bool map)
{
	struct json_sink *j = json_of(s);
	json_t *v;

	if (j->depth == CONF_MAX_DEPTH)
		return RC_ERROR;
	v = map ? json_object() : json_array();
	if (place(j, v) != RC_OK)
		return RC_ERROR;
	j->level[j->depth++] = v;
	return RC_OK;
}

static enum rc json_close(struct conf_sink *s)
{
	json_of(s)->depth--;
	return RC_OK;
}

static enum rc json_key(struct conf_sink *s, const char *key)
{
	json_of(s)->key = key;
	return RC_OK;
}

static enum rc json_scalar(struct conf_sink *s, const struct conf_scalar *v)
{
	struct json_sink *j = json_of(s);

	switch (v->type) {
	case CONF_BOOL:
		return place(j, json_boolean(v->on));
	case CONF_INT:
		return place(j, json_integer(v->i));
	case CONF_DOUBLE:
		return place(j, json_real(v->d));
	case CONF_DURATION:
		return place(j, json_real((double)v->u / 1e9));
	case CONF_SIZE:
		return place(j, json_integer((json_int_t)v->u));
	default:
		return place(j, json_stringn(v->text.p, v->text.len));
	}
}

static int append(const char *text, size_t len, void *out)
{
	return iobuf_append(out, text, len) == RC_OK ? 0 : -1;
}

enum rc settings_print_json(const struct settings *s, struct iobuf *out)
{
	static const struct conf_sink_ops ops = {json_open, json_close, json_key, json_scalar};
	struct json_sink j = {.sink = {.ops = &ops}};
	enum rc rc;

	conf_put_table(&j.sink, &settings_table, s);
	rc = j.sink.rc;
	if (rc == RC_OK &&
	    json_dump_callback(j.root, append, out, JSON_COMPACT | JSON_REAL_PRECISION(JSON_DIGITS)) != 0)
		rc = RC_ERROR;
	json_decref(j.root);
	return rc;
}
