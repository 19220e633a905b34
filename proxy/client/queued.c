/*
 * queued.c - a request and the queue: waiting for one's own records, having a shape accepted, appending.
 */
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "request.h"

/* ---- Q3: a session's later statements wait for its own records ---- */

static bool touches_queued(const struct request *r)
{
	const struct session *s = r->s;
	const struct statement *st = r->st;

	if (!st || r->cmd == COM_STMT_PREPARE)
		return false;
	/* A transaction sees what was there when it took its snapshot: with its first read, of whatever table. */
	if (!s->queued_eventual && (st->facts.flags & SQL_F_SNAPSHOT ||
				    (st->facts.ntables && (s->in_transaction || !session_autocommit(s)))))
		return true;
	if (s->queued_anything || !st->resolved || r->plan.writes_anything)
		return st->facts.ntables > 0 || r->plan.writes_anything;
	for (uint8_t i = 0; i < s->nqueued_tags; i++) {
		for (uint8_t j = 0; j < st->nreads && !s->queued_eventual; j++)
			if (st->reads[j] == s->queued_tags[i])
				return true;
		for (uint8_t j = 0; j < st->nwrites; j++)
			if (st->writes[j] == s->queued_tags[i])
				return true;
	}
	return false;
}

/* All its records are applied: its reads must see the drain's commits, on replicas too. */
static void caught_up(struct session *s)
{
	struct instance *in = s->worker->in;

	pthread_mutex_lock(&in->drain_lock);
	gtid_merge(&s->written, &in->drain_pos);
	if (in->drain_unknown_ns > s->written_unknown_ns)
		s->written_unknown_ns = in->drain_unknown_ns;
	pthread_mutex_unlock(&in->drain_lock);
	s->queued_seq = 0;
	s->nqueued_tags = 0;
	s->queued_anything = false;
}

static void on_applied(struct mail *m)
{
	struct queue_waiter *qw = container_of(m, struct queue_waiter, mail);
	struct request *r = container_of(qw, struct request, waiter);

	r->queue_waiting = false;
	if (r->dead) {
		request_abort(r);
		return;
	}
	exec_resume(r, STEP_WAIT_QUEUE);
}

enum rc queued_wait_step(struct request *r)
{
	struct session *s = r->s;
	struct instance *in = s->worker->in;
	enum rc rc;

	if (likely(s->queued_seq == 0) || !in->queue)
		return RC_OK;
	if (queue_applied(in->queue) >= s->queued_seq) {
		caught_up(s);
		return RC_OK;
	}
	if (r->st)
		statement_resolve(r->st, in->catalog, r->s->worker->settings);
	if (r->plan.queue || !touches_queued(r))
		return RC_OK;
	r->waiter.mail.run = on_applied;
	r->waiter.loop = s->worker->loop;
	r->waiter.seq = s->queued_seq;
	rc = queue_wait(in->queue, &r->waiter);
	if (rc == RC_AGAIN) {
		r->queue_waiting = true;
		stats_count(s->worker->sink, STATS_C_QUEUE_WAITS, 1);
		r->deadline_ns = clock_mono_ns() + s->worker->settings->backend.failover_hold_ns;
		return RC_AGAIN;
	}
	if (rc == RC_OK)
		caught_up(s);
	return RC_OK;
}

void queued_wait_expired(struct request *r)
{
	struct queue_totals t;

	if (!queue_wait_cancel(r->s->worker->in->queue, &r->waiter))
		return; /* the answer is on its way */
	r->queue_waiting = false;
	stats_count(r->s->worker->sink, STATS_C_QUEUE_WAIT_TIMEOUTS, 1);
	queue_totals(r->s->worker->in->queue, &t);
	reply_error(r->s, 1205, "HY000",
		    "this session's queued writes are not applied yet (queue %s%s%s): see /api/queue, or let the rule say read: eventual",
		    queue_state_name(t.state), t.reason[0] ? ": " : "", t.reason);
	r->error = 1205;
	exec_resume(r, STEP_END);
}

