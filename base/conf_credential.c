/*
 * conf_credential.c - secrets that a service manager hands over as files: what ${NAME} stands for where no environment
 * variable NAME is set.
 *
 * Source: systemd.exec(5), LoadCredential=. A credential is named NAME, or suimon_NAME where the unit loads a folder of
 * them under the name suimon. A newline at its end is the editor's, not the secret's. Where there is none to hand over systemd
 * sets the variable all the same and makes no folder (setup_credentials() in its core/execute.c): one that is not there is empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_run.h"

#define CREDENTIAL_MOST 65536 /* bytes; systemd allows a megabyte for all of a unit's together */

/* O_NONBLOCK: a pipe without a writer must not hang whoever reloads. */
static int open_named(const char *folder, const char *prefix, const char *name)
{
	char path[1024];
	int n = snprintf(path, sizeof(path), "%s/%s%s", folder, prefix, name), fd;
	struct stat st;

	errno = ENAMETOOLONG;
	if (n <= 0 || (size_t)n >= sizeof(path))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		errno = lstat(path, &st) == 0 ? ELOOP : ENOENT; /* a link that leads nowhere, as while a mount of secrets is renewed */
	return fd;
}

/* A file's bytes behind each other, NUL-terminated. NULL: no memory, or not what a credential is (*len is -1). */
static char *read_all(struct conf_ctx *c, int fd, ssize_t *len)
{
	struct stat st;
	char *text;
	ssize_t n;

	*len = -1;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > CREDENTIAL_MOST)
		return NULL;
	*len = 0;
	text = conf_alloc(c, (size_t)st.st_size + 1);
	while (text && *len < st.st_size) {
		n = read(fd, text + *len, (size_t)(st.st_size - *len));
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		*len += n > 0 ? n : 0;
	}
	if (text && (*len < st.st_size || memchr(text, '\0', (size_t)*len)))
		*len = -1;
	return text;
}

/* One that is there and cannot be had is a fault, and not as if it were not: an admin_token's default is none. */
enum rc conf_credential(struct conf_ctx *c, const struct conf_node *n, const char *name, const char **value)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char *text = NULL;
	ssize_t len = -1;
	int fd;

	if (!folder)
		return RC_DECLINED;
	fd = open_named(folder, "", name);
	if (fd < 0 && errno == ENOENT)
		fd = open_named(folder, "suimon_", name);
	if (fd < 0 && errno == ENOENT)
		return RC_DECLINED;
	if (fd >= 0) {
		text = read_all(c, fd, &len);
		close(fd);
	}
	if (len < 0)
		conf_fault(c, n, "the credential %s is not readable, holds a zero byte or more than %d bytes, allowed is a file of text",
			   name, CREDENTIAL_MOST);
	if (len < 0 || !text)
		return RC_ERROR;
	if (len && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	*value = text;
	return RC_OK;
}
