/*
 * resolve.h - a host name to addresses without holding the loop up: a thread of its own asks the system's resolver.
 */
#ifndef SUIMON_RESOLVE_H
#define SUIMON_RESOLVE_H

#include <stdint.h>
#include <sys/socket.h>

#include "loop.h"
#include "rc.h"

#define RESOLVE_ADDRESSES 8

struct resolve_address {
	struct sockaddr_storage addr;
	socklen_t len;
};

struct resolve;

/* On the loop's thread, once. n 0: why says what went wrong (a literal). */
typedef void (*resolve_fn)(void *arg, const struct resolve_address *a, unsigned n, const char *why);

/* Numeric addresses too are answered through the loop. NULL: no memory or no thread. Ends itself after done. */
struct resolve *resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn done, void *arg) must_check;
void resolve_cancel(struct resolve *r); /* once the loop has ended: done will not be called */

#endif
