#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096

enum rc file_write_all(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.p, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return RC_ERROR;
		bytes = span_of(bytes.p + n, bytes.len - (size_t)n);
	}
	return RC_OK;
}

/* The name itself must last, too. */
static enum rc sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX_BYTES];
	int fd, rc;

	(void)snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return RC_ERROR;
	rc = fsync(fd);
	(void)close(fd);
	return rc == 0 ? RC_OK : RC_ERROR;
}

enum rc file_replace(const char *path, const char *new_path, struct span bytes)
{
	int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	enum rc rc;

	if (fd < 0)
		return RC_ERROR;
	rc = file_write_all(fd, bytes);
	if (rc == RC_OK && fsync(fd) != 0)
		rc = RC_ERROR;
	if (close(fd) != 0)
		rc = RC_ERROR;
	if (rc == RC_OK && rename(new_path, path) != 0)
		rc = RC_ERROR;
	return rc == RC_OK ? sync_folder(path) : rc;
}
