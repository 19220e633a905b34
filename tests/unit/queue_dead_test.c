/*
 * queue_dead_test.c - dead letters on disk: found again, keyed by sequence, worked once (Q5); the queue without a
 * database.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dead.h"
#include "queue_kit.h"

static void open_dir(struct qdir *d, const char *path)
{
	char err[512] = "";

	if (qdir_open(d, path, true, &kit_files, err, sizeof(err)) != RC_OK)
		fail_msg("%s", err);
}

static struct dead *open_dead(const struct qdir *d)
{
	char err[512] = "";
	struct dead *dead = dead_open(d, true, 0, err, sizeof(err));

	if (!dead)
		fail_msg("%s", err);
	return dead;
}

static struct dead_letter letter(uint64_t seq, uint8_t *body, const char *sql)
{
	struct record rec = kit_record(sql);

	record_encode(&rec, body);
	return (struct dead_letter){.seq = seq,
				    .failed_us = 77,
				    .code = 1062,
				    .error = span_str("Duplicate entry"),
				    .body = span_of(body, record_size(&rec))};
}

struct seen {
	unsigned n;
	uint64_t id[8], seq[8];
	char sql[8][64];
};

static void see(void *arg, const struct dead_letter *l)
{
	struct seen *s = arg;
	struct record rec;

	assert_true(s->n < 8);
	assert_int_equal(record_decode(l->body, &rec), RC_OK);
	assert_int_equal(l->code, 1062);
	assert_true(span_eq(l->error, span_str("Duplicate entry")));
	s->id[s->n] = l->id;
	s->seq[s->n] = l->seq;
	snprintf(s->sql[s->n++], 64, SPAN_FMT, SPAN_ARG(rec.r.sql));
}

static void letters_are_there_after_reopening(void **state)
{
	const char *path = kit_dir();
	uint8_t body[3][512];
	struct dead_letter l[3] = {letter(5, body[0], "five"), letter(9, body[1], "nine"),
				   letter(12, body[2], "twelve")};
	struct seen s = {0};
	struct qdir d;
	struct dead *dead;

	kit_faults_reset();
	open_dir(&d, path);
	dead = open_dead(&d);
	assert_int_equal(dead_add(dead, l, 2), RC_OK);
	assert_int_equal(dead_add(dead, l + 2, 1), RC_OK);
	dead_close(dead);
	dead = open_dead(&d);
	assert_int_equal(dead_waiting(dead), 3);
	assert_true(dead_has_seq(dead, 5) && dead_has_seq(dead, 9) && dead_has_seq(dead, 12));
	assert_false(dead_has_seq(dead, 6) || dead_has_seq(dead, 13));
	assert_int_equal(dead_each(dead, 2, 10, see, &s), RC_OK);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.id[0], 2);
	assert_string_equal(s.sql[0], "nine");
	assert_string_equal(s.sql[1], "twelve");
	dead_close(dead);
	qdir_close(&d);
	kit_remove(path);
}

/* Several connections bury their records in whatever order they come to them. */
static void letters_are_known_by_sequence_in_any_order(void **state)
{
	static const uint64_t seqs[] = {50, 20, 90, 21, 1, 60};
	const char *path = kit_dir();
	uint8_t body[512];
	struct qdir dir;
	struct dead *d;

	open_dir(&dir, path);
	d = open_dead(&dir);
	for (int again = 0; again < 2; again++) {
		for (size_t i = 0; !again && i < countof(seqs); i++) {
			struct dead_letter l = letter(seqs[i], body, "INSERT");

			assert_int_equal(dead_add(d, &l, 1), RC_OK);
		}
		for (size_t i = 0; i < countof(seqs); i++)
			assert_true(dead_has_seq(d, seqs[i]));
		assert_false(dead_has_seq(d, 0));
		assert_false(dead_has_seq(d, 22));
		assert_false(dead_has_seq(d, 91));
		dead_close(d);
		d = open_dead(&dir);
	}
	dead_close(d);
	qdir_close(&dir);
	kit_remove(path);
}

