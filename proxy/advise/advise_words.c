/*
 * advise_words.c - what is said of a scan, and the statement that adds an index.
 */
#include "advise_impl.h"

enum rc advise_put_columns(const struct advise_columns *index, bool quoted, struct iobuf *out)
{
	for (size_t i = 0; i < index->n; i++) {
		const struct advise_column *c = &index->at[i];

		if ((i && iobuf_printf(out, ", ") != RC_OK) ||
		    (quoted ? advise_put_name(out, c->name) : iobuf_printf(out, "%s", c->name)) != RC_OK ||
		    (quoted && c->prefix && iobuf_printf(out, "(%u)", c->prefix) != RC_OK))
			return RC_ERROR;
	}
	return RC_OK;
}

enum rc advise_put_alter(const struct advise_table *t, const struct advise_columns *index, size_t n, struct iobuf *out)
{
	if (iobuf_printf(out, "ALTER TABLE ") != RC_OK || advise_put_name(out, t->schema) != RC_OK ||
	    iobuf_printf(out, ".") != RC_OK || advise_put_name(out, t->name) != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < n; i++)
		if (iobuf_printf(out, "%s ADD INDEX (", i ? "," : "") != RC_OK ||
		    advise_put_columns(&index[i], true, out) != RC_OK || iobuf_printf(out, ")") != RC_OK)
			return RC_ERROR;
	return RC_OK;
}

static enum rc put_each(const struct advise_sides *s, const char *open, const char *between, const char *end, struct iobuf *out)
{
	for (size_t i = 0; i < s->n; i++)
		if (iobuf_printf(out, "%s%s", i ? between : "", open) != RC_OK ||
		    advise_put_columns(&s->at[i], false, out) != RC_OK || iobuf_printf(out, "%s", end) != RC_OK)
			return RC_ERROR;
	return RC_OK;
}

enum rc advise_put_sides(const struct advise_sides *s, struct iobuf *out)
{
	return put_each(s, "", "; ", "", out);
}

enum rc advise_put_sides_fix(const struct advise_verdict *v, struct iobuf *out)
{
	if (iobuf_printf(out,
			 "Each side of an OR is looked up in an index of its own, and what they give is put together (index_merge). On "
			 "%s.%s add ", v->table.schema, v->table.name) != RC_OK ||
	    put_each(&v->sides, "one on (", ", ", ")", out) != RC_OK)
		return RC_ERROR;
	return iobuf_printf(out, ": no existing one begins with these columns. Without them every row is read.");
}

/* What stands before the i-th column in a sentence. */
static const char *joint(const struct advise_columns *index, size_t i)
{
	bool sort = index->at[i].use == ADVISE_SORT;

	if (i == 0)
		return sort ? " to order by " : " for ";
	if (sort)
		return index->at[i - 1].use == ADVISE_SORT ? ", " : " ordered by ";
	return " and ";
}

bool advise_too_many_match(const struct advise_verdict *v)
{
	bool sorted = !v->far && (v->by_key || (v->index.n && v->index.at[v->index.n - 1].use == ADVISE_SORT));

	return v->sample.rows >= ADVISE_LEAST_SAMPLE &&
	       v->sample.match * (sorted ? ADVISE_MOST_SORTED : ADVISE_MOST_SHARE) > v->sample.rows;
}

static enum rc put_hidden(const struct advise_verdict *v, struct iobuf *out)
{
	const struct advise_column *c = &v->index.at[0];

