/*
 * gtid_source.h - the sources of MySQL's GTIDs by number: a server's uuid, with the tag of its transactions if they have one.
 *
 * The number is a hash of the text, so that processes which share positions (the cache's bus) mean the same by it. Two
 * sources of one hash are told apart here: the second is refused, and its positions count as unknown. Thread-safe.
 */
#ifndef SUIMON_GTID_SOURCE_H
#define SUIMON_GTID_SOURCE_H

#include <stdint.h>

#include "rc.h"
#include "span.h"

#define GTID_UUID_LEN 36
#define GTID_TAG_MAX 32
#define GTID_SOURCE_CAP (GTID_UUID_LEN + 1 + GTID_TAG_MAX + 1) /* "uuid:tag" and a NUL */
#define GTID_SOURCES 256                                       /* a process knows at most; never forgotten */

/* The number of a source. tag may be empty; neither's letter case matters. RC_ERROR: not a uuid or a tag, or no room. */
enum rc gtid_source_number(struct span uuid, struct span tag, uint32_t *out) must_check;
/* "uuid" or "uuid:tag", lower case; NULL: no source of MySQL's has this number. Valid for ever. */
const char *gtid_source_text(uint32_t number);

#endif
