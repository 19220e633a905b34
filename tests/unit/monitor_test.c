/*
 * monitor_test.c - what the monitor finds out about a primary and its replica, and how soon (R4, F1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "log.h"
#include "monitor.h"
#include "server_kit.h"

static struct server primary, replica;
static struct settings *settings;
static struct topology *topology;
static struct accounts *accounts;
static struct stats *stats;
static struct monitor *monitor;
static _Atomic int told;
static _Atomic uint64_t primary_seq, primary_asked_ns;

static struct backend *first(void)
{
	return topology->all[0];
}
static struct backend *second(void)
{
	return topology->all[1];
}

static void on_primary(void *arg, struct backend *now)
{
	assert_ptr_equal(now, first());
	atomic_fetch_add(&told, 1);
}

static void on_primary_at(void *arg, const struct gtid_pos *pos, uint64_t asked_ns)
{
	assert_int_equal(pos->n, 1);
	primary_seq = pos->at[0].seq;
	primary_asked_ns = asked_ns;
}

/* who: the monitor's account, "" for none. */
static struct settings *make_settings(const char *who, const char *password)
{
	char yaml[512];
	struct iobuf faults;
	struct settings *s;

	snprintf(yaml, sizeof(yaml),
		 "primary: 127.0.0.1:%u\nreplicas: [\"127.0.0.1:%u\"]\n"
		 "backend: {connect_timeout: 400ms, monitor: {user: \"%s\", password: \"%s\", interval: 50ms, max_lag: "
		 "1s}}\n",
		 primary.port, replica.port, who, password);
	iobuf_init(&faults, 0);
	s = settings_parse(yaml, strlen(yaml), "test", NULL, &faults);
	if (!s)
		fail_msg("%.*s", (int)iobuf_len(&faults), (const char *)iobuf_data(&faults));
	iobuf_reset(&faults);
	return s;
}

static void start(const char *who, const char *password)
{
	struct stats_options opt = {.digests = 100};
	struct monitor_hooks hooks = {.primary_changed = on_primary, .primary_at = on_primary_at};

	settings = make_settings(who, password);
	topology = topology_new(settings);
	accounts = accounts_new(settings);
	stats = stats_new(&opt);
	assert_true(topology && accounts && stats);
	told = 0;
	monitor = monitor_new(topology, accounts, stats, settings, &hooks);
	assert_non_null(monitor);
	assert_int_equal(monitor_start(monitor), RC_OK);
}

static int stop(void **state)
{
	if (monitor) {
		monitor_stop(monitor);
		monitor_free(monitor);
		stats_free(stats);
		accounts_free(accounts);
		topology_free(topology);
		settings_unref(settings);
		monitor = NULL;
	}
	return 0;
}

/* How long a test waits for what must come; a machine may be busy. */
#define PATIENCE_MS 15000

static bool in_state(struct backend *b, enum backend_state want)
{
	uint64_t end = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;

	while (backend_state(b) != want && clock_mono_ns() < end)
		usleep(5000);
	if (backend_state(b) != want)
		print_error("%s is %s: %s\n", b->text, backend_state_name(backend_state(b)), b->problem);
	return backend_state(b) == want;
}

/* A state is there before it is told. */
static bool told_times(int least)
{
	for (int i = 0; i < PATIENCE_MS / 5 && told < least; i++)
		usleep(5000);
	return told >= least;
}

static void check_times(unsigned n)
{
	uint64_t from = stats_sum(stats, STATS_C_MONITOR_CHECKS);

	for (int i = 0; i < PATIENCE_MS / 5 && stats_sum(stats, STATS_C_MONITOR_CHECKS) < from + n; i++)
		usleep(5000);
	assert_true(stats_sum(stats, STATS_C_MONITOR_CHECKS) >= from + n);
}

