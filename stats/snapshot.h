/*
 * snapshot.h - what outlives the process: the digest table, loops, spenders and the adviser's words, as a file.
 *
 *   header   8 bytes magic, version (4), flags (4), bytes behind it (8), XXH3 of these (8)
 *   records  kind (1), bytes (4), and as many; numbers little-endian, strings with their length (4) in front
 *
 * Moments stand as microseconds since 1970. A file of another version, cut, damaged or with a record that is not right to
 * its last byte is not taken at all. The file is bounded (SNAPSHOT_MAX): what does not fit are the statements that have
 * cost least. Literal values (samples, plans) are in it only while stats.samples is on, and the flags say so.
 */
#ifndef SUIMON_STATS_SNAPSHOT_H
#define SUIMON_STATS_SNAPSHOT_H

#include "core.h"
#include "iobuf.h"

#define SNAPSHOT_MAX (64 * 1024 * 1024)
#define SNAPSHOT_MAGIC "SUIMSTAT"
#define SNAPSHOT_VERSION 9 /* one more whenever a record, or an enumeration it lists, changes */
#define SNAPSHOT_HEADER 32
#define SNAPSHOT_VALUES 1u /* flag: literal values are in it */

enum snapshot_kind {
	SNAPSHOT_META = 1, /* since when, for how long */
	SNAPSHOT_OTHER,    /* what has no row of its own */
	SNAPSHOT_LOOP,
	SNAPSHOT_SPENDER,
	SNAPSHOT_ADVICE,
	SNAPSHOT_GHOST, /* what was foretold of a digest */
	SNAPSHOT_DIGEST /* the costliest first */
};

/* snapshot_put.c: the whole file. RC_ERROR: no memory. Any thread. */
enum rc snapshot_put(struct stats *s, struct iobuf *out) must_check;
/* snapshot_take.c: adds what it says to the sink's table, on the sink's thread or before it runs. *values: literals were in it.
 * RC_DECLINED: it is not taken, why says what is wrong. RC_ERROR: no memory; part of it was taken. */
enum rc snapshot_take(struct stats_sink *k, struct span file, bool *values, const char **why) must_check;
/* snapshot.c: ends the thread that keeps it, after writing it once more. NULL is fine. */
void snapshot_free(struct snapshot *n);
void snapshot_soon(struct snapshot *n); /* write it now rather than at the interval's end; NULL is fine */

#endif
