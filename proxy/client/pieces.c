/*
 * pieces.c - of statements that were sent together each is counted by itself, as the server does.
 *
 *   "update a ...; select b ..."     pieces_result      the first result is here: its rows, time and flags are kept
 *                                    pieces_count       the request is over: text and results are gone through side by side
 *
 * Which result is whose is told by their numbers alone: a text of which each statement gives one. CALL and its like may give
 * several; so such a text counts by its parts only where there are as many results as statements, and none failed. An empty
 * statement's result is nobody's: a text that came so far counts as one.
 */
#include "pieces.h"

#include "clock.h"
#include "mem.h"
#include "request.h"
#include "scan.h"

#define PIECES_FIRST 8
#define PIECES_MOST 4096
#define TABLE_MOST 256

struct piece {
	uint64_t rows, affected, bytes, end_ns; /* so far, of all before it, too */
	uint16_t status, warnings;
};

struct pieces {
	uint32_t n, room;
	bool too_many;
	struct piece piece[]; /* n of them: all but the last result */
};

void pieces_free(struct pieces *p)
{
	mem_free(p);
}

static bool make_room(struct request *r)
{
	struct pieces *p = r->pieces;
	uint32_t room = p ? 2 * p->room : PIECES_FIRST;

	if (p && p->n < p->room)
		return true;
	if (room <= PIECES_MOST)
		p = mem_realloc(p, sizeof(*p) + room * sizeof(p->piece[0]));
	if (!p || room > PIECES_MOST) {
		if (r->pieces)
			r->pieces->too_many = true;
		return false;
	}
	if (!r->pieces)
		*p = (struct pieces){.n = 0};
	p->room = room;
	r->pieces = p;
	return true;
}

void pieces_result(struct request *r)
{
	const struct track *t = &r->s->up->track;

	if (!r->st || !(r->st->facts.flags & SQL_F_MULTI) || (r->pieces && r->pieces->too_many) || !make_room(r))
		return;
	r->pieces->piece[r->pieces->n++] = (struct piece){.rows = t->rows, .affected = r->affected, .bytes = r->bytes_out,
							  .end_ns = clock_mono_ns(), .status = t->status,
							  .warnings = t->warnings};
}

/* Results before the last. */
static uint32_t ended_before(const struct request *r)
{
	return r->pieces ? r->pieces->n : 0;
}

/* Of what stands between two statements: is one of them empty? That one the server answers, too: with an error. */
static bool holds_empty(struct span gap, unsigned mode, uint32_t statements)
{
	struct sql_scan scan;
	struct sql_token t;
	uint32_t semicolons = 0;

	sql_scan_init(&scan, gap, mode);
	for (sql_scan_next(&scan, &t); t.kind != SQL_T_END; sql_scan_next(&scan, &t))
		semicolons += t.kind == SQL_T_OP && t.op == ';';
	return semicolons > (statements ? 1 : 0);
}

/* Up to the first empty one, and no more than most. */
static uint32_t statements_in(struct span text, unsigned mode, uint32_t most)
{
	struct span one;
	uint32_t n = 0;
	size_t at = 0;

	for (size_t from = 0; n < most && sql_split(text, mode, &at, &one); from = at, n++)
		if (holds_empty(span_of(text.p + from, (size_t)(one.p - text.p) - from), mode, n))
			break;
	return n;
}

/* Is the first result the first statement's, the second the second's, and so on? */
static bool side_by_side(const struct request *r, struct span text)
{
	const uint64_t several = SQL_VERB(SQL_CALL) | SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_COMPOUND);
	uint32_t results = ended_before(r) + 1, statements;

	if (r->error && r->st->facts.verbs & several)
		return false;
	statements = statements_in(text, r->mode, results + 1); /* one more than results are too many */
	return r->error ? statements >= results : statements == results;
}

