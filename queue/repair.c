/*
 * repair.c - see repair.h.
 */
#include "repair.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "iobuf.h"
#include "mem.h"
#include "qdir.h"
#include "reader.h"

struct repair {
	struct qdir dir;
	struct qdir_checkpoint known;
	uint32_t salt;
	repair_fn fn;
	void *arg;
	struct repair_totals *totals;
	char *err;
	size_t cap;
};

/* One segment being read. */
struct piece {
	char name[32];
	uint64_t first_seq;
	uint64_t next_first; /* of the segment behind it; 0: it is the last */
	struct frames frames;
	uint64_t at, seq; /* where the next frame is, and its sequence */
	struct iobuf out; /* the segment written anew */
	uint64_t damages;
};

static enum rc fail(struct repair *r, const char *name, const char *what)
{
	snprintf(r->err, r->cap, "%s/%s: %s: %s", r->dir.path, name, what, strerror(errno));
	return RC_ERROR;
}

static enum rc no_memory(struct repair *r, const struct piece *p)
{
	errno = ENOMEM;
	return fail(r, p->name, "cannot be mended");
}

static enum rc put_frame(struct piece *p, uint32_t salt, uint64_t seq, enum frame_kind kind, struct span body)
{
	uint8_t *f = iobuf_reserve(&p->out, frame_size(body.len));

	if (!f)
		return RC_ERROR;
	memcpy(f + FRAME_HEADER_BYTES, body.p, body.len);
	frame_begin(f, seq, kind, body.len);
	/* All before it was promised, or is known to be lost. */
	frame_seal(f, seq - 1, salt);
	iobuf_commit(&p->out, frame_size(body.len));
	return RC_OK;
}

/* The records from p->seq to last cannot be read. */
static enum rc note_gap(struct repair *r, struct piece *p, uint64_t last)
{
	struct repair_damage d = {.file = p->name,
				  .at = p->at,
				  .first_seq = p->seq,
				  .last_seq = last,
				  .passed = last <= r->known.applied_seq};

	p->damages++;
	r->totals->damages++;
	r->totals->lost += last - p->seq + 1;
	if (r->fn)
		r->fn(r->arg, &d);
	for (; p->seq <= last; p->seq++) {
		if (put_frame(p, r->salt, p->seq, FRAME_GAP, span_of("", 1)) != RC_OK)
			return no_memory(r, p);
	}
	return RC_OK;
}

static enum rc put_header(struct repair *r, struct piece *p)
{
	struct segment_header h = {.kind = SEGMENT_LOG, .first_seq = p->first_seq, .made_us = clock_wall_us()};
	uint8_t bytes[SEGMENT_HEADER_BYTES];

	memcpy(h.queue_id, r->dir.id, QUEUE_ID_BYTES);
	segment_header_encode(&h, bytes);
	return iobuf_append(&p->out, bytes, sizeof(bytes)) == RC_OK ? RC_OK : no_memory(r, p);
}

/* All frames from here that follow each other. RC_DECLINED: there is no more. RC_ERROR: err. */
static enum rc copy_good(struct repair *r, struct piece *p)
{
	struct frame f;
	uint64_t next;
	enum rc rc;

	while ((rc = frame_read(&p->frames, p->at, p->seq, &f, &next)) == RC_OK) {
		if (put_frame(p, r->salt, f.seq, (enum frame_kind)f.kind, f.body) != RC_OK)
			return no_memory(r, p);
		r->totals->records += f.kind != FRAME_GAP;
		r->totals->skipped += f.kind == FRAME_GAP;
		p->at = next;
		p->seq++;
	}
	if (rc == RC_ERROR && errno != EBADMSG)
		return fail(r, p->name, "cannot be read");
	return RC_DECLINED;
}

/* The last sequence that must be in this segment; what is behind it in the last one nobody was promised. */
static enum rc promised(struct repair *r, struct piece *p, uint64_t at, uint64_t *must)
{
	struct frame f;
	enum rc rc = RC_OK;

	*must = r->known.durable_seq > r->known.applied_seq ? r->known.durable_seq : r->known.applied_seq;
	if (p->next_first) {
		*must = p->next_first - 1;
		return RC_OK;
	}
	while ((rc = frame_search(&p->frames, &at, p->seq, 0, &f)) == RC_OK) {
		if (f.seq - f.since_sync > *must)
			*must = f.seq - f.since_sync;
		at += frame_size(f.body.len);
	}
	return rc == RC_ERROR ? fail(r, p->name, "cannot be read") : RC_OK;
}

