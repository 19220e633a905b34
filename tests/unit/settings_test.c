/*
 * settings_test.c - the product's configuration: defaults, forms, contradictions, secrets, what this build cannot do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "mem.h"
#include "settings.h"

#define SEC UINT64_C(1000000000)

static char faults[64 * 1024]; /* of the last load */

static struct settings *load(const char *yaml, const char *primary)
{
	struct iobuf out;
	struct settings *s;

	iobuf_init(&out, sizeof(faults) - 1);
	s = settings_parse(yaml, strlen(yaml), "f.yaml", primary, &out);
	memcpy(faults, iobuf_len(&out) ? (const char *)iobuf_data(&out) : "", iobuf_len(&out));
	faults[iobuf_len(&out)] = '\0';
	iobuf_reset(&out);
	return s;
}

/* With a primary, which every configuration needs. */
static struct settings *good(const char *yaml)
{
	struct settings *s = load(yaml, "127.0.0.1:3306");

	assert_string_equal(faults, "");
	assert_non_null(s);
	return s;
}

/* The fault is among those of the document. */
static void expect(const char *yaml, const char *fault)
{
	struct settings *s = load(yaml, "127.0.0.1:3306");

	assert_null(s);
	if (!strstr(faults, fault))
		assert_string_equal(faults, fault);
}

static char *text_of(const struct settings *s, enum rc (*print)(const struct settings *, struct iobuf *))
{
	struct iobuf out;
	char *text;

	iobuf_init(&out, 0);
	assert_int_equal(print(s, &out), RC_OK);
	text = mem_dup(iobuf_data(&out), iobuf_len(&out));
	iobuf_reset(&out);
	return text;
}

static void defaults_are_the_contract(void **state)
{
	struct settings *s = good("");

	assert_int_equal(s->listen.nmysql, 1);
	assert_string_equal(s->listen.mysql[0].host, "127.0.0.1");
	assert_int_equal(s->listen.mysql[0].port, 6033);
	assert_int_equal(s->listen.http.port, 6034);
	assert_int_equal(s->listen.max_connections, 10000);
	assert_int_equal(s->listen.handshake_timeout_ns, 10 * SEC);
	assert_int_equal(s->listen.idle_timeout_ns, 8 * 3600 * SEC);
	assert_int_equal(s->threads, 0);
	assert_int_equal(s->drain_timeout_ns, 30 * SEC);
	assert_false(s->log_json);
	assert_null(s->admin_token);
	assert_string_equal(s->primary.text, "127.0.0.1:3306");
	assert_int_equal(s->nreplicas, 0);
	assert_int_equal(s->backend.tls.mode, TLS_PREFERRED);
	assert_int_equal(s->backend.connect_timeout_ns, 2 * SEC);
	assert_int_equal(s->backend.pool.max, 200);
	assert_int_equal(s->backend.pool.min_idle, 2);
	assert_int_equal(s->backend.pool.idle_timeout_ns, 60 * SEC);
	assert_int_equal(s->backend.pool.max_age_ns, 3600 * SEC);
	assert_int_equal(s->backend.monitor.interval_ns, SEC);
	assert_int_equal(s->backend.monitor.max_lag_ns, 5 * SEC);
	assert_int_equal(s->backend.failover_hold_ns, 10 * SEC);
	assert_true(s->passthrough && s->nusers == 0);
	assert_int_equal(s->routing.consistency, CONSISTENCY_SESSION);
	assert_int_equal(s->cache.memory, 64 << 20);
	assert_int_equal(s->cache.max_result, 1 << 20);
	assert_int_equal(s->cache.stale_if_error_ns, 0);
	assert_false(s->cache.binlog);
	assert_string_equal(s->queue.dir, "/var/lib/suimon/queue");
	assert_int_equal(s->queue.engine, SETTINGS_ENGINE_FILE);
	assert_int_equal(s->queue.sync_ns, 0);
	assert_int_equal(s->queue.max_bytes, UINT64_C(4) << 30);
	assert_false(s->queue.full_is_error);
	assert_int_equal(s->queue.drain.workers, 1);
	assert_int_equal(s->queue.drain.batch_rows, 500);
	assert_int_equal(s->queue.drain.batch_wait_ns, 20 * SEC / 1000);
	assert_int_equal(s->queue.drain.rate, 0);
	assert_int_equal(s->stats.slow_ns, SEC / 5);
	assert_int_equal(s->stats.digests, 5000);
	assert_true(s->stats.samples && s->stats.explain);
	assert_int_equal(s->stats.nplus1.repeats, 8);
	assert_int_equal(s->stats.nplus1.window_ns, SEC);
	settings_unref(s);
}

