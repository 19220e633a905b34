/*
 * queue_kit.c - see queue_kit.h.
 */
#include "queue_kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"

#define SECTOR 512

struct kit_fault kit_fail_pwrite, kit_fail_fdatasync, kit_fail_fsync, kit_fail_allocate, kit_fail_open,
	kit_fail_truncate;
unsigned kit_fdatasyncs, kit_zeros;

const char *kit_dir(void)
{
	static char dir[64];

	log_setup(LOG_LEVEL_FATAL, false);
	snprintf(dir, sizeof(dir), "/tmp/suimon-queue-unit-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return dir;
}

const char *kit_path(const char *dir, const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void each_file(const char *dir, void (*fn)(const char *dir, const char *name, void *arg), void *arg)
{
	DIR *d = opendir(dir);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] != '.')
			fn(dir, e->d_name, arg);
	}
	closedir(d);
}

static void remove_one(const char *dir, const char *name, void *arg)
{
	unlink(kit_path(dir, name));
}

void kit_remove(const char *dir)
{
	each_file(dir, remove_one, NULL);
	rmdir(dir);
}

static void first_segment(const char *dir, const char *name, void *arg)
{
	char *best = arg;

	if (strstr(name, ".seg") && (!*best || strcmp(name, best) < 0))
		snprintf(best, 64, "%.63s", name);
}

const char *kit_segment(const char *dir)
{
	char best[64] = "";

	each_file(dir, first_segment, best);
	assert_true(best[0]);
	return kit_path(dir, best);
}

static void count_segment(const char *dir, const char *name, void *arg)
{
	unsigned *n = arg;

	*n += strstr(name, ".seg") != NULL;
}

unsigned kit_segments(const char *dir)
{
	unsigned n = 0;

	each_file(dir, count_segment, &n);
	return n;
}

long kit_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

void kit_flip(const char *path, long at)
{
	int fd = open(path, O_RDWR);
	unsigned char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 0x10;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

void kit_cut(const char *path, long size)
{
	assert_int_equal(truncate(path, size), 0);
}

static void copy_one(const char *dir, const char *name, void *arg)
{
	char data[65536];
	char to[512];
	int in = open(kit_path(dir, name), O_RDONLY), out;
	ssize_t n;

	snprintf(to, sizeof(to), "%s/%s", (const char *)arg, name);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, data, sizeof(data))) > 0)
		assert_int_equal(write(out, data, (size_t)n), n);
	close(in);
	close(out);
}

void kit_copy(const char *from_dir, const char *to_dir)
{
	char to[256];

	snprintf(to, sizeof(to), "%s", to_dir);
	mkdir(to, 0700);
	each_file(from_dir, copy_one, to);
}

struct record kit_record(const char *sql)
{
	return (struct record){.r = {
				       .digest = 7,
				       .time_us = 1700000000123456,
				       .account = span_str("app"),
				       .schema = span_str("shop"),
				       .tables = span_of("shop\0log\0", 9),
				       .order_key = span_str("log"),
				       .environment = span_str("sql_mode='STRICT_TRANS_TABLES'"),
				       .sql = span_str(sql),
			       }};
}

static void on_answer(struct mail *m)
{
	struct kit_ticket *k = container_of(m, struct kit_ticket, t.mail);

	pthread_mutex_lock(&k->lock);
	k->answered = true;
	pthread_cond_signal(&k->done);
	pthread_mutex_unlock(&k->lock);
}

enum rc kit_append(struct queue *q, struct kit_ticket *k, const char *sql, const char **why)
{
	struct record rec = kit_record(sql);

	memset(k, 0, sizeof(*k));
	k->t.mail.run = on_answer;
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->done, NULL);
	return queue_append(q, &rec.r, &k->t, why);
}

enum rc kit_wait(struct kit_ticket *k)
{
	pthread_mutex_lock(&k->lock);
	while (!k->answered)
		pthread_cond_wait(&k->done, &k->lock);
	pthread_mutex_unlock(&k->lock);
	return k->t.rc;
}

enum rc kit_put(struct queue *q, const char *sql, uint64_t *seq)
{
	struct kit_ticket k;
	const char *why;
	enum rc rc = kit_append(q, &k, sql, &why);

	if (rc == RC_AGAIN)
		rc = kit_wait(&k);
	if (seq)
		*seq = k.t.seq;
	return rc;
}

struct queue_options kit_options(const char *dir)
{
	return (struct queue_options){.dir = dir, .segment_bytes = 4096, .batch_rows = 100, .workers = 1};
}

struct queue *kit_open(const struct queue_options *opt)
{
	char err[512] = "";
	struct queue *q = queue_open(opt, NULL, err, sizeof(err));

	if (!q)
		fail_msg("%s", err);
	assert_int_equal(queue_start(q), RC_OK);
	return q;
}

void kit_close(struct queue *q)
{
	queue_stop(q);
	queue_close(q);
}

static char pending[1 << 20];

static void add_pending(void *arg, const struct queue_view *v)
{
	size_t *len = arg;

	*len += (size_t)snprintf(pending + *len, sizeof(pending) - *len, SPAN_FMT ",", SPAN_ARG(v->sql));
}

const char *kit_pending(struct queue *q)
{
	size_t len = 0;

	pending[0] = '\0';
	assert_int_equal(queue_list_pending(q, 0, 1000000, add_pending, &len), RC_OK);
	return pending;
}

/* ---- files that fail ---- */

pthread_mutex_t kit_disk = PTHREAD_MUTEX_INITIALIZER;

static bool fails(struct kit_fault *f)
{
	if (!f->nth || --f->nth)
		return false;
	if (f->sticky)
		f->nth = 1;
	errno = f->errnum;
	return true;
}

