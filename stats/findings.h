/*
 * findings.h - what should be done about the statements: evidence, the time it costs, the fix.
 *
 * Each kind has a collector that looks at the view and adds what it finds, and a writer for one of them. A wrong
 * finding costs more trust than a missing one: where the evidence is thin, nothing is added.
 */
#ifndef SUIMON_STATS_FINDINGS_H
#define SUIMON_STATS_FINDINGS_H

#include "jsonw.h"
#include "view.h"

/* A loop, over all sinks. */
struct finding_loop {
	uint64_t parent, child;
	char route[STATS_TAG_MAX + 1], framework[STATS_FRAMEWORK_MAX + 1];
	uint64_t occurrences, queries, spent_ns, parent_rows, overruns, max_repeats, first_ns, last_ns;
	uint64_t compared, matched, varied;
};

/* What the fix is expected to do to the time of the statements it concerns. */
struct finding_worth {
	bool known;
	uint64_t saved_ns, left_ns; /* of the time since start */
};

struct finding {
	const char *kind;
	const struct view_row *row; /* whose it is */
	uint64_t cost_ns, first_ns, last_ns;
	uint64_t times; /* it was seen between these; 0: each call of the row */
	void (*put)(const struct view *v, const struct finding *f, struct jsonw *w); /* title and evidence's fields */
	void (*put_fix)(const struct view *v, const struct finding *f,
			struct jsonw *w); /* fix_text, fix_sql, fix_config */
	const char *title;                /* printf format of one string, the table's name */
	const struct view_row *parent;    /* n_plus_one */
	struct finding_loop loop;         /* n_plus_one */
	struct stats_advice advice;       /* missing_index; owned; given_ns 0: none */
	struct finding_worth worth;
	bool values;                      /* whoever asks may see literals */
	uint64_t others;                  /* cacheable, heavy_aggregate: writes of the table; queueable: its reads; missing_index: rows written */
};

struct findings {
	struct finding *at; /* owned */
	size_t count, cap;
	uint64_t quickest_ns; /* what a statement takes here at least, see finding_quickest */
};

enum rc findings_add(struct findings *l, const struct finding *f) must_check; /* takes over the advice */
/* "findings": [...] of one digest, as child or parent, into an open object. */
enum rc findings_put(const struct view *v, uint64_t digest, bool samples, struct jsonw *w) must_check;

/* It asks a server about itself: nothing of that is the application's to mend. */
bool finding_is_of_system(const struct stats_digest *d);
/* "schema.table" of a digest's first table into buf; "" when there is none. */
const char *finding_table(const struct stats_digest *d, char *buf, size_t cap);

/* ---- batch.c ---- */

/* Appends the one statement that a loop's child, normalised, becomes when it is asked of many keys at once. varied: as in struct stats_run.
 * few: it was not sent more rows than keys, as where a LIMIT cuts nothing off. RC_DECLINED: it cannot be said. */
enum rc batch_put(const char *text, uint64_t varied, bool few, struct iobuf *out) must_check;

/* ---- find_worth.c ---- */

/* Its text makes few rows of many: GROUP BY, COUNT and the like. */
bool finding_condenses(const char *text);
/* The mean of the quickest digest that servers have answered, a millisecond at most. */
uint64_t finding_quickest(const struct view *v);
/* That the fix leaves so much of a time. */
struct finding_worth finding_worth(uint64_t of_ns, double left_ns);
/* With the index of the advice, or with it used; of_ns: the time of the calls that it concerns. */
struct finding_worth finding_worth_index(const struct findings *l, const struct finding *f, uint64_t of_ns);
/* With one statement for all of a loop's keys. */
struct finding_worth finding_worth_loop(const struct finding *f);
/* With a page asked for by the key it begins behind. */
struct finding_worth finding_worth_page(const struct findings *l, const struct view_row *r);
/* With a cache rule; not known where there is no saying whether the reads come again. */
struct finding_worth finding_worth_cache(const struct view *v, const struct view_row *r, uint64_t writes);

/* The collectors. */
enum rc find_loops(const struct view *v, struct findings *l) must_check;   /* find_loops.c */
enum rc find_indexes(const struct view *v, struct findings *l) must_check; /* find_indexes.c */
enum rc find_chances(const struct view *v,
		     struct findings *l) must_check; /* find_chances.c: cacheable, queueable, heavy_aggregate */
enum rc find_locks(const struct view *v, struct findings *l) must_check;   /* find_locks.c */

#endif
