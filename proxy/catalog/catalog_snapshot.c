#include "catalog_snapshot.h"

#include <ctype.h>

#include "mem.h"

struct name_key {
	struct span schema, name;
};

static bool entity_eq(const struct map_node *node, const void *key)
{
	const struct entity *e = container_of(node, struct entity, node);
	const struct name_key *k = key;

	return span_eq(e->name, k->name) && span_eq(e->schema, k->schema);
}

struct snapshot *snapshot_new(bool fold)
{
	struct snapshot *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->refs = 1;
	s->fold = fold;
	map_init(&s->entities, entity_eq);
	return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static void drop_edges(struct edge *e)
{
	while (e) {
		struct edge *next = e->next;

		mem_free(e);
		e = next;
	}
}

static void drop_temporals(struct temporal *t)
{
	while (t) {
		struct temporal *next = t->next;

		mem_free(t);
		t = next;
	}
}

static void drop_entity(struct map_node *node, void *arg)
{
	struct entity *e = container_of(node, struct entity, node);

	map_remove(arg, node);
	drop_edges(e->reads);
	drop_edges(e->writes);
	drop_edges(e->needs);
	drop_edges(e->calls);
	drop_edges(e->runs);
	drop_temporals(e->temporals);
	mem_free(e->keys);
	mem_free(e->integers);
	mem_free(e);
}

void snapshot_unref(struct snapshot *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	map_each(&s->entities, drop_entity, &s->entities);
	map_reset(&s->entities);
	mem_free(s->sql_mode);
	rights_reset(&s->rights);
	mem_free(s);
}

/* ---- names ---- */

struct folded {
	struct name_key key;
	uint64_t hash;
	char room[2 * SNAPSHOT_NAME_MAX];
};

/* Only ASCII letters are folded: another letter in another case is a name that is not found, which is safe. */
static enum rc fold_name(const struct snapshot *s, struct span schema, struct span name, struct folded *out)
{
	size_t len = schema.len + name.len;

	if (schema.len > SNAPSHOT_NAME_MAX || name.len > SNAPSHOT_NAME_MAX)
		return RC_ERROR;
	memcpy(out->room, schema.len ? schema.p : "", schema.len);
	memcpy(out->room + schema.len, name.len ? name.p : "", name.len);
	for (size_t i = 0; s->fold && i < len; i++)
		out->room[i] = (char)tolower((unsigned char)out->room[i]);
	out->key.schema = span_of(out->room, schema.len);
	out->key.name = span_of(out->room + schema.len, name.len);
	out->hash = map_hash(out->room, len) + schema.len;
	return RC_OK;
}

static struct entity *find(const struct snapshot *s, const struct folded *f)
{
	struct map_node *n = map_find(&s->entities, f->hash, &f->key);

	return n ? container_of(n, struct entity, node) : NULL;
}

struct entity *snapshot_find(const struct snapshot *s, struct span schema, struct span name)
{
	struct folded f;

	return fold_name(s, schema, name, &f) == RC_OK ? find(s, &f) : NULL;
}

struct entity *snapshot_get(struct snapshot *s, struct span schema, struct span name)
{
	struct folded f;
	struct entity *e;
	size_t len = schema.len + name.len;
	char *room;

	if (fold_name(s, schema, name, &f) != RC_OK)
		return NULL;
	e = find(s, &f);
	if (e)
		return e;
	if (s->entities.count >= SNAPSHOT_MOST_ENTITIES)
		return NULL;
	e = mem_zalloc(sizeof(*e) + len);
	if (!e)
		return NULL;
	room = (char *)(e + 1);
	memcpy(room, f.room, len);
	e->schema = span_of(room, schema.len);
	e->name = span_of(room + schema.len, name.len);
	if (map_insert(&s->entities, &e->node, f.hash) != RC_OK) {
		mem_free(e);
		return NULL;
	}
	return e;
}

/* No table's name begins with one of these. */
#define FUNCTION '\1'
#define PROCEDURE '\2'

/* A routine's name: the byte that says what it is, and lower case. NULL: too long. */
static char *routine_name(struct span name, bool procedure, char room[SNAPSHOT_NAME_MAX])
{
	if (name.len >= SNAPSHOT_NAME_MAX)
		return NULL;
	room[0] = procedure ? PROCEDURE : FUNCTION;
	for (size_t i = 0; i < name.len; i++)
		room[i + 1] = (char)tolower((unsigned char)name.p[i]);
	return room;
}

struct entity *snapshot_find_routine(const struct snapshot *s, struct span schema, struct span name, bool procedure)
{
	char room[SNAPSHOT_NAME_MAX];

