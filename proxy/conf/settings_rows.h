/*
 * settings_rows.h - what the files of the settings share: the table, and the values that are more than a scalar.
 */
#ifndef SUIMON_SETTINGS_ROWS_H
#define SUIMON_SETTINGS_ROWS_H

#include "conf.h"
#include "settings.h"

#define ADDR_UNIT "host:port, [ipv6]:port or unix:/path"
#define TCP_UNIT "host:port or [ipv6]:port"

extern const struct conf_table settings_table;

/* settings_addr.c */
enum rc settings_addr_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o,
			    void *at) must_check;
enum rc settings_addr_parse_tcp(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o,
				void *at) must_check;
void settings_addr_print(struct conf_sink *s, const struct conf_opt *o, const void *at);
void settings_addr_drop(void *at);
enum rc settings_replica_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o,
			       void *at) must_check;
void settings_replica_print(struct conf_sink *s, const struct conf_opt *o, const void *at);
void settings_replica_drop(void *at);
extern const struct conf_table settings_replica_table;

/* settings_target.c: `at` is settings_route_rule.to */
enum rc settings_target_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at) must_check;
void settings_target_print(struct conf_sink *s, const struct conf_opt *o, const void *at);
void settings_target_drop(void *at);
const char *settings_target_check_group(const char *text);
void settings_target_check(struct conf_ctx *c, const struct settings *s); /* rules name groups that are there */
const char *settings_addr_check_cidr(const char *text);
const char *settings_addr_check_redis(const char *text);
const char *settings_addr_check_redis_cache(const char *text); /* with ?name= */
const char *settings_source_check(const char *text); /* settings_source.c */
const char *settings_addr_check_collector(const char *text);
const char *settings_addr_check_kafka_queue(const char *text);
const char *settings_addr_check_sqs_queue(const char *text);
const char *settings_addr_check_redis_queue(const char *text); /* with the queue's own options behind ? */

/* settings_users.c: `at` is settings.users */
enum rc settings_users_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o,
			     void *at) must_check;
void settings_users_print(struct conf_sink *s, const struct conf_opt *o, const void *at);
void settings_users_drop(void *at);
extern const struct conf_table settings_users_table;

/* settings_keys.c: `at` is settings.cache.keys */
enum rc settings_keys_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o,
			    void *at) must_check;
void settings_keys_print(struct conf_sink *s, const struct conf_opt *o, const void *at);
void settings_keys_drop(void *at);
const char *settings_keys_check_table(const char *text); /* "table" or "schema.table" */

/* settings_match.c */
extern const struct conf_table settings_match_table;
bool settings_match_empty(const struct settings_match *m);
uint64_t settings_match_id(const struct settings_match *m); /* the same for the same match, while the process lives */


/* settings_check.c: names that CloudWatch takes */
const char *settings_check_namespace(const char *text);
const char *settings_check_dimension(const char *text); /* or empty: none */

/* settings_check.c: what no single row can tell; faults go to the run. */
void settings_check(struct conf_ctx *c, const struct settings *s);

/* settings_tls.c: reads the files of both sections `tls` into contexts; what is wrong with one is a fault of its key. */
void settings_tls_load(struct conf_ctx *c, struct settings *s);

#endif
