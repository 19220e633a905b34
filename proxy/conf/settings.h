/*
 * settings.h - suimon's configuration as a struct: the contract's section 2, one field an option.
 *
 * Loaded whole, validated, then never changed: a reload makes a new one and swaps the pointer (settings_ref).
 */
#ifndef SUIMON_SETTINGS_H
#define SUIMON_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cidr.h"
#include "conf.h"
#include "iobuf.h"
#include "rc.h"
#include "secret.h"
#include "span.h"
#include "tls.h"

struct settings_addr {
	char *text;      /* as written: host:port or unix:/path; owned */
	char *host;      /* owned; the path when is_unix */
	uint16_t port;
	bool is_unix;
};
struct settings_replica { struct settings_addr addr; int64_t weight; char *group; /* empty: none */ };
/* An account: name is never empty, password NULL when empty. Entries for pass-through only set settings.passthrough,
 * so passthrough is false here. */
struct settings_user { char *name; struct secret *password; bool passthrough; };

/* Towards servers: what is asked for; a server that lacks zstd gets zlib, one that has neither nothing. */
enum settings_compress { SETTINGS_COMPRESS_OFF, SETTINGS_COMPRESS_CLIENT, SETTINGS_COMPRESS_ZLIB, SETTINGS_COMPRESS_ZSTD };
enum settings_send { SETTINGS_SEND_AUTO, SETTINGS_SEND_IO_SUBMIT, SETTINGS_SEND_OFF };
enum settings_engine { SETTINGS_ENGINE_FILE, SETTINGS_ENGINE_REDIS, SETTINGS_ENGINE_SQS, SETTINGS_ENGINE_KAFKA };
enum settings_sql_target { TO_PRIMARY, TO_REPLICA, TO_GROUP, TO_DENY };
enum settings_consistency { CONSISTENCY_EVENTUAL, CONSISTENCY_SESSION, CONSISTENCY_STRONG };

struct settings_match { /* NULL or 0 where not asked; all that are given must hold */
	bool has_digest;
	uint64_t digest;
	char *query;     /* PCRE2 on the normalised text */
	void *query_re;  /* compiled pcre2_code * (caseless, bounded), owned by settings; use pcre2_match with a match data of the caller's */
	char *table;     /* "schema.table", or "table" in any schema */
	char *schema, *user;
	char *verb;      /* lower case */
	char *tag_key, *tag_value;
};
struct settings_route_rule { struct settings_match match; int to; char *group; /* its name with TO_GROUP */ };
struct settings_cache_rule {
	struct settings_match match;
	uint64_t ttl_ns, refresh_ns;
	uint64_t id; /* of its match, in this process: the same after a reload; two of one match differ. Its upper half is never 0 */
};
struct settings_queue_rule { struct settings_match match; char *order; bool read_session; bool halt; };
enum settings_limit_per { SETTINGS_PER_RULE, SETTINGS_PER_USER, SETTINGS_PER_DIGEST, SETTINGS_PER_CLIENT, SETTINGS_PER_SESSION };
struct settings_limit_rule {
	struct settings_match match;
	int64_t concurrency, rate;
	int per;
	uint64_t wait_ns, max_time_ns;
	uint64_t id; /* as a cache rule's */
};
struct settings_cache_keys { char *table; char **columns; size_t ncolumns; };

