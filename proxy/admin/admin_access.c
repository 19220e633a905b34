#include "admin_access.h"

#include <string.h>
#include <strings.h>

#include "rc.h"
#include "span.h"

bool access_is_loopback(const char *peer)
{
	if (strncasecmp(peer, "::ffff:", 7) == 0)
		peer += 7;
	return strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0;
}

/* Takes as long for a guess that is nearly right as for one that is not. */
static bool same_secret(const char *secret, struct span guess)
{
	size_t len = strlen(secret);
	volatile unsigned char differ = len != guess.len;

	for (size_t i = 0; i < len; i++)
		differ |= (unsigned char)((unsigned char)secret[i] ^
					  (guess.len ? (unsigned char)guess.p[i % guess.len] : 0xffu));
	return differ == 0;
}

bool access_bears_token(const struct access_policy *p, const struct access_caller *c)
{
	static const char scheme[] = "bearer ";
	const char *given = c->token;

	if (!p->token[0])
		return false;
	if (!given && c->authorization && strncasecmp(c->authorization, scheme, sizeof(scheme) - 1) == 0) {
		given = c->authorization + sizeof(scheme) - 1;
		given += strspn(given, " ");
	}
	return given && same_secret(p->token, span_str(given));
}

/* The name in a Host header, without port and brackets. */
static struct span host_name(const char *host)
{
	const char *end;

	if (host[0] == '[') {
		end = strchr(host, ']');
		return end ? span_of(host + 1, (size_t)(end - host - 1)) : span_str(host);
	}
	end = strchr(host, ':');
	return end ? span_of(host, (size_t)(end - host)) : span_str(host);
}

/* A name that somebody's DNS may bind to 127.0.0.1 is none; an address is what it is. */
static bool is_loopback_host(const char *host)
{
	struct span name = host_name(host);

	if (span_ieq(name, span_str("localhost")) || span_eq(name, span_str("::1")))
		return true;
	return name.len > 4 && memcmp(name.p, "127.", 4) == 0 && strspn(name.p, "0123456789.") >= name.len;
}

static bool is_same_site(const struct access_caller *c)
{
	if (c->fetch_site && strcmp(c->fetch_site, "same-origin") != 0 && strcmp(c->fetch_site, "none") != 0)
		return false;
	if (!c->origin)
		return true;
	return c->host && strncmp(c->origin, "http://", 7) == 0 && strcasecmp(c->origin + 7, c->host) == 0;
}

/* Somebody on this machine, and not another site's page in his browser. */
static enum access is_local(const struct access_caller *c, const char **why)
{
	if (c->forwarded || !access_is_loopback(c->peer)) {
		*why = "without admin_token only callers on loopback may do this: set admin_token, or call from this "
		       "host";
		return ACCESS_FORBIDDEN;
	}
	if (c->host && !is_loopback_host(c->host)) {
		*why = "the Host header names another host: call 127.0.0.1 or localhost, or set admin_token";
		return ACCESS_FORBIDDEN;
	}
	if (!is_same_site(c)) {
		*why = "the call comes from another site's page";
		return ACCESS_FORBIDDEN;
	}
	return ACCESS_ALLOWED;
}

enum access access_change(const struct access_policy *p, const struct access_caller *c, const char **why)
{
	if (p->token[0]) {
		if (access_bears_token(p, c))
			return ACCESS_ALLOWED;
		*why = "this needs the admin token, as 'Authorization: Bearer TOKEN'";
		return ACCESS_UNKNOWN;
	}
	if (!p->loopback_only) {
		*why = "listen.http can be reached from other hosts and no admin_token is set: set admin_token, or "
		       "listen on 127.0.0.1";
		return ACCESS_FORBIDDEN;
	}
	return is_local(c, why);
}

bool access_samples(const struct access_policy *p, const struct access_caller *c)
{
	const char *why;

	return p->samples && (access_bears_token(p, c) || is_local(c, &why) == ACCESS_ALLOWED);
}
