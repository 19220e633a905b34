/*
 * drainshare.c - several connections: a stretch of the log is dealt out by key, applied by all at once, and done when all
 * are (Q2, Q3).
 *
 *   deal → run → gather → (those that failed for good: again, alone) → the applied position moves to its end
 *
 * Each worker commits its own row of suimon.applied with its records; shard 0's row follows a stretch behind, in the
 * transaction of one of them. A stretch that is not done in full is dealt anew; what was committed is known by its rows.
 *
 * A statement that fails for good while others run may fail for want of what they insert (a foreign key): its share is
 * rolled back and applied again when the others are done, and only then is it put aside.
 *
 * Where stretches would be short, one connection applies them, many in a transaction, as if there were no others.
 */
#include "drain_impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "log.h"

#define MIX_MAX 16 /* tables in a stretch */
#define SHORT 32   /* records in one: that they run side by side saves less than their commit costs */

/* How the records of one table are ordered. */
struct mix {
	struct span tables, column; /* not owned */
	bool whole, part; /* within the table; within a value of the column */
};

struct stretch {
	struct mix mix[MIX_MAX];
	size_t nmix;
	bool alone;   /* its one record runs beside no other */
	size_t n;     /* items, from drain.next on */
	uint64_t end; /* the last one's sequence */
};

/* Behind the tables in its key; none in a record of a version that noted the value alone. */
static struct span column_of(const struct queue_record *r)
{
	const char *from = r->order_key.p + r->tables.len;
	const char *end = memchr(from, '\0', r->order_key.len - r->tables.len);

	return span_of(from, end ? (size_t)(end - from) : 0);
}

/* A record ordered within its table may not run beside those ordered within a value of it, nor those of one column beside those of another. */
static bool must_wait(struct stretch *w, const struct queue_record *r)
{
	struct span tables = span_of(r->order_key.p, r->tables.len); /* as the key has them: in lower case */
	struct span column = {0};
	bool whole = r->order_key.len == r->tables.len, mixed;

	/* Without a key it may run beside no other. */
	if (w->alone || (w->n && r->order_key.len < r->tables.len))
		return true;
	w->alone = r->order_key.len < r->tables.len;
	if (w->alone)
		return false;
	if (!whole)
		column = column_of(r);
	for (size_t i = 0; i < w->nmix; i++) {
		struct mix *m = &w->mix[i];

		if (!span_eq(m->tables, tables))
			continue;
		mixed = whole ? m->part : m->whole || (m->part && !span_eq(m->column, column));
		m->column = column;
		m->whole |= whole;
		m->part |= !whole;
		return mixed;
	}
	if (w->nmix == MIX_MAX)
		return true;
	w->mix[w->nmix++] = (struct mix){.tables = tables, .column = column, .whole = whole, .part = !whole};
	return false;
}

/* Of those loaded, which may be applied at once. */
static size_t loaded(const struct drain *d)
{
	size_t left = d->count - d->next;

	return d->part && d->part < left ? d->part : left;
}

/* How many from this one on may run side by side; more than `most` are not looked at. */
static size_t stretch_length(const struct drain *d, size_t from, size_t most)
{
	struct stretch w = {0};

	while (w.n < most && !must_wait(&w, &d->items[from + w.n].rec.r))
		w.n++;
	return w.n;
}

/* How many records one connection had better apply: of stretches that follow each other and are short. 0: this one is worth dealing out. */
static size_t short_stretches(struct drain *d)
{
	size_t left = loaded(d), most = drain_batch_rows(d), n = 0, len;

	while (n < left && n < most) {
		len = stretch_length(d, d->next + n, left - n < SHORT ? left - n : SHORT);
		if (len == SHORT || len == left) /* nothing waits for it */
			break;
		n += len;
	}
	return n < most ? n : most;
}

static void say_lost(struct drain *d, uint64_t seq)
{
	log_error("queue",
		  "the database has lost records that it had committed; those still in the log are applied again",
		  "seq=%" PRIu64 " was=%" PRIu64, seq, d->told_seq);
	d->told_seq = 0; /* said once */
}

/* False: the stretch ends before this item. */
static bool deal_one(struct drain *d, struct stretch *w, struct apply_item *it, size_t most)
{
	const struct queue_record *r = &it->rec.r;
	struct team_worker *to = &d->team->worker[shares_worker(r->order_key, d->team->n)];

	if (must_wait(w, r))
		return false;
	if (shares_have(&d->shares, it->seq, r->order_key))
		return true;
	if (to->n >= most || team_give(to, it) != RC_OK)
		return false;
	it->error = NULL; /* the worker's now */
	if (it->seq <= d->told_seq)
		say_lost(d, it->seq);
	return true;
}

/* RC_ERROR: no memory. */
static enum rc deal(struct drain *d, struct stretch *w)
{
	size_t left = loaded(d), most = drain_batch_rows(d);

	*w = (struct stretch){0};
	team_clear(d->team);
	while (w->n < left && deal_one(d, w, &d->items[d->next + w->n], most))
		w->n++;
	if (!w->n)
		return RC_ERROR;
	w->end = d->items[d->next + w->n - 1].seq;
	return RC_OK;
}