static bool caught_up(void)
{
	struct gtid_pos wanted;
	bool yes = false;

	assert_int_equal(gtid_parse(span_str(server_value(&primary, "SELECT @@gtid_binlog_pos")), &wanted), RC_OK);
	assert_false(gtid_empty(&wanted));
	for (unsigned i = 0; i < PATIENCE_MS / 5 && !yes; i++) {
		yes = backend_has_position(first(), &wanted, 0) && backend_has_position(second(), &wanted, 0);
		usleep(5000);
	}
	return yes;
}

/* ---- tests ---- */

static void an_account_sees_state_lag_position_and_identity(void **state)
{
	struct backend_identity id;

	start("mon", "mon");
	assert_true(in_state(first(), BACKEND_UP));
	assert_true(in_state(second(), BACKEND_UP));
	assert_true(backend_identity(first(), &id));
	assert_int_equal(strncmp(id.version, "5.5.5-", 6), 0);
	assert_non_null(strstr(id.version, server_value(&primary, "SELECT @@version")));
	assert_true(id.mariadb);
	server_sql(&primary, "INSERT INTO shop.t VALUES (NULL)");
	assert_true(caught_up());
	assert_int_equal(first()->lag_ns, 0);
	assert_true(second()->lag_ns < NS_PER_SEC);
	assert_true(first()->latency_ns > 0);
	assert_int_equal(stats_sum(stats, STATS_C_MONITOR_FAILURES), 0);
	assert_int_equal(told, 1);
	assert_ptr_equal(topology_replica(topology, NULL), second());
}

/* What bounds writes of unknown position: every answer is at least as new as its question (C2). */
static void the_primarys_position_is_told_with_the_time_it_was_asked(void **state)
{
	uint64_t before;
	struct gtid_pos wanted;

	start("mon", "mon");
	server_sql(&primary, "INSERT INTO shop.t VALUES (NULL)");
	before = clock_mono_ns();
	assert_int_equal(gtid_parse(span_str(server_value(&primary, "SELECT @@gtid_binlog_pos")), &wanted), RC_OK);
	for (int i = 0; i < 400 && primary_asked_ns < before; i++)
		usleep(5000);
	assert_true(primary_asked_ns >= before);
	assert_true(primary_seq >= wanted.at[0].seq);
}

/* Connections that never log in would have the server block this host. */
static void without_an_account_the_greeting_is_read_once(void **state)
{
	struct backend_identity id;
	unsigned long before =
		server_number(&primary, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE "
					"VARIABLE_NAME='CONNECTIONS'");
	unsigned long after;

	start("", "");
	assert_true(in_state(first(), BACKEND_UP));
	assert_true(backend_identity(first(), &id));
	usleep(400000);
	after = server_number(&primary, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE "
					"VARIABLE_NAME='CONNECTIONS'");
	assert_int_equal(after - before, 1);
	assert_int_equal(backend_state(second()), BACKEND_UNKNOWN);
}

static void an_account_a_client_has_proven_is_enough(void **state)
{
	struct account *a = account_new(span_str("app"), span_str("app"));

	assert_non_null(a);
	start("", "");
	assert_true(in_state(first(), BACKEND_UP));
	accounts_learn(accounts, a, true);
	account_unref(a);
	assert_true(in_state(second(), BACKEND_UP));
	server_sql(&primary, "INSERT INTO shop.t VALUES (NULL)");
	assert_true(caught_up());
}

static void a_refused_account_means_the_server_is_there(void **state)
{
	start("mon", "wrong");
	assert_true(in_state(first(), BACKEND_UP));
	assert_true(in_state(second(), BACKEND_UP));
	assert_non_null(strstr(second()->problem, "Access denied"));
	assert_int_equal(second()->lag_ns, BACKEND_LAG_UNKNOWN);
}

static void a_new_account_is_taken_at_reload(void **state)
{
	struct settings *s;

	start("mon", "wrong");
	assert_true(in_state(second(), BACKEND_UP));
	s = make_settings("mon", "mon");
	monitor_reconfigure(monitor, s);
	settings_unref(s);
	assert_true(caught_up());
}

