/*
 * proxy_header.h - the PROXY protocol, versions 1 and 2: what a proxy in front says of the connection it passes on. Pure.
 *
 * https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt
 */
#ifndef SUIMON_PROXY_HEADER_H
#define SUIMON_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rc.h"

#define PROXY_HEADER_MOST 4096 /* with all that may be appended to it; longer ones are refused */
#define PROXY_PEER 46

struct proxy_header {
	size_t len;            /* of the header: what is behind it is the client's */
	bool own;              /* it names no IP address (a health check, a unix socket): the connection's own counts */
	char peer[PROXY_PEER]; /* the client's address as text, in its usual form; "" with own */
};

/* RC_AGAIN: the beginning of one, more is needed. RC_ERROR: it is none, and why is said in *why, a literal. */
enum rc proxy_header_parse(const uint8_t *p, size_t len, struct proxy_header *h, const char **why) must_check;

#endif
