#include "aftermath.h"

#include <string.h>

#include "mem.h"
#include "request.h"
#include "rows.h"
#include "thread.h"

#define TEXT_MOST 4096 /* a longer read's warnings stay where they are */
#define ASKS (SQL_F_FOUND_ROWS | SQL_F_ROW_COUNT | SQL_F_DIAGNOSTICS)
#define FEW_ROWS 64 /* of so many it is, and leaves the warnings as they are */
#define ROWS_MOST 1000000 /* FOUND_ROWS() of more is not made */

void aftermath_reset(struct aftermath *a)
{
	mem_free(a->text);
	*a = (struct aftermath){.kind = AFTERMATH_THERE};
}

static void forget_kind(struct aftermath *a)
{
	mem_free(a->text);
	a->text = NULL;
	a->kind = AFTERMATH_THERE;
}

static void set(struct request *r, enum aftermath_kind kind, uint64_t rows, int64_t count)
{
	struct session *s = r->s;
	struct aftermath *a = &s->aftermath;

	if (s->park.told)
		aftermath_moved(s);
	forget_kind(a);
	a->kind = kind;
	a->rows = rows;
	a->count = count;
	a->count_there = false;
}

static bool may_pass_over(const struct request *r)
{
	return unlikely(r->st->has_limit && r->s->worker->follow_ups_seen);
}

/* Of so many rows sent, by this text: those that an offset has passed over count. */
static uint64_t found_by(const struct request *r, struct span text, uint64_t rows)
{
	uint64_t offset = 0;

	if (sql_offset(text, r->mode, &offset) != RC_OK || (offset && (rows == 0 || r->st->facts.flags & SQL_F_SUBQUERY)))
		return AFTERMATH_NOT_KNOWN;
	return rows + offset;
}

static uint64_t found_of(const struct request *r, uint64_t rows)
{
	return may_pass_over(r) ? found_by(r, r->lexed->body, rows) : rows;
}

/* No server can be asked: the offset may be among its values. */
static uint64_t found_in_hit(struct request *r)
{
	struct iobuf *tmp = &r->worker->tmp;

	if (!may_pass_over(r) || !r->prepared || !r->prepared->params)
		return found_of(r, r->rows);
	iobuf_consume(tmp, iobuf_len(tmp));
	if (prepared_bind(r, tmp) != RC_OK)
		return AFTERMATH_NOT_KNOWN;
	return found_by(r, span_of(iobuf_data(tmp), iobuf_len(tmp)), r->rows);
}

void aftermath_hit(struct request *r)
{
	set(r, AFTERMATH_HIT, r->rows, -1);
	r->s->aftermath.found = found_in_hit(r);
	r->s->aftermath.found_there = false;
	r->s->park.sole = r->s->park.sole && aftermath_is_sole(r->s);
}

void aftermath_queued(struct request *r)
{
	set(r, AFTERMATH_QUEUED, r->affected, (int64_t)r->affected);
	r->s->park.sole = r->s->park.sole && aftermath_is_sole(r->s); /* it has found nothing */
}

void aftermath_elsewhere(struct session *s)
{
	s->aftermath.found_there = s->aftermath.count_there = s->aftermath.id_there = false;
}

void aftermath_moved(struct session *s)
{
	struct aftermath *a = &s->aftermath;

	if (s->park.told && a->found_there)
		a->found = s->park.found;
	if (s->park.told && a->count_there)
		a->count = s->park.count;
	if (s->park.told && a->id_there)
		s->last_insert_id = s->park.insert_id;
	s->park.told = false;
	aftermath_elsewhere(s);
}

void aftermath_brought(struct request *r)
{
	struct aftermath *a = &r->s->aftermath;

	/* What is run behind a queued write has found something itself. */
	a->found_there = a->kind != AFTERMATH_QUEUED && (a->found_there || r->st->facts.flags & SQL_F_FOUND_ROWS);
	a->count_there |= a->count == -1 || a->kind == AFTERMATH_QUEUED;
	forget_kind(a);
}

/* A question at the next change of hands costs little, but only where somebody will want the answer. */
bool aftermath_is_sole(const struct session *s)
{
	const struct aftermath *a = &s->aftermath;
	bool asked = s->worker->follow_ups_seen;

	return (a->found_there && a->found == AFTERMATH_NOT_KNOWN && (asked || a->calculated)) ||
	       (a->count_there && a->count == AFTERMATH_NO_COUNT && asked) || a->id_there;
}

