/*
 * admin_stats.c - /api/overview, /api/queries, /api/findings: the statistics layer writes them, here are their parameters.
 */
#include "admin_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

int get_overview(struct call *c)
{
	return call_done(c, stats_json_overview(c->a->in->stats, &c->out));
}

int get_costs(struct call *c)
{
	return call_done(c, stats_json_costs(c->a->in->stats, &c->out));
}

int get_findings(struct call *c)
{
	return call_done(c, stats_json_findings(c->a->in->stats, c->samples, &c->out));
}

static enum rc sort_of(struct call *c, enum stats_sort *sort)
{
	static const char *const names[] = {
		[STATS_BY_TOTAL_TIME] = "total_time",
		[STATS_BY_CALLS] = "calls",
		[STATS_BY_P99] = "p99",
		[STATS_BY_ROWS_EXAMINED] = "rows_examined",
	};
	const char *text = call_param(c, "sort");

	*sort = STATS_BY_TOTAL_TIME;
	for (unsigned i = 0; text && i < countof(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*sort = (enum stats_sort)i;
			text = NULL;
		}
	}
	if (!text)
		return RC_OK;
	call_error(c, 400, "sort: not allowed, allowed is total_time, calls, p99 or rows_examined");
	return RC_ERROR;
}

int get_queries(struct call *c)
{
	struct stats_of of = {.user = call_param(c, "user"), .schema = call_param(c, "schema")};
	enum stats_sort sort;
	uint64_t limit;

	if (sort_of(c, &sort) != RC_OK || call_number(c, "limit", 50, 1, 100000, &limit) != RC_OK)
		return 400;
	return call_done(c, stats_json_queries(c->a->in->stats, sort, (unsigned)limit, of, &c->out));
}

/* "0x0123456789abcdef", the 0x not needed. */
static enum rc digest_of(const char *text, uint64_t *digest)
{
	char *end;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	if (strspn(text, "0123456789abcdefABCDEF") != strlen(text) || text[0] == '\0')
		return RC_ERROR;
	errno = 0;
	*digest = strtoull(text, &end, 16);
	return errno == 0 && *end == '\0' ? RC_OK : RC_ERROR;
}

int get_query(struct call *c)
{
	uint64_t digest;
	enum rc rc = RC_DECLINED;

	if (digest_of(c->arg, &digest) == RC_OK)
		rc = stats_json_query(c->a->in->stats, digest, c->samples, &c->out);
	if (rc == RC_DECLINED)
		return call_error(c, 404, "no statement of digest %s is known", c->arg);
	return call_done(c, rc);
}
