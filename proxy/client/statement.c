#include "statement.h"

#include <string.h>

#include "mem.h"
#include "numbers.h"

#define ER_PARSE 1064
#define TEXT_MOST 4096 /* normalised text kept; rules that look further have it made again */

struct statement_key { uint64_t digest; struct span schema; };

static bool statement_eq(const struct map_node *node, const void *key)
{
	const struct statement *st = container_of(node, struct statement, node);
	const struct statement_key *k = key;

	return st->digest == k->digest && span_eq(span_of(st->schema, st->schema_len), k->schema);
}

static uint64_t statement_hash(const struct statement_key *k)
{
	return k->digest ^ (k->schema.len ? map_hash(k->schema.p, k->schema.len) : 0);
}

void statements_init(struct statements *t, size_t most)
{
	map_init(&t->map, statement_eq);
	list_init(&t->lru);
	t->most = most;
}

struct statement *statement_ref(struct statement *st)
{
	st->refs++;
	return st;
}

void statement_unref(struct statement *st)
{
	if (!st || --st->refs)
		return;
	sql_facts_free(&st->facts);
	mem_free(st->keys);
	mem_free(st->keys_like);
	mem_free(st->queue_head);
	mem_free(st->schema);
	mem_free(st->text);
	mem_free(st);
}

static void forget(struct statements *t, struct statement *st)
{
	map_remove(&t->map, &st->node);
	list_remove(&t->lru, &st->lru);
	statement_unref(st);
}

void statements_reset(struct statements *t)
{
	while (!list_empty(&t->lru))
		forget(t, container_of(list_first(&t->lru), struct statement, lru));
	map_reset(&t->map);
}

void statements_forget_settings(struct statements *t)
{
	list_each(&t->lru, n) {
		struct statement *st = container_of(n, struct statement, lru);

		st->verdict_settings = 0;
		st->catalog_version = 0;
	}
}

/* What it does may stand in a text that it is given, in a procedure, or behind what is not understood. */
static bool hides_accounts(const struct sql_facts *f)
{
	const uint64_t verbs = SQL_VERB(SQL_CALL) | SQL_VERB(SQL_PREPARE) | SQL_VERB(SQL_EXECUTE) |
			       SQL_VERB(SQL_COMPOUND);

	return f->verbs & verbs || f->flags & SQL_F_UNKNOWN;
}

static bool is_row_write(enum sql_verb verb)
{
	return verb == SQL_INSERT || verb == SQL_REPLACE || verb == SQL_UPDATE || verb == SQL_DELETE;
}

/* Which of these does it begin with? n: with none. */
static size_t beginning(const char *text, const char *const *with, size_t n)
{
	size_t i = 0;

	while (i < n && strncmp(text, with[i], strlen(with[i])) != 0)
		i++;
	return i;
}

static bool asks_conditions(const struct statement *st)
{
	static const char *const asking[] = {"show warnings", "show errors", "show count(", "get ", "show processlist", "show full processlist", "show profile"};

	return beginning(st->text, asking, countof(asking)) < countof(asking);
}

static bool shows_conditions(const struct statement *st)
{
	static const char *const shows[] = {"show warnings", "show errors"};

	return beginning(st->text, shows, countof(shows)) < countof(shows);
}

static bool clears(const struct statement *st)
{
	static const char *const shown[] = {"tables", "databases", "schemas", "variables", "status", "engines", "storage engines", "table status", "plugins", "collation",
					    "character set", "charset", "triggers", "procedure status", "function status", "events", "open tables"};
	static const char *const before[] = {"full ", "global ", "session ", "local "};
	const char *p = st->text + 5;
	size_t i;

	if (st->facts.ntables || strncmp(st->text, "show ", 5) != 0)
		return st->facts.ntables != 0;
	i = beginning(p, before, countof(before));
	if (i < countof(before))
		p += strlen(before[i]);
	return beginning(p, shown, countof(shown)) < countof(shown);
}

/* A set operation has found what its LIMIT cuts off, too. */
static bool finds_more(const struct statement *st)
{
	static const char *const words[] = {" fetch ", "union", "except", "intersect", " procedure "};

	if (st->text_cut || st->facts.flags & SQL_F_CALC_FOUND_ROWS || strncmp(st->text, "values", 6) == 0)
		return true;
	for (size_t i = 0; i < countof(words); i++)
		if (strstr(st->text, words[i]))
			return true;
	return false;
}

static bool asks_sequence(const struct statement *st)
{
	if (likely(!(st->facts.flags & SQL_F_SEQUENCE)))
		return false;
	return st->text_cut || strcasestr(st->text, "lastval") || strcasestr(st->text, "previous value") || strcasestr(st->text, "currval");
}

