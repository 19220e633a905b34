#include "advise_json.h"

static bool has(const struct advise_columns *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (span_ieq(span_str(c->at[i].name), span_str(name)))
			return true;
	return false;
}

static size_t take(const struct advise_columns *found, enum advise_use use, size_t most, struct advise_columns *index)
{
	size_t taken = 0;

	for (size_t i = 0; i < found->n && taken < most; i++) {
		const struct advise_column *c = &found->at[i];

		if (c->use != use || has(index, c->name))
			continue;
		if (use == ADVISE_SORT && (!c->exists || c->prefix)) { /* an alias, say: no index gives that order */
			index->n -= taken;
			return 0;
		}
		if (!c->exists || advise_may_be_converted(c) || (c->is_null && c->never_null))
			continue;
		index->at[index->n++] = *c;
		taken++;
		if (c->prefix)
			return most; /* nothing behind it would be of use */
	}
	return taken;
}

/* Equalities first, as they stand; then one range, or else the order, unless a list of values breaks it. */
void advise_choose(const struct advise_columns *found, struct advise_columns *index)
{
	size_t equals, lists;

	*index = (struct advise_columns){0};
	equals = take(found, ADVISE_EQUALS, ADVISE_MOST_EQUALS, index);
	lists = take(found, ADVISE_IN, ADVISE_MOST_EQUALS - equals, index);
	if (index->n && index->at[index->n - 1].prefix)
		return;
	if (take(found, ADVISE_RANGE, 1, index) == 0 && lists == 0)
		take(found, ADVISE_SORT, ADVISE_MOST_SORT, index);
}

static enum rc find_table(struct advise_question *q, const char *alias, struct advise_table *t)
{
	if (advise_table_of(q->text, &q->facts, alias, q->e->schema, t) != RC_OK)
		return RC_DECLINED;
	return t->guessed ? advise_look_views(q->c, &q->facts, q->e->schema, alias, t) : RC_OK;
}

/* Is the column inside convert(..) in the statement itself? Else it is the server that converts it, and a plan that shows it. */
static bool is_converted_by(struct span text, const struct advise_column *c)
{
	struct sql_token t, before = {0};
	char name[ADVISE_NAME];
	struct sql_scan s;
	bool in = false;

	sql_scan_init(&s, text, 0);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next_code(&s, &t)) {
		bool is_name = t.kind == SQL_T_WORD || t.kind == SQL_T_QUOTED;

		in = (in && (is_name || sql_token_is_op(&t, '.'))) || (sql_token_is_op(&t, '(') && sql_token_is_word(&before, "convert"));
		if (in && is_name && advise_name(t.text, name) == RC_OK && span_ieq(span_str(name), span_str(c->name)))
			return true;
		before = t;
	}
	return false;
}

/* What the server converts is hidden by no function of the statement's. */
static void drop_converted(struct span text, struct advise_columns *found)
{
	size_t n = 0;

	for (size_t i = 0; i < found->n; i++) {
		const struct advise_column *c = &found->at[i];
		bool shown = c->use == ADVISE_HIDDEN && span_ieq(c->function, span_str("convert"));

		if (!shown || is_converted_by(text, c))
			found->at[n++] = found->at[i];
	}
	found->n = n;
}

static void find_columns(const struct advise_question *q, const struct advise_scan *s, struct advise_columns *found)
{
	if (s->condition)
		advise_condition(span_str(s->condition), span_str(s->table), found);
	if (s->joined)
		advise_condition(span_str(s->joined), span_str(s->table), found);
	if (s->checked || s->lookups > 0)
		advise_compared(q->text, span_str(s->table), found);
	if (s->lookups > 0)
		advise_selected(q->text, span_str(s->table), found);
	if (s->ref)
		advise_ref(span_str(s->ref), span_str(s->table), s->ref_by, s->ref_key, found);
	if (s->sort)
		advise_sort(span_str(s->sort), span_str(s->table), found);
	else if (q->facts.ntables == 1 && (s->ordered || !sqlconn_is_mariadb(q->c)))
		advise_sort(advise_order_by(q->text), span_str(s->table), found);
	drop_converted(q->text, found);
}

