/*
 * runs.c - see runs.h.
 */
#include "runs.h"

#include <ctype.h>

#include "mem.h"

/* How many runs a record may pass by. */
#define LOOK_BACK 16

void runs_reset(struct runs *r)
{
	mem_free(r->run);
	*r = (struct runs){0};
}

static enum rc reserve(struct runs *r, size_t n)
{
	struct run *grown;

	if (n <= r->cap)
		return RC_OK;
	grown = mem_realloc(r->run, n * sizeof(*grown));
	if (!grown)
		return RC_ERROR;
	r->run = grown;
	r->cap = n;
	return RC_OK;
}

/* Nobody notices whether it is applied before or after records of other tables. */
static bool may_be_passed(const struct apply_item *it)
{
	return it->mergeable && it->need <= TIME_SECOND;
}

static bool fits(const struct run *run, const struct apply_item *it, uint64_t most_bytes)
{
	const struct apply_item *first = run->first;

	return first->mergeable && it->need == first->need &&
	       run->bytes + merge_rows(&it->rec.r).len + 1 <= most_bytes &&
	       merge_same(&first->rec.r, &it->rec.r, it->need);
}

/* Their tables as the order key has them, in lower case: to a server with lower_case_table_names T is t. */
static bool same_tables(const struct queue_record *a, const struct queue_record *b)
{
	bool keyed = a->order_key.len >= a->tables.len && b->order_key.len >= b->tables.len;
	const char *p = keyed ? a->order_key.p : a->tables.p, *q = keyed ? b->order_key.p : b->tables.p;

	if (a->tables.len != b->tables.len)
		return false;
	for (size_t i = 0; i < a->tables.len; i++)
		if (tolower((unsigned char)p[i]) != tolower((unsigned char)q[i]))
			return false;
	return true;
}

/* The run this record can join; NULL: none. */
static struct run *find_run(struct runs *r, const struct apply_item *it, uint64_t most_bytes, bool strict)
{
	size_t back = strict || (r->n && !may_be_passed(it)) ? 1 : LOOK_BACK;

	if (!it->mergeable)
		return NULL;
	for (size_t i = r->n; i-- > 0 && back--;) {
		struct run *run = &r->run[i];

		if (fits(run, it, most_bytes))
			return run;
		if (!may_be_passed(run->first) || same_tables(&run->first->rec.r, &it->rec.r))
			return NULL;
	}
	return NULL;
}

static void join(struct runs *r, struct run *run, struct apply_item *it)
{
	run->last->next = it;
	run->last = it;
	run->n++;
	run->bytes += merge_rows(&it->rec.r).len + 1;
	if (run != &r->run[r->n - 1])
		r->reordered = true;
}

enum rc runs_plan(struct runs *r, struct apply_item *items, size_t n, uint64_t most_bytes, bool strict)
{
	r->n = 0;
	r->reordered = false;
	if (reserve(r, n) != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < n; i++) {
		struct apply_item *it = &items[i];
		struct run *run;

		it->next = NULL;
		if (it->skip || it->bury)
			continue;
		run = find_run(r, it, most_bytes, strict);
		if (run)
			join(r, run, it);
		else
			r->run[r->n++] = (struct run){.first = it, .last = it, .n = 1, .bytes = it->rec.r.sql.len};
	}
	return RC_OK;
}
