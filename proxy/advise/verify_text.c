#include "verify.h"

#include "digest.h"

/* Of an OR's fix, which adds several: nothing but indexes can be said with these words. */
static bool adds(const struct sql_token *t)
{
	return t->kind == SQL_T_WORD && (span_eq(t->text, span_str("ADD")) || span_eq(t->text, span_str("INDEX")));
}

bool verify_is_index(struct span alter, const char *schema, const char *table)
{
	struct iobuf head;
	struct sql_token t;
	struct sql_scan s;
	bool good, list = false;

	iobuf_init(&head, 0);
	good = iobuf_append(&head, "ALTER TABLE ", 12) == RC_OK && advise_put_name(&head, schema) == RC_OK &&
	       iobuf_append(&head, ".", 1) == RC_OK && advise_put_name(&head, table) == RC_OK &&
	       iobuf_append(&head, " ADD INDEX (", 12) == RC_OK && alter.len > iobuf_len(&head) &&
	       memcmp(alter.p, iobuf_data(&head), iobuf_len(&head)) == 0 && alter.p[alter.len - 1] == ')';
	sql_scan_init(&s, good ? span_of(alter.p + iobuf_len(&head), alter.len - iobuf_len(&head)) : span_of("", 0), 0);
	for (sql_scan_next(&s, &t); good && t.kind != SQL_T_END; sql_scan_next(&s, &t)) {
		list |= t.kind == SQL_T_QUOTED;
		good = t.kind == SQL_T_QUOTED || t.kind == SQL_T_NUMBER || adds(&t) ||
		       (t.kind == SQL_T_OP && (t.op == ',' || t.op == '(' || t.op == ')'));
	}
	iobuf_reset(&head);
	return good && list;
}

static bool names(const struct sql_token *t, const char *schema)
{
	char name[ADVISE_NAME];

	return (t->kind == SQL_T_WORD || t->kind == SQL_T_QUOTED) && advise_name(t->text, name) == RC_OK && strcmp(name, schema) == 0;
}

enum rc verify_moved(struct span text, const char *schema, const char *scratch, struct iobuf *out)
{
	struct sql_token t, held = {0};
	const char *from = text.p;
	bool behind_dot = false;
	struct sql_scan s;

	sql_scan_init(&s, text, 0);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next(&s, &t)) {
		bool dot = t.kind == SQL_T_OP && t.op == '.';

		if (dot && held.kind) {
			if (iobuf_append(out, from, (size_t)(held.text.p - from)) != RC_OK || advise_put_name(out, scratch) != RC_OK)
				return RC_ERROR;
			from = held.text.p + held.text.len;
		}
		held = !behind_dot && names(&t, schema) ? t : (struct sql_token){0};
		behind_dot = dot;
	}
	return iobuf_append(out, from, (size_t)(text.p + text.len - from));
}

static enum rc add_table(struct verify *v, const struct sql_table *t)
{
	char schema[ADVISE_NAME] = "", name[ADVISE_NAME];

	if (advise_name(t->name, name) != RC_OK || (t->schema.len && advise_name(t->schema, schema) != RC_OK))
		return verify_fail(v, RC_DECLINED, "a name is too long");
	if (schema[0] && strcmp(schema, v->what->schema) != 0)
		return verify_fail(v, RC_DECLINED, "it reads two schemas, %s and %s", v->what->schema, schema);
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->table[i].name, name) == 0)
			return RC_OK;
	if (v->n == VERIFY_TABLES)
		return verify_fail(v, RC_DECLINED, "it reads more than %d tables", VERIFY_TABLES);
	memcpy(v->table[v->n++].name, name, sizeof(name));
	return RC_OK;
}

static enum rc add_tables(struct verify *v, const struct sql_facts *f)
{
	enum rc rc = RC_OK;
	bool index = false;

	if (!advise_may_explain(f) || f->ntables == 0)
		return verify_fail(v, RC_DECLINED, "it does more than read tables");
	for (uint16_t i = 0; i < f->ntables && rc == RC_OK; i++)
		rc = add_table(v, &f->tables[i]);
	for (size_t i = 0; i < v->n && rc == RC_OK; i++)
		index |= verify_is_index(span_str(v->what->alter), v->what->schema, v->table[i].name);
	return rc != RC_OK || index ? rc : verify_fail(v, RC_DECLINED, "its fix is no index of a table that it reads");
}

enum rc verify_tables(struct verify *v)
{
	struct sql_lexed lexed;
	struct sql_facts facts;
	enum rc rc;

	sql_lex(span_str(v->what->sql), 0, &lexed);
	if (sql_facts_parse(lexed.body, 0, &facts) != RC_OK)
		return verify_fail(v, RC_ERROR, "no memory");
	rc = add_tables(v, &facts);
	sql_facts_free(&facts);
	return rc;
}