/* What a session has queued, or must wait for as if it had. */
static void remember_tables(struct request *r)
{
	struct session *s = r->s;
	bool eventual = r->plan.queue_rule && !r->plan.queue_rule->read_session;

	if (s->nqueued_tags == 0)
		s->queued_eventual = eventual;
	s->queued_eventual &= eventual;
	for (uint8_t i = 0; i < r->st->nwrites; i++) {
		bool known = false;

		for (uint8_t j = 0; j < s->nqueued_tags && !known; j++)
			known = s->queued_tags[j] == r->st->writes[i];
		if (known)
			continue;
		if (s->nqueued_tags == SESSION_QUEUED_TAGS)
			s->queued_anything = true;
		else
			s->queued_tags[s->nqueued_tags++] = r->st->writes[i];
	}
}

/* ---- accepting ---- */

static void declined(struct request *r, enum stats_counter counter, const char *why)
{
	log_debug("queue", "a write goes directly", "digest=0x%016lx why=\"%s\"", (unsigned long)r->st->digest, why);
	if (counter != STATS_COUNTERS_N) /* the queue counts its own refusals */
		stats_count(r->s->worker->sink, counter, 1);
	r->plan.queue = false;
}

/* A write that is not queued after all does not overtake those of its session that are (Q3). */
static enum rc directly(struct request *r)
{
	if (!r->s->queued_seq)
		return RC_OK;
	r->step = STEP_WAIT_QUEUE;
	return RC_DECLINED;
}

/* The queue has no room, and the write goes directly: behind its session's own records on its tables (Q3), which must be
 * applied first. Where nothing is being applied, that is an error at once. */
static enum rc write_through(struct request *r)
{
	struct session *s = r->s;
	struct queue *q = s->worker->in->queue;
	struct queue_totals t;

	r->plan.queue = false;
	if (!s->queued_seq || queue_applied(q) >= s->queued_seq || !touches_queued(r))
		return directly(r);
	queue_totals(q, &t);
	if (!t.stuck)
		return directly(r);
	stats_count(s->worker->sink, STATS_C_QUEUE_WAIT_TIMEOUTS, 1);
	reply_error(s, 1205, "HY000",
		    "the queue has no room, and this session's own writes in it to this table cannot be applied first (queue %s%s%s): see /api/queue",
		    queue_state_name(t.state), t.reason[0] ? ": " : "", t.reason);
	r->error = 1205;
	r->step = STEP_END;
	return RC_DECLINED;
}

/* Another process has the queue now: what would have been queued runs directly, behind all that was acknowledged here. */
static enum rc behind_the_other(struct request *r, uint64_t last_seq)
{
	struct session *s = r->s;

	declined(r, STATS_C_QUEUE_DECLINED_STOPPING, "a new process has taken the queue over");
	if (queue_applied(s->worker->in->queue) >= last_seq)
		return directly(r);
	statement_resolve(r->st, s->worker->in->catalog, s->worker->settings);
	remember_tables(r);
	if (s->queued_seq < last_seq)
		s->queued_seq = last_seq;
	return directly(r);
}

static const struct sql_table *written_table(const struct sql_facts *f)
{
	for (uint16_t i = 0; i < f->ntables; i++)
		if (f->tables[i].written)
			return &f->tables[i];
	return NULL;
}

/* Has the primary accepted this shape for this account since the schema last changed? */
static bool is_checked(const struct request *r)
{
	const struct statement *st = r->st;

	return st->queue_checked_version == catalog_version(r->s->worker->in->catalog) + 1 &&
	       st->queue_checked_account == r->s->account->id;
}

void queued_checked(struct request *r, bool accepted)
{
	r->st->queue_checked_version = catalog_version(r->s->worker->in->catalog) + 1;
	r->st->queue_checked_account = r->s->account->id;
	r->st->queue_refused = !accepted;
	r->checking = false;
}

static enum rc put_column(void *arg, struct span name)
{
	return iobuf_printf(arg, "%s'" SPAN_FMT "'", iobuf_len(arg) ? "," : "", SPAN_ARG(name));
}

static bool quotable(struct span s)
{
	return s.len && !memchr(s.p, '\'', s.len) && !memchr(s.p, '\\', s.len);
}

/* Of the session's own account: what it may not see of the table it could not leave out either. An ENUM's first value
 * stands for a default that it lacks. RC_ERROR: memory, or names that cannot be written down. */
