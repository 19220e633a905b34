/*
 * settings_addr.c - addresses: host:port, [ipv6]:port, unix:/path; networks; URLs of Redis and Kafka.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <sys/un.h>

#include "kafka_url.h"
#include "mem.h"
#include "settings_rows.h"
#include "sqs_url.h"
#include "urltext.h"

#define HOST_MAX 253 /* RFC 1035 */

static bool is_port(struct span s)
{
	int64_t port;

	return s.len > 0 && isdigit((unsigned char)s.p[0]) && conf_int(s, &port) == RC_OK && port >= 1 && port <= 65535;
}

static bool is_ip(int family, struct span s)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char bytes[16];

	if (s.len >= sizeof(text))
		return false;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	return inet_pton(family, text, bytes) == 1;
}

static bool is_host(struct span s)
{
	if (s.len == 0 || s.len > HOST_MAX || s.p[0] == '-' || s.p[0] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr("-._", s.p[i]))
			return false;
	return true;
}

/* Splits "host:port" and "[ipv6]:port"; false: neither. */
static bool split(struct span s, struct span *host, struct span *port)
{
	bool bracket = s.len > 0 && s.p[0] == '[';
	const char *colon = s.len ? memrchr(s.p, ':', s.len) : NULL;

	if (!colon || (bracket && (colon - s.p < 2 || colon[-1] != ']')))
		return false;
	*host = bracket ? span_of(s.p + 1, (size_t)(colon - s.p) - 2) : span_of(s.p, (size_t)(colon - s.p));
	*port = span_of(colon + 1, s.len - (size_t)(colon - s.p) - 1);
	return is_port(*port) && (bracket ? is_ip(AF_INET6, *host) : is_host(*host));
}

static enum rc store(struct conf_ctx *c, struct settings_addr *a, const char *text, struct span host, struct span port)
{
	int64_t number = 0;

	if (port.len && conf_int(port, &number) != RC_OK)
		return RC_ERROR;
	a->text = mem_strdup(text);
	a->host = mem_dup(host.p, host.len);
	a->port = (uint16_t)number;
	a->is_unix = port.len == 0;
	if (a->text && a->host)
		return RC_OK;
	conf_no_memory(c);
	return RC_ERROR;
}

static enum rc parse(struct conf_ctx *c, const struct conf_node *n, bool local, void *at)
{
	struct span text = span_str(conf_text(n)), host, port;
	const char *path = conf_text(n) + 5;

	if (conf_kind(n) == CONF_SCALAR && split(text, &host, &port))
		return store(c, at, conf_text(n), host, port);
	if (!local || text.len < 5 || memcmp(text.p, "unix:", 5) != 0) {
		conf_fault(c, n, "%s is no address, allowed is %s", conf_shown(n), local ? ADDR_UNIT : TCP_UNIT);
		return RC_ERROR;
	}
	if (path[0] != '/' || strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		conf_fault(c, n, "%s is no socket's path, allowed is unix:/path with a path of at most %zu bytes",
			   conf_shown(n), sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
		return RC_ERROR;
	}
	return store(c, at, conf_text(n), span_str(path), span_of(NULL, 0));
}

enum rc settings_addr_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	return parse(c, n, true, at);
}

enum rc settings_addr_parse_tcp(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	return parse(c, n, false, at);
}

void settings_addr_print(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	conf_put_text(s, ((const struct settings_addr *)at)->text);
}

void settings_addr_drop(void *at)
{
	struct settings_addr *a = at;

	mem_free(a->text);
	mem_free(a->host);
	*a = (struct settings_addr){0};
}

/* ---- replicas: an address, or an address with its weight ---- */

static const struct conf_opt replica_rows[] = {
	{.name = "addr",
	 .type = CONF_CUSTOM,
	 .offset = offsetof(struct settings_replica, addr),
	 .parse = settings_addr_parse,
	 .print = settings_addr_print,
	 .drop = settings_addr_drop,
	 .unit = ADDR_UNIT,
	 .help = "Where the replica listens."},
	{.name = "weight",
	 .type = CONF_INT,
	 .offset = offsetof(struct settings_replica, weight),
	 .def = "1",
	 .min = 0,
	 .max = 1000,
	 .help = "Its share of the reads; 0 keeps it for when no other replica serves."},
	{.name = "group",
	 .type = CONF_STRING,
	 .offset = offsetof(struct settings_replica, group),
	 .def = "",
	 .check = settings_target_check_group,
	 .unit = "a name",
	 .help = "If set, it serves only what a rule or hint sends to the group of this name."},
	{.name = NULL},
};

const struct conf_table settings_replica_table = {.size = sizeof(struct settings_replica), .opts = replica_rows};

enum rc settings_replica_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	struct settings_replica *r = at;

	if (conf_kind(n) == CONF_MAP)
		return conf_fill_table(c, &settings_replica_table, n, r);
	r->weight = 1;
	r->group = mem_strdup("");
	if (!r->group) {
		conf_no_memory(c);
		return RC_ERROR;
	}
	return settings_addr_parse(c, n, o, &r->addr);
}

