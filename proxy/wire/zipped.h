/*
 * zipped.h - the compressed protocol (CLIENT_COMPRESS, CLIENT_ZSTD_COMPRESSION_ALGORITHM): packets around the packets.
 *
 * Each begins with the length of what follows (3 bytes), a sequence number of its own (1), and how long it is when
 * unpacked (3; 0: it is not packed). What a sender says of lengths is held against what comes: nothing is kept that is
 * larger than the caller's buffer, however much a packet unpacks to, and a packet that unpacks to more or less than it
 * said is malformed. Between packets neither side holds a compressor.
 */
#ifndef SUIMON_ZIPPED_H
#define SUIMON_ZIPPED_H

#include <stdbool.h>
#include <sys/uio.h>

#include "iobuf.h"

#define ZIPPED_HEADER 7
#define ZIPPED_ZSTD_MOST 9 /* a higher level is taken for this one: what it costs is ours to bear */

enum zipped_kind { ZIPPED_ZLIB, ZIPPED_ZSTD };

struct zipped {
	enum zipped_kind kind;
	int level;
	uint8_t seq;                  /* of the next packet of ours: the peer's last one and one */
	/* of the packet being read: */
	uint8_t header[ZIPPED_HEADER];
	uint8_t have;                 /* bytes of the header that are here */
	uint32_t packed_left;         /* bytes of it still to come */
	uint32_t plain_left;          /* bytes still to be made of it */
	bool stored;                  /* not packed */
	void *unpacker;               /* owned; z_stream or ZSTD_DCtx, only inside a packet */
};

void zipped_init(struct zipped *z, enum zipped_kind kind, int level);
void zipped_reset(struct zipped *z);

/* Unpacks: *used of the len bytes at p were taken, *made of the cap bytes at out were written. To be called until neither is
 * more than 0. RC_ERROR: malformed, or no memory. */
enum rc zipped_read(struct zipped *z, const uint8_t *p, size_t len, size_t *used, uint8_t *out, size_t cap,
		    size_t *made) must_check;
/* Appends the pieces, packed. RC_ERROR: no memory, or no room in out. */
enum rc zipped_write(struct zipped *z, const struct iovec *iov, int n, struct iobuf *out) must_check;

#endif
