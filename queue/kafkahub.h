/*
 * kafkahub.h - the Kafka engine as a whole: one producer and one consumer of librdkafka for all lanes, and two threads.
 *
 *   poller   hears what became of messages (acknowledgements must not wait for anything else); makes a failed producer anew
 *   looker   once a second: is the topic as it must be (kafkatopic.c), how far is each lane, what is applied and may go
 *
 * A lane (kafkalog.h) is a partition of the topic. The producer is made when the topic has been seen to be as it must: a
 * producer's mere question would have a broker make a topic of its own liking.
 */
#ifndef SUIMON_KAFKAHUB_H
#define SUIMON_KAFKAHUB_H

#include <pthread.h>

#include <librdkafka/rdkafka.h>

#include "engine.h"
#include "kafka_url.h"

struct kafkalog;

/* A handle of librdkafka and the topic in it. */
struct kafkahub_client {
	rd_kafka_t *rk;        /* owned */
	rd_kafka_topic_t *rkt; /* owned */
};

struct kafkahub {
	struct queue_hub hub;
	struct kafka_url url;
	struct kafkalog *lane[KAFKA_LANES_MAX]; /* not owned; NULL: not opened */
	struct kafkahub_client in; /* from start to close */
	pthread_t poller, looker;
	bool running;

	pthread_rwlock_t producing; /* who appends reads out, the poller writes it */
	struct kafkahub_client out; /* NULLs: there is none just now */
	_Atomic bool fatal;         /* this producer is of no use any more */
	uint64_t made_ns;           /* the poller's: when it was last made, or that was tried */

	pthread_mutex_t peeking; /* one at a time: guards peek */
	struct kafkahub_client peek; /* NULLs: nobody has peeked yet */

	_Atomic uint64_t mark;     /* of the cluster; 0: not known yet */
	const char *_Atomic fault; /* why nothing can be queued, a literal; NULL: it can */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;  /* for the looker, and for whoever starts */
	bool ending;
	bool ready;             /* there has been a producer */
	bool usable;            /* the topic has been seen to be as it must */
	uint64_t stop_until_ns; /* what is not answered by then is given up; 0: not stopping */
};

extern const struct queue_hub_ops kafkahub_ops;

/* A lane is stopping: what all of them wait for has an end. */
void kafkahub_hurry(struct kafkahub *h, uint64_t until_ns);
bool kafkahub_running(struct kafkahub *h);
/* A consumer for people who look into the queue. RC_ERROR: there is none. peeking held. */
enum rc kafkahub_peeker(struct kafkahub *h) must_check;

/* kafkalook.c: the looker's thread. */
void *kafkalook_run(void *arg);

#endif