static void stopped_replication_takes_the_replica_out(void **state)
{
	start("mon", "mon");
	assert_true(in_state(second(), BACKEND_UP));
	server_sql(&replica, "STOP SLAVE SQL_THREAD");
	assert_true(in_state(second(), BACKEND_LAGGING));
	assert_null(topology_replica(topology, NULL));
	server_sql(&replica, "START SLAVE");
	assert_true(in_state(second(), BACKEND_UP));
	server_sql(&replica, "STOP SLAVE IO_THREAD");
	assert_true(in_state(second(), BACKEND_LAGGING));
	server_sql(&replica, "START SLAVE");
	assert_true(in_state(second(), BACKEND_UP));
}

static void delay(int seconds)
{
	char sql[64];

	server_sql(&replica, "STOP SLAVE");
	snprintf(sql, sizeof(sql), "CHANGE MASTER TO MASTER_DELAY=%d", seconds);
	server_sql(&replica, sql);
	server_sql(&replica, "START SLAVE");
}

static void lag_beyond_the_limit_takes_the_replica_out(void **state)
{
	delay(60);
	start("mon", "mon");
	assert_true(in_state(second(), BACKEND_UP));
	server_sql(&primary, "INSERT INTO shop.t VALUES (NULL)");
	assert_true(in_state(second(), BACKEND_LAGGING));
	assert_true(second()->lag_ns > NS_PER_SEC);
	delay(0);
	assert_true(in_state(second(), BACKEND_UP));
}

static void an_account_without_privileges_measures_lag_by_position(void **state)
{
	start("app", "app");
	assert_true(in_state(second(), BACKEND_UP));
	server_sql(&primary, "INSERT INTO shop.t VALUES (NULL)");
	assert_true(caught_up());
	check_times(4);
	assert_int_equal(second()->lag_ns, 0);
	server_sql(&replica, "STOP SLAVE");
	server_sql(&primary, "INSERT INTO shop.t VALUES (NULL)");
	assert_true(in_state(second(), BACKEND_LAGGING));
	server_sql(&replica, "START SLAVE");
	assert_true(in_state(second(), BACKEND_UP));
}

static unsigned long monitors_connection(void)
{
	unsigned long id = 0;

	for (int i = 0; i < PATIENCE_MS / 5 && id == 0; i++) {
		id = server_number(&primary, "SELECT max(id) FROM information_schema.processlist WHERE user='mon'");
		if (id == 0)
			usleep(5000);
	}
	assert_true(id > 0);
	return id;
}

static void a_closed_connection_is_not_a_dead_server(void **state)
{
	unsigned long id;
	char sql[64];

	start("mon", "mon");
	assert_true(in_state(first(), BACKEND_UP));
	check_times(4);
	for (int i = 0; i < 5; i++) {
		id = monitors_connection();
		snprintf(sql, sizeof(sql), "KILL %lu", id);
		server_sql(&primary, sql);
		check_times(4);
	}
	assert_int_equal(stats_sum(stats, STATS_C_MONITOR_FAILURES), 0);
}

static void a_dead_replica_is_down_and_comes_back(void **state)
{
	start("mon", "mon");
	assert_true(in_state(second(), BACKEND_UP));
	server_kill(&replica);
	assert_true(in_state(second(), BACKEND_DOWN));
	assert_true(stats_sum(stats, STATS_C_MONITOR_FAILURES) > 0);
	server_restart(&replica);
	assert_true(in_state(second(), BACKEND_UP));
}

static void a_server_that_hangs_is_down_in_time_and_a_stop_does_not_wait_for_it(void **state)
{
	uint64_t start_ns;

	start("mon", "mon");
	assert_true(in_state(first(), BACKEND_UP));
	kill(primary.pid, SIGSTOP);
	assert_true(in_state(first(), BACKEND_DOWN));
	assert_int_equal(backend_state(second()), BACKEND_UP); /* reads go on */
	assert_true(told_times(2));
	usleep(50000);
	start_ns = clock_mono_ns();
	monitor_stop(monitor);
	kill(primary.pid, SIGCONT);
	assert_true(clock_mono_ns() - start_ns < 300 * NS_PER_MS);
}