static bool gives_id(const struct statement *st)
{
	static const char call[] = "last_insert_id(";
	const char *p = st->text;

	if (likely(!(st->facts.flags & SQL_F_LAST_INSERT_ID)))
		return false;
	while ((p = strstr(p, call)) != NULL) {
		p += sizeof(call) - 1;
		if (*p != ')')
			return true;
	}
	return st->text_cut;
}

static struct statement *statement_new(struct span text, unsigned mode, const struct statement_key *k)
{
	struct statement *st = mem_zalloc(sizeof(*st));
	struct iobuf b;

	if (!st)
		return NULL;
	st->refs = 1;
	st->digest = k->digest;
	st->schema = mem_dup(k->schema.p, k->schema.len);
	st->schema_len = k->schema.len;
	iobuf_init(&b, TEXT_MOST + 64);
	if (!st->schema || sql_facts_parse(text, mode, &st->facts) != RC_OK ||
	    sql_normalise(text, mode, TEXT_MOST, &b) != RC_OK) {
		iobuf_reset(&b);
		statement_unref(st);
		return NULL;
	}
	st->text_len = iobuf_len(&b);
	st->text_cut = st->text_len >= TEXT_MOST;
	st->text = mem_dup(iobuf_data(&b), st->text_len);
	iobuf_reset(&b);
	if (!st->text) {
		statement_unref(st);
		return NULL;
	}
	st->system_schema = st->facts.flags & SQL_F_SYSTEM_SCHEMA;
	st->changes_accounts = sql_changes_accounts(&st->facts);
	st->hides_accounts = hides_accounts(&st->facts);
	/* A write says what it says: a number in it is a value. */
	st->names_threads = !is_row_write(st->facts.verb) && numbers_matter(st->text);
	st->lists_threads = st->names_threads && numbers_listed(st->text);
	st->clears = clears(st);
	st->shows_conditions = shows_conditions(st);
	st->asks_conditions = asks_conditions(st);
	st->has_limit = st->text_cut || strstr(st->text, "limit") || strstr(st->text, "offset");
	st->gives_id = gives_id(st);
	st->asks_sequence = asks_sequence(st);
	st->finds_more = finds_more(st);
	st->names_tracking = strstr(st->text, "session_track") ||
			     (st->facts.flags & SQL_F_GLOBAL_SET && strstr(st->text, "profiling"));
	return st;
}

struct statement *statement_get(struct statements *t, struct span text, unsigned mode, const struct sql_lexed *lexed,
				struct span schema, bool *fresh)
{
	struct statement_key k = {.digest = lexed->digest, .schema = schema};
	uint64_t hash = statement_hash(&k);
	struct map_node *n = map_find(&t->map, hash, &k);
	struct statement *st;

	*fresh = !n;
	if (n) {
		st = container_of(n, struct statement, node);
		if (list_first(&t->lru) != &st->lru) {
			list_remove(&t->lru, &st->lru);
			list_push_front(&t->lru, &st->lru);
		}
		return statement_ref(st);
	}
	st = statement_new(text, mode, &k);
	if (!st)
		return NULL;
	st->text_broken = lexed->broken;
	if (t->lru.count >= t->most)
		forget(t, container_of(list_last(&t->lru), struct statement, lru));
	if (map_insert(&t->map, &st->node, hash) == RC_OK) {
		list_push_front(&t->lru, &st->lru);
		statement_ref(st);
	}
	return st;
}

/* ---- tags ---- */

struct tag_set { cache_tag *tags; uint8_t *n; };

static enum rc put(struct tag_set *set, cache_tag tag)
{
	for (uint8_t i = 0; i < *set->n; i++)
		if (set->tags[i] == tag)
			return RC_OK;
	if (*set->n == CACHE_MAX_TAGS)
		return RC_ERROR;
	set->tags[(*set->n)++] = tag;
	return RC_OK;
}

static enum rc put_written(void *arg, struct span schema, struct span table)
{
	return put(arg, cache_tag_table(schema, table));
}

static enum rc put_read(void *arg, struct span schema, struct span table)
{
	cache_tag tag = cache_tag_table(schema, table);

	return put(arg, tag) == RC_OK ? put(arg, cache_tag_rows(tag)) : RC_ERROR;
}

static enum rc put_nothing(void *arg, struct span schema, struct span table)
{
	return RC_OK;
}

/* What one routine does; its tables are added to the sets. */
static enum plan_calls resolve_routine(const struct statement *st, struct catalog *c, const struct sql_routine *r,
				       struct tag_set *reads, struct tag_set *writes)
{
	struct span schema = r->schema.len ? r->schema : span_str(st->schema);
	bool procedure = st->facts.verb == SQL_CALL;
	uint8_t before = *writes->n;
	const char *why;

