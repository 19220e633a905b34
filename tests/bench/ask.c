/*
 * ask.c - asks one statement over and over on many connections from one thread, as redis-benchmark asks Redis: where what a server
 * costs is compared, what the client costs must not be what differs, nor most of it.
 *
 * usage: bench_ask HOST PORT USER PASSWORD SCHEMA CONNECTIONS REQUESTS|SECONDSs[@RATE] STATEMENT
 * With a RATE so many are asked a second, by one connection after the other that waits for nothing; else each asks when it has its answer.
 * In the statement $c stands for the connection's number, $n for how often was asked, $r for a number from 1 to 100000, $k to 10000.
 * An OK is an answer; a result has to be as long as the first one; an error ends the run. Prints how many were answered a second,
 * how many in all, and the median of their times in ms.
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
#define DIGITS_MOST 20
#define HEADER 4     /* a packet's: its length in three bytes, its number */
#define COM_QUERY_BYTE 3
#define OK_BYTE 0
#define ERR_BYTE 0xff
#define QUIET_MS 300 /* an answer is whole when nothing follows for so long */
#define PATIENCE_MS 30000
#define SLOWEST_US 1000000 /* slower ones count as this */

static struct { int fd; size_t got; double asked_at; } conns[CONNECTIONS_MOST];
static const char *template;
static unsigned long asked, done;
static unsigned idle[CONNECTIONS_MOST], idle_first, nidle; /* a ring: who waits for nothing, the longest first */
static uint32_t took_us[SLOWEST_US + 1]; /* answers that took so long */

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench_ask: %s: %s\n", what, why);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int log_in(char **argv)
{
	MYSQL *m = mysql_init(NULL);

	if (!m || !mysql_real_connect(m, argv[1], argv[3], argv[4], argv[5], (unsigned)strtoul(argv[2], NULL, 10), NULL, 0))
		die("login", m ? mysql_error(m) : "no memory");
	return (int)mysql_get_socket(m); /* the library has no further part in it */
}

static size_t put_number(char *to, unsigned long n)
{
	char digits[DIGITS_MOST];
	size_t len = 0;

	do {
		digits[DIGITS_MOST - ++len] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	memcpy(to, digits + DIGITS_MOST - len, len);
	return len;
}

/* 1 to that. xorshift64: Marsaglia, "Xorshift RNGs", 2003. */
static unsigned long any(unsigned long most)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return 1 + x % most;
}

/* The packet of the next question; its length. */
static size_t make_packet(char *to, unsigned c)
{
	char *end = to + HEADER;
	size_t len;

	*end++ = COM_QUERY_BYTE;
	for (const char *p = template; *p; p++) {
		if (p[0] != '$' || !p[1] || !strchr("cnrk", p[1])) {
			*end++ = *p;
			continue;
		}
		p++;
		end += put_number(end, *p == 'c' ? c : *p == 'n' ? asked : any(*p == 'r' ? 100000 : 10000));
	}
	len = (size_t)(end - to) - HEADER;
	for (unsigned i = 0; i < 3; i++)
		to[i] = (char)(len >> 8 * i & 0xff);
	to[3] = 0;
	return len + HEADER;
}

