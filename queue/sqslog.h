/*
 * sqslog.h - the SQS engine: a lane is a FIFO queue of SQS, of one message group.
 *
 *   append (any thread) → outbox → the hub's thread: one message for all that is pending → SendMessage → tickets posted
 *   the hub's thread, of a lane that is applied here: ReceiveMessage → the hand → next (the drain's thread)
 *   applied → DeleteMessageBatch → ReceiveMessage …
 *
 * SQS hands out no more of a group while some of it is in somebody's hand. What is in the hand for long stays ours by
 * ChangeMessageVisibilityBatch; what is not wanted any more is given back by it.
 *
 * Exactly once does not rest on any of this, nor on SQS's deduplication: producers.h.
 */
#ifndef SUIMON_SQSLOG_H
#define SUIMON_SQSLOG_H

#include "sqshub.h"

struct sqslog;

/* hub outlives it; close only when the hub's thread has ended. url: its queue's. NULL: no memory. */
struct sqslog *sqslog_open(struct sqshub *hub, const char *url, const struct queue_lane_options *opt) must_check;
struct queue_engine *sqslog_engine(struct sqslog *l);
/* The hub's thread: whatever is due. ending: gives back what it has. False: nothing is under way. */
bool sqslog_turn(struct sqslog *l, bool ending);

#endif
