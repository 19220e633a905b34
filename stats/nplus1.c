/*
 * nplus1.c - finds N+1 loops: one list read, then the same read again and again for each of its rows.
 *
 *   select ... from orders where ...            the parent: a read that returned two rows or more
 *   select ... from customers where id = ?      the child: one digest, other literals each time,
 *   select ... from customers where id = ?      at least `repeats` times within `window`, in one session
 *
 * What tells a loop from other repetition, and so keeps the findings honest:
 *   - no list was read before: a batch job or single look-ups, not a loop over a result;
 *   - far more repeats than the lists had rows (RUN_PER_ROW each): a stream of look-ups that follows no list. Such
 *     a run is taken back when it gets there;
 *   - a list read some statements before the first look-up (LIST_NEAR), or look-ups scattered among others (SCATTERED):
 *     requests that share a connection one after the other; but for what begins while another loop over the list goes on,
 *     or right behind it, and whose values stand in the list, as those of the other do;
 *   - the parent again, or a transaction's begin or end: the next request has begun, and with it the next run;
 *   - the same literals each time: asked for again, not for each row; that is the cache's business;
 *   - most repeats have a write behind them, to the table that they read: a job, which takes each row to change it;
 *   - values that stand in no list the session has read lately, where that can be told: the list came before them by chance.
 *     Where they stand in another list than the last, that one is the parent;
 *   - values of the list in no order, some of them again: requests on one connection, each for one row of what another has listed.
 *
 * Applications that take a connection from a pool for each statement are seen where their statements bear sqlcommenter's
 * traceparent: then the trace takes the session's place, on whatever threads its statements run.
 */
#include "core.h"

#include "mem.h"

#define JOB_ROWS 64 /* so many repeats, each with a write behind it, whatever it writes, are a batch job */
#define RUN_PER_ROW 2
#define LIST_ROWS 2
#define LIST_NEAR 5 /* statements from the list to the first of the run */
#define SCATTERED 4 /* of so many statements since the run began at least one is of the run */
#define COMPARE_FROM 2 /* the statement of a run whose values are the first to be kept */
#define COMPARE_MOST 16
#define COMPARE_LEAST 3 /* so many looked at say something */
#define KEY_MOST 3      /* columns of a key */
#define NESTED_MOST 3   /* loops around a loop */
#define NO_ENTRY UINT32_MAX
#define LITERALS 62 /* question marks that are told apart */

/* b may be before a: statements sent ahead overlap. */
static bool apart(uint64_t a, uint64_t b, uint64_t window)
{
	return b > a && b - a > window;
}

static bool starts_anew(const struct stats_event *e)
{
	const char *v = e->verb;

	return v && (strcmp(v, "begin") == 0 || strcmp(v, "commit") == 0 || strcmp(v, "rollback") == 0);
}

/* Which table it is, as a hash; 0: it is of none. */
static uint32_t table_of(const struct stats_event *e)
{
	return e->table.len ? (uint32_t)map_hash(e->table.p, e->table.len) | 1 : 0;
}

static uint64_t parent_bit(uint64_t digest)
{
	return UINT64_C(1) << (digest & 63);
}

static struct stats_run *run_find(struct stats_nplus1 *n, uint64_t digest)
{
	for (unsigned i = 0; i < STATS_NPLUS1_SLOTS; i++) {
		if (n->run[i].digest == digest)
			return &n->run[i];
	}
	return NULL;
}

static bool run_refuted(const struct stats_run *r)
{
	return r->compared >= COMPARE_LEAST && r->matched * 2 < r->compared;
}

/* Of what did not begin with its list only the values tell. */
static bool run_has_list(const struct stats_run *r)
{
	return r->parent && (!r->later || (r->compared >= COMPARE_LEAST && r->matched + 1 >= r->compared));
}

static bool run_is_loop(const struct stats_run *r)
{
	return r && run_has_list(r) && !r->overrun && !run_refuted(r);
}

/* Where the list is itself read for each row of another, all that its loop has read so far is gone through, it may be afterwards. */
static void run_follows(struct stats_nplus1 *n, struct stats_run *r, uint64_t parent, uint64_t rows)
{
	const struct stats_run *of = run_find(n, parent);

	r->parent = parent;
	r->parent_rows = run_is_loop(of) && of->rows > rows ? of->rows : rows;
	n->parents |= parent_bit(parent);
}