/* Reads on behind damage, if there is anything; else what is missing up to the end is noted. RC_DECLINED: the end. */
static enum rc pass_damage(struct repair *r, struct piece *p)
{
	struct frame f;
	uint64_t at = p->at, must;
	enum rc rc;

	if (promised(r, p, at, &must) != RC_OK)
		return RC_ERROR;
	if (must < p->seq)
		return RC_DECLINED;
	rc = frame_search(&p->frames, &at, p->seq, p->next_first, &f);
	if (rc == RC_ERROR)
		return fail(r, p->name, "cannot be read");
	if (note_gap(r, p, rc == RC_OK ? f.seq - 1 : must) != RC_OK)
		return RC_ERROR;
	p->at = at;
	return rc;
}

static enum rc read_piece(struct repair *r, struct piece *p)
{
	enum rc rc = put_header(r, p);

	while (rc == RC_OK) {
		rc = copy_good(r, p);
		if (rc == RC_DECLINED && !(p->next_first && p->seq == p->next_first))
			rc = pass_damage(r, p);
	}
	return rc == RC_DECLINED ? RC_OK : rc;
}

/* The damaged file stays under another name; the mended one takes its place as a whole. */
static enum rc replace_piece(struct repair *r, struct piece *p)
{
	char kept[48];

	snprintf(kept, sizeof(kept), "%s.damaged", p->name);
	if (linkat(r->dir.fd, p->name, r->dir.fd, kept, 0) != 0 && errno != ENOENT && errno != EEXIST)
		return fail(r, p->name, "cannot be kept as it is");
	if (fileops_replace(r->dir.ops, r->dir.fd, p->name, iobuf_data(&p->out), iobuf_len(&p->out)) != RC_OK)
		return fail(r, p->name, "cannot be written anew");
	return RC_OK;
}

static enum rc mend_piece(struct repair *r, uint64_t first_seq, uint64_t next_first, bool skip)
{
	struct piece p = {.first_seq = first_seq, .seq = first_seq, .next_first = next_first};
	char why[256];
	int fd;
	enum rc rc;

	qdir_segment_name(p.name, first_seq);
	p.frames.salt = r->salt;
	p.at = SEGMENT_HEADER_BYTES;
	window_init(&p.frames.window);
	iobuf_init(&p.out, 0);
	/* With a damaged header its frames are still to be found. */
	if (reader_open_segment(&r->dir, first_seq, &fd, why, sizeof(why)) != RC_OK) {
		fd = openat(r->dir.fd, p.name, O_RDONLY | O_CLOEXEC);
		p.damages++;
		r->totals->damages++;
	}
	r->totals->segments++;
	window_open(&p.frames.window, fd);
	rc = fd >= 0 ? read_piece(r, &p) : fail(r, p.name, "cannot be opened");
	if (fd >= 0)
		close(fd);
	if (rc == RC_OK && skip && p.damages)
		rc = replace_piece(r, &p);
	window_reset(&p.frames.window);
	iobuf_reset(&p.out);
	return rc;
}

static enum rc mend_all(struct repair *r, bool skip)
{
	uint64_t *list;
	size_t n;
	enum rc rc = RC_OK;

	r->salt = segment_salt(r->dir.id);
	if (qdir_checkpoint_read(&r->dir, &r->known) != RC_OK)
		r->known = (struct qdir_checkpoint){0};
	if (qdir_segments(&r->dir, &list, &n) != RC_OK)
		return fail(r, ".", "cannot be listed");
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = mend_piece(r, list[i], i + 1 < n ? list[i + 1] : 0, skip);
	mem_free(list);
	return rc;
}

enum rc repair_dir(const char *dir, bool skip, repair_fn fn, void *arg, struct repair_totals *out, char *err, size_t cap)
{
	struct repair r = {.fn = fn, .arg = arg, .totals = out, .err = err, .cap = cap};
	enum rc rc;

	*out = (struct repair_totals){0};
	rc = qdir_open(&r.dir, dir, skip, &file_ops_system, err, cap);
	if (rc == RC_OK)
		rc = mend_all(&r, skip);
	qdir_close(&r.dir);
	return rc;
}
