/*
 * find_worth.c - how much of a statement's time its fix would save, and how much is left.
 *
 * What is left is told from what was measured here: rows that are still to be read, at the rate at which they are read now,
 * and the quickest statement's time for what every statement costs. It is meant to be right within a factor of two.
 */
#include "findings.h"
#include "predict_json.h"

#define LOOKED_UP 12          /* rows scanned cost what one row looked up in an index does; 9 to 26 were measured */
#define KEY_NS (5 * 1000)     /* one more key in a list of keys */
#define ROW_NS 1000           /* one more row read and sent, at least */
#define HIT_NS (50 * 1000)    /* an answer from the cache */
#define QUICKEST_CALLS 10     /* of fewer the mean says little */
#define QUICKEST_MOST_NS (300 * 1000) /* what takes longer has work to do */

bool finding_condenses(const char *text)
{
	static const char *const words[] = {" group by ", "count(", "sum(", "avg("};

	if (strncasecmp(text, "select distinct ", strlen("select distinct ")) == 0) /* that of a subquery behind IN says nothing */
		return true;
	for (unsigned i = 0; i < countof(words); i++) {
		if (strcasestr(text, words[i]))
			return true;
	}
	return false;
}

static uint64_t mean(const struct view_row *r)
{
	return r->n[STATS_N_CALLS] ? r->n[STATS_N_TOTAL_NS] / r->n[STATS_N_CALLS] : 0;
}

uint64_t finding_quickest(const struct view *v)
{
	uint64_t quickest = QUICKEST_MOST_NS;

	for (size_t i = 0; i < v->count; i++) {
		const struct view_row *r = &v->row[i];
		uint64_t at = view_at_servers(r);

		if (at < QUICKEST_CALLS || at != r->n[STATS_N_CALLS])
			continue;
		quickest = mean(r) < quickest ? mean(r) : quickest;
	}
	return quickest;
}

struct finding_worth finding_worth(uint64_t of_ns, double left_ns)
{
	uint64_t left = left_ns < (double)of_ns ? (uint64_t)left_ns : of_ns;

	return (struct finding_worth){.known = true, .saved_ns = of_ns - left, .left_ns = left};
}

/* With `share` of the work that a call is now, beyond what the quickest statement takes. */
static struct finding_worth with_share(const struct findings *l, const struct view_row *r, uint64_t of_ns, double share)
{
	uint64_t call = mean(r), least = l->quickest_ns < call ? l->quickest_ns : call;

	return finding_worth(of_ns, (double)of_ns * ((double)least + share * (double)(call - least)) / (double)call);
}

/* Rows a call that are still to be read: those that match, by a sample of the table, else those that were sent. Of what is condensed
 * neither may be known: none. */
static double rows_left(const struct finding *f)
{
	const struct view_row *r = f->row;

	if (f->advice.rows_left != STATS_ROWS_UNKNOWN)
		return (double)f->advice.rows_left;
	if (!r->main->is_read)
		return (double)r->n[STATS_N_ROWS_AFFECTED] / (double)r->n[STATS_N_CALLS];
	return finding_condenses(r->main->text) ? 0 : (double)r->n[STATS_N_ROWS_SENT] / (double)r->n[STATS_N_CALLS];
}

struct finding_worth finding_worth_index(const struct findings *l, const struct finding *f, uint64_t of_ns)
{
	double share;

	if (!f->advice.given_ns || f->advice.rows_left == STATS_ROWS_UNTOLD || f->advice.rows_examined == 0 || mean(f->row) == 0)
		return (struct finding_worth){0};
	share = (f->advice.covered ? 1 : LOOKED_UP) * rows_left(f) / (double)f->advice.rows_examined;
	return with_share(l, f->row, of_ns, share < 1 ? share : 1);
}

/* The first key of a run costs what it did; a further one what its rows take, and that is no more than it took. Where no index serves
 * them, one reading of the table does for all. */
struct finding_worth finding_worth_loop(const struct finding *f)
{
	const struct view_row *r = f->row;
	double calls = (double)r->n[STATS_N_CALLS], one = (double)f->loop.spent_ns / (double)f->loop.queries,
	       rows = (double)r->n[STATS_N_ROWS_SENT] / calls, further;

	if (r->examined_from && (double)r->rows_examined / calls > rows && r->n[STATS_N_NO_INDEX] * 2 < r->n[STATS_N_CALLS])
		rows = (double)r->rows_examined / calls;
	further = KEY_NS + ROW_NS * rows;
	if (further > one)
		further = one;
	return finding_worth(f->loop.spent_ns,
			     (double)f->loop.occurrences * one + (double)(f->loop.queries - f->loop.occurrences) * further);
}

struct finding_worth finding_worth_page(const struct findings *l, const struct view_row *r)
{
	double share = r->rows_examined ? (double)r->n[STATS_N_ROWS_SENT] / (double)r->rows_examined : 0;

	return with_share(l, r, r->n[STATS_N_TOTAL_NS], share < 1 ? share : 1);
}

struct finding_worth finding_worth_cache(const struct view *v, const struct view_row *r, uint64_t writes)
{
	double total = (double)r->n[STATS_N_TOTAL_NS], calls = (double)r->n[STATS_N_CALLS],
	       could = (double)r->n[STATS_N_CACHEABLE] / calls, saved;
	struct predict_sum p;

	if (predict_get(v->stats, r->digest, &p) && predict_tells(&p))
		saved = predict_saved_share(&p, predict_choose(&p)) * total * could;
	else if (r->n[STATS_N_REPEATS] == 0 || writes * 2 > r->n[STATS_N_REPEATS])
		return (struct finding_worth){0};
	else
		saved = (double)r->n[STATS_N_REPEATS_NS] - (double)r->n[STATS_N_REPEATS] * HIT_NS;
	return finding_worth(r->n[STATS_N_TOTAL_NS], saved > 0 ? total - saved : total);
}
