/*
 * plan_make is pure: a table of statements and sessions, and what must come out (R1, C4, P2, P3, Q4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plan.h"

#define REPLICA 0x01
#define CACHED 0x02
#define QUEUED 0x04
#define WRITES 0x08
#define ANYTHING 0x10
#define LEAVES 0x20
#define HOLDS 0x40
#define STRAYS 0x80

enum session_kind { PLAIN, IN_TRANSACTION, NO_AUTOCOMMIT, PINNED, NO_REPLICAS, COMMITTED, READS_ONLY, SERIALIZABLE, AWAY, HELD, HELD_SERIALIZABLE, HELD_ELSEWHERE,
		    STUCK, STUCK_SERIALIZABLE, HAS_QUEUED };

#define BI 2 /* the group of the second replica (settings_group) */

struct plan_case {
	const char *sql;
	enum session_kind session;
	unsigned expect; /* of the bits above */
	unsigned pins;
};

static const struct plan_case cases[] = {
	/* R1: plain reads may go to a replica, nothing else may */
	{"select * from shop.products where id = 1", PLAIN, REPLICA | CACHED, 0},
	{"select * from shop.orders where id = 1", PLAIN, REPLICA, 0},
	{"select * from shop.orders where id = 1 for update", PLAIN, 0, 0},
	{"select * from shop.orders lock in share mode", PLAIN, 0, 0},
	{"select get_lock('x', 1)", PLAIN, 0, PIN_USER_LOCK},
	{"select * from shop.orders where id = 1", IN_TRANSACTION, 0, 0},
	{"select * from shop.orders where id = 1", NO_AUTOCOMMIT, 0, 0},
	{"select * from shop.orders where id = 1", PINNED, 0, 0},
	{"select * from shop.orders where id = 1", NO_REPLICAS, 0, 0},
	{"select last_insert_id()", PLAIN, 0, 0},
	{"select @x", PLAIN, 0, 0},
	/* C4: what is not answered from the cache */
	{"select * from shop.products where id = 1", IN_TRANSACTION, 0, 0},
	{"select * from shop.products where id = 1", NO_AUTOCOMMIT, 0, 0},
	{"select * from shop.products where id = 1", PINNED, 0, 0},
	{"select *, now() from shop.products", PLAIN, REPLICA, 0},
	{"select * from shop.products order by rand()", PLAIN, REPLICA, 0},
	/* writes, and what is known of them */
	{"update shop.products set price = 1 where id = 2", PLAIN, WRITES, 0},
	{"call shop.refill(1)", PLAIN, WRITES | ANYTHING, 0},
	{"create table shop.t (a int)", PLAIN, WRITES | ANYTHING, 0},
	{"grant select on shop.* to bob@localhost", PLAIN, WRITES | ANYTHING, 0},
	{"this is not a statement", PLAIN, WRITES | ANYTHING, PIN_UNKNOWN},
	/* P3: what pins */
	{"set @x = 1", PLAIN, 0, PIN_USER_VARIABLE},
	{"call shop.refill(@x)", PLAIN, WRITES | ANYTHING, PIN_USER_VARIABLE}, /* it may be its OUT */
	{"create temporary table shop.t (a int)", PLAIN, WRITES, PIN_TEMP_TABLE},
	{"lock tables shop.t write", PLAIN, 0, PIN_LOCK},
	{"set session transaction isolation level read committed", PLAIN, 0, 0},
	{"set transaction isolation level read committed", PLAIN, 0, PIN_NEXT_TRANSACTION},
	{"set time_zone = '+00:00'", PLAIN, 0, 0},
	{"prepare p from 'select 1'", PLAIN, 0, PIN_SQL_PREPARE},
	/* Q4: what is queued */
	{"insert into shop.access_log (path) values ('/')", PLAIN, QUEUED | WRITES, 0},
	{"insert into shop.access_log (path, at) values ('/', now())", PLAIN, QUEUED | WRITES, 0},
	{"insert into shop.access_log (path) values (uuid())", PLAIN, WRITES, 0},
	{"insert into shop.access_log (path) values (@x)", PLAIN, WRITES, 0},
	{"insert into shop.access_log (path) select path from shop.other", PLAIN, WRITES, 0},
	{"insert into shop.access_log (path) values ('/') returning id", PLAIN, WRITES, 0},
	{"insert into shop.access_log (path) values ('/')", IN_TRANSACTION, WRITES, 0},
	{"insert into shop.access_log (path) values ('/')", NO_AUTOCOMMIT, WRITES, 0},
	/* R1, P1: transactions that change nothing */
	{"start transaction read only", COMMITTED, REPLICA, 0},
	{"start transaction read only", PLAIN, 0, 0},
	{"/* suimon: replica */ start transaction read only", PLAIN, REPLICA, 0},
	{"/* suimon: primary */ start transaction read only", COMMITTED, 0, 0},
	{"/* suimon: replica */ start transaction read only", SERIALIZABLE, 0, 0},
	{"/* suimon: replica */ start transaction with consistent snapshot, read only", COMMITTED, 0, 0},
	{"/* suimon: replica */ start transaction", COMMITTED, 0, 0},
	{"/* suimon: replica */ begin", COMMITTED, 0, 0},
	{"start transaction read only", HAS_QUEUED, 0, 0},
	{"start transaction read only", NO_REPLICAS, 0, 0},
	{"start transaction read only", IN_TRANSACTION, 0, 0},
	{"begin", READS_ONLY, REPLICA, 0},
	{"start transaction read write", READS_ONLY, 0, 0},
	{"select * from shop.orders", READS_ONLY, REPLICA, 0},
	{"update shop.orders set a = 1", READS_ONLY, WRITES, 0},
	{"select * from shop.orders", AWAY, 0, 0},
	{"select found_rows()", AWAY, 0, 0},
	{"show warnings", AWAY, 0, 0},
	{"commit", AWAY, 0, 0},
	{"rollback", AWAY, 0, 0},
	{"commit and chain", AWAY, LEAVES, 0},
	{"begin", AWAY, LEAVES, 0},
	{"savepoint a", AWAY, LEAVES, 0},
	{"set @x = 1", AWAY, LEAVES, PIN_USER_VARIABLE},
	{"select * from shop.orders for update", AWAY, LEAVES, 0},
	{"select found_rows() from shop.orders for update", AWAY, LEAVES, 0},
	{"select row_count() from shop.orders into outfile '/tmp/x'", AWAY, LEAVES, 0},
	{"update shop.orders set a = 1", AWAY, LEAVES | WRITES, 0},
	{"select 1; select 2", AWAY, LEAVES, 0},
	/* what is sent to a group and reads one state is held there */
	{"/* suimon: replica=bi */ start transaction with consistent snapshot", PLAIN, REPLICA | HOLDS, 0},
	{"/* suimon: replica=bi */ start transaction /*!40100 with consistent snapshot */", PLAIN, REPLICA | HOLDS, 0},
	{"/* suimon: replica=bi */ start transaction with consistent snapshot, read only", PLAIN, REPLICA | HOLDS, 0},
	{"/* suimon: replica=bi */ start transaction read only", PLAIN, REPLICA | HOLDS, 0},
	{"/* suimon: replica=bi */ begin", PLAIN, 0, 0},
	{"/* suimon: replica=bi */ start transaction with consistent snapshot, read write", PLAIN, 0, 0},
	{"/* suimon: replica=bi */ start transaction with consistent snapshot; select 1", PLAIN, 0, 0},
	{"/* suimon: replica=bi */ start transaction with consistent snapshot", SERIALIZABLE, 0, 0},
	{"/* suimon: replica=bi */ start transaction with consistent snapshot", HAS_QUEUED, HOLDS, 0},
	{"/* suimon: replica=bi */ start transaction with consistent snapshot", IN_TRANSACTION, HOLDS, 0},
	{"start transaction with consistent snapshot", COMMITTED, 0, 0},
	{"select * from shop.orders", HELD, 0, 0},
	{"show create table shop.orders", HELD, 0, 0},
	{"savepoint a", HELD, 0, 0},
	{"rollback to savepoint a", HELD, 0, 0},
	{"release savepoint a", HELD, 0, 0},
	{"set session character_set_results = binary", HELD, 0, 0},
	{"use shop", HELD, 0, 0},
	/* what would keep the session there afterwards, and what would lock */
	{"set @x = 1", HELD, STRAYS, PIN_USER_VARIABLE},
	{"select @x := a from shop.orders", HELD, STRAYS, PIN_USER_VARIABLE},
	{"select connection_id()", HELD, STRAYS, PIN_CONNECTION_ID},
	{"/* suimon: replica=bi */ start transaction read only", HELD_SERIALIZABLE, LEAVES, 0},
	{"/* suimon: replica=bi */ start transaction read only", HELD_ELSEWHERE, HOLDS | STRAYS, 0},
	/* a session whose pins keep it on a replica */
	{"select * from shop.orders", STUCK, 0, 0},
	{"start transaction", STUCK, 0, 0},
	{"commit", STUCK, 0, 0},
	{"flush tables", STUCK, STRAYS, 0},
	{"stop slave", STUCK, STRAYS, 0},
	{"set global max_connections = 5", STUCK, STRAYS, 0},
	{"handler shop.orders open", STUCK, STRAYS, PIN_UNKNOWN},
	{"kill query 5", STUCK, STRAYS, 0},
	{"analyze table shop.orders", STUCK, STRAYS, 0},
	{"start transaction", STUCK_SERIALIZABLE, STRAYS, 0},
	{"select * from shop.orders", STUCK_SERIALIZABLE, STRAYS, 0},
	{"commit", STUCK_SERIALIZABLE, 0, 0},
	{"commit and chain", HELD, 0, 0},
	{"commit", HELD, 0, 0},
	{"begin", HELD, LEAVES, 0},
	{"/* suimon: replica=bi */ start transaction read only", HELD, HOLDS, 0},
	{"select * from shop.orders for update", HELD, STRAYS, 0},
	{"select * from shop.orders into outfile '/tmp/x'", HELD, STRAYS, 0},
	{"update shop.orders set a = 1", HELD, STRAYS | WRITES, 0},
	{"insert into shop.access_log (path) values ('/')", HELD, STRAYS | WRITES, 0},
	{"set statement max_statement_time = 1 for update shop.orders set a = 1", HELD, STRAYS | WRITES, 0},
	{"analyze update shop.orders set a = 1", HELD, STRAYS | WRITES, 0},
	{"create temporary table shop.t (a int)", HELD, STRAYS | WRITES, PIN_TEMP_TABLE},
	{"set global max_connections = 5", HELD, STRAYS, 0},
	{"lock tables shop.orders read", HELD, STRAYS, PIN_LOCK},
	{"prepare p from 'delete from shop.orders'", HELD, STRAYS, PIN_SQL_PREPARE},
	{"handler shop.orders open", HELD, STRAYS, PIN_UNKNOWN},
	{"select 1; select 2", HELD, STRAYS, 0},
	{"select shop.f()", HELD, STRAYS | WRITES | ANYTHING, 0},
	{"this is not a statement", HELD, STRAYS | WRITES | ANYTHING, PIN_UNKNOWN},
	/* hints override */
	{"/* suimon: primary */ select * from shop.orders", PLAIN, 0, 0},
	{"/* suimon: cache=5s */ select * from shop.orders", PLAIN, REPLICA | CACHED, 0},
	{"/* suimon: nocache */ select * from shop.products", PLAIN, REPLICA, 0},
	{"/* suimon: sync */ insert into shop.access_log (path) values ('/')", PLAIN, WRITES, 0},
	{"/* suimon: queue */ insert into shop.orders (a) values (1)", PLAIN, QUEUED | WRITES, 0},
	{"/* suimon: replica */ update shop.products set price = 1", PLAIN, WRITES, 0},
	/* a rule's tag is meant without sqlcommenter's encoding */
	{"select * from shop.orders /*action='show',route='%2Forders%2f%3Aid'*/", PLAIN, 0, 0},
	{"select * from shop.orders /*route='/orders/:id'*/", PLAIN, 0, 0},
	{"select * from shop.orders /*route='%2Forders%2F'*/", PLAIN, REPLICA, 0},
	{"select * from shop.orders /*route='%2Forders%2F%3Aids'*/", PLAIN, REPLICA, 0},
	{"select * from shop.orders /*route='%252Forders%2F%3Aid'*/", PLAIN, REPLICA, 0},
};