	return routine_name(name, procedure, room) ? snapshot_find(s, schema, span_of(room, name.len + 1)) : NULL;
}

struct entity *snapshot_get_routine(struct snapshot *s, struct span schema, struct span name, bool procedure)
{
	char room[SNAPSHOT_NAME_MAX];

	return routine_name(name, procedure, room) ? snapshot_get(s, schema, span_of(room, name.len + 1)) : NULL;
}

bool snapshot_is_procedure(const struct entity *e)
{
	return e->name.len && e->name.p[0] == PROCEDURE;
}

bool snapshot_is_routine(const struct entity *e)
{
	return snapshot_is_procedure(e) || (e->name.len && e->name.p[0] == FUNCTION);
}

struct span snapshot_bare_name(const struct entity *e)
{
	return snapshot_is_routine(e) ? span_of(e->name.p + 1, e->name.len - 1) : e->name;
}

enum rc snapshot_link(struct edge **list, struct entity *to)
{
	struct edge *e;

	for (e = *list; e; e = e->next)
		if (e->to == to)
			return RC_OK;
	e = mem_alloc(sizeof(*e));
	if (!e)
		return RC_ERROR;
	*e = (struct edge){.to = to, .next = *list};
	*list = e;
	return RC_OK;
}

enum rc snapshot_link_written(struct edge **list, struct entity *to)
{
	if (snapshot_link(list, to) != RC_OK)
		return RC_ERROR;
	for (struct edge *e = *list; e; e = e->next)
		e->written |= e->to == to;
	return RC_OK;
}

/* ---- closures ---- */

/* Everything a name leads to, each once, in the order it was met. */
struct walk {
	const struct entity *met[SNAPSHOT_MOST_CLOSURE];
	size_t n;
	const char *why; /* set: not known */
};

static void meet(struct walk *w, const struct entity *e)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->met[i] == e)
			return;
	if (w->n == SNAPSHOT_MOST_CLOSURE)
		w->why = "it leads to too many tables";
	else
		w->met[w->n++] = e;
}

static void meet_all(struct walk *w, const struct edge *e)
{
	for (; e && !w->why; e = e->next)
		meet(w, e->to);
}

static const char *unknown(const struct entity *e, enum snapshot_walk mode)
{
	bool write = mode == SNAPSHOT_WRITE || mode == SNAPSHOT_CALLED;

	if (mode == SNAPSHOT_CHANGED)
		return NULL;
	/* What a view that nobody may look into calls is not known, but it is not taken to write: it would at every read. A function
	 * that is none of the schema's is loaded from a library. */
	if (mode == SNAPSHOT_CALLED && (e->kind == CATALOG_VIEW || (e->kind == CATALOG_UNKNOWN && snapshot_is_routine(e))))
		return NULL;
	if (e->kind == CATALOG_UNKNOWN)
		return e->why_reads ? e->why_reads : SNAPSHOT_NOT_THERE;
	if (e->hidden)
		return "the account that reads the schema lacks SELECT or TRIGGER on it";
	if (e->kind == CATALOG_ROUTINE) /* what writes are known of, the reads are */
		return mode == SNAPSHOT_READ ? e->why_reads : e->why_writes;
	return write && e->kind == CATALOG_TABLE ? e->why_writes : e->why_reads;
}

/* RC_DECLINED: some of it is not known. */
static enum rc walk(const struct entity *start, enum snapshot_walk mode, struct walk *w)
{
	bool called = mode == SNAPSHOT_CALLED, write = mode == SNAPSHOT_WRITE || mode == SNAPSHOT_CHANGED || called;

	w->n = 0;
	w->why = start ? NULL : SNAPSHOT_NOT_THERE;
	if (start)
		meet(w, start);
	for (size_t i = 0; i < w->n && !w->why; i++) {
		const struct entity *e = w->met[i];

		w->why = unknown(e, mode);
		if (!w->why && ((e->kind == CATALOG_VIEW && !called) || (e->kind == CATALOG_ROUTINE && !write)))
			meet_all(w, e->reads);
		if (!w->why && (e->kind != CATALOG_VIEW || called) && write)
			meet_all(w, e->writes);
	}
	return w->why ? RC_DECLINED : RC_OK;
}

