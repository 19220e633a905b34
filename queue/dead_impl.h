/*
 * dead_impl.h - the dead letters' state, shared by dead.c (its face) and deadfile.c (their file).
 *
 * Bodies:  letter  id u64 | seq u64 | failed_us u64 | code u32 | length of the error u32 | error | record
 *          mark    id u64 | by_seq u64 | fate u32
 * The header's first sequence is the first id of the file, so that ids are not given twice; frames count from 1.
 */
#ifndef SUIMON_DEAD_IMPL_H
#define SUIMON_DEAD_IMPL_H

#include <pthread.h>

#include "dead.h"
#include "iobuf.h"

#define DEAD_LETTER_FIXED_BYTES 32u
#define DEAD_MARK_BYTES 20u

struct dead_entry {
	uint64_t id, seq, by_seq;
	uint64_t at; /* of its frame in the file */
	uint64_t frame_seq;
	enum dead_fate fate;
};

struct dead {
	const struct qdir *dir; /* not owned */
	pthread_mutex_t lock;
	int fd;
	uint32_t salt;
	uint64_t end; /* where the next frame goes */
	uint64_t next_frame;
	uint64_t next_id;
	bool failed;                /* an fdatasync failed: nothing more is written */
	bool tidied_in_vain;        /* the file could not be rewritten: not tried again */
	struct dead_entry *entries; /* owned; ascending by id */
	uint64_t *seqs;             /* owned; their records' sequences, ascending: as many */
	size_t count, cap;
	uint64_t waiting;
};

/* The first entry of at least this id. There is one entry at least. */
struct dead_entry *dead_find(struct dead *d, uint64_t id);
struct dead_entry *dead_find_exact(struct dead *d, uint64_t id); /* NULL: not there */
void dead_enter(struct dead *d, const struct dead_entry *e);          /* as the last; there is room */
enum rc dead_reserve(struct dead *d, size_t n) must_check;       /* room for n more entries */
void dead_settle(struct dead *d, struct dead_entry *e, enum dead_fate fate, uint64_t by_seq);
enum rc dead_decode(struct span body, struct dead_letter *l) must_check;
/* The frame of an entry; valid until the window moves. */
enum rc dead_fetch(struct frames *frames, const struct dead_entry *e, struct frame *f) must_check;
enum rc dead_put_mark(struct dead *d, struct iobuf *out, uint64_t seq, uint64_t id, enum dead_fate fate,
		      uint64_t by_seq) must_check;
/* Opens and reads the file; hold: makes it, cuts off a torn end, rewrites it smaller when that is worth it. */
/* When it is worth it. RC_ERROR: the file is not open any more. lock held, or nobody else knows d. */
enum rc dead_tidy_file(struct dead *d, uint64_t known_applied, char *err, size_t cap) must_check;
enum rc dead_load(struct dead *d, bool hold, uint64_t known_applied, char *err, size_t cap) must_check;

#endif
