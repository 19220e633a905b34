/*
 * admin.h - the HTTP interface (contract section 3), on the control loop.
 */
#ifndef SUIMON_ADMIN_H
#define SUIMON_ADMIN_H

#include "fleet.h"
#include "instance.h"

struct admin;
struct jsonw;

struct admin_hooks {
	void *arg;
	/* Re-reads the configuration and puts it in force. RC_ERROR: nothing was changed; why has the faults, one a line. */
	enum rc (*reload)(void *arg, struct iobuf *why);
	const struct fleet *fleet; /* NULL: no config.source */
};

/* Listens on settings.listen.http, or, where fd is not -1, on that socket, which is admin's from now on. NULL: why is in err. */
struct admin *admin_open(struct instance *in, const struct admin_hooks *hooks, int fd, char *err, size_t err_cap) must_check;
int admin_fd(const struct admin *a);        /* the listening socket; admin's */
void admin_pause(struct admin *a, bool pause); /* who connects meanwhile waits */
uint16_t admin_port(const struct admin *a); /* the bound one */
void admin_close(struct admin *a);          /* NULL is allowed; pending requests are answered 503 */

/* Would a client's read run now, as /readyz and /metrics say? If not and w is not NULL, the reasons go into it as elements of an array. */
bool admin_ready(struct instance *in, struct jsonw *w);

#endif
