/*
 * settings_match.c - what a rule matches: digest, query (PCRE2), table, schema, user, verb, tag.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "map.h"
#include "mem.h"
#include "settings_rows.h"

#define QUERY_MAX 4096
#define TAG_MAX 128
/* Steps of matching before a pattern gives up, so that one that backtracks without end costs milliseconds at worst. */
#define QUERY_LIMIT "(*LIMIT_MATCH=200000)"

/* ---- digest ---- */

static struct settings_match *match_of_digest(void *at)
{
	return container_of(at, struct settings_match, has_digest);
}

static enum rc parse_digest(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	struct settings_match *m = match_of_digest(at);
	const char *text = conf_text(n);
	uint64_t v = 0;
	size_t len = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (; isxdigit((unsigned char)text[len]) && len < 16; len++) {
		int ch = tolower((unsigned char)text[len]);

		v = v << 4 | (uint64_t)(ch <= '9' ? ch - '0' : ch - 'a' + 10);
	}
	if (len == 0 || text[len]) {
		conf_fault(c, n, "%s is no digest, allowed is %s", conf_shown(n), o->unit);
		return RC_ERROR;
	}
	m->has_digest = true;
	m->digest = v;
	return RC_OK;
}

static void print_digest(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	const char *digest = (const char *)at - offsetof(struct settings_match, has_digest) +
			     offsetof(struct settings_match, digest);
	uint64_t v;
	char text[24];

	memcpy(&v, digest, sizeof(v));
	snprintf(text, sizeof(text), "0x%016llx", (unsigned long long)v);
	conf_put_text(s, text);
}

static void drop_digest(void *at)
{
	match_of_digest(at)->has_digest = false;
}

static bool given_digest(const void *at)
{
	return *(const bool *)at;
}

/* ---- query ---- */

/* The normalised text is lower case; patterns are written as people write SQL. */
static pcre2_code *compile(struct conf_ctx *c, const struct conf_node *n, const char *pattern)
{
	char *limited = mem_printf(QUERY_LIMIT "%s", pattern);
	PCRE2_SIZE at = 0;
	int error = 0;
	pcre2_code *re;
	PCRE2_UCHAR why[120];

	if (!limited) {
		conf_no_memory(c);
		return NULL;
	}
	re = pcre2_compile((PCRE2_SPTR)limited, PCRE2_ZERO_TERMINATED, PCRE2_CASELESS | PCRE2_NEVER_BACKSLASH_C, &error,
			   &at, NULL);
	mem_free(limited);
	if (re) {
		(void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE); /* without it the interpreter matches */
		return re;
	}
	if (pcre2_get_error_message(error, why, sizeof(why)) < 0)
		why[0] = '\0';
	at = at > sizeof(QUERY_LIMIT) - 1 ? at - (sizeof(QUERY_LIMIT) - 1) : 0;
	conf_fault(c, n, "at character %zu: %s, allowed is a regular expression (PCRE2)", (size_t)at + 1,
		   (const char *)why);
	return NULL;
}

static enum rc parse_query(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	struct settings_match *m = container_of(at, struct settings_match, query);
	const char *text = conf_text(n);

	if (!*text || strlen(text) > QUERY_MAX) {
		conf_fault(c, n, "%s is no pattern, allowed is a regular expression (PCRE2) of 1 to %d bytes",
			   conf_shown(n), QUERY_MAX);
		return RC_ERROR;
	}
	m->query_re = compile(c, n, text);
	if (!m->query_re)
		return RC_ERROR;
	m->query = mem_strdup(text);
	if (m->query)
		return RC_OK;
	conf_no_memory(c);
	return RC_ERROR;
}

static void drop_query(void *at)
{
	struct settings_match *m = container_of(at, struct settings_match, query);

	pcre2_code_free(m->query_re);
	mem_free(m->query);
	m->query_re = NULL;
	m->query = NULL;
}

/* ---- verb ---- */

/* The first word of a statement that a rule can be about; settings_check narrows it by kind of rule. */
static const char *const verbs[] = {
	"select", "insert",  "replace", "update", "delete", "load",     "truncate", "call",
	"do",     "handler", "values",  "table",  "show",   "describe", "explain",  "help",
	"set",    "create",  "alter",   "drop",   "rename", "grant",    "revoke",   "begin",
	"prepare", "execute", "kill",   "admin",
	NULL,
};

static enum rc parse_verb(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	for (size_t i = 0; verbs[i]; i++) {
		if (strcasecmp(conf_text(n), verbs[i]) != 0)
			continue;
		*(char **)at = mem_strdup(verbs[i]);
		if (*(char **)at)
			return RC_OK;
		conf_no_memory(c);
		return RC_ERROR;
	}
	conf_fault(c, n, "%s is no verb, allowed are %s", conf_shown(n), o->unit);
	return RC_ERROR;
}

static void print_text(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	conf_put_text(s, *(char *const *)at);
}

static void drop_text(void *at)
{
	mem_free(*(char **)at);
	*(char **)at = NULL;
}

static bool given_text(const void *at)
{
	return *(char *const *)at != NULL;
}

/* ---- tag ---- */