static int faulty_open(int dirfd, const char *name, int flags, mode_t mode)
{
	return fails(&kit_fail_open) ? -1 : file_ops_system.open(dirfd, name, flags, mode);
}

static ssize_t faulty_pwrite(int fd, const void *p, size_t len, off_t at)
{
	const char *b = p;

	if (!b[0] && memcmp(b, b + 1, len - 1) == 0)
		__atomic_fetch_add(&kit_zeros, len, __ATOMIC_RELAXED);
	if (!fails(&kit_fail_pwrite))
		return file_ops_system.pwrite(fd, p, len, at);
	if (kit_fail_pwrite.errnum) {
		/* A disk may have taken part of it. */
		if (file_ops_system.pwrite(fd, p, len / 2, at) < 0)
			return -1;
		errno = kit_fail_pwrite.errnum;
		return -1;
	}
	return file_ops_system.pwrite(fd, p, len > 1 ? len / 2 : len, at);
}

static int faulty_fdatasync(int fd)
{
	__atomic_fetch_add(&kit_fdatasyncs, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&kit_disk);
	pthread_mutex_unlock(&kit_disk);
	return fails(&kit_fail_fdatasync) ? -1 : fdatasync(fd);
}

static int faulty_fsync(int fd)
{
	return fails(&kit_fail_fsync) ? -1 : fsync(fd);
}

static int faulty_allocate(int fd, off_t len)
{
	return fails(&kit_fail_allocate) ? kit_fail_allocate.errnum : file_ops_system.allocate(fd, len);
}

static int faulty_truncate(int fd, off_t len)
{
	return fails(&kit_fail_truncate) ? -1 : file_ops_system.truncate(fd, len);
}

static int plain_unlink(int dirfd, const char *name)
{
	return file_ops_system.unlink(dirfd, name);
}

static int plain_rename(int dirfd, const char *from, const char *to)
{
	return file_ops_system.rename(dirfd, from, to);
}

const struct file_ops kit_files = {
	.open = faulty_open,
	.pwrite = faulty_pwrite,
	.fdatasync = faulty_fdatasync,
	.fsync = faulty_fsync,
	.allocate = faulty_allocate,
	.truncate = faulty_truncate,
	.unlink = plain_unlink,
	.rename = plain_rename,
};

void kit_faults_reset(void)
{
	struct kit_fault *const all[] = {&kit_fail_pwrite,   &kit_fail_fdatasync, &kit_fail_fsync,
					 &kit_fail_allocate, &kit_fail_open,      &kit_fail_truncate};

	for (size_t i = 0; i < countof(all); i++)
		*all[i] = (struct kit_fault){0};
	kit_fdatasyncs = kit_zeros = 0;
}

/* ---- files that forget ---- */

/* One write not synced yet: what the disk held before. */
struct undo {
	struct undo *next; /* older */
	int fd;            /* our own of the same file */
	ino_t ino;
	off_t at;
	size_t len;
	char old[];
};

static struct undo *undos;
static pthread_mutex_t undo_lock = PTHREAD_MUTEX_INITIALIZER;

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static ssize_t power_pwrite(int fd, const void *p, size_t len, off_t at)
{
	struct undo *u = calloc(1, sizeof(*u) + len);
	int again = dup(fd);

	assert_true(u && again >= 0);
	u->fd = again;
	u->ino = inode_of(fd);
	u->at = at;
	u->len = len;
	assert_true(pread(fd, u->old, len, at) >= 0);
	pthread_mutex_lock(&undo_lock);
	u->next = undos;
	undos = u;
	pthread_mutex_unlock(&undo_lock);
	return pwrite(fd, p, len, at);
}

static void forget_undos(ino_t ino)
{
	pthread_mutex_lock(&undo_lock);
	for (struct undo **at = &undos, *u; (u = *at) != NULL;) {
		if (ino && u->ino != ino) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		close(u->fd);
		free(u);
	}
	pthread_mutex_unlock(&undo_lock);
}

static int power_sync(int fd)
{
	forget_undos(inode_of(fd));
	return 0;
}

void kit_power_reset(void)
{
	forget_undos(0);
}

/* Newest first, sector by sector: most go back to what they were. */
void kit_power_cut(unsigned seed)
{
	pthread_mutex_lock(&undo_lock);
	for (struct undo *u = undos; u; u = u->next) {
		for (size_t i = 0; i < u->len;) {
			size_t n = SECTOR - (size_t)((u->at + (off_t)i) % SECTOR);

			n = n < u->len - i ? n : u->len - i;
			seed = seed * 1103515245 + 12345;
			if ((seed >> 16) % 3)
				assert_int_equal(pwrite(u->fd, u->old + i, n, u->at + (off_t)i), n);
			i += n;
		}
	}
	pthread_mutex_unlock(&undo_lock);
	kit_power_reset();
}

static int power_open(int dirfd, const char *name, int flags, mode_t mode)
{
	/* What stands there is to be read before it is overwritten. */
	if ((flags & O_ACCMODE) == O_WRONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	return file_ops_system.open(dirfd, name, flags, mode);
}

static int power_allocate(int fd, off_t len)
{
	return file_ops_system.allocate(fd, len);
}

static int power_truncate(int fd, off_t len)
{
	return file_ops_system.truncate(fd, len);
}

const struct file_ops kit_power_files = {
	.open = power_open,
	.pwrite = power_pwrite,
	.fdatasync = power_sync,
	.fsync = power_sync,
	.allocate = power_allocate,
	.truncate = power_truncate,
	.unlink = plain_unlink,
	.rename = plain_rename,
};
