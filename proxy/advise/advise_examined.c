/*
 * advise_examined.c - rows examined, as the servers count them: performance_schema's digests, on the primary and a replica, joined
 * by their text with suimon's own. MariaDB and MySQL have the same table and write the text alike.
 *
 * Asked as the monitor's account, which needs SELECT on that table; where it may not, or no server keeps such digests, it is asked
 * again much later, and estimates by the plan stand.
 */
#include <stdlib.h>

#include "advise_impl.h"
#include "clock.h"
#include "examined.h"
#include "log.h"
#include "mem.h"

#define LIMIT_NS (3 * NS_PER_SEC)
#define FIRST_NS (5 * NS_PER_SEC) /* between the first two looks; then longer and longer, */
#define MOST_NS (60 * NS_PER_SEC) /* up to this */
#define REFUSED_NS (600 * NS_PER_SEC)
#define DIGESTS_MOST 20000

static const char sql[] = "SELECT SCHEMA_NAME, DIGEST_TEXT, COUNT_STAR, SUM_ROWS_EXAMINED"
			  " FROM performance_schema.events_statements_summary_by_digest"
			  " WHERE SCHEMA_NAME IS NOT NULL AND DIGEST_TEXT IS NOT NULL AND COUNT_STAR > 0 LIMIT 20000";

struct entry {
	uint64_t same, calls, rows;
};

struct advise_examined {
	struct stats *stats;
	const struct advise_hooks *hooks;
	struct sqlconn *conn; /* owned */
	struct entry *entry;  /* owned, DIGESTS_MOST; sorted when all are there; NULL between looks */
	size_t n;
	uint64_t due_ns, every_ns;
};

static enum rc on_digest(void *arg, const struct sqlconn_row *row)
{
	struct advise_examined *a = arg;
	struct entry e;

	if (row->n < 4 || a->n == DIGESTS_MOST || !row->value[0].p || !row->value[1].p)
		return RC_OK;
	e = (struct entry){advise_same(row->value[0], row->value[1]), advise_number(row->value[2]), advise_number(row->value[3])};
	if (e.same && e.calls)
		a->entry[a->n++] = e;
	return RC_OK;
}

/* RC_DECLINED: it refuses, or is not to be had. */
static enum rc ask(struct advise_examined *a, const struct catalog_target *at)
{
	enum rc rc;

	if (advise_log_in(a->conn, at) != RC_OK)
		return RC_DECLINED;
	rc = sqlconn_query(a->conn, span_str(sql), LIMIT_NS, on_digest, a);
	if (rc != RC_OK)
		log_debug("advise", "a server's own count of rows examined cannot be read", "errno=%u", sqlconn_errno(a->conn));
	sqlconn_close(a->conn);
	return rc == RC_OK ? RC_OK : RC_DECLINED;
}

static int by_same(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;

	return a->same < b->same ? -1 : a->same > b->same;
}

static size_t first_of(const struct advise_examined *a, uint64_t same)
{
	size_t low = 0, high = a->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (a->entry[mid].same < same)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Several of a server's digests may be one of ours, on several servers. */
static bool mean_of(void *arg, struct span schema, struct span text, uint64_t *thousandths)
{
	struct advise_examined *a = arg;
	uint64_t same = advise_same(schema, text);
	double calls = 0, rows = 0;

	for (size_t i = first_of(a, same); same && i < a->n && a->entry[i].same == same; i++) {
		calls += (double)a->entry[i].calls;
		rows += (double)a->entry[i].rows;
	}
	if (calls < 1)
		return false;
	*thousandths = (uint64_t)(rows / calls * 1000);
	return true;
}

static void look(struct advise_examined *a)
{
	struct catalog_target primary = {.port = 0}, replica = {.port = 0};
	bool answered = false;

	if (a->hooks->primary(a->hooks->arg, &primary) == RC_OK)
		answered = ask(a, &primary) == RC_OK;
	if (a->hooks->target(a->hooks->arg, "", &replica) == RC_OK)
		answered |= ask(a, &replica) == RC_OK;
	qsort(a->entry, a->n, sizeof(*a->entry), by_same);
	if (a->n)
		stats_take_examined(a->stats, mean_of, a);
	a->every_ns = !answered ? REFUSED_NS : a->every_ns * 2 > MOST_NS ? MOST_NS : a->every_ns * 2;
}

void advise_examined_look(struct advise_examined *a)
{
	if (clock_mono_ns() < a->due_ns)
		return;
	a->entry = mem_alloc(DIGESTS_MOST * sizeof(*a->entry));
	a->n = 0;
	if (a->entry)
		look(a);
	mem_free(a->entry);
	a->entry = NULL;
	a->due_ns = clock_mono_ns() + a->every_ns;
}

struct advise_examined *advise_examined_new(struct stats *stats, const struct advise_hooks *hooks)
{
	struct advise_examined *a = mem_zalloc(sizeof(*a));

	if (!a)
		return NULL;
	a->stats = stats;
	a->hooks = hooks;
	a->every_ns = FIRST_NS;
	a->due_ns = clock_mono_ns() + FIRST_NS;
	a->conn = sqlconn_new();
	if (!a->conn) {
		mem_free(a);
		return NULL;
	}
	return a;
}

void advise_examined_free(struct advise_examined *a)
{
	if (!a)
		return;
	sqlconn_free(a->conn);
	mem_free(a);
}

void advise_examined_interrupt(struct advise_examined *a)
{
	sqlconn_interrupt(a->conn);
}
