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
	/* A transaction sees what was there when it took its snapshot: with its first read, of whatever table, a routine's too. */
	if (!s->queued_eventual && (st->facts.flags & SQL_F_SNAPSHOT ||
				    ((st->facts.ntables || st->nreads) && (s->in_transaction || !session_autocommit(s)))))
		return true;
	if (s->queued_anything || !st->resolved || r->plan.writes_anything)
		return st->facts.ntables > 0 || r->plan.writes_anything;
	for (uint8_t i = 0; i < s->nqueued_tags; i++) {
		for (uint8_t j = 0; j < st->nreads && !s->queued_eventual; j++)
			if (st->reads[j] == s->queued_tags[i])
				return true;
		for (uint8_t j = 0; j < st->nneeds && !s->queued_eventual; j++)
			if (st->needs[j] == s->queued_tags[i])
				return true;
		for (uint8_t j = 0; j < st->nwrites; j++)
			if (st->writes[j] == s->queued_tags[i])
				return true;
	}
	return st->needs_more && !s->queued_eventual;
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

/* In which schema the table is meant. */
static struct span schema_of(const struct request *r, const struct sql_table *t)
{
	return t->schema.len ? t->schema : r->s->vars->schema;
}

/* Has the primary seen this shape since the schema, or what accounts may do, last changed? */
static bool is_current(const struct request *r)
{
	const struct instance *in = r->s->worker->in;
	const struct statement *st = r->st;

	return st->queue_checked_version == catalog_version(in->catalog) + 1 && st->queue_checked_epoch == accounts_epoch(in->accounts);
}

static bool is_this_accounts(const struct request *r)
{
	const struct statement *st = r->st;

	for (size_t i = 0; i < countof(st->queue_checked_accounts); i++)
		if (st->queue_checked_accounts[i] == r->s->account->id)
			return true;
	return false;
}

static uint64_t form_of_text(const struct request *r)
{
	struct prepared *p = r->prepared;

	if (!p)
		return sql_form(r->lexed->body, r->mode, false);
	if (!p->form)
		p->form = sql_form(p->lexed.body, p->mode, true);
	return p->form;
}

/* What was right in one sql_mode, or one character set, may be wrong in another. */
static uint64_t form_of(const struct request *r)
{
	uint64_t form = form_of_text(r);

	return form ? (form ^ r->s->vars->reading) | 1 : 0;
}

static bool is_refused(const struct request *r)
{
	const struct statement *st = r->st;

	return (st->queue_refused_form && st->queue_refused_form == r->form) || (st->queue_no_defaults && (r->defaults & st->queue_no_defaults) == st->queue_no_defaults);
}

/* Of one digest may be `IN (1)` and `IN ()`. */
static bool is_known_form(const struct request *r)
{
	const struct statement *st = r->st;
	bool known = false;

	for (size_t i = 0; i < countof(st->queue_forms) && !known; i++)
		known = st->queue_forms[i] == r->form;
	return known;
}

/* Whenever that was. */
static bool has_been_accepted(const struct request *r)
{
	return r->st->queue_checked && !(r->defaults & ~r->st->queue_defaults) && is_known_form(r);
}

static bool is_checked(const struct request *r)
{
	return is_current(r) && is_this_accounts(r) && (is_refused(r) || has_been_accepted(r));
}

/* A default that says who or when may be new, and only the primary knows whether the shape leaves that column out. */
static bool says_same_later(const struct request *r)
{
	const struct sql_table *t = written_table(&r->st->facts);
	bool defaults;
	const char *why;

	return catalog_later(r->s->worker->in->catalog, schema_of(r, t), t->name, &defaults, &why) == RC_OK && !defaults;
}

/* Once, for what its account may do to this day: the schema alone has changed since, and is known again. While the primary cannot
 * be asked that counts, since what the drain then cannot apply is kept as a dead letter. */
static bool was_accepted(const struct request *r)
{
	return has_been_accepted(r) && !is_refused(r) && is_this_accounts(r) &&
	       r->st->queue_checked_epoch == accounts_epoch(r->s->worker->in->accounts) && says_same_later(r);
}

