/*
 * repair.h - damage in the log of a stopped queue: where it is, and going on without the records that are lost.
 *
 * Skipping writes a segment anew with all records that can be read, and in the place of each that cannot an empty frame of
 * its sequence (FRAME_GAP), which the drain passes. The damaged file stays beside it as N.seg.damaged.
 */
#ifndef SUIMON_REPAIR_H
#define SUIMON_REPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"

struct repair_damage {
	const char *file;             /* its name in the directory */
	uint64_t at;                  /* the first byte that cannot be read */
	uint64_t first_seq, last_seq; /* the records that are lost */
	bool passed;                  /* all of them had been applied, as far as the checkpoint knows */
};

typedef void (*repair_fn)(void *arg, const struct repair_damage *d);

struct repair_totals {
	uint64_t segments, records, skipped; /* read; records that can be read; lost to an earlier skip */
	uint64_t damages, lost;
};

/* Reads all of the directory's segments and calls fn for every damage. skip: takes the directory and mends the log.
 * RC_ERROR: err says why. */
enum rc repair_dir(const char *dir, bool skip, repair_fn fn, void *arg, struct repair_totals *out, char *err,
		   size_t cap) must_check;

#endif
