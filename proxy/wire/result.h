/*
 * result.h - changing values of a small result that is at hand as a whole.
 */
#ifndef SUIMON_RESULT_H
#define SUIMON_RESULT_H

#include "packet.h"

#define RESULT_SMALL 4096 /* bytes of a result that may be changed; a larger one is not for this */

#define RESULT_NUMBERS_MOST 6

struct result_numbers {
	uint8_t columns; /* of the result, 1 to RESULT_NUMBERS_MOST */
	uint8_t given;   /* a bit each, from the first: its value is to be ... */
	uint64_t n[RESULT_NUMBERS_MOST]; /* ... this, which is signed */
};

/* reply: the packets of one result, up to its only row and with it, from the column count on (no final EOF or
 * OK); caps: of the connection it came over. Appends it to out with the values that are given in place of the row's, in the form the row
 * has: text, or integers of 8 bytes (or one of 4) where the column definitions say so. RC_DECLINED: not such a result, out is as
 * it was. RC_ERROR: no memory. */
enum rc result_put_numbers(struct iobuf *out, struct span reply, uint64_t caps, bool binary, const struct result_numbers *v) must_check;

#define RESULT_LIST 262144 /* bytes of a list that may be changed */

/*
 * The same for a list of connections, whose first column is a connection's number: n stands for the number from in the rows that have
 * it. reply: its packets up to the last row, or their beginning: what is cut off or malformed is left as it is. RC_DECLINED: not a list.
 */
enum rc result_put_listed(struct iobuf *out, struct span reply, uint64_t caps, bool binary, uint64_t from, uint64_t n) must_check;

/*
 * Calls fn for each value in the rows of a result that is not NULL: integers in decimal, strings, and in the text form
 * all others as they stand there. reply: its packets from the column count on, or their beginning: what is cut off or
 * malformed ends it. caps: of the connection it came over. Returns how many rows they were of.
 */
typedef void (*result_value_fn)(void *arg, struct span text);
size_t result_each_value(struct span reply, uint64_t caps, bool binary, result_value_fn fn, void *arg);

#endif