static struct plan_session session_of(enum session_kind k)
{
	bool held = k == HELD || k == HELD_SERIALIZABLE || k == HELD_ELSEWHERE, stuck = k == STUCK || k == STUCK_SERIALIZABLE;

	return (struct plan_session){
		.pins = k == PINNED ? PIN_TEMP_TABLE : stuck ? PIN_CURSOR : k == AWAY || held ? PIN_TRANSACTION : 0,
		.in_transaction = k == IN_TRANSACTION || k == AWAY || held || k == STUCK_SERIALIZABLE,
		.autocommit = k != NO_AUTOCOMMIT && k != READS_ONLY,
		.has_replicas = k != NO_REPLICAS,
		.tracked = true,
		.tracks_reads = true,
		.sees_anew = k == COMMITTED || k == READS_ONLY || k == HAS_QUEUED,
		.reads_only = k == READS_ONLY,
		.serializable = k == SERIALIZABLE || k == HELD_SERIALIZABLE || k == STUCK_SERIALIZABLE,
		.reads_away = k == AWAY || held,
		.held = k == HELD_ELSEWHERE ? BI - 1 : held ? BI : 0,
		.stuck = stuck,
		.has_queued = k == HAS_QUEUED,
	};
}

static const char *const yaml = "primary: 127.0.0.1:3306\n"
				"replicas: [127.0.0.1:3307, {addr: \"127.0.0.1:3308\", group: bi}]\n"
				"users: [{name: app, password: x}]\n"
				"routing: {rules: [{match: {tag: {route: \"/orders/:id\"}}, to: primary}]}\n"
				"cache: {rules: [{match: {table: shop.products}, ttl: 60s}]}\n"
				"queue: {user: {name: app, password: x}, rules: [{match: {table: shop.access_log, verb: insert}}]}\n";