/* How many rows would be found if the index could be used, and whether the value means the same as a string. */
static enum rc try_hidden(struct advise_question *q, struct advise_verdict *v, struct advise_column *of)
{
	struct advise_columns one = {.n = 1, .at = {*of}};
	struct advise_sample spelt = {0};
	struct span terms[] = {of->term, of->also};
	enum rc rc = of->use == ADVISE_HIDDEN ? advise_look_condition(q->c, &v->table, v->scan.table, terms, of->also.len ? 2 : 1, &v->sample) :
						advise_look_values(q->c, &v->table, &one, &v->sample);

	if (rc == RC_OK && advise_converted(of))
		rc = advise_look_spelling(q->c, &v->table, of, &spelt);
	of->spelt = spelt.match > 0;
	return rc;
}

/* No index is to be added; is there one that is kept from being used, and would serve? */
static enum rc judge_hidden(struct advise_question *q, const struct advise_columns *found, struct advise_verdict *v)
{
	struct advise_verdict made = *v;
	struct advise_column of;
	char index[ADVISE_NAME];
	enum rc rc = advise_hidden(q->c, &v->table, found, &of, index);

	if (rc == RC_OK)
		rc = try_hidden(q, &made, &of);
	if (rc != RC_OK)
		return rc;
	made.index = (struct advise_columns){.n = 1, .at = {of}};
	made.by_key = made.far = false;
	if (!v->scan.covered && advise_too_many_match(&made))
		return RC_DECLINED;
	memcpy(made.known.serves, index, ADVISE_NAME);
	made.hidden = true;
	*v = made;
	return RC_OK;
}

/* No column of the table can be indexed for it; is there a value inside one? */
static enum rc judge_inside(struct advise_question *q, const struct advise_scan *s, struct advise_verdict *v)
{
	struct advise_verdict made = *v;
	enum rc rc = advise_json(q->c, q->sent, s, &v->table, &made.json, &made.sample);

	if (rc != RC_OK)
		return rc;
	made.index = (struct advise_columns){.n = 1};
	memcpy(made.index.at[0].name, made.json.there ? made.json.name : made.json.column, ADVISE_NAME);
	made.by_key = made.far = made.add = false;
	made.walked = 0;
	*v = made;
	return RC_OK;
}

/* It is read in order until a LIMIT is reached, which the server hopes is soon. */
static bool is_hoped(const struct advise_scan *s)
{
	return s->ordered && s->rows < ADVISE_LEAST_ROWS;
}

static bool only_sorts(const struct advise_columns *index)
{
	return index->n == 0 || index->at[0].use == ADVISE_SORT;
}

static enum rc judge_sides(struct advise_question *q, const struct advise_scan *s, struct advise_verdict *v)
{
	enum rc rc = advise_sides(q->c, &v->table, s, &v->sides);

	v->add = rc == RC_OK;
	return rc;
}

/* Read in order until enough rows match: for each that does, so many that do not. The server's hope is corrected by the sample. */
static bool reads_far(struct advise_verdict *v)
{
	uint64_t match = v->sample.match ? v->sample.match : 1, far = v->scan.rows * v->sample.rows / match;

	if (v->sample.rows < ADVISE_LEAST_SAMPLE || far < ADVISE_LEAST_ROWS)
		return false;
	v->scan.rows = far < v->sample.rows ? far : v->sample.rows;
	return true;
}

/* The table that is looked up by a column of the scan may drop most rows: does it, by a sample of it? */
static enum rc try_ref(struct advise_question *q, struct advise_scan *s)
{
	struct advise_columns found = {0}, tried = {0};
	struct advise_sample sample;
	struct advise_table t;

	if (!s->ref || !s->ref_table)
		return RC_OK;
	if (advise_table_of(q->text, &q->facts, s->ref_table, q->e->schema, &t) != RC_OK) {
		s->ref = NULL;
		return RC_OK;
	}
	advise_condition(span_str(s->ref_condition), span_str(s->ref_table), &found);
	if (found.n && advise_look_columns(q->c, &t, &found) != RC_OK)
		return RC_ERROR;
	advise_choose(&found, &tried);
	if (advise_look_values(q->c, &t, &tried, &sample) != RC_OK)
		return RC_ERROR;
	if (sample.rows == 0 || sample.match * ADVISE_MOST_SHARE > sample.rows)
		s->ref = NULL;
	return RC_OK;
}

