/*
 * Predictions: what a rule would do is foretold within a few percent of what a cache of unlimited size does, for each time to
 * live, with writes taken into account, from a sample of bounded size (F3).
 */
#include "stats_helper.h"

#include <math.h>
#include <stdlib.h>

#include "jsonw.h"
#include "predict.h"
#include "snapshot.h"

#define KEYS_MOST 20000
#define DIGEST 7
#define STEP_NS (20 * NS_PER_MS) /* between two reads */

/* The world that the events tell of: versions of rows, and an exact cache of each key for each time to live. */
static struct world {
	uint64_t version[KEYS_MOST], table_version, now;
	uint64_t filled[KEYS_MOST][PREDICT_TTLS], seen[KEYS_MOST][PREDICT_TTLS];
	uint64_t reads, hits[PREDICT_TTLS];
	unsigned key;   /* of the event at hand */
	bool unknown;   /* what answers depend on */
} world;

static unsigned depends(const struct stats_event *e, uint64_t *deps, unsigned most)
{
	deps[0] = world.key;
	return world.unknown ? 0 : 1;
}

static uint64_t version(const struct stats_event *e, const uint64_t *deps, unsigned n)
{
	assert_int_equal(n, 1);
	return world.version[deps[0]] << 32 | world.table_version;
}

static struct stats_event read_of(unsigned key)
{
	struct stats_event e = helper_event(DIGEST, "select name from products where id = 1");

	e.literals = 1000 + key;
	e.cacheable = e.alone = true;
	e.depends = depends;
	e.version = version;
	e.bytes_out = 100;
	e.start_ns = world.now;
	return e;
}

static void oracle(unsigned key)
{
	uint64_t now_version = world.version[key] << 32 | world.table_version, at = world.now + NS_PER_MS;

	world.reads++;
	for (unsigned i = 0; i < PREDICT_TTLS; i++) {
		if (world.filled[key][i] && world.seen[key][i] == now_version &&
		    at - world.filled[key][i] < predict_ttl_ns[i]) {
			world.hits[i]++;
		} else {
			world.filled[key][i] = at;
			world.seen[key][i] = now_version;
		}
	}
}

static void read_once(struct stats_sink *k, unsigned key)
{
	struct stats_event e;

	world.now += STEP_NS;
	world.key = key;
	e = read_of(key);
	oracle(key);
	stats_record(k, NULL, &e);
}

/* Zipf-like: small numbers often. */
static unsigned pick(unsigned n)
{
	double u = ((double)random() + 1) / ((double)RAND_MAX + 2);

	return (unsigned)(pow((double)n, u) - 1) % n;
}

static int begin(void **state)
{
	memset(&world, 0, sizeof(world));
	world.now = clock_mono_ns();
	srandom(42);
	return 0;
}

static void assert_foretold(struct stats *s, double within)
{
	struct predict_sum p;

	assert_true(predict_get(s, DIGEST, &p));
	for (unsigned i = 0; i < PREDICT_TTLS; i++) {
		double told = (double)p.hits[i] / (double)p.reads, was = (double)world.hits[i] / (double)world.reads;

		if (fabs(told - was) > within)
			print_error("ttl %g s: told %.3f, was %.3f\n", (double)predict_ttl_ns[i] / 1e9, told, was);
		assert_true(fabs(told - was) <= within);
	}
}

static void few_keys_are_foretold_exactly(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);

	for (unsigned i = 0; i < 20000; i++)
		read_once(k, pick(100));
	assert_foretold(s, 0.02);
	stats_free(s);
}

static void many_keys_are_foretold_from_a_sample(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct predict_sum p;

	for (unsigned i = 0; i < 200000; i++)
		read_once(k, (unsigned)(random() % 5000));
	assert_true(predict_get(s, DIGEST, &p));
	assert_true(p.reads < 50000); /* sampled */
	assert_true(p.keys > 3500 && p.keys < 7000);
	assert_true(p.bytes > 350000 && p.bytes < 700000);
	assert_foretold(s, 0.06);
	stats_free(s);
}

static void writes_end_what_would_be_there(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct predict_sum p;

	for (unsigned i = 0; i < 50000; i++) {
		if (i % 3 == 0)
			world.version[pick(100)]++;
		if (i % 1000 == 0)
			world.table_version++;
		read_once(k, pick(100));
	}
	assert_true(predict_get(s, DIGEST, &p));
	assert_true(p.invalidated > p.reads / 10);
	assert_true((double)p.hits[5] / (double)p.reads < 0.8);
	assert_foretold(s, 0.02);
	stats_free(s);
}

static void threads_share_a_ghost(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k[2] = {helper_sink(s), helper_sink(s)};

	for (unsigned i = 0; i < 20000; i++)
		read_once(k[i % 2], pick(100));
	assert_foretold(s, 0.02);
	stats_free(s);
}