	if (!schema.len ||
	    catalog_routine(c, schema, r->name, procedure, CATALOG_WRITE, put_written, writes, &why) != RC_OK ||
	    catalog_routine(c, schema, r->name, procedure, CATALOG_READ, put_read, reads, &why) != RC_OK)
		return PLAN_CALLS_UNKNOWN;
	if (*writes->n != before)
		return PLAN_CALLS_WRITES;
	return catalog_routine(c, schema, r->name, procedure, CATALOG_PLAIN_READ, put_nothing, NULL, &why) == RC_OK
		       ? PLAN_CALLS_PLAIN
		       : PLAN_CALLS_READS;
}

/* Of several routines the one that does most counts. Tables that a routine writes are taken for such as cannot be rolled
 * back. A function may bear the name of the procedure whose arguments it is in, and facts name each once. */
static void resolve_routines(struct statement *st, struct catalog *c, struct tag_set *reads, struct tag_set *writes)
{
	const struct sql_facts *f = &st->facts;
	bool stored = f->flags & SQL_F_STORED_FUNCTION, call = f->verb == SQL_CALL;

	st->calls = PLAN_CALLS_UNKNOWN;
	if (f->nroutines == 0 || stored == call || (f->flags & SQL_F_UNKNOWN))
		return;
	st->calls = PLAN_CALLS_PLAIN;
	for (uint16_t i = 0; i < f->nroutines && st->calls != PLAN_CALLS_UNKNOWN; i++) {
		enum plan_calls calls = resolve_routine(st, c, &f->routines[i], reads, writes);

		if (calls < st->calls)
			st->calls = calls;
	}
	if (st->calls == PLAN_CALLS_WRITES)
		st->transactional = false;
}

static enum rc note(void *arg, struct span schema, struct span table)
{
	*(bool *)arg = true;
	return RC_OK;
}

/* A view among what it reads may call a routine that writes. Until the schema has been read again it is what it was. */
static void resolve_views(struct statement *st, struct catalog *c)
{
	const struct sql_facts *f = &st->facts;
	bool writes = false, known = true;
	const char *why;

	for (uint16_t i = 0; i < f->ntables; i++) {
		const struct sql_table *t = &f->tables[i];
		struct span schema = t->schema.len ? t->schema : span_str(st->schema);
		enum rc rc = t->read && schema.len ? catalog_called(c, schema, t->name, note, &writes, &why) : RC_OK;

		writes |= rc == RC_DECLINED;
		known &= rc != RC_AGAIN;
	}
	if (known || writes)
		st->writes_by_views = writes;
}

/* ---- rows ---- */

/* Columns the settings name for this table instead of the schema's unique ones; NULL: none. */
static const struct settings_cache_keys *keys_set(const struct settings *cfg, struct span schema, struct span table)
{
	for (size_t i = 0; i < cfg->cache.nkeys; i++) {
		struct span name = span_str(cfg->cache.keys[i].table);
		const char *dot = memchr(name.p, '.', name.len);

		if (dot && !span_ieq(span_of(name.p, (size_t)(dot - name.p)), schema))
			continue;
		if (span_ieq(dot ? span_str(dot + 1) : name, table))
			return &cfg->cache.keys[i];
	}
	return NULL;
}

static bool is_named(const struct settings_cache_keys *set, const struct catalog_key *k)
{
	if (!set)
		return k->unique;
	for (size_t i = 0; i < set->ncolumns; i++)
		if (span_ieq(span_str(set->columns[i]), span_str(k->column)))
			return true;
	return false;
}

static void resolve_keys(struct statement *st, struct catalog *c, const struct settings *cfg)
{
	const struct sql_table *t = st->facts.tables;
	const struct settings_cache_keys *set;
	struct catalog_keys keys;
	struct span schema;

	mem_free(st->keys);
	st->keys = NULL;
	if (!st->resolved || st->facts.ntables != 1 || st->facts.nroutines || (st->facts.flags & SQL_F_SUBQUERY))
		return;
	schema = t->schema.len ? t->schema : span_str(st->schema);
	if (catalog_row_keys(c, schema, t->name, &keys) != RC_OK)
		return;
	st->keys = mem_dup(&keys, sizeof(keys)); /* without memory it is by table */
	if (!st->keys)
		return;
	st->keys_of = t->written ? st->writes[0] : st->reads[0];
	set = keys_set(cfg, schema, t->name);
	st->keys_named = 0;
	for (unsigned i = 0; i < keys.n; i++)
		st->keys_named |= (unsigned)is_named(set, &keys.at[i]) << i;
}