static void a_letter_is_worked_once(void **state)
{
	const char *path = kit_dir();
	uint8_t body[512];
	struct dead_letter l = letter(5, body, "five");
	enum dead_fate fate;
	uint64_t by;
	struct qdir d;
	struct dead *dead;

	kit_faults_reset();
	open_dir(&d, path);
	dead = open_dead(&d);
	assert_int_equal(dead_add(dead, &l, 1), RC_OK);
	assert_int_equal(dead_mark(dead, 1, DEAD_RETRIED, 6), RC_OK);
	assert_int_equal(dead_mark(dead, 1, DEAD_DISCARDED, 0), RC_DECLINED);
	assert_int_equal(dead_mark(dead, 2, DEAD_DISCARDED, 0), RC_DECLINED);
	dead_close(dead);
	dead = open_dead(&d);
	assert_int_equal(dead_waiting(dead), 0);
	assert_int_equal(dead_fate_of(dead, 1, &fate, &by), RC_OK);
	assert_int_equal(fate, DEAD_RETRIED);
	assert_int_equal(by, 6);
	assert_true(dead_has_seq(dead, 5)); /* it must not be applied by itself again */
	dead_close(dead);
	qdir_close(&d);
	kit_remove(path);
}

static void a_torn_letter_is_cut_off(void **state)
{
	const char *path = kit_dir();
	uint8_t body[2][512];
	struct dead_letter l[2] = {letter(5, body[0], "five"), letter(9, body[1], "nine")};
	struct qdir d;
	struct dead *dead;
	long first, both;

	kit_faults_reset();
	open_dir(&d, path);
	dead = open_dead(&d);
	assert_int_equal(dead_add(dead, l, 1), RC_OK);
	first = kit_size(kit_path(path, "dead"));
	assert_int_equal(dead_add(dead, l + 1, 1), RC_OK);
	both = kit_size(kit_path(path, "dead"));
	dead_close(dead);
	for (long size = both - 9; size >= first; size -= 7) {
		kit_cut(kit_path(path, "dead"), size);
		dead = open_dead(&d);
		assert_int_equal(dead_waiting(dead), 1);
		assert_false(dead_has_seq(dead, 9));
		dead_close(dead);
	}
	dead = open_dead(&d);
	assert_int_equal(dead_add(dead, l + 1, 1), RC_OK);
	assert_int_equal(l[1].id, 2);
	dead_close(dead);
	qdir_close(&d);
	kit_remove(path);
}

static void a_letter_that_cannot_be_stored_does_not_count(void **state)
{
	const char *path = kit_dir();
	uint8_t body[512];
	struct dead_letter l = letter(5, body, "five");
	struct qdir d;
	struct dead *dead;

	kit_faults_reset();
	open_dir(&d, path);
	dead = open_dead(&d);
	kit_fail_pwrite = (struct kit_fault){.errnum = ENOSPC, .nth = 1};
	assert_int_equal(dead_add(dead, &l, 1), RC_ERROR);
	assert_int_equal(dead_waiting(dead), 0);
	assert_int_equal(dead_add(dead, &l, 1), RC_OK);
	kit_fail_fdatasync = (struct kit_fault){.errnum = EIO, .nth = 1};
	l.seq = 6;
	assert_int_equal(dead_add(dead, &l, 1), RC_ERROR);
	assert_int_equal(dead_add(dead, &l, 1), RC_ERROR); /* and is not tried again as if it had worked */
	dead_close(dead);
	kit_faults_reset();
	dead = open_dead(&d);
	assert_true(dead_has_seq(dead, 5));
	assert_false(dead_has_seq(dead, 6)); /* its record may have been applied since: tried again it would be there twice */
	dead_close(dead);
	qdir_close(&d);
	kit_remove(path);
}

