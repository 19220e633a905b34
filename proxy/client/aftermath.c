#include "aftermath.h"

#include <string.h>

#include "mem.h"
#include "request.h"

#define TEXT_MOST 4096 /* a longer read's warnings stay where they are */
#define ASKS (SQL_F_FOUND_ROWS | SQL_F_ROW_COUNT | SQL_F_DIAGNOSTICS)
#define FEW_ROWS 64 /* of so many it is, and leaves the warnings as they are */
#define ROWS_MOST 1000000 /* FOUND_ROWS() of more is not made */

void aftermath_reset(struct aftermath *a)
{
	mem_free(a->text);
	*a = (struct aftermath){.kind = AFTERMATH_THERE};
}

static void set(struct request *r, enum aftermath_kind kind, uint64_t rows)
{
	struct aftermath *a = &r->s->aftermath;

	if (unlikely(a->text != NULL))
		aftermath_reset(a);
	a->kind = kind;
	a->rows = rows;
}

void aftermath_hit(struct request *r)
{
	set(r, AFTERMATH_HIT, r->rows);
}

void aftermath_queued(struct request *r)
{
	set(r, AFTERMATH_QUEUED, r->affected);
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

/* SHOW WARNINGS and SHOW ERRORS find no rows, as FOUND_ROWS() has it. */
static bool shows_conditions(const struct request *r)
{
	return r->st && (strncmp(r->st->text, "show warnings", 13) == 0 || strncmp(r->st->text, "show errors", 11) == 0);
}

/* FOUND_ROWS() is what was found before, by the cache or by another server, where nothing was found since. */
static bool found_stays(struct request *r)
{
	struct aftermath *a = &r->s->aftermath;
	const struct track *t = &r->s->up->track;

	if (!t->error && t->columns && !shows_conditions(r))
		return false;
	if (a->found_on && a->found_on == r->backend)
		return true;
	if (!a->found_on && a->kind != AFTERMATH_HIT && a->kind != AFTERMATH_FOUND)
		return false;
	set(r, AFTERMATH_FOUND, a->found_on ? a->found : a->rows);
	a->failed = t->error;
	a->found_on = NULL;
	return true;
}

/* The next statement may run elsewhere. */
static void keep_found(struct request *r)
{
	const struct session *s = r->s;
	const struct track *t = &s->up->track;
	bool known = r->st && !(r->st->facts.flags & (SQL_F_CALC_FOUND_ROWS | SQL_F_MULTI)) && t->results == 1 &&
		     !shows_conditions(r);

	if (s->on_primary || s->pins || t->error || !known || (r->cmd != COM_QUERY && r->cmd != COM_STMT_EXECUTE))
		return;
	r->s->aftermath.found_on = r->backend;
	r->s->aftermath.found = r->rows;
}

/* What has no tables leaves warnings as they are. On another server than theirs it may see older ones, which are there yet. */
static bool warnings_stay(struct request *r, bool had)
{
	struct aftermath *a = &r->s->aftermath;
	const struct track *t = &r->s->up->track;

	if (a->kind != AFTERMATH_WARNED || !r->st || (!r->plan.follow_up && r->st->facts.ntables))
		return false;
	if (r->backend == a->warned_on)
		return r->s->up->warnings_of == r->s->id;
	if (t->error || (t->warnings && !had))
		return false;
	a->followed = true;
	a->found_since |= t->columns != 0;
	return true;
}

void aftermath_ran(struct request *r, bool had)
{
	struct session *s = r->s;

	if (likely(s->aftermath.kind == AFTERMATH_THERE && !s->up->track.warnings && s->on_primary && !s->aftermath.found_on))
		return;
	if (warnings_stay(r, had) || (r->cmd == COM_STMT_PREPARE && !s->up->track.error) || found_stays(r))
		return;
	aftermath_reset(&s->aftermath);
	keep_found(r);
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

enum rc aftermath_bring(struct request *r, struct iobuf *sql)
{
	struct session *s = r->s;
	struct aftermath *a = &s->aftermath;
	uint64_t asks = r->st ? r->st->facts.flags & ASKS : 0;

	if (likely(!asks || a->kind == AFTERMATH_THERE) || r->cmd == COM_STMT_PREPARE || s->pins)
		return RC_DECLINED;
	switch ((enum aftermath_kind)a->kind) {
	case AFTERMATH_HIT:
		if (a->rows > ROWS_MOST)
			return RC_DECLINED;
		return put_rows(sql, asks & SQL_F_FOUND_ROWS ? a->rows : 0);
	case AFTERMATH_FOUND:
		if (asks & ~(SQL_F_FOUND_ROWS | (a->failed ? SQL_F_ROW_COUNT : 0)))
			return RC_DECLINED; /* what else it asks for lies on the connection */
		return a->rows <= FEW_ROWS ? put_few_rows(sql, a->rows) : a->rows > ROWS_MOST ? RC_DECLINED : put_rows(sql, a->rows);
	case AFTERMATH_QUEUED:
		if (a->rows > 1)
			return RC_DECLINED; /* nothing but a write changes several rows */
		/* Without a reset behind it, which would take what is asked next; the variable is always 1. */
		return iobuf_printf(sql, a->rows ? "SELECT 1 INTO @suimon_row_count FROM (SELECT 1) d" : "DO (SELECT 1 FROM (SELECT 1) d)");
	case AFTERMATH_WARNED:
		if (s->up->warnings_of == s->id && r->backend == a->warned_on)
			return RC_DECLINED; /* it is the connection that has them */
		if (a->followed && !(asks & SQL_F_DIAGNOSTICS) && (asks & SQL_F_ROW_COUNT || a->found_since))
			return RC_DECLINED; /* and this is the one that has what else it asks for */
		return iobuf_append(sql, a->text, a->len);
	case AFTERMATH_THERE:
		break;
	}
	return RC_DECLINED;
}
