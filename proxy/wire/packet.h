/*
 * packet.h - packet headers and the OK, ERR and EOF packets, read and written. Pure: bytes in, bytes out.
 */
#ifndef SUIMON_PACKET_H
#define SUIMON_PACKET_H

#include <stdint.h>

#include "iobuf.h"
#include "mbuf.h"
#include "proto.h"
#include "rc.h"
#include "span.h"

/* The payload length and sequence number of the header at p (4 bytes must be there). */
static inline uint32_t packet_len(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

static inline uint8_t packet_seq(const uint8_t *p)
{
	return p[3];
}

/* Length-encoded integers and strings. A NULL marker (0xfb) or 0xff is RC_ERROR for both. */
enum rc packet_get_lenenc(struct mbuf *m, uint64_t *out) must_check;
enum rc packet_get_lenenc_str(struct mbuf *m, struct span *out) must_check;
/* The payload of a packet that is there whole; the header stands before it. RC_ERROR, and *m unmoved, when it is not. */
enum rc packet_get_payload(struct mbuf *m, struct span *payload) must_check;
/* Bytes up to a NUL, or all that is left where the sender has left the NUL out (some do, of a packet's last name). */
struct span packet_get_text(struct mbuf *m);
enum rc packet_put_lenenc(struct iobuf *b, uint64_t v) must_check;
enum rc packet_put_lenenc_str(struct iobuf *b, struct span s) must_check;
enum rc packet_put_uint(struct iobuf *b, uint64_t v, size_t bytes) must_check; /* little-endian */
enum rc packet_put_str_nul(struct iobuf *b, struct span s) must_check;

/* Writes a packet whose payload is appended between the two calls; splits into 16 MB packets at the end.
 * *seq is the sequence number to use and is advanced by the packets written. */
enum rc packet_begin(struct iobuf *b, size_t *mark) must_check;
enum rc packet_end(struct iobuf *b, size_t mark, uint8_t *seq) must_check;
/* A whole packet from a payload at hand. */
enum rc packet_put(struct iobuf *b, uint8_t *seq, const void *payload, size_t len) must_check;
/* Takes back what was appended since packet_begin gave this mark. RC_ERROR always, so that a writer can return it. */
enum rc packet_cancel(struct iobuf *b, size_t mark);

struct ok_packet {
	uint8_t header; /* 0x00, or 0xfe where it ends a result set (DEPRECATE_EOF) */
	uint64_t affected;
	uint64_t insert_id;
	uint16_t status;
	uint16_t warnings;
	struct span info;  /* human text; not owned */
	struct span track; /* raw session-state block, without its length; empty when none; not owned */
};

/* payload: without the 4-byte header. caps: what was negotiated on the connection it came from. */
enum rc packet_parse_ok(struct span payload, uint64_t caps, struct ok_packet *ok) must_check;
/* An EOF packet proper (0xfe and four bytes). */
enum rc packet_parse_eof(struct span payload, uint16_t *warnings, uint16_t *status) must_check;
/* Writes ok as a connection with these capabilities expects it (no track block without CLIENT_SESSION_TRACK, and then
 * without STATUS_SESSION_STATE_CHANGED). */
enum rc packet_put_ok(struct iobuf *b, uint8_t *seq, uint64_t caps, const struct ok_packet *ok) must_check;
enum rc packet_put_eof(struct iobuf *b, uint8_t *seq, uint16_t warnings, uint16_t status) must_check;

struct err_packet {
	uint16_t code;
	char sqlstate[6];    /* NUL-terminated; "HY000" where the packet has none */
	struct span message; /* not owned */
};

enum rc packet_parse_err(struct span payload, struct err_packet *err) must_check;
enum rc packet_put_err(struct iobuf *b, uint8_t *seq, uint16_t code, const char *sqlstate,
		       struct span message) must_check;

/* One item of an OK packet's session-state block. For TRACK_SYSTEM_VARIABLES name and value are set (a block may
 * hold several pairs: each comes as an item of its own); for the others value alone (schema name, GTID text,
 * "1" for a state change, the 8 characters of the transaction state). */
struct track_item {
	enum session_track type;
	struct span name;
	struct span value;
};
struct track_iter {
	struct mbuf rest; /* of the whole block */
	struct mbuf vars; /* of a system-variables item being walked */
};
void packet_track_begin(struct track_iter *it, struct span track);
/* RC_DECLINED at the end; unknown types are skipped. */
enum rc packet_put_track(struct iobuf *b, const struct track_item *item) must_check; /* one item of a block, as packet_track_next has it */
enum rc packet_track_next(struct track_iter *it, struct track_item *item) must_check;

#endif
