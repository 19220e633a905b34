/*
 * catalog_temporary.c - looks at the end of BEGIN .. END: what is dropped there, by nothing but DROP TABLE, is dropped however the body was
 * run through, if nothing leaves it before.
 */
#include "catalog_temporary.h"

#include "catalog_accounts.h"
#include "catalog_body.h"
#include "facts.h"
#include "map.h"
#include "scan.h"

#define MOST_TABLES 32

struct tables { unsigned n; uint64_t of[MOST_TABLES]; }; /* hashes */

struct reading {
	unsigned mode;
	bool unclear;
	struct tables made, dropped; /* the latter: by the last DROPs so far */
	const char *end; /* of these; NULL: another piece is the last one */
};

static uint64_t hash_of(const struct sql_table *t)
{
	return map_hash(t->name.p, t->name.len) + 3 * (t->schema.len ? map_hash(t->schema.p, t->schema.len) : 0);
}

static bool holds(const struct tables *t, uint64_t hash)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->of[i] == hash)
			return true;
	return false;
}

static void put_written(struct reading *r, struct tables *to, const struct sql_facts *f)
{
	for (uint16_t i = 0; i < f->ntables; i++) {
		if (!f->tables[i].written)
			continue;
		if (to->n == MOST_TABLES)
			r->unclear = true;
		else
			to->of[to->n++] = hash_of(&f->tables[i]);
	}
}

static bool is_drop_table(const struct reading *r, const struct sql_facts *f, struct span text)
{
	struct sql_scan s;
	struct sql_token t;

	if (f->verb != SQL_DROP || f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI))
		return false;
	sql_scan_init(&s, text, r->mode);
	sql_scan_next_code(&s, &t);
	sql_scan_next_code(&s, &t);
	return sql_token_is_word(&t, "temporary") || sql_token_is_word(&t, "table");
}

/* Does nothing but a semicolon stand here? */
static bool is_semicolon(const struct reading *r, const char *from, const char *to)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, span_of(from, (size_t)(to - from)), r->mode);
	sql_scan_next_code(&s, &t);
	if (!sql_token_is_op(&t, ';'))
		return false;
	sql_scan_next_code(&s, &t);
	return t.kind == SQL_T_END;
}

static enum rc take_statement(struct reading *r, struct span text)
{
	struct sql_facts f;

	if (sql_facts_parse(text, r->mode, &f) != RC_OK)
		return RC_ERROR;
	if (is_drop_table(r, &f, text)) {
		if (!r->end || !is_semicolon(r, r->end, text.p))
			r->dropped.n = 0;
		r->end = text.p + text.len;
		put_written(r, &r->dropped, &f);
	} else {
		r->end = NULL;
		r->unclear |= f.flags & (SQL_F_UNKNOWN | SQL_F_MULTI);
		if (f.flags & SQL_F_TEMP_TABLE)
			put_written(r, &r->made, &f);
	}
	sql_facts_free(&f);
	return RC_OK;
}

static enum rc on_piece(void *arg, struct span text, enum catalog_piece piece)
{
	struct reading *r = arg;

	if (piece == CATALOG_STATEMENT)
		return take_statement(r, text);
	r->end = NULL;
	return RC_OK;
}

/* Is it a block that begins without a name, by which it could be left, and ends right behind the last DROP? */
static bool ends_there(const struct reading *r, struct span body)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, body, r->mode);
	sql_scan_next_code(&s, &t);
	if (!sql_token_is_word(&t, "begin"))
		return false;
	sql_scan_init(&s, span_of(r->end, (size_t)(body.p + body.len - r->end)), r->mode);
	sql_scan_next_code(&s, &t);
	if (!sql_token_is_op(&t, ';'))
		return false;
	sql_scan_next_code(&s, &t);
	if (!sql_token_is_word(&t, "end"))
		return false;
	sql_scan_next_code(&s, &t);
	return t.kind == SQL_T_END;
}

enum rc catalog_drops_temporary(struct span body, unsigned mode, bool *all)
{
	struct reading r = {.mode = mode};
	enum rc rc = catalog_body_walk(body, mode, on_piece, &r);

	*all = rc == RC_OK && !r.unclear && r.end && ends_there(&r, body) && !catalog_has_word(body, "return");
	for (unsigned i = 0; i < r.made.n; i++)
		*all &= holds(&r.dropped, r.made.of[i]);
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}
