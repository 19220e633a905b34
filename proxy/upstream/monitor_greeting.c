#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "handshake.h"
#include "mbuf.h"
#include "monitor_impl.h"

#define MOST_GREETING 1024
#define SLICE_MS 100 /* how long a stop may go unnoticed */

struct reading {
	int fd;
	uint64_t deadline_ns;
	struct ticker *ticker;
	uint8_t bytes[PACKET_HEADER + MOST_GREETING];
	size_t len;
};

static enum rc wait_for(struct reading *r, short events)
{
	struct pollfd p = {.fd = r->fd, .events = events};

	while (clock_mono_ns() < r->deadline_ns && !ticker_stopping(r->ticker)) {
		int rc = poll(&p, 1, SLICE_MS);

		if (rc > 0)
			return RC_OK;
		if (rc < 0 && errno != EINTR)
			return RC_ERROR;
	}
	errno = ETIMEDOUT;
	return RC_ERROR;
}

static enum rc connect_to(struct reading *r, struct backend *b)
{
	struct sockaddr_storage addr;
	socklen_t len, errlen = sizeof(int);
	int err = 0;

	if (backend_address(b, &addr, &len) != RC_OK) {
		errno = EDESTADDRREQ;
		return RC_ERROR;
	}
	r->fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->fd < 0)
		return RC_ERROR;
	if (connect(r->fd, (struct sockaddr *)&addr, len) == 0)
		return RC_OK;
	if (errno != EINPROGRESS || wait_for(r, POLLOUT) != RC_OK)
		return RC_ERROR;
	if (getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &err, &errlen) == 0 && err == 0)
		return RC_OK;
	errno = err;
	return RC_ERROR;
}

/* Reads on until need bytes are there. */
static enum rc fill(struct reading *r, size_t need)
{
	while (r->len < need) {
		ssize_t n;

		if (wait_for(r, POLLIN) != RC_OK)
			return RC_ERROR;
		n = recv(r->fd, r->bytes + r->len, need - r->len, 0);
		if (n == 0) {
			errno = ECONNRESET;
			return RC_ERROR;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return RC_ERROR;
		if (n > 0)
			r->len += (size_t)n;
	}
	return RC_OK;
}

static enum rc read_packet(struct reading *r, struct span *payload)
{
	struct mbuf m;
	uint64_t len;

	if (fill(r, PACKET_HEADER) != RC_OK)
		return RC_ERROR;
	m = mbuf_of(r->bytes, PACKET_HEADER);
	if (mbuf_uint(&m, 3, &len) != RC_OK || len > MOST_GREETING) {
		errno = EPROTO;
		return RC_ERROR;
	}
	if (fill(r, PACKET_HEADER + len) != RC_OK)
		return RC_ERROR;
	*payload = span_of(r->bytes + PACKET_HEADER, len);
	return RC_OK;
}

static enum rc take(struct backend *b, struct span payload, char *problem, size_t cap)
{
	struct backend_identity id = {0};
	struct greeting g;
	struct err_packet e;
	enum rc rc = handshake_parse_greeting(payload, &g);

	if (rc == RC_OK) {
		memcpy(id.version, g.version, sizeof(id.version));
		id.caps = g.caps;
		id.collation = g.collation;
		id.mariadb = g.mariadb;
		backend_identify(b, &id);
	} else if (rc == RC_DECLINED && packet_parse_err(payload, &e) == RC_OK) {
		snprintf(problem, cap, SPAN_FMT, SPAN_ARG(e.message));
	} else {
		snprintf(problem, cap, "what answers there is no MySQL or MariaDB server");
		rc = RC_ERROR;
	}
	return rc;
}

enum rc monitor_greeting(struct backend *b, uint64_t limit_ns, struct ticker *t, char *problem, size_t cap)
{
	struct reading r = {.fd = -1, .deadline_ns = clock_mono_ns() + limit_ns, .ticker = t};
	struct span payload;
	enum rc rc = connect_to(&r, b);
	char why[128];

	if (rc == RC_OK)
		rc = read_packet(&r, &payload);
	if (rc == RC_OK)
		rc = take(b, payload, problem, cap);
	else
		snprintf(problem, cap, "no greeting: %s", strerror_r(errno, why, sizeof(why)));
	if (r.fd >= 0)
		close(r.fd);
	return rc;
}
