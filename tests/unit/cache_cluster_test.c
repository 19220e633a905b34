/*
 * Redis by TLS, values compressed on their way, and a Redis Cluster of three primaries and a replica: slots, MOVED, ASK and
 * failover. Needs redis-server, redis-cli and openssl.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache_testing.h"
#include "clock.h"
#include "rkey.h"
#include "span.h"

#define TAG UINT64_C(400)
#define SLOW 60000 /* ms; a limit, not a wait */
#define MEMORY PAIR_MEMORY

static struct instance a, b;

static bool missed_and_filled(struct instance *i, const char *key, const char *data)
{
	struct read r;

	return !read_get(i, &r, key, TAG) && r.l.tokens_known && read_fill(i, &r, data) == CACHE_STORED;
}

/* One fills, the other finds it in Redis; a write through one is seen through the other. */
static void share(const char *key)
{
	uint64_t before = instance_count(&b, STATS_C_CACHE_HITS_REDIS);
	struct read r;

	instance_invalidate(&a, TAG, NULL); /* whatever came before */
	assert_true(WITHIN(SLOW, cache_settled(a.cache)));
	assert_true(WITHIN(SLOW, missed_and_filled(&a, key, "shared")));
	assert_true(WITHIN(SLOW, read_get(&b, &r, key, TAG)));
	assert_string_equal(r.data, "shared");
	assert_true(instance_count(&b, STATS_C_CACHE_HITS_REDIS) > before);
	instance_invalidate(&a, TAG, NULL);
	assert_true(WITHIN(SLOW, !read_get(&b, &r, key, TAG)));
	assert_true(WITHIN(SLOW, cache_settled(a.cache)));
	assert_false(read_get(&a, &r, key, TAG));
}

/* ---- TLS ---- */

static char cert[64], key_file[64], dir[] = "/tmp/suimon-certs-XXXXXX";

static void make_certificate(void)
{
	char command[512];

	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key_file, sizeof(key_file), "%s/key.pem", dir);
	snprintf(command, sizeof(command),
		 "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout %s -out %s -days 3650 "
		 "-subj /CN=redis -addext subjectAltName=IP:127.0.0.1 2>/dev/null", key_file, cert);
	assert_int_equal(system(command), 0);
}

static void test_redis_by_tls(void **state)
{
	struct instance c = {0};
	char port[16], url[160];
	unsigned secure = free_port();
	struct server s = {.extra = {"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key_file, "--tls-auth-clients",
				     "no"}};

	make_certificate();
	snprintf(port, sizeof(port), "%u", secure);
	server_start(&s);
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%u/0?ca=%s", secure, cert);
	instance_start(&a, url, MEMORY);
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%u?verify=none", secure);
	instance_start(&b, url, MEMORY);
	assert_true(instance_wait_live(&a, true, SLOW));
	assert_true(instance_wait_live(&b, true, SLOW));
	share("k");
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%u", secure); /* nobody that the system knows has signed it */
	instance_start(&c, url, MEMORY);
	assert_true(WITHIN(SLOW, instance_count(&c, STATS_C_CACHE_REDIS_ERRORS) >= 2));
	assert_false(instance_live(&c));
	instance_stop(&c);
	server_stop(&s, SIGKILL);
	assert_true(instance_wait_live(&a, false, SLOW));
	server_start(&s);
	assert_true(instance_wait_live(&a, true, SLOW));
	assert_true(instance_wait_live(&b, true, SLOW));
	share("k");
	instance_stop(&a);
	instance_stop(&b);
	server_remove(&s);
	unlink(cert);
	unlink(key_file);
	rmdir(dir);
}

/* ---- a cluster ---- */

#define NODES 4 /* the last one a replica */

static struct server node[NODES];
static char bus_port[NODES][16];

static bool all_agree(void)
{
	for (unsigned i = 0; i < NODES; i++) {
		if (!strstr(server_cli(&node[i], "CLUSTER INFO"), "cluster_state:ok") ||
		    !strstr(server_cli(&node[i], "CLUSTER INFO"), "cluster_known_nodes:4"))
			return false;
	}
	return true;
}

static const char *id_of(unsigned i)
{
	static char id[64];

	snprintf(id, sizeof(id), "%s", server_cli(&node[i], "CLUSTER MYID"));
	return id;
}

static unsigned slot_of(const char *name)
{
	struct rkeys k;

	assert_int_equal(rkeys_init(&k, span_str(name)), RC_OK);
	return k.cluster_slot;
}

