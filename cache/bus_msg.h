/*
 * bus_msg.h - what instances tell each other. Little-endian:
 *
 *   0  "SMB1"   4  kind   5  three zeros   8  sender, 16   24  count or 0, 4   28  by kind:
 *   heartbeat: when it was sent, on the sender's own clock, 8
 *   write: a slot, 2; positions, 1; unknown, 1; a position: domain, 4, sequence, 8; if unknown: for how many ns yet, 8
 *   all: every slot, unknown for how many ns, 8
 *   anew: the same, and positions are counted anew, 8
 *   drop: every slot, without a write
 *   schema: what the catalog says may have changed
 *
 * Pure: no Redis, no clock.
 */
#ifndef SUIMON_CACHE_BUS_MSG_H
#define SUIMON_CACHE_BUS_MSG_H

#include <stdint.h>

#include "rkey.h"
#include "mbuf.h"
#include "rc.h"
#include "span.h"
#include "versions.h"
#include "wirebuf.h"

#define BUS_MSG_ID 16
#define BUS_MSG_HEAD 28
#define BUS_MSG_WRITES 256 /* slots a message at most */
#define BUS_MSG_WRITE_MAX (4 + VERSIONS_POSITIONS * 12 + 8)
#define BUS_MSG_MAX (BUS_MSG_HEAD + BUS_MSG_WRITES * BUS_MSG_WRITE_MAX)

enum bus_msg_kind { BUS_MSG_HEARTBEAT = 1, BUS_MSG_WRITE, BUS_MSG_ALL, BUS_MSG_DROP, BUS_MSG_SCHEMA, BUS_MSG_ANEW };

struct bus_msg {
	uint8_t bytes[BUS_MSG_MAX];
	size_t len;
	uint32_t count; /* writes in it */
};

/* number: the heartbeat's time, or for how long all is unknown; else 0. */
void bus_msg_begin(struct bus_msg *m, enum bus_msg_kind kind, const uint8_t id[BUS_MSG_ID], uint64_t number);
/* RC_DECLINED: full. */
enum rc bus_msg_add(struct bus_msg *m, uint32_t slot, const struct versions_pos *pos, uint64_t now) must_check;

/* A message read. Take the writes one by one until none is left. */
struct bus_msg_in {
	enum bus_msg_kind kind;
	const uint8_t *id;
	uint64_t number;
	uint32_t left; /* writes */
	struct mbuf m;
};
enum rc bus_msg_read(struct span bytes, struct bus_msg_in *in) must_check; /* RC_ERROR: not a message of ours */
/* RC_DECLINED: no more. RC_ERROR: cut or malformed. */
enum rc bus_msg_next(struct bus_msg_in *in, uint64_t now, uint32_t *slot, struct versions_pos *pos) must_check;

#endif
