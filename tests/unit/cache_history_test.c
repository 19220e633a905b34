/*
 * The history test (C1, C2): threads write and read a fake database through two cache instances on one Redis, which is
 * killed and started again meanwhile. The database is a primary and a replica that applies late; a row's value is the
 * number of its last write, so every answer from the cache can be compared with what had been acknowledged when the read
 * began:
 *   - through the same instance, an answer is never older than that;
 *   - through the other one, never older than what was acknowledged more than a lease ago.
 * With the invalidation, or the replica's position, left out, violations are found: the checker works.
 *
 * SUIMON_HISTORY_MS is how long each scenario runs.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus.h"
#include "cache_testing.h"
#include "clock.h"

#define ROWS 8
#define KEYS_A_ROW 2
#define CLIENTS 8
#define WORKERS 4                    /* two an instance */
#define LOG_SIZE (1u << 22)          /* writes at most */
#define LAG_MAX_NS (30 * NS_PER_MS)  /* a replica further behind is not read from */
#define LAG_WINDOW_NS (80 * NS_PER_MS)
#define STALE_MAX_NS (BUS_LEASE_NS + NS_PER_SEC)
#define ACKS 65536                   /* acknowledgements remembered for the second check */

struct commit {
	unsigned row;
	uint64_t at;
};

/* One GTID domain; a write's number is its sequence. */
struct database {
	pthread_mutex_t lock;
	struct commit *log;      /* by number, from 1 */
	uint64_t seq;            /* the last write */
	uint64_t value[ROWS];
	uint64_t applied;        /* by the replica */
	uint64_t replica[ROWS];
};

struct scenario {
	bool invalidate, positions; /* what the caches' users do right */
	bool restarts;              /* of Redis */
	uint64_t memory;
	struct server server;
	struct instance first[2], worker[WORKERS];
	struct database db;
	_Atomic uint64_t acked[2][ROWS];   /* the largest number, an instance and row */
	_Atomic uint64_t settled[ROWS];    /* acknowledged anywhere more than STALE_MAX_NS ago */
	_Atomic uint64_t reads, hits, writes, older, stale;
	_Atomic bool stop;
};

struct client {
	struct scenario *s;
	unsigned n;
	uint64_t random;
};

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void raise_to(_Atomic uint64_t *at, uint64_t to)
{
	uint64_t old = atomic_load(at);

	while (to > old && !atomic_compare_exchange_weak(at, &old, to))
		;
}

/* ---- the database ---- */

static uint64_t db_write(struct database *db, unsigned row)
{
	uint64_t seq;

	pthread_mutex_lock(&db->lock);
	seq = ++db->seq;
	assert_true(seq < LOG_SIZE);
	db->log[seq] = (struct commit){.row = row, .at = clock_mono_ns()};
	db->value[row] = seq;
	pthread_mutex_unlock(&db->lock);
	return seq;
}

/* Up to a random point, in order. */
static void *replica_run(void *arg)
{
	struct scenario *s = arg;
	struct database *db = &s->db;
	uint64_t random = 88172645463325252;

	while (!s->stop) {
		pthread_mutex_lock(&db->lock);
		for (uint64_t to = db->applied + next_random(&random) % (db->seq - db->applied + 1); db->applied < to;) {
			db->applied++;
			db->replica[db->log[db->applied].row] = db->applied;
		}
		pthread_mutex_unlock(&db->lock);
		usleep((useconds_t)(next_random(&random) % 8000));
	}
	return NULL;
}

/* From the replica if `replica` and it is not too far behind; *applied is then what it had applied, else UINT64_MAX. */
static uint64_t db_read(struct database *db, unsigned row, bool replica, uint64_t *applied)
{
	uint64_t value;

	pthread_mutex_lock(&db->lock);
	if (db->applied < db->seq && clock_mono_ns() - db->log[db->applied + 1].at > LAG_MAX_NS)
		replica = false;
	value = replica ? db->replica[row] : db->value[row];
	*applied = replica ? db->applied : UINT64_MAX;
	pthread_mutex_unlock(&db->lock);
	return value;
}

/* ---- clients ---- */

static cache_tag tag_of(unsigned row)
{
	return 1000 + row;
}

