/*
 * holds.c - what a session holds on its connection until its own statements give it back: locks of GET_LOCK, temporary tables. When all
 * of a kind has been given back, the pin for it ends.
 *
 * Listed is what may be held, which is as much as is held or more: a lock that GET_LOCK did not get is listed, too, and RELEASE_LOCK takes
 * no more off the list than off the server. What cannot be listed (made by a procedure, named by an expression) is held until the session
 * ends. (temps.c has another list: of temporary tables that are certainly there.)
 */
#include <string.h>

#include "mem.h"
#include "request.h"
#include "userlock.h"

#define HOLDS_MOST 16
#define NAME_MOST 256 /* longer ones no server takes */

struct hold {
	char *name;     /* "schema\0table", "\0lock"; owned */
	size_t len;
	unsigned pin;   /* PIN_TEMP_TABLE, PIN_USER_LOCK */
	unsigned times; /* a lock's: each wants to be given back */
};

struct holds {
	struct hold all[HOLDS_MOST];
	uint8_t n;
};

static void drop_at(struct holds *h, uint8_t i)
{
	mem_free(h->all[i].name);
	h->all[i] = h->all[--h->n];
}

void holds_forget(struct session *s)
{
	s->holds_untold = 0;
	while (s->holds && s->holds->n)
		drop_at(s->holds, 0);
	mem_free(s->holds);
	s->holds = NULL;
}

static struct hold *find(const struct session *s, unsigned pin, struct span schema, struct span name)
{
	for (uint8_t i = 0; s->holds && i < s->holds->n; i++) {
		struct hold *e = &s->holds->all[i];

		if (e->pin == pin && e->len == schema.len + 1 + name.len && memcmp(e->name, schema.p, schema.len) == 0 && !e->name[schema.len] &&
		    memcmp(e->name + schema.len + 1, name.p, name.len) == 0)
			return e;
	}
	return NULL;
}

/* The same name in every character set. */
static bool is_plain(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return s.len <= NAME_MOST;
}

static bool add(struct session *s, unsigned pin, struct span schema, struct span name)
{
	struct hold *e;

	if (!is_plain(schema) || !is_plain(name))
		return false;
	if (!s->holds)
		s->holds = mem_zalloc(sizeof(*s->holds));
	if (!s->holds || s->holds->n == HOLDS_MOST)
		return false;
	e = &s->holds->all[s->holds->n];
	e->name = mem_zalloc(schema.len + 1 + name.len + 1);
	if (!e->name)
		return false;
	memcpy(e->name, schema.p, schema.len);
	memcpy(e->name + schema.len + 1, name.p, name.len);
	e->len = schema.len + 1 + name.len;
	e->pin = pin;
	e->times = 1;
	s->holds->n++;
	return true;
}

static void take(struct session *s, unsigned pin, struct span schema, struct span name)
{
	struct hold *e = find(s, pin, schema, name);

	if (e)
		e->times += pin == PIN_USER_LOCK;
	else if (!add(s, pin, schema, name))
		s->holds_untold |= pin;
}

static void give(struct session *s, unsigned pin, struct span schema, struct span name)
{
	struct hold *e = find(s, pin, schema, name);

	if (e && --e->times == 0)
		drop_at(s->holds, (uint8_t)(e - s->holds->all));
}

static void end_if_none(struct session *s, unsigned pin)
{
	if (!(s->pins & pin) || s->holds_untold & pin)
		return;
	for (uint8_t i = 0; s->holds && i < s->holds->n; i++)
		if (s->holds->all[i].pin == pin)
			return;
	s->pins &= ~pin;
}

/* ---- temporary tables ---- */

static struct span schema_of(const struct statement *st, const struct sql_table *t)
{
	return t->schema.len ? t->schema : span_str(st->schema);
}

/* Under names that are not known here. An ALTER that renames names two. */
static bool may_make_or_rename(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;
	const uint64_t verbs = SQL_VERB(SQL_CALL) | SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_COMPOUND) | SQL_VERB(SQL_RENAME);

	if (!f)
		return r->cmd != COM_INIT_DB && r->cmd != COM_PING;
	return f->verbs & verbs || f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_STORED_FUNCTION) || (f->verb == SQL_ALTER && f->ntables > 1);
}

bool holds_alters(const struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	if (!f || (f->verb != SQL_ALTER && f->verb != SQL_CREATE) || f->ntables == 0 || may_make_or_rename(r))
		return false;
	for (uint16_t i = 0; i < f->ntables; i++)
		if (f->tables[i].written && !find(r->s, PIN_TEMP_TABLE, schema_of(r->st, &f->tables[i]), f->tables[i].name))
			return false;
	return true;
}