static void of_statement(struct stats_event *e, const struct statement *st, const struct sql_lexed *l)
{
	const struct sql_facts *f = &st->facts;

	e->digest = st->digest;
	e->key = 0;
	e->place = NULL;
	e->literals = l->literals;
	e->text = l->body;
	e->verb = sql_verb_name(f->verb);
	e->is_read = !(f->flags & SQL_F_WRITES);
	e->asks_outcome = f->flags & (SQL_F_LAST_INSERT_ID | SQL_F_ROW_COUNT);
	e->private_text |= sql_is_private(f, l->body);
}

/* What lies between two results: the statement's own. */
static void of_result(struct stats_event *e, uint64_t sent_ns, const struct piece *before, const struct piece *here)
{
	e->rows_sent = here->rows - before->rows;
	e->rows_affected = here->affected - before->affected;
	e->bytes_out = here->bytes - before->bytes;
	e->start_ns = before->end_ns;
	e->total_ns = here->end_ns > before->end_ns ? here->end_ns - before->end_ns : 0;
	e->answer_ns = here->end_ns > sent_ns ? here->end_ns - (sent_ns > before->end_ns ? sent_ns : before->end_ns) : 0;
	e->warnings = here->warnings;
	e->no_index = here->status & STATUS_NO_INDEX;
	e->no_good_index = here->status & STATUS_NO_GOOD_INDEX;
	e->slow_flag = here->status & STATUS_QUERY_WAS_SLOW;
}

/* The i-th of them. RC_ERROR: no memory for what is known of it. */
static enum rc count_one(struct request *r, const struct stats_event *whole, struct span text, uint32_t i)
{
	const struct piece begin = {.end_ns = whole->start_ns};
	const struct piece *piece = r->pieces ? r->pieces->piece : NULL;
	uint32_t before = ended_before(r);
	const struct piece last = {.rows = whole->rows_sent, .affected = whole->rows_affected, .bytes = whole->bytes_out,
				   .end_ns = whole->start_ns + whole->total_ns, .status = r->s->up ? r->s->up->track.status : 0,
				   .warnings = whole->warnings};
	struct stats_event e = *whole;
	struct sql_lexed lexed;
	struct statement *st;
	char table[TABLE_MOST];
	bool fresh;

	sql_lex(text, r->mode, &lexed);
	st = statement_get(&r->worker->statements, lexed.body, r->mode, &lexed, r->s->vars->schema, &fresh);
	if (!st)
		return RC_ERROR;
	of_statement(&e, st, &lexed);
	of_result(&e, r->sent_ns, i ? &piece[i - 1] : &begin, i < before ? &piece[i] : &last);
	e.cacheable = e.queueable = false; /* together they are neither */
	e.tables = NULL; /* of the request's statement */
	e.insert_id = 0;
	e.bytes_in = text.len;
	if (i < before) {
		e.error = 0;
		e.lock = STATS_LOCK_NONE;
	}
	e.unsure_text = statement_text_unsure(st, true, e.error);
	e.table = e.unsure_text ? span_of("", 0) : statement_table(st, table, TABLE_MOST);
	if (i) { /* the first alone has waited for the connection */
		e.wait_ns = 0;
		e.server_ns = e.answer_ns;
		e.retries = 0;
	}
	stats_record(r->worker->sink, &r->s->nplus1, &e);
	statement_unref(st);
	return RC_OK;
}

enum rc pieces_count(struct request *r, const struct stats_event *whole)
{
	struct span text = r->lexed->body, one;
	size_t at = 0;

	if (likely(!(r->st->facts.flags & SQL_F_MULTI)) || (r->pieces && r->pieces->too_many) || !whole->server.len ||
	    !side_by_side(r, text))
		return RC_DECLINED;
	for (uint32_t i = 0; i <= ended_before(r) && sql_split(text, r->mode, &at, &one); i++)
		if (count_one(r, whole, one, i) != RC_OK)
			break;
	return RC_OK;
}