static void client_write(struct client *c, struct instance *i, unsigned instance)
{
	struct scenario *s = c->s;
	unsigned row = (unsigned)(next_random(&c->random) % ROWS);
	uint64_t seq = db_write(&s->db, row);
	struct cache_pos pos = {.domain = 0, .seq = seq};
	cache_tag tag = tag_of(row);
	uint64_t how = next_random(&c->random) % 8;

	if (s->invalidate && how == 0)
		cache_invalidate_from(i->cache, CACHE_BY_WRITE, &tag, 1, NULL, LAG_WINDOW_NS);
	else if (s->invalidate)
		instance_invalidate(i, tag, how == 1 ? NULL : &pos);
	raise_to(&s->acked[instance][row], seq);
	s->writes++;
}

static bool may_store(const struct scenario *s, const struct cache_needs *n, uint64_t applied)
{
	if (applied == UINT64_MAX || !s->positions)
		return true;
	if (n->unknown)
		return false;
	for (unsigned i = 0; i < n->n; i++) {
		if (applied < n->pos[i].seq)
			return false;
	}
	return true;
}

static void check(struct scenario *s, const struct read *r, uint64_t acked, uint64_t settled)
{
	uint64_t value = strtoull(r->data, NULL, 10);

	s->hits++;
	if (value < acked)
		s->older++;
	if (value < settled)
		s->stale++;
}

static void client_read(struct client *c, struct instance *i, unsigned instance)
{
	struct scenario *s = c->s;
	unsigned row = (unsigned)(next_random(&c->random) % ROWS);
	uint64_t acked = s->acked[instance][row], settled = s->settled[row], applied, value;
	struct cache_needs needs;
	cache_tag tag = tag_of(row);
	char text[32];
	struct read r;

	s->reads++;
	snprintf(text, sizeof(text), "row %u, %u", row, (unsigned)(next_random(&c->random) % KEYS_A_ROW));
	if (read_get(i, &r, text, tag)) {
		check(s, &r, acked, settled);
		return;
	}
	cache_needs(i->cache, &tag, 1, &needs);
	if (next_random(&c->random) % 4 == 0)
		usleep((useconds_t)(next_random(&c->random) % 300));
	value = db_read(&s->db, row, next_random(&c->random) % 2, &applied);
	if (next_random(&c->random) % 4 == 0)
		usleep((useconds_t)(next_random(&c->random) % 1000));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	if (may_store(s, &needs, applied))
		(void)read_fill(i, &r, text);
}

static void *client_run(void *arg)
{
	struct client *c = arg;
	unsigned at = c->n % WORKERS;

	while (!c->s->stop) {
		if (next_random(&c->random) % 64 == 0)
			client_write(c, &c->s->worker[at], at % 2);
		else
			client_read(c, &c->s->worker[at], at % 2);
	}
	return NULL;
}

/* Remembers what is acknowledged now, and passes it on a lease later. */
static void *settle_run(void *arg)
{
	struct scenario *s = arg;
	struct { uint64_t at, acked[ROWS]; } *ring = calloc(ACKS, sizeof(*ring));
	size_t head = 0, tail = 0;

	assert_non_null(ring);
	for (; !s->stop; usleep(5000)) {
		ring[tail].at = clock_mono_ns();
		for (unsigned row = 0; row < ROWS; row++) {
			uint64_t a = s->acked[0][row], b = s->acked[1][row];

			ring[tail].acked[row] = a > b ? a : b;
		}
		tail = (tail + 1) % ACKS;
		for (; head != tail && clock_mono_ns() - ring[head].at > STALE_MAX_NS; head = (head + 1) % ACKS) {
			for (unsigned row = 0; row < ROWS; row++)
				raise_to(&s->settled[row], ring[head].acked[row]);
		}
	}
	free(ring);
	return NULL;
}

/* ---- scenarios ---- */

static unsigned history_ms(void)
{
	const char *ms = getenv("SUIMON_HISTORY_MS");

	return ms ? (unsigned)strtoul(ms, NULL, 10) : 2000;
}

