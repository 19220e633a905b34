/*
 * hooks.h - what the layers below ask of an instance: with which account to work in the background, and what follows
 * from what they have done.
 */
#ifndef SUIMON_HOOKS_H
#define SUIMON_HOOKS_H

#include "catalog.h"
#include "instance.h"
#include "monitor.h"
#include "queue.h"

struct queue_hooks hooks_queue(struct instance *in);
/* Is the account that applies queued writes, as far as settings name one, another one, or its password? */
bool hooks_queue_login_differs(const struct settings *a, const struct settings *b);
struct catalog_hooks hooks_catalog(struct instance *in);
/* For topology.on_moved. */
void hooks_primary_moved(void *arg, struct backend *from, struct backend *to);
struct monitor_hooks hooks_monitor(struct instance *in);
/* Where and as whom to EXPLAIN: a replica if one is up. user: the account that ran the statement. RC_DECLINED: nobody. */
enum rc hooks_explain_target(void *arg, const char *user, struct catalog_target *out);
/* Has a statement that writes or locks been at the primary for too long just now? */
bool hooks_stuck(void *arg);
/* The digest of what the primary's thread last locked the table with; an empty table: of what it was sent last. 0: not known. */
uint64_t hooks_locker(void *arg, uint32_t thread, struct span schema, struct span table);

#endif