static void nothing_is_foretold_where_nothing_is_known(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct predict_sum p;

	world.unknown = true;
	for (unsigned i = 0; i < 1000; i++)
		read_once(k, pick(10));
	assert_false(predict_get(s, DIGEST, &p));
	world.unknown = false;
	for (unsigned i = 0; i < 1000; i++) {
		struct stats_event e = read_of(1);

		e.alone = false; /* inside a transaction */
		stats_record(k, NULL, &e);
	}
	assert_false(predict_get(s, DIGEST, &p));
	stats_free(s);
}

static void what_is_not_stored_is_no_hit(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct predict_sum p;

	for (unsigned i = 0; i < 1000; i++) {
		struct stats_event e = read_of(1);

		e.too_large = i % 2;
		e.warnings = i % 2 == 0;
		stats_record(k, NULL, &e);
	}
	assert_true(predict_get(s, DIGEST, &p));
	assert_int_equal(p.hits[PREDICT_TTLS - 1], 0);
	stats_free(s);
}

static void ghosts_are_bounded_and_the_heavy_have_them(void **state)
{
	struct stats *s = helper_stats(10000);
	struct stats_sink *k = helper_sink(s);
	struct predict_sum p;
	unsigned told = 0;

	for (unsigned round = 0; round < 100; round++) {
		for (unsigned d = 1; d <= 2000; d++) {
			uint64_t digest = d * UINT64_C(0x9e3779b97f4a7c15);
			struct stats_event e = read_of(1);

			if (round > 40 && d > 50)
				continue;
			e.digest = digest;
			e.total_ns = d <= 20 ? 100 * NS_PER_MS : NS_PER_MS / 10;
			stats_record(k, NULL, &e);
		}
	}
	for (unsigned d = 1; d <= 2000; d++)
		told += predict_get(s, d * UINT64_C(0x9e3779b97f4a7c15), &p);
	assert_true(told <= STATS_GHOSTS);
	for (unsigned d = 1; d <= 20; d++)
		told += predict_get(s, d * UINT64_C(0x9e3779b97f4a7c15), &p) ? 1000 : 0;
	assert_true(told >= 18000); /* two that are heavy may share a place */
	stats_free(s);
}

static json_t *cacheable(struct stats *s, json_t **all)
{
	*all = helper_findings(s, false);
	return helper_finding(*all, "cacheable");
}

static void a_finding_carries_the_prediction_and_the_rule(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	json_t *all, *f, *told;

	for (unsigned i = 0; i < 5000; i++)
		read_once(k, pick(20));
	f = cacheable(s, &all);
	assert_non_null(f);
	told = json_object_get(json_object_get(f, "evidence"), "prediction");
	assert_int_equal(json_array_size(json_object_get(told, "by_ttl")), PREDICT_TTLS);
	assert_true(helper_number(json_array_get(json_object_get(told, "by_ttl"), 3), "hit_ratio") > 0.9);
	assert_non_null(strstr(helper_text(f, "fix_config"), "ttl: "));
	assert_true(helper_number(f, "cost_seconds") > 3 && helper_number(f, "cost_seconds") < 5);
	json_decref(all);
	stats_free(s);
}

/* Within a minute the literals come again, but a write has always come between. */
static void what_writes_always_end_is_no_finding(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	json_t *all;

	for (unsigned i = 0; i < 5000; i++) {
		world.table_version++;
		read_once(k, pick(20));
	}
	assert_null(cacheable(s, &all));
	json_decref(all);
	stats_free(s);
}

static json_t *predictions(struct stats *s, enum rc (*put)(struct stats *s, struct jsonw *w))
{
	struct iobuf out;
	struct jsonw w;

	iobuf_init(&out, 0);
	jsonw_init(&w, &out);
	jsonw_open(&w, NULL, '{');
	assert_int_equal(put(s, &w), RC_OK);
	jsonw_close(&w, '}');
	assert_int_equal(jsonw_end(&w), RC_OK);
	return helper_parse(&out);
}

static void predicted_stands_beside_actual(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	json_t *all, *row;

	for (unsigned i = 0; i < 5000; i++)
		read_once(k, pick(20));
	for (unsigned i = 0; i < 6000; i++) {
		struct stats_event e = read_of(1);

		e.cached = i % 10 ? STATS_HIT : STATS_MISS;
		e.ttl_ns = 60 * NS_PER_SEC;
		stats_record(k, NULL, &e);
	}
	assert_null(cacheable(s, &all)); /* there is a rule now */
	json_decref(all);
	all = predictions(s, stats_put_cache_predictions);
	row = json_array_get(json_object_get(all, "predictions"), 0);
	assert_float_equal(helper_number(row, "hit_ratio"), 0.9, 1e-6);
	assert_true(helper_number(row, "predicted_hit_ratio") > 0.9);
	assert_float_equal(helper_number(row, "ttl"), 60, 1e-6);
	json_decref(all);
	stats_free(s);
}

/* Writes on two threads, so long apart, each of which takes so long. */
static struct stats *written(uint64_t wait_ms, uint64_t apart_ms, uint64_t takes_ms)
{
	struct stats_options opt = {.digests = 100, .batch_wait_ns = wait_ms * NS_PER_MS, .batch_rows = 500};
	struct stats *s = stats_new(&opt);
	struct stats_sink *k = helper_sink(s), *other = helper_sink(s);

