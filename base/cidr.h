/*
 * cidr.h - networks of IP addresses, of both families in one form.
 */
#ifndef SUIMON_CIDR_H
#define SUIMON_CIDR_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"

struct cidr {
	uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;     /* of addr that count */
};

/* An address as text in 16 bytes, as above. RC_ERROR: it is none ("unix"). */
enum rc cidr_address(const char *text, uint8_t out[16]) must_check;
/* "10.0.0.0/8", "fd00::/8", or an address alone. RC_ERROR: neither. */
enum rc cidr_parse(const char *text, struct cidr *out) must_check;
bool cidr_has(const struct cidr *c, const uint8_t addr[16]);

#endif
