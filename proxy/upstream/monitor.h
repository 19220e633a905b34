/*
 * monitor.h - asks each server every backend.monitor.interval how it is: alive, its role, its lag, its position.
 *
 * A thread a server (a server that hangs delays no other's check), libmariadb with time limits. Resolves names, too.
 */
#ifndef SUIMON_MONITOR_H
#define SUIMON_MONITOR_H

#include "account.h"
#include "settings.h"
#include "stats.h"
#include "topology.h"

struct monitor;

struct monitor_hooks {
	void *arg;
	void (*primary_changed)(void *arg, struct backend *now); /* the primary came up, went down or moved; monitor's thread */
	/* The primary was at pos: all it had committed by asked_ns (clock_mono_ns before it was asked) is in it. May be NULL;
	 * not called where there are no GTIDs. Monitor's thread. */
	void (*primary_at)(void *arg, const struct gtid_pos *pos, uint64_t asked_ns);
};

/* Settings are read at start and at monitor_reconfigure. Without a monitor account it uses any account a client has
 * proven (accounts_any); before there is one it only looks at the primary's greeting until it has seen it once. */
struct monitor *monitor_new(struct topology *t, struct accounts *as, struct stats *stats, const struct settings *s,
			    const struct monitor_hooks *hooks) must_check;
enum rc monitor_start(struct monitor *m) must_check;
void monitor_reconfigure(struct monitor *m, const struct settings *s);
void monitor_stop(struct monitor *m);
void monitor_free(struct monitor *m);

#endif