/* A loop that goes on, or has just ended; its values are known to come from its list. NULL: there is none. */
static const struct stats_run *loop_near(const struct stats_nplus1 *n, const struct stats_event *e, uint64_t window)
{
	for (unsigned i = 0; n->parents && i < STATS_NPLUS1_SLOTS; i++) {
		const struct stats_run *r = &n->run[i];

		if (run_is_loop(r) && r->matched && r->parent != e->digest && n->statements - r->last_at <= LIST_NEAR &&
		    !apart(r->last_ns, e->start_ns, window))
			return r;
	}
	return NULL;
}

/* A run begins with this statement; what was the last list before it? */
static void run_start(struct stats_run *r, struct stats_nplus1 *n, const struct stats_event *e, uint64_t window)
{
	const struct stats_run *beside;

	*r = (struct stats_run){
		.digest = e->digest, .first_ns = e->start_ns, .first_at = n->statements, .entry = NO_ENTRY};
	if (n->last_digest && n->last_digest != e->digest && n->statements - n->last_at <= LIST_NEAR &&
	    !apart(n->last_end_ns, e->start_ns, window)) {
		run_follows(n, r, n->last_digest, n->last_rows);
		return;
	}
	beside = loop_near(n, e, window);
	if (!beside)
		return;
	run_follows(n, r, beside->parent, beside->parent_rows);
	r->later = true;
}

/* May this statement continue the run? */
static bool run_goes_on(const struct stats_run *r, const struct stats_nplus1 *n, const struct stats_event *e,
			uint64_t window)
{
	uint64_t since = n->statements - r->first_at;
	bool follows_none = !r->parent || r->overrun, another = n->last_digest != e->digest && n->last_at > r->last_at;

	if (follows_none && another) /* perhaps it follows the list that has come since */
		return false;
	if (r->digest != e->digest || apart(r->last_ns, e->start_ns, window) ||
	    since > ((uint64_t)r->repeats + 1) * SCATTERED)
		return false;
	return r->reported || !apart(r->first_ns, e->start_ns, window);
}

static struct stats_run *run_of(struct stats_nplus1 *n, uint64_t digest)
{
	struct stats_run *oldest = &n->run[0];

	for (unsigned i = 0; i < STATS_NPLUS1_SLOTS; i++) {
		if (n->run[i].digest == digest)
			return &n->run[i];
		if (n->run[i].last_ns < oldest->last_ns)
			oldest = &n->run[i];
	}
	return oldest;
}

static bool loop_is(const struct stats_loop *l, const struct stats_run *r, struct span route)
{
	return l->parent == r->parent && l->child == r->digest && span_eq(span_str(l->route), route);
}

static void loop_drop(struct stats *s, struct stats_limbo *l)
{
	mem_free(container_of(l, struct stats_loop, limbo));
}

/* A place for a new loop: a free one, else that of the loop that cost least. */
static uint32_t loop_place(struct stats_table *t)
{
	uint64_t least = UINT64_MAX;
	uint32_t at = 0;

	for (uint32_t i = 0; i < STATS_NPLUS1_MAX; i++) {
		const struct stats_loop *l = atomic_load_explicit(&t->loop[i], memory_order_relaxed);

		if (!l)
			return i;
		if (stats_get(&l->spent_ns) < least) {
			least = stats_get(&l->spent_ns);
			at = i;
		}
	}
	return at;
}

static uint32_t loop_make(struct stats_table *t, const struct stats_run *r, struct span route, struct span framework)
{
	uint32_t at = loop_place(t);
	struct stats_loop *old = atomic_load_explicit(&t->loop[at], memory_order_relaxed), *l;

	l = t->nlimbo < STATS_LIMBO_MAX ? mem_zalloc(sizeof(*l)) : NULL;
	if (!l)
		return NO_ENTRY;
	l->parent = r->parent;
	l->child = r->digest;
	if (route.len)
		memcpy(l->route, route.p, route.len);
	if (framework.len)
		memcpy(l->framework, framework.p,
		       framework.len < STATS_FRAMEWORK_MAX ? framework.len : STATS_FRAMEWORK_MAX);
	stats_set(&l->first_ns, r->first_ns);
	atomic_store(&t->loop[at], l);
	if (old) {
		old->limbo.drop = loop_drop;
		stats_limbo_put(t, &old->limbo);
	}
	return at;
}

