#include "redis_url.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "urltext.h"

#define DEFAULT_PORT 6379
#define DB_MAX 65535

/* What the caller takes behind ?. */
struct own_options {
	redis_url_option_fn fn; /* NULL: nothing */
	void *arg;
};

static enum rc parse_seeds(struct span s, struct redis_url *out)
{
	struct span rest = s, next;

	while (rest.len) {
		struct redis_seed *seed = &out->seeds[out->nseeds];

		if (!urltext_cut(&rest, ',', &next))
			next.len = 0;
		if (out->nseeds == REDIS_SEEDS || urltext_host(rest, DEFAULT_PORT, &seed->host, &seed->port) != RC_OK)
			return RC_ERROR;
		out->nseeds++;
		rest = next;
	}
	if (out->nseeds == 0 || out->db)
		return RC_ERROR;
	out->port = out->seeds[0].port;
	out->host = mem_dup(out->seeds[0].host, strlen(out->seeds[0].host));
	return out->host ? RC_OK : RC_ERROR;
}

static const char *foreign(const char *url)
{
	static const char *const schemes[] = {"redis://", "rediss://", "redis+cluster://", "rediss+cluster://"};

	for (size_t i = 0; i < countof(schemes); i++)
		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
			return NULL;
	return "not a Redis URL; redis://[user:password@]host:port/db, rediss://… and redis+cluster://host:port,host:port are";
}

/* ca=FILE and verify=none; the caller's come first. */
static enum rc parse_option(struct span key, struct span value, struct redis_url *out, const struct own_options *own)
{
	size_t len;

	if (own->fn && own->fn(own->arg, key, value) == RC_OK)
		return RC_OK;
	if (!out->tls)
		return RC_ERROR;
	if (span_eq(key, span_str("verify")) && span_eq(value, span_str("none"))) {
		out->verify = false;
		return RC_OK;
	}
	if (!span_eq(key, span_str("ca")) || !value.len || out->ca)
		return RC_ERROR;
	out->ca = urltext_decode(value, &len);
	return out->ca ? RC_OK : RC_ERROR;
}

/* KEY=VALUE, joined by &. */
static enum rc parse_options(struct span s, struct redis_url *out, const struct own_options *own)
{
	struct span next, value;

	for (; s.len; s = next) {
		if (!urltext_cut(&s, '&', &next))
			next = span_of(s.p + s.len, 0);
		if (!urltext_cut(&s, '=', &value) || parse_option(s, value, out, own) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static const char *parse(const char *url, struct redis_url *out, const struct own_options *own)
{
	struct span rest = span_str(strstr(url, "://") + 3), login, db, options;

	out->tls = out->verify = url[5] == 's';
	if (urltext_cut_login(&rest, &login) && urltext_login(login, &out->user, &out->password) != RC_OK)
		return "the part before @ is not user:password (percent-encode what is not a letter or digit)";
	if (urltext_cut(&rest, '?', &options) && parse_options(options, out, own) != RC_OK)
		return "behind ? only ca=FILE and verify=none are allowed, and only with rediss://";
	if (urltext_cut(&rest, '/', &db) && db.len && urltext_number(db, DB_MAX, &out->db) != RC_OK)
		return "the database behind / is not a number from 0 to 65535";
	if (strstr(url, "+cluster://"))
		return parse_seeds(rest, out) == RC_OK ? NULL : "a cluster takes one to eight host:port joined by commas, and no database";
	if (urltext_host(rest, DEFAULT_PORT, &out->host, &out->port) != RC_OK)
		return "the host or port is missing or wrong; redis://[user:password@]host:port/db is allowed";
	return NULL;
}

enum rc redis_url_parse(const char *url, struct redis_url *out, char *why, size_t cap)
{
	return redis_url_parse_with(url, out, NULL, NULL, why, cap);
}

enum rc redis_url_parse_with(const char *url, struct redis_url *out, redis_url_option_fn fn, void *arg, char *why, size_t cap)
{
	const struct own_options own = {fn, arg};
	const char *fault;

	*out = (struct redis_url){.host = NULL};
	fault = foreign(url);
	if (!fault)
		fault = parse(url, out, &own);
	if (!fault)
		return RC_OK;
	redis_url_reset(out);
	snprintf(why, cap, "%s", fault);
	return RC_ERROR;
}

enum rc redis_url_secure(struct redis_url *u, char *why, size_t cap)
{
	struct tls_fault fault;

	if (!u->tls)
		return RC_OK;
	u->context = tls_client_new(u->verify ? TLS_VERIFY_IDENTITY : TLS_REQUIRED, u->ca ? u->ca : "", &fault);
	if (u->context)
		return RC_OK;
	snprintf(why, cap, "%s", fault.text);
	return RC_ERROR;
}

void redis_url_reset(struct redis_url *u)
{
	for (unsigned i = 0; i < countof(u->seeds); i++)
		mem_free(u->seeds[i].host);
	mem_free(u->ca);
	tls_unref(u->context);
	mem_free(u->host);
	mem_free(u->user);
	secret_unref(u->password);
	*u = (struct redis_url){.host = NULL};
}
