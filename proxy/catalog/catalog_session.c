#include "catalog_session.h"

#include <ctype.h>

#include "catalog_accounts.h"
#include "catalog_body.h"
#include "catalog_parse.h"
#include "catalog_temporary.h"
#include "mem.h"
#include "scan.h"
#include "unscoped.h"

/* ---- a body ---- */

struct judge {
	struct snapshot *s;
	struct entity *e;
	unsigned mode;
	bool makes_temporary;
	struct catalog_locals locals; /* names beyond the bound are taken for variables of the server's */
};

static bool names_user_variable(struct span text, unsigned mode)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, text, mode);
	do
		sql_scan_next_code(&s, &t);
	while (t.kind != SQL_T_END && t.kind != SQL_T_USER_VAR && t.kind != SQL_T_BAD);
	return t.kind != SQL_T_END;
}

/* SET a = .., b = ..: is one of these no local variable and no column of a trigger's row? */
static bool sets_servers(const struct judge *j, struct span text)
{
	struct sql_scan s;
	struct sql_token t, behind;
	bool at_target = false;
	int depth = 0;

	sql_scan_init(&s, text, j->mode);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; t = behind) {
		sql_scan_next_code(&s, &behind);
		if (at_target && t.kind != SQL_T_USER_VAR &&
		    !(catalog_locals_have(&j->locals, t.text) && (sql_token_is_op(&behind, '=') || sql_token_is_op(&behind, SQL_OP_ASSIGN))) &&
		    !sql_token_is_op(&behind, '.'))
			return true;
		depth += sql_token_is_op(&t, '(') - sql_token_is_op(&t, ')');
		at_target = sql_token_is_word(&t, "set") || (depth == 0 && sql_token_is_op(&t, ','));
	}
	return false;
}

/* What is not understood, by its words. */
static bool looks_like_setting(struct span text)
{
	static const char *const words[] = {"call", "execute", "prepare", "role", "get_lock"};

	for (size_t i = 0; i < countof(words); i++)
		if (catalog_has_word(text, words[i]))
			return true;
	return memchr(text.p, '@', text.len) != NULL;
}

static bool sets_untold(const struct sql_facts *f, struct span text, unsigned mode)
{
	const uint64_t texts = SQL_VERB(SQL_PREPARE) | SQL_VERB(SQL_EXECUTE);
	struct span name;

	if (f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI) || f->verbs & texts)
		return looks_like_setting(text);
	if (f->flags & SQL_F_USER_LOCK || sql_set_unscoped(text, mode, &name, 1))
		return true;
	/* SELECT .. INTO and GET DIAGNOSTICS set local variables, too. SET ROLE and its like name none. */
	if (f->flags & SQL_F_USER_VAR_WRITE)
		return f->verb == SQL_SET || names_user_variable(text, mode);
	return f->verbs & SQL_VERB(SQL_CALL) && f->flags & SQL_F_USER_VAR_READ; /* it may be for OUT */
}

