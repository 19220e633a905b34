/*
 * engine.h - what an engine of the queue must do: the file log is one, others keep their records elsewhere.
 *
 * An engine makes records durable and hands them out again in the order of their sequences. What has been applied it
 * is told; it may then forget it. Everything else (batches, exactly once, dead letters, waiters) is common to all.
 */
#ifndef SUIMON_ENGINE_H
#define SUIMON_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "queue.h"
#include "record.h"

struct dbconn;
struct queue_engine;

/* Whose the lane's position in the database is (mark.h). */
enum queue_owner {
	QUEUE_OWNER_UNKNOWN, /* the database has not said yet: nothing is handed out */
	QUEUE_OWNER_US,
	QUEUE_OWNER_OTHER, /* nothing is taken either */
};

/* Called by an engine, on a thread of its own, whenever more records have become durable. */
typedef void (*queue_engine_wake_fn)(void *arg);

struct queue_engine_ops {
	const char *name;
	/* Any thread. As queue_append says; what is unfit is not counted here. rec's spans are copied. */
	enum rc (*append)(struct queue_engine *e, const struct record *rec, struct queue_ticket *t, const char **why);
	enum rc (*start)(struct queue_engine *e);
	/* What was accepted is made durable and its tickets answered; where elsewhere does not answer, at until_ns (monotonic) at the latest. */
	void (*stop)(struct queue_engine *e, uint64_t until_ns);
	void (*close)(struct queue_engine *e); /* frees e */
	void (*tune)(struct queue_engine *e, const struct queue_options *opt);

	/* The drain's thread only: hand out from the record behind after_seq on. err: why not, for people. RC_AGAIN: not just now. */
	enum rc (*seek)(struct queue_engine *e, uint64_t after_seq, char *err, size_t cap);
	/* The next durable record; its body is valid until the next call, and empty for one that was lost and skipped. RC_AGAIN:
	 * none yet. RC_DECLINED: not just now, err says why. RC_ERROR: unreadable. */
	enum rc (*next)(struct queue_engine *e, uint64_t *seq, struct span *body, char *err, size_t cap);
	/* All up to seq, which was handed out, is applied. */
	void (*applied)(struct queue_engine *e, uint64_t seq);

	/* Engines that other processes drain, too; else NULL. Drained from here, or not: it need not look for others' records. */
	void (*attend)(struct queue_engine *e, bool attended);
	/* Up to limit records behind a sequence, for people; may wait for the engine. any thread. RC_ERROR: it does not answer. */
	enum rc (*peek)(struct queue_engine *e, uint64_t after_seq, unsigned limit,
			void (*fn)(void *arg, uint64_t seq, struct span body), void *arg);
	/* Others have applied all up to seq. NULL: it learns that from elsewhere. the drain's thread */
	void (*follow)(struct queue_engine *e, uint64_t seq);
	uint64_t (*own)(struct queue_engine *e); /* the last record that this process has had stored. any thread, and within wake */

	/* Engines that may hand out a record again under another sequence, and know it by what they keep in the database; else NULL.
	 * The drain's thread. begin: whoever applied this lane before cannot commit any more; what they have committed is read.
	 * note: within the transaction that applies up to a sequence. RC_ERROR: the connection's code and error. */
	enum rc (*begin)(struct queue_engine *e, struct dbconn *c, const char *lane_hex);
	enum rc (*note)(struct queue_engine *e, struct dbconn *c, const char *lane_hex, uint64_t upto);
	bool (*stale)(struct queue_engine *e, uint64_t seq); /* handed out and applied before: it is passed over, and announced again */

	/* Engines whose store may have another one of the same name beside it; else NULL. Any thread. */
	uint64_t (*mark)(struct queue_engine *e, bool *fresh); /* of that store; 0: not known just now. fresh: it has never held a record */
	/* Whose it is, of a store of this mark: nothing may go to another one, or come from it. UNKNOWN: the database has not said. */
	void (*judge)(struct queue_engine *e, enum queue_owner owner, uint64_t mark);

	/* Any thread. */
	uint64_t (*durable)(struct queue_engine *e);
	bool (*failed)(struct queue_engine *e, const char **why);
	void (*totals)(struct queue_engine *e, struct queue_totals *out); /* what it knows of them */
};

struct queue_engine {
	const struct queue_engine_ops *ops;
};

/* ---- engines that many processes share ---- */

/* A lane of such a queue. */
struct queue_lane_options {
	unsigned lane;
	uint64_t max_bytes;       /* of this lane; 0: unlimited */
	struct stats_sink *sink;  /* the engine's thread's own; NULL: not counted */
	struct stats_sink *front; /* counts what is declined, under the lane's lock; NULL: not counted */
	queue_engine_wake_fn wake;
	uint64_t (*number)(void *arg, uint64_t seq); /* of records that are stored: what their tickets say. No lock of the engine's is held */
	void *wake_arg; /* of both */
};

struct queue_hub;

struct queue_hub_ops {
	/* The URL is understood and memory is there; nothing is connected yet. NULL: err says why, and what is allowed. */
	struct queue_hub *(*open)(const char *url, char *err, size_t cap);
	/* Lanes are opened before start, and closed between stop and close. NULL: no memory. */
	struct queue_engine *(*lane)(struct queue_hub *h, const struct queue_lane_options *opt);
	enum rc (*start)(struct queue_hub *h);
	void (*stop)(struct queue_hub *h);  /* its threads have ended then; may be called again */
	void (*close)(struct queue_hub *h); /* frees h */
};

/* What all lanes of a shared queue have in common: its address and its threads. */
struct queue_hub {
	const struct queue_hub_ops *ops;
	const char *name; /* whoever has the same shares the queue; not owned */
	const char *host; /* for people; not owned */
	unsigned lanes;
	uint64_t seed; /* makes another queue of the same name */
};

#endif
