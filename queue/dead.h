/*
 * dead.h - the dead letters: records that failed for good, each with its error, durable before its position is passed.
 *
 * One checksummed file of frames (segment.h): letters, and marks that a letter was tried again or discarded. In memory
 * there is only an index, bounded by DEAD_MAX of those waiting, and as many that were worked (dead_tidy). A letter is keyed by its record's sequence: a crash between writing it
 * and committing the position brings the record back, and it is known to be dead already.
 */
#ifndef SUIMON_DEAD_H
#define SUIMON_DEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "qdir.h"
#include "queue.h"
#include "record.h"

#define DEAD_MAX 100000u /* letters waiting for people; the drain halts when there are more */

struct dead;

struct dead_letter {
	uint64_t id; /* given by dead_add */
	uint64_t seq;
	uint64_t failed_us; /* wall clock */
	uint32_t code;      /* of the database's error */
	struct span error;  /* its text */
	struct span body;   /* the record, encoded */
};

enum dead_fate { DEAD_WAITING = 0, DEAD_RETRIED = 1, DEAD_DISCARDED = 2 };

/* hold: makes, recovers and tidies the file; else it is only read. What concerns records behind known_applied is kept
 * whatever its fate. NULL: err says why. */
struct dead *dead_open(const struct qdir *dir, bool hold, uint64_t known_applied, char *err, size_t cap) must_check;
void dead_close(struct dead *d); /* NULL is allowed */

/* All on stable storage, or RC_ERROR: none counts. RC_DECLINED: there are too many already. */
enum rc dead_add(struct dead *d, struct dead_letter *letters, size_t n) must_check;
/* Is this record in a letter, whatever became of that? */
bool dead_has_seq(struct dead *d, uint64_t seq);
/* RC_DECLINED: no such letter is waiting. by_seq: the record that tries it again. RC_ERROR: not on stable storage. */
enum rc dead_mark(struct dead *d, uint64_t id, enum dead_fate fate, uint64_t by_seq) must_check;
/* What became of it, and by which record. RC_DECLINED: not known. */
enum rc dead_fate_of(struct dead *d, uint64_t id, enum dead_fate *fate, uint64_t *by_seq) must_check;

/* All up to known_applied is applied for good: rewrites the file without what nobody will ask for again, when most of it is that. */
void dead_tidy(struct dead *d, uint64_t known_applied);

uint64_t dead_waiting(struct dead *d);
typedef void (*dead_fn)(void *arg, const struct dead_letter *l);
/* Those waiting, from an id on; at most limit. */
enum rc dead_each(struct dead *d, uint64_t from_id, unsigned limit, dead_fn fn, void *arg) must_check;

#endif
