/*
 * digest_json.c - what "suimon digest" prints: a statement's digest, tables, keys and verdicts as a line of JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "digest.h"
#include "keys.h"
#include "mem.h"

#define MAX_TEXT 65536       /* bytes of normalised text shown */
#define MAX_LINE (16u << 20) /* bytes of a statement read from stdin */

/* Text as a JSON string; bytes that are not UTF-8 become question marks. */
static json_t *text_json(struct span s)
{
	json_t *v = json_stringn(s.p ? s.p : "", s.len);
	char *copy;

	if (v)
		return v;
	copy = mem_dup(s.p, s.len);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)copy[i] >= 0x80)
			copy[i] = '?';
	v = json_stringn(copy, s.len);
	mem_free(copy);
	return v;
}

/* Sets key to value, which is consumed; false when memory is out. */
static bool set(json_t *o, const char *key, json_t *value)
{
	return json_object_set_new(o, key, value) == 0;
}

static bool add(json_t *array, json_t *value)
{
	return json_array_append_new(array, value) == 0;
}

static json_t *table_json(const struct sql_table *t)
{
	char *name;
	json_t *v;

	if (!t->schema.len)
		return text_json(t->name);
	name = mem_printf(SPAN_FMT "." SPAN_FMT, SPAN_ARG(t->schema), SPAN_ARG(t->name));
	if (!name)
		return NULL;
	v = text_json(span_str(name));
	mem_free(name);
	return v;
}

static bool add_tables(json_t *o, const struct sql_facts *f)
{
	json_t *read, *written;
	bool ok = set(o, "tables_read", read = json_array()) && set(o, "tables_written", written = json_array());

	for (uint16_t i = 0; ok && i < f->ntables; i++) {
		if (f->tables[i].read)
			ok = add(read, table_json(&f->tables[i]));
		if (ok && f->tables[i].written)
			ok = add(written, table_json(&f->tables[i]));
	}
	return ok;
}

/* A name or string with its quotes off, its doubled quotes and, for strings, its escapes resolved. */
static json_t *unquoted_json(struct span s, bool escapes)
{
	char quote, *copy, *to;
	json_t *v;

	if (s.len && (*s.p | 0x20) == 'n')
		s = (struct span){.p = s.p + 1, .len = s.len - 1};
	quote = *s.p;
	copy = to = mem_alloc(s.len + 1);
	if (!copy)
		return NULL;
	for (size_t i = 1; i + 1 < s.len; i++) {
		if (escapes && s.p[i] == '\\' && i + 2 < s.len) {
			static const char from[] = "0btnrZ", into[] = "\0\b\t\n\r\x1a";
			const char *at = memchr(from, s.p[i + 1], 6);

			*to++ = at ? into[at - from] : s.p[i + 1];
			i++;
		} else {
			*to++ = s.p[i];
			i += s.p[i] == quote && i + 2 < s.len;
		}
	}
	v = text_json((struct span){.p = copy, .len = (size_t)(to - copy)});
	mem_free(copy);
	return v;
}

static json_t *name_json(struct span s)
{
	return s.len > 1 && (*s.p == '`' || *s.p == '"') ? unquoted_json(s, false) : text_json(s);
}

/* A literal as JSON: whole numbers as numbers, a placeholder as null. */
static json_t *value_json(const struct sql_key_value *v, unsigned mode)
{
	char number[24], *end;
	long long n;

	if (v->param != SQL_NO_PARAM)
		return json_null();
	if (v->text.len > 1 && v->text.p[v->text.len - 1] == '\'' && (*v->text.p == '\'' || (*v->text.p | 0x20) == 'n'))
		return unquoted_json(v->text, !(mode & SQL_MODE_NO_BACKSLASH_ESCAPES));
	if (*v->text.p == '"')
		return unquoted_json(v->text, !(mode & SQL_MODE_NO_BACKSLASH_ESCAPES));
	if (v->text.len < sizeof number) {
		memcpy(number, v->text.p, v->text.len);
		number[v->text.len] = '\0';
		errno = 0;
		n = strtoll(number, &end, 10);
		if (!*end && !errno)
			return json_integer(n);
	}
	return text_json(v->text);
}

static bool add_keys(json_t *o, struct span text, unsigned mode)
{
	json_t *array = json_array();
	struct sql_keys k;

	if (!set(o, "row_keys", array))
		return false;
	if (sql_keys_parse(text, mode, &k) != RC_OK)
		return true;
	for (uint16_t i = 0; i < k.nkeys; i++) {
		json_t *key = json_object(), *values = json_array();
		bool ok = add(array, key) && set(key, "schema", name_json(k.schema)) &&
			  set(key, "table", name_json(k.table)) &&
			  set(key, "column", name_json(k.keys[i].column)) && set(key, "values", values);

		for (uint16_t j = 0; ok && j < k.keys[i].n; j++)
			ok = add(values, value_json(&k.values[k.keys[i].first + j], mode));
		if (!ok)
			return false;
	}
	return true;
}

/* What a reason is about, when the facts know its name. */
static const char *named(const struct sql_facts *f, const char *why, struct span *routine)
{
	if (f->flags & SQL_F_UNKNOWN)
		return f->unknown_why;
	if (strstr(why, "not the server's own") && f->nroutines) {
		*routine = f->routines[0].name;
		return "";
	}
	return strstr(why, "whose answer") || strstr(why, "system variable") ? f->nondeterministic : NULL;
}

static bool add_verdict(json_t *o, const char *key, const char *why_key, bool yes, const char *why,
			const struct sql_facts *f)
{
	struct span routine = {0};
	const char *what;
	char *text;
	bool ok;

	if (!set(o, key, json_boolean(yes)))
		return false;
	what = yes ? NULL : named(f, why, &routine);
	if (!what)
		return set(o, why_key, json_string(why));
	text = mem_printf("%s: %s" SPAN_FMT, why, what, SPAN_ARG(routine));
	ok = text && set(o, why_key, text_json(span_str(text)));
	mem_free(text);
	return ok;
}

