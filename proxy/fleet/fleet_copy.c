#include "fleet_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "mem.h"
#include "random.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* linux/memfd.h, which libraries before it lack */
#endif
#define HEAD_MAX 512 /* bytes of the first line */
#define HEAD_WORD "suimon-shared 1 "
#define NEW_DIGITS 16
#define NEW_END ".new"
#define STALE_SECONDS 3600 /* a write takes none of them */

enum rc fleet_doc_set(struct fleet_doc *d, uint64_t version, struct span sum, struct span text)
{
	char *copy = mem_dup(text.len ? text.p : "", text.len);

	if (!copy)
		return RC_ERROR;
	mem_free(d->text);
	*d = (struct fleet_doc){.version = version, .text = copy, .len = text.len};
	(void)snprintf(d->sum, sizeof(d->sum), SPAN_FMT, SPAN_ARG(sum));
	return RC_OK;
}

void fleet_doc_reset(struct fleet_doc *d)
{
	mem_free(d->text);
	*d = (struct fleet_doc){.version = 0};
}

/* ---- reading ---- */

static enum rc read_some(int fd, char *buf, size_t cap, size_t *len)
{
	for (*len = 0; *len < cap;) {
		ssize_t n = read(fd, buf + *len, cap - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return RC_ERROR;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return RC_OK;
}

/* The words of the first line, whose end is a NUL now. */
static const char *parse(char *head, struct span text, const char *key, struct fleet_doc *out)
{
	static const char damaged[] = "it is damaged";
	char *at = head + sizeof(HEAD_WORD) - 1, *end, sum[FLEET_STORE_SUM];
	uint64_t version;

	if (strncmp(head, HEAD_WORD, sizeof(HEAD_WORD) - 1) != 0 || *at < '1' || *at > '9')
		return damaged;
	errno = 0;
	version = strtoull(at, &end, 10);
	if (errno || version > FLEET_STORE_VERSION_MAX || *end != ' ' || strcspn(end + 1, " ") != FLEET_STORE_SUM - 1 ||
	    end[FLEET_STORE_SUM] != ' ')
		return damaged;
	end[FLEET_STORE_SUM] = '\0';
	fleet_store_sum(text, sum);
	if (strcmp(sum, end + 1) != 0)
		return damaged;
	if (strcmp(end + FLEET_STORE_SUM + 1, key) != 0)
		return "it is of another key";
	return fleet_doc_set(out, version, span_str(sum), text) == RC_OK ? NULL : "out of memory";
}

static const char *take(char *buf, size_t len, const char *key, struct fleet_doc *out)
{
	char *nl = memchr(buf, '\n', len < HEAD_MAX ? len : HEAD_MAX);

	if (!nl || memchr(buf, '\0', (size_t)(nl - buf)))
		return "it is damaged";
	*nl = '\0';
	return parse(buf, span_of(nl + 1, len - (size_t)(nl - buf) - 1), key, out);
}

enum rc fleet_copy_take(int fd, const char *key, struct fleet_doc *out, const char **why)
{
	const size_t cap = CONF_MAX_BYTES + HEAD_MAX;
	char *buf = mem_alloc(cap);
	size_t len;

	*out = (struct fleet_doc){.version = 0};
	*why = "out of memory";
	if (buf)
		*why = read_some(fd, buf, cap, &len) == RC_OK ? take(buf, len, key, out) : strerror(errno);
	mem_free(buf);
	return *why ? RC_ERROR : RC_OK;
}

enum rc fleet_copy_read(const char *path, const char *key, struct fleet_doc *out, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	enum rc rc;

	*out = (struct fleet_doc){.version = 0};
	if (fd < 0) {
		*why = strerror(errno);
		return errno == ENOENT ? RC_DECLINED : RC_ERROR;
	}
	rc = fleet_copy_take(fd, key, out, why);
	(void)close(fd);
	return rc;
}

/* ---- writing ---- */

/* A name that nobody else writes to: an upgrade's two processes, and tasks with one volume, have one copy. */
static char *new_name(const char *path)
{
	uint64_t n;

	return random_bytes(&n, sizeof(n)) == RC_OK ? mem_printf("%s.%0*" PRIx64 NEW_END, path, NEW_DIGITS, n) : NULL;
}

static enum rc replace(const char *path, const char *new_path, struct span bytes)
{
	enum rc rc = file_replace(path, new_path, bytes);
	int why = errno;

	if (rc != RC_OK)
		(void)unlink(new_path);
	errno = why;
	return rc;
}

static enum rc put(struct iobuf *out, const char *key, const struct fleet_doc *d)
{
	enum rc rc;

	iobuf_init(out, 0);
	errno = ENOMEM;
	rc = iobuf_printf(out, HEAD_WORD "%" PRIu64 " %s %s\n", d->version, d->sum, key);
	return rc == RC_OK ? iobuf_append(out, d->text, d->len) : rc;
}

/* Sealed against being a program, which a host may demand (vm.memfd_noexec); a kernel before 6.3 does not know that. */
static int in_memory(void)
{
	int fd = memfd_create("suimon-shared", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	return fd >= 0 || errno != EINVAL ? fd : memfd_create("suimon-shared", MFD_CLOEXEC);
}

int fleet_copy_lend(const char *key, const struct fleet_doc *d)
{
	struct iobuf out;
	int fd = put(&out, key, d) == RC_OK ? in_memory() : -1;

	if (fd >= 0 && (file_write_all(fd, span_of(iobuf_data(&out), iobuf_len(&out))) != RC_OK || lseek(fd, 0, SEEK_SET) != 0)) {
		(void)close(fd);
		fd = -1;
	}
	iobuf_reset(&out);
	return fd;
}

enum rc fleet_copy_write(const char *path, const char *key, const struct fleet_doc *d)
{
	char *new_path = new_name(path);
	struct iobuf out;
	enum rc rc = put(&out, key, d);

	if (rc == RC_OK)
		rc = new_path ? replace(path, new_path, span_of(iobuf_data(&out), iobuf_len(&out))) : RC_ERROR;
	iobuf_reset(&out);
	mem_free(new_path);
	return rc;
}

/* ---- what a crash has left ---- */

/* Is it "BASE.HEX.new"? */
static bool is_new_name(const char *name, const char *base)
{
	size_t len = strlen(base);

	return strncmp(name, base, len) == 0 && name[len] == '.' && strspn(name + len + 1, "0123456789abcdef") == NEW_DIGITS &&
	       strcmp(name + len + 1 + NEW_DIGITS, NEW_END) == 0;
}

static bool is_stale(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_mtime < (time_t)(clock_wall_us() / 1000000) - STALE_SECONDS;
}

void fleet_copy_tidy(const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char *folder = !slash ? mem_strdup(".") : mem_printf("%.*s", (int)(base - path), path);
	DIR *dir = folder ? opendir(folder) : NULL;
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL)
		if (is_new_name(e->d_name, base) && is_stale(dirfd(dir), e->d_name))
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		(void)closedir(dir);
	mem_free(folder);
}