static void every_case_plans_as_it_must(void **state)
{
	struct iobuf faults;
	struct settings *cfg;

	iobuf_init(&faults, 0);
	cfg = settings_parse(yaml, strlen(yaml), "test", NULL, &faults);
	assert_non_null(cfg);
	for (size_t i = 0; i < countof(cases); i++) {
		const struct plan_case *c = &cases[i];
		struct span text = span_str(c->sql);
		struct plan_session ss = session_of(c->session);
		struct sql_lexed lexed;
		struct sql_facts facts;
		struct plan_verdict verdict;
		struct plan p;
		unsigned got;

		sql_lex(text, 0, &lexed);
		assert_int_equal(sql_facts_parse(text, 0, &facts), RC_OK);
		plan_verdict(cfg, &(struct rule_subject){.digest = lexed.digest, .text = text, .facts = &facts,
							 .schema = span_str("shop"), .user = span_str("app"), .lexed = &lexed},
			     &verdict);
		plan_make(cfg, &verdict, &facts, &lexed, &ss, &p);
		got = (p.target == PLAN_REPLICA ? REPLICA : 0) | (p.cache ? CACHED : 0) | (p.queue ? QUEUED : 0) |
		      (p.writes ? WRITES : 0) | (p.writes_anything ? ANYTHING : 0) | (p.leaves ? LEAVES : 0) |
		      (p.holds ? HOLDS : 0) | (p.strays ? STRAYS : 0);
		if (got != c->expect || p.pins != c->pins)
			fail_msg("%s (session %d): got 0x%x pins 0x%x, expected 0x%x pins 0x%x; to primary because %s",
				 c->sql, c->session, got, p.pins, c->expect, c->pins, p.target_why);
		assert_non_null(p.target_why);
		assert_true(p.cache || p.cache_why);
		assert_true(p.queue || p.queue_why);
		sql_facts_free(&facts);
	}
	settings_unref(cfg);
	iobuf_reset(&faults);
}