static uint32_t loop_entry(struct stats_table *t, const struct stats_run *r, struct span route, struct span framework)
{
	if (route.len > STATS_TAG_MAX)
		route.len = STATS_TAG_MAX;
	for (uint32_t i = 0; i < STATS_NPLUS1_MAX; i++) {
		const struct stats_loop *l = atomic_load_explicit(&t->loop[i], memory_order_relaxed);

		if (l && loop_is(l, r, route))
			return i;
	}
	return loop_make(t, r, route, framework);
}

/* The entry a reported run belongs to; NULL when another loop has taken its place. */
static struct stats_loop *loop_of(struct stats_table *t, struct stats_run *r, const struct stats_event *e)
{
	struct stats_loop *l = NULL;

	if (r->entry != NO_ENTRY)
		l = atomic_load_explicit(&t->loop[r->entry], memory_order_relaxed);
	if (l && l->child == r->digest && l->parent == r->parent)
		return l;
	if (!e->trace) /* else it was reported by another sink, and its numbers add up */
		return NULL;
	r->entry = loop_entry(t, r, e->tag_route, e->tag_framework);
	return r->entry == NO_ENTRY ? NULL : atomic_load_explicit(&t->loop[r->entry], memory_order_relaxed);
}

static void loop_varied(struct stats_loop *l, uint64_t varied)
{
	stats_set(&l->varied, stats_get(&l->varied) | varied);
}

void stats_nplus1_add(struct stats_table *t, const struct stats_loop *l)
{
	struct stats_run r = {.parent = l->parent, .digest = l->child, .first_ns = stats_get(&l->first_ns)};
	uint32_t at = loop_entry(t, &r, span_str(l->route), span_str(l->framework));
	struct stats_loop *to = at == NO_ENTRY ? NULL : atomic_load_explicit(&t->loop[at], memory_order_relaxed);

	if (!to)
		return;
	stats_add(&to->occurrences, stats_get(&l->occurrences));
	stats_add(&to->queries, stats_get(&l->queries));
	stats_add(&to->spent_ns, stats_get(&l->spent_ns));
	stats_add(&to->parent_rows, stats_get(&l->parent_rows));
	stats_add(&to->overruns, stats_get(&l->overruns));
	stats_add(&to->compared, stats_get(&l->compared));
	stats_add(&to->matched, stats_get(&l->matched));
	loop_varied(to, stats_get(&l->varied));
	if (stats_get(&l->max_repeats) > stats_get(&to->max_repeats))
		stats_set(&to->max_repeats, stats_get(&l->max_repeats));
	stats_set(&to->last_ns, stats_get(&l->last_ns));
}

static void run_report(struct stats_sink *k, struct stats_run *r, const struct stats_event *e)
{
	struct stats_loop *l;

	r->reported = true;
	r->entry = loop_entry(k->table, r, e->tag_route, e->tag_framework);
	stats_count(k, STATS_C_NPLUS1, 1);
	stats_count(k, STATS_C_NPLUS1_QUERIES, r->repeats);
	l = loop_of(k->table, r, e);
	if (!l)
		return;
	stats_add(&l->occurrences, 1);
	stats_add(&l->queries, r->repeats);
	stats_add(&l->spent_ns, r->spent_ns);
	r->counted_rows = r->parent_rows;
	stats_add(&l->parent_rows, r->counted_rows);
	stats_add(&l->compared, r->compared);
	stats_add(&l->matched, r->matched);
	loop_varied(l, r->varied);
	if (r->repeats > stats_get(&l->max_repeats))
		stats_set(&l->max_repeats, r->repeats);
	stats_set(&l->last_ns, r->last_ns);
}

