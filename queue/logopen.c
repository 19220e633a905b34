/*
 * logopen.c - what the log does with what it finds at start: goes on behind the last good record.
 *
 * A torn tail (records written by a group that was never acknowledged) is cut off. Anything else that is not as it was
 * written is damage to something promised: the queue does not start, and says where it is.
 */
#include "filelog_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"

/* Checked in full at start, newest first; of what is older, the drain checks every record when it comes to it. */
#define CHECK_BYTES (UINT64_C(256) << 20)

struct recovery {
	struct filelog *log;
	uint64_t budget;
	char *err;
	size_t cap;
};

static enum rc damaged(const struct recovery *r, uint64_t segment, const struct segment_scan *scan)
{
	char name[32];

	qdir_segment_name(name, segment);
	snprintf(r->err, r->cap,
		 "%s/%s: record %" PRIu64 " at byte %" PRIu64 " is damaged though it had been acknowledged; "
		 "`suimon queue check --dir %s` shows what is lost, `suimon queue skip` goes on without it",
		 r->log->dir->path, name, scan->next_seq, scan->end, r->log->dir->path);
	return RC_ERROR;
}

/* Opens, measures and, within the budget or when asked to, scans one segment. */
static enum rc examine(struct recovery *r, uint64_t first_seq, bool always, struct segment_scan *scan, uint64_t *size)
{
	struct frames frames = {.salt = r->log->salt};
	struct stat st;
	int fd;
	enum rc rc = reader_open_segment(r->log->dir, first_seq, &fd, r->err, r->cap);

	if (rc != RC_OK)
		return RC_ERROR;
	window_init(&frames.window);
	window_open(&frames.window, fd);
	rc = fstat(fd, &st) == 0 ? RC_OK : RC_ERROR;
	*size = rc == RC_OK ? (uint64_t)st.st_size : 0;
	if (rc == RC_OK && (always || *size <= r->budget)) {
		r->budget -= *size < r->budget ? *size : r->budget;
		rc = segment_scan(&frames, SEGMENT_HEADER_BYTES, first_seq, NULL, NULL, scan);
	} else if (rc == RC_OK) {
		r->budget = 0;
		rc = RC_DECLINED;
	}
	if (rc == RC_ERROR)
		snprintf(r->err, r->cap, "%s: cannot read its segments: %s", r->log->dir->path, strerror(errno));
	window_reset(&frames.window);
	close(fd);
	return rc;
}

static enum rc recover_last(struct recovery *r, uint64_t first_seq)
{
	struct filelog *l = r->log;
	struct segment_scan scan;
	uint64_t size;

	if (examine(r, first_seq, true, &scan, &size) != RC_OK)
		return RC_ERROR;
	if (scan.damaged || scan.next_seq <= l->opt.known_durable)
		return damaged(r, first_seq, &scan);
	if (scan.torn)
		log_warn("queue", "a torn tail was cut off: it had not been acknowledged",
			 "dir=%s seq=%" PRIu64 " byte=%" PRIu64, l->dir->path, scan.next_seq, scan.end);
	l->last_seq = l->written_seq = l->durable_seq = scan.next_seq - 1;
	l->pieces[l->piece_count - 1].used = scan.end;
	if (logfile_continue(&l->file, first_seq, scan.end, scan.torn) == RC_OK)
		return RC_OK;
	snprintf(r->err, r->cap, "%s: cannot go on in its last segment: %s", l->dir->path, strerror(errno));
	return RC_ERROR;
}

/* One that others follow: it must reach up to the next. */
static enum rc recover_sealed(struct recovery *r, struct log_piece *piece, uint64_t next_first)
{
	struct segment_scan scan;
	enum rc rc = examine(r, piece->first_seq, false, &scan, &piece->used);

	if (rc != RC_OK)
		return rc == RC_DECLINED ? RC_OK : RC_ERROR;
	if (scan.next_seq != next_first)
		return damaged(r, piece->first_seq, &scan);
	piece->used = scan.end;
	return RC_OK;
}

static enum rc load_pieces(struct filelog *l, const uint64_t *list, size_t n)
{
	size_t from = 0;

	/* Left over by a crash while applied segments were deleted. */
	while (from + 1 < n && list[from + 1] <= l->opt.known_applied + 1)
		from++;
	for (size_t i = from; i < n; i++) {
		if (filelog_add_piece(l, list[i], SEGMENT_HEADER_BYTES) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static enum rc recover_pieces(struct recovery *r)
{
	struct filelog *l = r->log;
	size_t last = l->piece_count - 1;

	if (recover_last(r, l->pieces[last].first_seq) != RC_OK)
		return RC_ERROR;
	for (size_t i = last; i-- > 0;) {
		if (recover_sealed(r, &l->pieces[i], l->pieces[i + 1].first_seq) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static enum rc begin(struct recovery *r)
{
	struct filelog *l = r->log;
	uint64_t known = l->opt.known_durable > l->opt.known_applied ? l->opt.known_durable : l->opt.known_applied;

	if (known) {
		snprintf(r->err, r->cap,
			 "%s: there are no segments, though records up to %" PRIu64 " had been acknowledged",
			 l->dir->path, known);
		return RC_ERROR;
	}
	if (logfile_create(&l->file, 1, 0) != RC_OK) {
		snprintf(r->err, r->cap, "%s: cannot make a segment: %s", l->dir->path, strerror(errno));
		return RC_ERROR;
	}
	return filelog_add_piece(l, 1, SEGMENT_HEADER_BYTES);
}

enum rc filelog_recover(struct filelog *l, char *err, size_t cap)
{
	struct recovery r = {.log = l, .budget = CHECK_BYTES, .err = err, .cap = cap};
	uint64_t *list;
	size_t n;
	enum rc rc;

	snprintf(err, cap, "%s: out of memory", l->dir->path);
	if (qdir_segments(l->dir, &list, &n) != RC_OK)
		return RC_ERROR;
	rc = load_pieces(l, list, n);
	mem_free(list);
	if (rc != RC_OK)
		return RC_ERROR;
	if (!n)
		return begin(&r);
	if (recover_pieces(&r) != RC_OK)
		return RC_ERROR;
	/* How much of the first piece is applied is known when the drain comes to it, or when all is. */
	for (size_t i = 0; l->applied_seq >= l->durable_seq && i < l->piece_count; i++)
		l->applied_bytes += l->pieces[i].used - SEGMENT_HEADER_BYTES;
	return RC_OK;
}