void settings_replica_print(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	conf_put_table(s, &settings_replica_table, at);
}

void settings_replica_drop(void *at)
{
	conf_drop(&settings_replica_table, at);
}

/* ---- networks ---- */

const char *settings_addr_check_cidr(const char *text)
{
	static const char *const wrong =
		"not a network, allowed is an address with or without a length (10.0.0.0/8, fd00::/8)";
	struct cidr c;

	return cidr_parse(text, &c) == RC_OK ? NULL : wrong;
}

/* ---- redis://[user:password@]host[:port][/db], rediss:// the same with ?options, redis+cluster://host:port,host:port ---- */

static bool is_database(struct span s)
{
	int64_t db;

	return s.len == 0 || (isdigit((unsigned char)s.p[0]) && conf_int(s, &db) == RC_OK && db <= 65535);
}

static bool are_nodes(struct span s)
{
	while (s.len) {
		const char *comma = memchr(s.p, ',', s.len);
		size_t len = comma ? (size_t)(comma - s.p) : s.len;
		struct span host, port;

		if (!split(span_of(s.p, len), &host, &port))
			return false;
		s = comma ? span_of(comma + 1, s.len - len - 1) : span_of(NULL, 0);
		if (comma && s.len == 0)
			return false;
	}
	return true;
}

static bool is_node(struct span s)
{
	struct span host, port;

	if (s.len > 2 && s.p[0] == '[' && s.p[s.len - 1] == ']')
		return is_ip(AF_INET6, span_of(s.p + 1, s.len - 2));
	return split(s, &host, &port) || is_host(s);
}

const char *settings_addr_check_collector(const char *text)
{
	static const char *const wrong = "not a collector's URL, allowed is http://HOST:PORT/v1/traces";
	const char *host = text + strlen("http://");

	if (!*text)
		return NULL;
	if (strncmp(text, "http://", strlen("http://")) != 0 || strpbrk(text, "# \t\r\n"))
		return wrong;
	return is_node(span_of(host, strcspn(host, "/?"))) ? NULL : wrong;
}

enum redis_use { REDIS_ANY, REDIS_CACHE, REDIS_QUEUE };

/* TLS's and the queue's those who connect look at. */
static bool is_redis_option(struct span s, enum redis_use use, bool tls)
{
	if (use == REDIS_CACHE && s.len > 5 && memcmp(s.p, "name=", 5) == 0)
		return urltext_is_word(span_of(s.p + 5, s.len - 5));
	return tls || use == REDIS_QUEUE;
}

static bool are_redis_options(const char *s, enum redis_use use, bool tls)
{
	size_t len = strcspn(s, "&");

	for (; is_redis_option(span_of(s, len), use, tls); len = strcspn(s, "&")) {
		if (!s[len])
			return true;
		s += len + 1;
	}
	return false;
}

static const char *check_redis(const char *text, enum redis_use use)
{
	static const char *const wrong =
		"not a URL of Redis, allowed are redis://[user:password@]host:port/db, rediss://…, "
		"redis+cluster://host:port,host:port";
	bool tls = strncmp(text, "rediss", 6) == 0, cluster;
	const char *rest, *at;
	struct span hosts, db = {.len = 0};
	size_t end;

	if (!*text)
		return NULL;
	rest = text + (tls ? 6 : 5);
	cluster = strncmp(rest, "+cluster://", 11) == 0;
	if (strncmp(text, "redis", 5) != 0 || (!cluster && strncmp(rest, "://", 3) != 0))
		return wrong;
	rest = strstr(text, "://") + 3;
	at = strrchr(rest, '@');
	rest = at ? at + 1 : rest;
	end = strcspn(rest, "?");
	if (rest[end] && !are_redis_options(rest + end + 1, use, tls))
		return wrong;
	hosts = span_of(rest, strcspn(rest, "/?"));
	if (hosts.len < end)
		db = span_of(rest + hosts.len + 1, end - hosts.len - 1);
	if (hosts.len == 0 || !is_database(db) || (cluster && db.len))
		return wrong;
	return (cluster ? are_nodes(hosts) : is_node(hosts)) ? NULL : wrong;
}

const char *settings_addr_check_redis(const char *text)
{
	return check_redis(text, REDIS_ANY);
}

const char *settings_addr_check_redis_cache(const char *text)
{
	static const char *const wrong =
		"not a URL of Redis, allowed are redis://[user:password@]host:port/db, rediss://…, "
		"redis+cluster://host:port,host:port, with ?name=WORD (letters, digits, - and _)";

	return check_redis(text, REDIS_CACHE) ? wrong : NULL;
}

const char *settings_addr_check_redis_queue(const char *text)
{
	return check_redis(text, REDIS_QUEUE);
}

const char *settings_addr_check_kafka_queue(const char *text)
{
	struct kafka_url url;
	const char *fault;

	if (!*text)
		return NULL;
	fault = kafka_url_parse(text, &url);
	kafka_url_reset(&url);
	return fault;
}

const char *settings_addr_check_sqs_queue(const char *text)
{
	struct sqs_url url;

	return *text ? sqs_url_parse(text, &url) : NULL;
}