struct settings {
	struct {
		struct settings_addr *mysql; size_t nmysql;
		struct settings_addr http;
		struct { char *cert, *key, *ca; bool require; } tls;
		struct tls_context *tls_context; /* made of them when loaded; owned reference; NULL: no TLS for clients */
		char **proxy_protocol; size_t nproxy_protocol; /* CIDRs, validated */
		int64_t max_connections;
		uint64_t handshake_timeout_ns, idle_timeout_ns;
	} listen;
	int64_t threads;                /* 0 = auto */
	int send_together; /* enum settings_send */
	uint64_t drain_timeout_ns;
	uint64_t upgrade_timeout_ns;
	bool log_json;
	struct secret *admin_token;     /* NULL: none, as with the URLs below */
	struct { struct secret *source; char *copy; } config;
	struct settings_addr primary;
	struct settings_replica *replicas; size_t nreplicas;
	bool discovery_aurora;
	struct {
		struct { int mode; char *ca; } tls; /* enum tls_mode */
		struct tls_context *tls_context; /* made of it when loaded; owned reference; NULL: disabled */
		int compress;           /* enum settings_compress */
		uint64_t connect_timeout_ns;
		struct { int64_t max, min_idle; uint64_t idle_timeout_ns, max_age_ns; } pool;
		struct { char *user; struct secret *password; uint64_t interval_ns, max_lag_ns; } monitor;
		uint64_t failover_hold_ns;
		char *aurora_host;      /* empty: settings_aurora_host derives it */
	} backend;
	struct settings_user *users; size_t nusers;
	bool passthrough;               /* some entry of users says so, or users: passthrough */
	struct {
		int consistency;
		struct settings_route_rule *rules; size_t nrules;
		bool denies;            /* some rule of it does */
		bool patterns;          /* ... and whether one does hangs on a pattern, or what a rule of limits holds back does */
	} routing;
	struct {
		uint64_t memory;
		struct secret *redis;
		uint64_t max_result, stale_if_error_ns;
		bool binlog;
		struct settings_cache_keys *keys; size_t nkeys;
		struct settings_cache_rule *rules; size_t nrules;
	} cache;
	struct {
		char *dir;
		int engine;             /* enum settings_engine */
		struct secret *url;
		uint64_t sync_ns;       /* 0 = always */
		uint64_t max_bytes;
		bool full_is_error;
		struct { char *name; struct secret *password; } user;
		struct { int64_t workers, batch_rows; uint64_t batch_wait_ns; int64_t rate; } drain;
		struct settings_queue_rule *rules; size_t nrules;
	} queue;
	struct {
		struct settings_limit_rule *rules; size_t nrules;
	} limits;
	struct {
		uint64_t slow_ns;
		char *slow_log;
		int64_t digests;
		bool samples;
		struct { int64_t repeats; uint64_t window_ns; } nplus1;
		bool explain;
		char *snapshot;         /* empty: where there is a place for it; "off": nowhere */
		double cost_per_hour;
		struct { char *url; double share; } otlp;
		struct { uint64_t every_ns; char *name_space, *instance; } emf;
	} stats;
	struct cidr *proxy_networks;    /* listen.proxy_protocol, parsed; owned */
	int refs;                       /* atomic; settings_ref, settings_unref */
	char *file;                     /* where it came from, or NULL; owned */
	char *shared;                   /* the options that a document of config.source has set, one a line; NULL: there was none; owned */
};

/* What instances share, to be laid over a host's own file (conf_overlay). */
struct settings_shared { const char *origin; struct span text; };

/* Loads file (NULL: defaults), lays shared (NULL: nothing) over it, then applies command-line overrides (primary "host:port" or NULL). Every fault goes to faults, one a line
 * "FILE:LINE: key.path: what is wrong, what is allowed". NULL if there was any. */
struct settings *settings_load_shared(const char *file, const struct settings_shared *shared, const char *primary,
				      struct iobuf *faults) must_check;
struct settings *settings_load(const char *file, const char *primary, struct iobuf *faults) must_check; /* without */
struct settings *settings_parse(const char *yaml, size_t len, const char *name, const char *primary, struct iobuf *faults) must_check; /* the same from memory (tests, fuzzing) */
struct settings *settings_ref(struct settings *s);
/* Is a queue opened at the start? Where there are rules for it; and where config.source may bring some, if queue.user says that this host
 * is to have one. */
bool settings_wants_queue(const struct settings *s);
void settings_unref(struct settings *s);
enum rc settings_print(const struct settings *s, struct iobuf *out) must_check;      /* effective config as YAML, secrets masked */
/* A line a rule of the cache that can never match ("warning: ..."), appended to out. RC_ERROR: no memory. */
enum rc settings_warnings(const struct settings *s, struct iobuf *out) must_check;
enum rc settings_print_json(const struct settings *s, struct iobuf *out) must_check; /* the same as JSON */
enum rc settings_manpage(struct iobuf *out) must_check; /* the same in man(7): what suimon.yaml(5) is made of */
enum rc settings_manual(struct iobuf *out) must_check; /* the option table as Markdown: docs/configuration.md's reference section is made of it, and a test compares */
/* config.source cut in two: Redis' own URL, and the key in it; both the caller's to secret_wipe and mem_free. RC_DECLINED: it is none;
 * RC_ERROR: no memory. */
enum rc settings_source_split(const char *source, char **url, char **key) must_check;
/* With discovery: aurora, the host names of the cluster's servers: their identifier stands for the ?. RC_DECLINED: it cannot
 * be known from primary; RC_ERROR: too long. */
enum rc settings_aurora_host(const struct settings *s, char *out, size_t cap) must_check;
/* A group of replicas as a number from 1 on; 0: there is none of that name. Stays what it is for as long as replicas does. */
unsigned settings_group(const struct settings *s, struct span name) must_check;
/* Which options differ that a reload may not change: a line each to out. RC_OK with out empty: none. */
enum rc settings_reload_check(const struct settings *now, const struct settings *next, struct iobuf *out) must_check;

#endif