/* Tables that it writes may have triggers, views that it reads call functions. */
static enum rc link_tables(struct judge *j, const struct sql_facts *f)
{
	for (uint16_t i = 0; i < f->ntables; i++) {
		const struct sql_table *t = &f->tables[i];
		struct span schema = t->schema.len ? t->schema : j->e->schema;
		struct entity *to = schema.len > SNAPSHOT_NAME_MAX || t->name.len > SNAPSHOT_NAME_MAX ? NULL
				    : t->written ? snapshot_get(j->s, schema, t->name) : snapshot_find(j->s, schema, t->name);

		if (to && t->written ? snapshot_link_written(&j->e->runs, to) != RC_OK
				     : to && to->kind == CATALOG_VIEW && snapshot_link(&j->e->runs, to) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static enum rc take_piece(struct judge *j, struct span text)
{
	struct sql_facts f;
	enum rc rc;

	if (sql_facts_parse(text, j->mode, &f) != RC_OK)
		return RC_ERROR;
	j->e->sets |= sets_untold(&f, text, j->mode);
	j->makes_temporary |= f.flags & SQL_F_TEMP_TABLE || (f.flags & (SQL_F_UNKNOWN | SQL_F_MULTI) && catalog_has_word(text, "temporary"));
	j->e->tells |= f.flags & SQL_F_SESSION_SET && sets_servers(j, text);
	rc = link_tables(j, &f);
	if (rc == RC_OK)
		rc = catalog_link_calls(j->s, j->e, &f, &j->e->runs);
	sql_facts_free(&f);
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

static enum rc on_piece(void *arg, struct span text, enum catalog_piece piece)
{
	struct judge *j = arg;
	char *select;
	enum rc rc;

	if (piece == CATALOG_VARIABLE) {
		(void)!catalog_locals_add(&j->locals, text);
		return RC_OK;
	}
	if (piece == CATALOG_STATEMENT)
		return take_piece(j, text);
	select = mem_printf("SELECT " SPAN_FMT, SPAN_ARG(text));
	rc = select ? take_piece(j, span_str(select)) : RC_ERROR;
	mem_free(select);
	return rc;
}

/* Functions and triggers are not expected to drop them: they have statements' errors ignored, and run where others' are handled. */
static enum rc take_temporary(struct judge *j, struct span body)
{
	bool drops = false;
	enum rc rc = RC_OK;

	j->e->hinders |= catalog_has_word(body, "handler") || catalog_has_word(body, "alter") || catalog_has_word(body, "rename");
	if (!j->makes_temporary)
		return RC_OK;
	if (snapshot_is_procedure(j->e))
		rc = catalog_drops_temporary(body, j->mode, &drops);
	j->e->drops |= drops;
	j->e->temporary |= !drops;
	return rc;
}

enum rc catalog_take_session(struct snapshot *s, struct entity *e, struct span body, struct span parameters, unsigned mode)
{
	struct judge j = {.s = s, .e = e, .mode = mode};
	enum rc rc;

	if (body.len == 0) {
		e->sets = e->unseen = true;
		return RC_OK;
	}
	(void)!catalog_locals_add_list(&j.locals, parameters);
	rc = catalog_body_walk(body, mode, on_piece, &j);
	if (rc == RC_DECLINED) {
		e->sets |= looks_like_setting(body);
		j.makes_temporary |= catalog_has_word(body, "temporary");
	}
	return rc == RC_ERROR ? RC_ERROR : take_temporary(&j, body);
}

/* ---- what has changed ---- */

/* As written or as it is: quotes go, of a doubled one the second. Of letters that are not ASCII the case is not known here: any is any other. */
static uint64_t hash_name(struct span name)
{
	char room[SNAPSHOT_NAME_MAX], quote = name.len > 2 && (*name.p == '`' || *name.p == '"') ? *name.p : '\0';
	size_t n = 0;

	for (size_t i = quote ? 1 : 0; i < name.len - (quote ? 1 : 0) && n < sizeof(room); i++) {
		if (!((unsigned char)name.p[i] & 0x80))
			room[n++] = (char)tolower((unsigned char)name.p[i]);
		i += quote && name.p[i] == quote;
	}
	return name.len ? map_hash(room, n) : 0;
}

/* Room for another one; what has been read longest ago goes. NULL: as many as may be are waiting. */
static struct catalog_change_of *new_change(struct catalog_history *c)
{
	struct catalog_change_of *oldest = NULL;

	if (c->waiting == CATALOG_CHANGED_MOST)
		return NULL;
	c->waiting++;
	if (c->n < CATALOG_HISTORY_MOST)
		return &c->of[c->n++];
	for (unsigned i = 0; i < c->n; i++)
		if (c->of[i].read && (!oldest || c->of[i].read < oldest->read))
			oldest = &c->of[i];
	if (oldest && c->forgotten < oldest->read)
		c->forgotten = oldest->read;
	return oldest;
}

/* hash: 0: all. What replaces itself has lost nothing: only what was lost as it was sent may still have been run until it is answered. */
static void lose(struct catalog_history *c, uint64_t hash, uint64_t at, unsigned how)
{
	bool again = how & CATALOG_OVER && how & CATALOG_ADDS;

	for (unsigned i = 0; i < c->n; i++)
		if ((!hash || c->of[i].name == hash) && (!again || c->of[i].lost))
			c->of[i].lost = at;
}

/* What quiet views are made of may be another thing now. */
static void make_noise(struct catalog_history *c)
{
	c->noise++;
	for (unsigned i = 0; i < c->n; i++)
		c->of[i].quiet = false;
}

void catalog_history_add(struct catalog_history *c, struct span name, uint64_t at, unsigned how)
{
	uint64_t hash = hash_name(name);
	struct catalog_change_of *e = NULL;

	if (how & CATALOG_LOSES)
		lose(c, hash, at, how);
	if (name.len == 0) {
		c->any = at;
		make_noise(c);
	}
	if (name.len == 0 || !(how & CATALOG_ADDS))
		return;
	if (!(how & CATALOG_QUIET))
		make_noise(c);
	for (unsigned i = 0; i < c->n && !e; i++)
		e = c->of[i].name == hash && !c->of[i].read ? &c->of[i] : NULL;
	if (!e) {
		e = new_change(c);
		if (!e) {
			c->any = at;
			make_noise(c);
			return;
		}
		*e = (struct catalog_change_of){.name = hash, .first = at, .quiet = true};
	}
	e->last = at;
	e->quiet &= (how & CATALOG_QUIET) != 0;
	e->trigger |= (how & CATALOG_TRIGGER) != 0;
	e->view |= (how & CATALOG_OF_VIEW) != 0;
}

void catalog_history_lose_triggers(struct catalog_history *c, uint64_t at)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->of[i].trigger)
			c->of[i].lost = at;
}

void catalog_history_until(struct catalog_history *c, uint64_t at, uint64_t now)
{
	c->any = c->any > at ? c->any : 0;
	for (unsigned i = 0; i < c->n; i++)
		if (!c->of[i].read && c->of[i].last <= at) {
			c->of[i].read = now;
			c->waiting--;
		}
}

/* False: there is no room. */
static bool put(struct catalog_changed *out, const struct catalog_change_of *e)
{
	if (out->n == CATALOG_CHANGED_MOST)
		return false;
	out->of[out->n].name = e->name;
	out->of[out->n++].view = e->view;
	return true;
}

void catalog_history_waiting(const struct catalog_history *c, struct catalog_changed *out)
{
	out->n = 0;
	for (unsigned i = 0; i < c->n && out->n < c->waiting; i++)
		if (!c->of[i].read && !c->of[i].quiet)
			(void)put(out, &c->of[i]);
}

bool catalog_history_lost(const struct catalog_history *c, uint64_t first, uint64_t last, struct catalog_changed *out)
{
	bool known = first > c->forgotten;

	out->n = 0;
	for (unsigned i = 0; i < c->n && known; i++) {
		const struct catalog_change_of *e = &c->of[i];

		if (e->lost > first && e->first <= last && (!e->read || first <= e->read))
			known = put(out, e);
	}
	return known;
}

static bool has_changed_to(const struct catalog_changed *c, struct span name, bool view)
{
	uint64_t hash = c->n ? hash_name(name) : 0;

	for (unsigned i = 0; i < c->n; i++)
		if (c->of[i].name == hash && c->of[i].view >= view)
			return true;
	return false;
}

static bool has_changed(const struct catalog_changed *c, struct span name)
{
	return has_changed_to(c, name, false);
}

/* ---- a statement ---- */

struct sets_walk {
	const struct catalog_changed *changed;
	enum catalog_sets worst;
	struct catalog_unseen *unseen;
	bool unsure, missing;
	bool drops, hinders;
};

static bool has_only_ascii(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] & 0x80)
			return false;
	return true;
}