	for (unsigned i = 0; i < 2000; i++) {
		struct stats_event e = helper_event(9, "insert into log values (1)");

		e.verb = "insert";
		e.table = span_str("log");
		e.is_read = false;
		e.queueable = true;
		e.rows_affected = 1;
		e.total_ns = takes_ms * NS_PER_MS;
		e.start_ns = world.now += apart_ms * NS_PER_MS;
		stats_record(i % 2 ? k : other, NULL, &e);
	}
	return s;
}

static double batch_rows(uint64_t wait_ms, uint64_t apart_ms, uint64_t takes_ms)
{
	struct stats *s = written(wait_ms, apart_ms, takes_ms);
	json_t *all = helper_findings(s, false);
	double rows = helper_number(json_object_get(json_object_get(helper_finding(all, "queueable"), "evidence"), "prediction"), "batch_rows");

	json_decref(all);
	stats_free(s);
	return rows;
}

/* A batch waits from its first row on, and what comes while it is applied is in the next one. */
static void batches_are_foretold(void **state)
{
	struct stats *s = written(20, 1, 1);
	json_t *all = helper_findings(s, false),
	       *told = json_object_get(json_object_get(helper_finding(all, "queueable"), "evidence"), "prediction");

	assert_float_equal(helper_number(told, "batch_rows"), 21, .2);
	assert_float_equal(helper_number(told, "transactions_per_second_now"), 1000, 20);
	assert_float_equal(helper_number(told, "transactions_per_second"), 1000 / 21.0, 1);
	json_decref(all);
	stats_free(s);
	assert_float_equal(batch_rows(50, 20, 1), 3, .01);
	assert_float_equal(batch_rows(20, 30, 1), 1, .01);
	assert_float_equal(batch_rows(20, 1, 30), 50, 1.5); /* the last one is cut short */
	assert_float_equal(batch_rows(0, 1, 30), 30, 1);
	assert_float_equal(batch_rows(20, 1, 5000), 120, 10); /* held up: no batch is let take so long */
	assert_float_equal(batch_rows(5000, 1, 1), 500, .01);
}

static void predictions_outlive_a_restart(void **state)
{
	struct stats *s = helper_stats(100), *next = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct predict_sum a, b;
	struct iobuf file;
	const char *why;
	bool values;

	for (unsigned i = 0; i < 5000; i++)
		read_once(k, pick(20));
	iobuf_init(&file, 0);
	assert_int_equal(snapshot_put(s, &file), RC_OK);
	assert_int_equal(snapshot_take(helper_sink(next), span_of(iobuf_data(&file), iobuf_len(&file)), &values, &why), RC_OK);
	assert_true(predict_get(s, DIGEST, &a) && predict_get(next, DIGEST, &b));
	assert_int_equal(a.reads, b.reads);
	assert_memory_equal(a.hits, b.hits, sizeof(a.hits));
	iobuf_reset(&file);
	stats_free(s);
	stats_free(next);
}

/* The file may have been another process's until now (snapshot.c). */
static void an_earlier_life_that_is_taken_up_late_does_not_undo_this_one(void **state)
{
	struct stats *s = helper_stats(100), *next = helper_stats(100);
	struct stats_sink *k = helper_sink(s), *own = helper_sink(next);
	struct predict_sum before, after;
	struct iobuf file;
	const char *why;
	bool values;

	for (unsigned i = 0; i < 1000; i++)
		read_once(k, pick(20));
	for (unsigned i = 0; i < 200; i++)
		read_once(own, pick(20));
	assert_true(predict_get(next, DIGEST, &before));
	iobuf_init(&file, 0);
	assert_int_equal(snapshot_put(s, &file), RC_OK);
	assert_int_equal(snapshot_take(helper_sink(next), span_of(iobuf_data(&file), iobuf_len(&file)), &values, &why), RC_OK);
	assert_true(predict_get(next, DIGEST, &after));
	assert_int_equal(before.reads, after.reads);
	assert_float_equal(before.keys, after.keys, 0);
	iobuf_reset(&file);
	stats_free(s);
	stats_free(next);
}

int main(void)
{
#define anew(fn) cmocka_unit_test_setup(fn, begin)
	const struct CMUnitTest tests[] = {
		anew(few_keys_are_foretold_exactly),
		anew(many_keys_are_foretold_from_a_sample),
		anew(writes_end_what_would_be_there),
		anew(threads_share_a_ghost),
		anew(nothing_is_foretold_where_nothing_is_known),
		anew(what_is_not_stored_is_no_hit),
		anew(ghosts_are_bounded_and_the_heavy_have_them),
		anew(a_finding_carries_the_prediction_and_the_rule),
		anew(what_writes_always_end_is_no_finding),
		anew(predicted_stands_beside_actual),
		anew(batches_are_foretold),
		anew(predictions_outlive_a_restart),
		anew(an_earlier_life_that_is_taken_up_late_does_not_undo_this_one),
	};

	return cmocka_run_group_tests_name("stats_predict", tests, NULL, NULL);
}
