/*
 * kafkalog_impl.h - a lane's state, shared by kafkalog.c (its writing, and its face) and kafkalog_read.c (its reading). Nobody
 * else includes it.
 */
#ifndef SUIMON_KAFKALOG_IMPL_H
#define SUIMON_KAFKALOG_IMPL_H

#include "clock.h"
#include "iobuf.h"
#include "kafkalog.h"
#include "ticket.h"

#define KAFKALOG_GRACE_NS (NS_PER_SEC / 2) /* a connection that comes back at once refuses nobody */

struct kafkalog {
	struct queue_engine engine;
	struct kafkahub *hub; /* not owned */
	struct queue_lane_options opt;

	/* The drain's thread's. */
	rd_kafka_queue_t *fetched; /* owned; made when first read */
	rd_kafka_message_t *held;  /* owned: handed out last */
	uint64_t cursor;           /* its sequence, or where to begin behind */
	bool fetching, placed;     /* the partition is fetched; from the right place */
	_Atomic bool arrived;      /* there may be news of the partition's end */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t answered;
	struct iobuf encoded; /* a record on its way in */
	size_t waiting;       /* messages without an answer, and their bytes */
	uint64_t waiting_bytes;
	uint64_t progress_ns; /* when one had its answer, or the first of them was sent */
	bool stopping, attended;
	uint64_t down_ns;     /* since when it does not answer; 0: it does */
	uint64_t shorter_ns;  /* since when the partition has been shorter than it must be; 0: it is not */
	bool restarted;       /* the partition has begun again at 0, below what is applied */
	bool applied_known;
	enum queue_owner owner; /* of its position in the database, */
	uint64_t ours;          /* if it is the cluster of this mark */
	uint64_t failed_until_ns; /* a message came to nothing: nothing is taken until then */
	uint64_t durable, applied, removed;
	_Atomic uint64_t own; /* written under the lock; read in callbacks of librdkafka, too, that may wait for nothing */
	uint64_t seen_bytes, seen_count; /* of records, for their mean size */
	uint64_t asks, ask_ns_last, ask_ns_total; /* messages acknowledged */
};

static inline struct kafkalog *kafkalog_of(struct queue_engine *e)
{
	return container_of(e, struct kafkalog, engine);
}

/* lock held. */
static inline bool kafkalog_is_down(const struct kafkalog *l, uint64_t now)
{
	return l->down_ns && now - l->down_ns > KAFKALOG_GRACE_NS;
}

/* It is the cluster that the database knows. lock held. */
static inline bool kafkalog_is_ours(const struct kafkalog *l)
{
	return l->owner == QUEUE_OWNER_US && l->ours == atomic_load(&l->hub->mark);
}

void kafkalog_seen(struct kafkalog *l, size_t bytes); /* lock held */

/* kafkalog_read.c: the engine's operations of these names */
enum rc kafkalog_seek(struct queue_engine *e, uint64_t after_seq, char *err, size_t cap);
enum rc kafkalog_next(struct queue_engine *e, uint64_t *seq, struct span *body, char *err, size_t cap);
enum rc kafkalog_peek(struct queue_engine *e, uint64_t after_seq, unsigned limit,
		      void (*fn)(void *arg, uint64_t seq, struct span body), void *arg);
uint64_t kafkalog_durable(struct queue_engine *e);
void kafkalog_leave(struct kafkalog *l); /* reads no more */

#endif
