#include "lineout.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* from seeing that there is room to having used it */

static bool has_room(int fd, int wait_ms)
{
	struct pollfd out = {.fd = fd, .events = POLLOUT};

	return poll(&out, 1, wait_ms) == 1 && (out.revents & POLLOUT);
}

/*
 * A terminal has room for a byte and not for a line, and a write would wait for the rest. Opened anew it has a state of its own, in which
 * nothing waits; where it cannot be, -1. Once for each, for good. Under the lock.
 */
static int terminal(int fd)
{
	static int opened[STDERR_FILENO + 1] = {-2, -2, -2};
	char name[128];

	if (fd < 0 || fd > STDERR_FILENO)
		return -1;
	if (opened[fd] == -2)
		opened[fd] = ttyname_r(fd, name, sizeof(name)) == 0 ? open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
	return opened[fd];
}

/* Another process may have taken the room meanwhile: a socket says so instead of waiting, and so does a pipe of newer kernels. */
static ssize_t write_once(int fd, mode_t mode, struct span line)
{
	int tty = S_ISCHR(mode) ? terminal(fd) : -1;

	if (S_ISSOCK(mode))
		return send(fd, line.p, line.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (tty >= 0)
		return write(tty, line.p, line.len);
#ifdef RWF_NOWAIT
	if (S_ISFIFO(mode)) {
		struct iovec part = {.iov_base = (void *)(uintptr_t)line.p, .iov_len = line.len};
		ssize_t n = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);

		if (n >= 0 || errno == EAGAIN || errno == EPIPE)
			return n;
	}
#endif
	return write(fd, line.p, line.len);
}

static enum rc write_if_room(int fd, mode_t mode, struct span line)
{
	ssize_t n = -1;

	pthread_mutex_lock(&lock);
	errno = EAGAIN;
	if (has_room(fd, 0))
		n = write_once(fd, mode, line);
	pthread_mutex_unlock(&lock);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? RC_DECLINED : RC_ERROR;
	return (size_t)n == line.len ? RC_OK : RC_ERROR;
}

enum rc lineout_write(int fd, struct span line, int wait_ms)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return RC_ERROR;
	if (S_ISREG(st.st_mode))
		return file_write_all(fd, line); /* takes what it is given, unless the disk is full */
	if (wait_ms)
		(void)has_room(fd, wait_ms); /* not under the lock */
	return write_if_room(fd, st.st_mode, line);
}
