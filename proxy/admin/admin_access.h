/*
 * admin_access.h - who may change something over HTTP, and who may see literal values (S2). Pure: tested by table.
 *
 * A token proves its bearer from anywhere. Without one there is only where a call comes from: loopback, not through a
 * forwarder, and, since a browser on this machine calls from loopback too, not on behalf of another site's page
 * (Host against DNS rebinding; Origin and Sec-Fetch-Site against forged posts).
 */
#ifndef SUIMON_ADMIN_ACCESS_H
#define SUIMON_ADMIN_ACCESS_H

#include <stdbool.h>

/* What a call says of itself; any of it may be NULL where the call has no such header. */
struct access_caller {
	const char *peer;          /* numeric address of the other end */
	const char *host, *origin; /* Host, Origin */
	const char *fetch_site;    /* Sec-Fetch-Site */
	const char *authorization; /* Authorization */
	const char *token;         /* X-Suimon-Token */
	bool forwarded;            /* a proxy has left a header: peer is only a forwarder */
};

struct access_policy {
	const char *token;  /* settings.admin_token; "" when none is set */
	bool loopback_only; /* listens on loopback alone */
	bool samples;       /* stats.samples */
};

enum access { ACCESS_ALLOWED, ACCESS_UNKNOWN, ACCESS_FORBIDDEN }; /* go on, 401, 403 */

bool access_is_loopback(const char *peer); /* 127.0.0.0/8, ::1, or the former mapped into IPv6 */
bool access_bears_token(const struct access_policy *p, const struct access_caller *c); /* false where none is set */
/* May it change something? Unless ACCESS_ALLOWED, *why is a literal that says what would help. */
enum access access_change(const struct access_policy *p, const struct access_caller *c, const char **why);
bool access_samples(const struct access_policy *p, const struct access_caller *c);

#endif
