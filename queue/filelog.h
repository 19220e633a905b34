/*
 * filelog.h - the file engine: a log of segments in one directory of one host.
 *
 *   append (any thread) → pending bytes → the log thread: pwrite, fdatasync, tickets posted → durable
 *
 * One fdatasync answers every ticket whose record was pending when it began. Nothing is handed out to be applied
 * before it is durable.
 */
#ifndef SUIMON_FILELOG_H
#define SUIMON_FILELOG_H

#include "engine.h"
#include "qdir.h"

struct filelog_options {
	uint64_t max_bytes;     /* of records not yet applied; 0: unlimited */
	uint64_t sync_ns;       /* 0: every group */
	uint64_t segment_bytes; /* 0: chosen by max_bytes */
	uint64_t known_applied; /* a lower bound, from the checkpoint */
	uint64_t known_durable;
	struct stats_sink *sink;   /* the log thread's own; NULL: not counted */
	struct stats_sink *front;  /* counts what is declined, under the log's lock; NULL: not counted */
	queue_engine_wake_fn wake; /* NULL: nobody is to be woken */
	void *wake_arg;
};

/* Checks and recovers the log in dir, which outlives the engine. NULL: err says why and what can be done. */
struct queue_engine *filelog_open(const struct qdir *dir, const struct filelog_options *opt, char *err,
				  size_t cap) must_check;

/* The first sequence the log still holds. any thread. */
uint64_t filelog_first(struct queue_engine *e);

#endif