static unsigned our_slot(void)
{
	return slot_of("");
}

static unsigned owner(void)
{
	return our_slot() / 5462;
}

static void cluster_start(void)
{
	for (unsigned i = 0; i < NODES; i++) {
		snprintf(bus_port[i], sizeof(bus_port[i]), "%u", free_port());
		/* On a busy machine a replica may have heard of its primary so long ago that by default it would not stand for election. */
		node[i] = (struct server){.extra = {"--cluster-enabled", "yes", "--cluster-node-timeout", "3000", "--cluster-port",
						    bus_port[i], "--cluster-replica-validity-factor", "0"}};
		server_start(&node[i]);
	}
	for (unsigned i = 1; i < NODES; i++)
		assert_string_equal(server_cli(&node[i], "CLUSTER MEET 127.0.0.1 %u %s", node[0].port, bus_port[0]), "OK");
	for (unsigned i = 0; i < 3; i++)
		server_cli(&node[i], "CLUSTER ADDSLOTSRANGE %u %u", i * 5462, i == 2 ? 16383 : i * 5462 + 5461);
	assert_true(WITHIN(SLOW, all_agree()));
	assert_true(WITHIN(SLOW, strcmp(server_cli(&node[3], "CLUSTER REPLICATE %s", id_of(owner())), "OK") == 0));
	assert_true(WITHIN(SLOW, strstr(server_cli(&node[3], "INFO replication"), "master_link_status:up")));
	assert_true(WITHIN(SLOW, all_agree()));
}

static void start_both(void)
{
	char url[160];

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	snprintf(url, sizeof(url), "redis+cluster://127.0.0.1:%u,127.0.0.1:%u", node[0].port, node[1].port);
	instance_start(&a, url, MEMORY);
	snprintf(url, sizeof(url), "redis+cluster://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u", node[2].port, node[3].port, node[1].port);
	instance_start(&b, url, MEMORY);
	assert_true(instance_wait_live(&a, true, SLOW));
	assert_true(instance_wait_live(&b, true, SLOW));
}

static bool moved_away(unsigned from, unsigned to)
{
	char keys[4096], *at = keys, *line;

	snprintf(keys, sizeof(keys), "%s", server_cli(&node[from], "CLUSTER GETKEYSINSLOT %u 100", our_slot()));
	while ((line = strsep(&at, "\n")))
		if (*line)
			server_cli(&node[from], "MIGRATE 127.0.0.1 %u '%s' 0 5000", node[to].port, line);
	return strcmp(server_cli(&node[from], "CLUSTER COUNTKEYSINSLOT %u", our_slot()), "0") == 0;
}

/* The slot of our keys moves: ASK while it does, MOVED from then on. */
static void move_slot(unsigned from, unsigned to)
{
	unsigned slot = our_slot();

	server_cli(&node[to], "CLUSTER SETSLOT %u IMPORTING %s", slot, id_of(from));
	server_cli(&node[from], "CLUSTER SETSLOT %u MIGRATING %s", slot, id_of(to));
	assert_true(WITHIN(SLOW, moved_away(from, to)));
	assert_true(instance_wait_live(&a, false, SLOW)); /* its next heartbeat is answered ASK */
	assert_true(instance_wait_live(&b, false, SLOW));
	server_cli(&node[to], "CLUSTER SETSLOT %u NODE %s", slot, id_of(to));
	server_cli(&node[from], "CLUSTER SETSLOT %u NODE %s", slot, id_of(to));
}

/* Whether it answers for the slot of our keys; another node, and a replica too, says MOVED. Whether a key is there is not asked: an
 * outage takes the tokens away, and only the next fill makes new ones. */
static bool owns(unsigned i)
{
	const char *there = server_cli(&node[i], "EXISTS {suimon:2}:t:all");

	return strcmp(there, "0") == 0 || strcmp(there, "1") == 0;
}

static void cluster_stop(void)
{
	instance_stop(&a);
	instance_stop(&b);
	for (unsigned i = 0; i < NODES; i++)
		server_remove(&node[i]);
	memset(node, 0, sizeof(node));
}

static void freeze(unsigned i, bool frozen)
{
	assert_int_equal(kill(node[i].pid, frozen ? SIGSTOP : SIGCONT), 0);
}

/* The replica has what was written until now. (WAIT would be of writes of its own connection alone; and SCAN names no key, so the replica answers.) */
static bool heard_all(unsigned from)
{
	static const char mark[] = "{suimon:2}:last";

	assert_string_equal(server_cli(&node[from], "SET %s 1", mark), "OK");
	return WITHIN(SLOW, strstr(server_cli(&node[3], "SCAN 0 COUNT 10000"), mark));
}