static void worsen(struct sets_walk *w, enum catalog_sets to)
{
	if (w->worst < to)
		w->worst = to;
}

/* A function that is none of the schema's is the server's or a library's; unless it is one of these, by a name in another letter case. */
static void is_missing(struct sets_walk *w, struct span schema, struct span name, bool procedure)
{
	if (procedure && !w->missing)
		*w->unseen = (struct catalog_unseen){schema, name, false};
	w->missing |= procedure;
	if (!procedure && !has_only_ascii(name))
		worsen(w, CATALOG_SETS);
}

static bool on_entity(void *arg, const struct entity *e)
{
	struct sets_walk *w = arg;

	w->unsure |= w->changed->n && has_changed(w->changed, snapshot_bare_name(e));
	if (e->kind == CATALOG_UNKNOWN && snapshot_is_routine(e))
		is_missing(w, e->schema, snapshot_bare_name(e), snapshot_is_procedure(e));
	if (e->tells)
		worsen(w, CATALOG_SETS_TOLD);
	if (e->temporary)
		worsen(w, CATALOG_SETS_TEMPORARY);
	w->drops |= e->drops;
	w->hinders |= e->hinders;
	if (e->sets) {
		worsen(w, CATALOG_SETS);
		*w->unseen = e->unseen ? (struct catalog_unseen){e->schema, snapshot_bare_name(e), !snapshot_is_routine(e)} : (struct catalog_unseen){.trigger = false};
	}
	return w->worst != CATALOG_SETS;
}

static void judge_routine(struct sets_walk *w, const struct snapshot *s, struct span schema, struct span name, bool procedure)
{
	const struct entity *e = snapshot_find_routine(s, schema, name, procedure);

	if (!e)
		is_missing(w, schema, name, procedure);
	w->unsure |= !e && has_changed(w->changed, name);
	if (e && !snapshot_runs(e, true, on_entity, w))
		worsen(w, CATALOG_SETS);
}

