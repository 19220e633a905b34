/*
 * gtid.h - positions in the replication stream: MariaDB's domain-server-sequence lists, MySQL's GTID sets.
 *
 * Both are kept as the last sequence of each domain. Of MySQL's, a domain is a source, "uuid" or "uuid:tag", under a
 * number that is the same in every process (gtid_source.h). A source numbers its transactions from 1 without gaps, so
 * that "has all up to n" is one number; a server that lacks some in between has those before the gap.
 */
#ifndef SUIMON_GTID_H
#define SUIMON_GTID_H

#include <stdbool.h>
#include <stdint.h>

#include "gtid_source.h"
#include "rc.h"
#include "span.h"

#define GTID_DOMAINS 16 /* more domains than this in one position: it counts as unknown */

struct gtid { uint32_t domain, server; uint64_t seq; }; /* server: MariaDB's; 0 where nobody needs it */

/* The largest sequence seen in each domain. */
struct gtid_pos {
	struct gtid at[GTID_DOMAINS];
	uint8_t n;
	bool overflow; /* more domains than fit: nothing is known to have reached it */
};

#define GTID_TEXT_CAP (GTID_DOMAINS * (GTID_SOURCE_CAP + 24) + 1)

/* "0-1-17,1-2-5" or "uuid:1-17,uuid:tag:4": the last of each domain, which is what a replica must reach. Empty text is
 * an empty position. RC_ERROR: no such list, or a source of which there are too many (out is then undefined). */
enum rc gtid_parse(struct span text, struct gtid_pos *out) must_check;
/* The same of what a server has applied: of a MySQL source, up to its first gap. */
enum rc gtid_parse_applied(struct span text, struct gtid_pos *out) must_check;
void gtid_advance(struct gtid_pos *pos, const struct gtid *g);          /* pos = max(pos, g) */
void gtid_merge(struct gtid_pos *pos, const struct gtid_pos *other);    /* pos = max(pos, other) */
bool gtid_reached(const struct gtid_pos *server, const struct gtid_pos *wanted); /* server has all of wanted */
static inline bool gtid_empty(const struct gtid_pos *p) { return p->n == 0 && !p->overflow; }
/* Writes the list as text, as its servers would read it; returns its length (out holds GTID_TEXT_CAP bytes, NUL-terminated). */
size_t gtid_print(const struct gtid_pos *pos, char *out);

#endif