enum rc snapshot_closure(const struct entity *start, enum snapshot_walk mode, catalog_put_fn put, void *arg,
			 const char **why)
{
	struct walk w;
	enum rc rc = walk(start, mode, &w);

	*why = w.why;
	for (size_t i = 0; rc == RC_OK && i < w.n; i++)
		if (w.met[i]->kind == CATALOG_TABLE && put(arg, w.met[i]->schema, w.met[i]->name) != RC_OK) {
			*why = "it leads to too many tables";
			rc = RC_ERROR;
		}
	return rc;
}

enum rc snapshot_reads(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
		       const char **why)
{
	return snapshot_closure(snapshot_find(s, schema, name), SNAPSHOT_READ, put, arg, why);
}

enum rc snapshot_called(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
			const char **why)
{
	const struct entity *e = snapshot_find(s, schema, name);

	*why = NULL;
	return e && e->kind == CATALOG_VIEW ? snapshot_closure(e, SNAPSHOT_CALLED, put, arg, why) : RC_OK;
}

enum rc snapshot_writes(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
			const char **why)
{
	return snapshot_closure(snapshot_find(s, schema, name), SNAPSHOT_WRITE, put, arg, why);
}

/* Of all that changes with it. What cannot be told of one is left out. */
enum rc snapshot_needs(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg, const char **why)
{
	const char *unknown_why;
	struct walk w;
	enum rc rc = walk(snapshot_find(s, schema, name), SNAPSHOT_CHANGED, &w);

	*why = w.why;
	for (size_t i = 0; rc == RC_OK && i < w.n; i++)
		for (const struct edge *e = w.met[i]->needs; e && rc == RC_OK; e = e->next)
			if (snapshot_closure(e->to, SNAPSHOT_READ_ANY, put, arg, &unknown_why) == RC_ERROR)
				rc = RC_ERROR;
	return rc;
}

enum rc snapshot_row_changes(const struct snapshot *s, struct span schema, struct span name, catalog_put_fn put, void *arg,
			 const char **why)
{
	const struct entity *e = snapshot_find(s, schema, name);

	*why = NULL;
	if ((!e || e->kind != CATALOG_TABLE) && put(arg, schema, name) != RC_OK)
		return RC_ERROR;
	return e ? snapshot_closure(e, SNAPSHOT_CHANGED, put, arg, why) : RC_OK;
}

/* Of all that changes with it, too: half of a change could not be taken back. */
enum rc snapshot_transactional(const struct snapshot *s, struct span schema, struct span name, const char **why)
{
	struct walk w;
	enum rc rc = walk(snapshot_find(s, schema, name), SNAPSHOT_WRITE, &w);

	*why = w.why;
	for (size_t i = 0; rc == RC_OK && i < w.n; i++) {
		if (i == 0 && w.met[i]->kind != CATALOG_TABLE)
			*why = "it is a view";
		else if (w.met[i]->kind == CATALOG_ROUTINE)
			*why = "a trigger on it calls a routine";
		else if (!w.met[i]->transactional)
			*why = i == 0 ? "its engine has no transactions"
				      : "a trigger or a cascade changes a table whose engine has no transactions";
		if (*why)
			rc = RC_DECLINED;
	}
	return rc;
}

/* Of what its triggers write, too. Cascades fire none, and give no defaults, but they end versions of rows. */
enum rc snapshot_later(const struct snapshot *s, struct span schema, struct span name, bool *defaults, const char **why)
{
	const struct entity *e = snapshot_find(s, schema, name);
	struct walk w;
	enum rc rc = walk(e, SNAPSHOT_WRITE, &w);

	*why = w.why;
	*defaults = e && e->defaults_not_later;
	for (size_t i = 0; rc == RC_OK && i < w.n; i++) {
		if (i > 0 && !e->triggered && !w.met[i]->keeps_history)
			continue;
		*why = w.met[i]->why_not_later;
		if (!*why && i > 0 && w.met[i]->defaults_not_later)
			*why = "a trigger writes a table with a default that would be another one when it is applied";
		if (*why)
			rc = RC_DECLINED;
	}
	return rc;
}

/* Of all that it calls, too. */
enum rc snapshot_keeps_accounts(const struct snapshot *s, struct span schema, struct span name)
{
	const struct entity *e = snapshot_find_routine(s, schema, name, true);
	struct walk w = {.n = 0};

