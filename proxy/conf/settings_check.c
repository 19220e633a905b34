/*
 * settings_check.c - what no single row can tell: rules that match nothing, options that contradict each other.
 */
#include <stdio.h>
#include <string.h>

#include "settings_rows.h"

#define PATH_TEXT 96
#define MEMORY_LEAST (1024 * 1024)
#define TOKEN_MOST 1000

static bool one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

/* verbs: those the kind of rule can apply to; NULL: any. */
static void check_match(struct conf_ctx *c, const struct settings_match *m, const char *kind, size_t index,
			const char *const *verbs, const char *verbs_text)
{
	char path[PATH_TEXT];

	snprintf(path, sizeof(path), "%s.rules[%zu].match", kind, index);
	if (settings_match_empty(m))
		conf_fault_at(c, path,
			      "matches every statement, allowed is at least one of digest, query, table, schema, user, "
			      "verb, tag");
	if (!m->verb || !verbs || one_of(m->verb, verbs))
		return;
	snprintf(path, sizeof(path), "%s.rules[%zu].match.verb", kind, index);
	conf_fault_at(c, path, "%s can never match in a rule of the %s, allowed are %s", m->verb, kind, verbs_text);
}

static void check_rules(struct conf_ctx *c, const struct settings *s)
{
	static const char *const cached[] = {"select", "values", "table", NULL};
	static const char *const queued[] = {"insert", "replace", "update", "delete", NULL};

	for (size_t i = 0; i < s->routing.nrules; i++)
		check_match(c, &s->routing.rules[i].match, "routing", i, NULL, NULL);
	for (size_t i = 0; i < s->cache.nrules; i++)
		check_match(c, &s->cache.rules[i].match, "cache", i, cached, "select, values, table");
	for (size_t i = 0; i < s->queue.nrules; i++)
		check_match(c, &s->queue.rules[i].match, "queue", i, queued, "insert, replace, update, delete");
}

static void check_limits(struct conf_ctx *c, const struct settings *s)
{
	char path[PATH_TEXT];

	for (size_t i = 0; i < s->limits.nrules; i++) {
		const struct settings_limit_rule *r = &s->limits.rules[i];

		check_match(c, &r->match, "limits", i, NULL, NULL);
		snprintf(path, sizeof(path), "limits.rules[%zu]", i);
		if (!r->concurrency && !r->rate && !r->max_time_ns)
			conf_fault_at(c, path, "limits nothing, allowed is at least one of concurrency, rate, max_time");
		if (r->concurrency && r->per == SETTINGS_PER_SESSION)
			conf_fault_at(c, path, "concurrency limits no session, which runs one statement at a time: give it a rate, or per another");
	}
}

static bool same(const struct settings_addr *a, const struct settings_addr *b)
{
	return a->host && b->host && a->is_unix == b->is_unix && a->port == b->port &&
	       (a->is_unix ? strcmp(a->host, b->host) : strcasecmp(a->host, b->host)) == 0;
}

static void check_listen(struct conf_ctx *c, const struct settings *s)
{
	char path[PATH_TEXT];

	for (size_t i = 0; i < s->listen.nmysql; i++) {
		for (size_t k = 0; k < i; k++) {
			if (!same(&s->listen.mysql[i], &s->listen.mysql[k]))
				continue;
			snprintf(path, sizeof(path), "listen.mysql[%zu]", i);
			conf_fault_at(c, path, "%s is listed twice, allowed is once", s->listen.mysql[i].text);
			break;
		}
		if (same(&s->listen.mysql[i], &s->listen.http))
			conf_fault_at(c, "listen.http", "%s is listen.mysql's too, allowed is an address of its own",
				      s->listen.http.text);
	}
	if (s->listen.nmysql == 0)
		conf_fault_at(c, "listen.mysql", "no address, allowed is at least one");
	if (!*s->listen.tls.cert != !*s->listen.tls.key)
		conf_fault_at(c, *s->listen.tls.cert ? "listen.tls.key" : "listen.tls.cert",
			      "missing, allowed are a certificate and its key, or neither");
	if (!*s->listen.tls.cert && *s->listen.tls.ca)
		conf_fault_at(c, "listen.tls.ca", "has no meaning without listen.tls.cert, allowed is \"\"");
	if (!*s->listen.tls.cert && s->listen.tls.require)
		conf_fault_at(c, "listen.tls.require", "on without a certificate in listen.tls.cert, allowed is false");
}

static void check_aurora(struct conf_ctx *c, const struct settings *s)
{
	const char *template = s->backend.aurora_host, *mark = strchr(template, '?');
	char derived[256];

	if (s->nreplicas)
		conf_fault_at(c, "replicas", "discovery: aurora finds them itself, allowed is []");
	if (s->primary.is_unix)
		conf_fault_at(c, "primary", "a socket with discovery: aurora, allowed is the cluster's endpoint");
	else if (*template && (!mark || strchr(mark + 1, '?')))
		conf_fault_at(c, "backend.aurora_host", "needs one ? for the server's identifier");
	else if (settings_aurora_host(s, derived, sizeof(derived)) != RC_OK)
		conf_fault_at(c, "primary",
			      "the names of its servers cannot be known from %s, allowed is an endpoint of the cluster's "
			      "own (….rds.amazonaws.com), or any with backend.aurora_host",
			      s->primary.host);
}

/* Suimon would be its own server. */
static bool is_own(const struct settings *s, const struct settings_addr *a)
{
	for (size_t i = 0; i < s->listen.nmysql; i++)
		if (same(&s->listen.mysql[i], a))
			return true;
	return same(&s->listen.http, a);
}

