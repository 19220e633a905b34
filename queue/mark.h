/*
 * mark.h - whose a lane's position in the database is. A queue goes by its name there, and a store (a Redis, a Kafka cluster)
 * has a number of its own, its mark, which stands beside the position: two stores under one name would take each other's
 * positions for their own, and pass over what they have not applied.
 *
 * The rows are of suimon.applied, of the queue itself: shard MARK_SHARD + lane, the mark as its seq.
 */
#ifndef SUIMON_MARK_H
#define SUIMON_MARK_H

#include <stdbool.h>
#include <stdint.h>

#define MARK_SHARD 2u

/* Of a lane. */
struct mark {
	uint64_t noted; /* the database's, as last read; 0: none */
	uint64_t store; /* the store's; 0: not known just now */
	uint64_t ours;  /* which this process has last seen in both; 0: none yet */
	bool fresh;     /* the store has never held a record of it */
};

/* Of all lanes together, since when they differ. */
struct mark_view {
	bool kin;          /* one agrees: it is the queue's store */
	bool rival;        /* one differs */
	bool given_up;     /* none agrees, what differs is empty here, and nobody has been seen to apply the queue for a while */
	bool stays;        /* somebody was seen whom this process does not know: the other store is in use, whatever comes */
	uint64_t since_ns; /* since when nobody has been seen; 0: none differs */
};

enum mark_step {
	MARK_WAIT,    /* it is not known what the store's is, or whether the name is free: as before */
	MARK_OURS,    /* both are the same */
	MARK_NOTE,    /* the database has none: it is to be noted */
	MARK_REPLACE, /* the store has lost the noted one: its new one is to be noted instead */
	MARK_FOREIGN, /* the position is another store's */
};

/* seen: another process applies the queue, or is there to do so. */
void mark_look(struct mark_view *v, const struct mark *lane, unsigned n, bool seen, uint64_t now_ns);

/*
 * What is to be done about one. The first lane decides for whom a new queue's name is: two stores must not have some lanes each.
 * Only a store that has never held a record of a lane may take it over: one that has lost all, or whose other one was given up.
 */
enum mark_step mark_step(const struct mark_view *v, const struct mark *m, bool first);

#endif
