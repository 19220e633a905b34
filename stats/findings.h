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
	uint64_t compared, matched;
};

struct finding {
	const char *kind;
	const struct view_row *row; /* whose it is */
	uint64_t cost_ns, first_ns, last_ns;
	void (*put)(const struct view *v, const struct finding *f, struct jsonw *w); /* title and evidence's fields */
	void (*put_fix)(const struct view *v, const struct finding *f,
			struct jsonw *w); /* fix_text, fix_sql, fix_config */
	const char *title;                /* printf format of one string, the table's name */
	const struct view_row *parent;    /* n_plus_one */
	struct finding_loop loop;         /* n_plus_one */
	struct stats_advice advice;       /* missing_index; owned; given_ns 0: none */
	uint64_t others;                  /* cacheable: writes of the table; queueable: its reads; missing_index: rows written */
};

struct findings {
	struct finding *at; /* owned */
	size_t count, cap;
};

enum rc findings_add(struct findings *l, const struct finding *f) must_check; /* takes over the advice */
/* "findings": [...] of one digest, as child or parent, into an open object. */
enum rc findings_put(const struct view *v, uint64_t digest, bool samples, struct jsonw *w) must_check;

/* "schema.table" of a digest's first table into buf; "" when there is none. */
const char *finding_table(const struct stats_digest *d, char *buf, size_t cap);

/* The collectors. */
enum rc find_loops(const struct view *v, struct findings *l) must_check;   /* find_loops.c */
enum rc find_indexes(const struct view *v, struct findings *l) must_check; /* find_indexes.c */
enum rc find_chances(const struct view *v,
		     struct findings *l) must_check; /* find_chances.c: cacheable, queueable, heavy_aggregate */
enum rc find_locks(const struct view *v, struct findings *l) must_check;   /* find_locks.c */

#endif
