/*
 * qdir.h - the queue's directory: who holds it, its identity, what is in it, and the small files beside the log.
 *
 *   lock        flock'ed by the one process that works the queue
 *   id          16 random bytes: the key of this queue's row in suimon.applied
 *   checkpoint  how far the records were applied, lately: a hint; the truth is the row in suimon.applied
 *   paused      exists while applying is paused
 *   dead        the dead letters
 *   N.seg       the log, N the first sequence in it, 20 digits
 */
#ifndef SUIMON_QDIR_H
#define SUIMON_QDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fileops.h"
#include "rc.h"
#include "segment.h"

#define QDIR_DEAD_NAME "dead"

struct qdir {
	char *path;  /* owned, for messages */
	int fd;      /* of the directory */
	int lock_fd; /* -1: only looked at */
	const struct file_ops *ops;
	uint8_t id[QUEUE_ID_BYTES];
};

/* hold: makes what is missing and takes the lock; else the directory is only read. RC_ERROR: err says why. */
enum rc qdir_open(struct qdir *d, const char *path, bool hold, const struct file_ops *ops, char *err,
		  size_t cap) must_check;
void qdir_release(struct qdir *d); /* another process may hold it from now on; this one writes nothing there any more */
enum rc qdir_retake(struct qdir *d, char *err, size_t cap) must_check; /* after qdir_release, where nobody holds it. RC_ERROR: err */
/* Some process of this host has the lock, as far as the kernel says: found without trying it, for whoever starts just then would find it taken. */
bool qdir_in_use(const struct qdir *d);
void qdir_close(struct qdir *d); /* tolerant of one that failed to open */

void qdir_segment_name(char out[32], uint64_t first_seq);
/* The first sequences of the segments, ascending; the array is for the caller to mem_free. RC_ERROR: errno. */
enum rc qdir_segments(const struct qdir *d, uint64_t **out, size_t *count) must_check;

struct qdir_checkpoint {
	uint64_t applied_seq;
	uint64_t durable_seq;
	uint64_t applied_total, dead_total; /* since the queue exists */
};
/* RC_DECLINED: there is none that can be used. */
enum rc qdir_checkpoint_read(const struct qdir *d, struct qdir_checkpoint *out) must_check;
enum rc qdir_checkpoint_write(const struct qdir *d, const struct qdir_checkpoint *c) must_check;

/* Tells directories apart, whatever their paths; never 0. */
uint64_t qdir_place(const struct stat *st);

/* The highest epoch that this directory may have given its rows in suimon.applied (position.h); 0: none. */
uint64_t qdir_epoch(const struct qdir *d);
enum rc qdir_set_epoch(const struct qdir *d, uint64_t epoch) must_check; /* durable */
bool qdir_paused(const struct qdir *d);
enum rc qdir_set_paused(const struct qdir *d, bool paused) must_check;

#endif
