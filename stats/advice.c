/*
 * advice.c - the index adviser's work list and what it answers. The adviser itself is elsewhere: it has a server to
 * ask.
 */
#include "advice.h"

#include <jansson.h>

#include "mem.h"
#include "view.h"

#define LONG_MEAN_NS (10 * NS_PER_MS)
#define SEEN_NS NS_PER_SEC          /* it is asked for again so long after the last time, once its table was changed, */
#define UNSEEN_NS (10 * NS_PER_SEC) /* and once it may have been */
#define LEAST_UNFLAGGED 3           /* calls */

/* Lock held. */
static struct stats_advice *advice_find(struct stats *s, uint64_t digest)
{
	for (uint32_t i = 0; i < s->nadvice; i++) {
		if (s->advice[i].digest == digest)
			return &s->advice[i];
	}
	return NULL;
}

void advice_reset(struct stats_advice *a)
{
	mem_free(a->table);
	mem_free(a->columns);
	mem_free(a->reason);
	mem_free(a->fix_sql);
	mem_free(a->fix_text);
	mem_free(a->fix_statement);
	mem_free(a->path);
	mem_free(a->plan);
	*a = (struct stats_advice){0};
}

void advice_forget_values(struct stats_advice *a)
{
	if (a->plan)
		a->plan[0] = '\0';
	if (!a->path || a->path[0] == '\0')
		return;
	a->path[0] = ADVICE_WITHHELD[0];
	a->path[1] = a->fix_sql[0] = a->fix_statement[0] = '\0';
}

bool advice_adds_index(const struct stats_advice *a)
{
	return a->given_ns && strncmp(a->fix_sql, "ALTER TABLE ", 12) == 0 && strstr(a->fix_sql, " ADD INDEX (");
}

/* Lock held. The one of this digest, else a new one, which may take the place of that asked for longest ago. */
static struct stats_advice *advice_get(struct stats *s, uint64_t digest)
{
	struct stats_advice *a = advice_find(s, digest);

	if (a)
		return a;
	if (s->nadvice < STATS_ADVICE_MAX) {
		a = &s->advice[s->nadvice++];
	} else {
		a = &s->advice[0];
		for (uint32_t i = 1; i < s->nadvice; i++) {
			if (s->advice[i].asked_ns < a->asked_ns)
				a = &s->advice[i];
		}
		advice_reset(a);
	}
	a->digest = digest;
	return a;
}

/* Worth an EXPLAIN? Statements that look for rows: those the server flagged, slow ones, and those that take their time without being called slow. */
static bool worth_it(const struct view_row *r)
{
	static const char *const verbs[] = {"select", "update", "delete"};
	bool looks = false;

	for (unsigned i = 0; i < countof(verbs); i++)
		looks |= strcmp(r->main->verb, verbs[i]) == 0;
	if (!looks || r->main->table[0] == '\0')
		return false;
	return r->n[STATS_N_NO_INDEX] || r->n[STATS_N_NO_GOOD_INDEX] || r->n[STATS_N_SLOW] ||
	       r->n[STATS_N_TOTAL_NS] > r->n[STATS_N_CALLS] * LONG_MEAN_NS;
}

bool advice_awaited(struct stats *s, const struct view_row *r)
{
	const struct stats_advice *a;
	bool asked;

	if (!atomic_load(&s->explain) || !atomic_load(&s->samples) || !worth_it(r))
		return false;
	pthread_mutex_lock(&s->lock);
	a = advice_find(s, r->digest);
	asked = a && a->asked_ns && s->explaining != r->digest;
	pthread_mutex_unlock(&s->lock);
	return !asked;
}

/* ---- when it is asked for again ---- */

static bool has_found(const struct stats_advice *a)
{
	return a->given_ns && (a->fix_sql[0] != '\0' || a->fix_text[0] != '\0');
}

/* Lock held. */
static void ask_soon(struct stats_advice *a, uint64_t after)
{
	if (!has_found(a))
		return;
	if (a->due_ns > a->asked_ns + after)
		a->due_ns = a->asked_ns + after;
	if (a->wait_ns > after)
		a->wait_ns = after;
}

/* Lock held. last: when it was told so before. What changes all the time is asked about no more often than the doubling has come to. */
static void take_change(struct stats_advice *a, uint64_t *last, uint64_t after, uint64_t now)
{
	bool anew = *last == 0 || now - *last > a->wait_ns;

	*last = now;
	if (anew)
		ask_soon(a, after);
}

void stats_table_changed(struct stats *s, struct span schema, struct span name)
{
	char table[2 * STATS_NAME_MAX + 2];
	uint64_t now;

	(void)snprintf(table, sizeof(table), SPAN_FMT "." SPAN_FMT, SPAN_ARG(schema), SPAN_ARG(name));
	pthread_mutex_lock(&s->lock);
	now = clock_mono_ns();
	for (uint32_t i = 0; i < s->nadvice; i++) {
		struct stats_advice *a = &s->advice[i];

		if (!has_found(a))
			a->outdated = a->asked_ns > a->given_ns;
		else if (name.len == 0)
			take_change(a, &a->unseen_ns, UNSEEN_NS, now);
		else if (strcasecmp(a->table, table) == 0)
			take_change(a, &a->seen_ns, SEEN_NS, now);
	}
	pthread_mutex_unlock(&s->lock);
}

