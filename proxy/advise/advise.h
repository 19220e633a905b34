/*
 * advise.h - the adviser: EXPLAINs statements that the statistics point at, and says which index would serve them; and looks who
 * waits for whose locks while a statement does not come back.
 *
 *   stats_next_explain → EXPLAIN FORMAT=JSON on a replica → full scans and their conditions → columns
 *     → against the table's columns and indexes → stats_put_advice
 *
 * A thread of its own, at most one EXPLAIN a second (stats_next_explain sees to that), each with time limits. Only
 * SELECTs that read and nothing else are explained: EXPLAIN may evaluate what is constant in a statement.
 *
 *   stuck → InnoDB's lock waits on the primary, once a second → stats_lock_seen
 */
#ifndef SUIMON_ADVISE_H
#define SUIMON_ADVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "catalog.h"
#include "rc.h"
#include "stats.h"

struct advise;

struct advise_hooks {
	void *arg;
	/* Where and as whom to ask: a replica if there is one, else the primary. user: whose statement it is. Asked anew for
	 * each statement, on the adviser's thread. RC_DECLINED: none just now. */
	enum rc (*target)(void *arg, const char *user, struct catalog_target *out);
	/* The primary, and as whom to ask it; as above. */
	enum rc (*primary)(void *arg, struct catalog_target *out);
	/* Does a statement of ours take so long there that it may wait for a lock? */
	bool (*stuck)(void *arg);
	/* The digest of the statement that last locked the table on the primary's thread; table empty: that runs there. 0: not known. */
	uint64_t (*locker)(void *arg, uint32_t thread, struct span schema, struct span table);
};

struct advise *advise_new(struct stats *stats, const struct advise_hooks *hooks) must_check; /* enabled */
enum rc advise_start(struct advise *a) must_check;
void advise_stop(struct advise *a); /* NULL is allowed, here and for the next */
void advise_free(struct advise *a);
void advise_enable(struct advise *a, bool on); /* EXPLAINs; any thread */

#endif