static void the_primary_is_required_and_may_come_from_the_command_line(void **state)
{
	struct iobuf out;
	struct settings *s;

	assert_null(load("threads: 2\n", NULL));
	assert_string_equal(faults, "f.yaml:1: primary: is missing, allowed is host:port, [ipv6]:port or unix:/path\n");
	assert_null(load("primary: 10.0.0.1:3306", "nowhere"));
	assert_string_equal(
		faults,
		"--primary:1: primary: nowhere is no address, allowed is host:port, [ipv6]:port or unix:/path\n");
	s = load("primary: 10.0.0.1:3306", "[::1]:3307");
	assert_string_equal(s->primary.host, "::1");
	assert_int_equal(s->primary.port, 3307);
	assert_string_equal(s->file, "f.yaml");
	settings_unref(s);
	iobuf_init(&out, 0);
	s = settings_load(NULL, "unix:/run/mysqld.sock", &out);
	assert_true(s->primary.is_unix);
	assert_string_equal(s->primary.host, "/run/mysqld.sock");
	assert_null(s->file);
	settings_unref(s);
	assert_null(settings_load("/nonexistent.yaml", "127.0.0.1:1", &out));
	assert_true(iobuf_len(&out) > 0);
	iobuf_reset(&out);
}

static void values_come_in_several_forms(void **state)
{
	struct settings *s =
		good("listen: {mysql: [\"[::]:6033\", unix:/run/s.sock, db.example:1]}\nthreads: 4\n"
		     "replicas: [10.0.0.2:3306, {addr: 10.0.0.3:3306, weight: 5}, {addr: unix:/x}]\n"
		     "users: [{passthrough: true}, {name: app, password: pw}, {name: none, password: \"\"}]\n"
		     "queue: {sync: 10ms}\nlog: json\n");

	assert_int_equal(s->listen.nmysql, 3);
	assert_string_equal(s->listen.mysql[0].host, "::");
	assert_true(s->listen.mysql[1].is_unix);
	assert_string_equal(s->listen.mysql[1].host, "/run/s.sock");
	assert_string_equal(s->listen.mysql[2].host, "db.example");
	assert_int_equal(s->threads, 4);
	assert_int_equal(s->nreplicas, 3);
	assert_int_equal(s->replicas[0].weight, 1);
	assert_int_equal(s->replicas[1].weight, 5);
	assert_int_equal(s->replicas[2].weight, 1);
	assert_true(s->passthrough);
	assert_int_equal(s->nusers, 2);
	assert_string_equal(s->users[0].name, "app");
	assert_string_equal(secret_text(s->users[0].password).p, "pw");
	assert_null(s->users[1].password);
	assert_int_equal(s->queue.sync_ns, SEC / 100);
	assert_true(s->log_json);
	settings_unref(s);
}

static void a_list_of_accounts_alone_ends_pass_through(void **state)
{
	struct settings *s = good("users: [{name: app, password: pw}]");

	assert_false(s->passthrough);
	settings_unref(s);
}

static void rules_are_read(void **state)
{
	struct settings *s = good("users: [{name: d, password: p}]\n"
				  "routing: {rules: [{match: {digest: 0xDEADbeef, user: app}, to: primary}, "
				  "{match: {tag: {route: /a b}}, to: replica}]}\n"
				  "cache: {rules: [{match: {table: shop.products, verb: SELECT}, ttl: 60s}, "
				  "{match: {query: \"^SELECT .* FROM news$\"}, ttl: 5s}]}\n"
				  "queue: {rules: [{match: {table: log, verb: insert}}, "
				  "{match: {schema: s}, order: id, read: eventual, on_error: halt}]}\n");

	assert_true(s->routing.rules[0].match.has_digest);
	assert_int_equal(s->routing.rules[0].match.digest, 0xdeadbeef);
	assert_string_equal(s->routing.rules[0].match.user, "app");
	assert_int_equal(s->routing.rules[0].to, TO_PRIMARY);
	assert_string_equal(s->routing.rules[1].match.tag_key, "route");
	assert_string_equal(s->routing.rules[1].match.tag_value, "/a b");
	assert_int_equal(s->routing.rules[1].to, TO_REPLICA);
	assert_string_equal(s->cache.rules[0].match.verb, "select");
	assert_int_equal(s->cache.rules[0].ttl_ns, 60 * SEC);
	assert_int_equal(s->cache.rules[1].refresh_ns, 0);
	assert_non_null(s->cache.rules[1].match.query_re);
	assert_string_equal(s->queue.rules[0].order, "table");
	assert_true(s->queue.rules[0].read_session);
	assert_false(s->queue.rules[0].halt);
	assert_string_equal(s->queue.rules[1].order, "id");
	assert_false(s->queue.rules[1].read_session);
	assert_true(s->queue.rules[1].halt);
	settings_unref(s);
}

