#include "redis_url.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "span.h"

#define DEFAULT_PORT 6379
#define DB_MAX 65535

/* What the caller takes behind ?. */
struct own_options {
	redis_url_option_fn fn; /* NULL: nothing */
	void *arg;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes %XX into a string of its own. NULL: no memory, or a bad escape. */
static char *decoded(struct span s, size_t *len)
{
	char *out = mem_alloc(s.len + 1);
	size_t n = 0;

	if (!out)
		return NULL;
	for (size_t i = 0; i < s.len; i++) {
		int high, low;

		if (s.p[i] != '%') {
			out[n++] = s.p[i];
			continue;
		}
		high = s.len - i > 2 ? hex_digit(s.p[i + 1]) : -1;
		low = s.len - i > 2 ? hex_digit(s.p[i + 2]) : -1;
		if (high < 0 || low < 0 || high + low == 0) {
			secret_wipe(out, s.len);
			mem_free(out);
			return NULL;
		}
		out[n++] = (char)(high * 16 + low);
		i += 2;
	}
	out[n] = '\0';
	*len = n;
	return out;
}

static enum rc number(struct span s, unsigned max, unsigned *out)
{
	unsigned v = 0;

	if (s.len == 0 || s.len > 5)
		return RC_ERROR;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return RC_ERROR;
		v = v * 10 + (unsigned)(s.p[i] - '0');
	}
	*out = v;
	return v <= max ? RC_OK : RC_ERROR;
}

/* Cuts s at the first c: what is before stays in s, *rest is behind it. False: no c. */
static bool cut(struct span *s, char c, struct span *rest)
{
	const char *at = s->len ? memchr(s->p, c, s->len) : NULL;

	if (!at)
		return false;
	*rest = span_of(at + 1, s->len - (size_t)(at - s->p) - 1);
	s->len = (size_t)(at - s->p);
	return true;
}

static enum rc parse_login(struct span login, struct redis_url *out)
{
	struct span password;
	char *text;
	size_t len;

	if (!cut(&login, ':', &password))
		return RC_ERROR;
	if (login.len) {
		out->user = decoded(login, &len);
		if (!out->user)
			return RC_ERROR;
	}
	text = decoded(password, &len);
	if (!text)
		return RC_ERROR;
	out->password = secret_new(span_of(text, len));
	secret_wipe(text, len);
	mem_free(text);
	return out->password ? RC_OK : RC_ERROR;
}

static enum rc parse_host(struct span s, char **host, uint16_t *to_port)
{
	struct span port = {.len = 0};
	unsigned n = DEFAULT_PORT;
	bool has_port;

	if (s.len && s.p[0] == '[') {
		struct span rest;

		s = span_of(s.p + 1, s.len - 1);
		if (!cut(&s, ']', &rest) || (rest.len && rest.p[0] != ':'))
			return RC_ERROR;
		has_port = rest.len > 0;
		if (has_port)
			port = span_of(rest.p + 1, rest.len - 1);
	} else {
		has_port = cut(&s, ':', &port);
	}
	if (s.len == 0 || s.len > 255 || memchr(s.p, '\0', s.len))
		return RC_ERROR;
	if (has_port && (number(port, UINT16_MAX, &n) != RC_OK || n == 0))
		return RC_ERROR;
	*to_port = (uint16_t)n;
	*host = mem_dup(s.p, s.len);
	return *host ? RC_OK : RC_ERROR;
}

static enum rc parse_seeds(struct span s, struct redis_url *out)
{
	struct span rest = s, next;

	while (rest.len) {
		struct redis_seed *seed = &out->seeds[out->nseeds];

		if (!cut(&rest, ',', &next))
			next.len = 0;
		if (out->nseeds == REDIS_SEEDS || parse_host(rest, &seed->host, &seed->port) != RC_OK)
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

/* The last @ ends the login: a password may hold one. */
static bool cut_login(struct span *s, struct span *login)
{
	const char *at = s->len ? memrchr(s->p, '@', s->len) : NULL;

	if (!at)
		return false;
	*login = span_of(s->p, (size_t)(at - s->p));
	*s = span_of(at + 1, s->len - login->len - 1);
	return true;
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
	out->ca = decoded(value, &len);
	return out->ca ? RC_OK : RC_ERROR;
}

/* KEY=VALUE, joined by &. */
static enum rc parse_options(struct span s, struct redis_url *out, const struct own_options *own)
{
	struct span next, value;

	for (; s.len; s = next) {
		if (!cut(&s, '&', &next))
			next = span_of(s.p + s.len, 0);
		if (!cut(&s, '=', &value) || parse_option(s, value, out, own) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static const char *parse(const char *url, struct redis_url *out, const struct own_options *own)
{
	struct span rest = span_str(strstr(url, "://") + 3), login, db, options;

	out->tls = out->verify = url[5] == 's';
	if (cut_login(&rest, &login) && parse_login(login, out) != RC_OK)
		return "the part before @ is not user:password (percent-encode what is not a letter or digit)";
	if (cut(&rest, '?', &options) && parse_options(options, out, own) != RC_OK)
		return "behind ? only ca=FILE and verify=none are allowed, and only with rediss://";
	if (cut(&rest, '/', &db) && db.len && number(db, DB_MAX, &out->db) != RC_OK)
		return "the database behind / is not a number from 0 to 65535";
	if (strstr(url, "+cluster://"))
		return parse_seeds(rest, out) == RC_OK ? NULL : "a cluster takes one to eight host:port joined by commas, and no database";
	if (parse_host(rest, &out->host, &out->port) != RC_OK)
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