/* Puts the index's columns in order, and looks at those that the table has. InnoDB ends each with the primary key, which so needs not
 * be named to sort by. */
static enum rc look_at_indexes(struct advise_question *q, struct advise_verdict *v)
{
	struct advise_columns *index = &v->index;

	if (advise_look_order(q->c, &v->table, index) != RC_OK || advise_look_indexes(q->c, &v->table, index, &v->known) != RC_OK)
		return RC_ERROR;
	if (index->n < 2 || index->at[index->n - 1].use != ADVISE_SORT || index->at[index->n - 2].prefix ||
	    !span_ieq(span_str(index->at[index->n - 1].name), span_str(v->known.primary)))
		return RC_OK;
	index->n--;
	v->by_key = true;
	return advise_look_indexes(q->c, &v->table, index, &v->known);
}

/* Of a sample those rows that the whole statement asks for. Both 0: it cannot be tried. */
static enum rc look_at_all(struct advise_question *q, const struct advise_scan *s, const struct advise_verdict *v, struct advise_sample *out)
{
	struct span terms[2];
	size_t n = 0;

	*out = (struct advise_sample){0};
	if (s->condition)
		terms[n++] = span_str(s->condition);
	if (s->joined)
		terms[n++] = span_str(s->joined);
	return n && !advise_plan_filters(q->plan, s->table) ? advise_look_condition(q->c, &v->table, s->table, terms, n, out) : RC_OK;
}

/* Does it drop rows that an index which only sorts would lead past? */
static bool drops_rows(const struct advise_question *q, const struct advise_scan *s)
{
	return s->condition || s->joined || advise_plan_filters(q->plan, s->table);
}

/* What the LIMIT asks for was not there: everything was read. */
static bool falls_short(const struct advise_question *q)
{
	uint64_t sent = advise_limit_sent(q->text);

	return q->e->calls && (double)q->e->rows_sent < (double)q->e->calls * (double)sent;
}

/* An index that gives nothing but the order asked for: the rows up to the LIMIT's end are looked up one by one, and those between them
 * that do not match. RC_DECLINED: they are not few. */
static enum rc sorts_well(struct advise_question *q, const struct advise_scan *s, struct advise_verdict *v)
{
	uint64_t limit = advise_limit(q->text), few = s->rows / ADVISE_LOOKED_UP;
	struct advise_sample all;

	if (limit > few)
		return RC_DECLINED;
	if (!drops_rows(q, s)) {
		v->walked = limit;
		return RC_OK;
	}
	if (falls_short(q))
		return RC_DECLINED;
	if (look_at_all(q, s, v, &all) != RC_OK)
		return RC_ERROR;
	if (all.match == 0 || limit * all.rows > all.match * few)
		return RC_DECLINED;
	v->walked = limit * all.rows / all.match;
	return RC_OK;
}

/* The same of an index that finds rows first: between a twentieth and a fifth of them may match where the LIMIT ends it, which the rest
 * of the condition may keep it from. */
static enum rc goes_far(struct advise_question *q, const struct advise_scan *s, struct advise_verdict *v)
{
	struct advise_sample all;

	if (v->sample.match * ADVISE_MOST_SHARE <= v->sample.rows || advise_too_many_match(v))
		return RC_OK;
	if (look_at_all(q, s, v, &all) != RC_OK)
		return RC_ERROR;
	v->far = all.rows == 0 || (all.match < v->sample.match && (double)advise_limit(q->text) * (double)v->sample.match * ADVISE_LOOKED_UP >
									  (double)s->rows * (double)all.match);
	return RC_OK;
}

/* Few of a table's rows belong to one of another's. */
static enum rc is_shared_by_few(struct advise_question *q, struct advise_verdict *v)
{
	if (advise_look_share(q->c, &v->table, &v->index, &v->sample) != RC_OK)
		return RC_ERROR;
	return advise_too_many_match(v) ? RC_DECLINED : RC_OK;
}

/* Too many rows match what they are compared with themselves; by the columns that another table's rows are joined by they may be few. An index
 * on these alone will do then: with what drops next to nothing it would only be wider. */
static enum rc judge_joined(struct advise_question *q, struct advise_verdict *v)
{
	struct advise_verdict made = *v;
	enum rc rc;

