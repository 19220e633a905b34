/*
 * snapshot.c - keeps the snapshot: taken at the start, written by a thread of its own at intervals and at the end.
 *
 *   FILE.new is written, synced and renamed over FILE: whoever reads it, also after a power cut, finds the one or the other.
 *
 * FILE.lock is held meanwhile: a second process with the same file, such as one that takes over from another, waits for
 * it, and takes up what the other has left when that has ended. What is taken up has a sink of its own, the thread's.
 *
 * stats_keep → begin, keep … → stats_keep_no_more (another process is to have the file) → stats_keep_again (it did not come to that)
 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"

#define PATH_MAX_BYTES 4096
#define AGAIN_NS NS_PER_SEC /* the file is asked for anew */

struct snapshot {
	struct stats *stats;
	struct stats_sink *sink;            /* the thread's: its counters, and what earlier lives have counted */
	char *path, *new_path;              /* owned */
	int lock_fd;
	uint64_t interval_ns, written;      /* written: statements counted when it was written last */
	bool values;                        /* literals may stand in the file; the thread's */
	bool kept, taken;                   /* the thread runs; what stood in the file is here */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop, soon; /* lock */
};

static void complain(struct snapshot *n, const char *what)
{
	log_warn("stats", "the statistics cannot be kept", "file=%s what=\"%s\" reason=\"%s\"", n->path, what,
		 strerror(errno));
	stats_count(n->sink, STATS_C_SNAPSHOT_FAILURES, 1);
}

/* ---- writing ---- */

static uint64_t statements(struct stats *s)
{
	uint64_t sum = 0;

	for (unsigned r = 0; r < STATS_ROUTES; r++)
		sum += stats_sum(s, STATS_C_QUERIES_PRIMARY + r);
	return sum;
}

static void save(struct snapshot *n, bool changed)
{
	bool samples = atomic_load(&n->stats->samples);
	uint64_t now = statements(n->stats);
	struct iobuf out;

	if (now == n->written && !changed)
		return;
	iobuf_init(&out, 0);
	errno = ENOMEM;
	if (snapshot_put(n->stats, &out) == RC_OK && file_replace(n->path, n->new_path, span_of(iobuf_data(&out), iobuf_len(&out))) == RC_OK) {
		n->written = now;
		stats_count(n->sink, STATS_C_SNAPSHOTS, 1);
		n->values = samples;
	} else {
		complain(n, "writing");
		(void)unlink(n->new_path);
		if (n->values && !samples) /* better none than one with what is to be kept nowhere */
			(void)unlink(n->path);
	}
	iobuf_reset(&out);
}

void snapshot_soon(struct snapshot *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->soon = true;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
}

/* ---- taking ---- */

/* RC_DECLINED: there is none. */
static enum rc read_file(const struct snapshot *n, struct iobuf *out)
{
	int fd = open(n->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t got = 1;

	if (fd < 0)
		return errno == ENOENT ? RC_DECLINED : RC_ERROR;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		got = -1;
	while (got > 0) {
		uint8_t *at = iobuf_reserve(out, 1 << 16);

		got = at ? read(fd, at, 1 << 16) : -1;
		if (got > 0)
			iobuf_commit(out, (size_t)got);
	}
	(void)close(fd);
	return got < 0 ? RC_ERROR : RC_OK;
}

/* What an earlier life has left; where it cannot be used, counting begins anew. */
static void take(struct snapshot *n)
{
	const char *why = "it cannot be read";
	struct iobuf file;
	enum rc rc;

	iobuf_init(&file, SNAPSHOT_MAX + SNAPSHOT_HEADER + (1 << 16));
	rc = read_file(n, &file);
	if (rc == RC_OK) {
		rc = snapshot_take(n->sink, span_of(iobuf_data(&file), iobuf_len(&file)), &n->values, &why);
		if (rc == RC_OK)
			log_info("stats", "statistics taken up again", "file=%s bytes=%zu", n->path, iobuf_len(&file));
		else
			rc = RC_ERROR;
	}
	if (rc == RC_ERROR) {
		log_warn("stats", "the snapshot is ignored: statistics begin anew", "file=%s reason=\"%s\"", n->path, why);
		stats_count(n->sink, STATS_C_SNAPSHOTS_IGNORED, 1);
	}
	if (n->values && !atomic_load(&n->stats->samples)) /* no literal is kept anywhere: there neither */
		snapshot_soon(n);
	iobuf_reset(&file);
}

/* ---- life ---- */

static enum rc lock_file(struct snapshot *n)
{
	char path[PATH_MAX_BYTES];
	int len = snprintf(path, sizeof(path), "%s.lock", n->path), fd = -1;