/* The read as text, if it may be run again for what it leaves. */
static void keep_text(struct request *r)
{
	struct aftermath *a = &r->s->aftermath;
	struct iobuf text;
	const char *why;

	if (!r->st || !sql_replica_safe(&r->st->facts, &why) || r->streamed)
		return;
	iobuf_init(&text, TEXT_MOST);
	if ((r->prepared ? prepared_bind(r, &text) : iobuf_append(&text, r->sql.p, r->sql.len)) == RC_OK)
		a->text = mem_dup(iobuf_data(&text), iobuf_len(&text));
	if (a->text) {
		a->kind = AFTERMATH_WARNED;
		a->warned_on = r->backend;
		a->len = (uint32_t)iobuf_len(&text);
	}
	iobuf_reset(&text);
}

/* MySQL: whatever does not ask for warnings ends those that there are; MariaDB: what has tables. */
bool aftermath_clears(const struct request *r)
{
	return !r->st || r->s->up->mariadb ? r->st && r->st->clears : !r->st->asks_conditions;
}

/* What it may have left only the server knows: several statements, or what they run. */
static bool is_open(const struct request *r)
{
	const uint64_t verbs = SQL_VERB(SQL_CALL) | SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_COMPOUND);

	return !r->st || r->st->facts.flags & (SQL_F_MULTI | SQL_F_UNKNOWN) || r->st->facts.verbs & verbs ||
	       (r->cmd != COM_QUERY && r->cmd != COM_STMT_EXECUTE);
}

static int64_t count_of(const struct request *r, const struct track *t)
{
	if (t->error)
		return -1;
	if (is_open(r) || (t->columns && r->st->facts.flags & SQL_F_WRITES))
		return AFTERMATH_NO_COUNT;
	return t->columns ? -1 : (int64_t)t->affected;
}

/* A procedure's; and SELECT LAST_INSERT_ID(7): its OK may have it, or not. */
static bool sets_untold(const struct request *r)
{
	const uint64_t verbs = SQL_VERB(SQL_CALL) | SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_COMPOUND) | SQL_VERB(SQL_LOAD);

	if (r->cmd != COM_QUERY && r->cmd != COM_STMT_EXECUTE && r->cmd != COM_STMT_BULK_EXECUTE)
		return false;
	return r->st ? r->st->facts.verbs & verbs || r->st->facts.flags & SQL_F_UNKNOWN || r->st->gives_id : r->blind;
}

/* That of an INSERT has the number which the statement gives its row itself, too, and the function stays as it was. Nothing is done for it
 * before somebody asks. */
bool aftermath_may_set_id(const struct request *r)
{
	const uint64_t inserts = SQL_VERB(SQL_INSERT) | SQL_VERB(SQL_REPLACE);

	if (likely(!r->s->worker->insert_ids_seen))
		return false;
	return sets_untold(r) || (r->st && r->st->facts.verbs & inserts && rows_may_number(r));
}

/* What its session has run there before it, or nobody, is its own. */
static bool is_others(const struct session *s)
{
	return s->up->insert_id_of && s->up->insert_id_of != s->id;
}

void aftermath_told_id(struct request *r, uint64_t id, bool sure)
{
	struct session *s = r->s;

	s->last_insert_id = id;
	s->aftermath.id_there = false;
	if (!s->up)
		return;
	s->up->insert_id_of = sure || !is_others(s) ? s->id : UPSTREAM_NOBODY;
	s->up->insert_id = id;
}

bool aftermath_has_id(const struct session *s)
{
	const struct upstream *u = s->up;

	if (s->aftermath.id_there)
		return true;
	return u->insert_id_of == s->id ? u->insert_id == s->last_insert_id : !u->insert_id_of && !s->last_insert_id;
}

/* Queries inside count as well, of whatever: an INSERT ... SELECT finds rows. */
static bool queries(const struct sql_facts *f)
{
	for (uint16_t i = 0; i < f->ntables; i++)
		if (f->tables[i].read)
			return true;
	return f->verb == SQL_SELECT || f->flags & SQL_F_SUBQUERY;
}

/* MySQL: to an UPDATE FOUND_ROWS() are the rows that it has met, and to DO it is 1. */
static bool finds_by_itself(const struct request *r)
{
	return !r->s->up->mariadb && (r->st->facts.verb == SQL_UPDATE || r->st->facts.verb == SQL_DO);
}

/* EXPLAIN, ANALYZE, CHECK and their like have rows, and find none; nor do SHOW WARNINGS and SHOW ERRORS. */
static bool finds(const struct request *r, const struct track *t)
{
	const uint64_t none = SQL_VERB(SQL_EXPLAIN) | SQL_VERB(SQL_ADMIN);

	if (!r->st && (r->cmd == COM_INIT_DB || r->cmd == COM_PING || r->cmd == COM_SET_OPTION || r->cmd == COM_STMT_RESET))
		return false;
	if (is_open(r))
		return !t->error || t->results;
	if (t->error || r->st->shows_conditions || SQL_VERB(r->st->facts.verb) & none)
		return false;
	return (t->columns && !(r->st->facts.flags & SQL_F_WRITES)) || queries(&r->st->facts) || finds_by_itself(r);
}