	made.index.n = 0;
	made.by_key = made.far = false;
	for (size_t i = 0; i < v->index.n; i++) {
		const struct advise_column *c = &v->index.at[i];

		if (c->use == ADVISE_EQUALS && c->other[0] && !c->computed && !c->prefix)
			made.index.at[made.index.n++] = *c;
	}
	if (made.index.n == 0)
		return RC_DECLINED;
	if (look_at_indexes(q, &made) != RC_OK)
		return RC_ERROR;
	rc = made.known.serves[0] ? RC_DECLINED : is_shared_by_few(q, &made);
	made.add = rc == RC_OK;
	if (rc == RC_OK)
		*v = made;
	return rc;
}

static enum rc judge_index(struct advise_question *q, const struct advise_scan *s, const struct advise_columns *found,
			   struct advise_verdict *v)
{
	enum rc rc;

	if (v->index.n && only_sorts(&v->index)) {
		rc = sorts_well(q, s, v);
		if (rc == RC_ERROR)
			return RC_ERROR;
		v->index.n = rc == RC_OK ? v->index.n : 0;
	}
	if (v->index.n && look_at_indexes(q, v) != RC_OK)
		return RC_ERROR;
	bool hoped = is_hoped(s);

	if (!hoped && s->rows < (s->joined ? ADVISE_LEAST_JOINED : ADVISE_LEAST_ROWS))
		return RC_DECLINED;
	if (v->index.n == 0 || v->known.serves[0])
		return hoped ? RC_DECLINED : judge_hidden(q, found, v);
	if (advise_look_values(q->c, &v->table, &v->index, &v->sample) != RC_OK)
		return RC_ERROR;
	if (hoped && !reads_far(v))
		return RC_DECLINED;
	if (goes_far(q, &v->scan, v) != RC_OK)
		return RC_ERROR;
	v->add = !advise_too_many_match(v);
	rc = v->add ? RC_OK : judge_joined(q, v);
	return rc == RC_DECLINED && !hoped ? judge_hidden(q, found, v) : rc;
}

/* A column that the server converts says more than that its index is hidden. was: what else has been found. */
static enum rc judge_recoded(struct advise_question *q, struct advise_verdict *v, enum rc was)
{
	struct advise_verdict made = *v;
	enum rc rc;

	made.hidden = false;
	rc = advise_recode(q, &made);
	if (rc == RC_OK)
		*v = made;
	return rc == RC_DECLINED ? was : rc;
}

/* Another table that drops the scan's rows, but by way of a third. */
static bool has_way(const struct advise_scan *s)
{
	return strcmp(s->ref_by, s->ref_filter) != 0;
}

/* With the index another table comes first. *rows: all of its own are read then; 0: an index serves its condition. What is between them may
 * have to be read, too. */
static enum rc read_to_lead(struct advise_question *q, const struct advise_scan *s, uint64_t *rows)
{
	struct advise_columns found = {0};
	struct advise_known known;
	struct advise_table t;

	*rows = 0;
	if (!s->ref || advise_table_of(q->text, &q->facts, s->ref_by, q->e->schema, &t) != RC_OK)
		return RC_OK;
	if (has_way(s))
		return advise_look_rows(q->c, &t, rows);
	advise_condition(span_str(s->ref_condition), span_str(s->ref_by), &found);
	if (found.n && advise_look_columns(q->c, &t, &found) != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < found.n; i++) {
		struct advise_columns one = {.n = 1, .at = {found.at[i]}};

		if (!found.at[i].exists)
			continue;
		if (advise_look_indexes(q->c, &t, &one, &known) != RC_OK)
			return RC_ERROR;
		if (known.serves[0])
			return RC_OK;
	}
	return advise_look_rows(q->c, &t, rows);
}

static enum rc judge(struct advise_question *q, struct advise_scan *s, struct advise_verdict *v);

/* Of several ranges an index can have one: that which fewest rows of the sample are in. */
static enum rc prefer_range(struct advise_question *q, const struct advise_columns *found, struct advise_verdict *v)
{
	struct advise_column *range = v->index.n ? &v->index.at[v->index.n - 1] : NULL;
	uint64_t least = UINT64_MAX;

