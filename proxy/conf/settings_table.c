/*
 * settings_table.c - the product's options: one row an option, and no other place that knows them.
 */
#include "settings_rows.h"

#define SETTING(field) .offset = offsetof(struct settings, field)
#define MS ((int64_t)1000 * 1000)
#define SEC (1000 * MS)
#define MIN (60 * SEC)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)
#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define RULES_MAX 1000 /* they are tried one by one */

/* A row by its type. The rest of it: RELOAD or FIXED (may SIGHUP change it?) or SHARED (and config.source, too). */
#define RELOAD .reload = true
#define SHARED RELOAD, .shared = true /* what suits one instance suits all: no file, address, account or secret, nothing of the host's */
#define FIXED .reload = false
#define NUMBER(type_, key, field, def_, min_, max_, help_, ...)                                                        \
	{                                                                                                              \
		.name = key, .type = type_, SETTING(field), .def = def_, .min = min_, .max = max_, .help = help_,      \
		__VA_ARGS__                                                                                            \
	}
#define INT(...) NUMBER(CONF_INT, __VA_ARGS__)
#define DURATION(...) NUMBER(CONF_DURATION, __VA_ARGS__)
#define SIZE(...) NUMBER(CONF_SIZE, __VA_ARGS__)
#define DOUBLE(...) NUMBER(CONF_DOUBLE, __VA_ARGS__)
#define STRING(key, field, def_, unit_, help_, ...)                                                                    \
	{                                                                                                              \
		.name = key, .type = CONF_STRING, SETTING(field), .def = def_, .unit = unit_, .help = help_,           \
		__VA_ARGS__                                                                                            \
	}
#define SCALAR(type_, key, field, def_, help_, ...)                                                                    \
	{                                                                                                              \
		.name = key, .type = type_, SETTING(field), .def = def_, .help = help_, __VA_ARGS__                    \
	}
#define BOOL(...) SCALAR(CONF_BOOL, __VA_ARGS__)
#define WORD(type_, key, field, def_, words_, help_, ...)                                                              \
	{                                                                                                              \
		.name = key, .type = type_, SETTING(field), .def = def_, .words = words_, .help = help_, __VA_ARGS__   \
	}
#define LIST(key, field, def_, item_, unit_, help_, ...)                                                               \
	{                                                                                                              \
		.name = key, .type = CONF_LIST, SETTING(field), .def = def_, .item = item_, .unit = unit_,             \
		.help = help_, __VA_ARGS__                                                                             \
	}