/* alone: nothing else runs, and what fails now fails for good. */
static void start(struct drain *d, struct team_worker *w, const struct stretch *win, bool alone)
{
	w->applier.commit_to = win->end;
	w->applier.beside_others = !alone;
	team_run(w);
}

static void run_all(struct drain *d, const struct stretch *win)
{
	bool first = true;

	for (unsigned i = 0; i < d->team->n; i++) {
		struct team_worker *w = &d->team->worker[i];

		if (!w->n)
			continue;
		/* All before this stretch is applied: one of them says so for shard 0, too. */
		w->applier.base = first && d->applied_seq > d->applier.position.seq ? &d->applier.position : NULL;
		w->applier.base_to = d->applied_seq;
		first = false;
		start(d, w, win, false);
	}
	team_wait(d->team);
}

/* What it has committed, in full or up to a record that halts. */
static enum rc note_committed(struct drain *d, struct team_worker *w)
{
	uint64_t upto = w->applier.position.seq, rows = 0;

	for (size_t i = 0; i < w->n && w->items[i].seq <= upto; i++, rows++) {
		if (!w->items[i].skip && !w->items[i].dead)
			drain_note_tables(&d->tables, w->items[i].rec.r.tables);
	}
	if (!rows)
		return RC_OK;
	if (w->applier.base)
		d->applier.position.seq = w->applier.base_to;
	drain_announce(d, d->announced_seq, w->applier.gtid);
	drain_count_batch(d, rows, w->applier.buried);
	drain_adapt(d, rows, w->took_ns);
	return shares_note(&d->shares, w->applier.position.shard, upto);
}

/* The graver, the later here. */
static int gravity(enum apply_result r)
{
	static const int order[] = {[APPLY_DONE] = 0,  [APPLY_ALONE] = 1, [APPLY_SMALLER] = 2,   [APPLY_STRICTLY] = 3,
				    [APPLY_RETRY] = 4, [APPLY_WAIT] = 5,  [APPLY_RECONNECT] = 7, [APPLY_HALT] = 6};

	return order[r];
}

/* Of those that ran (or, alone: of this one) the gravest result, with its reason. */
static void gather_one(struct drain *d, struct team_worker *w, enum apply_result *worst, const char **reason)
{
	if (note_committed(d, w) != RC_OK)
		w->result = APPLY_RECONNECT;
	w->applier.base = NULL;
	if (gravity(w->result) <= gravity(*worst))
		return;
	*worst = w->result;
	*reason = w->applier.reason;
	d->failed_code = w->applier.conn.code;
	d->applier.halted_seq = w->applier.halted_seq;
}

static enum apply_result gather(struct drain *d, const char **reason)
{
	enum apply_result worst = APPLY_DONE;

	for (unsigned i = 0; i < d->team->n; i++) {
		if (d->team->worker[i].n)
			gather_one(d, &d->team->worker[i], &worst, reason);
	}
	return worst;
}

/* The others are done: now these, one after the other. */
static enum apply_result run_alone(struct drain *d, const struct stretch *win, const char **reason)
{
	enum apply_result worst = APPLY_DONE;

	for (unsigned i = 0; i < d->team->n && worst == APPLY_DONE; i++) {
		struct team_worker *w = &d->team->worker[i];

		if (!w->n || w->result != APPLY_ALONE)
			continue;
		start(d, w, win, true);
		team_wait(d->team);
		gather_one(d, w, &worst, reason);
	}
	return worst;
}

static void finish(struct drain *d, const struct stretch *win)
{
	d->next += win->n;
	d->announced_seq = win->end;
	d->failures = 0;
	shares_level(&d->shares, win->end);
	drain_move_applied(d, win->end, d->applier.position.seq);
	drain_note_oldest(d);
	drain_checkpoint_if_due(d);
}

void drain_level(struct drain *d)
{
	if (!d->team || !d->applier.conn.my || d->applied_seq <= d->applier.position.seq)
		return;
	if (position_advance(&d->applier.position, &d->applier.conn, d->applied_seq) != RC_OK) {
		drain_disconnect(d);
		return;
	}
	d->applier.position.seq = d->applied_seq;
	drain_move_applied(d, d->applied_seq, d->applied_seq);
}

/* In order, in shard 0's row. */
static void apply_by_one(struct drain *d, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct apply_item *it = &d->items[d->next + i];

		if (!it->skip && it->seq <= d->told_seq)
			say_lost(d, it->seq);
	}
	drain_apply_first(d, n);
}

void drain_apply_window(struct drain *d)
{
	enum apply_result result = APPLY_WAIT;
	const char *reason = "out of memory";
	struct stretch win;
	size_t n = short_stretches(d);

	if (n) {
		apply_by_one(d, n);
		return;
	}

	drain_put_aside(d);
	d->failed_code = 0;
	if (deal(d, &win) == RC_OK) {
		drain_foretell(d, win.n);
		run_all(d, &win);
		result = gather(d, &reason);
		if (result == APPLY_ALONE)
			result = run_alone(d, &win, &reason);
		drain_foretell(d, 0);
	}
	if (result == APPLY_DONE)
		finish(d, &win);
	drain_settle(d, result, win.n, reason);
	if (result != APPLY_DONE)
		drain_forget_batch(d);
}
