/*
 * find_locks.c - lock_wait: statements that wait for locks others hold, or that the server ends over one.
 *
 * Two kinds of evidence: the errors of the statement itself (the time until them was lost), and waits that were seen on the
 * server, with who held the lock and where. A wait may end in an error, so their times are not added up. One short wait or one
 * deadlock is a database's daily life, and no finding.
 */
#include "findings.h"

#include "locks.h"

#define COST_LEAST_NS NS_PER_SEC
#define WAITS_LEAST 2
#define LONG_WAIT_NS (5 * NS_PER_SEC)
#define DEADLOCKS_LEAST 3

static bool is_finding(const struct locks_of *l)
{
	if (l->deadlocks >= DEADLOCKS_LEAST)
		return true;
	if (l->failed_ns < COST_LEAST_NS && l->waited_ns < COST_LEAST_NS)
		return false;
	return l->timeouts || l->waits >= WAITS_LEAST || l->longest_ns >= LONG_WAIT_NS;
}

static const struct view_row *row_of(const struct view *v, uint64_t digest)
{
	for (size_t i = 0; digest && i < v->count; i++)
		if (v->row[i].digest == digest)
			return &v->row[i];
	return NULL;
}

/* The digest's other tables and users are in its row; these are the wait's. */
static void put_holder(const struct view *v, const struct stats_lock *h, struct jsonw *w)
{
	const struct view_row *row = row_of(v, h->holder);

	jsonw_open(w, NULL, '{');
	if (row) {
		jsonw_hex64(w, "digest", h->holder);
		jsonw_text(w, "text", row->main->text);
	} else { /* not through this suimon, or nothing was written there */
		jsonw_null(w, "digest");
		jsonw_null(w, "text");
	}
	jsonw_text(w, "user", h->user);
	jsonw_text(w, "table", h->table);
	jsonw_text(w, "index", h->index);
	jsonw_uint(w, "waits", h->waits);
	jsonw_uint(w, "while_idle", h->idle);
	jsonw_seconds(w, "waited", h->ns);
	jsonw_close(w, '}');
}

static void put_evidence(const struct view *v, const struct finding *f, struct jsonw *w)
{
	char table[2 * STATS_NAME_MAX + 2];
	struct locks_of l;

	if (locks_of(v->stats, f->row->digest, &l) != RC_OK)
		return;
	jsonw_uint(w, "calls", f->row->n[STATS_N_CALLS]);
	jsonw_uint(w, "timeouts", l.timeouts);
	jsonw_uint(w, "deadlocks", l.deadlocks);
	jsonw_seconds(w, "failed_time", l.failed_ns);
	jsonw_uint(w, "waits", l.waits);
	jsonw_seconds(w, "waited", l.waited_ns);
	jsonw_seconds(w, "longest_wait", l.longest_ns);
	jsonw_text(w, "table", l.nholders ? l.holder[0].table : finding_table(f->row->main, table, sizeof(table)));
	jsonw_open(w, "holders", '[');
	for (unsigned i = 0; i < l.nholders; i++)
		put_holder(v, &l.holder[i], w);
	jsonw_close(w, ']');
}

static bool scans(const struct view_row *r)
{
	return r && (r->n[STATS_N_NO_INDEX] + r->n[STATS_N_NO_GOOD_INDEX]) * 2 >= r->n[STATS_N_CALLS];
}

/* By what the evidence says, the surest first. */
static const char *advice_for(const struct view *v, const struct finding *f, const struct locks_of *l)
{
	const struct stats_lock *h = l->nholders ? &l->holder[0] : NULL;

	if (h && scans(row_of(v, h->holder)))
		return "The statement that holds the lock reads its rows without an index, and so locks every row it passes: give "
		       "it an index on the columns of its WHERE, and it locks only what it changes.";
	if (h && h->idle * 2 > h->waits)
		return "The transaction that holds the lock does nothing meanwhile: it waits for its application. Commit before "
		       "work that takes time (calls of other services, computations), or make the locking statement the last one "
		       "before COMMIT.";
	if (h && h->holder == f->row->digest)
		return "The same statement holds the lock it waits for: many transactions change the same rows. Make it the last "
		       "statement before COMMIT, or spread the rows (a counter as several rows that are added up).";
	if (h)
		return "Another transaction holds the lock for as long as it lasts: commit it sooner, or in smaller pieces, and move "
		       "its locking statement to its end.";
	if (scans(f->row))
		return "This statement reads its rows without an index, and so needs the lock of every row it passes: give it an "
		       "index on the columns of its WHERE.";
	if (l->deadlocks > l->timeouts)
		return "Transactions that take the same rows in different orders end each other. Let all take their rows and tables "
		       "in one order, keep them short, and repeat the one that fails with error 1213.";
	return "It waited for a lock until the server's time limit. Look for transactions that stay open "
	       "(information_schema.INNODB_TRX), and commit them sooner.";
}

static void put_fix(const struct view *v, const struct finding *f, struct jsonw *w)
{
	struct locks_of l;

	if (locks_of(v->stats, f->row->digest, &l) == RC_OK)
		jsonw_text(w, "fix_text", advice_for(v, f, &l));
}

enum rc find_locks(const struct view *v, struct findings *out)
{
	for (size_t i = 0; i < v->count; i++) {
		struct locks_of l;

		if (locks_of(v->stats, v->row[i].digest, &l) != RC_OK || !is_finding(&l))
			continue;
		if (findings_add(out, &(struct finding){.kind = "lock_wait",
							.row = &v->row[i],
							.put = put_evidence,
							.put_fix = put_fix,
							.title = "Waits for locks that others hold on",
							.first_ns = l.first_ns,
							.last_ns = l.last_ns,
							.times = l.waits + l.timeouts + l.deadlocks,
							.cost_ns = l.failed_ns > l.waited_ns ? l.failed_ns : l.waited_ns}) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}
