/*
 * queue.h - the durable queue of acknowledged writes: append, group commit, ordered batches, exactly once (Q1 to Q7).
 *
 * Flow: queue_append (any worker) → the log thread writes and fdatasyncs a group → each ticket is posted back to its
 * worker (the client gets its OK) → the drain thread reads in order, merges, applies with the position in the same
 * transaction (suimon.applied) → on_applied (cache invalidation) → waiters for that position are posted.
 * Engines stand behind struct queue_engine_ops in engine.h: the file log of one host, and Redis streams, Kafka's partitions or SQS's queues, which the suimons of many
 * hosts share: lanes by table, each applied by one of them at a time.
 */
#ifndef SUIMON_QUEUE_H
#define SUIMON_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "list.h"
#include "loop.h"
#include "rc.h"
#include "secret.h"
#include "span.h"
#include "stats.h"
#include "tls.h"

struct queue;
struct file_ops;

enum queue_on_error { QUEUE_DEAD_LETTER, QUEUE_HALT };

/* Where the drain connects: asked anew at every connect and before every batch, so that it follows a failover. any thread. */
struct queue_target {
	char host[256];      /* or a unix socket path when port is 0 */
	uint16_t port;
	char user[128];
	struct secret *password; /* a reference for the callee to release; may be NULL */
	struct tls_policy tls;
	bool compress;
};

/* What it must tell those above; both run on the drain thread and must not block long. */
struct queue_hooks {
	void *arg;
	enum rc (*target)(void *arg, struct queue_target *out); /* RC_DECLINED: no primary just now; RC_ERROR: no account to drain with */
	/* A batch is committed: these tables ("schema\0table\0" pairs in one span) changed; gtid text of the commit or empty.
	 * Runs before the applied position moves, so that whoever waits for it finds the cache already invalidated. */
	void (*on_applied)(void *arg, struct span tables, struct span gtid);
	/* A batch that writes these is about to be applied; and with none: whatever came of it, on_applied has told it. May wait
	 * for some milliseconds. May be NULL. */
	void (*on_applying)(void *arg, struct span tables);
};

#define QUEUE_STOP_NS (5 * NS_PER_SEC)

enum queue_engine_kind { QUEUE_ENGINE_FILE, QUEUE_ENGINE_REDIS, QUEUE_ENGINE_KAFKA, QUEUE_ENGINE_SQS };

struct queue_options {
	enum queue_engine_kind engine; /* fixed from open on, as are dir and url */
	const char *dir;        /* the file engine's */
	const char *url;        /* the others' */
	uint64_t sync_ns;       /* 0 = always: fdatasync before every acknowledgement */
	uint64_t max_bytes;
	uint64_t batch_rows, batch_wait_ns, rate;
	uint64_t batch_target_ns; /* what a transaction may take before batches become smaller; 0: 100 ms */
	unsigned workers;         /* connections that apply, each a share of the keys; fixed from open on */
	struct queue_hooks hooks;
	uint64_t segment_bytes; /* 0: chosen by max_bytes */
	const struct file_ops *files; /* fileops.h; NULL: the system's */
};

/* NULL: the directory is unusable or locked by another process, or the URL is wrong; why is written to err. */
struct queue *queue_open(const struct queue_options *opt, struct stats *stats, char *err, size_t err_cap) must_check;
enum rc queue_start(struct queue *q) must_check;      /* log and drain threads */
/* Syncs the log, ends the threads; appends after it are declined. A batch under way, and an engine that does not answer, may take until
 * until_ns (monotonic); what such a batch has done is read back next time. */
void queue_stop_by(struct queue *q, uint64_t until_ns);
void queue_stop(struct queue *q); /* within QUEUE_STOP_NS */
void queue_close(struct queue *q);
/* Gives the directory up to another process: what was accepted is made durable and answered, the batch under way ends
 * (seconds at most), and the lock is free. Afterwards nothing is appended or applied here; who waits is served by queue_follow.
 * A queue that many processes share is worked by both: nothing happens. */
void queue_hand_over(struct queue *q);
/* It was given up and the other process did not keep it: the directory is opened anew, and all goes on as before. stats: as queue_open.
 * RC_ERROR: not just now (the other one holds it yet, or queue_stop was called), err says why. The thread that called queue_hand_over. */
enum rc queue_take_back(struct queue *q, const struct queue_options *opt, struct stats *stats, char *err, size_t err_cap) must_check;
/* That has happened or is happening: what an acknowledged record must be applied up to before a write that would have been
 * queued may run directly. any thread. */
bool queue_is_handed_over(struct queue *q, uint64_t *last_seq) must_check;
/* Which directory it is, whatever its path; 0: it has none, or (of a path) none is there. */
uint64_t queue_place(const struct queue *q);
uint64_t queue_place_of(const char *dir);
void queue_follow(struct queue *q, uint64_t applied_seq); /* after queue_hand_over: how far the other process has come */
void queue_reconfigure(struct queue *q, const struct queue_options *opt); /* batch_*, rate, max_bytes, sync_ns */