static const char denying[] = "primary: 127.0.0.1:1\n"
			      "routing: {rules: [{match: {table: open}, to: primary}, {match: {table: secret}, to: deny}, {match: {schema: vault}, to: deny},"
			      " {match: {user: bob}, to: deny}, {match: {verb: truncate}, to: deny}, {match: {query: \"^frobnicate\"}, to: deny}]}\n"
			      "limits: {rules: [{match: {table: big}, concurrency: 1}]}\n";

/* What is not known of a statement may be what a rule denies or limits; what is known of it counts. */
static void what_is_not_known_may_be_denied_and_limited(void **state)
{
	static const struct { const char *text; bool denied, limited; } texts[] = {
		{"SELECT 1", false, false}, {"SELECT n FROM secret", true, false}, {"SHOW TABLES", false, false}, {"FLUSH TABLES", false, false},
		{"TRUNCATE t", true, false}, {"/*!99999 FOO */ TRUNCATE t", true, true}, {"SELECT n FROM", true, true}, {"SELECT n FROM open, ", false /* the rule before them means it */, true},
		{"BEGIN NOT ATOMIC DO 1; END", false, false}, {"x: BEGIN NOT ATOMIC DO 1; END x", false, false}, {"EXECUTE s", false, false},
		{"SELECT 1; FOO", false, false}, /* each is looked at by itself */ {"UPDATE /*!99999 ok AS */ secret SET n=1", true, true},
		{"ANALYZE TRUNCATE t", true, true}, {"FOO", true, true}, {"/*!99999 IF */ TRUNCATE TABLE t", true, true}, {"/*!99999 EXECUTE */ TRUNCATE TABLE t", true, true}, {"/*!50717 EXECUTE s */", false, false},
		{"ANALYZE DELETE FROM t", false, false}, {"ANALYZE DELETE FROM secret", true, false},
	};
	static const char only_verb[] = "primary: 127.0.0.1:1\nrouting: {rules: [{match: {verb: delete}, to: deny}]}\n";
	static const struct { const char *text; bool denied; } by_verb[] = {
		{"SELECT n FROM", false}, {"INSERT INTO", false}, {"DELETE FROM", true}, {"WITH a AS (SELECT", true}, {"SET STATEMENT a = ", true}, {"EXPLAIN (", true}, {"FOO", true},
		{"/*!99999 SELECT 1 AS */ DELETE FROM t", true}, {"SELECT /*! */ 1", false}, {"ANALYZE DELETE FROM t", true}, {"ANALYZE FORMAT=JSON SELECT 1", false}, {"EXPLAIN DELETE FROM t", false}, {"EXPLAIN ANALYZE DELETE FROM t", true},
	};
	struct settings *cfg;
	struct iobuf faults;
	struct sql_facts f;

	iobuf_init(&faults, 0);
	cfg = settings_parse(denying, strlen(denying), "test", NULL, &faults);
	assert_non_null(cfg);
	for (size_t i = 0; i < countof(texts); i++) {
		struct plan_verdict v;

		assert_int_equal(sql_facts_parse(span_str(texts[i].text), 0, &f), RC_OK);
		plan_verdict(cfg, &(struct rule_subject){.text = span_str(texts[i].text), .facts = &f, .schema = span_str("shop"), .user = span_str("app")}, &v);
		if ((v.route && v.route->to == TO_DENY) != texts[i].denied || (v.limit != NULL) != texts[i].limited)
			fail_msg("%s: denied %d limited %d", texts[i].text, v.route && v.route->to == TO_DENY, v.limit != NULL);
		sql_facts_free(&f);
	}
	settings_unref(cfg);
	cfg = settings_parse(only_verb, strlen(only_verb), "test", NULL, &faults);
	assert_non_null(cfg);
	for (size_t i = 0; i < countof(by_verb); i++) {
		struct plan_verdict v;

		assert_int_equal(sql_facts_parse(span_str(by_verb[i].text), 0, &f), RC_OK);
		plan_verdict(cfg, &(struct rule_subject){.text = span_str(by_verb[i].text), .facts = &f, .user = span_str("app")}, &v);
		if ((v.route != NULL) != by_verb[i].denied)
			fail_msg("%s: denied %d", by_verb[i].text, v.route != NULL);
		sql_facts_free(&f);
	}
	settings_unref(cfg);
	iobuf_reset(&faults);
}

