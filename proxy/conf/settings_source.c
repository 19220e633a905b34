/*
 * settings_source.c - config.source: a URL of Redis whose last part is a key, redis://host:port/key or …/db/key.
 */
#include <ctype.h>
#include <string.h>

#include "mem.h"
#include "settings_rows.h"

#define KEY_MAX 200

struct parts {
	struct span redis, options; /* of the URL: before its key with the database, and from ? on */
	struct span key;
};

static bool is_key(struct span s)
{
	if (s.len == 0 || s.len > KEY_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr(":._-{}/", s.p[i]))
			return false;
	return true;
}

/* A login may hold any character but the last @ ends it. */
static bool take_apart(const char *source, struct parts *out)
{
	const char *rest = strstr(source, "://"), *at = strrchr(source, '@'), *slash, *end;
	size_t digits;

	if (!rest)
		return false;
	rest = at && at > rest ? at + 1 : rest + 3;
	slash = rest + strcspn(rest, "/?");
	end = slash + strcspn(slash, "?");
	if (*slash != '/')
		return false;
	digits = strspn(slash + 1, "0123456789");
	out->options = span_str(end);
	out->redis = span_of(source, (size_t)(slash - source));
	if (digits && slash[1 + digits] == '/') {
		slash += 1 + digits;
		out->redis.len = (size_t)(slash - source);
	}
	out->key = span_of(slash + 1, (size_t)(end - slash) - 1);
	return is_key(out->key);
}

enum rc settings_source_split(const char *source, char **url, char **key)
{
	struct parts p;

	*url = *key = NULL;
	if (!take_apart(source, &p))
		return RC_DECLINED;
	*url = mem_printf(SPAN_FMT SPAN_FMT, SPAN_ARG(p.redis), SPAN_ARG(p.options));
	*key = mem_dup(p.key.p, p.key.len);
	if (*url && *key)
		return RC_OK;
	if (*url)
		secret_wipe(*url, strlen(*url));
	mem_free(*url);
	mem_free(*key);
	return RC_ERROR;
}

const char *settings_source_check(const char *text)
{
	static const char *const wrong =
		"not a URL of Redis with a key, allowed are redis://[user:password@]host:port/key, …/db/key, rediss://…, "
		"redis+cluster://host:port,host:port/key; a key of letters, digits and :._-{}/";
	const char *fault = wrong;
	char *url, *key;

	if (!*text)
		return NULL;
	if (settings_source_split(text, &url, &key) != RC_OK)
		return wrong;
	if (!settings_addr_check_redis(url))
		fault = NULL;
	secret_wipe(url, strlen(url));
	mem_free(url);
	mem_free(key);
	return fault;
}
