/*
 * queue_view.c - the queue's records and dead letters for people, of a running queue and of a directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"
#include "queue_impl.h"
#include "reader.h"

struct view {
	queue_view_fn fn;
	void *arg;
};

static void show_record(const struct view *v, struct queue_view *out, const struct record *rec)
{
	out->time_us = rec->r.time_us;
	out->digest = rec->r.digest;
	out->account = rec->r.account;
	out->schema = rec->r.schema;
	out->tables = rec->r.tables;
	out->environment = rec->r.environment;
	out->sql = rec->r.sql;
	v->fn(v->arg, out);
}

static void show_letter(void *arg, const struct dead_letter *l)
{
	struct queue_view out = {.seq = l->seq, .dead_id = l->id, .error_code = l->code, .error = l->error};
	struct record rec;

	out.failed_us = l->failed_us;
	if (record_decode(l->body, &rec) == RC_OK)
		show_record(arg, &out, &rec);
}

/* In nanoseconds. */
static uint64_t age_of(uint64_t time_us)
{
	uint64_t now = clock_wall_us();

	return now > time_us ? (now - time_us) * (NS_PER_MS / 1000) : 0;
}

/* Bytes of the records that are not applied, as a running queue counts its backlog: frames, whole; and how old the first of them is. */
static enum rc measure_pending(const struct qdir *dir, struct queue_totals *totals, char *err, size_t cap)
{
	struct record rec;
	struct reader r;
	struct frame f;
	enum rc rc;

