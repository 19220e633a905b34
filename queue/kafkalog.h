/*
 * kafkalog.h - the Kafka engine's lane: a partition of the topic. A record is a message; its sequence is its offset + 1.
 *
 *   append (any thread) → librdkafka's queue → … → kafkalog_delivered (the poller) → the ticket is answered
 *   next (the drain's thread) ← librdkafka's queue of fetched messages
 *
 * What librdkafka says of a message decides: stored; certainly never sent, which may be written directly; else nobody knows.
 */
#ifndef SUIMON_KAFKALOG_H
#define SUIMON_KAFKALOG_H

#include "kafkahub.h"

/* Bytes of a record: larger ones are not queued. Brokers take 1 MiB, with what is around it, unless they are told otherwise. */
#define KAFKALOG_RECORD_MAX 1000000u

/* hub outlives it; close only when the hub's threads have ended. NULL: no memory. */
struct queue_engine *kafkalog_open(struct kafkahub *hub, const struct queue_lane_options *opt) must_check;

/* Reads no more, and wakes nobody: the drain's thread has ended. */
void kafkalog_quiet(struct kafkalog *l);

/* The poller: what became of a message. */
void kafkalog_delivered(struct kafkalog *l, const rd_kafka_message_t *message);

/* The looker. */
void kafkalog_note_down(struct kafkalog *l);
/* The partition ends behind sequence end; as far as before, all was applied before that was asked. */
void kafkalog_note_end(struct kafkalog *l, uint64_t end, uint64_t applied_before);
uint64_t kafkalog_applied(struct kafkalog *l);
/* What may be removed from the partition by this process: up to there; 0: nothing new. */
uint64_t kafkalog_removable(struct kafkalog *l);
void kafkalog_note_removed(struct kafkalog *l, uint64_t seq);

#endif
