/*
 * logwriter.c - the log thread: takes what is pending, writes it, makes it durable, answers its tickets.
 *
 * Takes everything that is pending at once: while one group is being synced the next one gathers, so that the group
 * grows with the load and no timer is needed.
 *
 * Failures: no room for a record, or no descriptor for the segment that it begins, is answered with RC_DECLINED (it is certain that nothing was
 * stored) and the log goes on. A write that failed and could be taken back is the same, but the log ends. A failed fdatasync leaves unknown what is
 * stored, now and after any later fdatasync that works: the log ends, and the tickets get RC_ERROR. What had its answer before, which
 * only `sync: TIME` allows, is left where it is.
 */
#include "filelog_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"
#include "sigthread.h"

#define DECLINE_NS NS_PER_SEC

/* One turn of the thread. */
struct group {
	struct iobuf bytes;
	struct ticket_line line;
	enum rc rc; /* RC_OK so far */
	const char *error;
	bool log_ends;
	bool synced; /* there is more for the drain */
};

static const char no_room[] = "the queue's disk is full";
static const char no_descriptor[] = "the process has no file descriptor left for the queue's next file";
static const char cannot_write[] = "the queue's disk cannot be written";
static const char cannot_sync[] =
	"the queue's disk failed to make the write durable: whether it will be applied is unknown";

/* What whoever reads the log is to do about it. */
static const char *advice(enum rc rc, const char *error, bool log_ends)
{
	if (error == no_descriptor)
		return "raise the limit of open files (ulimit -n), or lower listen.max_connections or backend.pool.max; until then writes go as "
		       "queue.on_full says, and it is tried again every second";
	if (!log_ends)
		return "free some space there, or set queue.max_bytes lower; until then writes go as queue.on_full says, and "
		       "the disk is asked again every second";
	if (rc == RC_DECLINED)
		return "see what is wrong with that disk, then restart suimon; until then writes go as queue.on_full says, and "
		       "what had been acknowledged is applied";
	return "whether the last writes are stored is unknown, and who waited for one was told so; see what is wrong with that "
	       "disk, then restart suimon; until then writes go as queue.on_full says";
}

static void group_fail(struct filelog *l, struct group *g, enum rc rc, const char *error, bool log_ends)
{
	char reason[128];
	int code = errno;

	g->rc = rc;
	g->error = error;
	g->log_ends = log_ends;
	log_error("queue", error, "dir=%s errno=%d reason=\"%s\" state=%s do=\"%s\"", l->dir->path, code,
		  strerror_r(code, reason, sizeof(reason)), log_ends ? "failed" : "declining", advice(rc, error, log_ends));
}

static void wake_drain(struct filelog *l)
{
	if (l->opt.wake)
		l->opt.wake(l->opt.wake_arg);
}

static void publish_sync(struct filelog *l, struct group *g, uint64_t took_ns)
{
	pthread_mutex_lock(&l->lock);
	l->durable_seq = l->written_seq;
	l->pieces[l->piece_count - 1].used = l->file.used;
	l->unsynced_ns = 0;
	l->fsyncs++;
	l->fsync_ns_last = took_ns;
	l->fsync_ns_total += took_ns;
	pthread_mutex_unlock(&l->lock);
	g->synced = true;
	if (!l->opt.sink)
		return;
	stats_count(l->opt.sink, STATS_C_QUEUE_SYNCS, 1);
	stats_count(l->opt.sink, STATS_C_QUEUE_SYNC_TIME, took_ns);
}

/* Makes what was written durable. */
static void sync_log(struct filelog *l, struct group *g)
{
	uint64_t start = clock_mono_ns();

	if (l->file.fd < 0 || l->written_seq == l->durable_seq)
		return;
	if (logfile_sync(&l->file) != RC_OK)
		group_fail(l, g, RC_ERROR, cannot_sync, true);
	else
		publish_sync(l, g, clock_mono_ns() - start);
}

static bool all_applied(struct filelog *l)
{
	bool all;

	pthread_mutex_lock(&l->lock);
	all = l->applied_seq >= l->written_seq;
	pthread_mutex_unlock(&l->lock);
	return all;
}

/* On a full disk a small one, if nothing waits to be applied: when what comes first in it is, the segment before it goes, and there is the
 * room of that. Else an empty queue would keep a small disk full, and decline for ever. */
static enum rc create_segment(struct filelog *l, uint64_t need)
{
	if (logfile_create(&l->file, l->written_seq + 1, need) == RC_OK)
		return RC_OK;
	if ((errno != ENOSPC && errno != EDQUOT) || !all_applied(l))
		return RC_ERROR;
	return logfile_create_small(&l->file, l->written_seq + 1, need);
}