static int match(const struct settings *s, size_t rule, const char *text)
{
	pcre2_code *re = s->cache.rules[rule].match.query_re;
	pcre2_match_data *data = pcre2_match_data_create_from_pattern(re, NULL);
	int rc = pcre2_match(re, (PCRE2_SPTR)text, strlen(text), 0, 0, data, NULL);

	pcre2_match_data_free(data);
	return rc;
}

/* The normalised text is lower case, patterns are written in upper; a pattern that backtracks without end gives up. */
static void queries_match_in_any_case_and_in_bounded_time(void **state)
{
	struct settings *s = good("cache: {rules: [{match: {query: \"^SELECT .* FROM news$\"}, ttl: 5s}, "
				  "{match: {query: \"^(a+)+$\"}, ttl: 5s}]}");

	assert_true(match(s, 0, "select id from news") > 0);
	assert_int_equal(match(s, 0, "select id from newspapers"), PCRE2_ERROR_NOMATCH);
	assert_true(match(s, 1, "aaaa") > 0);
	assert_int_equal(match(s, 1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
			 PCRE2_ERROR_MATCHLIMIT);
	settings_unref(s);
}

static void wrong_values_are_faults(void **state)
{
	static const char *const cases[][2] = {
		{"listen: {mysql: 6033}",
		 "f.yaml:1: listen.mysql: 6033 is no address, allowed is host:port, [ipv6]:port or unix:/path\n"},
		{"listen: {mysql: 'h:0'}", "listen.mysql: h:0 is no address"},
		{"listen: {mysql: 'h:65536'}", "listen.mysql: h:65536 is no address"},
		{"listen: {mysql: '::1:6033'}", "listen.mysql: ::1:6033 is no address"},
		{"listen: {mysql: '[x]:6033'}", "listen.mysql: [x]:6033 is no address"},
		{"listen: {mysql: []}", "f.yaml:1: listen.mysql: no address, allowed is at least one\n"},
		{"listen: {mysql: unix:run}", "listen.mysql: unix:run is no socket's path"},
		{"listen: {http: unix:/x}",
		 "listen.http: unix:/x is no address, allowed is host:port or [ipv6]:port\n"},
		{"listen:\n  mysql: [a:1, b:2,\n    a:1]",
		 "f.yaml:3: listen.mysql[2]: a:1 is listed twice, allowed is once\n"},
		{"listen: {http: 127.0.0.1:6033}", "listen.http: 127.0.0.1:6033 is listen.mysql's too"},
		{"listen: {proxy_protocol: [10.0.0.0/8, '::/129']}",
		 "listen.proxy_protocol[1]: not a network, allowed"},
		{"replicas: [a:1, {addr: a:1}]", "replicas[1]: a:1 is listed twice"},
		{"replicas: [a:1, 127.0.0.1:3306]", "replicas[1]: 127.0.0.1:3306 is the primary, allowed are other servers\n"},
		{"replicas: [127.0.0.1:6033]", "replicas[0]: suimon listens on 127.0.0.1:6033 itself, allowed is a server's address\n"},
		{"listen: {mysql: [a:1, 127.0.0.1:3306]}", "primary: suimon listens on 127.0.0.1:3306 itself, allowed is a server's address\n"},
		{"admin_token: \"t\\n\"", "admin_token: no HTTP header could bring it"},
		{"admin_token: ' t'", "admin_token: no HTTP header could bring it"},
		{"replicas: [{weight: 1}]", "replicas[0].addr: is missing, allowed"},
		{"replicas: [{addr: a:1, weight: -1}]",
		 "replicas[0].weight: -1 is out of range, allowed is a whole number from 0"},
		{"limits: {rules: [{match: {user: a}}]}", "limits.rules[0]: limits nothing, allowed is at least one of"},
		{"limits: {rules: [{match: {user: a}, concurrency: 2, per: session}]}", "limits.rules[0]: concurrency limits no session"},
		{"limits: {rules: [{match: {}, rate: 1}]}", "limits.rules[0].match: matches every statement"},
		{"replicas: [{addr: a:1, group: replica}]", "replicas[0].group: no name for a group"},
		{"replicas: [{addr: a:1, group: B I}]", "replicas[0].group: no name for a group"},
		{"routing: {rules: [{match: {user: a}, to: bi}]}", "routing.rules[0].to: no replica is of the group bi"},
		{"routing: {rules: [{match: {user: a}, to: Bi}]}", "routing.rules[0].to: Bi is no target, allowed is primary, replica, deny"},
		{"threads: 0", "threads: 0 is out of range, allowed is auto or a whole number from 1 to 1024\n"},
		{"threads: many", "threads: many is no whole number, allowed is auto or"},
		{"users: nobody", "users: the value is not what belongs here, allowed is passthrough or a list"},
		{"replicas: [a]", "replicas[0]: a is no address"},
		{"users: []", "users: an empty list is not what belongs here"},
		{"users: [{name: a}]", "users[0]: an account without a password"},
		{"users: [{password: a}]", "users[0]: an account without a name"},
		{"users: [{passthrough: true, name: a}]", "users[0]: passthrough with a name"},
		{"users:\n- {name: a, password: x}\n- {name: a, password: y}",
		 "f.yaml:3: users[1].name: a is listed twice"},
		{"backend: {pool: {max: 3, min_idle: 4}}",
		 "backend.pool.min_idle: 4 is more than backend.pool.max, allowed is at most 3\n"},
		{"backend: {monitor: {password: x}}", "backend.monitor.password: a password without a user"},
		{"routing: {rules: [{match: {}, to: primary}]}", "routing.rules[0].match: matches every statement"},
		{"routing: {rules: [{to: primary}]}", "f.yaml:1: routing.rules[0].match: matches every statement"},
		{"routing: {rules: [{match: {user: a}}]}",
		 "routing.rules[0].to: is missing, allowed is primary, replica, deny or the name of a group of replicas\n"},
		{"routing: {rules: [{match: {digest: 0x}, to: primary}]}",
		 "routing.rules[0].match.digest: 0x is no digest"},
		{"routing: {rules: [{match: {digest: 0x12345678901234567}, to: primary}]}",
		 "match.digest: 0x12345678901234567 is no"},
		{"routing: {rules: [{match: {verb: selec}, to: primary}]}",
		 "routing.rules[0].match.verb: selec is no verb, allowed are"},
		{"routing: {rules: [{match: {table: a.b.c}, to: primary}]}",
		 "routing.rules[0].match.table: not a table's name"},
		{"routing: {rules: [{match: {tag: {a: b, c: d}}, to: primary}]}",
		 "routing.rules[0].match.tag: a mapping is no tag"},
		{"cache: {memory: 5KiB}", "cache.memory: too small"},
		{"cache: {redis: 'http://x'}", "cache.redis: not a URL of Redis"},
		{"cache: {redis: 'redis://h:1/x'}", "cache.redis: not a URL of Redis"},
		{"cache: {redis: 'redis://h:1?ca=x'}", "cache.redis: not a URL of Redis"},
		{"cache: {redis: 'redis+cluster://h:1/1'}", "cache.redis: not a URL of Redis"},
		{"cache: {redis: 'redis://h:1?name='}", "cache.redis: not a URL of Redis"},
		{"cache: {redis: 'redis://h:1?name=a.b'}", "cache.redis: not a URL of Redis"},
		{"cache: {redis: 'redis://h:1?name=a&lanes=1'}", "cache.redis: not a URL of Redis"},
		{"cache: {redis: 'rediss://h:1?verify=none&name=a}'}", "with ?name=WORD (letters, digits, - and _)"},
		{"cache: {redis: 'redis://h:1?name=a234567890b234567890c234567890d234567890'}", "cache.redis: not a URL of Redis"},
		{"cache: {rules: [{match: {query: '(('}, ttl: 1s}]}",
		 "f.yaml:1: cache.rules[0].match.query: at character 3: missing closing parenthesis, allowed is a "
		 "regular expression"},
		{"cache: {rules: [{match: {table: a}}]}",
		 "cache.rules[0].ttl: is missing, allowed is a duration from 1ms to 365d\n"},
		{"cache: {rules: [{match: {verb: delete}, ttl: 1s}]}",
		 "cache.rules[0].match.verb: delete can never match"},
		{"queue: {rules: [{match: {verb: select}}]}",
		 "queue.rules[0].match.verb: select can never match in a rule of the queue"},
		{"queue: {url: x}", "queue.url: has no meaning with queue.engine: file"},
		{"queue: {engine: redis}", "queue.url: missing"},
		{"queue: {engine: kafka, url: 'redis://h'}", "queue.url: not a URL of Kafka"},
		{"queue: {engine: kafka, url: 'kafka://u:secret@h'}", "queue.url: the topic behind /"},
		{"queue: {engine: kafka, url: 'kafka://h/t?lanes=65'}", "queue.url: behind ? are allowed lanes=1 to 64"},
		{"queue: {dir: ''}", "queue.dir: no folder"},
		{"queue: {user: {password: x}}", "queue.user.password: a password without a name"},
		{"queue: {sync: 0}",
		 "queue.sync: 0 is out of range, allowed is always or a duration from 1ms to 10s\n"},
		{"stats: {nplus1: {repeats: 1}}", "stats.nplus1.repeats: 1 is out of range"},
	};

	for (size_t i = 0; i < countof(cases); i++)
		expect(cases[i][0], cases[i][1]);
}

/* F3: lists that are gone through one by one are bounded. */
static void lists_are_bounded(void **state)
{
	char yaml[20000];
	size_t at = (size_t)snprintf(yaml, sizeof(yaml), "replicas: [");

	for (int i = 0; i < 257; i++)
		at += (size_t)snprintf(yaml + at, sizeof(yaml) - at, "a:%d,", i + 1);
	snprintf(yaml + at, sizeof(yaml) - at, "]");
	expect(yaml, "f.yaml:1: replicas: a list of 257 is too long, allowed are 256\n");
}

static void good_urls_are_taken(void **state)
{
	static const char *const urls[][2] = {
		{"cache: {redis: \"%s\"}", "redis://h"},
		{"cache: {redis: \"%s\"}", "redis://h:1"},
		{"cache: {redis: \"%s\"}", "redis://h:1/2"},
		{"cache: {redis: \"%s\"}", "redis://u:p@h:1/2"},
		{"cache: {redis: \"%s\"}", "redis://:p%40@h:1/"},
		{"cache: {redis: \"%s\"}", "redis://[::1]:6379"},
		{"cache: {redis: \"%s\"}", "redis://[::1]"},
		{"cache: {redis: \"%s\"}", "rediss://u:p@h:1/2?ca=/etc/ca.pem"},
		{"cache: {redis: \"%s\"}", "rediss://h?verify=none"},
		{"cache: {redis: \"%s\"}", "redis+cluster://h:1,h:2"},
		{"cache: {redis: \"%s\"}", "redis://h:1/2?name=shop_1-a"},
		{"cache: {redis: \"%s\"}", "rediss+cluster://h:1,h:2?name=a234567890b234567890c234567890d23456789&verify=none"},
		{"cache: {redis: \"%s\"}", "rediss+cluster://u:p@h:1"},
		{"stats: {otlp: {url: \"%s\"}}", ""},
		{"stats: {otlp: {url: \"%s\"}}", "http://h"},
		{"stats: {otlp: {url: \"%s\"}}", "http://h.internal:4318/v1/traces?a=b"},
		{"stats: {otlp: {url: \"%s\"}}", "http://[::1]"},
		{"stats: {otlp: {url: \"%s\"}}", "http://[fd00::1]:4318/"},
	};

	for (size_t i = 0; i < countof(urls); i++) {
		char yaml[100];
		const char *at = strstr(urls[i][0], "%s");

		snprintf(yaml, sizeof(yaml), "%.*s%s%s", (int)(at - urls[i][0]), urls[i][0], urls[i][1], at + 2);
		settings_unref(good(yaml));
	}
}

static void bad_urls_of_a_collector_are_faults(void **state)
{
	static const char *const urls[] = {"h:4318",          "https://h:4318",  "http://",        "http://:4318",
					   "http://u@h:4318", "http://h:0",      "http://h:65536", "http://[::1",
					   "http://[h]:1",    "http://::1:4318", "http://h:1/#a",  "http://h:1/a b",
					   "http://h name:1"};

	for (size_t i = 0; i < countof(urls); i++) {
		char yaml[100];

		snprintf(yaml, sizeof(yaml), "stats: {otlp: {url: \"%s\"}}", urls[i]);
		expect(yaml, "stats.otlp.url: not a collector's URL, allowed is http://HOST:PORT/v1/traces");
	}
}

/* An option that this build cannot honour is a fault, never ignored. */
static void what_this_build_cannot_do_is_a_fault(void **state)
{
	static const char *const cases[][2] = {
		{"queue: {engine: sqs, url: \"sqs://h/q.fifo\", rules: [{match: {table: t}}]}", "queue.url: not the URL of a queue of SQS"},
		{"queue: {engine: sqs, url: \"https://sqs.r.amazonaws.com/1/q.fifo?lanes=2\", rules: [{match: {table: t}}]}",
		 "queue.url: lanes without {lane}"},
	};

	for (size_t i = 0; i < countof(cases); i++)
		expect(cases[i][0], cases[i][1]);
	settings_unref(good("queue: {engine: redis, url: \"redis://h?name=x&lanes=4\", rules: [{match: {table: t}}]}"));
	settings_unref(good("queue: {engine: kafka, url: \"kafkas://u:p@h:1,i/t?lanes=4\", rules: [{match: {table: t}}]}"));
	settings_unref(good("queue: {engine: sqs, url: \"https://sqs.r.amazonaws.com/1/q-{lane}.fifo?lanes=2\", rules: [{match: {table: t}}]}"));
	settings_unref(good("backend: {tls: {mode: disabled}}"));
}

/* What is wrong with a certificate, a key or an authority is found before anything is started or reloaded with it. */
static void files_for_tls_are_read(void **state)
{
	static const char *const cases[][2] = {
		{"listen: {tls: {cert: /nonexistent/a, key: b}}",
		 "listen.tls.cert: /nonexistent/a: No such file or directory, allowed is a file with a certificate in PEM"},
		{"listen: {tls: {cert: /dev/zero, key: b}}", "listen.tls.cert: /dev/zero: not a file of 1 byte to 1 MiB"},
		{"listen: {tls: {cert: /proc/self/stat, key: b}}", "listen.tls.cert: /proc/self/stat: not a file"},
		{"listen: {tls: {cert: /etc/passwd, key: b}}", "listen.tls.cert: /etc/passwd: not a certificate in PEM"},
		{"listen: {tls: {cert: a}}", "listen.tls.key: missing, allowed are a certificate and its key"},
		{"listen: {tls: {ca: a}}", "listen.tls.ca: has no meaning without listen.tls.cert"},
		{"listen: {tls: {require: true}}", "listen.tls.require: on without a certificate"},
		{"backend: {tls: {mode: verify_ca, ca: /etc/passwd}}", "backend.tls.ca: /etc/passwd: no certificate in PEM"},
		{"backend: {tls: {ca: /nonexistent/a}}", "backend.tls.ca: /nonexistent/a: No such file"},
	};
	struct settings *s;

	for (size_t i = 0; i < countof(cases); i++)
		expect(cases[i][0], cases[i][1]);
	s = good("backend: {tls: {mode: verify_identity}}");
	assert_non_null(s->backend.tls_context);
	assert_null(s->listen.tls_context);
	settings_unref(s);
}

static void aurora_needs_names_and_finds_its_replicas_itself(void **state)
{
	expect("discovery: aurora", "primary: the names of its servers cannot be known from 127.0.0.1");
	expect("{discovery: aurora, backend: {aurora_host: db.example}}", "backend.aurora_host: needs one ?");
	expect("{discovery: aurora, backend: {aurora_host: '?.?'}}", "backend.aurora_host: needs one ?");
	expect("{discovery: aurora, backend: {aurora_host: '127.0.0.?'}, replicas: [b:1]}",
	       "replicas: discovery: aurora finds them itself, allowed is []");
	assert_null(load("{primary: 'unix:/s', discovery: aurora, backend: {aurora_host: '?'}}", NULL));
	assert_non_null(strstr(faults, "primary: a socket with discovery: aurora"));
	settings_unref(good("{discovery: aurora, backend: {aurora_host: '127.0.0.?'}}"));
}

static void paths_are_told_apart_by_letter_case(void **state)
{
	struct settings *s = load("{primary: 'unix:/run/DB.sock', listen: {mysql: ['unix:/run/db.sock']}}", NULL);

	assert_non_null(s);
	settings_unref(s);
}

static void a_queue_needs_an_account_to_drain_with(void **state)
{
	static const char rules[] = "\nqueue: {rules: [{match: {table: t}}]}";
	static const char *const enough[] = {"users: [{name: a, password: p}]", "backend: {monitor: {user: m}}"};
	char yaml[200];

	settings_unref(good("queue: {rules: [{match: {table: t}}]}")); /* pass-through: whoever logs in */
	expect("users: [{name: a, password: ''}]\nqueue: {rules: [{match: {table: t}}]}",
	       "queue.user.name: no account");
	for (size_t i = 0; i < countof(enough); i++) {
		snprintf(yaml, sizeof(yaml), "%s%s", enough[i], rules);
		settings_unref(good(yaml));
	}
	settings_unref(good("queue: {user: {name: d}, rules: [{match: {table: t}}]}"));
}

static const char full[] =
	"listen: {mysql: [127.0.0.1:7000, unix:/run/s], max_connections: 77}\n"
	"admin_token: t0ken\nreplicas: [a:1, {addr: b:2, weight: 3}]\n"
	"backend: {monitor: {user: mon, password: monpw, max_lag: 1500ms}}\n"
	"users: [{name: app, password: apppw}, {passthrough: true}]\n"
	"routing: {consistency: strong, rules: [{match: {digest: 0xff, tag: {a: b}}, to: replica}]}\n"
	"cache: {memory: 0, redis: 'redis://u:redispw@h:1/2', rules: [{match: {query: 'a\"b'}, ttl: 90s}]}\n"
	"queue: {on_full: error, user: {name: q, password: qpw}, rules: [{match: {table: s.t, verb: insert}, order: "
	"id}]}\n"
	"stats: {slow: 1ms, samples: off}\n";

static void what_is_printed_loads_again(void **state)
{
	struct settings *a = good(full), *b;
	char *first = text_of(a, settings_print), *second;
	struct iobuf out;

	b = load(first, NULL);
	assert_string_equal(faults, "");
	second = text_of(b, settings_print);
	assert_string_equal(first, second);
	iobuf_init(&out, 0);
	assert_int_equal(settings_reload_check(a, b, &out), RC_OK);
	assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
	/* Masked, so they differ. */
	assert_string_equal(iobuf_data(&out), "backend.monitor.password: only a restart can change it\n"
					      "cache.redis: only a restart can change it\n");
	iobuf_reset(&out);
	mem_free(first);
	mem_free(second);
	settings_unref(a);
	settings_unref(b);
}

static void no_secret_is_printed(void **state)
{
	static const char *const secrets[] = {"t0ken", "monpw", "apppw", "redispw", "qpw"};
	struct settings *s = good(full);
	char *yaml = text_of(s, settings_print), *json = text_of(s, settings_print_json);

	for (size_t i = 0; i < countof(secrets); i++) {
		assert_null(strstr(yaml, secrets[i]));
		assert_null(strstr(json, secrets[i]));
	}
	assert_non_null(strstr(yaml, "redis: \"redis://u:***@h:1/2\"\n"));
	assert_non_null(strstr(yaml, "admin_token: \"***\"\n"));
	mem_free(yaml);
	mem_free(json);
	settings_unref(s);
}

static void json_has_seconds_and_bytes(void **state)
{
	struct settings *s = good(full);
	char *text = text_of(s, settings_print_json);
	json_t *j = json_loads(text, 0, NULL), *backend = json_object_get(j, "backend");

	assert_non_null(j);
	assert_true(json_real_value(json_object_get(json_object_get(backend, "monitor"), "max_lag")) == 1.5);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "cache"), "max_result")), 1 << 20);
	assert_string_equal(json_string_value(json_object_get(j, "threads")), "auto");
	assert_true(json_is_false(json_object_get(json_object_get(j, "stats"), "samples")));
	assert_int_equal(json_array_size(json_object_get(j, "users")), 2);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(json_object_get(j, "replicas"), 1), "weight")), 3);
	json_decref(j);
	mem_free(text);
	settings_unref(s);
}

