/*
 * record.h - a captured write as bytes: the body of a frame in the log and in the dead letters.
 *
 * Layout, little-endian, after which the texts follow in the order of their lengths, with nothing behind them:
 *   flags u32 (bit 0: halt on a permanent error; bit 1: several statements) | digest u64 | time_us u64 | retry_of u64 |
 *   rows_at u32 | rows_end u32 |
 *   lengths u32 of account, schema, tables, order_key, environment, sql, and with bit 1 of parts
 */
#ifndef SUIMON_RECORD_H
#define SUIMON_RECORD_H

#include <stdint.h>

#include "queue.h"

#define RECORD_FIXED_BYTES 60u
#define RECORD_MAX_BYTES (64u << 20) /* of a body: larger statements are not queued */

struct record {
	struct queue_record r; /* spans point into the bytes decoded */
	uint64_t retry_of;     /* the dead letter this is another try of; 0: none */
};

/* Bytes the body takes, or 0: too large to be queued. */
size_t record_size(const struct record *rec);
/* out has room for record_size bytes. */
void record_encode(const struct record *rec, uint8_t *out);
/* RC_ERROR: not a record (its checksum was right, so a newer version wrote it, or a bug). */
enum rc record_decode(struct span body, struct record *rec) must_check;
/* The statement number i, from 0, of one that has parts. False: there are no more. */
bool record_part(const struct queue_record *r, size_t i, struct span *out) must_check;

#endif