/* More of a run that is reported already. */
static void run_extend(struct stats_sink *k, struct stats_run *r, const struct stats_event *e)
{
	struct stats_loop *l = r->overrun ? NULL : loop_of(k->table, r, e);

	if (!l)
		return;
	stats_count(k, STATS_C_NPLUS1_QUERIES, 1);
	stats_add(&l->queries, 1);
	stats_add(&l->spent_ns, e->total_ns);
	loop_varied(l, r->varied);
	if (r->repeats > stats_get(&l->max_repeats))
		stats_set(&l->max_repeats, r->repeats);
	stats_set(&l->last_ns, r->last_ns);
}

/* It follows no list after all: what was counted for it is taken back. */
static void run_overrun(struct stats_sink *k, struct stats_run *r, const struct stats_event *e)
{
	struct stats_loop *l = loop_of(k->table, r, e);

	r->overrun = true;
	if (!l)
		return;
	stats_add(&l->overruns, 1);
	stats_add(&l->occurrences, (uint64_t)-1);
	stats_add(&l->queries, (uint64_t)0 - (r->repeats - 1));
	stats_add(&l->spent_ns, (uint64_t)0 - r->spent_ns);
	stats_add(&l->parent_rows, (uint64_t)0 - r->counted_rows);
}

/* Enough different literals among the repeats? The bitmap tells at most 64 apart, fewer by collisions. */
static bool run_varied(const struct stats_run *r, uint64_t repeats)
{
	uint64_t most = repeats < 32 ? repeats : 32;

	return r->distinct > most / 2;
}

/* The values that vary. False: they are no row's key: a bound, a page, or too many. */
static bool run_varies(const struct stats_run *r, const struct stats_values *now, struct stats_values *out)
{
	*out = (struct stats_values){0};
	for (unsigned i = 0; i < now->n && i < r->values.n; i++) {
		if (now->hash[i] == r->values.hash[i])
			continue;
		if (!(now->keys >> i & 1))
			return false;
		out->hash[out->n++] = now->hash[i];
	}
	return out->n <= KEY_MOST;
}

/* The question marks whose values differ from those of the statement before. */
static uint64_t now_varied(const struct stats_values *was, const struct stats_values *now)
{
	uint64_t varied = was->all && now->all && was->n == now->n && was->fixed == now->fixed ? 0 : STATS_VARIED_UNTOLD;

	for (unsigned i = 0; i < was->n && i < now->n; i++) {
		if (was->at[i] != now->at[i] || now->at[i] >= LITERALS)
			varied |= STATS_VARIED_UNTOLD;
		else if (was->hash[i] != now->hash[i])
			varied |= UINT64_C(1) << now->at[i];
	}
	return varied;
}

/* A loop goes through one list after the other; values that stand each in a list of its own are there by chance. */
static bool run_stays(struct stats_run *r, const struct stats_list *l)
{
	bool stays = r->which == l->which || r->which == 0 || r->in_turn > 1;

	r->in_turn = r->which == l->which ? r->in_turn + 1 : 1;
	r->which = l->which;
	return stays;
}

/*
 * Do the values that vary come from a list? What is looked at begins with the second statement of a run, so that reads which are not
 * repeated cost nothing.
 */
static void run_compare(struct stats_nplus1 *n, struct stats_run *r, const struct stats_event *e)
{
	struct stats_values now, sought;
	struct stats_list list = {0};
	bool key;

	if (!e->values || !e->listed || !r->parent || r->repeats < COMPARE_FROM || r->compared >= COMPARE_MOST)
		return;
	e->values(e, &now);
	key = run_varies(r, &now, &sought);
	if (r->values.n)
		r->varied |= now_varied(&r->values, &now);
	r->values = now;
	if (key && sought.n)
		list = e->listed(e, &(struct stats_list){.digest = r->parent, .which = r->which}, &sought);
	if (key && (sought.n == 0 || list.digest == STATS_LIST_UNKNOWN))
		return;
	r->compared++;
	r->back += list.back;
	r->again += list.again;
	if (list.digest && run_stays(r, &list))
		r->matched++;
	if (list.digest && list.digest != r->parent && !r->reported)
		run_follows(n, r, list.digest, list.rows);
}

