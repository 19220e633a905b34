/*
 * redis_url.h - redis://[[user]:password@]host[:port][/db], parts percent-decoded.
 */
#ifndef SUIMON_CACHE_REDIS_URL_H
#define SUIMON_CACHE_REDIS_URL_H

#include <stddef.h>
#include <stdint.h>

#include "rc.h"
#include "secret.h"

struct redis_url {
	char *host;              /* owned; IPv6 without its brackets */
	uint16_t port;
	char *user;              /* owned; NULL: the default user */
	struct secret *password; /* owned; NULL: no AUTH */
	unsigned db;
};

/* RC_ERROR: why says what is wrong and what is allowed, never the password. out is empty then. */
enum rc redis_url_parse(const char *url, struct redis_url *out, char *why, size_t cap) must_check;
void redis_url_reset(struct redis_url *u);

#endif
