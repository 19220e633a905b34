/*
 * admin_conns.h - a bound on the connections to the HTTP interface: when there are too many, the oldest is closed.
 *
 * evhttp neither limits nor counts its connections, and tells of one only when it has a request.
 */
#ifndef SUIMON_ADMIN_CONNS_H
#define SUIMON_ADMIN_CONNS_H

#include <event2/http.h>

#include "loop.h"
#include "rc.h"

struct conns;

struct conns *conns_new(struct loop *loop, size_t most) must_check; /* loop's thread, as all else */
void conns_watch(struct conns *c, struct evhttp *http);            /* c outlives http */
void conns_free(struct conns *c);                                  /* NULL is allowed */

#endif