	if (!e || e->kind != CATALOG_ROUTINE)
		return RC_AGAIN;
	meet(&w, e);
	for (size_t i = 0; i < w.n && !w.why; i++) {
		if (w.met[i]->kind != CATALOG_ROUTINE || w.met[i]->accounts)
			return RC_DECLINED;
		meet_all(&w, w.met[i]->calls);
	}
	return w.why ? RC_DECLINED : RC_OK;
}

/* What is read, and what is written besides. */
struct runs { struct walk read, written; };

static void meet_run(struct runs *r, const struct edge *e, bool all_written)
{
	for (; e; e = e->next)
		meet(all_written || e->written || e->to->kind != CATALOG_VIEW ? &r->written : &r->read, e->to);
}

static bool run(struct runs *r, struct walk *w, size_t i, bool (*fn)(void *arg, const struct entity *e), void *arg)
{
	const struct entity *e = w->met[i];
	bool written = w == &r->written;

	if (!fn(arg, e))
		return false;
	if (e->kind == CATALOG_VIEW)
		meet_run(r, e->writes, written);
	if (e->kind == CATALOG_VIEW && written)
		meet_run(r, e->reads, true);
	meet_run(r, e->runs, false);
	meet_run(r, e->calls, false);
	return true;
}

/* Cascades fire no triggers. A table that is read runs nothing; a view the functions and views in it, and, written, the triggers of what
 * it is over. */
bool snapshot_runs(const struct entity *start, bool written, bool (*fn)(void *arg, const struct entity *e), void *arg)
{
	struct runs r;
	size_t i = 0, j = 0;

	if (start->kind == CATALOG_TABLE && !written)
		return true;
	r.read.n = r.written.n = 0;
	r.read.why = r.written.why = NULL;
	meet(written || start->kind != CATALOG_VIEW ? &r.written : &r.read, start);
	while ((i < r.read.n || j < r.written.n) && !r.read.why && !r.written.why)
		if (i < r.read.n ? !run(&r, &r.read, i++, fn, arg) : !run(&r, &r.written, j++, fn, arg))
			return true;
	return !r.read.why && !r.written.why;
}

/* Of all that it calls, too. */
enum catalog_ddl snapshot_ddl(const struct snapshot *s, struct span schema, struct span name, bool says)
{
	const struct entity *e = snapshot_find_routine(s, schema, name, true);
	struct walk w = {.n = 0};
	bool executes = false;

	if (!e || e->kind != CATALOG_ROUTINE)
		return CATALOG_DDL_NEW;
	meet(&w, e);
	for (size_t i = 0; i < w.n && !w.why; i++) {
		e = w.met[i];
		if (e->ddl)
			return CATALOG_DDL_MAY;
		executes |= e->executes || e->kind != CATALOG_ROUTINE;
		says |= e->says_ddl;
		meet_all(&w, e->calls);
	}
	if (w.why || (executes && says))
		return CATALOG_DDL_MAY;
	return executes ? CATALOG_DDL_UNSEEN : CATALOG_DDL_NONE;
}

/* ---- rows ---- */

static bool leads_back(const struct walk *w)
{
	for (size_t i = 0; i < w->n; i++)
		for (const struct edge *e = w->met[i]->writes; e; e = e->next)
			if (e->to == w->met[0])
				return true;
	return false;
}

enum rc snapshot_row_keys(const struct snapshot *s, struct span schema, struct span name, struct catalog_keys *out)
{
	const struct entity *e = snapshot_find(s, schema, name);
	struct walk w;

	if (!e || e->kind != CATALOG_TABLE || e->hidden || !e->keys)
		return RC_DECLINED;
	*out = *e->keys;
	out->one_unique = e->uniques == 1;
	out->written_by_row =
		!e->triggered && walk(e, SNAPSHOT_WRITE, &w) == RC_OK && !leads_back(&w);
	return RC_OK;
}

bool snapshot_is_integer(const struct snapshot *s, struct span schema, struct span name, struct span column)
{
	const struct entity *e = snapshot_find(s, schema, name);
	struct span c;

	if (!e || e->kind != CATALOG_TABLE || e->hidden)
		return false;
	for (const char *p = e->integers, *end = p + e->integers_len; p < end; p = c.p + c.len + 1) {
		c = span_str(p);
		if (span_ieq(c, column))
			return true;
	}
	return false;
}
