/*
 * reader.h - reads records in order out of the segments, from the files and not from memory.
 *
 * Independent of whoever writes them: it needs only to be told up to which sequence the log is complete.
 */
#ifndef SUIMON_READER_H
#define SUIMON_READER_H

#include <stdint.h>

#include "qdir.h"
#include "rc.h"
#include "segment.h"

struct reader {
	const struct qdir *dir; /* not owned */
	struct frames frames;
	int fd;            /* of the open segment; -1: none */
	uint64_t segment;  /* its first sequence */
	uint64_t at;       /* where in it the next frame begins */
	uint64_t next_seq; /* which must bear this sequence */
	bool scarce;       /* the last RC_ERROR was for want of a descriptor: another time there may be one */
};

void reader_init(struct reader *r, const struct qdir *dir);
void reader_reset(struct reader *r);

/* The next record handed out will be seq, which may be one behind the last. RC_DECLINED: it is gone, the oldest there
 * is comes next. RC_ERROR: err says why. */
enum rc reader_seek(struct reader *r, uint64_t seq, char *err, size_t cap) must_check;
/* RC_AGAIN: the next one is behind upto. RC_ERROR: damaged or unreadable, err says what and where. f->body is valid
 * until the next call. */
enum rc reader_next(struct reader *r, uint64_t upto, struct frame *f, char *err, size_t cap) must_check;

/* Opens a segment for reading and checks its header. RC_ERROR: err says why; RC_DECLINED: there is no such file. */
enum rc reader_open_segment(const struct qdir *dir, uint64_t first_seq, int *fd, char *err, size_t cap) must_check;

#endif
