/*
 * admin_http_test.c - the verbs' HTTP client against a scripted server: whatever it answers, the client says what is wrong
 * and ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli_http.h"

/* Takes one connection, reads what is asked, answers with a text, closes. */
struct script {
	int listener;
	uint16_t port;
	const char *answer; /* NULL: closes without any */
	char asked[4096];
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct script *s = arg;
	int fd = accept(s->listener, NULL, NULL);
	ssize_t n = recv(fd, s->asked, sizeof(s->asked) - 1, 0);

	s->asked[n > 0 ? n : 0] = '\0';
	if (s->answer)
		(void)send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL);
	(void)close(fd);
	return NULL;
}

static void script_start(struct script *s, const char *answer)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	*s = (struct script){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .answer = answer};
	assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(s->listener, 1), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &len), 0);
	s->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void script_end(struct script *s)
{
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	(void)close(s->listener);
}

/* What the client makes of an answer; why has its words. */
static enum rc ask(const char *answer, bool post, char why[1024], json_t **json)
{
	struct script s;
	struct cli_host at = {.host = "127.0.0.1"};
	struct cli_http *h;
	enum rc rc;

	script_start(&s, answer);
	at.port = s.port;
	h = cli_http_new(&at, "t0ken");
	assert_non_null(h);
	rc = post ? cli_http_post(h, "/api/x", json) : cli_http_get(h, "/api/x", json);
	(void)snprintf(why, 1024, "%s", cli_http_why(h));
	cli_http_free(h);
	script_end(&s);
	assert_non_null(strstr(s.asked, post ? "POST /api/x HTTP/1.1\r\n" : "GET /api/x HTTP/1.1\r\n"));
	assert_non_null(strstr(s.asked, "Authorization: Bearer t0ken\r\n"));
	return rc;
}

static void an_answer_is_given_as_json(void **state)
{
	char why[1024];
	json_t *v;

	assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\": 1}", false, why, &v), RC_OK);
	assert_int_equal(json_integer_value(json_object_get(v, "a")), 1);
	json_decref(v);
	assert_int_equal(
		ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true, why, &v), RC_OK);
	json_decref(v);
}

static void a_refusal_is_said_in_the_instances_words(void **state)
{
	char why[1024];
	json_t *v;

	assert_int_equal(ask("HTTP/1.1 409 Conflict\r\nContent-Length: "
			     "37\r\n\r\n{\"error\":\"no\",\"faults\":[\"a:1\",\"b:2\"]}",
			     true, why, &v),
			 RC_DECLINED);
	assert_null(v);
	assert_non_null(strstr(why, "no (HTTP 409)\na:1\nb:2"));
}

static void what_is_no_answer_of_suimons_is_an_error(void **state)
{
	static const char *const answers[] = {
		NULL,
		"",
		"\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"cut\":",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>",
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
	};

	for (size_t i = 0; i < countof(answers); i++) {
		char why[1024];
		json_t *v;
		enum rc rc = ask(answers[i], false, why, &v);

		if (rc != RC_ERROR || v || !why[0])
			fail_msg("answer %zu: %d '%s'", i, rc, why);
	}
}

static void nobody_there_is_said(void **state)
{
	struct cli_host at = {.host = "127.0.0.1"};
	struct script s;
	struct cli_http *h;
	json_t *v;
	enum rc rc;

	script_start(&s, ""); /* for a port that nobody listens on afterwards */
	at.port = s.port;
	h = cli_http_new(&at, "");
	rc = cli_http_get(h, "/", &v);
	assert_int_equal(rc, RC_ERROR);
	script_end(&s);
	rc = cli_http_get(h, "/", &v);
	assert_int_equal(rc, RC_ERROR);
	if (!strstr(cli_http_why(h), "Connection refused"))
		fail_msg("%s", cli_http_why(h));
	cli_http_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_given_as_json),
		cmocka_unit_test(a_refusal_is_said_in_the_instances_words),
		cmocka_unit_test(what_is_no_answer_of_suimons_is_an_error),
		cmocka_unit_test(nobody_there_is_said),
	};

	return cmocka_run_group_tests_name("cli: HTTP", tests, NULL, NULL);
}