static void note(struct request *r)
{
	struct aftermath *a = &r->s->aftermath;
	const struct track *t = &r->s->up->track;

	a->count = count_of(r, t);
	a->count_there = true;
	if (unlikely(aftermath_may_set_id(r)) && aftermath_has_id(r->s)) {
		a->id_there = true;
		r->s->up->insert_id_of = r->s->id;
		r->s->up->insert_id = r->s->last_insert_id;
	} else if (unlikely(sets_untold(r))) { /* nobody has asked yet: whoever does is not to hear of another's, or of what was before a reset */
		r->s->up->insert_id_of = aftermath_has_id(r->s) ? r->s->id : UPSTREAM_NOBODY;
		r->s->up->insert_id = r->s->last_insert_id;
	}
	if (!finds(r, t))
		return;
	a->found_there = true;
	a->calculated = r->st && r->st->facts.flags & SQL_F_CALC_FOUND_ROWS;
	if (is_open(r) || !t->columns || r->st->facts.verb != SQL_SELECT || r->st->finds_more || exec_opens_cursor(r))
		a->found = AFTERMATH_NOT_KNOWN;
	else
		a->found = found_of(r, t->rows);
}

/* What clears none leaves them as they are. On another server than theirs it may see older ones, which are there yet. */
static bool warnings_stay(struct request *r, bool had)
{
	struct session *s = r->s;
	struct aftermath *a = &s->aftermath;
	const struct track *t = &s->up->track;

	if (a->kind != AFTERMATH_WARNED || !r->st || (aftermath_clears(r) && !(r->plan.follow_up && s->up->mariadb)))
		return false;
	if (r->backend == a->warned_on)
		return s->up->warnings_of == s->id;
	return !t->error && (!t->warnings || had);
}

void aftermath_ran(struct request *r, bool had)
{
	struct session *s = r->s;
	struct aftermath *a = &s->aftermath;

	if (r->cmd == COM_STMT_PREPARE && !s->up->track.error)
		return;
	note(r);
	if (likely(a->kind == AFTERMATH_THERE && !s->up->track.warnings) || warnings_stay(r, had))
		return;
	forget_kind(a);
	if (s->up->track.warnings && !s->on_primary && !s->pins && (r->cmd == COM_QUERY || r->cmd == COM_STMT_EXECUTE))
		keep_text(r);
}

/* So many rows, of nothing: it also clears the warnings, which a SELECT without tables would leave. */
static enum rc put_rows(struct iobuf *sql, uint64_t rows)
{
	static const char ten[] = "(SELECT 0 UNION ALL SELECT 0 UNION ALL SELECT 0 UNION ALL SELECT 0 UNION ALL SELECT 0 UNION ALL "
				  "SELECT 0 UNION ALL SELECT 0 UNION ALL SELECT 0 UNION ALL SELECT 0 UNION ALL SELECT 0)";
	uint64_t have = 1;
	char alias = 'a';

	if (iobuf_printf(sql, "SELECT NULL FROM (SELECT 0) d") != RC_OK)
		return RC_ERROR;
	for (; have < rows; have *= 10, alias++)
		if (iobuf_printf(sql, ",%s d%c", ten, alias) != RC_OK)
			return RC_ERROR;
	return iobuf_printf(sql, " LIMIT %llu", (unsigned long long)rows);
}

/* So many rows, without tables: the warnings stay as they are. */
static enum rc put_few_rows(struct iobuf *sql, uint64_t rows)
{
	enum rc rc = iobuf_printf(sql, rows ? "SELECT 0" : "SELECT 0 LIMIT 0");

	while (rc == RC_OK && rows-- > 1)
		rc = iobuf_printf(sql, " UNION ALL SELECT 0");
	return rc;
}

/* It asks for numbers alone, and those that its connection does not know are put into its answer. */
static bool is_answered(struct request *r, uint64_t asks)
{
	const struct aftermath *a = &r->s->aftermath;
	uint64_t found = a->found_there || a->found == AFTERMATH_NOT_KNOWN ? 0 : asks & SQL_F_FOUND_ROWS;
	uint64_t count = a->count_there || a->count == AFTERMATH_NO_COUNT ? 0 : asks & SQL_F_ROW_COUNT, what[RESULT_NUMBERS_MOST];
	unsigned columns;

	if ((!found && !count) || exec_opens_cursor(r))
		return false;
	columns = sql_asks_each(r->lexed->body, r->mode, what, RESULT_NUMBERS_MOST);
	r->numbers = (struct result_numbers){.columns = (uint8_t)columns};
	for (unsigned i = 0; i < columns; i++) {
		r->numbers.given |= (uint8_t)((what[i] & (found | count)) != 0) << i;
		r->numbers.n[i] = what[i] == SQL_F_FOUND_ROWS ? a->found : (uint64_t)a->count;
	}
	r->own_number = columns > 0;
	return columns > 0;
}