static void check_servers(struct conf_ctx *c, const struct settings *s)
{
	char path[PATH_TEXT];

	if (is_own(s, &s->primary))
		conf_fault_at(c, "primary", "suimon listens on %s itself, allowed is a server's address", s->primary.text);
	for (size_t i = 0; i < s->nreplicas; i++) {
		size_t k = 0;

		while (k < i && !same(&s->replicas[i].addr, &s->replicas[k].addr))
			k++;
		snprintf(path, sizeof(path), "replicas[%zu]", i);
		if (k < i)
			conf_fault_at(c, path, "%s is listed twice, allowed is once", s->replicas[i].addr.text);
		else if (same(&s->replicas[i].addr, &s->primary)) /* one server, seen as two that take writes */
			conf_fault_at(c, path, "%s is the primary, allowed are other servers", s->replicas[i].addr.text);
		else if (is_own(s, &s->replicas[i].addr))
			conf_fault_at(c, path, "suimon listens on %s itself, allowed is a server's address", s->replicas[i].addr.text);
	}
	if (s->discovery_aurora)
		check_aurora(c, s);
	if (s->backend.pool.min_idle > s->backend.pool.max)
		conf_fault_at(c, "backend.pool.min_idle", "%lld is more than backend.pool.max, allowed is at most %lld",
			      (long long)s->backend.pool.min_idle, (long long)s->backend.pool.max);
	if (s->backend.monitor.password && !*s->backend.monitor.user)
		conf_fault_at(c, "backend.monitor.password",
			      "a password without a user, allowed is one with backend.monitor.user");
}

static bool has_password(const struct settings *s)
{
	for (size_t i = 0; i < s->nusers; i++)
		if (s->users[i].password)
			return true;
	return false;
}

static void check_users(struct conf_ctx *c, const struct settings *s)
{
	char path[PATH_TEXT];

	for (size_t i = 0; i < s->nusers; i++)
		for (size_t k = 0; k < i; k++)
			if (s->users[i].name && s->users[k].name && *s->users[i].name &&
			    strcmp(s->users[i].name, s->users[k].name) == 0) {
				snprintf(path, sizeof(path), "users[%zu].name", i);
				conf_fault_at(c, path, "%s is listed twice, allowed is once", s->users[i].name);
				break;
			}
}

static void check_stores(struct conf_ctx *c, const struct settings *s)
{
	bool file = s->queue.engine == SETTINGS_ENGINE_FILE;
	const char *url = secret_text(s->queue.url).p, *fault;

	if (s->cache.memory && s->cache.memory < MEMORY_LEAST)
		conf_fault_at(c, "cache.memory", "too small to hold anything, allowed are 0 (off) and sizes from 1MiB");
	if (file && s->queue.url)
		conf_fault_at(c, "queue.url", "has no meaning with queue.engine: file, allowed is \"\"");
	if (!file && !s->queue.url)
		conf_fault_at(c, "queue.url", "missing, allowed is the address of the queue's engine");
	fault = s->queue.engine == SETTINGS_ENGINE_REDIS   ? settings_addr_check_redis_queue(url)
		: s->queue.engine == SETTINGS_ENGINE_KAFKA ? settings_addr_check_kafka_queue(url)
		: s->queue.engine == SETTINGS_ENGINE_SQS   ? settings_addr_check_sqs_queue(url)
							   : NULL;
	if (fault)
		conf_fault_at(c, "queue.url", "%s", fault);
	if (s->queue.user.password && !*s->queue.user.name)
		conf_fault_at(c, "queue.user.password",
			      "a password without a name, allowed is one with queue.user.name");
	if (s->queue.nrules && !*s->queue.user.name && !*s->backend.monitor.user && !has_password(s) &&
	    !s->passthrough && !conf_faulted(c, "users") && !conf_faulted(c, "backend.monitor.user"))
		conf_fault_at(c, "queue.user.name",
			      "no account to drain the queue with, allowed are a name here, in "
			      "backend.monitor.user, or an account with a password in users");
}

/* What a caller's header brings has lost the blanks around it. */
static void check_token(struct conf_ctx *c, const struct settings *s)
{
	struct span t = secret_text(s->admin_token);
	bool bad = t.len > TOKEN_MOST || (t.len && (t.p[0] == ' ' || t.p[t.len - 1] == ' '));

	for (size_t i = 0; i < t.len; i++)
		bad |= (unsigned char)t.p[i] < ' ' || t.p[i] == 0x7f;
	if (bad)
		conf_fault_at(c, "admin_token",
			      "no HTTP header could bring it, allowed are up to %d bytes without line breaks (one at the end of a variable, perhaps), other "
			      "control characters, and blanks at its ends", TOKEN_MOST);
}

void settings_check(struct conf_ctx *c, const struct settings *s)
{
	check_listen(c, s);
	check_token(c, s);
	check_servers(c, s);
	check_users(c, s);
	check_rules(c, s);
	settings_target_check(c, s);
	check_limits(c, s);
	check_stores(c, s);
}

#define CLOUDWATCH_MOST 255 /* bytes of a name */

/* Amazon CloudWatch API Reference, MetricDatum and PutMetricData. */
const char *settings_check_namespace(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > CLOUDWATCH_MOST || *text == ':' || strncmp(text, "AWS/", 4) == 0 ||
	    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_/#:") != len)
		return "not a namespace of CloudWatch's, allowed are up to 255 of A-Z a-z 0-9 . - _ / # :, not AWS/ in front";
	return NULL;
}

const char *settings_check_dimension(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
			return "not a dimension's value, allowed are up to 255 printable ASCII characters without quotes and spaces";
	return len <= CLOUDWATCH_MOST ? NULL : "too long for a dimension's value, allowed are 255 characters";
}
