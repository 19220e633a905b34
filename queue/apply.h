/*
 * apply.h - one batch of records into the database, with the position, in one transaction (Q2, Q5, Q6).
 *
 *   START TRANSACTION → runs of records (runs.h), a statement each → dead letters durable → position → COMMIT
 *
 * A statement that fails for good is undone by the server alone; the transaction goes on without it. So are all of a record
 * that has several, to a savepoint before them. A merged one is halved until the culprit is found. If records of other tables had been passed by, the batch is applied anew in strict
 * order first: what failed may have failed for that.
 */
#ifndef SUIMON_APPLY_H
#define SUIMON_APPLY_H

#include <stdatomic.h>

#include "dbconn.h"
#include "deadtable.h"
#include "engine.h"
#include "iobuf.h"
#include "merge.h"
#include "parents.h"
#include "position.h"
#include "record.h"
#include "runs.h"
#include "tableinfo.h"

#define APPLY_GTID_MAX 128
#define APPLY_SCHEMA_MAX 256

enum apply_result {
	APPLY_DONE,      /* committed: position.seq has moved */
	APPLY_RETRY,     /* lost a race: the same again, on this connection */
	APPLY_WAIT,      /* cannot be now: the same again, later */
	APPLY_RECONNECT, /* the connection is gone or its COMMIT undecided: read the position anew */
	APPLY_SMALLER,   /* the server undid the whole batch for one statement: again, in parts */
	APPLY_STRICTLY,  /* not seen by callers: again, in strict order */
	APPLY_ALONE,     /* a statement failed for good while other shares are being applied: again when they are done */
	APPLY_HALT,      /* a record whose rule says so failed for good; those before it are committed */
};

struct applier {
	struct dbconn conn;
	struct position position;
	struct tableinfo tables;
	struct dead *dead; /* not owned; NULL: table has them */
	struct deadtable *table; /* not owned; not NULL: other processes apply what this one does not, and may take over */
	struct queue_engine *engine; /* not owned; has a word in each transaction; NULL: it has not */
	struct queue_engine *lane; /* not owned; what other lanes write may be waited for; NULL: there are none */
	struct parents parents;    /* who waits for that */
	/* When it applies a share of the records beside others; as it stands after init it applies all of them. */
	bool beside_others;          /* what fails for good may do so for what they do */
	uint64_t commit_to;          /* how far its share is applied with the batch; 0: to the last record */
	const struct position *base; /* moved to base_to with the batch; NULL: none. Not owned */
	uint64_t base_to;
	struct runs runs;  /* the batch, put into statements */
	struct iobuf sql;  /* the statement being built */
	char *environment; /* owned; the state the connection is in; NULL: not known */
	struct iobuf resets; /* ",name=DEFAULT" of each variable that a record's environment has set on this connection */
	char globals[65];    /* what the server begins connections with, as when this one was made, hashed; "": not known */
	char schema[APPLY_SCHEMA_MAX];
	uint64_t time_us;      /* TIMESTAMP as last set; 0: not known */
	uint64_t merged_bytes; /* bound of a merged statement */
	char reason[640];      /* of the last result that is not APPLY_DONE */
	uint64_t halted_seq;   /* the record that made it APPLY_HALT */
	_Atomic uint64_t running_seq, running_ns; /* the record that is a statement of its own and under way, since; 0: none. Any thread reads */
	uint64_t statements;   /* run in the last batch */
	uint64_t buried;       /* dead letters written in the last batch */
	uint64_t orphans;      /* of them, for want of what a foreign key asks for */
	char gtid[APPLY_GTID_MAX];
};

void applier_init(struct applier *a, const uint8_t id[QUEUE_ID_BYTES], unsigned shard, struct dead *dead);
void applier_reset(struct applier *a);

/* From now on beside other processes: connects only with the lane's lock, and no one before can commit any more. */
void applier_share(struct applier *a, struct deadtable *table, struct queue_engine *engine);

/* Connects and reads the position (a->position.seq). initial: the position of a queue the database does not know.
 * RC_ERROR: reason. RC_DECLINED: another process has the lock. */
enum rc applier_connect(struct applier *a, const struct queue_target *target, uint64_t initial) must_check;
void applier_disconnect(struct applier *a);

/* items, in the order of their sequences, the first following the position. Marks those that are dead. */
enum apply_result applier_run(struct applier *a, struct apply_item *items, size_t n) must_check;

#endif