	if (!range || range->use != ADVISE_RANGE)
		return RC_OK;
	for (size_t i = 0; i < found->n; i++) {
		struct advise_columns one = {.n = 1, .at = {found->at[i]}};
		struct advise_sample sample;

		if (found->at[i].use != ADVISE_RANGE || !found->at[i].exists || found->at[i].prefix || !found->at[i].test.len ||
		    advise_may_be_converted(&found->at[i]))
			continue;
		if (advise_look_values(q->c, &v->table, &one, &sample) != RC_OK)
			return RC_ERROR;
		if (sample.rows && sample.match < least) {
			least = sample.match;
			*range = found->at[i];
		}
	}
	return RC_OK;
}

static bool has_ranges(const struct advise_columns *found)
{
	size_t n = 0;

	for (size_t i = 0; i < found->n; i++)
		n += found->at[i].use == ADVISE_RANGE;
	return n > 1;
}

/* The table that would come first is too large to be read whole: an index on what drops its rows spares the other's looking them up. */
static enum rc judge_lead(struct advise_question *q, const struct advise_scan *s, uint64_t rows, struct advise_verdict *v)
{
	struct advise_scan lead = {.table = s->ref_by, .rows = rows, .condition = s->ref_condition};
	/* Of more than two tables MySQL may join by hash all the same, and read them whole. */
	bool sure = !has_way(s) && (sqlconn_is_mariadb(q->c) || q->facts.ntables == 2);
	enum rc rc = sure ? judge(q, &lead, v) : RC_DECLINED;

	v->led = s->rows;
	return rc == RC_OK && (!v->add || v->quoted || v->bare.name[0]) ? RC_DECLINED : rc;
}

/* RC_OK: v says what to do; RC_DECLINED: it says why nothing. One index comes before an OR's, but for one that only sorts. */
static enum rc judge(struct advise_question *q, struct advise_scan *s, struct advise_verdict *v)
{
	struct advise_columns found = {0};
	uint64_t lead;
	enum rc rc;

	if (try_ref(q, s) != RC_OK || read_to_lead(q, s, &lead) != RC_OK)
		return RC_ERROR;
	if (lead * ADVISE_LEAD_SHARE > s->rows) {
		rc = judge_lead(q, s, lead, v);
		if (rc != RC_DECLINED)
			return rc;
		s->ref = NULL;
	}
	*v = (struct advise_verdict){.scan = *s};
	rc = find_table(q, s->table, &v->table);
	if (rc != RC_OK)
		return rc;
	find_columns(q, s, &found);
	if (found.n && (advise_look_columns(q->c, &v->table, &found) != RC_OK ||
			advise_look_others(q->c, q->text, &q->facts, q->e->schema, &found) != RC_OK))
		return RC_ERROR;
	advise_choose(&found, &v->index);
	if (has_ranges(&found) && prefer_range(q, &found, v) != RC_OK)
		return RC_ERROR;
	rc = only_sorts(&v->index) ? judge_sides(q, s, v) : judge_index(q, s, &found, v);
	if (rc == RC_DECLINED)
		rc = only_sorts(&v->index) ? judge_index(q, s, &found, v) : judge_sides(q, s, v);
	if (rc == RC_DECLINED)
		rc = advise_quoted(q, &found, v);
	if (rc == RC_DECLINED)
		rc = advise_bare(q, &found, v);
	if (rc == RC_DECLINED)
		rc = judge_inside(q, s, v);
	return rc == RC_DECLINED || (rc == RC_OK && v->hidden) ? judge_recoded(q, v, rc) : rc;
}

/* Rows of the full scans that the fix of one of them leaves. An index may serve another of the same table as well. */
static uint64_t read_beside(const struct advise_question *q, const struct advise_scan *scans, size_t n, const struct advise_verdict *v)
{
	uint64_t rows = 0;

	for (size_t i = 0; i < n; i++) {
		struct advise_table t;

		if (!scans[i].ordered && !scans[i].searched && !scans[i].unfiltered && scans[i].table != v->scan.table &&
		    advise_table_of(q->text, &q->facts, scans[i].table, q->e->schema, &t) == RC_OK &&
		    (strcasecmp(t.name, v->table.name) != 0 || strcasecmp(t.schema, v->table.schema) != 0))
			rows += scans[i].rows;
	}
	return rows;
}

static bool is_key(const struct advise_scan *s, const char *name)
{
	const char *key;

	for (size_t i = 0; (key = json_string_value(json_array_get(s->keys, i))) != NULL; i++)
		if (span_ieq(span_str(key), span_str(name)))
			return true;
	return false;
}