static void reads_go_on_when_the_primary_is_lost(void **state)
{
	start("mon", "mon");
	assert_true(in_state(second(), BACKEND_UP));
	server_kill(&primary);
	assert_true(in_state(first(), BACKEND_DOWN));
	for (int i = 0;
	     i < 100 && strcmp(server_value(&replica, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
						      "WHERE VARIABLE_NAME='SLAVES_RUNNING'"),
			       "0") == 0;
	     i++)
		usleep(20000);
	check_times(10);
	usleep(1200000); /* longer than max_lag */
	assert_int_equal(backend_state(second()), BACKEND_UP);
	server_restart(&primary);
	assert_true(in_state(first(), BACKEND_UP));
	assert_true(told_times(3));
}

static void an_operators_word_stands(void **state)
{
	start("mon", "mon");
	assert_true(in_state(second(), BACKEND_UP));
	backend_set_state(second(), BACKEND_DISABLED, "a test");
	check_times(6);
	assert_int_equal(backend_state(second()), BACKEND_DISABLED);
	backend_set_state(second(), BACKEND_UNKNOWN, "a test");
	assert_true(in_state(second(), BACKEND_UP));
}

static int servers_up(void **state)
{
	if (!server_have())
		return 0;
	server_start(&primary, 1, NULL);
	server_sql(&primary, "CREATE USER repl@'127.0.0.1' IDENTIFIED BY 'repl'");
	server_sql(&primary, "GRANT REPLICATION SLAVE ON *.* TO repl@'127.0.0.1'");
	server_sql(&primary, "CREATE USER mon@'127.0.0.1' IDENTIFIED BY 'mon'");
	server_sql(&primary, "GRANT REPLICA MONITOR ON *.* TO mon@'127.0.0.1'");
	server_sql(&primary, "CREATE DATABASE shop");
	server_sql(&primary, "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'");
	server_sql(&primary, "GRANT ALL ON shop.* TO app@'127.0.0.1'");
	server_sql(&primary, "CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY)");
	server_start(&replica, 2, "--read-only");
	server_replicate(&replica, &primary);
	return 0;
}

static int servers_down(void **state)
{
	server_remove(&replica);
	server_remove(&primary);
	return 0;
}

int main(void)
{
#define WITH_SERVERS(f) cmocka_unit_test_teardown(f, stop)
	const struct CMUnitTest tests[] = {
		WITH_SERVERS(an_account_sees_state_lag_position_and_identity),
		WITH_SERVERS(the_primarys_position_is_told_with_the_time_it_was_asked),
		WITH_SERVERS(without_an_account_the_greeting_is_read_once),
		WITH_SERVERS(an_account_a_client_has_proven_is_enough),
		WITH_SERVERS(a_refused_account_means_the_server_is_there),
		WITH_SERVERS(a_new_account_is_taken_at_reload),
		WITH_SERVERS(stopped_replication_takes_the_replica_out),
		WITH_SERVERS(lag_beyond_the_limit_takes_the_replica_out),
		WITH_SERVERS(an_account_without_privileges_measures_lag_by_position),
		WITH_SERVERS(a_closed_connection_is_not_a_dead_server),
		WITH_SERVERS(a_dead_replica_is_down_and_comes_back),
		WITH_SERVERS(a_server_that_hangs_is_down_in_time_and_a_stop_does_not_wait_for_it),
		WITH_SERVERS(reads_go_on_when_the_primary_is_lost),
		WITH_SERVERS(an_operators_word_stands),
	};

	log_setup(LOG_LEVEL_ERROR, false);
	if (!server_have()) {
		print_message("no MariaDB server is installed\n");
		return 77; /* skipped */
	}
	return cmocka_run_group_tests(tests, servers_up, servers_down);
}
