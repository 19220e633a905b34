/* R4: who is the primary, by what is seen of the servers; which replica a read goes to; what discovery adds and removes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "clock.h"
#include "log.h"
#include "topology.h"

static struct settings *settings;
static struct topology *t;
static unsigned moves;

static void on_moved(void *arg, struct backend *from, struct backend *to)
{
	assert_ptr_not_equal(from, to);
	assert_ptr_equal(topology_primary(t), to);
	moves++;
}

static void begin(const char *yaml)
{
	struct iobuf faults;

	iobuf_init(&faults, 0);
	settings = settings_parse(yaml, strlen(yaml), "test", NULL, &faults);
	if (!settings)
		fail_msg("%.*s", (int)iobuf_len(&faults), (const char *)iobuf_data(&faults));
	iobuf_reset(&faults);
	t = topology_new(settings);
	assert_non_null(t);
	t->on_moved = on_moved;
	moves = 0;
}

static int end(void **state)
{
	topology_free(t);
	settings_unref(settings);
	t = NULL;
	settings = NULL;
	return 0;
}

static const char three[] = "primary: a:1\nreplicas: [b:1, c:1]\n";

static void saw(size_t i, bool read_only, bool replicates)
{
	backend_set_state(t->all[i], BACKEND_UP, "test");
	topology_saw(t, t->all[i], &(struct topology_sight){read_only, true, replicates});
}

/* R1: what is sent to a group runs there, however late it is, and nothing else does. */
static void a_group_has_its_reads_and_no_others(void **state)
{
	const struct topology_wish bi = {.group = 2}, other = {.group = 3};

	begin("primary: a:1\nreplicas: [b:1, {addr: c:1, group: bi}]\n");
	saw(0, false, false);
	saw(1, true, true);
	saw(2, true, true);
	assert_int_equal(settings_group(settings, span_str("bi")), 2);
	assert_int_equal(settings_group(settings, span_str("")), 0);
	for (int i = 0; i < 100; i++) {
		assert_ptr_equal(topology_replica(t, NULL), t->all[1]);
		assert_ptr_equal(topology_replica(t, &bi), t->all[2]);
	}
	assert_null(topology_replica(t, &other));
	backend_set_state(t->all[2], BACKEND_LAGGING, "test");
	assert_ptr_equal(topology_replica(t, &bi), t->all[2]);
	backend_set_state(t->all[2], BACKEND_DOWN, "test");
	backend_set_state(t->all[1], BACKEND_DOWN, "test");
	assert_null(topology_replica(t, &bi));
	assert_null(topology_replica(t, NULL));
}

static void usual(void)
{
	begin(three);
	saw(0, false, false);
	saw(1, true, true);
	saw(2, true, true);
	assert_int_equal(moves, 0);
}

/* ---- roles ---- */

static void a_promoted_replica_takes_over_from_a_read_only_primary(void **state)
{
	usual();
	saw(0, true, false);
	assert_ptr_equal(topology_primary(t), t->all[0]);
	saw(1, false, false);
	assert_ptr_equal(topology_primary(t), t->all[1]);
	assert_int_equal(t->all[0]->role, BACKEND_REPLICA);
	assert_int_equal(backend_state(t->all[0]), BACKEND_LAGGING); /* until it is known to replicate */
	assert_int_equal(moves, 1);
	saw(0, true, true);
	assert_int_equal(moves, 1);
}

static void a_promoted_replica_takes_over_from_a_lost_primary(void **state)
{
	usual();
	saw(1, false, false);
	assert_ptr_equal(topology_primary(t), t->all[0]); /* never while it takes writes */
	assert_int_equal(t->writable, 2);
	backend_set_state(t->all[0], BACKEND_DOWN, "test");
	topology_judge(t);
	assert_ptr_equal(topology_primary(t), t->all[1]);
	saw(0, false, false); /* it comes back, and nobody has told it */
	assert_ptr_equal(topology_primary(t), t->all[1]);
	assert_int_equal(t->writable, 2);
}

