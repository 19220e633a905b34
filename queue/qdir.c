/*
 * qdir.c - see qdir.h.
 */
#include "qdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bytes.h"
#include "crc32c.h"
#include "mbuf.h"
#include "mem.h"

#define SEGMENT_DIGITS 20
#define SEGMENT_SUFFIX ".seg"
#define ID_FILE_BYTES (QUEUE_ID_BYTES + 4)
#define EPOCH_FILE_BYTES (8 + 4)
#define CHECKPOINT_BYTES (8 + QUEUE_ID_BYTES + 4 * 8 + 4)

static const char checkpoint_magic[8] = {'S', 'U', 'I', 'M', 'O', 'N', 'C', '1'};

static enum rc fail(char *err, size_t cap, const char *path, const char *what)
{
	snprintf(err, cap, "queue directory %s: %s: %s", path, what, strerror(errno));
	return RC_ERROR;
}

/* The name of a new directory is its parent's to keep; one that may not be read, or keeps none, is not ours to sync. */
static int sync_parent(const struct file_ops *ops, const char *path)
{
	char parent[4096];
	const char *slash = strrchr(path, '/');
	int fd, rc;

	snprintf(parent, sizeof(parent), "%.*s", slash == path ? 1 : slash ? (int)(slash - path) : 1, slash ? path : ".");
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	rc = ops->fsync(fd) == 0 || errno == EINVAL || errno == EROFS ? 0 : -1;
	close(fd);
	return rc;
}

/* Synced also where it is there: whoever made it may have died before, or could not. */
static int make_directory(const struct file_ops *ops, const char *path)
{
	if (mkdir(path, 0750) != 0 && errno != EEXIST)
		return -1;
	return sync_parent(ops, path);
}

/* Made with its parents, as `install -d` would. */
static int make_directories(const struct file_ops *ops, const char *path)
{
	char part[4096];
	size_t len = strlen(path);

	if (!len || len >= sizeof(part)) {
		errno = len ? ENAMETOOLONG : ENOENT;
		return -1;
	}
	memcpy(part, path, len + 1);
	while (len > 1 && part[len - 1] == '/')
		part[--len] = '\0';
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (make_directory(ops, part) != 0)
			return -1;
		*slash = '/';
	}
	return make_directory(ops, part);
}

static enum rc take_lock(struct qdir *d, char *err, size_t cap)
{
	char pid[32];
	int n;

	d->lock_fd = openat(d->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (d->lock_fd < 0)
		return fail(err, cap, d->path, "cannot open the lock file");
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return fail(err, cap, d->path, "cannot lock");
		snprintf(err, cap, "queue directory %s is in use by another process", d->path);
		return RC_ERROR;
	}
	/* For people who look; nobody reads it back. */
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(d->lock_fd, 0) != 0 || pwrite(d->lock_fd, pid, (size_t)n, 0) != n)
		return fail(err, cap, d->path, "cannot write the lock file");
	return RC_OK;
}

static enum rc make_id(struct qdir *d, char *err, size_t cap)
{
	uint8_t file[ID_FILE_BYTES];

	if (getrandom(d->id, sizeof(d->id), 0) != (ssize_t)sizeof(d->id))
		return fail(err, cap, d->path, "no random numbers");
	memcpy(file, d->id, QUEUE_ID_BYTES);
	bytes_put(file + QUEUE_ID_BYTES, 4, crc32c(0, file, QUEUE_ID_BYTES));
	if (fileops_replace(d->ops, d->fd, "id", file, sizeof(file)) != RC_OK)
		return fail(err, cap, d->path, "cannot write the file id");
	return RC_OK;
}

/* An id that is gone while the log is there would key the records to another row and apply them twice. */
static enum rc load_id(struct qdir *d, bool hold, char *err, size_t cap)
{
	uint8_t file[ID_FILE_BYTES + 1];
	ssize_t n = fileops_read_small(d->fd, "id", file, sizeof(file));
	struct mbuf m = mbuf_of(file + QUEUE_ID_BYTES, 4);
	uint64_t *segments;
	size_t count;
	uint32_t crc;