static struct settings *overlay(const char *shared, char *said, size_t cap)
{
	char path[] = "/tmp/settings_test.XXXXXX";
	static const char own[] = "primary: 127.0.0.1:3306\nbackend: &b\n  pool: {max: 9, min_idle: 3}\ncache:\nstats: {slow: 1s}\n"
				  "routing:\n  rules:\n    - {match: {table: own}, to: deny}\n";
	struct settings_shared doc = {.origin = "shared", .text = span_str(shared)};
	struct settings *s;
	struct iobuf out;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, own, sizeof(own) - 1), sizeof(own) - 1);
	close(fd);
	iobuf_init(&out, 0);
	s = settings_load_shared(path, &doc, NULL, &out);
	unlink(path);
	assert_true(iobuf_len(&out) < cap);
	memcpy(said, iobuf_data(&out), iobuf_len(&out));
	said[iobuf_len(&out)] = '\0';
	iobuf_reset(&out);
	return s;
}

/* Option by option; what is wrong names the document that it stands in. */
static void a_shared_document_lies_over_the_file(void **state)
{
	static const char *const refused[] = {"backend: {pool: {max: 2}}\n", "admin_token: x\n", "queue: {user: {name: x}}\n", "stats: {slow: ${HOME}}\n",
					      "stats: {samples: on}\n", "stats: 5\n", "stats: {slow: 1}\n", "nope: 1\n", "primary: a:1\n"};
	char said[2048];
	struct settings *s = overlay("backend: {pool: {max: 50}}\nrouting:\n  rules: []\ncache: {max_result: 2MiB}\nqueue: ~\n", said, sizeof(said));

	assert_string_equal(said, "");
	assert_non_null(s);
	assert_int_equal(s->backend.pool.max, 50);
	assert_int_equal(s->backend.pool.min_idle, 3);
	assert_int_equal(s->routing.nrules, 0);
	assert_int_equal(s->cache.max_result, 2 << 20);
	assert_int_equal(s->stats.slow_ns, 1000000000);
	assert_string_equal(s->shared, "backend.pool.max\nrouting.rules\ncache.max_result\n");
	settings_unref(s);

	s = overlay("", said, sizeof(said));
	assert_non_null(s);
	assert_int_equal(s->routing.nrules, 1);
	assert_string_equal(s->shared, "");
	settings_unref(s);
	for (size_t i = 1; i < countof(refused); i++) {
		assert_null(overlay(refused[i], said, sizeof(said)));
		assert_memory_equal(said, "shared:1: ", strlen("shared:1: "));
	}
	assert_null(overlay(refused[0], said, sizeof(said))); /* by a check of both */
	assert_non_null(strstr(said, ":3: backend.pool.min_idle: 3 is more than backend.pool.max"));
}

