/*
 * view.h - what a reader sees: the rows of all sinks merged by digest, over schemas and users.
 *
 * Between open and close the rows stay where they are (see core.h); any thread, several at once.
 */
#ifndef SUIMON_STATS_VIEW_H
#define SUIMON_STATS_VIEW_H

#include "core.h"

#define VIEW_NONE UINT32_MAX

struct view_ref {
	const struct stats_row *row;
	uint32_t next; /* of the same digest, in view.ref; VIEW_NONE ends */
};

struct view_row {
	uint64_t digest;
	const struct stats_digest *main; /* names and text: of the record that took most time; valid until close */
	uint64_t main_ns;
	uint32_t refs; /* its rows, in view.ref; VIEW_NONE: none */
	uint64_t n[STATS_NUMBERS];
	uint64_t min_ns, max_ns, first_ns, last_ns;
	uint64_t rows_examined; /* of all calls that a server has answered */
	enum view_examined { VIEW_EXAMINED_UNKNOWN, VIEW_EXAMINED_PLAN, VIEW_EXAMINED_SERVER } examined_from;
	uint64_t paths;         /* as in struct stats_digest, of all its records */
	uint64_t key;           /* what it is sorted by */
};

struct view {
	struct stats *stats;
	struct stats_of of;
	struct view_row *row; /* owned, in no order until sorted */
	size_t count;
	struct view_ref *ref; /* owned */
	size_t nref;
	uint32_t *bucket; /* owned; digest → row, open addressing; VIEW_NONE: free */
	size_t buckets;
	struct view_row other; /* what has no row of its own; main NULL. Nothing in a view of one user or schema: whose that was is not known */
};

enum rc view_open(struct stats *s, struct view *v) must_check; /* RC_ERROR: no memory; nothing to close */
enum rc view_open_of(struct stats *s, struct stats_of of, struct view *v) must_check; /* the same of these alone; of's strings stay there until close */
void view_close(struct view *v);
struct view_row *view_find(const struct view *v, uint64_t digest); /* NULL: not known. Before view_sort only */
enum rc view_sort(struct view *v, enum stats_sort sort) must_check;
/* Their latencies merged. For the caller to hist_reset, also after RC_ERROR. */
enum rc view_hist(const struct view *v, const struct view_row *r, struct hist *out) must_check;
/* A copy of the slowest of their samples in the main record's schema; NULL: none. For the caller to mem_free. */
struct stats_sample *view_sample(const struct view *v, const struct view_row *r) must_check;

/* Calls that the servers flagged as reading without an index, or without a good one. */
static inline uint64_t view_flagged(const struct view_row *r)
{
	return r->n[STATS_N_NO_INDEX] + r->n[STATS_N_NO_GOOD_INDEX];
}

/* Calls that a server has answered. */
static inline uint64_t view_at_servers(const struct view_row *r)
{
	return r->n[STATS_N_ROUTED + STATS_PRIMARY] + r->n[STATS_N_ROUTED + STATS_REPLICA];
}

/* Where rows_examined is from: "plan", the adviser's estimate, or "performance_schema"; NULL: not known. */
const char *view_examined_name(const struct view_row *r);

#endif
