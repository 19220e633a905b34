/*
 * login_key.h - the RSA key under which clients without TLS send their passwords (the full exchange of caching_sha2_password).
 *
 * To make one takes a processor half a second, and most processes are never asked for it: only by a client that comes by
 * TCP without TLS and whose account is not listed. So it is made when the first one asks, on a thread of its own, while
 * sessions that need it wait, half a minute at the most (which does not count as the client's handshake_timeout), and all others go on.
 */
#ifndef SUIMON_LOGIN_KEY_H
#define SUIMON_LOGIN_KEY_H

#include <stdbool.h>

#include "list.h"
#include "loop.h"
#include "rc.h"

struct auth_rsa;
struct login_key;

/* A loop's logins that wait for the key. Its thread's, but for node. */
struct login_key_wait {
	struct mail mail;
	struct loop *loop;
	void (*told)(struct login_key_wait *w); /* on the loop, when the wait that an RC_AGAIN began is over: see login_key_made */
	struct list logins;
	struct list_node node;                  /* among those to be told; the key's */
	bool waiting;
};

struct login_key *login_key_new(void) must_check; /* NULL: no memory */
void login_key_free(struct login_key *k);         /* after the loops' threads have ended and before the loops are freed */

/* RC_OK: there, and it stays until login_key_free. RC_AGAIN: it is being made. RC_ERROR: it cannot be made now. w's thread. */
enum rc login_key_get(struct login_key *k, struct login_key_wait *w, struct auth_rsa **out) must_check;
/* The key; NULL: it has not been made, or could not be. Any thread. */
struct auth_rsa *login_key_made(struct login_key *k);

#endif
