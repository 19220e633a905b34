/*
 * drain_impl.h - the drain's state, shared by drain.c (its face to other threads), drainloop.c (its thread) and what that
 * does: drainload.c (batches), drainapply.c (applying them over one connection), drainshare.c (over several).
 */
#ifndef SUIMON_DRAIN_IMPL_H
#define SUIMON_DRAIN_IMPL_H

#include <pthread.h>

#include "ages.h"
#include "apply.h"
#include "drain.h"
#include "team.h"

#define DRAIN_RATE_SECONDS 10
#define DRAIN_BATCH_MAX 10000u /* rows, whatever the configuration says */

struct drain {
	struct drain_parts parts;
	pthread_t thread;
	bool started;

	/* The drain's thread's. */
	struct applier applier; /* shard 0's; with a team it moves that row, and applies what is too close together to be shared */
	struct team *team;      /* owned; NULL: the applier does it alone */
	struct shares shares;   /* what is applied behind applied_seq */
	uint64_t safe_seq;      /* shard 0's row says so much: what is behind it may be asked for again */
	uint64_t told_seq;      /* applied_seq has been so much */
	struct apply_item *items; /* owned; items_cap of them */
	size_t items_cap, count;  /* loaded */
	size_t next;              /* of them, not applied yet */
	size_t part;              /* most to apply at once, after the server undid a whole batch; 0: all */
	struct iobuf arena;       /* their bodies */
	struct iobuf tables;      /* what a batch wrote, for on_applied */
	struct iobuf writing;     /* what one may write, for on_applying */
	uint64_t epoch;           /* of this opening of the directory; 0: not known yet */
	bool superseded;          /* a later one has been seen */
	bool need_seek;           /* the engine's place is not behind what is loaded */
	uint64_t announced_seq;   /* on_applied was called up to here */
	bool connected_once;
	unsigned failures;      /* in a row */
	uint64_t checkpoint_ns; /* when it was written last */
	uint64_t ping_ns;       /* when the database heard of us last, if others may take over */
	double tokens;          /* of the rate limit */
	uint64_t tokens_ns;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	uint64_t batch_rows, batch_wait_ns, rate;
	uint64_t rows_now;        /* most in a transaction just now: the controller's (drain_adapt) */
	uint64_t batch_target_ns; /* what a transaction may take */
	struct queue_hooks hooks;
	bool stopping, ended, paused, hurry;
	uint64_t stop_until_ns; /* a batch under way may take so long */
	bool kicked;            /* wakes it from any sleep */
	/* Of one record that keeps the others waiting, for people: who may put it aside. */
	uint64_t waited_seq;          /* it failed alone, and is to be tried again; 0: none did */
	uint64_t bury_seq;            /* it is to be a dead letter; 0: none is */
	char bury_reason[256];        /* and was waited for so */
	unsigned failed_code;         /* with which it failed. The drain's thread's */
	bool moved;             /* another server is the primary than when it connected */
	bool anew;              /* it is to log in as another account */
	bool woken;             /* there are more records */
	bool gathering;         /* waits for a batch to become larger, and looks for itself */
	enum queue_state state; /* RUNNING, WAITING, HALTED; the others are derived */
	char reason[256];
	uint64_t said_ns;       /* monotonic: when the log was told of the state last */
	uint64_t applied_seq;
	struct ages ages; /* of the oldest record that is not applied */
	bool wanted, holds;    /* here it is to be applied; it is */
	uint64_t observed_seq; /* so far others have applied it */
	struct iobuf own;      /* the tables that records of this process write */
	uint64_t applied, dead, retries, batches, last_batch_rows;
	uint64_t rate_count[DRAIN_RATE_SECONDS], rate_second[DRAIN_RATE_SECONDS];
};

/* drainloop.c */
void *drain_loop(void *arg);
void drain_set_state(struct drain *d, enum queue_state state, const char *reason);
void drain_nap(struct drain *d, uint64_t ns); /* until there is news for the thread, or ns have passed */
void drain_back_off(struct drain *d);         /* longer from failure to failure */

void drain_disconnect(struct drain *d);
void drain_checkpoint_if_due(struct drain *d);

/* drainapply.c */
void drain_apply_loaded(struct drain *d);
void drain_apply_first(struct drain *d, size_t n); /* of those loaded, over one connection, in one transaction */
void drain_note_tables(struct iobuf *into, struct span tables); /* "schema\0table\0" pairs; each set once */
/* Before the next n items are applied, and with 0 behind them. */
void drain_foretell(struct drain *d, size_t n);
void drain_announce(struct drain *d, uint64_t upto, const char *gtid);
/* All up to seq are applied: tells those who wait and, up to safe, the engine. */
void drain_move_applied(struct drain *d, uint64_t seq, uint64_t safe);
void drain_count_batch(struct drain *d, uint64_t rows, uint64_t buried);
void drain_note_oldest(struct drain *d); /* of those loaded */
void drain_put_aside(struct drain *d); /* of those loaded, the one that somebody wants buried */
/* What to do after a batch of n: goes on, waits, begins anew, halts. */
void drain_settle(struct drain *d, enum apply_result result, size_t n, const char *reason);

/* drainlane.c: when other processes apply it, too */
void drain_stand_by(struct drain *d);
void drain_keep(struct drain *d);  /* idle, and still its owner */
void drain_took(struct drain *d);  /* connected */

/* drainshare.c */
void drain_apply_window(struct drain *d);
void drain_level(struct drain *d); /* shard 0's row catches up */

/* drainload.c */
uint64_t drain_batch_rows(struct drain *d); /* most in a transaction */
/* A transaction of so many rows took so long: may the next be larger? */
void drain_adapt(struct drain *d, uint64_t rows, uint64_t took_ns);
void drain_load_batch(struct drain *d);   /* into items; none: the rate, or nothing is there */
void drain_drop_items(struct drain *d);   /* they are done with */
void drain_forget_batch(struct drain *d); /* they are to be loaded again */

#endif
