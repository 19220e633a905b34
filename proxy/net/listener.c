#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <event2/event.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define BACKLOG 4096
#define ACCEPTS_A_WAKEUP 64

struct listener {
	int fd;
	struct event *event;
	listener_accept_fn fn;
	void *arg;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* of a unix socket, removed at stop */
	struct event *retry;   /* after EMFILE: accept again in a while */
	struct listener_trouble trouble;
	bool paused;
};

void listener_peer_name(const struct sockaddr *sa, char *out, size_t cap)
{
	if (sa->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, out, (socklen_t)cap);
	else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr))
		inet_ntop(AF_INET, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr[12], out, (socklen_t)cap);
	else if (sa->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, out, (socklen_t)cap);
	else
		snprintf(out, cap, "unix");
}

void listener_refused(struct listener_trouble *t, const char *subsystem, int error)
{
	if (!t->failed_ns)
		log_error(subsystem, "cannot accept: raise the limit of open files (ulimit -n) or lower max_connections",
			  "error=\"%s\"", strerror(error));
	t->failed_ns = clock_mono_ns();
}

void listener_accepted(struct listener_trouble *t, const char *subsystem)
{
	if (t->failed_ns == 0 || clock_mono_ns() - t->failed_ns < NS_PER_SEC)
		return;
	t->failed_ns = 0;
	log_info(subsystem, "accepts again", NULL);
}

/* Out of descriptors: the pending connection stays in the backlog; asking again at once would spin. */
static void accept_later(struct listener *l, int error)
{
	struct timeval tv = {.tv_usec = 100000};

	listener_refused(&l->trouble, "listener", error);
	event_del(l->event);
	event_add(l->retry, &tv);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	if (l->fd >= 0 && !l->paused)
		event_add(l->event, NULL);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	for (int i = 0; i < ACCEPTS_A_WAKEUP && l->fd >= 0; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		char peer[INET6_ADDRSTRLEN];
		int c = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (c < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				accept_later(l, errno);
			return;
		}
		listener_accepted(&l->trouble, "listener");
		listener_peer_name((struct sockaddr *)&ss, peer, sizeof(peer));
		l->fn(l->arg, c, peer);
	}
}

static int bind_unix(const char *path, char *err, size_t cap)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, probe;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		snprintf(err, cap, "unix:%s: the path is too long (at most %zu bytes)", path, sizeof(sun.sun_path) - 1);
		return -1;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe >= 0) {
		if (connect(probe, (struct sockaddr *)&sun, sizeof(sun)) != 0 && errno == ECONNREFUSED &&
		    stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
			unlink(path); /* left by a process that is gone */
		close(probe);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 || listen(fd, BACKLOG) != 0) {
		snprintf(err, cap, "cannot listen on unix:%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	(void)chmod(path, 0666);
	return fd;
}

static int bind_tcp(const char *host, uint16_t port, char *err, size_t cap)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list = NULL;
	char service[8];
	int fd = -1, one = 1, rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0) {
		snprintf(err, cap, "cannot resolve %s: %s", host, gai_strerror(rc));
		return -1;
	}
	for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
			break;
		rc = errno;
		close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	if (fd < 0)
		snprintf(err, cap, "cannot listen on %s:%u: %s", host, port, strerror(rc));
	return fd;
}

struct listener *listener_take(struct loop *loop, int fd, listener_accept_fn fn, void *arg, char *err, size_t err_cap)
{
	struct listener *l = mem_zalloc(sizeof(*l));

	snprintf(err, err_cap, "out of memory");
	if (!l) {
		close(fd);
		return NULL;
	}
	l->fn = fn;
	l->arg = arg;
	l->fd = fd;
	if (evutil_make_socket_nonblocking(fd) == 0 && evutil_make_socket_closeonexec(fd) == 0) {
		l->event = event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, on_acceptable, l);
		l->retry = evtimer_new(loop_base(loop), on_retry, l);
	}
	if (l->event && l->retry && event_add(l->event, NULL) == 0)
		return l;
	listener_free(l);
	return NULL;
}

struct listener *listener_open(struct loop *loop, const char *host, uint16_t port, int is_unix, listener_accept_fn fn,
			       void *arg, char *err, size_t err_cap)
{
	int fd = is_unix ? bind_unix(host, err, err_cap) : bind_tcp(host, port, err, err_cap);
	struct listener *l = fd >= 0 ? listener_take(loop, fd, fn, arg, err, err_cap) : NULL;

	if (l && is_unix)
		listener_owns(l, host);
	return l;
}

void listener_owns(struct listener *l, const char *path)
{
	snprintf(l->path, sizeof(l->path), "%s", path);
}

int listener_fd(const struct listener *l)
{
	return l->fd;
}

enum rc listener_pause(struct listener *l, bool pause)
{
	l->paused = pause;
	if (l->fd < 0)
		return RC_OK;
	return (pause ? event_del(l->event) : event_add(l->event, NULL)) == 0 ? RC_OK : RC_ERROR;
}

void listener_leave(struct listener *l)
{
	l->path[0] = '\0';
	listener_stop(l);
}

uint16_t listener_port(const struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (l->fd < 0 || getsockname(l->fd, (struct sockaddr *)&ss, &len) != 0)
		return 0;
	if (ss.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&ss)->sin_port);
	if (ss.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
	return 0;
}

void listener_stop(struct listener *l)
{
	if (!l || l->fd < 0)
		return;
	if (l->event)
		event_del(l->event);
	if (l->retry)
		event_del(l->retry);
	if (l->path[0]) /* while nobody else can bind it */
		unlink(l->path);
	close(l->fd);
	l->fd = -1;
}

void listener_free(struct listener *l)
{
	if (!l)
		return;
	listener_stop(l);
	if (l->event)
		event_free(l->event);
	if (l->retry)
		event_free(l->retry);
	mem_free(l);
}
