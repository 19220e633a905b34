/*
 * settings_aurora.c - what the servers of an Aurora cluster are called.
 *
 * replica_host_status names servers by identifier. Their host names follow from the cluster's own endpoint, whose second
 * label loses its "cluster-", "cluster-ro-" or "cluster-custom-":
 *
 *   shop.cluster-c9akciq32.eu-west-1.rds.amazonaws.com → ?.c9akciq32.eu-west-1.rds.amazonaws.com
 */
#include <stdio.h>
#include <string.h>

#include "settings.h"
#include "span.h"

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcasecmp(s + n - m, end) == 0;
}

enum rc settings_aurora_host(const struct settings *s, char *out, size_t cap)
{
	static const char *const prefixes[] = {"cluster-ro-", "cluster-custom-", "cluster-"};
	const char *host = s->primary.host, *rest = strchr(host, '.');
	int n;

	if (*s->backend.aurora_host) {
		n = snprintf(out, cap, "%s", s->backend.aurora_host);
		return n > 0 && (size_t)n < cap ? RC_OK : RC_ERROR;
	}
	if (!rest || (!ends_with(host, ".rds.amazonaws.com") && !ends_with(host, ".rds.amazonaws.com.cn")) ||
	    strncasecmp(rest + 1, "proxy-", 6) == 0)
		return RC_DECLINED;
	rest++;
	for (size_t i = 0; i < countof(prefixes); i++) {
		if (strncasecmp(rest, prefixes[i], strlen(prefixes[i])) == 0) {
			rest += strlen(prefixes[i]);
			break;
		}
	}
	n = snprintf(out, cap, "?.%s", rest);
	return n > 0 && (size_t)n < cap ? RC_OK : RC_ERROR;
}
