/*
 * advise_bare.c - a column is compared inside a function, and no index begins with it. The function would keep one from being used, so that
 * neither an index nor the bare column helps alone: both do. It is said only where the comparison surely can be mended (advise_hidden.c),
 * and few rows of the sample match it as it is.
 */
#include "advise_impl.h"

#define MOST_TEXT 65536

/* Can the statement say the same of the bare column? */
static enum rc can_be_mended(const struct advise_question *q, const struct advise_verdict *v, const struct advise_column *of)
{
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, MOST_TEXT);
	rc = advise_mend(q->sent, of, v->scan.table, &sql);
	if (rc == RC_OK && iobuf_len(&sql) == 0)
		rc = RC_DECLINED;
	iobuf_reset(&sql);
	return rc;
}

/* An index on the bare column, of which few rows match. */
static enum rc try_index(struct advise_question *q, const struct advise_column *of, struct advise_verdict *v)
{
	struct span terms[] = {of->term, of->also};

	v->index = (struct advise_columns){.n = 1, .at = {*of}};
	v->index.at[0].use = ADVISE_EQUALS;
	if (advise_look_indexes(q->c, &v->table, &v->index, &v->known) != RC_OK)
		return RC_ERROR;
	if (v->known.serves[0])
		return RC_DECLINED;
	if (advise_look_condition(q->c, &v->table, v->scan.table, terms, of->also.len ? 2 : 1, &v->sample) != RC_OK)
		return RC_ERROR;
	return v->sample.rows >= ADVISE_LEAST_SAMPLE && !advise_too_many_match(v) ? RC_OK : RC_DECLINED;
}

enum rc advise_bare(struct advise_question *q, const struct advise_columns *found, struct advise_verdict *v)
{
	struct advise_verdict made = *v;
	enum rc rc = RC_DECLINED;

	if (v->scan.rows < ADVISE_LEAST_ROWS || v->scan.ordered || v->table.guessed) /* a view's column may be another's */
		return RC_DECLINED;
	made.by_key = made.far = false;
	for (size_t i = 0; i < found->n && rc == RC_DECLINED; i++) {
		const struct advise_column *of = &found->at[i];

		if (!of->exists || of->use != ADVISE_HIDDEN || !of->function.len)
			continue;
		rc = can_be_mended(q, v, of);
		if (rc == RC_OK)
			rc = try_index(q, of, &made);
		made.bare = *of;
	}
	if (rc != RC_OK)
		return rc;
	made.add = true;
	made.walked = 0;
	*v = made;
	return RC_OK;
}

enum rc advise_put_bare_reason(const struct advise_verdict *v, struct iobuf *out)
{
	return iobuf_printf(out, ": no index begins with %s, and " SPAN_FMT "() around it would keep one from being used", v->bare.name,
			    SPAN_ARG(v->bare.function));
}

enum rc advise_put_bare_fix(const struct advise_verdict *v, struct iobuf *out)
{
	if (iobuf_printf(out,
			 "%s stands inside a function, so every row is computed: no index serves that, and there is none. Compare the bare column, "
			 "and add an index on %s.%s (", v->bare.name, v->table.schema, v->table.name) != RC_OK ||
	    advise_put_columns(&v->index, false, out) != RC_OK)
		return RC_ERROR;
	return iobuf_printf(out, "): neither helps without the other.");
}
