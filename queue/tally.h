/*
 * tally.h - one count of this process's acknowledged records over all lanes. Lanes' sequences cannot be compared (offsets of
 * partitions cannot): whoever has written to several waits by the number of the last one it wrote.
 *
 * A lane's tally holds the numbers of what is acknowledged and not yet applied, in groups of neighbours when it is much.
 */
#ifndef SUIMON_TALLY_H
#define SUIMON_TALLY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TALLY_GROUPS 256u

struct tally_group {
	uint64_t first; /* number */
	uint64_t upto;  /* sequence of its last */
};

struct tally {
	pthread_mutex_t lock; /* guards what follows; taken before an engine's or a drain's */
	struct tally_group group[TALLY_GROUPS];
	size_t n;
};

void tally_init(struct tally *l);
void tally_destroy(struct tally *l);

/* The number of a record, or of several that are acknowledged together, whose last has this sequence, larger than all before. last: the
 * queue's count. any thread */
uint64_t tally_give(struct tally *l, _Atomic uint64_t *last, uint64_t seq);

/* All of the lane up to a sequence are applied. Returns up to which number all of the lane's are; UINT64_MAX: there are no others.
 * lock held. */
uint64_t tally_applied(struct tally *l, uint64_t applied_seq);

#endif