/* What a loop within a loop sends does not scatter the outer one. */
static void run_is_within(struct stats_nplus1 *n, const struct stats_run *r)
{
	struct stats_run *outer = r->parent ? run_find(n, r->parent) : NULL;

	for (unsigned i = 0; i < NESTED_MOST && outer && outer->parent; i++) {
		outer->first_at++;
		outer = run_find(n, outer->parent);
	}
}

/* A job, reading each row to change it: what it reads is written, or the list is a long one; a page has fewer rows, whatever it writes
 * beside. All rows read at once would be old ones by the time the last is changed. */
static bool run_is_job(const struct stats_run *r)
{
	return (r->repeats >= JOB_ROWS && r->written * 2 > r->repeats) || r->rewritten * 2 > r->repeats;
}

/* A loop goes through its list in order, or backwards; one that is sorted otherwise first asks for no row again. */
static bool run_wanders(const struct stats_run *r)
{
	unsigned ahead = r->matched > r->back ? r->matched - r->back : 0;

	return r->again && r->back * 3 > r->matched && ahead * 3 > r->matched;
}

/* It would be a loop, but for that: how often that is so is weighed against those that are. */
static void run_refuse(struct stats_sink *k, struct stats_run *r, const struct stats_event *e)
{
	struct stats_loop *l;

	r->reported = r->overrun = true;
	r->entry = loop_entry(k->table, r, e->tag_route, e->tag_framework);
	l = loop_of(k->table, r, e);
	if (l)
		stats_add(&l->overruns, 1);
}

static void run_step(struct stats_sink *k, struct stats_nplus1 *n, struct stats_run *r, const struct stats_event *e)
{
	uint64_t repeats = stats_get(&k->stats->nplus1_repeats);
	uint64_t bit = UINT64_C(1) << (e->literals & 63); /* a hash */

	r->distinct += !(r->seen & bit);
	r->seen |= bit;
	r->repeats++;
	r->changed = r->rechanged = false;
	if (r->repeats == COMPARE_FROM)
		r->table = table_of(e);
	r->last_ns = e->start_ns + e->total_ns;
	r->last_at = n->statements;
	run_is_within(n, r);
	run_compare(n, r, e);
	if (r->reported && !r->overrun && (r->repeats > RUN_PER_ROW * r->parent_rows || run_is_job(r) || run_wanders(r)))
		run_overrun(k, r, e);
	r->spent_ns += e->total_ns;
	r->rows += e->rows_sent;
	if (r->reported) {
		run_extend(k, r, e);
	} else if (repeats && r->repeats >= repeats && run_has_list(r) && run_varied(r, repeats) && !run_refuted(r) && !run_is_job(r) &&
		   r->repeats <= RUN_PER_ROW * r->parent_rows) {
		if (run_wanders(r))
			run_refuse(k, r, e);
		else
			run_report(k, r, e);
	}
}

/* A list that is read for each row of another. Where its values have been looked for, one of them was found: a list that is read anew for each
 * page, soon after another, is none. */
static bool run_is_nested(const struct stats_run *r)
{
	return run_is_loop(r) && (r->compared == 0 || r->matched > 0);
}

/*
 * The parent of some runs again. Where it is repeated itself, and they come no oftener than it, both are children
 * of one loop: the list is the parent's parent; if they come oftener, they go on, over the rows of the next of its lists.
 * Otherwise the runs over its rows are over.
 */
static void parent_again(struct stats_nplus1 *n, const struct stats_event *e, uint64_t window)
{
	uint64_t digest = e->digest;

	if (likely(!(n->parents & parent_bit(digest))))
		return;
	n->parents = 0;
	for (unsigned i = 0; i < STATS_NPLUS1_SLOTS; i++) {
		struct stats_run *r = &n->run[i];
		const struct stats_run *parent;

		if (likely(r->parent != digest)) {
			n->parents |= r->parent ? parent_bit(r->parent) : 0;
			continue;
		}
		parent = run_find(n, digest);
		if (parent && run_has_list(parent) && parent->parent != r->digest && !r->reported &&
		    r->repeats <= parent->repeats)
			run_follows(n, r, parent->parent, parent->parent_rows);
		else if (run_is_nested(parent) && parent->parent != r->digest && run_goes_on(parent, n, e, window))
			n->parents |= parent_bit(digest);
		else
			*r = (struct stats_run){0};
	}
}

