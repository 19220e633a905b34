/*
 * settings_warn.c - rules of the cache that can never match: no fault, but nobody means them.
 */
#include <string.h>
#include <strings.h>

#include "settings.h"

static bool is_system_schema(const char *name, size_t len)
{
	static const char *const system[] = {"information_schema", "performance_schema", "mysql", "sys"};

	for (size_t i = 0; i < countof(system); i++)
		if (strlen(system[i]) == len && strncasecmp(system[i], name, len) == 0)
			return true;
	return false;
}

/* The schema that it asks for by its table's name; NULL: none. */
static const char *schema_of_table(const struct settings_match *m, size_t *len)
{
	const char *dot = m->table ? strchr(m->table, '.') : NULL;

	*len = dot ? (size_t)(dot - m->table) : 0;
	return dot ? m->table : NULL;
}

/* Accounts that nobody lists log in by pass-through alone. */
static bool logs_in(const struct settings *s, const char *user)
{
	for (size_t i = 0; i < s->nusers; i++)
		if (s->users[i].name && strcmp(s->users[i].name, user) == 0)
			return true;
	return s->passthrough;
}

/* Whatever asks for this as well is asked for by b too. */
static bool covers(const char *a, const char *b)
{
	return !a || (b && strcmp(a, b) == 0);
}

/* Names are compared as rules compare them: without regard to case. A name without a schema is a table's in any. */
static bool covers_table(const char *a, const char *b)
{
	const char *dot = b ? strchr(b, '.') : NULL;

	return !a || (b && (strcasecmp(a, b) == 0 || (dot && strcasecmp(a, dot + 1) == 0)));
}

/* b may say the schema with its table's name. */
static bool covers_schema(const struct settings_match *a, const struct settings_match *b)
{
	size_t len;
	const char *of_table = schema_of_table(b, &len);

	if (!a->schema || (b->schema && strcasecmp(a->schema, b->schema) == 0))
		return true;
	return of_table && strlen(a->schema) == len && strncasecmp(a->schema, of_table, len) == 0;
}

/* What b takes a takes too. */
static bool takes_all_of(const struct settings_match *a, const struct settings_match *b)
{
	return (!a->has_digest || (b->has_digest && a->digest == b->digest)) && covers(a->query, b->query) && covers_table(a->table, b->table) &&
	       covers_schema(a, b) && covers(a->user, b->user) && covers(a->verb, b->verb) &&
	       covers(a->tag_key, b->tag_key) && covers(a->tag_value, b->tag_value);
}

static enum rc warn_of(const struct settings *s, size_t i, struct iobuf *out)
{
	const struct settings_match *m = &s->cache.rules[i].match;
	size_t len;
	const char *schema = schema_of_table(m, &len);

	for (size_t k = 0; k < i; k++)
		if (takes_all_of(&s->cache.rules[k].match, m))
			return iobuf_printf(out, "warning: cache.rules[%zu]: can never match, cache.rules[%zu] takes all that it would\n", i, k);
	if (schema && m->schema && (strlen(m->schema) != len || strncasecmp(m->schema, schema, len) != 0))
		return iobuf_printf(out, "warning: cache.rules[%zu]: can never match, no table %s is in the schema %s\n", i, m->table, m->schema);
	if ((schema && is_system_schema(schema, len)) || (m->schema && is_system_schema(m->schema, strlen(m->schema))))
		return iobuf_printf(out, "warning: cache.rules[%zu]: can never match, what the server says of itself is not cached\n", i);
	if (m->user && !logs_in(s, m->user))
		return iobuf_printf(out, "warning: cache.rules[%zu]: can never match, %s is not among users\n", i, m->user);
	return RC_OK;
}

enum rc settings_warnings(const struct settings *s, struct iobuf *out)
{
	if (s->cache.nrules && !s->cache.memory && !s->cache.redis &&
	    iobuf_printf(out, "warning: cache.rules: can never match, cache.memory is 0 and there is no cache.redis\n") != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < s->cache.nrules; i++)
		if (warn_of(s, i, out) != RC_OK)
			return RC_ERROR;
	return RC_OK;
}
