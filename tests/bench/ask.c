/*
 * ask.c - asks one statement over and over on many connections from one thread, as redis-benchmark asks Redis: where the
 * processor time of a server is compared with redis-server's, the client must not be what differs.
 *
 * usage: bench_ask HOST PORT USER PASSWORD SCHEMA CONNECTIONS REQUESTS STATEMENT
 * Every answer has to be as long as the first one. Prints how many were asked a second.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <mysql.h>

#define CONNECTIONS_MOST 1024
#define STATEMENT_MOST 4096
#define HEADER 5     /* a packet's, and the command */
#define COM_QUERY_BYTE 3
#define QUIET_MS 300 /* an answer is whole when nothing follows for so long */
#define PATIENCE_MS 30000

static struct { int fd; size_t got; } conns[CONNECTIONS_MOST];
static char packet[HEADER + STATEMENT_MOST];
static size_t packet_len;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench_ask: %s: %s\n", what, why);
	exit(1);
}

static int log_in(char **argv)
{
	MYSQL *m = mysql_init(NULL);

	if (!m || !mysql_real_connect(m, argv[1], argv[3], argv[4], argv[5], (unsigned)strtoul(argv[2], NULL, 10), NULL, 0))
		die("login", m ? mysql_error(m) : "no memory");
	return (int)mysql_get_socket(m); /* the library has no further part in it */
}

static void set_statement(const char *sql)
{
	size_t len = strlen(sql) + 1;

	packet[0] = (char)(len & 0xff);
	packet[1] = (char)(len >> 8);
	packet[HEADER - 1] = COM_QUERY_BYTE;
	memcpy(packet + HEADER, sql, len - 1);
	packet_len = len + HEADER - 1;
}

static void ask(int fd)
{
	if (send(fd, packet, packet_len, MSG_NOSIGNAL) != (ssize_t)packet_len)
		die("send", strerror(errno));
}

/* Bytes that were there; 0: none. */
static size_t take(int fd)
{
	static char room[65536];
	ssize_t n = recv(fd, room, sizeof(room), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("receive", n ? strerror(errno) : "the connection was closed");
	return n > 0 ? (size_t)n : 0;
}

static size_t length_of_an_answer(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;

	ask(fd);
	while (poll(&p, 1, len ? QUIET_MS : PATIENCE_MS) > 0)
		len += take(fd);
	if (len == 0)
		die("the first answer", "none within 30 s");
	return len;
}

/* True when its answer is whole now. */
static bool answered(unsigned c, size_t len)
{
	conns[c].got += take(conns[c].fd);
	if (conns[c].got < len)
		return false;
	if (conns[c].got > len)
		die("an answer", "it is longer than the first one was");
	conns[c].got = 0;
	return true;
}

static void run(int ep, unsigned long requests, size_t len, unsigned nconns)
{
	unsigned long asked = 0, done = 0;
	struct epoll_event ready[64];

	for (unsigned i = 0; i < nconns && asked < requests; i++, asked++)
		ask(conns[i].fd);
	while (done < requests) {
		int n = epoll_wait(ep, ready, 64, PATIENCE_MS);

		if (n <= 0)
			die("wait", n ? strerror(errno) : "no answer within 30 s");
		for (int i = 0; i < n; i++) {
			if (!answered(ready[i].data.u32, len))
				continue;
			done++;
			if (asked < requests) {
				ask(conns[ready[i].data.u32].fd);
				asked++;
			}
		}
	}
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned long requests, nconns;
	double began;
	size_t len;
	int ep = epoll_create1(0);

	if (argc != 9 || strlen(argv[8]) > STATEMENT_MOST)
		die("usage", "bench_ask HOST PORT USER PASSWORD SCHEMA CONNECTIONS REQUESTS STATEMENT");
	nconns = strtoul(argv[6], NULL, 10);
	requests = strtoul(argv[7], NULL, 10);
	if (nconns == 0 || nconns > CONNECTIONS_MOST || requests == 0)
		die("usage", "CONNECTIONS is 1 to 1024, REQUESTS at least 1");
	set_statement(argv[8]);
	for (unsigned i = 0; i < nconns; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};

		conns[i].fd = log_in(argv);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &e) != 0)
			die("epoll", strerror(errno));
	}
	len = length_of_an_answer(conns[0].fd);
	began = now();
	run(ep, requests, len, (unsigned)nconns);
	printf("%.0f\n", (double)requests / (now() - began));
	return 0;
}