	if (n == ID_FILE_BYTES && mbuf_u32(&m, &crc) == RC_OK && crc == crc32c(0, file, QUEUE_ID_BYTES)) {
		memcpy(d->id, file, QUEUE_ID_BYTES);
		return RC_OK;
	}
	if (n < 0 && errno != ENOENT)
		return fail(err, cap, d->path, "cannot read the file id");
	if (qdir_segments(d, &segments, &count) != RC_OK)
		return fail(err, cap, d->path, "cannot list");
	mem_free(segments);
	if (n >= 0 || count) {
		snprintf(err, cap, "queue directory %s: the file id is %s; without it nobody knows what was applied",
			 d->path, n >= 0 ? "damaged" : "missing");
		return RC_ERROR;
	}
	if (!hold) {
		snprintf(err, cap, "%s holds no queue", d->path);
		return RC_ERROR;
	}
	return make_id(d, err, cap);
}

enum rc qdir_open(struct qdir *d, const char *path, bool hold, const struct file_ops *ops, char *err, size_t cap)
{
	*d = (struct qdir){.fd = -1, .lock_fd = -1, .ops = ops};
	d->path = mem_strdup(path);
	if (!d->path) {
		errno = ENOMEM;
		return fail(err, cap, path, "cannot open");
	}
	if (hold && make_directories(ops, path) != 0)
		return fail(err, cap, path, "cannot make it");
	d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return fail(err, cap, path, "cannot open");
	if (hold && take_lock(d, err, cap) != RC_OK)
		return RC_ERROR;
	return load_id(d, hold, err, cap);
}

enum rc qdir_retake(struct qdir *d, char *err, size_t cap)
{
	enum rc rc = take_lock(d, err, cap);

	if (rc != RC_OK)
		qdir_release(d);
	return rc;
}

void qdir_release(struct qdir *d)
{
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	d->lock_fd = -1;
}

bool qdir_in_use(const struct qdir *d)
{
	unsigned devmajor, devminor;
	char line[256];
	bool held = false;
	uint64_t inode;
	struct stat st;
	FILE *f;

	if (fstatat(d->fd, "lock", &st, 0) != 0 || !(f = fopen("/proc/locks", "re")))
		return false;
	while (!held && fgets(line, sizeof(line), f))
		held = sscanf(line, "%*u: FLOCK %*s %*s %*d %x:%x:%" SCNu64, &devmajor, &devminor, &inode) == 3 && inode == st.st_ino &&
		       makedev(devmajor, devminor) == st.st_dev;
	(void)fclose(f);
	return held;
}

void qdir_close(struct qdir *d)
{
	qdir_release(d);
	if (d->fd >= 0)
		close(d->fd);
	mem_free(d->path);
	*d = (struct qdir){.fd = -1, .lock_fd = -1};
}

void qdir_segment_name(char out[32], uint64_t first_seq)
{
	snprintf(out, 32, "%0*" PRIu64 SEGMENT_SUFFIX, SEGMENT_DIGITS, first_seq);
}

static bool parse_segment_name(const char *name, uint64_t *seq)
{
	char *end;

	if (strspn(name, "0123456789") != SEGMENT_DIGITS || strcmp(name + SEGMENT_DIGITS, SEGMENT_SUFFIX) != 0)
		return false;
	errno = 0;
	*seq = strtoull(name, &end, 10);
	return errno == 0 && end == name + SEGMENT_DIGITS;
}

static int compare_seq(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static enum rc read_segments(DIR *dir, uint64_t **out, size_t *count)
{
	uint64_t *list = NULL, seq, *grown;
	size_t n = 0, cap = 0;

	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		if (!parse_segment_name(e->d_name, &seq))
			continue;
		if (n == cap) {
			cap = cap ? cap * 2 : 16;
			grown = mem_realloc(list, cap * sizeof(*list));
			if (!grown) {
				mem_free(list);
				errno = ENOMEM;
				return RC_ERROR;
			}
			list = grown;
		}
		list[n++] = seq;
	}
	if (n)
		qsort(list, n, sizeof(*list), compare_seq);
	*out = list;
	*count = n;
	return RC_OK;
}