void stats_withdraw_advice(struct stats *s, uint64_t digest)
{
	struct stats_advice *a;

	pthread_mutex_lock(&s->lock);
	a = advice_find(s, digest);
	if (a && has_found(a)) {
		a->fix_sql[0] = a->fix_text[0] = a->fix_statement[0] = a->plan[0] = a->path[0] = a->reason[0] = '\0';
		a->given_ns = clock_mono_ns();
	}
	pthread_mutex_unlock(&s->lock);
}

/* Most of its calls were, and of those since none is: somebody has mended it where nobody saw it. */
static bool flagged_no_more(const struct stats_advice *a, const struct view_row *r)
{
	return a->flagged && !a->doubted && a->flagged * 2 >= a->servers && a->flagged == view_flagged(r) &&
	       view_at_servers(r) >= a->servers + LEAST_UNFLAGGED;
}

/* Lock held. changed: only what is asked for again before its time; else all but this. */
static bool is_due(struct stats_advice *a, const struct view_row *r, bool changed, uint64_t now)
{
	if (!a || a->asked_ns == 0)
		return !changed;
	if (flagged_no_more(a, r)) {
		a->doubted = true;
		ask_soon(a, UNSEEN_NS);
	}
	return now >= a->due_ns && changed == (a->wait_ns < STATS_EXPLAIN_AGAIN_NS);
}

/* Lock held. */
static void take_on(struct stats_advice *a, const struct view_row *r, uint64_t now)
{
	bool again = has_found(a) && a->wait_ns < STATS_EXPLAIN_AGAIN_NS / 2;

	a->wait_ns = again ? 2 * a->wait_ns : STATS_EXPLAIN_AGAIN_NS;
	a->due_ns = now + a->wait_ns;
	a->asked_ns = now;
	a->outdated = false;
	if (a->flagged != view_flagged(r))
		a->doubted = false;
	a->flagged = view_flagged(r);
	a->servers = view_at_servers(r);
}

/* Marks the digest as asked for, unless it was lately or nothing may be asked for just now. */
static bool claim(struct stats *s, const struct view_row *r, bool changed, uint64_t now)
{
	bool free_to_ask;

	pthread_mutex_lock(&s->lock);
	free_to_ask = (s->explained_ns == 0 || now - s->explained_ns >= NS_PER_SEC) && is_due(advice_find(s, r->digest), r, changed, now);
	if (free_to_ask) {
		take_on(advice_get(s, r->digest), r, now);
		s->explained_ns = now;
		s->explained_changed = changed;
		s->explaining = r->digest;
	}
	pthread_mutex_unlock(&s->lock);
	return free_to_ask;
}

/* The sample as a statement; cut ones can't be explained. */
static enum rc hand_out(const struct view *v, const struct view_row *r, struct stats_explain *out)
{
	struct stats_sample *m = view_sample(v, r);
	bool whole = m && !m->cut;

	*out = (struct stats_explain){.digest = r->digest,
				      .calls = r->main->is_read ? r->n[STATS_N_CALLS] : 0,
				      .rows_sent = r->n[STATS_N_ROWS_SENT],
				      .total_ns = r->n[STATS_N_TOTAL_NS]};
	if (whole) {
		out->sql = mem_dup(m->text, m->len);
		out->schema = mem_strdup(r->main->schema);
		out->user = mem_strdup(r->main->user);
	}
	mem_free(m);
	if (whole && out->sql && out->schema && out->user)
		return RC_OK;
	mem_free(out->sql);
	mem_free(out->schema);
	mem_free(out->user);
	*out = (struct stats_explain){0};
	return RC_DECLINED;
}

/* Asked for within the last second: not worth looking through everything. */
static bool too_soon(struct stats *s, uint64_t now)
{
	bool soon;

	pthread_mutex_lock(&s->lock);
	soon = s->explained_ns != 0 && now - s->explained_ns < NS_PER_SEC;
	pthread_mutex_unlock(&s->lock);
	return soon;
}

static enum rc look_through(struct stats *s, const struct view *v, bool changed, uint64_t now, struct stats_explain *out)
{
	enum rc rc = RC_DECLINED;

	for (size_t i = 0; i < v->count && rc == RC_DECLINED; i++) {
		if (worth_it(&v->row[i]) && claim(s, &v->row[i], changed, now))
			rc = hand_out(v, &v->row[i], out);
		if (too_soon(s, now))
			break;
	}
	return rc;
}