static const char patterns[] = "primary: 127.0.0.1:1\n"
			       "routing: {rules: [{match: {query: \"(a+)+b\"}, to: primary}, {match: {query: \"(a+)+c\"}, to: deny}]}\n"
			       "cache: {rules: [{match: {query: \"(a+)+b\"}, ttl: 1s}]}\n"
			       "limits: {rules: [{match: {query: \"(?:.|x)*d\"}, concurrency: 1}]}\n";

static struct plan_verdict verdict_of(const struct settings *cfg, struct span text, bool cut)
{
	struct plan_verdict v;
	struct sql_facts facts;

	assert_int_equal(sql_facts_parse(span_str("select 1"), 0, &facts), RC_OK);
	plan_verdict(cfg, &(struct rule_subject){.text = text, .cut = cut, .facts = &facts, .user = span_str("app")}, &v);
	sql_facts_free(&facts);
	return v;
}

static void a_pattern_that_cannot_be_matched_forbids_and_holds_back(void **state)
{
	static char text[300000];
	struct iobuf faults;
	struct settings *cfg;
	struct plan_verdict v;

	iobuf_init(&faults, 0);
	cfg = settings_parse(patterns, strlen(patterns), "test", NULL, &faults);
	assert_non_null(cfg);
	assert_true(cfg->routing.patterns);
	memset(text, 'a', sizeof(text));
	memcpy(text + 57, "xbc", 3);
	v = verdict_of(cfg, span_of(text, 60), false); /* 2^57 ways */
	assert_ptr_equal(v.route, &cfg->routing.rules[1]);
	assert_null(v.cache);
	memset(text, ' ', sizeof(text));
	text[sizeof(text) - 1] = 'd';
	v = verdict_of(cfg, span_of(text, sizeof(text)), false); /* more than there is memory for */
	assert_null(v.route);
	assert_ptr_equal(v.limit, &cfg->limits.rules[0]);
	v = verdict_of(cfg, span_of(text, 60), false);
	assert_null(v.route);
	assert_null(v.limit);
	v = verdict_of(cfg, span_of(text, 60), true);
	assert_ptr_equal(v.route, &cfg->routing.rules[1]);
	assert_ptr_equal(v.limit, &cfg->limits.rules[0]);
	settings_unref(cfg);
	iobuf_reset(&faults);
}

