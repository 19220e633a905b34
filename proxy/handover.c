#include "handover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union fd_space { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; };

enum rc handover_send(int link, int fd, const char *format, ...)
{
	char text[HANDOVER_WORD];
	union fd_space space = {.bytes = {0}};
	struct iovec iov = {.iov_base = text};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (link < 0 || n < 0 || (size_t)n >= sizeof(text))
		return RC_ERROR;
	iov.iov_len = (size_t)n;
	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = space.bytes;
		msg.msg_controllen = sizeof(space.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(link, &msg, MSG_NOSIGNAL) == n ? RC_OK : RC_ERROR;
}

enum rc handover_receive(int link, char text[HANDOVER_WORD], int *fd)
{
	union fd_space space = {.bytes = {0}};
	struct iovec iov = {.iov_base = text, .iov_len = HANDOVER_WORD - 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof(space.bytes)};
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(link, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? RC_AGAIN : RC_DECLINED;
	if (n == 0)
		return RC_DECLINED;
	text[n] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(*fd)))
			memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return RC_OK;
}

enum rc handover_each(const int *link, void (*on_word)(const char *text))
{
	char text[HANDOVER_WORD];
	enum rc rc;
	int with;

	while (*link >= 0 && (rc = handover_receive(*link, text, &with)) != RC_AGAIN) {
		if (with >= 0)
			close(with);
		if (rc != RC_OK)
			return RC_DECLINED;
		on_word(text);
	}
	return RC_OK;
}

const char *handover_rest(const char *text, const char *word)
{
	size_t len = strlen(word);

	return strncmp(text, word, len) == 0 && text[len] == ' ' ? text + len + 1 : NULL;
}

enum rc handover_number(const char *text, const char *word, uint64_t *out)
{
	const char *rest = handover_rest(text, word);
	char *end;

	if (!rest || *rest < '0' || *rest > '9')
		return RC_DECLINED;
	errno = 0;
	*out = strtoull(rest, &end, 10);
	return errno == 0 && *end == '\0' ? RC_OK : RC_DECLINED;
}