enum rc qdir_segments(const struct qdir *d, uint64_t **out, size_t *count)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	enum rc rc;

	*out = NULL;
	*count = 0;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return RC_ERROR;
	}
	rc = read_segments(dir, out, count);
	closedir(dir);
	return rc;
}

enum rc qdir_checkpoint_read(const struct qdir *d, struct qdir_checkpoint *out)
{
	uint8_t file[CHECKPOINT_BYTES + 1];
	ssize_t n = fileops_read_small(d->fd, "checkpoint", file, sizeof(file));
	struct mbuf m = mbuf_of(file, CHECKPOINT_BYTES);
	struct span magic, id;
	uint32_t crc;

	if (n != CHECKPOINT_BYTES || mbuf_bytes(&m, sizeof(checkpoint_magic), &magic) != RC_OK ||
	    memcmp(magic.p, checkpoint_magic, magic.len) != 0 || mbuf_bytes(&m, QUEUE_ID_BYTES, &id) != RC_OK ||
	    memcmp(id.p, d->id, id.len) != 0 || mbuf_u64(&m, &out->applied_seq) != RC_OK ||
	    mbuf_u64(&m, &out->durable_seq) != RC_OK || mbuf_u64(&m, &out->applied_total) != RC_OK ||
	    mbuf_u64(&m, &out->dead_total) != RC_OK || mbuf_u32(&m, &crc) != RC_OK ||
	    crc != crc32c(0, file, CHECKPOINT_BYTES - 4))
		return RC_DECLINED;
	return RC_OK;
}

enum rc qdir_checkpoint_write(const struct qdir *d, const struct qdir_checkpoint *c)
{
	uint8_t file[CHECKPOINT_BYTES], *p = file;

	memcpy(p, checkpoint_magic, sizeof(checkpoint_magic));
	memcpy(p + sizeof(checkpoint_magic), d->id, QUEUE_ID_BYTES);
	p = bytes_put(p + sizeof(checkpoint_magic) + QUEUE_ID_BYTES, 8, c->applied_seq);
	p = bytes_put(p, 8, c->durable_seq);
	p = bytes_put(p, 8, c->applied_total);
	p = bytes_put(p, 8, c->dead_total);
	bytes_put(p, 4, crc32c(0, file, CHECKPOINT_BYTES - 4));
	return fileops_replace(d->ops, d->fd, "checkpoint", file, sizeof(file));
}

uint64_t qdir_place(const struct stat *st)
{
	uint64_t place = (uint64_t)st->st_dev * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)st->st_ino;

	return place ? place : 1;
}

uint64_t qdir_epoch(const struct qdir *d)
{
	uint8_t file[EPOCH_FILE_BYTES + 1];
	ssize_t n = fileops_read_small(d->fd, "epoch", file, sizeof(file));
	struct mbuf m = mbuf_of(file, EPOCH_FILE_BYTES);
	uint64_t epoch;
	uint32_t crc;

	if (n != EPOCH_FILE_BYTES || mbuf_u64(&m, &epoch) != RC_OK || mbuf_u32(&m, &crc) != RC_OK || crc != crc32c(0, file, 8))
		return 0;
	return epoch;
}

enum rc qdir_set_epoch(const struct qdir *d, uint64_t epoch)
{
	uint8_t file[EPOCH_FILE_BYTES];

	bytes_put(bytes_put(file, 8, epoch), 4, 0);
	bytes_put(file + 8, 4, crc32c(0, file, 8));
	return fileops_replace(d->ops, d->fd, "epoch", file, sizeof(file));
}

bool qdir_paused(const struct qdir *d)
{
	return faccessat(d->fd, "paused", F_OK, 0) == 0;
}

enum rc qdir_set_paused(const struct qdir *d, bool paused)
{
	int fd;

	if (!paused) {
		if (d->ops->unlink(d->fd, "paused") != 0 && errno != ENOENT)
			return RC_ERROR;
		return d->ops->fsync(d->fd) == 0 ? RC_OK : RC_ERROR;
	}
	fd = d->ops->open(d->fd, "paused", O_WRONLY | O_CREAT, 0640);
	if (fd < 0)
		return RC_ERROR;
	close(fd);
	return d->ops->fsync(d->fd) == 0 ? RC_OK : RC_ERROR;
}