static void a_reload_names_what_it_cannot_change(void **state)
{
	struct settings *a = good(""),
			*b = good("threads: 3\nlisten: {mysql: 127.0.0.1:1, max_connections: 5}\nqueue: {dir: /x}\n"
				  "cache: {rules: [{match: {table: t}, ttl: 1s}]}");
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(settings_reload_check(a, a, &out), RC_OK);
	assert_int_equal(iobuf_len(&out), 0);
	assert_int_equal(settings_reload_check(a, b, &out), RC_OK);
	assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
	assert_string_equal(iobuf_data(&out), "listen.mysql: only a restart can change it\n"
					      "threads: only a restart can change it\n"
					      "queue.dir: only a restart can change it\n");
	iobuf_reset(&out);
	settings_unref(a);
	settings_unref(b);
}

/* Runs `suimon check` on a file of this text; what it writes to stream (1 or 2) is in faults then. */
static int check(const char *yaml, int stream)
{
	char config[] = "/tmp/suimon-conf-XXXXXX", output[] = "/tmp/suimon-out-XXXXXX";
	int in = mkstemp(config), out = mkstemp(output), saved = dup(stream), rc;
	ssize_t len;

	assert_true(in >= 0 && out >= 0 && saved >= 0);
	assert_int_equal(write(in, yaml, strlen(yaml)), strlen(yaml));
	assert_int_equal(dup2(out, stream), stream);
	rc = settings_check_main(config, NULL);
	assert_int_equal(dup2(saved, stream), stream);
	len = pread(out, faults, sizeof(faults) - 1, 0);
	assert_true(len >= 0);
	faults[len] = '\0';
	close(in);
	close(out);
	close(saved);
	unlink(config);
	unlink(output);
	return rc;
}