	if (c->use == ADVISE_PATTERN)
		return iobuf_printf(out, ": the pattern for %s begins with a wildcard", c->name);
	if (c->use != ADVISE_HIDDEN)
		return iobuf_printf(out, ": %s is a string compared with a number%s%s, which the index %s cannot serve", c->name,
				    c->other_is_number ? ", " : "", c->other_is_number ? c->other : "", v->known.serves);
	if (c->as_bytes)
		return iobuf_printf(out, ": LIKE BINARY compares %s in another order than the index %s has", c->name, v->known.serves);
	if (c->pattern)
		return iobuf_printf(out, ": LIKE makes a string of %s, which keeps the index %s from being used", c->name, v->known.serves);
	if (c->function.len)
		return iobuf_printf(out, ": " SPAN_FMT "() around %s keeps the index %s from being used",
				    SPAN_ARG(c->function), c->name, v->known.serves);
	return iobuf_printf(out, ": an expression around %s keeps the index %s from being used", c->name, v->known.serves);
}

static enum rc put_why_not(const struct advise_verdict *v, struct iobuf *out)
{
	if (v->index.n == 0)
		return iobuf_printf(out, ": no condition that an index could serve");
	if (v->known.serves[0])
		return iobuf_printf(out, "; the index %s is there, but the server expects too many matches",
				    v->known.serves);
	if (advise_too_many_match(v))
		return iobuf_printf(out, "; too many rows match for an index to help: %llu of %llu looked at",
				    (unsigned long long)v->sample.match, (unsigned long long)v->sample.rows);
	return RC_OK;
}

enum rc advise_put_work(const struct advise_work *work, struct iobuf *out)
{
	if (!work->temporary && !work->filesort)
		return RC_OK;
	return iobuf_printf(out, "; with %s%s%s", work->temporary ? "a temporary table" : "", work->temporary && work->filesort ? " and " : "",
			    work->filesort ? "a filesort" : "");
}

enum rc advise_put_reason(const struct advise_verdict *v, struct iobuf *out)
{
	static const char *const how[] = {
		[ADVISE_EQUALS] = " = ?", [ADVISE_IN] = " in (?)", [ADVISE_RANGE] = " in a range", [ADVISE_SORT] = ""};

	if (v->scan.searched) {
		if (iobuf_printf(out, "%llu rows of %s.%s are found by the index %s, which does not serve all of the condition:",
				 (unsigned long long)v->scan.rows, v->table.schema, v->table.name, v->scan.searched) != RC_OK)
			return RC_ERROR;
	} else if (v->led) {
		if (iobuf_printf(out, "%llu rows of another table look up a row of %s.%s each, and most of these are dropped again", (unsigned long long)v->led,
				 v->table.schema, v->table.name) != RC_OK)
			return RC_ERROR;
	} else if (iobuf_printf(out, v->scan.ordered && (v->add || v->hidden || v->json.column[0]) ? "%llu rows and more of %s.%s are read in an index's order" : "full scan of %llu rows of %s.%s", (unsigned long long)v->scan.rows, v->table.schema,
			 v->table.name) != RC_OK)
		return RC_ERROR;
	if (v->json.column[0])
		return iobuf_printf(out, ": each row's %s is read for a value inside it", v->json.column);
	if (v->hidden)
		return put_hidden(v, out);
	if (v->bare.name[0])
		return advise_put_bare_reason(v, out);
	if (v->recoded)
		return advise_put_recode_reason(v, out);
	if (v->sides.n)
		return iobuf_printf(out, " for an OR, of which a side has no index: ") == RC_OK ? advise_put_sides(&v->sides, out)
									       : RC_ERROR;
	for (size_t i = 0; i < v->index.n; i++)
		if (iobuf_printf(out, "%s", joint(&v->index, i)) != RC_OK ||
		    advise_put_name(out, v->index.at[i].name) != RC_OK ||
		    iobuf_printf(out, "%s", how[v->index.at[i].use]) != RC_OK)
			return RC_ERROR;
	if (v->within && iobuf_printf(out, ", all of it to look a few up in what the subquery gives") != RC_OK)
		return RC_ERROR;
	if (v->scan.ref && iobuf_printf(out, ", which another table is joined by") != RC_OK)
		return RC_ERROR;
	return v->add ? RC_OK : put_why_not(v, out);
}