static void ask(unsigned c)
{
	static char packet[HEADER + 1 + STATEMENT_MOST / 2 * DIGITS_MOST];
	size_t len = make_packet(packet, c);

	conns[c].asked_at = now();
	if (send(conns[c].fd, packet, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send", strerror(errno));
	asked++;
}

/* Bytes that were there, 0: none. whole: they are one packet that is an answer by itself. */
static size_t take(int fd, bool *whole)
{
	static unsigned char room[65536];
	ssize_t n = recv(fd, room, sizeof(room) - 1, MSG_DONTWAIT);
	size_t len = room[0] | (size_t)room[1] << 8 | (size_t)room[2] << 16;

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("receive", n ? strerror(errno) : "the connection was closed");
	*whole = n > HEADER && room[HEADER] == OK_BYTE && (size_t)n == len + HEADER;
	if (n > HEADER && room[HEADER] == ERR_BYTE && (size_t)n == len + HEADER) {
		room[n] = 0;
		die("an answer", (char *)room + HEADER + 3);
	}
	return n > 0 ? (size_t)n : 0;
}

static size_t length_of_an_answer(void)
{
	struct pollfd p = {.fd = conns[0].fd, .events = POLLIN};
	size_t len = 0;
	bool whole;

	ask(0);
	while (poll(&p, 1, len ? QUIET_MS : PATIENCE_MS) > 0)
		len += take(conns[0].fd, &whole);
	if (len == 0)
		die("the first answer", "none within 30 s");
	return len;
}

/* True when its answer is whole now. len: a result's. */
static bool answered(unsigned c, size_t len)
{
	size_t before = conns[c].got, us;
	bool whole;

	conns[c].got += take(conns[c].fd, &whole);
	if (!(whole && before == 0)) {
		if (conns[c].got < len)
			return false;
		if (conns[c].got > len)
			die("an answer", "it is longer than the first one was");
	}
	conns[c].got = 0;
	idle[(idle_first + nidle++) % CONNECTIONS_MOST] = c;
	us = (size_t)((now() - conns[c].asked_at) * 1e6);
	took_us[us < SLOWEST_US ? us : SLOWEST_US]++;
	done++;
	return true;
}

/* How much, each 0: not limited by that. */
struct load { unsigned long requests, seconds, rate; };

/* How many may have been asked after so long. */
static double due(const struct load *l, double took)
{
	if (l->seconds && took >= (double)l->seconds)
		return 0;
	return l->requests ? (double)l->requests : l->rate ? 1 + took * (double)l->rate : 1e18;
}

static void run(int ep, const struct load *l, size_t len, unsigned nconns)
{
	double began = now(), heard = began, may;
	struct epoll_event ready[64];

	asked = done = 0;
	for (nidle = 0; nidle < nconns; nidle++)
		idle[nidle] = nidle;
	while ((may = due(l, now() - began)) > 0 || done < asked) {
		int n;

		for (; nidle && (double)asked < may; nidle--, idle_first = (idle_first + 1) % CONNECTIONS_MOST)
			ask(idle[idle_first]);
		if (l->requests && done >= l->requests)
			return;
		n = epoll_wait(ep, ready, 64, l->rate ? 1 : PATIENCE_MS);
		if (n < 0)
			die("wait", strerror(errno));
		for (int i = 0; i < n; i++)
			(void)answered(ready[i].data.u32, len);
		if (n || done == asked)
			heard = now();
		else if (now() - heard > PATIENCE_MS / 1000.0)
			die("wait", "no answer within 30 s");
	}
}

static double median_ms(void)
{
	unsigned long seen = 0;
	size_t us = 0;

	while (us < SLOWEST_US && (seen += took_us[us]) * 2 < done)
		us++;
	return (double)us / 1000;
}

int main(int argc, char **argv)
{
	struct load load = {0};
	unsigned long nconns;
	const char *much;
	double began;
	size_t len;
	int ep = epoll_create1(0);

	if (argc != 9 || strlen(argv[8]) > STATEMENT_MOST)
		die("usage", "bench_ask HOST PORT USER PASSWORD SCHEMA CONNECTIONS REQUESTS|SECONDSs[@RATE] STATEMENT");
	nconns = strtoul(argv[6], NULL, 10);
	much = argv[7] + strspn(argv[7], "0123456789");
	*(*much == 's' ? &load.seconds : &load.requests) = strtoul(argv[7], NULL, 10);
	if (*much == 's' && much[1] == '@')
		load.rate = strtoul(much + 2, NULL, 10);
	if (nconns == 0 || nconns > CONNECTIONS_MOST || (load.seconds == 0 && load.requests == 0))
		die("usage", "CONNECTIONS is 1 to 1024, REQUESTS or SECONDS at least 1");
	template = argv[8];
	for (unsigned i = 0; i < nconns; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};

		conns[i].fd = log_in(argv);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &e) != 0)
			die("epoll", strerror(errno));
	}
	len = length_of_an_answer();
	began = now();
	run(ep, &load, len, (unsigned)nconns);
	printf("%.0f %lu %.3f\n", (double)done / (now() - began), done, median_ms());
	return 0;
}
