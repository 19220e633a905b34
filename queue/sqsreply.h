/*
 * sqsreply.h - what SQS and those who give out credentials answer, in JSON: as hostile as any peer's bytes. Pure.
 */
#ifndef SUIMON_SQSREPLY_H
#define SUIMON_SQSREPLY_H

#include <stdbool.h>

#include "rc.h"
#include "span.h"

struct sqsreply_error {
	char type[80]; /* without its namespace */
	char text[256];
};

struct sqsreply_attributes {
	bool fifo, redrive;
	uint64_t message_bytes, retention_seconds, visible, hidden; /* 0: not said */
};

struct sqsreply_keys {
	struct span key_id, secret, token; /* valid until the callback returns */
	uint64_t until_us; /* wall clock; 0: for good */
};

/* A SequenceNumber as one of 63 bits that grows with it. Those of AWS are 2^64 and 256 a microsecond; others count from 1: of
 * these each has room for the records of a message. */
enum rc sqsreply_number(struct span digits, uint64_t *seq) must_check;

/* All: RC_ERROR: not what was asked for. */
enum rc sqsreply_sent(struct span json, uint64_t *seq) must_check;
typedef enum rc (*sqsreply_message_fn)(void *arg, struct span receipt, struct span body, uint64_t seq);
/* fn is called for each, in order, until it does not say RC_OK: that is what is returned. */
enum rc sqsreply_messages(struct span json, sqsreply_message_fn fn, void *arg) must_check;
enum rc sqsreply_look(struct span json, struct sqsreply_attributes *a) must_check;
enum rc sqsreply_credentials(struct span json, void (*fn)(void *arg, const struct sqsreply_keys *k), void *arg) must_check;
/* Never fails: what is not said is empty. */
void sqsreply_fault(struct span json, struct sqsreply_error *e);

#endif