enum rc queued_columns_sql(struct request *r, struct iobuf *out)
{
	const struct sql_facts *f = &r->st->facts;
	const struct sql_table *t = written_table(f);
	struct span schema = t->schema.len ? t->schema : r->s->vars->schema, text = r->prepared ? r->sql : r->lexed->body;
	struct sql_insert_columns given;
	struct iobuf names;
	enum rc rc;

	if (f->verb != SQL_INSERT && f->verb != SQL_REPLACE)
		return RC_DECLINED;
	iobuf_init(&names, 0);
	rc = sql_insert_columns(text, r->mode, put_column, &names, &given);
	if (rc == RC_OK && given.all && !given.defaults)
		rc = RC_DECLINED;
	else if (rc != RC_OK || !quotable(schema) || !quotable(t->name))
		rc = RC_ERROR;
	if (rc == RC_OK)
		rc = iobuf_printf(out, "SELECT COUNT(*)>0 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='" SPAN_FMT
				       "' AND TABLE_NAME='" SPAN_FMT "' AND IS_NULLABLE='NO' AND COLUMN_DEFAULT IS NULL AND DATA_TYPE<>'enum'"
				       " AND EXTRA NOT LIKE '%%auto_increment%%' AND EXTRA NOT LIKE '%%GENERATED%%'",
				  SPAN_ARG(schema), SPAN_ARG(t->name));
	if (rc == RC_OK && !given.defaults && iobuf_len(&names))
		rc = iobuf_printf(out, " AND COLUMN_NAME NOT IN (%.*s)", (int)iobuf_len(&names), (const char *)iobuf_data(&names));
	iobuf_reset(&names);
	return rc;
}

static void on_ticket(struct mail *m)
{
	struct queue_ticket *t = container_of(m, struct queue_ticket, mail);
	struct request *r = container_of(t, struct request, ticket);
	struct session *s = r->s;

	r->ticket_pending = false;
	if (r->dead) {
		request_abort(r);
		return;
	}
	if (t->rc == RC_OK) {
		struct ok_packet ok = {.affected = r->affected, .status = session_status(s)};
		struct iobuf b;

		if (t->seq > s->queued_seq) /* of another lane it may be smaller */
			s->queued_seq = t->seq;
		aftermath_queued(r);
		iobuf_init(&b, 0);
		if (packet_put_ok(&b, &s->seq, s->caps, &ok) == RC_OK)
			(void)channel_put(&s->ch, iobuf_data(&b), iobuf_len(&b));
		iobuf_reset(&b);
	} else if (t->rc == RC_DECLINED && !s->worker->settings->queue.full_is_error) {
		r->route = STATS_LOCAL; /* certainly not stored: it goes directly */
		exec_resume(r, write_through(r) == RC_OK ? STEP_LIMIT : r->step);
		return;
	} else {
		r->error = 1030;
		reply_error(s, 1030, "HY000", "the queue could not store this write: %s", t->error ? t->error : "disk error");
	}
	exec_resume(r, STEP_END);
}

/* Schema and name, each ended by a zero. */
static enum rc put_table(struct iobuf *out, struct span schema, struct span name)
{
	if (iobuf_append(out, schema.p, schema.len) != RC_OK || iobuf_append(out, "", 1) != RC_OK ||
	    iobuf_append(out, name.p, name.len) != RC_OK)
		return RC_ERROR;
	return iobuf_append(out, "", 1);
}

struct record_parts { struct iobuf sql, tables, key; }; /* what a record's spans point into */

/* The statement with its values in it, and the state it was made in. */
static enum rc build_record(struct request *r, struct record_parts *parts, struct queue_record *rec)
{
	struct session *s = r->s;
	const struct sql_table *t = written_table(&r->st->facts);
	struct sql_insert_shape shape = {0};

