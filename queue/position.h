/*
 * position.h - suimon.applied: how far this queue's records are applied, in the database so that it commits with them (Q2).
 */
#ifndef SUIMON_POSITION_H
#define SUIMON_POSITION_H

#include <stdint.h>

#include "dbconn.h"
#include "segment.h"

#define POSITION_TIME_MAX 40

struct position {
	char id_hex[2 * QUEUE_ID_BYTES + 1];
	unsigned shard;
	uint64_t seq; /* as last read or committed */
	bool fenced;  /* other processes may take it over: each who reads it raises its epoch, and those before cannot move it */
	bool guarded; /* one process's: who opens the queue raises the epoch of all its rows, and an earlier one cannot move them */
	uint64_t epoch; /* ours */
	uint64_t found; /* the row's epoch, as last read */
	bool told;    /* that somebody must make the table: said once */
};

void position_init(struct position *p, const uint8_t id[QUEUE_ID_BYTES], unsigned shard);
/* Makes the schema and the table. told: that somebody must, where it may not be made here; said once. RC_ERROR: as below. */
enum rc position_make_table(struct dbconn *c, bool *told) must_check;
/* Reads it into seq, waiting for a transaction of a lost connection that still holds it; makes the schema, the table and
 * the row (with `initial`) if they are missing. RC_ERROR: the connection's code and error say why. */
enum rc position_read(struct position *p, struct dbconn *c, uint64_t initial) must_check;
/* From here on all rows of this queue are those of `epoch`, unless they are of a later one. */
enum rc position_guard(struct position *p, struct dbconn *c, uint64_t epoch) must_check;
void position_now(char out[POSITION_TIME_MAX]); /* the time, as a DATETIME(6), whatever the session's is */
/* Within a transaction: from seq to `to`. RC_DECLINED: somebody else moved it. */
enum rc position_advance(const struct position *p, struct dbconn *c, uint64_t to) must_check;

/* What somebody with the right to do so must run if the drain's account may not. */
extern const char position_schema_sql[];
extern const char position_table_sql[];

#endif