	totals->bytes = totals->oldest_age_ns = 0;
	if (totals->last_seq <= totals->applied_seq)
		return RC_OK;
	reader_init(&r, dir);
	rc = reader_seek(&r, totals->applied_seq + 1, err, cap);
	if (rc == RC_DECLINED)
		rc = RC_OK;
	while (rc == RC_OK && (rc = reader_next(&r, totals->last_seq, &f, err, cap)) == RC_OK) {
		totals->bytes += frame_size(f.body.len);
		if (!totals->oldest_age_ns && record_decode(f.body, &rec) == RC_OK)
			totals->oldest_age_ns = age_of(rec.r.time_us);
	}
	reader_reset(&r);
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

/* Pending records from seq on, up to one the log is known to reach, or to its end. */
static enum rc show_pending(const struct qdir *dir, uint64_t seq, uint64_t upto, unsigned limit, const struct view *v,
			    char *err, size_t cap)
{
	struct reader r;
	struct record rec;
	struct frame f;
	enum rc rc = RC_AGAIN;

	reader_init(&r, dir);
	if (seq <= upto)
		rc = reader_seek(&r, seq, err, cap);
	if (rc == RC_DECLINED)
		rc = RC_OK;
	while (rc == RC_OK && limit--) {
		rc = reader_next(&r, upto, &f, err, cap);
		if (rc == RC_OK && record_decode(f.body, &rec) == RC_OK) {
			struct queue_view out = {.seq = f.seq};

			show_record(v, &out, &rec);
		}
	}
	reader_reset(&r);
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

struct peeking {
	const struct view *v;
	unsigned shown;
};

static void show_peeked(void *arg, uint64_t seq, struct span body)
{
	struct peeking *p = arg;
	struct queue_view out = {.seq = seq};
	struct record rec;

	p->shown++;
	if (record_decode(body, &rec) == RC_OK)
		show_record(p->v, &out, &rec);
}

/* Lane by lane. One record is looked for in each. */
static enum rc peek_lanes(struct queue *q, uint64_t from_seq, unsigned limit, const struct view *v)
{
	struct peeking p = {.v = v};
	struct queue_totals t;
	enum rc rc = RC_OK;

	for (unsigned i = 0; rc == RC_OK && i < q->lanes && (limit == 1 || p.shown < limit); i++) {
		struct queue_engine *e = q->lane[i].engine;

		drain_totals(q->lane[i].drain, &t);
		rc = e->ops->peek(e, from_seq > t.applied_seq ? from_seq - 1 : t.applied_seq, limit == 1 ? 1 : limit - p.shown,
				  show_peeked, &p);
	}
	return rc;
}

enum rc queue_list_pending(struct queue *q, uint64_t from_seq, unsigned limit, queue_view_fn fn, void *arg)
{
	const struct view v = {.fn = fn, .arg = arg};
	uint64_t next;
	char err[256];

	if (q->shared)
		return peek_lanes(q, from_seq, limit, &v);
	next = queue_applied(q) + 1;
	return show_pending(&q->dir, from_seq > next ? from_seq : next, q->lane[0].engine->ops->durable(q->lane[0].engine), limit, &v,
			    err, sizeof(err));
}

enum rc queue_list_dead(struct queue *q, uint64_t from_id, unsigned limit, queue_view_fn fn, void *arg)
{
	struct view v = {.fn = fn, .arg = arg};

	return q->shared ? deadtable_each(&q->table, from_id, limit, show_letter, &v)
			 : dead_each(q->dead, from_id, limit, show_letter, &v);
}

/* The last record of the last segment that can be read; what lies behind it is damaged when `damaged`. */
static enum rc find_end(const struct qdir *dir, uint64_t *first, uint64_t *last, char *err, size_t cap)
{
	struct frames frames = {.salt = segment_salt(dir->id)};
	struct segment_scan scan;
	uint64_t *list;
	size_t n;
	int fd;
	enum rc rc;

	*first = *last = 0;
	if (qdir_segments(dir, &list, &n) != RC_OK) {
		snprintf(err, cap, "%s: cannot list: %s", dir->path, strerror(errno));
		return RC_ERROR;
	}
	if (n) {
		*first = list[0];
		*last = list[n - 1];
	}
	mem_free(list);
	if (!n)
		return RC_OK;
	if (reader_open_segment(dir, *last, &fd, err, cap) != RC_OK)
		return RC_ERROR;
	window_init(&frames.window);
	window_open(&frames.window, fd);
	rc = segment_scan(&frames, SEGMENT_HEADER_BYTES, *last, NULL, NULL, &scan);
	window_reset(&frames.window);
	close(fd);
	if (rc != RC_OK) {
		snprintf(err, cap, "%s: cannot read: %s", dir->path, strerror(errno));
		return RC_ERROR;
	}
	*last = scan.next_seq - 1;
	if (!scan.damaged)
		return RC_OK;
	snprintf(err, cap, "%s: record %" PRIu64 " and what follows it is damaged", dir->path, scan.next_seq);
	return RC_DECLINED;
}

static enum rc peek_pending(const struct qdir *dir, uint64_t from, unsigned limit, const struct view *v,
			    struct queue_totals *totals, char *err, size_t cap)
{
	enum rc end = find_end(dir, &totals->first_seq, &totals->last_seq, err, cap);

	if (end == RC_ERROR)
		return RC_ERROR;
	totals->depth = totals->last_seq > totals->applied_seq ? totals->last_seq - totals->applied_seq : 0;
	totals->enqueued = totals->last_seq;
	if (from <= totals->applied_seq)
		from = totals->applied_seq + 1;
	if (show_pending(dir, from, totals->last_seq, limit, v, err, cap) != RC_OK)
		return RC_ERROR;
	if (limit && measure_pending(dir, totals, err, cap) != RC_OK)
		return RC_ERROR;
	return end == RC_OK ? RC_OK : RC_ERROR;
}

static enum rc peek_dead(const struct qdir *dir, uint64_t from, unsigned limit, struct view *v,
			 struct queue_totals *totals, char *err, size_t cap)
{
	struct dead *d = dead_open(dir, false, 0, err, cap);
	enum rc rc;

	if (!d)
		return RC_ERROR;
	totals->dead_waiting = dead_waiting(d);
	rc = dead_each(d, from, limit, show_letter, v);
	if (rc != RC_OK)
		snprintf(err, cap, "%s/" QDIR_DEAD_NAME ": cannot be read", dir->path);
	dead_close(d);
	return rc;
}

static void ignore_letter(void *arg, const struct queue_view *v) {}

enum rc queue_peek_dir(const char *path, bool dead, uint64_t from, unsigned limit, queue_view_fn fn, void *arg,
		       struct queue_totals *totals, char *err, size_t err_cap)
{
	struct view v = {.fn = fn ? fn : ignore_letter, .arg = arg};
	struct qdir_checkpoint known;
	struct qdir dir;
	enum rc rc = qdir_open(&dir, path, false, &file_ops_system, err, err_cap);

	memset(totals, 0, sizeof(*totals));
	totals->state = QUEUE_STOPPED;
	if (rc == RC_OK && qdir_in_use(&dir))
		totals->state = qdir_paused(&dir) ? QUEUE_PAUSED : QUEUE_RUNNING;
	if (rc == RC_OK && qdir_checkpoint_read(&dir, &known) == RC_OK) {
		totals->applied_seq = known.applied_seq;
		totals->applied = known.applied_total;
		totals->dead = known.dead_total;
	}
	if (rc == RC_OK)
		rc = peek_dead(&dir, from, dead ? limit : 0, &v, totals, err, err_cap);
	if (rc == RC_OK)
		rc = peek_pending(&dir, from, dead ? 0 : limit, &v, totals, err, err_cap);
	qdir_close(&dir);
	return rc;
}
