/*
 * follow.h - follows the primary's binary log, so that the cache hears of writes that bypass suimon (cache.binlog).
 *
 *   connect → where is the log? → dump from the last position → events → transactions → what they changed
 *     → has the primary made it visible? → cache_invalidate_from
 *   caught up with the primary's own position → cache_followed: for CACHE_FOLLOW_LEASE_NS nothing can be missing
 *
 * Events come before the primary has made them visible: were they invalidated at once, a read could store the old row again. So
 * the primary is asked how far it is, on a second connection, and a transaction waits for that. The dump is read by our
 * own client side (upstream.h), not by libmariadb's mariadb_rpl, which believes lengths that a server sends, overruns memory where events
 * are compressed, and cannot ask MySQL for a GTID position; docs/cache.md has more of it.
 */
#ifndef SUIMON_FOLLOW_H
#define SUIMON_FOLLOW_H

#include "instance.h"

struct follow;

/* in->cache is there. NULL: no memory. From now on the cache waits for it. */
struct follow *follow_new(struct instance *in) must_check;
enum rc follow_start(struct follow *f) must_check; /* a thread of its own */
void follow_stop(struct follow *f);                /* ends it; idempotent; NULL is allowed */
void follow_free(struct follow *f);                /* NULL is allowed */

#endif
