/*
 * kafkatopic.h - the topic: is it there, is it as the queue needs it, and what can it lose. The looker's thread only.
 */
#ifndef SUIMON_KAFKATOPIC_H
#define SUIMON_KAFKATOPIC_H

#include "kafkahub.h"

/* What the cluster's administration is asked it answers later; at most one question of a kind is under way. */
struct kafkatopic {
	struct kafkahub *hub;      /* not owned */
	rd_kafka_queue_t *answers; /* owned */
	const char *fault;         /* said last */
	unsigned replicas;         /* it is made with */
	uint64_t made_ns;          /* when it was last asked to be made */
	bool told_command;         /* to make it */
	bool looked;               /* at what it can lose */
	bool removing;
	bool told_kept;            /* that what is applied cannot be removed */
	uint64_t refused_ns;       /* when to remove it was last refused */
	bool cannot_remove;        /* these brokers know no such thing */
};

void kafkatopic_init(struct kafkatopic *t, struct kafkahub *h); /* when the hub's consumer is there */
void kafkatopic_reset(struct kafkatopic *t);

/* Takes what the administration has answered. */
void kafkatopic_hear(struct kafkatopic *t);

/* Sets the hub's fault by what the cluster says of the topic; makes it if it is missing and that is permitted. RC_OK: it is usable. */
enum rc kafkatopic_check(struct kafkatopic *t, const rd_kafka_metadata_t *md) must_check;
/* Of a usable one: says in the log what it can lose, once. */
void kafkatopic_judge(struct kafkatopic *t, const rd_kafka_metadata_topic_t *topic);
/* Removes from the lanes applied here what is applied. */
void kafkatopic_remove_applied(struct kafkatopic *t);

#endif
