/*
 * doubt.h - writes whose outcome nobody will tell: the link was lost, or the client went, while the server had them; or the server has
 * answered them before they are done (INSERT DELAYED).
 *
 * The server may go on with such a statement, wait for a lock, and commit when what it wrote has long been invalidated and read
 * anew. So it is invalidated again, after half a second and then at intervals that double, for about a minute: a result that such a
 * write makes stale is gone after at most twice the time the write took. The worker's thread only.
 */
#ifndef SUIMON_DOUBT_H
#define SUIMON_DOUBT_H

#include "cache.h"
#include "worker.h"

void doubts_init(struct doubts *d);
void doubts_reset(struct doubts *d);
/* anything: tags do not matter. Copied. */
void doubts_add(struct worker *w, const cache_tag *tags, unsigned n, bool anything);
void doubts_tick(struct worker *w, uint64_t now_ns);

#endif