/* What the replica has not heard of: its link is cut while it is frozen, and cannot be made again before the owner is frozen too. */
static void write_that_is_lost(unsigned from)
{
	freeze(3, true);
	server_cli(&node[from], "CLIENT KILL TYPE replica");
	instance_invalidate(&a, TAG, NULL);
	assert_true(WITHIN(SLOW, cache_settled(a.cache)));
	freeze(from, true);
	freeze(3, false);
}

/*
 * The owner hangs, its replica takes over without the last write, the owner is back as a replica and then takes over again, the
 * same process as before: what it has now is what its replica had, with the values and tokens that the lost write had ended.
 */
static void test_a_primary_that_comes_back(void **state)
{
	unsigned from = owner();
	char run[128], before[128];
	struct read r;

	cluster_start();
	start_both();
	assert_true(WITHIN(SLOW, missed_and_filled(&a, "old", "old")));
	assert_true(WITHIN(SLOW, read_get(&b, &r, "old", TAG)));
	/* Its time is what it is fetched with, 60 s each time; it only must not end before this does. */
	assert_string_equal(server_cli(&node[from], "PEXPIRE '%s' 600000", value_name("old")), "1");
	snprintf(before, sizeof(before), "%s", server_cli(&node[from], "INFO server | grep ^run_id"));
	assert_true(heard_all(from));
	write_that_is_lost(from);
	assert_true(instance_wait_live(&a, false, SLOW));
	assert_true(WITHIN(SLOW, owns(3)));
	assert_true(instance_wait_live(&a, true, SLOW));
	assert_true(instance_wait_live(&b, true, SLOW));
	assert_false(read_get(&b, &r, "old", TAG));
	freeze(from, false);
	assert_true(WITHIN(SLOW, strstr(server_cli(&node[from], "INFO replication"), "master_link_status:up")));
	assert_true(WITHIN(SLOW, (server_cli(&node[from], "CLUSTER FAILOVER"), usleep(200000), owns(from))));
	snprintf(run, sizeof(run), "%s", server_cli(&node[from], "INFO server | grep ^run_id"));
	assert_string_equal(run, before);
	assert_true(WITHIN(SLOW, (instance_live(&b) && !read_get(&b, &r, "other", TAG + 1) && r.l.tokens_known)));
	assert_string_equal(server_cli(&node[from], "EXISTS '%s'", value_name("old")), "1");
	assert_false(read_get(&b, &r, "old", TAG));
	assert_true(r.l.tokens_known); /* it was looked for there */
	share("k");
	cluster_stop();
}

static void test_a_cluster(void **state)
{
	unsigned from = owner(), to = (from + 1) % 3;
	char slot[16];
	struct read r;

	cluster_start();
	snprintf(slot, sizeof(slot), "%u", our_slot());
	assert_string_equal(server_cli(&node[0], "CLUSTER KEYSLOT {suimon:2}:x"), slot);
	snprintf(slot, sizeof(slot), "%u", slot_of("shop"));
	assert_string_equal(server_cli(&node[0], "CLUSTER KEYSLOT {suimon:2:shop}:x"), slot);
	start_both();
	share("k");
	/* Failover: the owner dies, its replica takes over; nothing of the former run is believed. */
	assert_true(WITHIN(SLOW, missed_and_filled(&a, "old", "old")));
	server_stop(&node[from], SIGKILL);
	assert_true(instance_wait_live(&a, false, SLOW));
	assert_false(read_get(&a, &r, "old", TAG));
	assert_true(instance_wait_live(&a, true, SLOW));
	assert_true(instance_wait_live(&b, true, SLOW));
	assert_true(WITHIN(SLOW, owns(3)));
	assert_false(read_get(&b, &r, "old", TAG));
	share("k");
	/* And to another primary. */
	move_slot(3, to);
	assert_true(WITHIN(SLOW, owns(to)));
	assert_true(WITHIN(SLOW, (instance_live(&a) && instance_live(&b))));
	share("k");
	cluster_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_redis_by_tls),
		cmocka_unit_test(test_a_cluster),
		cmocka_unit_test(test_a_primary_that_comes_back),
	};

	if (!server_available()) {
		fprintf(stderr, "skipped: redis-server or redis-cli is not installed\n");
		return 77; /* meson's word for a skipped test */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