/* A primary that has been gone for a while is not even looked for: each statement would wait for one that stands still. */
static bool may_be_unchecked(const struct request *r)
{
	return (r->unchecked || unlikely(backend_is_silent(topology_primary(r->worker->in->topology), clock_mono_ns()))) && was_accepted(r);
}

bool queued_check_may_fail(const struct request *r)
{
	return r->checking && was_accepted(r);
}

bool queued_check_failed(struct request *r)
{
	if (r->s->pins || r->lease.err_code || topology_primary_usable(r->worker->in->topology) || !queued_check_may_fail(r))
		return false;
	r->lease.err_text[0] = '\0';
	r->checking = r->primary_only = false;
	r->unchecked = true;
	exec_resume(r, STEP_QUEUE);
	return true;
}

/* Rights on everything are those of a connection's login, and on a schema those with which it chose it: what is accepted on
 * an older one says nothing of the account's next session, so a new one is asked. */
static void begin_check(struct request *r)
{
	r->checking = true;
	r->checking_epoch = accounts_epoch(r->s->worker->in->accounts);
	r->checking_version = catalog_version(r->s->worker->in->catalog);
	r->primary_only = true;
}

static bool is_older(const struct session *s, uint64_t epoch)
{
	return s->epoch < epoch || s->chose_epoch < epoch;
}

/* Has a new session's connection been refused this shape, while this session may have the right still? */
static bool is_denied(const struct request *r)
{
	const struct statement *st = r->st;
	uint64_t now = accounts_epoch(r->s->worker->in->accounts);

	return st->queue_denied_account == r->s->account->id && st->queue_denied_epoch == now && is_older(r->s, now);
}

/* Of a login (locked and expired ones, too), a schema, a table, a column. */
static bool is_access_error(uint16_t code)
{
	static const uint16_t errors[] = {1044, 1045, 1142, 1143, 1698, 1820, 1862, 3118, 4151};

	for (size_t i = 0; i < countof(errors); i++)
		if (errors[i] == code)
			return true;
	return false;
}

static const char older_rights[] = "its session is older than a GRANT or REVOKE, and a new one may not write this";

bool queued_check_denied(struct request *r)
{
	struct session *s = r->s;
	struct upstream *u = s->up;

	if (s->pins || !is_access_error(r->lease.err_code) || !is_older(s, r->checking_epoch))
		return false;
	s->up = NULL;
	if (u) /* what the session's own connection has left is to be asked there */
		lease_discard(u, "it was to have a shape accepted, and may not");
	r->st->queue_denied_account = s->account->id;
	r->st->queue_denied_epoch = r->checking_epoch;
	r->lease.err_code = r->error = 0;
	r->checking = r->primary_only = false;
	declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, older_rights);
	exec_resume(r, directly(r) == RC_OK ? STEP_LIMIT : r->step);
	return true;
}

void queued_checked(struct request *r, bool accepted)
{
	struct statement *st = r->st;

	if (!is_current(r)) {
		st->queue_checked = false;
		st->queue_refused_form = 0;
		st->queue_defaults = st->queue_no_defaults = 0;
		memset(st->queue_checked_accounts, 0, sizeof(st->queue_checked_accounts));
		memset(st->queue_forms, 0, sizeof(st->queue_forms));
	}
	st->queue_checked_version = r->checking_version + 1;
	if (!is_this_accounts(r)) {
		memmove(st->queue_checked_accounts + 1, st->queue_checked_accounts, sizeof(st->queue_checked_accounts) - sizeof(uint64_t));
		st->queue_checked_accounts[0] = r->s->account->id;
	}
	if (accepted && !is_known_form(r)) {
		memmove(st->queue_forms + 1, st->queue_forms, sizeof(st->queue_forms) - sizeof(uint64_t));
		st->queue_forms[0] = r->form;
	}
	st->queue_checked_epoch = r->checking_epoch;
	st->queue_checked |= accepted;
	if (accepted)
		st->queue_defaults |= r->defaults;
	else if (r->defaults)
		st->queue_no_defaults = r->defaults;
	else
		st->queue_refused_form = r->form;
	r->checking = false;
}