/* Of an index's columns those by which rows are dropped that have been found. False: none of them must equal something. */
static bool drops(const struct advise_scan *s, const struct advise_columns *index, struct advise_columns *by)
{
	bool equals = false;

	*by = (struct advise_columns){0};
	for (size_t i = 0; i < index->n; i++) {
		const struct advise_column *c = &index->at[i];

		if (is_key(s, c->name))
			continue;
		equals |= c->use == ADVISE_EQUALS && c->test.len;
		by->at[by->n++] = *c;
	}
	return equals;
}

/* An index is there that serves a part of the condition; one for all of it would find far fewer rows. */
static enum rc judge_search(struct advise_question *q, const struct advise_scan *s, struct advise_verdict *v)
{
	struct advise_columns found = {0}, by;
	const char *key, *ref;

	*v = (struct advise_verdict){.scan = *s};
	enum rc rc = q->facts.ntables == 1 ? find_table(q, s->table, &v->table) : RC_DECLINED;

	if (rc != RC_OK)
		return rc;
	find_columns(q, s, &found);
	for (size_t i = 0; (key = json_string_value(json_array_get(s->keys, i))) != NULL; i++) {
		ref = json_string_value(json_array_get(s->refs, i));
		if (ref && strcmp(ref, "const") == 0)
			advise_equals(key, &found);
	}
	if (!s->sort)
		advise_sort(advise_order_by(q->text), span_str(s->table), &found);
	if (advise_look_columns(q->c, &v->table, &found) != RC_OK)
		return RC_ERROR;
	advise_choose(&found, &v->index);
	if (!drops(s, &v->index, &by))
		return RC_DECLINED;
	if (look_at_indexes(q, v) != RC_OK || advise_look_values(q->c, &v->table, &by, &v->sample) != RC_OK)
		return RC_ERROR;
	v->add = !v->known.serves[0] && v->sample.rows >= ADVISE_LEAST_SAMPLE && v->sample.match * ADVISE_MOST_SHARE <= v->sample.rows;
	return v->add ? RC_OK : RC_DECLINED;
}

static enum rc judge_unfiltered(struct advise_question *q, const struct advise_scan *s, struct advise_verdict *v)
{
	enum rc rc;

	*v = (struct advise_verdict){.scan = *s};
	rc = find_table(q, s->table, &v->table);
	return rc == RC_OK ? advise_recode(q, v) : rc;
}

/* A scan whose own condition no index serves, as too many rows match it, and that another table could lead to: as if it had none. */
static enum rc judge_led_to(struct advise_question *q, const struct advise_scan *s, struct advise_verdict *v)
{
	struct advise_scan bare = *s;
	struct advise_verdict made;
	enum rc rc;

	bare.condition = bare.sort = NULL;
	bare.ref_table = s->ref_filter; /* nothing is taken on the server's word */
	if (try_ref(q, &bare) != RC_OK)
		return RC_ERROR;
	if (!bare.ref)
		return RC_DECLINED;
	bare.ref_table = NULL;
	rc = judge(q, &bare, &made);
	if (rc == RC_OK)
		rc = made.add && made.index.n == 1 && !made.sides.n && !made.quoted && !made.bare.name[0] && !made.recoded ? is_shared_by_few(q, &made) : RC_DECLINED;
	if (rc == RC_OK)
		*v = made;
	return rc;
}

/* No index serves what the subquery reads; one may serve what is asked of it. */
static enum rc judge_within(struct advise_question *q, const struct advise_scan *s, struct advise_verdict *v)
{
	struct advise_scan asked = *s;
	struct advise_verdict made;
	enum rc rc;

	asked.lookups = advise_plan_lookups(q->plan, s->table);
	if (asked.lookups == 0)
		return RC_DECLINED;
	rc = judge(q, &asked, &made);
	if (rc == RC_OK)
		rc = advise_is_asked_for(&made) ? is_shared_by_few(q, &made) : RC_DECLINED;
	made.within = true;
	if (rc == RC_OK && !advise_few_lookups(&made, asked.lookups, &made.left))
		rc = RC_DECLINED;
	if (rc == RC_OK)
		*v = made;
	return rc;
}

