/*
 * redis_url.h - redis://[[user]:password@]host[:port][/db], parts percent-decoded; rediss:// is the same by TLS, and takes
 * ?ca=FILE (else the system's authorities) and ?verify=none (whoever the server is). redis+cluster:// and rediss+cluster:// take several host[:port], joined by commas, and
 * no /db.
 */
#ifndef SUIMON_REDIS_URL_H
#define SUIMON_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rc.h"
#include "secret.h"
#include "span.h"
#include "tls.h"

#define REDIS_SEEDS 8

struct redis_seed {
	char *host;              /* owned */
	uint16_t port;
};

struct redis_url {
	char *host;              /* owned; IPv6 without its brackets */
	uint16_t port;
	char *user;              /* owned; NULL: the default user */
	struct secret *password; /* owned; NULL: no AUTH */
	unsigned db;
	struct redis_seed seeds[REDIS_SEEDS]; /* of a cluster: any of its nodes; host is the first one's name */
	unsigned nseeds;         /* 0: no cluster */
	bool tls;
	bool verify;             /* the server's certificate, and that it was made for host or, in a cluster, for the node it is */
	char *ca;                /* owned; NULL: the system's */
	struct tls_context *context; /* a reference, by redis_url_secure; NULL: none */
};

/* RC_ERROR: why says what is wrong and what is allowed, never the password. out is empty then. */
enum rc redis_url_parse(const char *url, struct redis_url *out, char *why, size_t cap) must_check;
/* The same, for callers with options of their own behind ?: fn is shown each first. RC_ERROR: it is none of its. */
typedef enum rc (*redis_url_option_fn)(void *arg, struct span key, struct span value);
enum rc redis_url_parse_with(const char *url, struct redis_url *out, redis_url_option_fn fn, void *arg, char *why,
			     size_t cap) must_check;
/* Makes the context of a URL with tls. RC_ERROR: why. */
enum rc redis_url_secure(struct redis_url *u, char *why, size_t cap) must_check;
void redis_url_reset(struct redis_url *u);

#endif
