#include "verify.h"

#include "digest.h"

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

	if (!advise_may_explain(f) || f->ntables == 0)
		return verify_fail(v, RC_DECLINED, "it does more than read tables");
	for (uint16_t i = 0; i < f->ntables && rc == RC_OK; i++)
		rc = add_table(v, &f->tables[i]);
	return rc;
}

static enum rc tables_of(struct verify *v, struct span text)
{
	struct sql_lexed lexed;
	struct sql_facts facts;
	enum rc rc;

	sql_lex(text, 0, &lexed);
	if (sql_facts_parse(lexed.body, 0, &facts) != RC_OK)
		return verify_fail(v, RC_ERROR, "no memory");
	rc = add_tables(v, &facts);
	sql_facts_free(&facts);
	return rc;
}

/* Is what is to be altered one of the tables, and altered in no other way than the adviser's? */
static enum rc check_alter(struct verify *v)
{
	bool is_fix = v->what->alter[0] == '\0';

	for (size_t i = 0; i < v->n; i++)
		is_fix |= verify_is_fix(span_str(v->what->alter), v->what->schema, v->table[i].name);
	return is_fix ? RC_OK : verify_fail(v, RC_DECLINED, "its fix is no index or column of a table that it reads");
}

/* With the sample's values. */
static enum rc fill_mended(struct verify *v)
{
	enum rc rc = verify_filled(span_str(v->what->sql), span_str(v->what->statement), &v->mended);

	if (rc == RC_DECLINED)
		return verify_fail(v, rc, "its fix changes the statement, and the sample's values cannot be put into it");
	return rc == RC_OK ? tables_of(v, span_of(iobuf_data(&v->mended), iobuf_len(&v->mended))) : verify_fail(v, rc, "no memory");
}

enum rc verify_tables(struct verify *v)
{
	enum rc rc = tables_of(v, span_str(v->what->sql));

	if (rc == RC_OK)
		rc = check_alter(v);
	return rc == RC_OK && v->what->statement[0] ? fill_mended(v) : rc;
}
