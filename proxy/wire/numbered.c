#include "numbered.h"

#include "proto.h"

#define NUMBER_AT 3 /* in a packet's header */

size_t numbered_next(struct numbered *n, const uint8_t *p, size_t len)
{
	size_t at = 0;

	if (n->have == PACKET_HEADER) { /* inside a packet */
		if (n->len > len) {
			n->len -= (uint32_t)len;
			return len;
		}
		at = n->len;
		*n = (struct numbered){0};
	}
	for (; at < len && n->have < NUMBER_AT; at++)
		n->len |= (uint32_t)p[at] << (8 * n->have++);
	if (at < len)
		n->have = PACKET_HEADER;
	return at;
}