static void of_two_nobody_is_chosen(void **state)
{
	usual();
	backend_set_state(t->all[0], BACKEND_DOWN, "test");
	t->all[2]->was_read_only = true;
	topology_judge(t);
	assert_int_equal(moves, 0);
	backend_set_state(t->all[0], BACKEND_UP, "test");
	saw(1, false, false);
	saw(2, false, false);
	backend_set_state(t->all[0], BACKEND_DOWN, "test");
	topology_judge(t);
	assert_int_equal(moves, 0);
	saw(2, true, true);
	assert_ptr_equal(topology_primary(t), t->all[1]);
}

static void a_replica_that_only_forgot_to_be_read_only_is_none(void **state)
{
	begin(three);
	saw(0, false, false);
	saw(1, false, true);
	backend_set_state(t->all[0], BACKEND_DOWN, "test");
	topology_judge(t);
	assert_int_equal(moves, 0);
	/* Nor one of which it is not known whether it replicates. */
	topology_saw(t, t->all[1], &(struct topology_sight){.may_ask = false});
	assert_int_equal(moves, 0);
}

static void an_error_proves_a_primary_read_only(void **state)
{
	usual();
	assert_int_equal(topology_read_only_for(t->all[0]), 0);
	topology_doubt(t, t->all[0]);
	assert_true(backend_is_read_only(t->all[0]));
	saw(1, false, false);
	assert_ptr_equal(topology_primary(t), t->all[1]);
	saw(0, false, false);
	assert_int_equal(topology_read_only_for(t->all[0]), 0);
}

/* ---- reads ---- */

/* So many connections of it are in use, by a worker that has a place of its own. */
static void in_use(struct backend *b, uint32_t n)
{
	static int place = -1;

	if (place < 0)
		place = (int)backend_load_place();
	atomic_store(&b->loads[place].active, n);
}

static void reads_go_by_weight_and_least_outstanding(void **state)
{
	unsigned got[4] = {0};

	begin("primary: a:1\nreplicas: [{addr: b:1, weight: 1}, {addr: c:1, weight: 3}, {addr: d:1, weight: 0}]\n");
	for (size_t i = 0; i < 4; i++)
		backend_set_state(t->all[i], BACKEND_UP, "test");
	for (int i = 0; i < 4000; i++)
		got[topology_replica(t, NULL)->slot]++;
	assert_int_equal(got[0] + got[3], 0);
	assert_in_range(got[2], 2700, 3300);
	in_use(t->all[2], 4); /* 4 of 3 against 1 of 1 */
	in_use(t->all[1], 1);
	assert_ptr_equal(topology_replica(t, NULL), t->all[1]);
	in_use(t->all[1], 2);
	assert_ptr_equal(topology_replica(t, NULL), t->all[2]);
	backend_set_state(t->all[1], BACKEND_DOWN, "test");
	backend_set_state(t->all[2], BACKEND_LAGGING, "test");
	assert_ptr_equal(topology_replica(t, NULL), t->all[3]);
	backend_set_state(t->all[3], BACKEND_DISABLED, "test");
	assert_null(topology_replica(t, NULL));
}

static void a_reader_moves_only_to_a_replica_that_is_past_it(void **state)
{
	struct topology_wish wish = {.read_ns = clock_mono_ns(), .window_ns = 3600 * NS_PER_SEC};

	usual();
	wish.prefer = t->all[1];
	for (int i = 0; i < 100; i++)
		assert_ptr_equal(topology_replica(t, &wish), t->all[1]);
	in_use(t->all[1], 50);
	assert_ptr_equal(topology_replica(t, &wish), t->all[1]);
	t->all[2]->fresh_ns = wish.read_ns;
	assert_ptr_equal(topology_replica(t, &wish), t->all[2]);
	t->all[2]->fresh_ns = wish.read_ns - 1;
	backend_set_state(t->all[1], BACKEND_DOWN, "test");
	assert_null(topology_replica(t, &wish));
	wish.window_ns = 0;
	assert_ptr_equal(topology_replica(t, &wish), t->all[2]);
}

