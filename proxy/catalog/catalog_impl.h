/*
 * catalog_impl.h - what catalog.c, which reads, and catalog_answer.c, which answers, share.
 */
#ifndef SUIMON_CATALOG_IMPL_H
#define SUIMON_CATALOG_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "catalog_session.h"
#include "ticker.h"

struct catalog {
	struct catalog_hooks hooks;
	struct ticker ticker;
	struct sqlconn *conn; /* owned */
	_Atomic uint64_t version;
	_Atomic uint64_t readings; /* that have found something else than the one before */
	_Atomic uint64_t wanted;    /* goes up with every invalidation */
	_Atomic uint64_t loaded;    /* what wanted was when the present snapshot's reading began */
	_Atomic uint64_t procedures_wanted, procedures_loaded; /* the same of what may have changed procedures */
	_Atomic uint64_t begun, done; /* readings, counted: the last one begun, and the last one that was done and kept */
	_Atomic bool told_unseen;   /* the log was */
	_Atomic bool hidden;        /* since this snapshot one was asked for a schema that the account does not see as a whole, and the log was told */
	_Atomic uint64_t missed_ns; /* when a name was last looked for in vain and that led to a reading */
	_Atomic bool wanting;       /* somebody caches or queues: what DDL changed is read again */
	_Atomic bool doubted;       /* read in a while: it may have changed, and nobody has seen that */
	_Atomic bool nudged;        /* read at once: it may work now, or a name was not found */
	_Atomic bool failing;       /* the last attempt did */
	pthread_mutex_t lock;       /* guards what follows; began_ns and took_ns are the thread's own */
	struct snapshot *now;       /* owned reference; NULL: never read */
	bool readable;
	struct catalog_history history; /* by DDL; counted as wanted is */
	unsigned ddl_running;
	uint64_t ddl_since_ns; /* monotonic: there was none before */
	uint64_t read_ns;
	char problem[256];
	char hidden_of[128];   /* that schema, quoted */
	uint64_t told_ns; /* monotonic: when the log was told of it last; under lock */
	uint64_t began_ns, took_ns; /* the last attempt */
};

bool catalog_is_stale(struct catalog *c);
void catalog_read_soon(struct catalog *c);

#endif