/* Rows that are read until the LIMIT is reached: by the sample, for each that is asked for so many others. */
static uint64_t rows_until(const struct advise_question *q, const struct advise_sample *all, uint64_t rows)
{
	double until = (double)advise_limit(q->text) * (double)all->rows / (double)(all->match ? all->match : 1);

	return all->match == 0 || falls_short(q) || until > (double)rows ? rows : (uint64_t)until;
}

/* It keeps an index that is there, or would be, from being used; no index alone will do. */
static bool is_kept_from(const struct advise_verdict *v)
{
	return v->hidden || v->quoted || v->bare.name[0] || v->json.column[0];
}

/* The server reads in an index's order, and hopes to reach the LIMIT soon. Where by a sample it does not, what keeps it from searching is looked
 * for as in a full scan; an index by itself has been weighed (judge_index). */
static enum rc judge_hoped(struct advise_question *q, const struct advise_scan *s, struct advise_verdict *v)
{
	struct advise_verdict made = {.scan = *s};
	struct advise_scan far = *s;
	struct advise_sample all;
	uint64_t rows;
	enum rc rc = is_hoped(s) ? find_table(q, s->table, &made.table) : RC_DECLINED;

	if (rc != RC_OK)
		return rc;
	if (look_at_all(q, s, &made, &all) != RC_OK || advise_look_rows(q->c, &made.table, &rows) != RC_OK)
		return RC_ERROR;
	far.rows = rows_until(q, &all, rows);
	far.ordered = false;
	if (all.rows < ADVISE_LEAST_SAMPLE || far.rows < ADVISE_LEAST_ROWS)
		return RC_DECLINED;
	rc = judge(q, &far, &made);
	if (rc != RC_OK || !is_kept_from(&made))
		return rc == RC_ERROR ? RC_ERROR : RC_DECLINED;
	made.scan.ordered = true;
	if (made.sample.rows)
		made.walked = (uint64_t)((double)rows * (double)made.sample.match / (double)made.sample.rows);
	*v = made;
	return RC_OK;
}

static enum rc judge_whole(struct advise_question *q, struct advise_scan *s, struct advise_verdict *v)
{
	struct advise_scan own = *s;
	enum rc rc;

	if (s->ref && s->own)
		own.ref = NULL;
	rc = judge(q, &own, v);
	if (rc == RC_DECLINED && s->ref && s->own)
		return judge_led_to(q, s, v);
	if (rc == RC_DECLINED)
		rc = judge_hoped(q, s, v);
	return rc == RC_DECLINED && !s->ref ? judge_within(q, s, v) : rc;
}

static enum rc judge_one(struct advise_question *q, struct advise_scan *s, struct advise_verdict *v)
{
	if (s->searched)
		return judge_search(q, s, v);
	return s->unfiltered ? judge_unfiltered(q, s, v) : judge_whole(q, s, v);
}

/* Where each of its rows looks up one of another table, that takes far longer than reading them does: such a scan comes first. */
static void order_by_work(struct advise_scan *scans, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct advise_scan s = scans[i];
		size_t at = i;

		if (!s.ref || s.own)
			continue;
		for (; at > 0 && !scans[at - 1].ref && scans[at - 1].rows / ADVISE_LOOKED_UP < s.rows; at--)
			scans[at] = scans[at - 1];
		scans[at] = s;
	}
}

enum rc advise_judge(struct advise_question *q, const json_t *plan, struct advise_verdict *out)
{
	struct advise_scan scans[ADVISE_MOST_SCANS];
	size_t n = advise_plan_scans(plan, scans);
	enum rc rc = RC_DECLINED;
	struct advise_verdict v;
	bool any = false;
	uint64_t lead;

	order_by_work(scans, n);
	for (size_t i = 0; i < n && rc != RC_OK; i++) {
		bool whole = !scans[i].searched && !scans[i].unfiltered;

		rc = judge_one(q, &scans[i], &v);
		if (rc == RC_ERROR)
			return RC_ERROR;
		if ((!any && whole) || rc == RC_OK)
			*out = v;
		any |= whole || rc == RC_OK;
	}
	if (!any)
		return RC_DECLINED;
	if (read_to_lead(q, &out->scan, &lead) != RC_OK)
		return RC_ERROR;
	out->beside = lead + read_beside(q, scans, n, out);
	return RC_OK;
}