enum rc stats_next_explain(struct stats *s, struct stats_explain *out)
{
	uint64_t now = clock_mono_ns();
	enum rc rc;
	struct view v;
	bool first;

	*out = (struct stats_explain){0};
	pthread_mutex_lock(&s->lock);
	s->explaining = 0;
	pthread_mutex_unlock(&s->lock);
	if (!atomic_load(&s->explain) || !atomic_load(&s->samples) || too_soon(s, now))
		return RC_DECLINED;
	if (view_open(s, &v) != RC_OK)
		return RC_ERROR;
	pthread_mutex_lock(&s->lock);
	first = !s->explained_changed; /* by turns: neither keeps the other waiting */
	pthread_mutex_unlock(&s->lock);
	rc = view_sort(&v, STATS_BY_TOTAL_TIME);
	if (rc == RC_OK)
		rc = look_through(s, &v, first, now, out);
	if (rc == RC_DECLINED)
		rc = look_through(s, &v, !first, now, out);
	view_close(&v);
	return rc;
}

/* A plan goes into JSON as it is: none at all when it is too long or no JSON. */
static struct span plan_of(struct span text)
{
	json_t *parsed = text.len && text.len <= STATS_PLAN_MAX ? json_loadb(text.p, text.len, 0, NULL) : NULL;

	json_decref(parsed);
	return parsed ? text : span_str("");
}

/* Nobody has asked: it is of an earlier life, and its tables may have changed since. */
static void keep_times(struct stats_advice *made, const struct stats_advice *before)
{
	made->asked_ns = before->asked_ns ? before->asked_ns : made->given_ns;
	made->due_ns = before->asked_ns ? before->due_ns : made->given_ns + (has_found(made) ? UNSEEN_NS : STATS_EXPLAIN_AGAIN_NS);
	made->wait_ns = before->asked_ns ? before->wait_ns : STATS_EXPLAIN_AGAIN_NS;
	made->flagged = before->flagged;
	made->servers = before->servers;
	made->doubted = before->doubted;
	made->seen_ns = before->seen_ns;
	made->unseen_ns = before->unseen_ns;
	if (before->outdated && has_found(made)) {
		made->wait_ns = SEEN_NS;
		made->due_ns = made->asked_ns + SEEN_NS;
	}
}

static char *copy(struct span v, size_t most)
{
	return mem_dup(v.len ? v.p : "", v.len < most ? v.len : most);
}

void stats_put_advice(struct stats *s, const struct stats_index_advice *a)
{
	struct stats_advice made = {.digest = a->digest,
				    .rows_examined = a->rows_examined,
				    .rows_left = a->rows_left,
				    .covered = a->covered,
				    .given_ns = clock_mono_ns()},
			    *at;

	made.table = copy(a->table, STATS_NAME_MAX);
	made.columns = copy(a->columns, STATS_TEXT_MAX);
	made.reason = copy(a->reason, STATS_TEXT_MAX);
	made.fix_sql = copy(a->fix_sql, STATS_TEXT_MAX);
	made.fix_text = copy(a->fix_text, STATS_TEXT_MAX);
	made.fix_statement = copy(a->fix_statement, STATS_TEXT_MAX);
	made.path = copy(a->path, STATS_NAME_MAX);
	made.plan = copy(plan_of(a->plan_json), STATS_PLAN_MAX);
	if (made.table && made.columns && made.reason && made.fix_sql && made.fix_text && made.fix_statement && made.path && made.plan) {
		pthread_mutex_lock(&s->lock);
		at = advice_get(s, a->digest);
		if (!atomic_load(&s->samples)) /* switched off while it was being explained */
			advice_forget_values(&made);
		keep_times(&made, at);
		s->explaining = s->explaining == a->digest ? 0 : s->explaining;
		advice_reset(at);
		*at = made;
		pthread_mutex_unlock(&s->lock);
	} else {
		advice_reset(&made);
	}
}

enum rc advice_copy(struct stats *s, uint64_t digest, struct stats_advice *out)
{
	const struct stats_advice *a;

	*out = (struct stats_advice){0};
	pthread_mutex_lock(&s->lock);
	a = advice_find(s, digest);
	if (a && a->given_ns) {
		*out = *a;
		out->table = mem_strdup(a->table);
		out->columns = mem_strdup(a->columns);
		out->reason = mem_strdup(a->reason);
		out->fix_sql = mem_strdup(a->fix_sql);
		out->fix_text = mem_strdup(a->fix_text);
		out->fix_statement = mem_strdup(a->fix_statement);
		out->path = mem_strdup(a->path);
		out->plan = mem_strdup(a->plan);
	}
	pthread_mutex_unlock(&s->lock);
	if (out->given_ns == 0)
		return RC_DECLINED;
	if (out->table && out->columns && out->reason && out->fix_sql && out->fix_text && out->fix_statement && out->path && out->plan)
		return RC_OK;
	advice_reset(out);
	return RC_ERROR;
}
