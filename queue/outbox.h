/*
 * outbox.h - for engines that send: records accepted and not yet under way, with their tickets. Its owner's lock guards it.
 */
#ifndef SUIMON_OUTBOX_H
#define SUIMON_OUTBOX_H

#include "iobuf.h"
#include "record.h"
#include "ticket.h"

#define OUTBOX_LENGTH_BYTES 4u /* before each record */

struct outbox {
	struct iobuf bodies; /* length u32, body */
	struct ticket_line line;
	size_t n;
	size_t waiting;    /* tickets not answered, also of what was taken out */
	uint64_t since_ns; /* when the first of them came, or the last were taken out */
};

void outbox_init(struct outbox *o);
void outbox_reset(struct outbox *o); /* frees */
/* size: record_size(rec). RC_ERROR: no memory. */
enum rc outbox_put(struct outbox *o, const struct record *rec, size_t size, struct queue_ticket *t) must_check;
/* Appends as many as are allowed, in order, to bodies and line, which is initialised; returns how many. */
size_t outbox_take(struct outbox *o, size_t most, size_t most_bytes, struct iobuf *bodies, struct ticket_line *line);
/* All of them: their bodies are thrown away. */
size_t outbox_give_back(struct outbox *o, struct ticket_line *line);

#endif