static void check_prints_values_or_faults(void **state)
{
	assert_int_equal(check("primary: db:3306\nadmin_token: hidden\n", STDOUT_FILENO), 0);
	assert_non_null(strstr(faults, "primary: db:3306\n"));
	assert_null(strstr(faults, "hidden"));
	assert_int_equal(check("primary: db:3306\nthreads: x\n", STDOUT_FILENO), 1);
	assert_string_equal(faults, "");
	assert_int_equal(check("primary: db\nthreads: x\n", STDERR_FILENO), 1);
	assert_non_null(strstr(faults, ":1: primary: db is no address"));
	assert_non_null(strstr(faults, ":2: threads: x is no whole number"));
}

static void references_keep_it_alive(void **state)
{
	struct settings *s = good("");

	assert_ptr_equal(settings_ref(s), s);
	settings_unref(s);
	assert_string_equal(s->primary.text, "127.0.0.1:3306");
	settings_unref(s);
	settings_unref(NULL);
	assert_null(settings_ref(NULL));
}

/* F1: out of memory at any call is answered, nothing leaks (the build with ASan tells). */
static void every_allocation_may_fail(void **state)
{
	struct settings *s = NULL;
	uint64_t n = 0, refused = 0;

	for (; !s; n++) {
		refused = mem_failures();
		mem_fail_after(n + 1, n % 2);
		s = load(full, "127.0.0.1:3306");
		mem_fail_after(0, 0);
		assert_true(n < 1000);
	}
	assert_int_equal(mem_failures(), refused); /* none was passed over */
	assert_true(n > 30);
	for (uint64_t i = 1; i < 40; i++) {
		struct iobuf out;

		iobuf_init(&out, 0);
		mem_fail_after(i, 1);
		if (settings_print(s, &out) == RC_OK)
			assert_true(iobuf_len(&out) > 500);
		if (settings_print_json(s, &out) == RC_OK)
			assert_true(iobuf_len(&out) > 500);
		mem_fail_after(0, 0);
		iobuf_reset(&out);
	}
	settings_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_the_contract),
		cmocka_unit_test(the_primary_is_required_and_may_come_from_the_command_line),
		cmocka_unit_test(values_come_in_several_forms),
		cmocka_unit_test(a_list_of_accounts_alone_ends_pass_through),
		cmocka_unit_test(rules_are_read),
		cmocka_unit_test(queries_match_in_any_case_and_in_bounded_time),
		cmocka_unit_test(wrong_values_are_faults),
		cmocka_unit_test(lists_are_bounded),
		cmocka_unit_test(good_urls_are_taken),
		cmocka_unit_test(bad_urls_of_a_collector_are_faults),
		cmocka_unit_test(what_this_build_cannot_do_is_a_fault),
		cmocka_unit_test(files_for_tls_are_read),
		cmocka_unit_test(aurora_needs_names_and_finds_its_replicas_itself),
		cmocka_unit_test(paths_are_told_apart_by_letter_case),
		cmocka_unit_test(a_queue_needs_an_account_to_drain_with),
		cmocka_unit_test(what_is_printed_loads_again),
		cmocka_unit_test(no_secret_is_printed),
		cmocka_unit_test(json_has_seconds_and_bytes),
		cmocka_unit_test(a_shared_document_lies_over_the_file),
		cmocka_unit_test(a_reload_names_what_it_cannot_change),
		cmocka_unit_test(check_prints_values_or_faults),
		cmocka_unit_test(references_keep_it_alive),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
