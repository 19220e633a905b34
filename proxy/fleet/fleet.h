/*
 * fleet.h - config.source: the options that many instances share come from Redis, are looked for twice a second, and are taken by
 * the same reload as the host's own file: all of a document or nothing of it.
 *
 *   fleet_first (at the start: Redis, else what an upgrade's former process has, else the copy on disk)
 *   → fleet_start → every FLEET_POLL: version and sum → the document → take → in force, and kept on disk; or refused: once logged,
 *   counted, shown, and not tried again until another version comes or the host's own file is reloaded
 *
 * Redis gone, the key gone, or a document that is refused leave in force what was. All of it belongs to the control thread.
 */
#ifndef SUIMON_FLEET_H
#define SUIMON_FLEET_H

#include "fleet_copy.h"
#include "jsonw.h"
#include "settings.h"
#include "stats.h"

struct fleet;

/* Validates the document and puts it in force. RC_ERROR: nothing was changed; why has the faults, one a line (logged). */
typedef enum rc (*fleet_take_fn)(const struct settings_shared *doc, struct iobuf *why);

struct fleet_options {
	struct secret *source; /* config.source; a reference is taken */
	const char *copy;   /* the file of the last good document; NULL: none */
	fleet_take_fn take; /* until fleet_start */
};

struct fleet_live {
	struct loop *loop;       /* the control loop; not owned */
	struct stats_sink *sink; /* its */
	fleet_take_fn take;
};

struct fleet *fleet_new(const struct fleet_options *opt) must_check; /* NULL: no memory */
/* On a loop of its own: asks Redis for at most two seconds, and takes what it has; else what the process that this one replaces has in force
 * (lent: its fleet_lend; -1: nothing), or what is on disk. RC_DECLINED: the former one's is refused. */
enum rc fleet_first(struct fleet *f, int lent) must_check;
int fleet_lend(const struct fleet *f) must_check; /* what is in force, for a successor; the caller's. -1: nothing, or no room. NULL is allowed */
/* RC_ERROR: no memory, or the URL's certificate file is no good (logged). */
enum rc fleet_start(struct fleet *f, const struct fleet_live *live) must_check;
void fleet_free(struct fleet *f); /* NULL is allowed; the loop has ended */

/* What is in force, to be laid over the host's file by its reload. NULL: nothing. */
const struct settings_shared *fleet_in_force(struct fleet *f); /* f NULL is allowed */
void fleet_again(struct fleet *f); /* the host's file has changed: what was refused is tried once more; NULL is allowed */

struct fleet_gauges { uint64_t version; bool up, refused; };
struct fleet_gauges fleet_gauges(const struct fleet *f); /* NULL is allowed */
/* shared: the options it has set, one a line (settings.shared). */
void fleet_put(const struct fleet *f, const char *shared, struct jsonw *w);

#endif
