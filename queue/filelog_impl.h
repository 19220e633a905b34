/*
 * filelog_impl.h - the file engine's state, shared by the files that make it up: filelog.c (the engine's face),
 * logwriter.c (its thread) and logopen.c (recovery at start). Nobody else includes it.
 */
#ifndef SUIMON_FILELOG_IMPL_H
#define SUIMON_FILELOG_IMPL_H

#include <pthread.h>

#include "filelog.h"
#include "iobuf.h"
#include "logfile.h"
#include "reader.h"
#include "ticket.h"

/* A segment that is there. */
struct log_piece {
	uint64_t first_seq;
	uint64_t used; /* bytes; of the last one, what is known to be durable */
};

struct filelog {
	struct queue_engine engine;
	const struct qdir *dir;     /* not owned */
	struct filelog_options opt; /* max_bytes and sync_ns: guarded by lock */
	uint32_t salt;
	struct logfile file;  /* the log thread's, and of whoever opens and closes */
	struct reader reader; /* the drain's thread's */
	pthread_t thread;
	bool started;

	pthread_mutex_t lock;    /* guards what follows */
	pthread_cond_t work;     /* the log thread waits for it */
	struct iobuf pending;    /* frames not taken by the log thread yet */
	struct ticket_line line; /* their tickets */
	uint64_t last_seq;       /* given away */
	uint64_t written_seq;    /* in the file */
	uint64_t durable_seq;    /* on stable storage */
	uint64_t answered_seq, answered_used; /* acknowledged, and where that ends in the file. The log thread's */
	uint64_t applied_seq;
	uint64_t unsynced_ns;      /* since when something waits for fdatasync; 0: nothing does */
	uint64_t decline_until_ns; /* the disk was full, or there was no descriptor: appends are declined until then, ... */
	const char *declined;      /* ... for this; a literal */
	const char *failed;        /* a literal: the disk failed, for good */
	bool stopping, idle;
	struct log_piece *pieces; /* owned; ascending; the last is being written */
	size_t piece_count, piece_cap;
	uint64_t applied_bytes; /* at the start of the first piece */
	uint64_t fsyncs, fsync_ns_last, fsync_ns_total;
};

enum rc filelog_recover(struct filelog *l, char *err, size_t cap) must_check; /* logopen.c */
void *filelog_write_loop(void *arg);                                          /* logwriter.c */
/* Room for one more is there afterwards. RC_ERROR: no memory. */
enum rc filelog_add_piece(struct filelog *l, uint64_t first_seq, uint64_t used) must_check;

#endif
