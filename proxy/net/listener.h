/*
 * listener.h - a listening socket on a loop: accepts and hands descriptors over.
 */
#ifndef SUIMON_LISTENER_H
#define SUIMON_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loop.h"
#include "rc.h"

struct listener;

/* fd is non-blocking and the callee's. peer is the client's address as text ("127.0.0.1", "unix"). */
typedef void (*listener_accept_fn)(void *arg, int fd, const char *peer);

/* host:port (is_unix: host is a path; a stale socket file is replaced). NULL: why is in err. */
struct listener *listener_open(struct loop *loop, const char *host, uint16_t port, int is_unix, listener_accept_fn fn,
			       void *arg, char *err, size_t err_cap) must_check;
/* A socket that somebody else bound and listens on; the listener's from now on, also where NULL is returned. */
struct listener *listener_take(struct loop *loop, int fd, listener_accept_fn fn, void *arg, char *err, size_t err_cap) must_check;
void listener_owns(struct listener *l, const char *path); /* a taken unix socket whose path goes when it stops */
int listener_fd(const struct listener *l);        /* the listener's; -1: stopped */
enum rc listener_pause(struct listener *l, bool pause) must_check; /* who connects meanwhile waits in the backlog */
void listener_leave(struct listener *l);          /* as stop, but the socket lives on in another process */
uint16_t listener_port(const struct listener *l); /* the bound one, where 0 was asked for */
void listener_stop(struct listener *l);           /* accepts no more; the port is free at once */
void listener_free(struct listener *l);           /* NULL is allowed */

/* Out of descriptors or memory for who connects: said once when it begins and once when it is over, whoever accepts there. */
struct listener_trouble {
	uint64_t failed_ns; /* monotonic: when it could not accept last; 0: it can */
};
void listener_refused(struct listener_trouble *t, const char *subsystem, int error); /* accepting failed with this errno */
void listener_accepted(struct listener_trouble *t, const char *subsystem); /* it is over when nothing has failed for a second */

/* The text of a socket address. */
void listener_peer_name(const struct sockaddr *sa, char *out, size_t cap);

#endif