	errno = ENAMETOOLONG;
	if (len > 0 && (size_t)len < sizeof(path))
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return RC_ERROR;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)close(fd);
		return RC_ERROR;
	}
	n->lock_fd = fd;
	return RC_OK;
}

static enum rc begin(struct snapshot *n)
{
	enum rc rc = lock_file(n);

	if (rc == RC_OK && !n->taken)
		take(n);
	if (rc == RC_OK)
		n->taken = true;
	return rc;
}

/* Is it to end? Until the file is ours it is asked for again and again. */
static bool wait_turn(struct snapshot *n, bool *soon)
{
	uint64_t at = clock_mono_ns() + (n->lock_fd >= 0 || n->interval_ns < AGAIN_NS ? n->interval_ns : AGAIN_NS);
	bool stop;

	pthread_mutex_lock(&n->lock);
	while (!n->stop && !n->soon && clock_mono_ns() < at)
		sigthread_wait_until(&n->wake, &n->lock, at);
	stop = n->stop;
	*soon = n->soon;
	n->soon = false;
	pthread_mutex_unlock(&n->lock);
	return stop;
}

static void *keep(void *arg)
{
	struct snapshot *n = arg;
	bool stop, soon;

	do {
		stop = wait_turn(n, &soon);
		if (n->lock_fd < 0 && begin(n) != RC_OK)
			continue;
		stats_table_sweep(n->sink->table);
		save(n, soon);
	} while (!stop);
	return NULL;
}

static void give_up_file(struct snapshot *n)
{
	if (n->lock_fd >= 0)
		(void)close(n->lock_fd);
	n->lock_fd = -1;
}

static void drop(struct snapshot *n)
{
	give_up_file(n);
	mem_free(n->path);
	mem_free(n->new_path);
	mem_free(n);
}

enum rc stats_keep(struct stats *s, const char *path, uint64_t interval_ns)
{
	struct snapshot *n = mem_zalloc(sizeof(*n));

	if (!n)
		return RC_ERROR;
	n->stats = s;
	n->interval_ns = interval_ns;
	n->lock_fd = -1;
	n->path = mem_strdup(path);
	n->new_path = mem_printf("%s.new", path);
	n->sink = stats_sink_new(s, true);
	if (!n->path || !n->new_path || !n->sink || pthread_mutex_init(&n->lock, NULL) != 0 ||
	    sigthread_cond_init(&n->wake) != RC_OK) {
		drop(n);
		return RC_ERROR;
	}
	if (begin(n) != RC_OK)
		complain(n, "locking it");
	if (sigthread_create(&n->thread, NULL, keep, n) != 0) {
		drop(n);
		return RC_ERROR;
	}
	n->kept = true;
	s->snapshot = n;
	return RC_OK;
}

/* Ends the thread, which writes once more, and lets go of the file. */
static void rest(struct snapshot *n)
{
	if (!n->kept)
		return;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
	n->kept = false;
	give_up_file(n);
}

void snapshot_free(struct snapshot *n)
{
	if (!n)
		return;
	rest(n);
	pthread_cond_destroy(&n->wake);
	pthread_mutex_destroy(&n->lock);
	drop(n);
}

void stats_keep_no_more(struct stats *s)
{
	if (s->snapshot)
		rest(s->snapshot);
}

/* The other process may have written the file meanwhile: what it had of ours is here, and stands there again at once. */
enum rc stats_keep_again(struct stats *s)
{
	struct snapshot *n = s->snapshot;

	if (!n || n->kept)
		return RC_OK;
	n->stop = false;
	n->values = true; /* it may have kept some */
	n->written = UINT64_MAX;
	if (sigthread_create(&n->thread, NULL, keep, n) != 0)
		return RC_ERROR;
	n->kept = true;
	return RC_OK;
}