struct column_list {
	struct iobuf *out;
	uint64_t without; /* these are left out, a bit each */
	unsigned n;
};

static enum rc put_column(void *arg, struct span name)
{
	struct column_list *list = arg;
	bool without = list->n < 64 ? list->without >> list->n & 1 : list->without == UINT64_MAX;

	list->n++;
	return without ? RC_OK : iobuf_printf(list->out, "%s'" SPAN_FMT "'", iobuf_len(list->out) ? "," : "", SPAN_ARG(name));
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
	struct span schema = schema_of(r, t), text = r->prepared ? r->sql : r->lexed->body;
	struct sql_insert_columns given;
	/* Of a table in which some default says who or when else: any that is an expression and not the statement's time. */
	static const char later[] = "(COLUMN_DEFAULT LIKE '%(%' OR COLUMN_DEFAULT LIKE '%@%') AND LOWER(COLUMN_DEFAULT) NOT REGEXP "
				    "'^current_timestamp([(][0-9]*[)])?$' OR ";
	struct iobuf names;
	bool defaults;
	const char *why;
	enum rc rc;

	if (catalog_later(r->s->worker->in->catalog, schema, t->name, &defaults, &why) != RC_OK ||
	    (defaults && strstr(r->st->text, "default")))
		return RC_ERROR;
	if (f->verb != SQL_INSERT && f->verb != SQL_REPLACE)
		return RC_DECLINED;
	iobuf_init(&names, 0);
	rc = sql_insert_columns(text, r->mode, put_column, &(struct column_list){.out = &names, .without = r->defaults}, &given);
	given.defaults |= given.all && r->defaults;
	if (rc == RC_OK && given.all && !given.defaults)
		rc = RC_DECLINED;
	else if (rc != RC_OK || !quotable(schema) || !quotable(t->name))
		rc = RC_ERROR;
	if (rc == RC_OK)
		rc = iobuf_printf(out, "SELECT COUNT(*)>0 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='" SPAN_FMT
				       "' AND TABLE_NAME='" SPAN_FMT "' AND (%sIS_NULLABLE='NO' AND COLUMN_DEFAULT IS NULL AND DATA_TYPE<>'enum'"
				       " AND EXTRA NOT LIKE '%%auto_increment%%' AND EXTRA NOT LIKE '%%GENERATED%%')",
				  SPAN_ARG(schema), SPAN_ARG(t->name), defaults ? later : "");
	if (rc == RC_OK && !given.defaults && iobuf_len(&names))
		rc = iobuf_printf(out, " AND COLUMN_NAME NOT IN (%.*s)", (int)iobuf_len(&names), (const char *)iobuf_data(&names));
	iobuf_reset(&names);
	return rc;
}

/* It is certainly not stored. */
static void refuse(struct request *r, const char *why)
{
	r->error = 1114;
	reply_error(r->s, 1114, "HY000", "the queue does not accept this write: %s (queue.on_full is error)", why);
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
		struct ok_packet ok = {.affected = r->rows_named, .status = session_status(s)};
		struct iobuf *b = &s->worker->tmp;

		if (t->seq > s->queued_seq) /* answers of lanes may overtake one another */
			s->queued_seq = t->seq;
		r->affected = r->rows_named;
		aftermath_queued(r);
		iobuf_consume(b, iobuf_len(b));
		if (packet_put_ok(b, &s->seq, s->caps, &ok) == RC_OK)
			(void)channel_put(&s->ch, iobuf_data(b), iobuf_len(b));
		else
			reply_failed(s);
	} else if (t->rc == RC_DECLINED && (t->unfit || !s->worker->settings->queue.full_is_error)) {
		r->route = STATS_LOCAL; /* certainly not stored: it goes directly */
		exec_resume(r, write_through(r) == RC_OK ? STEP_LIMIT : r->step);
		return;
	} else if (t->rc == RC_DECLINED) {
		refuse(r, t->error ? t->error : "disk error");
	} else { /* by its number clients tell what is unknown from what was refused */
		r->error = 1030;
		reply_error(s, 1030, "HY000", "the queue could not store this write: %s", t->error ? t->error : "disk error");
	}
	exec_resume(r, STEP_END);
}