/* What none or one row makes; more only a write does. The variable is always 1. */
static enum rc put_count(struct aftermath *a, struct iobuf *sql)
{
	a->count_there = true;
	return iobuf_printf(sql, a->count ? "SELECT 1 INTO @suimon_row_count" : "DO 0");
}

/* What leaves the same numbers, as far as it can be had. Behind it the connection's warnings are as they were where the rows are few. */
static enum rc put_numbers(struct aftermath *a, uint64_t asks, struct iobuf *sql)
{
	bool found = asks & SQL_F_FOUND_ROWS && !a->found_there, count = asks & SQL_F_ROW_COUNT && !a->count_there;

	if (!found && !count)
		return RC_DECLINED;
	if (!(asks & SQL_F_FOUND_ROWS) && (a->count == 0 || a->count == 1))
		return put_count(a, sql);
	if (asks & SQL_F_ROW_COUNT && a->count != -1)
		return RC_DECLINED;
	if (asks & SQL_F_FOUND_ROWS && (!found || a->found == AFTERMATH_NOT_KNOWN || a->found > ROWS_MOST))
		return RC_DECLINED; /* what there is of it stays */
	return !found ? put_few_rows(sql, 0) : a->found <= FEW_ROWS ? put_few_rows(sql, a->found) : put_rows(sql, a->found);
}

/* The connection has warnings of before what the cache or the queue has answered, which ended them, and r would leave them there. */
static bool shows_older(const struct request *r)
{
	const struct session *s = r->s;
	const struct aftermath *a = &s->aftermath;

	if (likely(a->kind != AFTERMATH_HIT && a->kind != AFTERMATH_QUEUED) || s->up->warnings_of != s->id || s->pins || !r->st)
		return false;
	return r->cmd != COM_STMT_PREPARE && !aftermath_clears(r) && !(a->found_there && a->found == AFTERMATH_NOT_KNOWN);
}

/* A replica has left the warnings that r asks for, and what pins the session came behind them: the read may run again where it is pinned to,
 * for it begins no transaction there and meets no lock or table of the session's own. */
static bool is_left_behind(const struct request *r, uint64_t asks)
{
	const unsigned harmless = PIN_USER_VARIABLE | PIN_USER_LOCK | PIN_SQL_PREPARE | PIN_CONNECTION_ID;
	const struct session *s = r->s;
	const struct aftermath *a = &s->aftermath;

	return unlikely(a->kind == AFTERMATH_WARNED) && asks & SQL_F_DIAGNOSTICS && r->backend != a->warned_on && !(s->pins & ~harmless) &&
	       session_autocommit(s) && !(a->found_there && a->found == AFTERMATH_NOT_KNOWN);
}

enum rc aftermath_bring(struct request *r, struct iobuf *sql)
{
	struct session *s = r->s;
	struct aftermath *a = &s->aftermath;
	uint64_t asks = r->st ? r->st->facts.flags & ASKS : 0, rows;

	if (likely(!asks) || r->cmd == COM_STMT_PREPARE)
		return unlikely(shows_older(r)) ? put_rows(sql, 0) : RC_DECLINED;
	if (s->pins) { /* its connection is as its own statements have left it */
		if (is_left_behind(r, asks)) {
			a->found_there = false;
			return iobuf_append(sql, a->text, a->len);
		}
		(void)is_answered(r, asks);
		return RC_DECLINED;
	}
	switch ((enum aftermath_kind)a->kind) {
	case AFTERMATH_HIT:
		rows = !(asks & SQL_F_FOUND_ROWS) ? 0 : a->found == AFTERMATH_NOT_KNOWN ? a->rows : a->found;
		if (rows > ROWS_MOST)
			break;
		return put_rows(sql, rows);
	case AFTERMATH_QUEUED:
		if (a->rows > 1 || asks == SQL_F_FOUND_ROWS)
			break; /* nothing but a write changes several rows; and it leaves what was found before */
		/* Without a reset behind it, which would take what is asked next; the variable is always 1. */
		return iobuf_printf(sql, a->rows ? "SELECT 1 INTO @suimon_row_count FROM (SELECT 1) d" : "DO (SELECT 1 FROM (SELECT 1) d)");
	case AFTERMATH_WARNED:
		if ((s->up->warnings_of == s->id && r->backend == a->warned_on) || !(asks & SQL_F_DIAGNOSTICS))
			break; /* it is the connection that has them, or they are not asked for */
		return iobuf_append(sql, a->text, a->len);
	case AFTERMATH_THERE:
		break;
	}
	return is_answered(r, asks) ? RC_DECLINED : put_numbers(a, asks, sql);
}