/* Of several statements nobody knows which calls it. */
static void judge_either(struct sets_walk *w, const struct snapshot *s, struct span schema, struct span name)
{
	const struct entity *f = snapshot_find_routine(s, schema, name, false);

	if (f && f->kind == CATALOG_ROUTINE)
		judge_routine(w, s, schema, name, false);
	if (!f || f->kind != CATALOG_ROUTINE || snapshot_find_routine(s, schema, name, true))
		judge_routine(w, s, schema, name, true);
}

static void judge_table(struct sets_walk *w, const struct snapshot *s, struct span schema, struct span name, bool written)
{
	const struct entity *e = snapshot_find(s, schema, name);

	if (!e || (e->kind == CATALOG_TABLE && !written)) /* a table that is read runs nothing, unless it is a view by now */
		w->unsure |= has_changed_to(w->changed, name, e != NULL);
	if (e && !snapshot_runs(e, written, on_entity, w))
		worsen(w, CATALOG_SETS);
}

/* It fires no trigger and reads no view: who gives a table a trigger or another name sets nothing by it. */
static bool runs_no_table(const struct sql_facts *f)
{
	const uint64_t verbs = SQL_VERB(SQL_RENAME) | SQL_VERB(SQL_DROP) | SQL_VERB(SQL_ALTER) | SQL_VERB(SQL_TRUNCATE);

	return verbs & SQL_VERB(f->verb) && !(f->flags & (SQL_F_MULTI | SQL_F_UNKNOWN));
}

enum catalog_sets catalog_judge_sets(const struct snapshot *s, const struct catalog_changed *c, const struct sql_facts *f, struct span schema,
				     struct catalog_unseen *unseen)
{
	const uint64_t fires = SQL_VERB(SQL_INSERT) | SQL_VERB(SQL_REPLACE) | SQL_VERB(SQL_UPDATE) | SQL_VERB(SQL_DELETE) | SQL_VERB(SQL_LOAD);
	bool calls = f->verbs & SQL_VERB(SQL_CALL), several = f->flags & SQL_F_MULTI;
	struct sets_walk w = {.changed = c, .unseen = unseen};

	*unseen = (struct catalog_unseen){.trigger = false};
	for (uint16_t i = 0; i < f->nroutines; i++) {
		const struct sql_routine *r = &f->routines[i];
		struct span of = r->schema.len ? r->schema : schema;

		if (catalog_is_system(of)) { /* what these do is not read */
			if (calls && (i == 0 || several))
				worsen(&w, CATALOG_SETS);
			continue;
		}
		if (calls && several)
			judge_either(&w, s, of, r->name);
		else /* of one CALL the procedure is the first; the others are functions */
			judge_routine(&w, s, of, r->name, calls && i == 0);
	}
	for (uint16_t i = 0; i < f->ntables && !runs_no_table(f); i++) {
		const struct sql_table *t = &f->tables[i];
		struct span of = t->schema.len ? t->schema : schema;

		if (!catalog_is_system(of))
			judge_table(&w, s, of, t->name, t->written && f->verbs & fires);
	}
	if (w.drops)
		worsen(&w, f->verb == SQL_CALL && !several && !w.hinders ? CATALOG_SETS_DROPPED : CATALOG_SETS_TEMPORARY);
	return w.worst == CATALOG_SETS ? CATALOG_SETS
				       : w.worst | (w.unsure ? CATALOG_SETS_UNSURE : 0) | (w.missing ? CATALOG_SETS_MISSING : 0);
}

/* What writes the view writes what it is made of, and fires that one's triggers. */
bool catalog_view_is_quiet(const struct snapshot *s, const struct catalog_changed *c, const struct sql_facts *select, struct span schema)
{
	const uint64_t plain = SQL_F_AGGREGATE | SQL_F_LIMIT_NO_ORDER | SQL_F_SUBQUERY | SQL_F_REPLAY_UNSAFE | SQL_F_UNSAFE_VALUE | SQL_F_NONDETERMINISTIC;
	struct sql_table tables[SQL_MAX_TABLES];
	struct catalog_unseen unseen;
	struct sql_facts written = *select;

	if (select->verb != SQL_SELECT || select->flags & ~plain || select->nroutines || select->ntables > countof(tables))
		return false;
	written.verb = SQL_INSERT;
	written.verbs = SQL_VERB(SQL_INSERT);
	written.tables = tables;
	for (uint16_t i = 0; i < select->ntables; i++) {
		tables[i] = select->tables[i];
		tables[i].written = true;
	}
	return catalog_judge_sets(s, c, select, schema, &unseen) == CATALOG_SETS_NOTHING &&
	       catalog_judge_sets(s, c, &written, schema, &unseen) == CATALOG_SETS_NOTHING;
}