/* Schema and name, each ended by a zero. */
static enum rc put_table(struct iobuf *out, struct span schema, struct span name)
{
	size_t len = schema.len + name.len + 2;
	uint8_t *p = iobuf_reserve(out, len);

	if (!p)
		return RC_ERROR;
	memset(p, 0, len);
	if (schema.len)
		memcpy(p, schema.p, schema.len);
	memcpy(p + schema.len + 1, name.p, name.len);
	iobuf_commit(out, len);
	return RC_OK;
}

/* The statement with its values in it. One that has become long is the server's to judge, by its max_allowed_packet: a BLOB's
 * text is twice its bytes. */
static enum rc build_text(struct request *r, struct queued_parts *parts, struct queue_record *rec, const char **why)
{
	enum rc rc = RC_OK;

	if (r->execute.bulk) {
		rc = queued_bulk_text(r, &parts->sql, &parts->ends, why);
	} else if (r->prepared && prepared_bind(r, &parts->sql) != RC_OK) {
		*why = "its values cannot be written as text";
		rc = RC_DECLINED;
	} else if (r->prepared && iobuf_len(&parts->sql) > QUEUED_TEXT_MOST) {
		*why = "with its values in it, it is too long a text";
		rc = RC_DECLINED;
	}
	rec->sql = r->prepared ? span_of(iobuf_data(&parts->sql), iobuf_len(&parts->sql)) : r->lexed->body;
	rec->parts = span_of(iobuf_data(&parts->ends), iobuf_len(&parts->ends));
	return rc;
}

/* Rows are told by how the statement's texts begin, as long as they begin alike. */
static enum rc find_rows(struct request *r, struct span sql, struct sql_insert_shape *shape)
{
	struct statement *st = r->st;

	if (st->facts.verb != SQL_INSERT && st->facts.verb != SQL_REPLACE)
		return RC_DECLINED;
	if (unlikely(!st->queue_head))
		st->queue_head = mem_zalloc(sizeof(*st->queue_head));
	return st->queue_head ? sql_insert_shape_like(sql, r->mode, st->queue_head, shape) : sql_insert_shape(sql, r->mode, shape);
}

/* It, and the state it was made in. RC_DECLINED: that cannot be done, and why (literal). */
static enum rc build_record(struct request *r, struct queued_parts *parts, struct queue_record *rec, const char **why)
{
	struct session *s = r->s;
	const struct sql_table *t = written_table(&r->st->facts);
	struct sql_insert_shape shape = {0};
	enum rc rc = build_text(r, parts, rec, why);

