/*
 * What the Redis engine says of itself before it is connected: its URL, the sequences its ids stand for, what it takes; and
 * who waits for lanes (Q1, Q3, Q7).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "claims.h"
#include "redislog_impl.h"
#include "waits.h"

static void the_url_names_the_queue(void **state)
{
	char err[512];
	struct queue_hub *hub = redishub_ops.open("redis://u:p@h:7000/2?name=my-queue_1&lanes=12&wait=2&wait_aof=1", err, sizeof(err));
	const struct redishub *h = container_of(hub, struct redishub, hub);

	assert_non_null(hub);
	assert_string_equal(hub->name, "my-queue_1");
	assert_string_equal(hub->host, "h");
	assert_int_equal(hub->lanes, 12);
	assert_int_equal(h->wait, 2);
	assert_int_equal(h->wait_aof, 1);
	assert_int_equal(h->url.db, 2);
	redishub_ops.close(hub);
	hub = redishub_ops.open("redis+cluster://a:1,b:2", err, sizeof(err));
	h = container_of(hub, struct redishub, hub);
	assert_non_null(hub);
	assert_string_equal(hub->name, "suimon");
	assert_int_equal(hub->lanes, 8);
	assert_int_equal(h->url.nseeds, 2);
	redishub_ops.close(hub);
}

static void a_wrong_url_is_refused_with_what_is_allowed(void **state)
{
	static const char *const wrong[] = {
		"redis://h?lanes=0",  "redis://h?lanes=65", "redis://h?lanes=",	  "redis://h?lanes=8x",	   "redis://h?name=",
		"redis://h?name=a b", "redis://h?wait=17",  "redis://h?wait_aof=2", "redis://h?ca=/nowhere", "redis://h?x=1",
		"http://h",	      "",		    "redis://h?name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	char err[512];

	for (size_t i = 0; i < countof(wrong); i++) {
		err[0] = '\0';
		assert_null(redishub_ops.open(wrong[i], err, sizeof(err)));
		assert_non_null(strstr(err, "queue.url: "));
	}
}

static void ids_are_sequences_in_their_order(void **state)
{
	static const char *const ascending[] = {"0-1", "1-0", "1-4194303", "2-0", "1700000000000-0", "1700000000000-1",
						"4398046511103-4194303"};
	static const char *const none[] = {"", "-", "1", "1-", "-1", "1-4194304", "4398046511104-0", "1-2-3", "a-1", "1-b", "+1-1",
					   "1 -1", "99999999999999999999999999-1", "1-99999999999999999999999", "1--1"};
	char text[REDISLOG_ID_MAX];
	uint64_t seq, before = 0;

	for (size_t i = 0; i < countof(ascending); i++) {
		struct span back;

		assert_int_equal(redislog_parse_id(span_str(ascending[i]), &seq), RC_OK);
		assert_true(seq > before);
		back = redislog_put_id(text, "", seq);
		assert_true(span_eq(back, span_str(ascending[i])));
		before = seq;
	}
	for (size_t i = 0; i < countof(none); i++)
		assert_int_equal(redislog_parse_id(span_str(none[i]), &seq), RC_ERROR);
}

static unsigned posted;

static void on_post(struct mail *m)
{
	posted++;
}

static void whoever_waits_hears_once(void **state)
{
	struct queue_waiter a = {.mail.run = on_post, .seq = 5}, b = {.mail.run = on_post, .seq = 9};
	struct waits w;

	posted = 0;
	waits_init(&w);
	assert_false(waits_any(&w));
	assert_int_equal(waits_add(&w, &a), RC_AGAIN);
	assert_int_equal(waits_add(&w, &b), RC_AGAIN);
	waits_move(&w, 4);
	assert_int_equal(posted, 0);
	waits_move(&w, 5);
	assert_int_equal(posted, 1);
	assert_false(waits_cancel(&w, &a));
	assert_true(waits_cancel(&w, &b));
	assert_false(waits_any(&w));
	assert_int_equal(waits_add(&w, &b), RC_AGAIN);
	waits_close(&w);
	assert_int_equal(posted, 2);
	assert_int_equal(waits_add(&w, &a), RC_OK); /* nobody waits any more */
	waits_destroy(&w);
}

static void a_lane_bears_the_queues_id_and_its_number(void **state)
{
	static const uint8_t queue[QUEUE_ID_BYTES] = "abcdefghijkl\xff\xff\xff\xff";
	uint8_t lane[QUEUE_ID_BYTES];

	claims_lane_id(lane, queue, 0x01020304);
	assert_memory_equal(lane, "abcdefghijkl\x01\x02\x03\x04", QUEUE_ID_BYTES);
}

/* Nothing is connected: what comes in at once waits a moment, what comes in later is declined, and at the end all are answered. */
static void without_redis_what_is_accepted_is_answered(void **state)
{
	struct queue_options opt = {.engine = QUEUE_ENGINE_REDIS, .url = "redis://127.0.0.1:1?lanes=2", .batch_rows = 1};
	struct queue_record r = {.account = span_str("a"), .schema = span_str("s"), .tables = span_of("s\0t\0", 4),
				 .order_key = span_of("s\0t\0", 4), .sql = span_str("INSERT INTO t VALUES (1)")};
	struct queue_ticket t = {.mail.run = on_post};
	struct queue_totals totals;
	const char *why = NULL;
	char err[512];
	struct queue *q = queue_open(&opt, NULL, err, sizeof(err));
	enum rc rc;

	posted = 0;
	assert_non_null(q);
	assert_int_equal(queue_start(q), RC_OK);
	rc = queue_append(q, &r, &t, &why);
	queue_totals(q, &totals);
	assert_int_equal(totals.state, QUEUE_WAITING); /* there is no database either */
	r.order_key = span_str("");
	assert_int_equal(queue_append(q, &r, &(struct queue_ticket){.mail.run = on_post}, &why), RC_DECLINED);
	assert_non_null(strstr(why, "other lanes"));
	queue_stop(q);
	if (rc == RC_AGAIN) {
		assert_int_equal(posted, 1);
		assert_int_equal(t.rc, RC_DECLINED); /* it was never sent */
	} else {
		assert_int_equal(rc, RC_DECLINED);
	}
	queue_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_url_names_the_queue),
		cmocka_unit_test(a_wrong_url_is_refused_with_what_is_allowed),
		cmocka_unit_test(ids_are_sequences_in_their_order),
		cmocka_unit_test(whoever_waits_hears_once),
		cmocka_unit_test(a_lane_bears_the_queues_id_and_its_number),
		cmocka_unit_test(without_redis_what_is_accepted_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
