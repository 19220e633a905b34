/*
 * varlater.h - a session's variables, and its write that is applied later by another connection (Q4): docs/queue.md has the table.
 *
 * The variables are those of MariaDB 10.11 and of MySQL 8 and 9 that a session may set and that are replayed to its connections; those
 * that pin a session to its connection (insert_id, timestamp, pseudo_thread_id and the like) are not asked about: nothing is queued then.
 */
#ifndef SUIMON_VARLATER_H
#define SUIMON_VARLATER_H

#include "span.h"

enum varlater {
	VARLATER_DIRECT,  /* the write runs directly: the drain may not set it, it says how the write is logged, or it is not known here */
	VARLATER_MEANING, /* the drain sets it for the write: it changes the rows that are written, or whether they may be */
	VARLATER_HARMLESS /* the drain leaves it out: it changes nothing of the write, and could harm the drain's connection */
};

enum varlater varlater_of(struct span name); /* lower case */

#endif