/* The file is rewritten without what nobody will ask for any more; ids go on counting. */
static void worked_letters_are_tidied_away(void **state)
{
	const char *path = kit_dir();
	static char large[40000];
	static uint8_t body[50000];
	struct dead_letter l;
	struct seen s = {0};
	struct qdir d;
	struct dead *dead;
	char err[256];

	memset(large, 'x', sizeof(large) - 1);
	kit_faults_reset();
	open_dir(&d, path);
	dead = open_dead(&d);
	for (uint64_t i = 1; i <= 40; i++) {
		l = letter(i, body, i == 20 ? "kept" : large);
		assert_int_equal(dead_add(dead, &l, 1), RC_OK);
		if (i != 20)
			assert_int_equal(dead_mark(dead, i, DEAD_DISCARDED, 0), RC_OK);
	}
	dead_close(dead);
	assert_true(kit_size(kit_path(path, "dead")) > 1 << 20);
	dead = dead_open(&d, true, 39, err, sizeof(err));
	assert_non_null(dead);
	assert_true(kit_size(kit_path(path, "dead")) < 100000);
	assert_int_equal(dead_each(dead, 0, 8, see, &s), RC_OK);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.id[0], 20);
	assert_string_equal(s.sql[0], "kept");
	assert_true(dead_has_seq(dead, 40)); /* its position is not known to be passed */
	l = letter(50, body, "new");
	assert_int_equal(dead_add(dead, &l, 1), RC_OK);
	assert_int_equal(l.id, 41);
	dead_close(dead);
	dead = open_dead(&d);
	assert_int_equal(dead_waiting(dead), 2);
	dead_close(dead);
	qdir_close(&d);
	kit_remove(path);
}

/* Nobody restarts a process for that: it is tidied while it is used, and what it cannot forget it keeps. */
static void letters_are_tidied_while_they_are_used(void **state)
{
	const char *path = kit_dir();
	static char large[40000];
	static uint8_t body[50000];
	struct dead_letter l;
	struct seen s = {0};
	struct qdir d;
	struct dead *dead;
	long most = 0;

	memset(large, 'x', sizeof(large) - 1);
	kit_faults_reset();
	open_dir(&d, path);
	dead = open_dead(&d);
	for (uint64_t i = 1; i <= 400; i++) {
		long size;

		l = letter(i, body, i == 20 ? "kept" : large);
		assert_int_equal(dead_add(dead, &l, 1), RC_OK);
		assert_int_equal(l.id, i);
		if (i != 20)
			assert_int_equal(dead_mark(dead, i, i % 2 ? DEAD_DISCARDED : DEAD_RETRIED, i % 2 ? 0 : i), RC_OK);
		dead_tidy(dead, i - 5);
		size = kit_size(kit_path(path, "dead"));
		most = size > most ? size : most;
		assert_true(dead_has_seq(dead, i));
	}
	assert_true(most < 3 << 20);
	assert_int_equal(dead_waiting(dead), 1);
	assert_int_equal(dead_each(dead, 0, 8, see, &s), RC_OK);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.id[0], 20);
	assert_string_equal(s.sql[0], "kept");
	dead_close(dead);
	dead = open_dead(&d);
	assert_true(dead_waiting(dead) == 1 && dead_has_seq(dead, 400) && dead_has_seq(dead, 396));
	dead_close(dead);
	qdir_close(&d);
	kit_remove(path);
}

static void a_pause_survives_a_restart(void **state)
{
	const char *path = kit_dir();
	struct queue_options opt = kit_options(path);
	struct queue *q = kit_open(&opt);
	struct queue_totals t;

	queue_pause(q);
	assert_int_equal(kit_put(q, "accepted all the same", NULL), RC_OK);
	kit_close(q);
	q = kit_open(&opt);
	queue_totals(q, &t);
	assert_int_equal(t.state, QUEUE_PAUSED);
	queue_resume(q);
	queue_totals(q, &t);
	assert_int_not_equal(t.state, QUEUE_PAUSED);
	kit_close(q);
	q = kit_open(&opt);
	queue_totals(q, &t);
	assert_int_not_equal(t.state, QUEUE_PAUSED);
	kit_close(q);
	kit_remove(path);
}

