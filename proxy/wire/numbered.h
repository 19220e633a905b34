/*
 * numbered.h - finds the numbers of packets in a stream of them that comes in pieces.
 */
#ifndef SUIMON_NUMBERED_H
#define SUIMON_NUMBERED_H

#include <stddef.h>
#include <stdint.h>

/* Where in the stream the last piece has ended. All 0: at a packet's beginning. */
struct numbered {
	uint32_t len;  /* of the packet that passes: bytes still to come; while its header does, what is known of it */
	uint8_t have;  /* bytes of the header that have passed */
};

/* The offset of the next sequence number (a header's fourth byte) in the len bytes at p; len: none in these. The next call goes on
 * behind it. */
size_t numbered_next(struct numbered *n, const uint8_t *p, size_t len);

#endif