static enum rc new_segment(struct filelog *l, struct group *g, uint64_t need)
{
	enum rc rc;

	sync_log(l, g);
	if (g->rc != RC_OK)
		return RC_ERROR;
	if (l->file.fd >= 0)
		logfile_seal(&l->file);
	if (create_segment(l, need) != RC_OK) {
		bool full = errno == ENOSPC || errno == EDQUOT, scarce = errno == EMFILE || errno == ENFILE;

		group_fail(l, g, RC_DECLINED, full ? no_room : scarce ? no_descriptor : cannot_write, !full && !scarce);
		return RC_ERROR;
	}
	pthread_mutex_lock(&l->lock);
	rc = filelog_add_piece(l, l->file.first_seq, l->file.used);
	pthread_mutex_unlock(&l->lock);
	if (rc != RC_OK)
		group_fail(l, g, RC_DECLINED, "out of memory", true);
	return rc;
}

/* Seals the frames that fit the segment's rest. Returns their bytes; 0: not even the first does. */
static size_t seal_frames(struct filelog *l, uint8_t *p, size_t len, uint64_t *last_seq)
{
	uint64_t room = l->file.fd < 0 ? 0 : l->file.size - l->file.used;
	size_t done = 0;

	while (done < len) {
		size_t size = frame_whole_size(p + done);

		if (size > room - done)
			break;
		frame_seal(p + done, l->durable_seq, l->salt);
		*last_seq = frame_seq(p + done);
		done += size;
	}
	return done;
}

static void count_written(struct filelog *l, size_t bytes, uint64_t records)
{
	if (!l->opt.sink)
		return;
	stats_count(l->opt.sink, STATS_C_QUEUE_BYTES, bytes);
	stats_count(l->opt.sink, STATS_C_QUEUE_ENQUEUED, records);
}

static enum rc write_frames(struct filelog *l, struct group *g, const uint8_t *p, size_t len, uint64_t last_seq)
{
	enum rc rc = logfile_write(&l->file, p, len);

	if (rc == RC_OK) {
		count_written(l, len, last_seq - l->written_seq);
		pthread_mutex_lock(&l->lock);
		l->written_seq = last_seq;
		if (!l->unsynced_ns)
			l->unsynced_ns = clock_mono_ns();
		pthread_mutex_unlock(&l->lock);
		return RC_OK;
	}
	if (rc == RC_ERROR)
		group_fail(l, g, RC_ERROR, cannot_sync, true);
	else if (errno == ENOSPC || errno == EDQUOT)
		group_fail(l, g, RC_DECLINED, no_room, false);
	else
		group_fail(l, g, RC_DECLINED, cannot_write, true);
	return RC_ERROR;
}

static void write_group(struct filelog *l, struct group *g)
{
	/* The frames are ours to complete: the buffer was filled for this. */
	uint8_t *p = g->bytes.data + g->bytes.start;
	size_t left = iobuf_len(&g->bytes);
	uint64_t last_seq = 0;

	while (left) {
		size_t n = seal_frames(l, p, left, &last_seq);

		if (!n) {
			if (new_segment(l, g, frame_whole_size(p)) != RC_OK)
				return;
			continue;
		}
		if (write_frames(l, g, p, n, last_seq) != RC_OK)
			return;
		p += n;
		left -= n;
	}
}

/* Before they are answered: whoever has heard is counted. */
static void count_answers(struct filelog *l, const struct ticket_line *line, uint64_t good_upto)
{
	uint64_t good = 0, bad = 0;

	if (!l->opt.sink)
		return;
	for (struct mail *m = line->first; m; m = m->next) {
		bool stored = container_of(m, struct queue_ticket, mail)->seq <= good_upto;

		good += stored;
		bad += !stored;
	}
	stats_count(l->opt.sink, STATS_C_QUEUE_ACKNOWLEDGED, good);
	stats_count(l->opt.sink, STATS_C_QUEUE_ERRORS, bad);
}

static void answer_line(struct filelog *l, struct ticket_line *line, uint64_t good_upto, const struct group *g)
{
	count_answers(l, line, good_upto);
	for (struct queue_ticket *t; (t = ticket_pop(line)) != NULL;) {
		bool stored = t->seq <= good_upto;

		ticket_answer(t, stored ? RC_OK : g->rc, stored ? NULL : g->error);
	}
}