static void resolve_needs(struct statement *st, struct catalog *c, struct span schema, struct span table)
{
	struct tag_set needs = {st->needs, &st->nneeds};
	const char *why;

	st->needs_more |= catalog_needs(c, schema, table, put_written, &needs, &why) == RC_ERROR;
}

void statement_resolve(struct statement *st, struct catalog *c, const struct settings *cfg)
{
	uint64_t version = catalog_version(c);
	const char *why;
	bool defaults;
	struct tag_set reads = {st->reads, &st->nreads}, writes = {st->writes, &st->nwrites};

	if (st->catalog_version == version && version)
		return;
	st->catalog_version = version;
	st->nreads = st->nwrites = st->nneeds = 0;
	st->needs_more = false;
	st->resolved = st->transactional = true;
	st->not_later = NULL;
	resolve_routines(st, c, &reads, &writes);
	for (uint16_t i = 0; i < st->facts.ntables && st->resolved; i++) {
		const struct sql_table *t = &st->facts.tables[i];
		struct span schema = t->schema.len ? t->schema : span_str(st->schema);

		if (schema.len == 0) {
			st->resolved = false;
			st->unresolved_why = "no schema is chosen";
		} else if ((t->read && catalog_reads(c, schema, t->name, put_read, &reads, &st->unresolved_why) != RC_OK) ||
			   (t->written &&
			    catalog_writes(c, schema, t->name, put_written, &writes, &st->unresolved_why) != RC_OK)) {
			st->resolved = false;
		}
		if (t->written && schema.len)
			resolve_needs(st, c, schema, t->name);
		if (t->written && (schema.len == 0 || catalog_transactional(c, schema, t->name, &why) != RC_OK))
			st->transactional = false;
		if (t->written && schema.len && is_row_write(st->facts.verb) &&
		    catalog_later(c, schema, t->name, &defaults, &why) != RC_OK)
			st->not_later = why;
	}
	resolve_views(st, c);
	resolve_keys(st, c, cfg);
}

/* The version first: what changes meanwhile is judged again. */
enum catalog_sets statement_judge_sets(struct statement *st, struct catalog *c)
{
	st->sets_version = catalog_version(c);
	st->sets = catalog_sets(c, &st->facts, span_of(st->schema, st->schema_len), false);
	return st->sets;
}

const struct sql_today *statement_today(const struct statement *st, struct catalog *c, struct span text, unsigned mode,
					struct statement_today *kept)
{
	uint64_t version = catalog_version(c);

	if (likely(kept->version == version))
		return &kept->is;
	kept->version = version;
	if (catalog_today(c, &st->facts, span_of(st->schema, st->schema_len), text, mode, &kept->is) != RC_OK)
		kept->is = (struct sql_today){.always = true}; /* until the schema has been read, which is another version */
	return &kept->is;
}

static enum rc pass(void *arg, struct span schema, struct span table)
{
	return RC_OK;
}

bool statement_shared(const struct statement *st, struct catalog *c, bool (*skip)(const void *arg, const struct sql_table *t),
		      const void *arg, struct write_targets *out)
{
	struct tag_set writes = {out->tags, &out->n};
	const char *why;

	out->n = 0;
	out->transactional = true;
	for (uint16_t i = 0; i < st->facts.ntables; i++) {
		const struct sql_table *t = &st->facts.tables[i];
		struct span schema = t->schema.len ? t->schema : span_str(st->schema);

		if (skip(arg, t))
			continue;
		if (schema.len == 0 || (t->read && catalog_reads(c, schema, t->name, pass, NULL, &why) != RC_OK) ||
		    (t->written && catalog_writes(c, schema, t->name, put_written, &writes, &why) != RC_OK))
			return false;
		if (t->written && catalog_transactional(c, schema, t->name, &why) != RC_OK)
			out->transactional = false;
	}
	return true;
}

bool statement_text_unsure(const struct statement *st, bool answered, uint16_t error)
{
	return st->text_broken || error == ER_PARSE || (error && !answered && (st->facts.flags & SQL_F_UNKNOWN));
}

struct span statement_table(const struct statement *st, char *buf, size_t cap)
{
	const struct sql_facts *f = &st->facts;
	const struct sql_table *t = f->tables;

	if (!f->ntables)
		return span_of("", 0);
	if (!t->schema.len)
		return t->name;
	if (t->schema.len + 1 + t->name.len > cap)
		return t->name;
	memcpy(buf, t->schema.p, t->schema.len);
	buf[t->schema.len] = '.';
	memcpy(buf + t->schema.len + 1, t->name.p, t->name.len);
	return span_of(buf, t->schema.len + 1 + t->name.len);
}