/* What drivers ask of the schema is no list of the application's. */
static bool is_list(const struct stats_event *e)
{
	static const char schema[] = "information_schema.";
	size_t len = sizeof(schema) - 1;

	return e->verb && strcmp(e->verb, "select") == 0 &&
	       !(e->table.len > len && strncasecmp(e->table.p, schema, len) == 0);
}

/* Is this a list that a loop reads beside r, or for each row of r's replies? Then r does not go through it. */
static bool is_beside(struct stats_nplus1 *n, const struct stats_run *list, const struct stats_run *r)
{
	if (!run_is_loop(list) || !list->matched)
		return false;
	if (list->parent == r->parent)
		return true;
	for (unsigned i = 0; i < NESTED_MOST && list; i++) {
		if (list->parent == r->digest)
			return true;
		list = run_find(n, list->parent);
	}
	return false;
}

/* A list, and runs of other reads may go on for its rows too. */
static void note_list(struct stats_nplus1 *n, const struct stats_event *e)
{
	const struct stats_run *list = run_find(n, e->digest);

	for (unsigned i = 0; i < STATS_NPLUS1_SLOTS; i++) {
		if (n->run[i].digest && n->run[i].digest != e->digest && !is_beside(n, list, &n->run[i]))
			n->run[i].parent_rows += e->rows_sent;
	}
	n->last_digest = e->digest;
	n->last_rows = e->rows_sent;
	n->last_end_ns = e->start_ns + e->total_ns;
	n->last_at = n->statements;
}

/* Other reads may come between what is read of a row and its change. */
static void note_write(struct stats_nplus1 *n, const struct stats_event *e)
{
	uint32_t table = 0;

	for (unsigned i = 0; i < STATS_NPLUS1_SLOTS; i++) {
		struct stats_run *r = &n->run[i];

		if (!r->digest || r->rechanged || n->statements - r->last_at >= SCATTERED)
			continue;
		r->written += !r->changed;
		r->changed = true;
		if (r->table && !table)
			table = table_of(e);
		r->rechanged = r->table && r->table == table;
		r->rewritten += r->rechanged;
	}
}

static void nplus1_begin_anew(struct stats_nplus1 *n)
{
	struct stats_nplus1 anew = {.next_inserted = n->next_inserted, .waiting = n->waiting, .spender = n->spender};

	memcpy(anew.inserted, n->inserted, sizeof(anew.inserted));
	*n = anew;
}

static void note(struct stats_sink *k, struct stats_nplus1 *n, const struct stats_event *e)
{
	uint64_t window = stats_get(&k->stats->nplus1_window_ns);
	struct stats_run *r;

	n->statements++;
	if (!e->is_read || e->table.len == 0) {
		if (starts_anew(e))
			nplus1_begin_anew(n);
		else if (!e->is_read)
			note_write(n, e);
		return;
	}
	if (e->error)
		return;
	parent_again(n, e, window);
	r = run_of(n, e->digest);
	if (!run_goes_on(r, n, e, window))
		run_start(r, n, e, window);
	run_step(k, n, r, e);
	if (e->rows_sent >= LIST_ROWS && is_list(e))
		note_list(n, e);
}

static void note_trace(struct stats_sink *k, const struct stats_event *e)
{
	struct stats *s = k->stats;
	unsigned at = e->trace & (STATS_TRACES - 1);
	struct stats_trace *t = &s->trace[at];

	pthread_mutex_lock(&s->trace_lock[at % STATS_TRACE_LOCKS]);
	if (t->id != e->trace)
		*t = (struct stats_trace){.id = e->trace};
	note(k, &t->n, e);
	pthread_mutex_unlock(&s->trace_lock[at % STATS_TRACE_LOCKS]);
}

void stats_nplus1_note(struct stats_sink *k, struct stats_nplus1 *n, const struct stats_event *e)
{
	if (e->trace)
		note_trace(k, e);
	else
		note(k, n, e);
}