/* A group failed: what was appended behind it cannot keep its sequences and gets the same answer. */
static void give_up_pending(struct filelog *l, struct group *g)
{
	struct group behind = {.rc = RC_DECLINED, .error = g->error};

	pthread_mutex_lock(&l->lock);
	iobuf_consume(&l->pending, iobuf_len(&l->pending));
	ticket_take(&l->line, &behind.line);
	l->last_seq = l->written_seq;
	if (g->log_ends) {
		l->failed = g->error;
	} else {
		l->declined = g->error;
		l->decline_until_ns = clock_mono_ns() + DECLINE_NS;
	}
	pthread_mutex_unlock(&l->lock);
	answer_line(l, &behind.line, 0, &behind);
	wake_drain(l);
}

/* After a failed fdatasync: takes back what nobody was told of, so that a restart most likely does not find it. What was acknowledged
 * before it was durable (sync: a time) stays: the next start applies it if the disk has it. */
static void forget_unsynced(struct filelog *l)
{
	uint64_t good, doubtful = 0;

	pthread_mutex_lock(&l->lock);
	good = l->pieces[l->piece_count - 1].used;
	if (l->answered_seq > l->durable_seq) {
		good = l->answered_used;
		doubtful = l->answered_seq - l->durable_seq;
	}
	l->written_seq = l->durable_seq + doubtful;
	l->unsynced_ns = 0;
	pthread_mutex_unlock(&l->lock);
	if (doubtful)
		log_error("queue", "acknowledged writes are in doubt: queue.sync let them be answered before they were durable; a restart applies "
			  "those that the disk has", "dir=%s records=%" PRIu64 " from_seq=%" PRIu64, l->dir->path, doubtful, l->durable_seq + 1);
	if (l->file.fd >= 0 && l->dir->ops->truncate(l->file.fd, (off_t)good) == 0 &&
	    l->dir->ops->fsync(l->file.fd) == 0)
		l->file.used = good;
	logfile_close(&l->file);
}

/* lock held. */
static bool sync_due(const struct filelog *l)
{
	return l->unsynced_ns && (l->stopping || clock_mono_ns() >= l->unsynced_ns + l->opt.sync_ns);
}

static bool sync_wanted(struct filelog *l, uint64_t sync_ns)
{
	bool due;

	pthread_mutex_lock(&l->lock);
	due = sync_ns == 0 || sync_due(l);
	pthread_mutex_unlock(&l->lock);
	return due;
}

static void run_group(struct filelog *l, struct group *g, uint64_t sync_ns)
{
	uint64_t good;

	write_group(l, g);
	FAILPOINT("after-write");
	/* Also after RC_DECLINED: what was written before it is to be answered for. */
	if (g->rc != RC_ERROR && sync_wanted(l, sync_ns))
		sync_log(l, g);
	if (g->rc == RC_ERROR)
		forget_unsynced(l);
	good = sync_ns == 0 ? l->durable_seq : l->written_seq;
	if (g->rc != RC_OK)
		give_up_pending(l, g);
	if (good >= l->answered_seq) {
		l->answered_seq = good;
		l->answered_used = l->file.used;
	}
	answer_line(l, &g->line, good, g);
	/* After the clients, who are waiting, unlike the drain. */
	if (g->synced)
		wake_drain(l);
	iobuf_consume(&g->bytes, iobuf_len(&g->bytes));
}

/* Waits for work and takes it. False: the end. */
static bool take_group(struct filelog *l, struct group *g, uint64_t *sync_ns)
{
	struct iobuf empty = g->bytes;
	bool due;

	pthread_mutex_lock(&l->lock);
	l->idle = true;
	while (!iobuf_len(&l->pending) && !l->stopping && !sync_due(l)) {
		if (l->unsynced_ns)
			sigthread_wait_until(&l->work, &l->lock, l->unsynced_ns + l->opt.sync_ns);
		else
			pthread_cond_wait(&l->work, &l->lock);
	}
	l->idle = false;
	g->bytes = l->pending;
	l->pending = empty;
	ticket_take(&l->line, &g->line);
	*sync_ns = l->opt.sync_ns;
	due = sync_due(l);
	pthread_mutex_unlock(&l->lock);
	g->rc = RC_OK;
	g->error = NULL;
	g->log_ends = g->synced = false;
	return iobuf_len(&g->bytes) || due;
}

void *filelog_write_loop(void *arg)
{
	struct filelog *l = arg;
	struct group g;
	uint64_t sync_ns;

	memset(&g, 0, sizeof(g));
	iobuf_init(&g.bytes, 0);
	ticket_line_init(&g.line);
	while (take_group(l, &g, &sync_ns))
		run_group(l, &g, sync_ns);
	iobuf_reset(&g.bytes);
	return NULL;
}
