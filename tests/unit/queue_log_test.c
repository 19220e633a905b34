/*
 * queue_log_test.c - the file log: order, group commit, reopening, bounds, torn tails, damage, failing disks
 * (Q1, Q7, F1).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue_kit.h"
#include "segment.h"

static struct queue_options faulty_options(const char *dir)
{
	struct queue_options opt = kit_options(dir);

	kit_faults_reset();
	opt.files = &kit_files;
	return opt;
}

static void refuses(const char *dir, const char *because)
{
	struct queue_options opt = kit_options(dir);
	char err[512] = "";

	assert_null(queue_open(&opt, NULL, err, sizeof(err)));
	if (!strstr(err, because))
		fail_msg("\"%s\" is not in \"%s\"", because, err);
}

static void many(struct queue *q, int n)
{
	char sql[32];

	for (int i = 0; i < n; i++) {
		snprintf(sql, sizeof(sql), "r%d", i);
		assert_int_equal(kit_put(q, sql, NULL), RC_OK);
	}
}

static void acknowledged_records_are_there_after_reopening_in_order(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = kit_options(dir);
	struct queue *q = kit_open(&opt);
	uint64_t seq;

	assert_int_equal(kit_put(q, "one", &seq), RC_OK);
	assert_int_equal(seq, 1);
	assert_int_equal(kit_put(q, "two", &seq), RC_OK);
	kit_close(q);
	q = kit_open(&opt);
	assert_string_equal(kit_pending(q), "one,two,");
	assert_int_equal(kit_put(q, "three", &seq), RC_OK);
	assert_int_equal(seq, 3);
	assert_string_equal(kit_pending(q), "one,two,three,");
	kit_close(q);
	kit_remove(dir);
}

#define WRITERS 8
#define EACH 50

static struct queue *shared;

static void *write_many(void *arg)
{
	uint64_t last = 0, seq;

	for (int i = 0; i < EACH; i++) {
		if (kit_put(shared, "x", &seq) != RC_OK || seq <= last)
			return arg;
		last = seq;
	}
	return NULL;
}

/* Fewer fdatasyncs than records, a writer's own records in its own order, every sequence once. */
static void many_writers_share_one_fdatasync(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	struct queue_totals t;
	pthread_t threads[WRITERS];

	opt.segment_bytes = 1 << 20;
	shared = kit_open(&opt);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, shared), 0);
	for (int i = 0; i < WRITERS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	queue_totals(shared, &t);
	assert_int_equal(t.last_seq, WRITERS * EACH);
	assert_int_equal(t.depth, WRITERS * EACH);
	assert_true(t.fsyncs > 0 && t.fsyncs < WRITERS * EACH);
	kit_close(shared);
	kit_remove(dir);
}

