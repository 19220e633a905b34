/*
 * sqsmsg.h - a message of the SQS engine: a stretch of one process's records, as text that SQS takes. Pure.
 *
 * Base64 of, little-endian:
 *   "suq1" | CRC32C of what follows u32 | queue u64 | lane u32 | producer u64 | number u64 | before u64 | count u32 |
 *   count records: length u32, body (record.h)
 *
 * A record's id is number << 12 | its place in the message: it grows from record to record of one producer in one lane.
 */
#ifndef SUIMON_SQSMSG_H
#define SUIMON_SQSMSG_H

#include "iobuf.h"
#include "rc.h"
#include "span.h"

#define SQSMSG_HEAD_BYTES 48u
#define SQSMSG_ID_BITS 12
#define SQSMSG_RECORDS_MAX (1u << SQSMSG_ID_BITS)

struct sqsmsg {
	uint64_t queue;    /* which queue it belongs to, by name and lanes */
	uint32_t lane;
	uint64_t producer; /* the process that sent it, as of this start */
	uint64_t number;   /* 1, 2, …: of this producer in this lane */
	uint64_t before;   /* the one of its that SQS is known to have taken last; 0: none */
	uint32_t count;
	struct span records;
};

/* Bytes of head and records that fit into a message of so many. */
static inline size_t sqsmsg_raw_most(size_t message_bytes)
{
	return message_bytes / 4 * 3;
}

static inline uint64_t sqsmsg_id(const struct sqsmsg *m, uint32_t place)
{
	return m->number << SQSMSG_ID_BITS | place;
}

/* Appends the text to out. RC_ERROR: bound or memory. */
enum rc sqsmsg_encode(const struct sqsmsg *m, struct iobuf *out) must_check;
/* raw: emptied and filled; m points into it. RC_DECLINED: it is not one of ours, or damaged: why (literal). RC_ERROR: no memory. */
enum rc sqsmsg_decode(struct span text, struct iobuf *raw, struct sqsmsg *m, const char **why) must_check;
/* The first of the records; those behind it become what is left. */
enum rc sqsmsg_next(struct span *records, struct span *body) must_check;

#endif
