/*
 * A scripted Redis that does what it likes (F2): at each command it answers with something malformed, oversized, of the
 * wrong type, too much, too little, or with nothing. Whatever it is, a look-up is a miss within its limit, nothing is
 * served that was not stored, and when the server behaves again the cache comes back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache_testing.h"
#include "clock.h"
#include "rc.h"

#define CLIENTS 16
#define INPUT 65536

struct peer {
	int fd; /* -1: free */
	bool subscribed;
	char in[INPUT];
	size_t len;
};

/* One thread; a very small Redis that stores nothing. */
static struct {
	pthread_t thread;
	int listener;
	unsigned port;
	_Atomic bool stop;
	_Atomic(const char *) command; /* answered wrongly: its name, or NULL */
	_Atomic(const char *) answer;  /* what instead; "" closes the connection, "-" says nothing */
	struct peer peer[CLIENTS];
} evil;

static void say(struct peer *p, const char *bytes, size_t len)
{
	if (p->fd >= 0 && send(p->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN) {
		close(p->fd);
		p->fd = -1;
	}
}

static void say_text(struct peer *p, const char *text)
{
	say(p, text, strlen(text));
}

struct arg { const char *p; size_t len; };

static void publish(const struct arg *channel, const struct arg *message)
{
	char head[128];

	for (unsigned i = 0; i < CLIENTS; i++) {
		if (evil.peer[i].fd < 0 || !evil.peer[i].subscribed)
			continue;
		say(&evil.peer[i], head, (size_t)snprintf(head, sizeof(head), "*3\r\n$7\r\nmessage\r\n$%zu\r\n%.*s\r\n$%zu\r\n",
							   channel->len, (int)channel->len, channel->p, message->len));
		say(&evil.peer[i], message->p, message->len);
		say(&evil.peer[i], "\r\n", 2);
	}
}

static bool is(const struct arg *a, const char *word)
{
	return a->len == strlen(word) && memcmp(a->p, word, a->len) == 0;
}

static void answer_mget(struct peer *p, unsigned n)
{
	char head[32];

	say(p, head, (size_t)snprintf(head, sizeof(head), "*%u\r\n", n - 1));
	for (unsigned i = 1; i < n; i++)
		say_text(p, "$16\r\n0123456789abcdef\r\n");
}

static void answer_well(struct peer *p, const struct arg *a, unsigned n)
{
	char text[128];

	if (is(&a[0], "INFO"))
		say_text(p, "$16\r\n# x\r\nrun_id:ab\r\n\r\n");
	else if (is(&a[0], "SUBSCRIBE"))
		p->subscribed = true, say_text(p, "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
	else if (is(&a[0], "PING"))
		say(p, text, (size_t)snprintf(text, sizeof(text), "*2\r\n$4\r\npong\r\n$8\r\n")), say(p, a[1].p, 8), say(p, "\r\n", 2);
	else if (is(&a[0], "PUBLISH"))
		publish(&a[1], &a[2]), say_text(p, ":1\r\n");
	else if (is(&a[0], "EVAL"))
		publish(&a[n - 2], &a[n - 1]), say_text(p, ":1\r\n");
	else if (is(&a[0], "MGET"))
		answer_mget(p, n);
	else if (is(&a[0], "GET"))
		say_text(p, "$-1\r\n");
	else if (is(&a[0], "PTTL"))
		say_text(p, ":-2\r\n");
	else
		say_text(p, "+OK\r\n");
}

static void answer(struct peer *p, const struct arg *a, unsigned n)
{
	const char *command = evil.command, *instead = evil.answer;

	if (!command || !is(&a[0], command)) {
		answer_well(p, a, n);
	} else if (!instead[0]) {
		close(p->fd);
		p->fd = -1;
	} else if (strcmp(instead, "-") != 0) {
		say_text(p, instead);
	}
}

/* One command off the input, which only our own client writes. Returns its bytes, 0: not complete yet. */
static size_t take_command(struct peer *p)
{
	struct arg a[600];
	char *at = p->in, *end = p->in + p->len, *eol;
	unsigned n;

	if (!(eol = memmem(at, p->len, "\r\n", 2)))
		return 0;
	n = (unsigned)strtoul(at + 1, NULL, 10);
	at = eol + 2;
	for (unsigned i = 0; i < n; i++) {
		eol = memmem(at, (size_t)(end - at), "\r\n", 2);
		if (!eol)
			return 0;
		a[i].len = strtoul(at + 1, NULL, 10);
		a[i].p = eol + 2;
		if ((size_t)(end - a[i].p) < a[i].len + 2)
			return 0;
		at = eol + 2 + a[i].len + 2;
	}
	answer(p, a, n);
	return (size_t)(at - p->in);
}

static void listen_to(struct peer *p)
{
	ssize_t n = recv(p->fd, p->in + p->len, sizeof(p->in) - p->len, MSG_DONTWAIT);
	size_t used;

	if (n <= 0) {
		close(p->fd);
		p->fd = -1;
		return;
	}
	p->len += (size_t)n;
	while (p->fd >= 0 && (used = take_command(p)) > 0) {
		memmove(p->in, p->in + used, p->len - used);
		p->len -= used;
	}
}

static void welcome(void)
{
	int fd = accept4(evil.listener, NULL, NULL, SOCK_CLOEXEC), one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* answers go out in many small pieces */
	for (unsigned i = 0; i < CLIENTS && fd >= 0; i++) {
		if (evil.peer[i].fd >= 0)
			continue;
		evil.peer[i] = (struct peer){.fd = fd};
		return;
	}
	close(fd);
}

static void *evil_run(void *arg)
{
	while (!evil.stop) {
		struct pollfd p[CLIENTS + 1];

		for (unsigned i = 0; i < CLIENTS; i++)
			p[i] = (struct pollfd){.fd = evil.peer[i].fd, .events = POLLIN};
		p[CLIENTS] = (struct pollfd){.fd = evil.listener, .events = POLLIN};
		if (poll(p, CLIENTS + 1, 10) <= 0)
			continue;
		for (unsigned i = 0; i < CLIENTS; i++) {
			if (p[i].revents && evil.peer[i].fd >= 0)
				listen_to(&evil.peer[i]);
		}
		if (p[CLIENTS].revents)
			welcome();
	}
	return NULL;
}

static int setup(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	for (unsigned i = 0; i < CLIENTS; i++)
		evil.peer[i].fd = -1;
	evil.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(evil.listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(evil.listener, 16), 0);
	assert_int_equal(getsockname(evil.listener, (struct sockaddr *)&a, &len), 0);
	evil.port = ntohs(a.sin_port);
	return pthread_create(&evil.thread, NULL, evil_run, NULL);
}

static int teardown(void **state)
{
	evil.stop = true;
	pthread_join(evil.thread, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (evil.peer[i].fd >= 0)
			close(evil.peer[i].fd);
	}
	close(evil.listener);
	return 0;
}

static void misbehave(const char *command, const char *instead)
{
	evil.command = NULL;
	evil.answer = instead;
	evil.command = command;
}

static const char *const answers[] = {
	"", "-", "+OK\r\n", "-ERR no\r\n", ":1\r\n", ":-9223372036854775808\r\n", "$-1\r\n", "$0\r\n\r\n", "$4\r\nabcd\r\n",
	"*-1\r\n", "*0\r\n", "*1\r\n$-1\r\n", "*2\r\n:1\r\n:2\r\n", "*2\r\n$16\r\n0123456789abcdef\r\n*1\r\n:1\r\n",
	"*3\r\n$-1\r\n$-1\r\n$-1\r\n", "*2147483647\r\n", "*2147483648\r\n", "*-2\r\n", "$9223372036854775807\r\nx", "$-2\r\n",
	"$99999999999999999999\r\n", "!\r\n", "\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
	"+OK\r\n+OK\r\n+OK\r\n+OK\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n", "*3\r\n$7\r\nmessage\r\n*0\r\n:1\r\n",
	"*2\r\n$4\r\npong\r\n$8\r\n\xff\xff\xff\xff\xff\xff\xff\xff\r\n", "$100\r\nSMV1\2\0\1\0",
};

/* While it misbehaves, and after. */
static void endure(struct instance *i, const char *command, const char *instead)
{
	struct read r;

	misbehave(command, instead);
	for (unsigned n = 0; n < 3; n++) {
		char key[64];

		snprintf(key, sizeof(key), "%s %u", command, n);
		assert_false(read_get(i, &r, key, 5));
		assert_true(r.took_ns < 3 * NS_PER_SEC); /* it ends by a limit of its own; a busy machine stretches it */
		if (r.l.epoch)
			(void)read_fill(i, &r, "stored");
		if (read_get(i, &r, key, 5))
			assert_string_equal(r.data, "stored");
	}
	instance_invalidate(i, 5, NULL);
	assert_false(read_get(i, &r, command, 5));
	misbehave(NULL, "");
}

static void test_wrong_answers_to_a_look_up(void **state)
{
	static const char *const commands[] = {"GET", "PTTL", "MGET", "SET"};
	struct instance i = {0};
	char url[64];

	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", evil.port);
	for (unsigned c = 0; c < countof(commands); c++) {
		for (unsigned a = 0; a < countof(answers); a++) {
			misbehave(NULL, "");
			instance_start(&i, url, 1 << 20);
			assert_true(instance_wait_live(&i, true, 5000));
			endure(&i, commands[c], answers[a]);
			instance_stop(&i);
		}
	}
}

static void test_wrong_answers_to_the_bus(void **state)
{
	static const char *const commands[] = {"INFO", "SUBSCRIBE", "PUBLISH", "EVAL", "MSETNX", "PING"};
	struct instance i = {0};
	char url[64];

	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", evil.port);
	for (unsigned c = 0; c < countof(commands); c++) {
		for (unsigned a = 0; a < countof(answers); a++) {
			misbehave(c < 3 && a % 2 ? commands[c] : NULL, answers[a]); /* from the start, or later */
			instance_start(&i, url, 1 << 20);
			if (!evil.command)
				assert_true(instance_wait_live(&i, true, 5000));
			endure(&i, commands[c], answers[a]);
			instance_stop(&i);
		}
	}
}

static void test_it_comes_back_when_the_server_behaves(void **state)
{
	struct instance i = {0};
	char url[64];
	struct read r;

	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", evil.port);
	instance_start(&i, url, 1 << 20);
	assert_true(instance_wait_live(&i, true, 5000));
	endure(&i, "MGET", "*2147483647\r\n");
	endure(&i, "PUBLISH", "!\r\n");
	assert_true(instance_wait_live(&i, true, 12000));
	assert_true(WITHIN(12000, (!read_get(&i, &r, "after", 6) && r.l.tokens_known)));
	assert_int_equal(read_fill(&i, &r, "v"), CACHE_STORED);
	assert_true(WITHIN(2000, read_get(&i, &r, "after", 6)));
	instance_stop(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_answers_to_a_look_up),
		cmocka_unit_test(test_wrong_answers_to_the_bus),
		cmocka_unit_test(test_it_comes_back_when_the_server_behaves),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
