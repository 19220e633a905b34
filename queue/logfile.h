/*
 * logfile.h - the segment being written: preallocated, written at its end, synced, closed when full. One thread's.
 */
#ifndef SUIMON_LOGFILE_H
#define SUIMON_LOGFILE_H

#include <stdint.h>

#include "qdir.h"

struct logfile {
	const struct qdir *dir; /* not owned */
	int fd;                 /* -1: none open */
	uint64_t first_seq;
	uint64_t used;          /* behind the last frame written */
	uint64_t synced;        /* `used` at the last sync */
	uint64_t zeroed;        /* its blocks are written up to here, if only with zeros */
	uint64_t size;          /* allocated */
	uint64_t segment_bytes; /* of the segments to come */
};

void logfile_init(struct logfile *f, const struct qdir *dir, uint64_t segment_bytes);

/* Makes a segment of segment_bytes, or as large as one frame of `need` bytes wants, and syncs it and the directory.
 * RC_ERROR: errno; nothing is left behind. */
enum rc logfile_create(struct logfile *f, uint64_t first_seq, uint64_t need) must_check;
/* The same, no larger than it must be: of a disk that has no room for a whole one. */
enum rc logfile_create_small(struct logfile *f, uint64_t first_seq, uint64_t need) must_check;

/* Goes on in a segment that is there, behind `used`; what lies behind is cut off first if torn. RC_ERROR: errno. */
enum rc logfile_continue(struct logfile *f, uint64_t first_seq, uint64_t used, bool torn) must_check;

/* RC_DECLINED: it failed (errno) and nothing of it is in the file. RC_ERROR: it failed and part of it may be. */
enum rc logfile_write(struct logfile *f, const void *p, size_t len) must_check;

/* RC_ERROR: errno; what was written since the last one may or may not be there, now and after any later try. */
enum rc logfile_sync(struct logfile *f) must_check;

/* Gives back what was preallocated and not used, and closes. It must be synced. */
void logfile_seal(struct logfile *f);
void logfile_close(struct logfile *f); /* as it is */

#endif