	if (varset_environment(s->vars, &rec->environment) != RC_OK ||
	    put_table(&parts->tables, t->schema.len ? t->schema : s->vars->schema, t->name) != RC_OK)
		return RC_ERROR;
	if (r->prepared && prepared_bind(r, &parts->sql) != RC_OK)
		return RC_ERROR;
	rec->sql = r->prepared ? span_of(iobuf_data(&parts->sql), iobuf_len(&parts->sql)) : r->lexed->body;
	rec->tables = span_of(iobuf_data(&parts->tables), iobuf_len(&parts->tables));
	if (queued_order_key(r, rec->tables, rec->sql, &parts->key) != RC_OK)
		return RC_ERROR;
	rec->order_key = span_of(iobuf_data(&parts->key), iobuf_len(&parts->key));
	rec->digest = r->st->digest;
	rec->time_us = clock_wall_us();
	rec->account = span_str(s->account->user);
	rec->schema = s->vars->schema;
	rec->on_error = r->plan.queue_rule && r->plan.queue_rule->halt ? QUEUE_HALT : QUEUE_DEAD_LETTER;
	if (sql_insert_shape(rec->sql, r->mode, &shape) == RC_OK) {
		r->affected = shape.rows;
		if (shape.rows == 1) {
			rec->rows_at = (uint32_t)shape.rows_at;
			rec->rows_end = (uint32_t)shape.rows_end;
		}
	}
	return RC_OK;
}

static enum rc append(struct request *r)
{
	struct session *s = r->s;
	struct queue_record rec = {0};
	struct record_parts parts = {{0}};
	const char *why = "no memory";
	uint64_t last_seq;
	enum rc rc = build_record(r, &parts, &rec);

	if (rc == RC_OK) {
		r->ticket.mail.run = on_ticket;
		r->ticket.loop = s->worker->loop;
		rc = queue_append(s->worker->in->queue, &rec, &r->ticket, &why);
	}
	iobuf_reset(&parts.sql);
	iobuf_reset(&parts.tables);
	iobuf_reset(&parts.key);
	if (rc == RC_AGAIN) {
		r->ticket_pending = true;
		r->route = STATS_QUEUE;
		remember_tables(r);
		/* Until the answer is here nobody of this session can read; afterwards on_ticket has set its number. */
		return RC_AGAIN;
	}
	if (queue_is_handed_over(s->worker->in->queue, &last_seq))
		return behind_the_other(r, last_seq);
	if (s->worker->settings->queue.full_is_error) {
		r->error = 1114;
		reply_error(s, 1114, "HY000", "the queue does not accept this write: %s (queue.on_full is error)", why);
		r->step = STEP_END;
		return RC_DECLINED;
	}
	declined(r, STATS_COUNTERS_N, why);
	return write_through(r);
}

enum rc queued_step(struct request *r)
{
	struct instance *in = r->s->worker->in;
	const struct sql_table *t;
	uint64_t last_seq;
	const char *why;

	if (likely(!r->plan.queue))
		return RC_OK;
	if (!in->queue) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, "the queue is off: no rule in the configuration asks for it");
		return directly(r);
	}
	if (unlikely(queue_is_handed_over(in->queue, &last_seq)))
		return behind_the_other(r, last_seq);
	if (r->prepared && r->prepared->env != r->s->vars) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, "it was prepared in another state of its session: another schema, or variables");
		return directly(r);
	}
	t = written_table(&r->st->facts);
	statement_resolve(r->st, in->catalog, r->s->worker->settings);
	if (!t || !r->st->resolved) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, t ? r->st->unresolved_why : "it writes no table");
		return directly(r);
	}
	if (catalog_transactional(in->catalog, t->schema.len ? t->schema : r->s->vars->schema, t->name, &why) != RC_OK) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, why);
		return directly(r);
	}
	if (r->prepared && r->s->vars->wide_trail) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, "its values cannot be written as text in this character set");
		return directly(r);
	}
	if (!is_checked(r)) { /* Q4: the primary is shown it first */
		r->checking = true;
		r->primary_only = true;
		return RC_OK;
	}
	if (unlikely(r->st->queue_refused)) {
		declined(r, STATS_C_QUEUE_DECLINED_NO_DEFAULT, "it leaves out a column that must be given, or that could not be told");
		return directly(r);
	}
	return append(r);
}

bool queued_cancel(struct request *r)
{
	if (r->queue_waiting && queue_wait_cancel(r->s->worker->in->queue, &r->waiter))
		r->queue_waiting = false;
	return !r->queue_waiting && !r->ticket_pending;
}
