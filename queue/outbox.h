/*
 * outbox.h - for engines that send: records accepted and not yet under way, with their tickets, and what is told of them. Its
 * owner's lock guards it, and is held but where it says so.
 */
#ifndef SUIMON_OUTBOX_H
#define SUIMON_OUTBOX_H

#include <pthread.h>

#include "iobuf.h"
#include "record.h"
#include "stats.h"
#include "ticket.h"

#define OUTBOX_LENGTH_BYTES 4u /* before each record */

struct outbox {
	pthread_mutex_t *lock;    /* the owner's; guards what follows */
	pthread_cond_t *answered; /* the owner's: no ticket waits any more */
	struct iobuf bodies;      /* length u32, body */
	struct ticket_line line;
	size_t n;
	size_t waiting;    /* tickets not answered, also of what was taken out */
	uint64_t since_ns; /* when the first of them came, or the last were taken out */
};

void outbox_init(struct outbox *o, pthread_mutex_t *lock, pthread_cond_t *answered);
void outbox_reset(struct outbox *o); /* frees */
/* size: record_size(rec). RC_ERROR: no memory. */
enum rc outbox_put(struct outbox *o, const struct record *rec, size_t size, struct queue_ticket *t) must_check;
/* Appends as many as are allowed, in order, to bodies and line, which is initialised; returns how many. */
size_t outbox_take(struct outbox *o, size_t most, size_t most_bytes, struct iobuf *bodies, struct ticket_line *line);
/* Answers what was taken out. The lock is not held: a ticket without a loop runs its function here. */
void outbox_answer(struct outbox *o, struct ticket_line *line, enum rc rc, const char *error, uint64_t seq);
void outbox_count_unfit(struct stats_sink *sink, size_t n); /* declined, since they are too large. sink: NULL: not counted */
/* Counts n records, of one request, as stored (RC_OK), declined (RC_DECLINED) or of unknown outcome. sink: NULL: not counted. */
void outbox_count(struct stats_sink *sink, enum rc rc, size_t n, size_t bytes, uint64_t took_ns);
/* What was not taken out was never sent: counted and answered as declined, it may be written directly. The lock is not held. */
void outbox_give_back(struct outbox *o, struct stats_sink *sink, const char *why);
size_t outbox_length(const uint8_t *p); /* of the record that is OUTBOX_LENGTH_BYTES behind p */

#endif
