/*
 * facts_doc.c - the facts of each statement in tests/golden/facts, in short:
 *
 *   verb  r:table w:table rw:table  f:routine  k:column=value,value  use:schema  +flag ...  ?why it is unknown  [C R Q]
 *
 * C: may be cached, R: may be read from a replica, Q: may be queued, by the text alone. P2, C4, C5, Q4 rest on these.
 */
#include "cases.h"
#include "facts.h"
#include "keys.h"

static const char *const flags[] = {
	NULL, /* unknown: its reason stands in its place */
	"multi",        "writes",       "locking",    "nondet",    "var_read",    "var_write",       "sysvar",
	"temp",         "insert_id",    "found_rows", "row_count", "diagnostics", "calc_found_rows", "lock",
	"file",         "local_infile", "commits",    "ddl",       "returning",   "stored",          "conn_id",
	"session_set",  "global_set",   "read_only",  "snapshot",  "sequence",    "insert_values",   "chain",
	"release",      "system",       "autocommit", "unsafe",    "aggregate",   "limit_no_order",  "password",
	"server_state", "query", "xa_begin", "xa_end", NULL, NULL, "accounts", "delayed",
	"counters",
};

static enum rc put_name(struct iobuf *out, struct span schema, struct span name)
{
	if (schema.len && iobuf_printf(out, SPAN_FMT ".", SPAN_ARG(schema)) != RC_OK)
		return RC_ERROR;
	return iobuf_printf(out, SPAN_FMT, SPAN_ARG(name));
}

static enum rc put_tables(struct iobuf *out, const struct sql_facts *f)
{
	for (uint16_t i = 0; i < f->ntables; i++) {
		const struct sql_table *t = &f->tables[i];

		if (iobuf_printf(out, " %s%s:", t->read ? "r" : "", t->written ? "w" : "") != RC_OK ||
		    put_name(out, t->schema, t->name) != RC_OK)
			return RC_ERROR;
	}
	for (uint16_t i = 0; i < f->nroutines; i++)
		if (iobuf_append(out, " f:", 3) != RC_OK ||
		    put_name(out, f->routines[i].schema, f->routines[i].name) != RC_OK)
			return RC_ERROR;
	if (f->drop_schema.len && iobuf_printf(out, " drop:" SPAN_FMT, SPAN_ARG(f->drop_schema)) != RC_OK)
		return RC_ERROR;
	return f->use_schema.len ? iobuf_printf(out, " use:" SPAN_FMT, SPAN_ARG(f->use_schema)) : RC_OK;
}

static enum rc put_keys(struct iobuf *out, struct span statement, unsigned mode)
{
	struct sql_keys k;

	if (sql_keys_parse(statement, mode, &k) != RC_OK)
		return RC_OK;
	for (uint16_t i = 0; i < k.nkeys; i++) {
		if (iobuf_printf(out, " k:" SPAN_FMT "=", SPAN_ARG(k.keys[i].column)) != RC_OK)
			return RC_ERROR;
		for (uint16_t j = 0; j < k.keys[i].n; j++)
			if (iobuf_printf(out, "%s" SPAN_FMT, j ? "," : "",
					 SPAN_ARG(k.values[k.keys[i].first + j].text)) != RC_OK)
				return RC_ERROR;
	}
	return RC_OK;
}

static enum rc put_flags(struct iobuf *out, const struct sql_facts *f)
{
	for (size_t i = 1; i < countof(flags); i++)
		if (flags[i] && (f->flags >> i & 1) && iobuf_printf(out, " +%s", flags[i]) != RC_OK)
			return RC_ERROR;
	if (f->nondeterministic && iobuf_printf(out, " (%s)", f->nondeterministic) != RC_OK)
		return RC_ERROR;
	return f->unknown_why ? iobuf_printf(out, " ?%s", f->unknown_why) : RC_OK;
}

static enum rc put_verdicts(struct iobuf *out, const struct sql_facts *f)
{
	const char *why;
	bool c = sql_cacheable(f, &why), r = sql_replica_safe(f, &why), q = sql_queueable(f, &why);

	if (!c && !r && !q)
		return RC_OK;
	return iobuf_printf(out, " [%s%s%s]", c ? "C" : "", r ? "R" : "", q ? "Q" : "");
}

static enum rc make(struct span statement, unsigned mode, struct iobuf *out)
{
	struct sql_facts f;
	enum rc rc = RC_ERROR;

	if (sql_facts_parse(statement, mode, &f) != RC_OK)
		return RC_ERROR;
	if (iobuf_printf(out, "%s", sql_verb_name(f.verb)) == RC_OK && put_tables(out, &f) == RC_OK &&
	    put_keys(out, statement, mode) == RC_OK && put_flags(out, &f) == RC_OK && put_verdicts(out, &f) == RC_OK)
		rc = RC_OK;
	sql_facts_free(&f);
	return rc;
}

int main(int argc, char **argv)
{
	return cases_main(argc, argv, make);
}