	if (rc != RC_OK)
		return rc;
	if (varset_environment(s->vars, &rec->environment) != RC_OK ||
	    put_table(&parts->tables, schema_of(r, t), t->name) != RC_OK)
		return RC_ERROR;
	rec->tables = span_of(iobuf_data(&parts->tables), iobuf_len(&parts->tables));
	if (queued_order_key(r, rec, &parts->key) != RC_OK)
		return RC_ERROR;
	rec->order_key = span_of(iobuf_data(&parts->key), iobuf_len(&parts->key));
	rec->digest = r->st->digest;
	rec->time_us = clock_wall_us();
	rec->account = span_str(s->account->user);
	rec->schema = s->vars->schema;
	rec->on_error = r->plan.queue_rule && r->plan.queue_rule->halt ? QUEUE_HALT : QUEUE_DEAD_LETTER;
	if (!rec->parts.len && find_rows(r, rec->sql, &shape) == RC_OK) {
		r->rows_named = shape.rows;
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
	struct queued_parts *parts = &s->worker->parts;
	const char *why = "no memory";
	uint64_t last_seq;
	enum rc rc = build_record(r, parts, &rec, &why);
	bool fits = rc != RC_DECLINED, unfit = false;

	if (rc == RC_OK) {
		r->ticket.mail.run = on_ticket;
		r->ticket.loop = s->worker->loop;
		rc = queue_append(s->worker->in->queue, &rec, &r->ticket, &why);
		unfit = rc == RC_DECLINED && r->ticket.unfit;
	}
	iobuf_consume(&parts->sql, iobuf_len(&parts->sql));
	iobuf_consume(&parts->ends, iobuf_len(&parts->ends));
	iobuf_consume(&parts->tables, iobuf_len(&parts->tables));
	iobuf_consume(&parts->key, iobuf_len(&parts->key));
	if (rc == RC_AGAIN) {
		r->ticket_pending = true;
		r->route = STATS_QUEUE;
		remember_tables(r);
		/* Until the answer is here nobody of this session can read; afterwards on_ticket has set its number. */
		return RC_AGAIN;
	}
	if (!fits) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, why);
		return directly(r);
	}
	if (queue_is_handed_over(s->worker->in->queue, &last_seq))
		return behind_the_other(r, last_seq);
	if (s->worker->settings->queue.full_is_error && !unfit) {
		refuse(r, why);
		r->step = STEP_END;
		return RC_DECLINED;
	}
	declined(r, STATS_COUNTERS_N, why);
	return write_through(r);
}

/* May what it writes be rolled back? Known with its tables, where they are meant in the schema it was parsed for. */
static enum rc transactional(const struct request *r, const struct sql_table *t, const char **why)
{
	const struct statement *st = r->st;
	struct span schema = schema_of(r, t);

	if (likely(st->transactional && (t->schema.len || span_eq(schema, span_of(st->schema, st->schema_len)))))
		return RC_OK;
	return catalog_transactional(r->s->worker->in->catalog, schema, t->name, why);
}

/* Does its row say the same when the drain writes it? */
static enum rc same_later(const struct request *r, const struct sql_table *t, const char **why)
{
	const struct statement *st = r->st;
	struct span schema = schema_of(r, t);
	bool defaults;

	*why = st->not_later;
	if (likely(t->schema.len || span_eq(schema, span_of(st->schema, st->schema_len))))
		return *why ? RC_DECLINED : RC_OK;
	return catalog_later(r->s->worker->in->catalog, schema, t->name, &defaults, why);
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
	if (r->s->vars->not_later) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, "its session has set what the drain could not, or only reads");
		return directly(r);
	}
	t = written_table(&r->st->facts);
	statement_resolve(r->st, in->catalog, r->s->worker->settings);
	if (!t || !r->st->resolved) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, t ? r->st->unresolved_why : "it writes no table");
		return directly(r);
	}
	if (transactional(r, t, &why) != RC_OK || same_later(r, t, &why) != RC_OK) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, why);
		return directly(r);
	}
	if (r->prepared && r->s->vars->wide_trail) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, "its values cannot be written as text in this character set");
		return directly(r);
	}
	if (r->prepared && queued_values_look(r, &why) != RC_OK) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, why);
		return directly(r);
	}
	if (r->execute.bulk && queued_bulk_look(r, &why) != RC_OK) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, why);
		return directly(r);
	}
	r->form = form_of(r);
	if (unlikely(!r->form)) {
		declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, "its text is none that a server takes as it is");
		return directly(r);
	}
	if (!is_checked(r) && !may_be_unchecked(r)) { /* Q4: the primary is shown it first */
		if (unlikely(is_denied(r))) {
			declined(r, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, older_rights);
			return directly(r);
		}
		begin_check(r);
		return RC_OK;
	}
	if (unlikely(is_refused(r))) {
		declined(r, STATS_C_QUEUE_DECLINED_NO_DEFAULT, "it leaves out a column that must be given or whose default would be another one, or that could not be told");
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
