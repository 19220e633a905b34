/*
 * ledger.h - who may be writing what, kept in Redis: one hash, a field an instance (by its id on the bus), the slots it
 * announces as value (announce.h). What an instance that died had in hand is invalidated by those that live.
 *
 *   before a write      HSET own entry, unless Redis has one that names its slots already
 *   each second         with the heartbeat, in one script: HSET own entry (again, should it have been lost), PUBLISH
 *   at the start        HGET everyone's: invalidated once, before this instance serves anything
 *   each second         who stands there and has not been heard for LEDGER_DEAD_NS is dead: his entry is invalidated
 *                       at once, after half a second, and then at intervals that double, for about a minute (his last
 *                       COMMIT may still be on its way through the server), and removed
 *
 * Any number of instances may do that for the same dead one: it only invalidates. Belongs to the control loop.
 */
#ifndef SUIMON_CACHE_LEDGER_H
#define SUIMON_CACHE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "announce.h"
#include "bus_msg.h"
#include "rc.h"
#include "span.h"

#define LEDGER_PEERS 128                          /* other instances; entries of more are invalidated and removed at sight */
#define LEDGER_DEAD_NS (UINT64_C(4) * 1000000000) /* without a sign of life; longer than the bus's lease */

struct bus;

struct ledger_peer {
	struct bus *bus;                 /* NULL: a free place */
	uint8_t id[BUS_MSG_ID];
	uint64_t heard_ns;               /* bus_clock; last sign of life, or when it was first seen in the ledger */
	uint64_t next_ns, wait_ns;       /* dead: when its entry is invalidated next; how long that had been waited for */
	bool dead;
	bool asking;                     /* an HGET is under way */
};

struct ledger {
	bool known;                      /* the others' entries were read and invalidated on this connection */
	unsigned asking;                 /* HGETs under way */
	uint64_t answered;               /* number of the own entry that was answered last: they are answered in order */
	struct ledger_peer peers[LEDGER_PEERS];
};

enum rc ledger_heartbeat(struct bus *b, struct span message) must_check; /* RC_ERROR: the connection takes no more */
enum rc ledger_send(struct bus *b) must_check; /* the own entry, if some slot was not sent yet */
void ledger_read(struct bus *b);               /* who stands there; bus_prove follows when all is read the first time */
void ledger_heard(struct bus *b, const uint8_t id[BUS_MSG_ID]); /* it lives */
/* Since when somebody has not been heard who may have written and not told (bus_clock); UINT64_MAX: nobody is there. Who is dead
 * counts until what it announced is invalidated. */
uint64_t ledger_all_heard(const struct bus *b);

#endif