/* What is captured of a write. All spans are copied by queue_append. */
struct queue_record {
	uint64_t digest;
	uint64_t time_us;       /* wall clock at acceptance: what NOW() will mean */
	struct span account;    /* user */
	struct span schema;     /* current schema */
	struct span tables;     /* written: "schema\0table\0" ... */
	/* Within which order is kept: as many bytes as tables has, for the tables, and behind them a column's value if it
	 * is one; the same bytes for what must keep its order. Empty: runs beside no other record. */
	struct span order_key;
	struct span environment; /* SET assignments, as SQL ("sql_mode='..', time_zone='..', character_set_client=.."), same text = same state */
	struct span sql;        /* with its values in it */
	/* Several statements that are applied together or not at all: where each ends in sql, 4 bytes little-endian, with ";\n"
	 * between one's end and the next. Empty: sql is one statement. Never with rows_at. */
	struct span parts;
	uint32_t rows_at, rows_end; /* where its VALUES rows lie in sql; both 0: not to be merged */
	enum queue_on_error on_error;
};

struct queue_ticket {
	struct mail mail;       /* run() is the caller's; posted to `loop` when the fate is known */
	struct loop *loop;      /* NULL: run() is called on the queue's own thread and must not block */
	/* RC_OK: durable. RC_DECLINED: the disk had no room or failed, and the record is certainly not stored: it may be
	 * written directly. RC_ERROR: the disk failed and it is unknown whether the record will be applied. See error. */
	enum rc rc;
	const char *error;      /* literal */
	bool unfit;             /* RC_DECLINED, and it would be with any room: it is too large, or none for this queue */
	uint64_t seq;           /* what to wait for; of a queue of several lanes, this process's count over all of them */
};

/* RC_AGAIN: the ticket will be posted. RC_DECLINED: full, paused for lack of disk, stopping, or t->unfit: `*why` says (literal); it is
 * counted by its reason. any thread. */
enum rc queue_append(struct queue *q, const struct queue_record *r, struct queue_ticket *t, const char **why) must_check;

/* The position, as tickets have it, up to which all records of this process are applied or dead-lettered. any thread. */
uint64_t queue_applied(struct queue *q);
struct queue_waiter {
	struct mail mail;       /* run() is the caller's; posted when applied >= seq (or the queue stops) */
	struct loop *loop;      /* NULL: as above; it runs under a lock and may not call the queue */
	uint64_t seq;
	struct list_node node;
};
/* RC_OK: already applied. RC_AGAIN: will be posted. any thread. */
enum rc queue_wait(struct queue *q, struct queue_waiter *w) must_check;
/* True if it was still waiting and will now never be posted. */
bool queue_wait_cancel(struct queue *q, struct queue_waiter *w);

void queue_pause(struct queue *q);   /* stops applying; accepting goes on. Survives a restart. */
void queue_resume(struct queue *q);
void queue_log_in_anew(struct queue *q); /* hooks.target names another account than before, which applies from the next transaction on. any thread */
void queue_primary_moved(struct queue *q); /* hooks.target names another server than before. any thread, does not block */
void queue_drain_now(struct queue *q); /* apply all there is without waiting for batches to fill */

enum queue_state { QUEUE_RUNNING, QUEUE_PAUSED, QUEUE_WAITING, QUEUE_HALTED, QUEUE_FAILED, QUEUE_STOPPED };
const char *queue_state_name(enum queue_state s);
struct queue_totals {
	enum queue_state state;
	bool stuck;             /* nothing is applied until somebody sees to it: what waits for it waits in vain */
	char reason[256];       /* why it waits, is halted or failed */
	const char *engine;     /* literal; NULL: not running */
	unsigned lanes, lanes_here; /* that it has; of these, that this process applies just now */
	uint64_t depth, bytes, oldest_age_ns;
	uint64_t enqueued, applied, dead, retries, batches, last_batch_rows;
	uint64_t batch_rows_now; /* most that a transaction may hold just now */
	uint64_t fsyncs, fsync_ns_last, fsync_ns_total;
	uint64_t first_seq, last_seq, applied_seq;
	uint64_t waits_for;     /* the one record that keeps the others waiting, has halted them, or has run long; 0: none is known */
	uint64_t dead_waiting;  /* dead letters that nobody has retried or discarded */
	double drain_rate;      /* records a second, last 10 s */
};
void queue_totals(struct queue *q, struct queue_totals *out); /* any thread */

/* Dead letters and pending records, for people. Calls fn for up to limit records from seq on. any thread;
 * queue_peek_dir works on a stopped instance's directory; of one that is in use it tells what its files say, and totals->state says that. */
struct queue_view {
	uint64_t seq, time_us, digest;
	struct span account, schema, tables, environment, sql;
	uint64_t dead_id;       /* dead letters: their number */
	uint32_t error_code;
	struct span error;
	uint64_t failed_us;     /* dead letters: when */
};
typedef void (*queue_view_fn)(void *arg, const struct queue_view *v);
enum rc queue_list_pending(struct queue *q, uint64_t from_seq, unsigned limit, queue_view_fn fn, void *arg) must_check;
enum rc queue_list_dead(struct queue *q, uint64_t from_id, unsigned limit, queue_view_fn fn, void *arg) must_check;
enum rc queue_dead_retry(struct queue *q, uint64_t id) must_check;   /* appended anew; RC_DECLINED: no such */
enum rc queue_dead_discard(struct queue *q, uint64_t id) must_check;
/* The record that is waited for becomes a dead letter and the others go on. RC_DECLINED: it is not waited for (here). */
enum rc queue_bury(struct queue *q, uint64_t seq) must_check;
enum rc queue_peek_dir(const char *dir, bool dead, uint64_t from, unsigned limit, queue_view_fn fn, void *arg, struct queue_totals *totals, char *err, size_t err_cap) must_check;

#endif