static bool add_verdicts(json_t *o, const struct sql_facts *f)
{
	const char *why;
	bool yes;

	yes = sql_cacheable(f, &why);
	if (!add_verdict(o, "cacheable", "cacheable_why", yes, why, f))
		return false;
	yes = sql_replica_safe(f, &why);
	if (!add_verdict(o, "replica_safe", "replica_safe_why", yes, why, f))
		return false;
	yes = sql_queueable(f, &why);
	return add_verdict(o, "queueable", "queueable_why", yes, why, f);
}

static bool add_hints(json_t *o, const struct sql_lexed *lx)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {
		{SQL_HINT_NOCACHE, "nocache"}, {SQL_HINT_PRIMARY, "primary"}, {SQL_HINT_REPLICA, "replica"},
		{SQL_HINT_QUEUE, "queue"},     {SQL_HINT_SYNC, "sync"},
	};
	json_t *array = json_array();
	bool ok = set(o, "hints", array);

	if (ok && (lx->hints & SQL_HINT_CACHE)) {
		bool seconds = lx->hint_cache_ns % 1000000000 == 0;

		ok = add(array, json_sprintf(seconds ? "cache=%" PRIu64 "s" : "cache=%" PRIu64 "ms",
					     lx->hint_cache_ns / (seconds ? 1000000000 : 1000000)));
	}
	if (ok && (lx->hints & SQL_HINT_GROUP))
		ok = add(array, json_sprintf("replica=%.*s", (int)lx->hint_group.len, lx->hint_group.p));
	for (size_t i = 0; ok && i < countof(words); i++)
		if (lx->hints & words[i].bit)
			ok = add(array, json_string(words[i].word));
	return ok;
}

/* A tag's text as it was meant. A copy; NULL when memory is out. */
static char *decode(struct span s, size_t *len)
{
	char *out = mem_alloc(s.len + 1), *to = out;

	if (!out)
		return NULL;
	while (sql_tag_next(&s, to))
		to++;
	*to = '\0';
	*len = (size_t)(to - out);
	return out;
}

static bool add_tag(json_t *tags, const struct sql_tag *t)
{
	size_t klen = 0, vlen = 0;
	char *key = decode(t->key, &klen), *value = decode(t->value, &vlen);
	bool ok = key && value;

	if (ok && !json_object_get(tags, key))
		ok = set(tags, key, text_json((struct span){.p = value, .len = vlen})) || strlen(key) != klen;
	mem_free(key);
	mem_free(value);
	return ok;
}

static bool add_tags(json_t *o, const struct sql_lexed *lx)
{
	json_t *tags = json_object();

	if (!set(o, "tags", tags))
		return false;
	for (uint16_t i = 0; i < lx->ntags; i++)
		if (!add_tag(tags, &lx->tags[i]))
			return false;
	return true;
}

static bool add_text(json_t *o, struct span text, unsigned mode)
{
	struct iobuf b;
	bool ok;

	iobuf_init(&b, 0);
	ok = sql_normalise(text, mode, MAX_TEXT, &b) == RC_OK &&
	     set(o, "text", text_json((struct span){.p = (const char *)iobuf_data(&b), .len = iobuf_len(&b)}));
	iobuf_reset(&b);
	return ok;
}

static bool fill(json_t *o, struct span text, unsigned mode, const struct sql_facts *f)
{
	struct sql_lexed lx;

	sql_lex(text, mode, &lx);
	return set(o, "digest", json_sprintf("0x%016" PRIx64, lx.digest)) && add_text(o, text, mode) &&
	       set(o, "kind", json_string(sql_verb_name(f->verb))) && add_tables(o, f) && add_keys(o, text, mode) &&
	       add_verdicts(o, f) && add_hints(o, &lx) && add_tags(o, &lx);
}

static int append(const char *p, size_t len, void *arg)
{
	return iobuf_append(arg, p, len) == RC_OK ? 0 : -1;
}

enum rc sql_digest_json(struct span text, unsigned mode, struct iobuf *out)
{
	struct sql_facts f;
	json_t *o;
	bool ok;

	if (sql_facts_parse(text, mode, &f) != RC_OK)
		return RC_ERROR;
	o = json_object();
	ok = o && fill(o, text, mode, &f) && json_dump_callback(o, append, out, JSON_COMPACT) == 0 &&
	     iobuf_append(out, "\n", 1) == RC_OK;
	json_decref(o);
	sql_facts_free(&f);
	return ok ? RC_OK : RC_ERROR;
}

static int print(struct span text)
{
	struct iobuf b;
	int rc = 0;

	iobuf_init(&b, 0);
	if (sql_digest_json(text, 0, &b) != RC_OK) {
		fputs("suimon: out of memory\n", stderr);
		rc = 3;
	} else if (fwrite(iobuf_data(&b), 1, iobuf_len(&b), stdout) != iobuf_len(&b)) {
		rc = 3;
	}
	iobuf_reset(&b);
	return rc;
}

static int print_lines(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = getline(&line, &cap, stdin)) >= 0) {
		size_t len = (size_t)n;

		while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			len--;
		if (len > MAX_LINE) {
			fputs("suimon: a statement is too long\n", stderr);
			rc = 1;
		} else if (len) {
			rc = print((struct span){.p = line, .len = len});
		}
	}
	free(line);
	return rc;
}

int sql_digest_main(const char *arg)
{
	int rc = strcmp(arg, "-") == 0 ? print_lines() : print(span_str(arg));

	return fflush(stdout) == 0 ? rc : 3;
}