static void open_all(struct scenario *s)
{
	char url[64];

	server_start(&s->server);
	snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", s->server.port);
	for (unsigned i = 0; i < 2; i++) {
		s->first[i].lag_window_ns = LAG_WINDOW_NS;
		instance_start(&s->first[i], url, s->memory);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		instance_join(&s->worker[i], &s->first[i % 2]);
	assert_true(instance_wait_live(&s->first[0], true, 5000));
	assert_true(instance_wait_live(&s->first[1], true, 5000));
	pthread_mutex_init(&s->db.lock, NULL);
	s->db.log = calloc(LOG_SIZE, sizeof(*s->db.log));
	assert_non_null(s->db.log);
}

static void close_all(struct scenario *s)
{
	for (unsigned i = 0; i < WORKERS; i++)
		instance_leave(&s->worker[i]);
	instance_stop(&s->first[0]);
	instance_stop(&s->first[1]);
	server_remove(&s->server);
	free(s->db.log);
	pthread_mutex_destroy(&s->db.lock);
}

static void let_run(struct scenario *s)
{
	unsigned ms = history_ms();

	for (unsigned at = 0; at < ms; at += 1000) {
		usleep(1000 * (ms - at < 1000 ? ms - at : 1000));
		if (!s->restarts)
			continue;
		server_stop(&s->server, SIGKILL);
		usleep(100000);
		server_start(&s->server);
		for (unsigned i = 0; i < 2; i++)
			assert_true(instance_wait_live(&s->first[i], true, 12000));
	}
}

static void run_scenario(struct scenario *s)
{
	struct client client[CLIENTS];
	pthread_t thread[CLIENTS], replica, settle;

	open_all(s);
	assert_int_equal(pthread_create(&replica, NULL, replica_run, s), 0);
	assert_int_equal(pthread_create(&settle, NULL, settle_run, s), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		client[i] = (struct client){.s = s, .n = i, .random = 7919 * (i + 1)};
		assert_int_equal(pthread_create(&thread[i], NULL, client_run, &client[i]), 0);
	}
	let_run(s);
	s->stop = true;
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(thread[i], NULL);
	pthread_join(replica, NULL);
	pthread_join(settle, NULL);
	print_message("%llu reads, %llu hits (%llu from Redis), %llu writes, %llu older than acknowledged, %llu stale\n",
		      (unsigned long long)s->reads, (unsigned long long)s->hits,
		      (unsigned long long)(instance_totals(&s->first[0]).hits_redis + instance_totals(&s->first[1]).hits_redis),
		      (unsigned long long)s->writes, (unsigned long long)s->older, (unsigned long long)s->stale);
	close_all(s);
}

static struct scenario *scenario_new(void)
{
	struct scenario *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->invalidate = s->positions = true;
	s->memory = UINT64_C(4) << 20;
	return s;
}

static void expect_clean(struct scenario *s)
{
	run_scenario(s);
	assert_int_equal(s->older, 0);
	assert_int_equal(s->stale, 0);
	assert_true(s->hits > 100);
	free(s);
}

static void test_no_read_is_older_than_acknowledged(void **state)
{
	expect_clean(scenario_new());
}

static void test_nor_with_redis_alone(void **state)
{
	struct scenario *s = scenario_new();

	s->memory = 0;
	expect_clean(s);
}

static void test_nor_while_redis_is_killed_and_started(void **state)
{
	struct scenario *s = scenario_new();

	s->restarts = true;
	expect_clean(s);
}

static void test_the_checker_finds_missing_invalidation(void **state)
{
	struct scenario *s = scenario_new();

	s->invalidate = false;
	run_scenario(s);
	assert_true(s->older > 0);
	free(s);
}

static void test_the_checker_finds_missing_positions(void **state)
{
	struct scenario *s = scenario_new();

	s->positions = false;
	run_scenario(s);
	assert_true(s->older > 0);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_read_is_older_than_acknowledged),
		cmocka_unit_test(test_nor_with_redis_alone),
		cmocka_unit_test(test_nor_while_redis_is_killed_and_started),
		cmocka_unit_test(test_the_checker_finds_missing_invalidation),
		cmocka_unit_test(test_the_checker_finds_missing_positions),
	};

	if (!server_available()) {
		fprintf(stderr, "skipped: redis-server or redis-cli is not installed\n");
		return 77; /* meson's word for a skipped test */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
