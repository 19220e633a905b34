/*
 * throttle.h - failed logins by address: who guesses passwords is kept waiting. Shared by all workers, under one lock that
 * only failures take, and logins while there are any.
 *
 * An address has THROTTLE_BURST failures to spend and gets one back each THROTTLE_BACK_NS; a login that succeeds gives all
 * back. While it has none left, its connections are refused before the greeting, as servers do by max_connect_errors. IPv6
 * addresses count by their first 64 bits, which one host owns whole; unix sockets do not count.
 *
 * A loopback address is that of every application beside suimon: one with an old password must not keep the others out. So nobody is
 * refused there; logins that fail are told so later, one after the other, and those that succeed give nothing back: they are others'.
 */
#ifndef SUIMON_THROTTLE_H
#define SUIMON_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"

#define THROTTLE_BURST 100
#define THROTTLE_BACK_NS (UINT64_C(1000) * 1000 * 1000)
#define THROTTLE_LATE_MOST_NS (10 * THROTTLE_BACK_NS) /* each that waits holds a connection */
#define THROTTLE_MOST 4096 /* addresses remembered; beyond, the one whose last failure is longest ago is forgotten */

struct throttle;

struct throttle *throttle_new(void) must_check; /* NULL: out of memory */
void throttle_free(struct throttle *t);         /* NULL is allowed */

/* peer: an address as text, or "unix". now_ns: monotonic. */
bool throttle_blocks(struct throttle *t, const char *peer, uint64_t now_ns);
/* How much later a failure is told: 0, or for a loopback address that has none left so that one is told each THROTTLE_BACK_NS, as far as
 * THROTTLE_LATE_MOST_NS allows. */
uint64_t throttle_delay(struct throttle *t, const char *peer, uint64_t now_ns);
void throttle_failed(struct throttle *t, const char *peer, uint64_t now_ns); /* not remembered when memory is short */
void throttle_cleared(struct throttle *t, const char *peer);                 /* it has logged in */

#endif
