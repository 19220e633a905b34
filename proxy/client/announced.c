/*
 * announced.c - a write tells the other instances through Redis what it may change, before it is sent: should this
 * process die between the write's COMMIT and its invalidation, they invalidate in its place (C1; cache/ledger.h).
 */
#include <string.h>

#include "mem.h"
#include "request.h"

static void on_announced(struct cache_announcement *a)
{
	struct request *r = container_of(a, struct request, announcement);

	r->announce_pending = false;
	exec_resume(r, STEP_ACQUIRE);
}

/* Its own tables, and those of the open transaction: it may be what commits that. */
enum rc announced_step(struct request *r)
{
	struct session *s = r->s;
	const struct write_set *w = s->transaction;
	struct write_targets t = {.n = 0};
	cache_tag tags[2 * CACHE_MAX_TAGS];
	bool anything;
	enum rc rc;

	if (!s->worker->cache || r->announced || (!r->plan.writes && !w))
		return RC_OK;
	if (r->plan.writes)
		temps_targets(r, &t);
	anything = t.anything || deltas_transaction_wrote_anything(r);
	memcpy(tags, t.tags, t.n * sizeof(tags[0]));
	if (w)
		memcpy(tags + t.n, w->tables, w->ntables * sizeof(tags[0]));
	if (!anything && t.n + (w ? w->ntables : 0) == 0)
		return RC_OK; /* nobody else sees it */
	r->announcement.done = on_announced;
	rc = cache_announce(s->worker->cache, &r->announcement, tags, t.n + (w ? w->ntables : 0u), anything);
	r->announced = true;
	r->announce_pending = rc == RC_AGAIN;
	return rc;
}

void announced_end(struct request *r)
{
	if (r->announced)
		cache_announce_end(&r->announcement);
	r->announced = r->announce_pending = false;
}
