/*
 * gtid.h - positions in the replication stream: MariaDB's domain-server-sequence lists.
 */
#ifndef SUIMON_GTID_H
#define SUIMON_GTID_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"
#include "span.h"

#define GTID_DOMAINS 8 /* more domains than this in one position: it counts as unknown */

struct gtid { uint32_t domain, server; uint64_t seq; };

/* The largest sequence seen in each domain. */
struct gtid_pos {
	struct gtid at[GTID_DOMAINS];
	uint8_t n;
	bool overflow; /* more domains than fit: nothing is known to have reached it */
};

#define GTID_TEXT_CAP (GTID_DOMAINS * 44 + 1)

/* "0-1-17,1-2-5"; empty text is an empty position. RC_ERROR: not such a list (out is then undefined). */
enum rc gtid_parse(struct span text, struct gtid_pos *out) must_check;
void gtid_advance(struct gtid_pos *pos, const struct gtid *g);          /* pos = max(pos, g) */
void gtid_merge(struct gtid_pos *pos, const struct gtid_pos *other);    /* pos = max(pos, other) */
bool gtid_reached(const struct gtid_pos *server, const struct gtid_pos *wanted); /* server has all of wanted */
static inline bool gtid_empty(const struct gtid_pos *p) { return p->n == 0 && !p->overflow; }
/* Writes the list as text; returns its length (out holds GTID_TEXT_CAP bytes, NUL-terminated). */
size_t gtid_print(const struct gtid_pos *pos, char *out);

#endif