static enum rc parse_tag(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	struct settings_match *m = container_of(at, struct settings_match, tag_key);
	const struct conf_edge *e = conf_kind(n) == CONF_MAP && conf_count(n) == 1 ? conf_first(n) : NULL;

	if (!e || conf_kind(e->value) != CONF_SCALAR || conf_is_null(e->value) || !*conf_text(e->key) ||
	    strlen(conf_text(e->key)) > TAG_MAX) {
		conf_fault(c, n, "%s is no tag, allowed is %s", conf_shown(n), o->unit);
		return RC_ERROR;
	}
	m->tag_key = mem_strdup(conf_text(e->key));
	m->tag_value = mem_strdup(conf_text(e->value));
	if (m->tag_key && m->tag_value)
		return RC_OK;
	conf_no_memory(c);
	return RC_ERROR;
}

static void print_tag(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	const char *value = (const char *)at + offsetof(struct settings_match, tag_value) -
			    offsetof(struct settings_match, tag_key);

	conf_put_map(s);
	conf_put_key(s, *(char *const *)at);
	conf_put_text(s, *(char *const *)(const void *)value);
	conf_put_end(s);
}

static void drop_tag(void *at)
{
	struct settings_match *m = container_of(at, struct settings_match, tag_key);

	drop_text(&m->tag_key);
	drop_text(&m->tag_value);
}

/* ---- the mapping ---- */

static const char *check_name(const char *text)
{
	return *text && strlen(text) <= 256 ? NULL : "not a name, allowed are 1 to 256 bytes";
}

#define AT(field) offsetof(struct settings_match, field)

static const struct conf_opt rows[] = {
	{.name = "digest",
	 .type = CONF_CUSTOM,
	 .offset = AT(has_digest),
	 .parse = parse_digest,
	 .print = print_digest,
	 .drop = drop_digest,
	 .given = given_digest,
	 .unit = "0x and up to 16 hex digits",
	 .help = "The statement's digest as `suimon digest` and `/api/queries` show it."},
	{.name = "query",
	 .type = CONF_CUSTOM,
	 .offset = AT(query),
	 .parse = parse_query,
	 .print = print_text,
	 .drop = drop_query,
	 .given = given_text,
	 .unit = "a regular expression (PCRE2)",
	 .help = "Matched on the normalised text, letter case ignored; give it `^` and `$` where it is to match all of "
		 "it."},
	{.name = "table",
	 .type = CONF_STRING,
	 .offset = AT(table),
	 .given = given_text,
	 .check = settings_keys_check_table,
	 .unit = "table or schema.table",
	 .help = "A table the statement reads or writes; without a schema, of that name in any schema."},
	{.name = "schema",
	 .type = CONF_STRING,
	 .offset = AT(schema),
	 .given = given_text,
	 .check = check_name,
	 .unit = "a schema's name",
	 .help = "A schema of a table the statement touches; the session's own if it touches none."},
	{.name = "user",
	 .type = CONF_STRING,
	 .offset = AT(user),
	 .given = given_text,
	 .check = check_name,
	 .unit = "an account's name",
	 .help = "The account the client logged in with."},
	{.name = "verb",
	 .type = CONF_CUSTOM,
	 .offset = AT(verb),
	 .parse = parse_verb,
	 .print = print_text,
	 .drop = drop_text,
	 .given = given_text,
	 .unit = "select, insert, replace, update, delete, load, truncate, call, do, handler, values, table, show, "
		 "describe, "
		 "explain, help, set, create, alter, drop, rename, grant, revoke, begin, prepare, execute, kill or admin",
	 .help = "The statement's kind; cache rules are about `select`, queue rules about `insert`, `replace`, "
		 "`update` or `delete`. `begin` is `START TRANSACTION`, too; `prepare` and `execute` are the statements of "
		 "these names (EXECUTE IMMEDIATE, too), not the protocol's; `admin` is FLUSH, RESET, INSTALL, SHUTDOWN, and "
		 "ANALYZE, CHECK, OPTIMIZE, REPAIR of tables."},
	{.name = "tag",
	 .type = CONF_CUSTOM,
	 .offset = AT(tag_key),
	 .parse = parse_tag,
	 .print = print_tag,
	 .drop = drop_tag,
	 .given = given_text,
	 .unit = "one {key: value}",
	 .help = "A sqlcommenter tag as it was meant, without its URL encoding: as `suimon digest` shows it."},
	{.name = NULL},
};

const struct conf_table settings_match_table = {.size = sizeof(struct settings_match), .opts = rows};

bool settings_match_empty(const struct settings_match *m)
{
	return !m->has_digest && !m->query && !m->table && !m->schema && !m->user && !m->verb && !m->tag_key;
}

uint64_t settings_match_id(const struct settings_match *m)
{
	const char *texts[] = {m->query, m->table, m->schema, m->user, m->verb, m->tag_key, m->tag_value};
	uint64_t words[1 + countof(texts)] = {m->has_digest ? m->digest : 0};

	for (size_t i = 0; i < countof(texts); i++)
		words[i + 1] = texts[i] ? map_hash(texts[i], strlen(texts[i])) : 0;
	return map_hash(words, sizeof(words));
}