/* Of many texts of one command each alone would be within its bound. */
static void patterns_have_a_time_for_all_of_a_command(void **state)
{
	static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaxbc";
	uint64_t left = 2000000, before;
	struct rule_subject s = {.text = span_str(text), .user = span_str("app"), .time_left_ns = &left};
	struct plan_verdict v;
	struct iobuf faults;
	struct settings *cfg;
	struct sql_facts facts;
	unsigned n;

	iobuf_init(&faults, 0);
	cfg = settings_parse(patterns, strlen(patterns), "test", NULL, &faults);
	assert_non_null(cfg);
	assert_int_equal(sql_facts_parse(span_str("select 1"), 0, &facts), RC_OK);
	s.facts = &facts;
	for (n = 0; left && n < 100000; n++) {
		before = left;
		plan_verdict(cfg, &s, &v);
		assert_true(left < before);
	}
	assert_true(n < 100000);
	s.text = span_str("plain");
	plan_verdict(cfg, &s, &v);
	assert_ptr_equal(v.route, &cfg->routing.rules[1]); /* it cannot be told any more */
	assert_ptr_equal(v.limit, &cfg->limits.rules[0]);
	assert_null(v.cache);
	left = RULES_TIME_NS;
	plan_verdict(cfg, &s, &v);
	assert_null(v.route);
	assert_null(v.limit);
	sql_facts_free(&facts);
	settings_unref(cfg);
	iobuf_reset(&faults);
}

/* 32 KiB, which matching has without a stack of its own, are not enough for this. */
static void a_pattern_has_memory_for_texts_of_some_length(void **state)
{
	static char text[4000];
	struct iobuf faults;
	struct settings *cfg;

	iobuf_init(&faults, 0);
	cfg = settings_parse(patterns, strlen(patterns), "test", NULL, &faults);
	assert_non_null(cfg);
	memset(text, ' ', sizeof(text));
	assert_null(verdict_of(cfg, span_of(text, sizeof(text)), false).limit);
	text[sizeof(text) - 1] = 'd';
	assert_non_null(verdict_of(cfg, span_of(text, sizeof(text)), false).limit);
	settings_unref(cfg);
	iobuf_reset(&faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_plans_as_it_must),
		cmocka_unit_test(what_is_not_known_may_be_denied_and_limited),
		cmocka_unit_test(a_pattern_that_cannot_be_matched_forbids_and_holds_back),
		cmocka_unit_test(patterns_have_a_time_for_all_of_a_command),
		cmocka_unit_test(a_pattern_has_memory_for_texts_of_some_length),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