/* The lists of settings.h stand as a struct conf_list does. */
#define IS_LIST(type, items, count)                                                                                    \
	_Static_assert(offsetof(type, count) == offsetof(type, items) + sizeof(void *),                                \
		       #items " and " #count " are a list")
IS_LIST(struct settings, listen.mysql, listen.nmysql);
IS_LIST(struct settings, listen.proxy_protocol, listen.nproxy_protocol);
IS_LIST(struct settings, replicas, nreplicas);
IS_LIST(struct settings, users, nusers);
IS_LIST(struct settings, routing.rules, routing.nrules);
IS_LIST(struct settings, cache.rules, cache.nrules);
IS_LIST(struct settings, cache.keys, cache.nkeys);
IS_LIST(struct settings, queue.rules, queue.nrules);
IS_LIST(struct settings, limits.rules, limits.nrules);

#define SECTION(key, rows, text)                                                                                       \
	{                                                                                                              \
		.name = key, .type = CONF_TABLE, .table = &rows, .help = text                                          \
	}
#define END                                                                                                            \
	{                                                                                                              \
		.name = NULL                                                                                           \
	}

/* ---- listen ---- */

static const struct conf_opt listen_tls_rows[] = {
	STRING("cert", listen.tls.cert, "", "a file (PEM)",
	       "Certificate shown to clients, with its chain; with it TLS is offered.", RELOAD),
	STRING("key", listen.tls.key, "", "a file (PEM)", "The certificate's private key, without a passphrase.", RELOAD),
	STRING("ca", listen.tls.ca, "", "a file (PEM)", "If set, clients must show a certificate that it has signed.",
	       RELOAD),
	BOOL("require", listen.tls.require, "false", "Refuses clients without TLS (unix sockets excepted).", RELOAD),
	END,
};
static const struct conf_table listen_tls = {.opts = listen_tls_rows};

static const struct conf_opt mysql_item = {.type = CONF_CUSTOM,
					   .size = sizeof(struct settings_addr),
					   .parse = settings_addr_parse,
					   .print = settings_addr_print,
					   .drop = settings_addr_drop,
					   .unit = ADDR_UNIT};
static const struct conf_opt cidr_item = {
	.type = CONF_STRING, .size = sizeof(char *), .check = settings_addr_check_cidr, .unit = "a network"};

static const struct conf_opt listen_rows[] = {
	LIST("mysql", listen.mysql, "127.0.0.1:6033", &mysql_item, ADDR_UNIT ", or a list of these",
	     "Where clients connect.", FIXED, .single = true, .max = 16),
	{.name = "http",
	 .type = CONF_CUSTOM,
	 SETTING(listen.http),
	 .def = "127.0.0.1:6034",
	 .parse = settings_addr_parse_tcp,
	 .print = settings_addr_print,
	 .drop = settings_addr_drop,
	 .unit = TCP_UNIT,
	 .help = "Where the dashboard, the metrics and the administration listen."},
	SECTION("tls", listen_tls, "TLS towards clients."),
	LIST("proxy_protocol", listen.proxy_protocol, "[]", &cidr_item, "a list of networks (10.0.0.0/8)",
	     "From these addresses a PROXY v1 or v2 header is expected.", RELOAD, .max = 1000),
	INT("max_connections", listen.max_connections, "10000", 1, 1000000,
	    "Clients at one time; more are refused with error 1040.", RELOAD),
	DURATION("handshake_timeout", listen.handshake_timeout_ns, "10s", 10 * MS, HOUR,
		 "A client that has not logged in by then is dropped.", RELOAD),
	DURATION("idle_timeout", listen.idle_timeout_ns, "8h", 10 * MS, 365 * DAY,
		 "A client that sends nothing for so long is dropped.", RELOAD),
	END,
};
static const struct conf_table listen_table = {.opts = listen_rows};

/* ---- backend ---- */

static const char *const tls_modes[] = {"disabled", "preferred", "required", "verify_ca", "verify_identity", NULL};

static const struct conf_opt backend_tls_rows[] = {
	WORD(CONF_ENUM, "mode", backend.tls.mode, "preferred", tls_modes,
	     "How far TLS to the servers is insisted on: preferred, where a server has it; required, or no connection; verify_ca, "
	     "and the certificate is by `ca`; verify_identity, and it is made for the server's name or address. Unix sockets "
	     "go without.",
	     FIXED),
	STRING("ca", backend.tls.ca, "", "a file (PEM)",
	       "Who must have signed the servers' certificates, for the modes that verify; empty: the system's authorities.", FIXED),
	END,
};
static const struct conf_table backend_tls = {.opts = backend_tls_rows};

static const struct conf_opt pool_rows[] = {
	INT("max", backend.pool.max, "200", 1, 100000,
	    "Connections to one server, all threads together; statements wait in order for a free one.", SHARED),
	INT("min_idle", backend.pool.min_idle, "2", 0, 100000,
	    "Idle connections to one server that are kept however long they idle while no client is connected; while some are, "
	    "connections beyond their number are closed a second after their last use.", SHARED),
	DURATION("idle_timeout", backend.pool.idle_timeout_ns, "60s", 10 * MS, 30 * DAY,
		 "Idle connections beyond min_idle are closed after this.", SHARED),
	DURATION("max_age", backend.pool.max_age_ns, "1h", 10 * MS, 30 * DAY,
		 "A connection older than this is closed when it is next free.", SHARED),
	END,
};
static const struct conf_table pool_table = {.opts = pool_rows};

static const struct conf_opt monitor_rows[] = {
	STRING("user", backend.monitor.user, "", "an account's name",
	       "The account that asks the servers for their role and lag.", FIXED),
	SCALAR(CONF_SECRET, "password", backend.monitor.password, "", "Its password, best as `${NAME}`.", FIXED),
	DURATION("interval", backend.monitor.interval_ns, "1s", 10 * MS, 10 * MIN,
		 "How often every server is looked at.", SHARED),
	DURATION("max_lag", backend.monitor.max_lag_ns, "5s", 0, DAY, "A replica further behind gets no reads.",
		 SHARED),
	END,
};
static const struct conf_table monitor_table = {.opts = monitor_rows};

static const char *const compressions[] = {"off", "client", "zlib", "zstd", NULL};

static const struct conf_opt backend_rows[] = {
	SECTION("tls", backend_tls, "TLS towards the servers."),
	WORD(CONF_ENUM, "compress", backend.compress, "client", compressions,
	     "Packs what goes to the servers and comes from them. client: where the client does, in its way, as if it spoke to the "
	     "server itself; zlib, or zstd where a server has it (MySQL 8.0.18), else zlib: always, for links that are slow or paid by "
	     "the byte; it costs processor time.",
	     FIXED),
	DURATION("connect_timeout", backend.connect_timeout_ns, "2s", MS, 5 * MIN, "Until a server has let us in.",
		 SHARED),
	SECTION("pool", pool_table, "Connections per server."),
	SECTION("monitor", monitor_table, "Watching the servers."),
	DURATION("failover_hold", backend.failover_hold_ns, "10s", 0, 10 * MIN,
		 "Statements wait this long for a primary before they fail.", SHARED),
	STRING("aurora_host", backend.aurora_host, "", "a host name with a ? in it",
	       "With discovery: aurora, what a server is called; its identifier stands for the ?. Empty: from primary, which "
	       "must then be an endpoint of the cluster's own (….rds.amazonaws.com).", FIXED),
	END,
};
static const struct conf_table backend_table = {.opts = backend_rows};

/* ---- routing ---- */

static const char *const consistencies[] = {"eventual", "session", "strong", NULL};

#define MATCH(type_)                                                                                                   \
	{                                                                                                              \
		.name = "match", .type = CONF_TABLE, .offset = offsetof(type_, match), .table = &settings_match_table, \
		.help = "All that is given must hold; at least one must be given."                                     \
	}

static const struct conf_opt route_rows[] = {
	MATCH(struct settings_route_rule),
	{.name = "to",
	 .type = CONF_CUSTOM,
	 .offset = offsetof(struct settings_route_rule, to),
	 .parse = settings_target_parse,
	 .print = settings_target_print,
	 .drop = settings_target_drop,
	 .unit = "primary, replica, deny or the name of a group of replicas",
	 .help = "Where matching statements go; what may not run on a replica goes to the primary all the same. deny: nowhere, they get "
		 "error 1148."},
	END,
};
static const struct conf_table route_table = {.size = sizeof(struct settings_route_rule), .opts = route_rows};
static const struct conf_opt route_item = {
	.type = CONF_TABLE, .size = sizeof(struct settings_route_rule), .table = &route_table};

static const struct conf_opt routing_rows[] = {
	WORD(CONF_ENUM, "consistency", routing.consistency, "session", consistencies,
	     "What a read may miss: eventual, whatever the replica lags; session, nothing the session itself wrote; "
	     "strong, nothing (reads on the primary).",
	     SHARED),
	LIST("rules", routing.rules, "[]", &route_item, "a list of rules",
	     "The first that matches decides; where none does, reads go to replicas, all else to the primary.", SHARED,
	     .max = RULES_MAX),
	END,
};
static const struct conf_table routing_table = {.opts = routing_rows};

/* ---- cache ---- */

static const struct conf_opt cache_rule_rows[] = {
	MATCH(struct settings_cache_rule),
	{.name = "ttl",
	 .type = CONF_DURATION,
	 .offset = offsetof(struct settings_cache_rule, ttl_ns),
	 .min = MS,
	 .max = 365 * DAY,
	 .help = "How long a result is served, if no write ends it sooner."},
	{.name = "refresh",
	 .type = CONF_DURATION,
	 .offset = offsetof(struct settings_cache_rule, refresh_ns),
	 .def = "0s",
	 .max = DAY,
	 .help = "After expiry a result is served this much longer while one query fetches it anew "
		 "(stale-while-revalidate)."},
	END,
};
static const struct conf_table cache_rule_table = {.size = sizeof(struct settings_cache_rule), .opts = cache_rule_rows};
static const struct conf_opt cache_rule_item = {
	.type = CONF_TABLE, .size = sizeof(struct settings_cache_rule), .table = &cache_rule_table};

static const struct conf_opt cache_rows[] = {
	SIZE("memory", cache.memory, "64MiB", 0, 16 * TIB,
	     "The in-process store, keys and overhead included; 0 switches it off, less than 1MiB makes no sense. More "
	     "than 0 takes a restart where the process was started with 0 and no cache.redis.",
	     RELOAD),
	{.name = "redis",
	 .type = CONF_URL,
	 SETTING(cache.redis),
	 .def = "",
	 .check = settings_addr_check_redis_cache,
	 .unit = "a URL of Redis",
	 .help = "Second level, and how instances tell each other of writes: `redis://[user:password@]host:port/db`, "
		 "`rediss://…`, `redis+cluster://h1:p,h2:p`. With `?name=WORD` several primaries may share one "
		 "database of it: each its own name (docs/cache.md, section 3)."},
	SIZE("max_result", cache.max_result, "1MiB", KIB, GIB, "Larger results are not cached.", SHARED),
	DURATION("stale_if_error", cache.stale_if_error_ns, "0s", 0, 30 * DAY,
		 "Expired results are served so much longer while no server can answer.", SHARED),
	BOOL("binlog", cache.binlog, "off", "Follows the primary's binlog, to see writes that bypass suimon.", FIXED),
	{.name = "keys",
	 .type = CONF_CUSTOM,
	 SETTING(cache.keys),
	 .def = "{}",
	 .parse = settings_keys_parse,
	 .print = settings_keys_print,
	 .drop = settings_keys_drop,
	 .unit = "a mapping {schema.table: [column, …]}",
	 SHARED,
	 .help = "Columns by which rows are named, where those of the primary and unique keys are not to be used; each must lead an index."},
	LIST("rules", cache.rules, "[]", &cache_rule_item, "a list of rules",
	     "The first that matches a read decides how long it is cached; what no rule matches is not cached.", SHARED,
	     .max = RULES_MAX),
	END,
};
static const struct conf_table cache_table = {.opts = cache_rows};

/* ---- queue ---- */

static const char *const engines[] = {"file", "redis", "sqs", "kafka", NULL};
static const char *const full_words[] = {"sync", "error", NULL};
static const char *const read_words[] = {"eventual", "session", NULL};
static const char *const error_words[] = {"dead_letter", "halt", NULL};

static const struct conf_opt queue_user_rows[] = {
	STRING("name", queue.user.name, "", "an account's name",
	       "The account that applies queued writes; empty: `backend.monitor.user`, and without that the first of "
	       "`users` with a password; with pass-through alone, the account that logged in last: after a restart nothing is "
	       "applied until a client has logged in. Where there is a `config.source`, a name here opens the queue at the start, for "
	       "rules that may come.",
	       RELOAD),
	SCALAR(CONF_SECRET, "password", queue.user.password, "", "Its password, best as `${NAME}`.", RELOAD),
	END,
};
static const struct conf_table queue_user = {.opts = queue_user_rows};

static const struct conf_opt drain_rows[] = {
	INT("workers", queue.drain.workers, "1", 1, 64, "Connections that apply batches at the same time, each a share of the keys (`order`).",
	    FIXED),
	INT("batch_rows", queue.drain.batch_rows, "500", 1, 100000, "Most writes in one transaction.", SHARED),
	DURATION("batch_wait", queue.drain.batch_wait_ns, "20ms", 0, 10 * SEC, "How long a batch waits to fill.",
		 SHARED),
	INT("rate", queue.drain.rate, "0", 0, 10000000, "Most statements a second; 0 is unlimited.", SHARED),
	END,
};
static const struct conf_table drain_table = {.opts = drain_rows};

static const char *check_order(const char *text)
{
	return *text ? NULL : "no name, allowed is table or a column's name";
}

static const char *check_dir(const char *text)
{
	return *text ? NULL : "no folder, allowed is a folder's path";
}

static const struct conf_opt queue_rule_rows[] = {
	MATCH(struct settings_queue_rule),
	{.name = "order",
	 .type = CONF_STRING,
	 .offset = offsetof(struct settings_queue_rule, order),
	 .def = "table",
	 .check = check_order,
	 .unit = "table or a column's name",
	 .help = "Writes keep their order within this key."},
	{.name = "read",
	 .type = CONF_CHOICE,
	 .offset = offsetof(struct settings_queue_rule, read_session),
	 .def = "session",
	 .words = read_words,
	 .help = "session: a session that reads the table waits for its own queued writes; eventual: it does not."},
	{.name = "on_error",
	 .type = CONF_CHOICE,
	 .offset = offsetof(struct settings_queue_rule, halt),
	 .def = "dead_letter",
	 .words = error_words,
	 .help = "A write that fails for good is put aside, or halts the queue."},
	END,
};
static const struct conf_table queue_rule_table = {.size = sizeof(struct settings_queue_rule), .opts = queue_rule_rows};
static const struct conf_opt queue_rule_item = {
	.type = CONF_TABLE, .size = sizeof(struct settings_queue_rule), .table = &queue_rule_table};

static const struct conf_opt queue_rows[] = {
	STRING("dir", queue.dir, "/var/lib/suimon/queue", "a folder's path",
	       "The file engine's folder; one process at a time.", FIXED, .check = check_dir),
	WORD(CONF_ENUM, "engine", queue.engine, "file", engines, "Where acknowledged writes are kept.", FIXED),
	{.name = "url",
	 .type = CONF_URL,
	 SETTING(queue.url),
	 .def = "",
	 .help = "The engine's address, for engines other than file. Redis: "
		 "`redis://[user:password@]host:port/db?name=suimon&lanes=8&wait=0&wait_aof=0`, `rediss://…`, "
		 "`redis+cluster://h1:p,h2:p?…`. Kafka: `kafka://[user:password@]h1:p,h2:p/topic?lanes=8`, `kafkas://…`. "
		 "SQS: `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME.fifo`, `…/NAME-{lane}.fifo?lanes=8`, `?region=`, `ca=` "
		 "(docs/engines.md)."},
	DURATION("sync", queue.sync_ns, "always", MS, 10 * SEC,
		 "How long an acknowledged write may wait for stable storage: always is not at all.", RELOAD,
		 .zero = "always"),
	SIZE("max_bytes", queue.max_bytes, "4GiB", MIB, 1024 * TIB, "Disk the queue may take.", RELOAD),
	WORD(CONF_CHOICE, "on_full", queue.full_is_error, "sync", full_words,
	     "When it is full: sync writes through to the primary, error fails the statement.", SHARED),
	SECTION("user", queue_user, "Who drains."),
	SECTION("drain", drain_table, "How fast."),
	LIST("rules", queue.rules, "[]", &queue_rule_item, "a list of rules",
	     "Writes that one of these matches are acknowledged from the queue; without rules it is off. The first rules of "
	     "a process that was started with no queue take a restart.",
	     SHARED, .max = RULES_MAX),
	END,
};
static const struct conf_table queue_table = {.opts = queue_rows};

/* ---- stats ---- */

static const struct conf_opt nplus1_rows[] = {
	INT("repeats", stats.nplus1.repeats, "8", 2, 100000,
	    "So many reads of one digest with other values each time, after one that returned a list, are a loop …", SHARED),
	DURATION("window", stats.nplus1.window_ns, "1s", MS, 10 * MIN, "… if they come within this time.", SHARED),
	END,
};
static const struct conf_table nplus1_table = {.opts = nplus1_rows};

static const struct conf_opt otlp_rows[] = {
	{.name = "url",
	 .type = CONF_STRING,
	 SETTING(stats.otlp.url),
	 .def = "",
	 .check = settings_addr_check_collector,
	 .hides_query = true,
	 .unit = "a URL of a collector",
	 .help = "A collector of OpenTelemetry that takes OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; empty: none. "
		 "The values of its query are shown nowhere.",
	 RELOAD},
	DOUBLE("share", stats.otlp.share, "0.01", 0, 1, "The part of the traces whose statements are sent.", SHARED),
	END,
};
static const struct conf_table otlp_table = {.opts = otlp_rows};

#define EMF_UNIT "up to 255 characters"

static const struct conf_opt emf_rows[] = {
	DURATION("every", stats.emf.every_ns, "0s", 0, HOUR, "A line each; 0s: none. CloudWatch's own step is 1m.", RELOAD),
	STRING("namespace", stats.emf.name_space, "Suimon", EMF_UNIT, "The metrics' namespace.", RELOAD, .check = settings_check_namespace),
	STRING("instance", stats.emf.instance, "", EMF_UNIT, "Their dimension Instance; empty: all instances are one metric.", RELOAD,
	       .check = settings_check_dimension),
	END,
};
static const struct conf_table emf_table = {.opts = emf_rows};

static const struct conf_opt stats_rows[] = {
	DURATION("slow", stats.slow_ns, "200ms", 0, HOUR, "Statements that take longer count as slow.", SHARED),
	STRING("slow_log", stats.slow_log, "", "a file's path",
	       "Slow statements in MySQL's slow-log format, as pt-query-digest reads it.", RELOAD),
	INT("digests", stats.digests, "5000", 10, 1000000, "Distinct statements kept; the rest is summed as \"other\".",
	    FIXED),
	BOOL("samples", stats.samples, "on", "off: no literal value of any statement is kept anywhere.", RELOAD),
	SECTION("nplus1", nplus1_table, "When repeated statements are a loop that should be one statement."),
	BOOL("explain", stats.explain, "on",
	     "EXPLAINs slow digests on a replica (the primary if there is none), at most one a second.", SHARED),
	STRING("snapshot", stats.snapshot, "", "a file's path, \"\" or off",
	       "Where the statistics outlive the process; \"\": the file statistics in $STATE_DIRECTORY if systemd gives one, else in "
	       "queue.dir if there is a queue, else nowhere.",
	       FIXED),
	DOUBLE("cost_per_hour", stats.cost_per_hour, "0", 0, 1000000,
	       "What the database costs, to be split over its users by the time they use.", SHARED),
	SECTION("otlp", otlp_table, "Statements as spans, continuing the traceparent of sqlcommenter."),
	SECTION("emf", emf_table, "Metrics for CloudWatch, as lines of its Embedded Metric Format on stdout."),
	END,
};
static const struct conf_table stats_table = {.opts = stats_rows};

/* ---- limits ---- */

static const char *const per_words[] = {"rule", "user", "digest", "client", "session", NULL};

static const struct conf_opt limit_rule_rows[] = {
	MATCH(struct settings_limit_rule),
	{.name = "concurrency",
	 .type = CONF_INT,
	 .offset = offsetof(struct settings_limit_rule, concurrency),
	 .def = "0",
	 .max = 1000000,
	 .help = "Most that run at one time, transactions counted as one; 0: any number."},
	{.name = "rate",
	 .type = CONF_INT,
	 .offset = offsetof(struct settings_limit_rule, rate),
	 .def = "0",
	 .max = 1000000,
	 .help = "Most that begin in a second; 0: any number."},
	{.name = "per",
	 .type = CONF_ENUM,
	 .offset = offsetof(struct settings_limit_rule, per),
	 .def = "rule",
	 .words = per_words,
	 .help = "Who shares the numbers: all that the rule matches, or of it each account, digest, client address or session apart."},
	{.name = "wait",
	 .type = CONF_DURATION,
	 .offset = offsetof(struct settings_limit_rule, wait_ns),
	 .def = "5s",
	 .max = HOUR,
	 .help = "How long a statement waits in line before it gets error 1226."},
	{.name = "max_time",
	 .type = CONF_DURATION,
	 .offset = offsetof(struct settings_limit_rule, max_time_ns),
	 .def = "0s",
	 .max = DAY,
	 .help = "A statement that runs longer is killed on its server (error 1317); 0s: none is."},
	END,
};
static const struct conf_table limit_rule_table = {.size = sizeof(struct settings_limit_rule), .opts = limit_rule_rows};
static const struct conf_opt limit_rule_item = {
	.type = CONF_TABLE, .size = sizeof(struct settings_limit_rule), .table = &limit_rule_table};

static const struct conf_opt limits_rows[] = {
	LIST("rules", limits.rules, "[]", &limit_rule_item, "a list of rules",
	     "The first that matches a statement holds it back.", SHARED, .max = RULES_MAX),
	END,
};
static const struct conf_table limits_table = {.opts = limits_rows};

/* ---- config ---- */

static const struct conf_opt config_rows[] = {
	{.name = "source",
	 .type = CONF_URL,
	 SETTING(config.source),
	 .def = "",
	 .check = settings_source_check,
	 .unit = "a URL of Redis with a key",
	 .help = "Rules that instances share, as `suimon push-config` puts them there: `redis://[user:password@]host:port/key`, "
		 "`…/db/key`, `rediss://…`, `redis+cluster://h1:p,h2:p/key`."},
	STRING("copy", config.copy, "", "a file's path, \"\" or off",
	       "Where the last good ones are kept, for a start without Redis; \"\": the file shared-config in $STATE_DIRECTORY if systemd "
	       "gives one, else in queue.dir if that is there, else nowhere.",
	       FIXED),
	END,
};
static const struct conf_table config_table = {.opts = config_rows};

/* ---- the whole ---- */

static const char *const log_words[] = {"text", "json", NULL};
static const char *const send_words[] = {"auto", "io_submit", "off", NULL}; /* enum settings_send */
static const char *const discovery_words[] = {"none", "aurora", NULL};

static const struct conf_opt replica_item = {.type = CONF_CUSTOM,
					     .size = sizeof(struct settings_replica),
					     .table = &settings_replica_table,
					     .parse = settings_replica_parse,
					     .print = settings_replica_print,
					     .drop = settings_replica_drop,
					     .unit = ADDR_UNIT ", or {addr: …, weight: …, group: …}"};

static const struct conf_opt rows[] = {
	SECTION("listen", listen_table, "Where suimon listens, and for whom."),
	INT("threads", threads, "auto", 1, 1024, "Threads that serve clients; auto is one a processor core that the process may use, by its affinity and its control group's limit.", FIXED,
	    .zero = "auto"),
	WORD(CONF_ENUM, "send_together", send_together, "auto", send_words,
	     "How what a thread sends to several sockets at once leaves in one system call: by io_uring where the kernel allows that, else by `io_submit`, which "
	     "alone is used where that is said; off: in one call each, as where neither can be had.", FIXED),
	DURATION("drain_timeout", drain_timeout_ns, "30s", 0, HOUR, "On SIGTERM: how long transactions have to finish.",
		 RELOAD),
	DURATION("upgrade_timeout", upgrade_timeout_ns, "15m", 0, 30 * DAY,
		 "On SIGUSR2, when a new process has taken over: how long the old one serves the sessions it has, before they drain.", RELOAD),
	WORD(CONF_CHOICE, "log", log_json, "text", log_words, "Lines of key=value, or of JSON, on stderr.", RELOAD),
	SCALAR(CONF_SECRET, "admin_token", admin_token, "",
	       "If set, every HTTP call that changes something must bear it (`Authorization: Bearer …`).", RELOAD),
	{.name = "primary",
	 .type = CONF_CUSTOM,
	 SETTING(primary),
	 .parse = settings_addr_parse,
	 .print = settings_addr_print,
	 .drop = settings_addr_drop,
	 .unit = ADDR_UNIT,
	 .help = "The server that takes the writes; `--primary` overrides it."},
	LIST("replicas", replicas, "[]", &replica_item, "a list of addresses or {addr: …, weight: …, group: …}",
	     "Servers for reads.", FIXED, .max = 256),
	WORD(CONF_CHOICE, "discovery", discovery_aurora, "none", discovery_words,
	     "aurora: primary is the cluster's endpoint; its servers and their roles come from "
	     "information_schema.replica_host_status.", FIXED),
	SECTION("backend", backend_table, "Connections to the servers."),
	{.name = "users",
	 .type = CONF_CUSTOM,
	 SETTING(users),
	 .def = "passthrough",
	 .table = &settings_users_table,
	 .parse = settings_users_parse,
	 .print = settings_users_print,
	 .drop = settings_users_drop,
	 .unit = "passthrough or a list of accounts",
	 .reload = true,
	 .help = "Who may log in: passthrough lets the primary decide; a list names accounts; {passthrough: true} in a "
		 "list adds the former."},
	SECTION("routing", routing_table, "Which server a statement goes to."),
	SECTION("cache", cache_table, "Results that are answered without the servers."),
	SECTION("queue", queue_table, "Writes that are acknowledged from stable storage and applied later."),
	SECTION("limits", limits_table, "Statements that must not take more than their share."),
	SECTION("stats", stats_table, "What is measured and kept."),
	SECTION("config", config_table, "What many instances share (docs/fleet.md)."),
	END,
};

const struct conf_table settings_table = {.name = "general", .size = sizeof(struct settings), .opts = rows};
