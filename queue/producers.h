/*
 * producers.h - suimon.producers: of each process that sent records to a lane, the last one applied, in the database so that it
 * commits with them. Whoever meets a record again, however often and however late it is handed out, knows it by that (Q2).
 */
#ifndef SUIMON_PRODUCERS_H
#define SUIMON_PRODUCERS_H

#include "dbconn.h"

struct producer {
	uint64_t id;
	uint64_t applied; /* its last record that is committed, as far as is known here */
	uint64_t seen;    /* the last one that has its place among those to be applied */
	uint64_t noted;   /* what the transaction under way makes of applied; 0: it has none of it */
};

struct producers {
	struct producer *p; /* owned; by id */
	size_t n, cap;
	bool told; /* that somebody must make the table: said once */
};

void producers_reset(struct producers *s); /* frees */
/* As the database has them, those long gone left out; makes the table if it is missing. RC_ERROR: the connection's code and error. */
enum rc producers_read(struct producers *s, struct dbconn *c, const char *lane_hex) must_check;
/* NULL: no memory. Valid until the next one is added. */
struct producer *producers_get(struct producers *s, uint64_t id);
/* Within a transaction: what has `noted`. RC_ERROR: the connection's code and error. */
enum rc producers_note(const struct producers *s, struct dbconn *c, const char *lane_hex) must_check;

#endif