/* ---- discovery ---- */

static void list(bool complete, const char *one, const char *two)
{
	static struct topology_listing l;

	l.n = 0;
	l.complete = complete;
	snprintf(l.host[l.n++], sizeof(l.host[0]), "%s", one);
	if (two)
		snprintf(l.host[l.n++], sizeof(l.host[0]), "%s", two);
	topology_listed(t, &l);
}

static void listed_servers_join_leave_and_take_the_place_of_others(void **state)
{
	struct backend *first, *second;

	begin("primary: shop.cluster-x.eu-west-1.rds.amazonaws.com:3306\ndiscovery: aurora\n");
	list(true, "one", "two");
	assert_int_equal(t->n, 3);
	first = t->all[1];
	second = t->all[2];
	assert_string_equal(first->text, "one:3306");
	saw(0, false, false);
	saw(2, true, false);
	assert_ptr_equal(topology_primary(t), t->all[0]);
	saw(1, false, false); /* the writer by its own name */
	assert_ptr_equal(topology_primary(t), first);
	assert_int_equal(t->moves, 0); /* which is no failover */
	assert_ptr_equal(topology_replica(t, NULL), second); /* never the endpoint */
	list(false, "one", NULL);
	list(false, "one", NULL);
	assert_int_equal(backend_state(second), BACKEND_UP); /* it was not the writer's list */
	list(true, "one", NULL);
	list(true, "one", NULL);
	assert_int_equal(backend_state(second), BACKEND_GONE);
	second->connections = 1;
	list(true, "one", "three");
	assert_int_equal(t->n, 4);
	second->connections = 0;
	list(false, "one", "four");
	assert_int_equal(t->n, 4);
	assert_string_equal(t->all[2]->host, "four");
	assert_int_equal(t->all[2]->slot, 2);
}

static void names_are_found_from_the_endpoint(void **state)
{
	static const char *const cases[][2] = {
		{"primary: shop.cluster-x9.eu-west-1.rds.amazonaws.com:3306", "?.x9.eu-west-1.rds.amazonaws.com"},
		{"primary: shop.cluster-ro-x9.eu-west-1.rds.amazonaws.com:3306", "?.x9.eu-west-1.rds.amazonaws.com"},
		{"primary: a.cluster-custom-x9.cn-north-1.rds.amazonaws.com.cn:3306", "?.x9.cn-north-1.rds.amazonaws.com.cn"},
		{"primary: one.x9.eu-west-1.rds.amazonaws.com:3306", "?.x9.eu-west-1.rds.amazonaws.com"},
		{"primary: db.example:3306\nbackend: {aurora_host: '?.db.example'}", "?.db.example"},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		char yaml[256], host[256];

		snprintf(yaml, sizeof(yaml), "%s\ndiscovery: aurora\n", cases[i][0]);
		begin(yaml);
		assert_int_equal(settings_aurora_host(settings, host, sizeof(host)), RC_OK);
		assert_string_equal(host, cases[i][1]);
		(void)end(NULL);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_promoted_replica_takes_over_from_a_read_only_primary, end),
		cmocka_unit_test_teardown(a_promoted_replica_takes_over_from_a_lost_primary, end),
		cmocka_unit_test_teardown(of_two_nobody_is_chosen, end),
		cmocka_unit_test_teardown(a_replica_that_only_forgot_to_be_read_only_is_none, end),
		cmocka_unit_test_teardown(an_error_proves_a_primary_read_only, end),
		cmocka_unit_test_teardown(reads_go_by_weight_and_least_outstanding, end),
		cmocka_unit_test_teardown(a_group_has_its_reads_and_no_others, end),
		cmocka_unit_test_teardown(a_reader_moves_only_to_a_replica_that_is_past_it, end),
		cmocka_unit_test_teardown(listed_servers_join_leave_and_take_the_place_of_others, end),
		cmocka_unit_test(names_are_found_from_the_endpoint),
	};

	log_setup(LOG_LEVEL_FATAL, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