static void count_waiter(struct mail *m)
{
	struct queue_waiter *w = container_of(m, struct queue_waiter, mail);

	w->seq = 0;
}

/* There is no database here: nothing is applied, whoever waits is told when the queue stops. */
static void waiters_are_posted_when_the_queue_stops(void **state)
{
	const char *path = kit_dir();
	struct queue_options opt = kit_options(path);
	struct queue *q = kit_open(&opt);
	struct queue_waiter a = {.mail.run = count_waiter, .seq = 1}, b = a;

	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	assert_int_equal(queue_applied(q), 0);
	assert_int_equal(queue_wait(q, &a), RC_AGAIN);
	assert_int_equal(queue_wait(q, &b), RC_AGAIN);
	assert_true(queue_wait_cancel(q, &b));
	assert_false(queue_wait_cancel(q, &b));
	queue_stop(q);
	assert_int_equal(a.seq, 0);
	assert_int_equal(b.seq, 1);
	assert_int_equal(queue_wait(q, &b), RC_OK);
	queue_close(q);
	kit_remove(path);
}

static void count_view(void *arg, const struct queue_view *v)
{
	unsigned *n = arg;

	++*n;
}

static void a_stopped_directory_can_be_looked_at(void **state)
{
	const char *path = kit_dir();
	struct queue_options opt = kit_options(path);
	struct queue *q = kit_open(&opt);
	struct queue_totals t, alive;
	char err[256];
	unsigned n = 0;

	for (int i = 0; i < 60; i++)
		assert_int_equal(kit_put(q, "text", NULL), RC_OK);
	/* Also while a process works on it. */
	assert_int_equal(queue_peek_dir(path, false, 0, 10, count_view, &n, &t, err, sizeof(err)), RC_OK);
	assert_int_equal(n, 10);
	queue_totals(q, &alive);
	kit_close(q);
	n = 0;
	assert_int_equal(queue_peek_dir(path, false, 41, 1000, count_view, &n, &t, err, sizeof(err)), RC_OK);
	assert_int_equal(n, 20);
	assert_int_equal(t.depth, 60);
	assert_int_equal(t.last_seq, 60);
	assert_int_equal(t.enqueued, 60);
	assert_true(t.bytes > 0 && t.bytes == alive.bytes);
	assert_int_equal(t.state, QUEUE_STOPPED);
	n = 0;
	assert_int_equal(queue_peek_dir(path, true, 0, 1000, count_view, &n, &t, err, sizeof(err)), RC_OK);
	assert_int_equal(n, 0);
	assert_int_equal(queue_peek_dir("/nothing/here", true, 0, 10, count_view, &n, &t, err, sizeof(err)), RC_ERROR);
	/* A damaged one shows what can be read and says where it ends. */
	kit_flip(kit_segment(path), 1000);
	n = 0;
	assert_int_equal(queue_peek_dir(path, false, 0, 1000, count_view, &n, &t, err, sizeof(err)), RC_ERROR);
	assert_in_range(n, 1, 10);
	assert_non_null(strstr(err, "damaged"));
	kit_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters_are_there_after_reopening),
		cmocka_unit_test(letters_are_known_by_sequence_in_any_order),
		cmocka_unit_test(a_letter_is_worked_once),
		cmocka_unit_test(a_torn_letter_is_cut_off),
		cmocka_unit_test(a_letter_that_cannot_be_stored_does_not_count),
		cmocka_unit_test(worked_letters_are_tidied_away),
		cmocka_unit_test(letters_are_tidied_while_they_are_used),
		cmocka_unit_test(a_pause_survives_a_restart),
		cmocka_unit_test(waiters_are_posted_when_the_queue_stops),
		cmocka_unit_test(a_stopped_directory_can_be_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