/* Tables alone, and no more than all servers read. */
static bool drops_tables(const struct statement *st)
{
	return st->facts.verb == SQL_DROP && !st->text_cut && !strstr(st->text, "/*") &&
	       (strncmp(st->text, "drop table ", 11) == 0 || strncmp(st->text, "drop temporary table ", 21) == 0);
}

/* ran: by what it has run besides its text. */
static void settle_tables(struct request *r, unsigned ran)
{
	struct session *s = r->s;
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;
	bool makes = f && f->flags & SQL_F_TEMP_TABLE;

	if (ran & PIN_TEMP_TABLE || may_make_or_rename(r)) {
		s->holds_untold |= PIN_TEMP_TABLE;
		return;
	}
	if (r->error || !f || (!makes && !drops_tables(r->st)))
		return; /* one that fails leaves none, or those that there were */
	for (uint16_t i = 0; i < f->ntables; i++) {
		struct span schema = schema_of(r->st, &f->tables[i]);

		if (makes && f->tables[i].written)
			take(s, PIN_TEMP_TABLE, schema, f->tables[i].name);
		else if (!makes)
			give(s, PIN_TEMP_TABLE, schema, f->tables[i].name);
	}
}

/* ---- locks ---- */

/* Values that are bound to it count as if they stood there. name: into r's text, or into bound. */
static enum sql_user_lock lock_of(struct request *r, struct iobuf *bound, struct span *name)
{
	if (r->streamed)
		return SQL_LOCK_UNTOLD;
	if (!r->prepared)
		return sql_user_lock(r->sql, r->mode, name);
	if (r->prepared->long_data || prepared_bind(r, bound) != RC_OK)
		return SQL_LOCK_UNTOLD;
	return sql_user_lock(span_of(iobuf_data(bound), iobuf_len(bound)), r->prepared->mode, name);
}

static bool is_about_locks(const struct request *r)
{
	return unlikely(r->st && r->st->facts.flags & SQL_F_USER_LOCK) && r->cmd != COM_STMT_PREPARE;
}

static void give_all_locks(struct session *s)
{
	s->holds_untold &= ~(unsigned)PIN_USER_LOCK;
	for (uint8_t i = s->holds ? s->holds->n : 0; i-- > 0;)
		if (s->holds->all[i].pin == PIN_USER_LOCK)
			drop_at(s->holds, i);
}

static void settle_lock(struct request *r, enum sql_user_lock what, struct span name)
{
	struct session *s = r->s;

	if (what == SQL_LOCK_UNTOLD)
		s->holds_untold |= PIN_USER_LOCK;
	else if (what == SQL_LOCK_TAKEN) /* also by one that has failed: it may have got it */
		take(s, PIN_USER_LOCK, span_of("", 0), name);
	else if (what == SQL_LOCK_GIVEN && !r->error)
		give(s, PIN_USER_LOCK, span_of("", 0), name);
	else if (what == SQL_LOCK_ALL_GIVEN && !r->error)
		give_all_locks(s);
}

static void settle_locks(struct request *r)
{
	struct span name = span_of("", 0);
	struct iobuf bound;

	if (!is_about_locks(r))
		return;
	iobuf_init(&bound, 0);
	settle_lock(r, lock_of(r, &bound, &name), name);
	iobuf_reset(&bound);
}

bool holds_takes_no_lock(struct request *r)
{
	enum sql_user_lock what;
	struct iobuf bound;
	struct span name;

	if (!is_about_locks(r))
		return false;
	iobuf_init(&bound, 0);
	what = lock_of(r, &bound, &name);
	iobuf_reset(&bound);
	return what != SQL_LOCK_TAKEN && what != SQL_LOCK_UNTOLD;
}

void holds_settle(struct request *r, unsigned ran)
{
	struct session *s = r->s;

	if (likely(!(s->pins & (PIN_TEMP_TABLE | PIN_USER_LOCK))) || r->cmd == COM_STMT_PREPARE)
		return;
	if (s->pins & PIN_TEMP_TABLE)
		settle_tables(r, ran);
	if (s->pins & PIN_USER_LOCK)
		settle_locks(r);
	end_if_none(s, PIN_TEMP_TABLE);
	end_if_none(s, PIN_USER_LOCK);
}