static void segments_follow_each_other(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = kit_options(dir);
	struct queue *q = kit_open(&opt);
	char large[10000], expect[20000];
	size_t n = 0;

	many(q, 100);
	memset(large, 'L', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(kit_put(q, large, NULL), RC_OK); /* larger than a segment */
	assert_int_equal(kit_put(q, "end", NULL), RC_OK);
	assert_true(kit_segments(dir) > 3);
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(expect + n, sizeof(expect) - n, "r%d,", i);
	snprintf(expect + n, sizeof(expect) - n, "%s,end,", large);
	assert_string_equal(kit_pending(q), expect);
	kit_close(q);
	q = kit_open(&opt);
	assert_string_equal(kit_pending(q), expect);
	kit_close(q);
	kit_remove(dir);
}

static void a_directory_has_one_process(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = kit_options(dir);
	struct queue *q = kit_open(&opt);

	refuses(dir, "in use by another process");
	kit_close(q);
	kit_close(kit_open(&opt));
	kit_remove(dir);
}

static void a_full_queue_declines(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = kit_options(dir);
	struct queue *q;
	struct kit_ticket k;
	const char *why = NULL;
	enum rc rc;

	opt.max_bytes = 4096;
	q = kit_open(&opt);
	while ((rc = kit_append(q, &k, "some text", &why)) == RC_AGAIN)
		assert_int_equal(kit_wait(&k), RC_OK);
	assert_int_equal(rc, RC_DECLINED);
	assert_string_equal(why, "the queue is full");
	opt.max_bytes = 8192;
	queue_reconfigure(q, &opt);
	assert_int_equal(kit_put(q, "more", NULL), RC_OK);
	kit_close(q);
	kit_remove(dir);
}

/* That there is no room now is another thing than that there never will be. */
static void what_is_too_large_is_told_from_what_finds_no_room(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = kit_options(dir);
	struct queue *q;
	struct kit_ticket k;
	char large[4097];
	const char *why = NULL;

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	opt.max_bytes = 4096;
	q = kit_open(&opt);
	assert_int_equal(kit_append(q, &k, large, &why), RC_DECLINED);
	assert_true(k.t.unfit);
	assert_string_equal(why, "the statement is too large for the queue");
	while (kit_append(q, &k, "some text", &why) == RC_AGAIN)
		assert_int_equal(kit_wait(&k), RC_OK);
	assert_false(k.t.unfit);
	assert_string_equal(why, "the queue is full");
	assert_int_equal(kit_append(q, &k, large, &why), RC_DECLINED);
	assert_true(k.t.unfit);
	opt.max_bytes = 65536;
	queue_reconfigure(q, &opt);
	assert_int_equal(kit_put(q, large, NULL), RC_OK);
	kit_close(q);
	kit_remove(dir);
}

/* What was accepted before is there afterwards; each refusal is counted, as one of this kind. */
static void declines_as_stopping(struct queue *q, struct stats *stats)
{
	uint64_t before = stats_sum(stats, STATS_C_QUEUE_DECLINED_STOPPING);
	struct kit_ticket k;
	const char *why = NULL;

	for (uint64_t n = 1; n <= 2; n++) {
		assert_int_equal(kit_append(q, &k, "late", &why), RC_DECLINED);
		assert_string_equal(why, "the queue is stopping");
		assert_int_equal(stats_sum(stats, STATS_C_QUEUE_DECLINED_STOPPING), before + n);
	}
	assert_int_equal(stats_sum(stats, STATS_C_QUEUE_DECLINED_FULL) + stats_sum(stats, STATS_C_QUEUE_DECLINED_DISK), 0);
	assert_string_equal(kit_pending(q), "one,");
}

static void a_stopped_queue_declines(void **state)
{
	const char *dir = kit_dir();
	struct stats_options so = {0};
	struct stats *stats = stats_new(&so);
	struct queue_options opt = kit_options(dir);
	char err[512] = "";
	struct queue *q = queue_open(&opt, stats, err, sizeof(err));
	uint64_t last_seq;

	assert_non_null(q);
	assert_int_equal(queue_start(q), RC_OK);
	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	assert_false(queue_is_handed_over(q, &last_seq));
	queue_hand_over(q);
	assert_true(queue_is_handed_over(q, &last_seq));
	assert_int_equal(last_seq, 1);
	declines_as_stopping(q, stats);
	queue_stop(q);
	declines_as_stopping(q, stats);
	queue_close(q);
	stats_free(stats);
	kit_remove(dir);
}

/* ---- what a crash leaves ---- */

/* Cut anywhere in its last record, the log goes on behind the one before; what lies behind is never seen again. */
static void a_torn_tail_is_cut_at_every_byte(void **state)
{
	const char *dir = kit_dir();
	char torn[96];
	struct queue_options opt = kit_options(dir), other;
	struct queue *q = kit_open(&opt);
	struct queue_totals t;
	long end;

	opt.segment_bytes = 4096;
	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	queue_totals(q, &t);
	end = SEGMENT_HEADER_BYTES + (long)t.bytes;
	assert_int_equal(kit_put(q, "two", NULL), RC_OK);
	queue_totals(q, &t);
	queue_stop(q); /* without its closing note of how far it was durable, as after a crash */
	queue_close(q);
	unlink(kit_path(dir, "checkpoint"));
	snprintf(torn, sizeof(torn), "%s-torn", dir);
	other = kit_options(torn);
	for (long size = end; size < SEGMENT_HEADER_BYTES + (long)t.bytes - 8; size++) {
		kit_copy(dir, torn);
		kit_cut(kit_segment(torn), size);
		q = kit_open(&other);
		assert_string_equal(kit_pending(q), "one,");
		assert_int_equal(kit_put(q, "new", NULL), RC_OK);
		kit_close(q);
		q = kit_open(&other);
		assert_string_equal(kit_pending(q), "one,new,");
		kit_close(q);
		kit_remove(torn);
	}
	kit_remove(dir);
}

/* Every byte of a record that later ones had known to be durable: the queue does not start. */
static void damage_to_an_acknowledged_record_stops(void **state)
{
	const char *dir = kit_dir();
	char bad[96];
	struct queue_options opt = kit_options(dir);
	struct queue *q = kit_open(&opt);
	struct queue_totals t;
	long first_end;

	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	queue_totals(q, &t);
	first_end = SEGMENT_HEADER_BYTES + (long)t.bytes;
	assert_int_equal(kit_put(q, "two", NULL), RC_OK);
	assert_int_equal(kit_put(q, "three", NULL), RC_OK);
	kit_close(q);
	unlink(kit_path(dir, "checkpoint"));
	snprintf(bad, sizeof(bad), "%s-bad", dir);
	for (long at = SEGMENT_HEADER_BYTES; at < first_end - 8; at++) {
		kit_copy(dir, bad);
		kit_flip(kit_segment(bad), at);
		refuses(bad, "record 1 at byte 64 is damaged though it had been acknowledged");
		kit_remove(bad);
	}
	kit_copy(dir, bad);
	kit_flip(kit_segment(bad), 20);
	refuses(bad, "its header is damaged");
	kit_remove(bad);
	kit_remove(dir);
}

/* The last record has no later one to vouch for it; the checkpoint does. */
static void damage_to_the_last_record_is_known_by_the_checkpoint(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = kit_options(dir);
	struct queue *q = kit_open(&opt);

	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	kit_close(q);
	kit_flip(kit_segment(dir), SEGMENT_HEADER_BYTES + 30);
	refuses(dir, "damaged");
	kit_remove(dir);
}

static void a_missing_segment_stops(void **state)
{
	const char *dir = kit_dir();
	char second[32];
	struct queue_options opt = kit_options(dir);
	struct queue *q = kit_open(&opt);

	many(q, 100);
	kit_close(q);
	unlink(kit_segment(dir));
	/* The first is gone: what is missing is not known to be applied. It is said where it is read. */
	snprintf(second, sizeof(second), "%s", strrchr(kit_segment(dir), '/') + 1);
	q = kit_open(&opt);
	kit_close(q);
	for (int i = 0; i < 2; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s", strrchr(kit_segment(dir), '/') + 1);
		if (i == 0)
			assert_int_equal(rename(kit_path(dir, name), "/tmp/suimon-queue-unit-kept"), 0);
		else
			unlink(kit_path(dir, name));
	}
	assert_int_equal(rename("/tmp/suimon-queue-unit-kept", kit_path(dir, second)), 0);
	refuses(dir, "damaged");
	kit_remove(dir);
}

/* The second of two records holds, where a frame could begin, what looks like the ninth, written when eight were
 * durable; then the second is damaged. salt: what the forger thinks frames are checked with. */
static void forge(const char *dir, uint32_t salt)
{
	struct queue_options opt = kit_options(dir);
	struct queue *q = kit_open(&opt);
	struct record rec = kit_record("");
	uint8_t text[72];
	struct kit_ticket k;
	struct queue_totals t;
	const char *why;
	size_t before = FRAME_HEADER_BYTES + record_size(&rec), pad = (8 - before % 8) % 8;

	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	queue_totals(q, &t);
	memset(text, 'Z', sizeof(text));
	frame_begin(text + pad, 9, FRAME_RECORD, 40);
	frame_seal(text + pad, 8, salt);
	assert_int_equal(kit_append(q, &k, "", &why), RC_AGAIN);
	assert_int_equal(kit_wait(&k), RC_OK);
	kit_close(q);
	kit_cut(kit_segment(dir), SEGMENT_HEADER_BYTES + (long)t.bytes);
	unlink(kit_path(dir, "checkpoint"));
	q = kit_open(&opt);
	rec.r.sql = span_of(text, sizeof(text));
	k.answered = false;
	assert_int_equal(queue_append(q, &rec.r, &k.t, &why), RC_AGAIN);
	assert_int_equal(kit_wait(&k), RC_OK);
	kit_close(q);
	unlink(kit_path(dir, "checkpoint"));
	kit_flip(kit_segment(dir), SEGMENT_HEADER_BYTES + (long)t.bytes + 30);
}

/* A client's text that looks like a frame must not be taken for one when a damaged file is searched. */
static void a_frame_inside_a_statement_proves_nothing(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = kit_options(dir);
	struct queue *q;
	uint8_t id[20];
	FILE *f;

	forge(dir, 0);
	q = kit_open(&opt);
	assert_string_equal(kit_pending(q), "one,");
	kit_close(q);
	/* Who knew the queue's id could: this is how the test knows that the forged frame stood where it counts. */
	f = fopen(kit_path(dir, "id"), "r");
	assert_int_equal(fread(id, 1, sizeof(id), f), sizeof(id));
	fclose(f);
	unlink(kit_segment(dir));
	unlink(kit_path(dir, "checkpoint"));
	forge(dir, segment_salt(id));
	refuses(dir, "damaged");
	kit_remove(dir);
}

/* The power goes while groups are being written: what was acknowledged is there, in order, whatever sectors stayed. */
static void what_was_acknowledged_outlives_a_power_cut(void **state)
{
	for (unsigned seed = 1; seed <= 40; seed++) {
		const char *dir = kit_dir();
		struct queue_options opt = kit_options(dir);
		struct queue *q;
		struct kit_ticket k[30];
		char sql[16], expect[1000];
		const char *why, *got;
		size_t n = 0;

		opt.files = &kit_power_files;
		opt.sync_ns = UINT64_C(3600) * 1000000000; /* so that what follows stays unsynced */
		kit_power_reset();
		q = kit_open(&opt);
		opt.sync_ns = 0;
		queue_reconfigure(q, &opt);
		for (unsigned i = 0; i < 10; i++) {
			snprintf(sql, sizeof(sql), "a%u", i);
			assert_int_equal(kit_put(q, sql, NULL), RC_OK);
			n += (size_t)snprintf(expect + n, sizeof(expect) - n, "%s,", sql);
		}
		opt.sync_ns = UINT64_C(3600) * 1000000000;
		queue_reconfigure(q, &opt);
		for (unsigned i = 0; i < seed % 30; i++) {
			snprintf(sql, sizeof(sql), "u%u", i);
			assert_int_equal(kit_append(q, &k[i], sql, &why), RC_AGAIN);
			kit_wait(&k[i]);
		}
		kit_power_cut(seed);
		/* The process is gone with the power; here its threads have to be ended, and must not sync any more. */
		kit_copy(dir, kit_path("/tmp", "suimon-queue-unit-power"));
		kit_close(q);
		kit_power_reset();
		kit_remove(dir);
		opt = kit_options("/tmp/suimon-queue-unit-power");
		q = kit_open(&opt);
		got = kit_pending(q);
		assert_memory_equal(got, expect, n);
		kit_close(q);
		kit_remove("/tmp/suimon-queue-unit-power");
	}
}

/* ---- failing disks (Q7) ---- */

static void short_writes_are_gone_on_with(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	struct queue *q = kit_open(&opt);

	kit_fail_pwrite = (struct kit_fault){.nth = 1, .sticky = true};
	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	kit_faults_reset();
	kit_close(q);
	q = kit_open(&opt);
	assert_string_equal(kit_pending(q), "one,");
	kit_close(q);
	kit_remove(dir);
}

static void blocks_are_written_once_before_small_groups_come_to_them(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	static char large[300000];
	struct queue *q;
	unsigned zeros;

	opt.segment_bytes = 1 << 20;
	q = kit_open(&opt);
	assert_int_equal(kit_zeros, 0);
	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	zeros = kit_zeros;
	assert_true(zeros > 100000 && zeros < 1 << 19);
	for (int i = 0; i < 20; i++)
		assert_int_equal(kit_put(q, "two", NULL), RC_OK);
	assert_int_equal(kit_zeros, zeros);
	memset(large, 'x', sizeof(large) - 1);
	assert_int_equal(kit_put(q, large, NULL), RC_OK); /* beyond them, and too much to gain by more */
	assert_int_equal(kit_zeros, zeros);
	assert_int_equal(kit_put(q, "three", NULL), RC_OK);
	assert_int_equal(kit_zeros, 2 * zeros);
	kit_close(q);
	q = kit_open(&opt);
	assert_memory_equal(kit_pending(q), "one,two,two,", 12);
	kit_close(q);
	kit_remove(dir);
}

static void blocks_that_cannot_be_written_before_harm_nothing(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	struct queue_totals t;
	struct queue *q;

	opt.segment_bytes = 1 << 20;
	q = kit_open(&opt);
	kit_fail_pwrite = (struct kit_fault){.errnum = EIO, .nth = 2}; /* the first is the record's */
	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	assert_int_equal(kit_fail_pwrite.nth, 0);
	assert_int_equal(kit_put(q, "two", NULL), RC_OK);
	queue_totals(q, &t);
	assert_int_not_equal(t.state, QUEUE_FAILED);
	kit_close(q);
	q = kit_open(&opt);
	assert_string_equal(kit_pending(q), "one,two,");
	kit_close(q);
	kit_remove(dir);
}

static void a_full_disk_declines_and_the_log_goes_on(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	struct queue *q = kit_open(&opt);
	struct queue_totals t;
	unsigned accepted = 0;
	enum rc rc;

	kit_fail_allocate = (struct kit_fault){.errnum = ENOSPC, .nth = 1, .sticky = true};
	while ((rc = kit_put(q, "some text", NULL)) == RC_OK)
		accepted++;
	assert_int_equal(rc, RC_DECLINED);
	assert_true(accepted > 5);
	queue_totals(q, &t);
	assert_int_not_equal(t.state, QUEUE_FAILED);
	assert_int_equal(t.last_seq, accepted);
	assert_int_equal(kit_put(q, "at once", NULL), RC_DECLINED); /* without asking the disk again */
	kit_faults_reset();
	sleep(1);
	assert_int_equal(kit_put(q, "there is room again", NULL), RC_OK);
	kit_close(q);
	q = kit_open(&opt);
	queue_totals(q, &t);
	assert_int_equal(t.last_seq, accepted + 1);
	kit_close(q);
	kit_remove(dir);
}

/* All descriptors may be in use for a moment: that is no fault of the disk's, and the log goes on as well. */
static void a_want_of_descriptors_declines_and_the_log_goes_on(void **state)
{
	const char *dir = kit_dir(), *why = NULL;
	struct queue_options opt = faulty_options(dir);
	struct queue *q = kit_open(&opt);
	struct kit_ticket t;
	struct queue_totals totals;
	unsigned accepted = 0;
	enum rc rc;

	kit_fail_open = (struct kit_fault){.errnum = EMFILE, .nth = 1, .sticky = true};
	while ((rc = kit_put(q, "some text", NULL)) == RC_OK)
		accepted++;
	assert_int_equal(rc, RC_DECLINED);
	assert_true(accepted > 5);
	queue_totals(q, &totals);
	assert_int_not_equal(totals.state, QUEUE_FAILED);
	assert_int_equal(kit_append(q, &t, "at once", &why), RC_DECLINED);
	assert_non_null(strstr(why, "descriptor"));
	kit_faults_reset();
	sleep(1);
	assert_int_equal(kit_put(q, "there is one again", NULL), RC_OK);
	kit_close(q);
	q = kit_open(&opt);
	queue_totals(q, &totals);
	assert_int_equal(totals.last_seq, accepted + 1);
	kit_close(q);
	kit_remove(dir);
}

#define PENDING_MIB 64

/* Memory is not the place to wait for a disk that stands still: what waits to be written is bounded, and what is beyond it is not taken. */
static void a_disk_that_does_not_keep_up_declines(void **state)
{
	static struct kit_ticket tickets[2 * PENDING_MIB];
	static char large[1 << 20];
	const char *dir = kit_dir(), *why = NULL;
	struct queue_options opt = faulty_options(dir);
	struct queue_totals t;
	struct queue *q;
	size_t n = 0;

	opt.segment_bytes = 16 << 20;
	q = kit_open(&opt);
	memset(large, 'x', sizeof(large) - 1);
	pthread_mutex_lock(&kit_disk);
	assert_int_equal(kit_append(q, &tickets[n++], "the disk has this one", &why), RC_AGAIN);
	while (!__atomic_load_n(&kit_fdatasyncs, __ATOMIC_RELAXED))
		usleep(1000);
	while (n < countof(tickets) && kit_append(q, &tickets[n], large, &why) == RC_AGAIN)
		n++;
	assert_in_range(n, PENDING_MIB / 2, PENDING_MIB);
	assert_string_equal(why, "the queue's disk does not keep up");
	assert_false(tickets[0].answered);
	pthread_mutex_unlock(&kit_disk);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(kit_wait(&tickets[i]), RC_OK);
	assert_int_equal(kit_put(q, "there is room again", NULL), RC_OK);
	queue_totals(q, &t);
	assert_int_equal(t.last_seq, n + 1);
	kit_close(q);
	kit_remove(dir);
}

static void a_failed_write_is_taken_back_and_ends_the_log(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	struct queue *q = kit_open(&opt);
	struct queue_totals t;

	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	kit_fail_pwrite = (struct kit_fault){.errnum = EIO, .nth = 1};
	assert_int_equal(kit_put(q, "two", NULL), RC_DECLINED);
	queue_totals(q, &t);
	assert_int_equal(t.state, QUEUE_FAILED);
	assert_string_equal(t.reason, "the queue's disk cannot be written");
	assert_int_equal(kit_put(q, "three", NULL), RC_DECLINED);
	kit_close(q);
	q = kit_open(&opt);
	assert_string_equal(kit_pending(q), "one,");
	kit_close(q);
	kit_remove(dir);
}

/* The one failure that leaves an outcome unknown: said so, and never tried again as if it had worked. */
static void a_failed_fdatasync_ends_the_log(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	struct queue *q = kit_open(&opt);
	struct kit_ticket k;
	struct queue_totals t;
	const char *why;
	unsigned syncs;

	assert_int_equal(kit_put(q, "one", NULL), RC_OK);
	kit_fail_fdatasync = (struct kit_fault){.errnum = EIO, .nth = 1};
	assert_int_equal(kit_append(q, &k, "two", &why), RC_AGAIN);
	assert_int_equal(kit_wait(&k), RC_ERROR);
	assert_non_null(strstr(k.t.error, "unknown"));
	syncs = kit_fdatasyncs;
	assert_int_equal(kit_append(q, &k, "three", &why), RC_DECLINED);
	queue_totals(q, &t);
	assert_int_equal(t.state, QUEUE_FAILED);
	assert_int_equal(t.last_seq, 1);
	assert_string_equal(kit_pending(q), "one,");
	kit_close(q);
	assert_int_equal(kit_fdatasyncs, syncs);
	q = kit_open(&opt);
	assert_memory_equal(kit_pending(q), "one,", 4);
	kit_close(q);
	kit_remove(dir);
}

/* With a time limit clients have their answer before the sync that fails: their records are not cut off. */
static void a_failed_fdatasync_leaves_what_was_acknowledged(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	struct queue *q;
	struct kit_ticket k;
	struct queue_totals t;
	const char *why;
	int tries = 0;

	opt.sync_ns = NS_PER_SEC;
	q = kit_open(&opt);
	kit_fail_fdatasync = (struct kit_fault){.errnum = EIO, .nth = 1, .sticky = true};
	many(q, 5);
	do {
		usleep(10000);
		queue_totals(q, &t);
	} while (t.state != QUEUE_FAILED && tries++ < 1000);
	assert_int_equal(t.state, QUEUE_FAILED);
	assert_int_equal(kit_append(q, &k, "late", &why), RC_DECLINED);
	kit_close(q);
	kit_faults_reset();
	opt.sync_ns = 0;
	q = kit_open(&opt);
	queue_totals(q, &t);
	assert_int_equal(t.last_seq, 5);
	kit_close(q);
	kit_remove(dir);
}

static void with_a_time_limit_acknowledgements_do_not_wait_for_the_disk(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	struct queue *q;
	struct queue_totals t;

	opt.sync_ns = 50 * 1000000;
	q = kit_open(&opt);
	for (int i = 0; i < 20; i++)
		assert_int_equal(kit_put(q, "x", NULL), RC_OK);
	queue_totals(q, &t);
	assert_true(t.fsyncs < 5);
	usleep(200000);
	queue_totals(q, &t);
	assert_int_equal(t.last_seq, 20); /* synced by itself */
	assert_int_equal(kit_put(q, "y", NULL), RC_OK);
	kit_close(q); /* and at the end */
	q = kit_open(&opt);
	queue_totals(q, &t);
	assert_int_equal(t.last_seq, 21);
	kit_close(q);
	kit_remove(dir);
}

/* A queue that ends syncs what it has acknowledged, however long it might have waited. */
static void what_was_acknowledged_is_synced_at_the_end(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = kit_options(dir);
	struct queue *q;

	opt.files = &kit_power_files;
	opt.sync_ns = UINT64_C(3600) * NS_PER_SEC;
	kit_power_reset();
	q = kit_open(&opt);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(kit_put(q, "x", NULL), RC_OK);
	kit_close(q);
	kit_power_cut(1);
	q = kit_open(&opt);
	assert_string_equal(kit_pending(q), "x,x,x,");
	kit_close(q);
	kit_power_reset();
	kit_remove(dir);
}

/* A log whose directory went with the power would be as lost as one that was never synced. */
static void new_directories_are_synced_into_their_parents(void **state)
{
	const char *dir = kit_dir();
	char path[256], err[512] = "";
	struct queue_options opt = faulty_options(dir);

	snprintf(path, sizeof(path), "%s/a/b/", dir);
	opt.dir = path;
	/* /tmp, dir, a, b: also of those that an earlier start has made and could not sync. */
	for (unsigned start = 0; start < 4; start++) {
		kit_fail_fsync = (struct kit_fault){.errnum = EIO, .nth = 3 + start / 2};
		assert_null(queue_open(&opt, NULL, err, sizeof(err)));
		assert_non_null(strstr(err, "cannot make it"));
	}
	kit_faults_reset();
	kit_close(kit_open(&opt));
	kit_remove(path);
	snprintf(path, sizeof(path), "%s/a", dir);
	kit_remove(path);
	kit_remove(dir);
}

static void a_directory_that_cannot_be_used_says_why(void **state)
{
	const char *dir = kit_dir();
	struct queue_options opt = faulty_options(dir);
	char err[512];

	kit_fail_allocate = (struct kit_fault){.errnum = ENOSPC, .nth = 1};
	assert_null(queue_open(&opt, NULL, err, sizeof(err)));
	assert_non_null(strstr(err, "No space left"));
	kit_faults_reset();
	kit_fail_open = (struct kit_fault){.errnum = EROFS, .nth = 1};
	assert_null(queue_open(&opt, NULL, err, sizeof(err)));
	assert_non_null(strstr(err, "Read-only file system"));
	kit_faults_reset();
	opt.dir = "/proc/nothing/here";
	assert_null(queue_open(&opt, NULL, err, sizeof(err)));
	assert_non_null(strstr(err, "/proc/nothing/here"));
	kit_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledged_records_are_there_after_reopening_in_order),
		cmocka_unit_test(many_writers_share_one_fdatasync),
		cmocka_unit_test(segments_follow_each_other),
		cmocka_unit_test(a_directory_has_one_process),
		cmocka_unit_test(a_full_queue_declines),
		cmocka_unit_test(what_is_too_large_is_told_from_what_finds_no_room),
		cmocka_unit_test(a_stopped_queue_declines),
		cmocka_unit_test(a_torn_tail_is_cut_at_every_byte),
		cmocka_unit_test(damage_to_an_acknowledged_record_stops),
		cmocka_unit_test(damage_to_the_last_record_is_known_by_the_checkpoint),
		cmocka_unit_test(a_missing_segment_stops),
		cmocka_unit_test(a_frame_inside_a_statement_proves_nothing),
		cmocka_unit_test(what_was_acknowledged_outlives_a_power_cut),
		cmocka_unit_test(short_writes_are_gone_on_with),
		cmocka_unit_test(blocks_are_written_once_before_small_groups_come_to_them),
		cmocka_unit_test(blocks_that_cannot_be_written_before_harm_nothing),
		cmocka_unit_test(a_full_disk_declines_and_the_log_goes_on),
		cmocka_unit_test(a_want_of_descriptors_declines_and_the_log_goes_on),
		cmocka_unit_test(a_disk_that_does_not_keep_up_declines),
		cmocka_unit_test(a_failed_write_is_taken_back_and_ends_the_log),
		cmocka_unit_test(a_failed_fdatasync_ends_the_log),
		cmocka_unit_test(a_failed_fdatasync_leaves_what_was_acknowledged),
		cmocka_unit_test(with_a_time_limit_acknowledgements_do_not_wait_for_the_disk),
		cmocka_unit_test(what_was_acknowledged_is_synced_at_the_end),
		cmocka_unit_test(new_directories_are_synced_into_their_parents),
		cmocka_unit_test(a_directory_that_cannot_be_used_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
