#include "cli_http.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "iobuf.h"
#include "mem.h"
#include "span.h"

#define ANSWER_MAX (64 * 1024 * 1024)

struct cli_http {
	struct cli_host at;
	char host_header[300];
	char *token;                    /* owned */
	struct event_base *base;        /* owned */
	struct evhttp_connection *conn; /* owned; kept between calls */
	unsigned limit;                 /* seconds for a whole call; 0: none */
	bool waiting, failed;
	int status;
	struct iobuf body;
	char why[2048]; /* text of one or more lines */
};

/* ---- where ---- */

enum rc cli_host_parse(const char *text, struct cli_host *out)
{
	const char *scheme = "http://", *colon;
	struct span host;
	char *end;
	unsigned long port;

	if (strncmp(text, scheme, strlen(scheme)) == 0)
		text += strlen(scheme);
	colon = strrchr(text, ':');
	if (!colon || colon[1] < '0' || colon[1] > '9')
		return RC_ERROR;
	port = strtoul(colon + 1, &end, 10);
	host = span_of(text, (size_t)(colon - text));
	if (host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		host = span_of(host.p + 1, host.len - 2);
	if (host.len == 0 || span_eq(host, span_str("0.0.0.0")))
		host = span_str("127.0.0.1");
	else if (span_eq(host, span_str("::")))
		host = span_str("::1");
	if ((end[0] != '\0' && strcmp(end, "/") != 0) || port == 0 || port > 65535 || host.len >= sizeof(out->host))
		return RC_ERROR;
	memcpy(out->host, host.p, host.len);
	out->host[host.len] = '\0';
	out->port = (uint16_t)port;
	return RC_OK;
}

/* ---- life ---- */

struct cli_http *cli_http_new(const struct cli_host *at, const char *token)
{
	struct cli_http *h = mem_zalloc(sizeof(*h));

	if (!h)
		return NULL;
	h->at = *at;
	iobuf_init(&h->body, ANSWER_MAX);
	(void)snprintf(h->host_header, sizeof(h->host_header), strchr(at->host, ':') ? "[%s]:%u" : "%s:%u", at->host,
		       at->port);
	h->token = mem_strdup(token);
	h->base = event_base_new();
	if (h->token && h->base)
		return h;
	cli_http_free(h);
	return NULL;
}

void cli_http_free(struct cli_http *h)
{
	if (!h)
		return;
	if (h->conn)
		evhttp_connection_free(h->conn);
	if (h->base)
		event_base_free(h->base);
	iobuf_reset(&h->body);
	mem_free(h->token);
	mem_free(h);
}

void cli_http_limit(struct cli_http *h, unsigned seconds)
{
	h->limit = seconds;
}

const char *cli_http_where(const struct cli_http *h)
{
	return h->host_header;
}

struct event_base *cli_http_base(struct cli_http *h)
{
	return h->base;
}

const char *cli_http_why(const struct cli_http *h)
{
	return h->why;
}

/* ---- one call ---- */

static enum rc failed(struct cli_http *h, const char *fmt, ...) printf_like(2, 3);

static enum rc failed(struct cli_http *h, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(h->why, sizeof(h->why), "suimon at %s: %s", h->host_header, text);
	h->failed = true;
	return RC_ERROR;
}

static int try_connect(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol), error = 0;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(error);

	if (fd < 0)
		return errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
		error = errno;
	else if (poll(&p, 1, 1000) != 1)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	(void)close(fd);
	return error;
}

/* libevent does not tell why a connect failed: tried once more by hand. NULL: it does not fail. */
static const char *connect_error(const struct cli_http *h)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	char port[8];
	int rc, error = 0;

	(void)snprintf(port, sizeof(port), "%u", h->at.port);
	rc = getaddrinfo(h->at.host, port, &hints, &found);
	if (rc != 0)
		return gai_strerror(rc);
	for (struct addrinfo *a = found; a; a = a->ai_next)
		error = try_connect(a);
	freeaddrinfo(found);
	return error ? strerror(error) : NULL;
}

static enum rc not_answered(struct cli_http *h)
{
	const char *why = connect_error(h);

	return why ? failed(h, "cannot be reached: %s", why) : failed(h, "the connection was closed before the answer");
}

static void too_late(struct cli_http *h, unsigned seconds)
{
	(void)failed(h, "no answer within %u seconds", seconds);
}

static void on_error(enum evhttp_request_error error, void *arg)
{
	struct cli_http *h = arg;

	switch (error) {
	case EVREQ_HTTP_TIMEOUT:
		too_late(h, CLI_HTTP_SECONDS);
		break;
	case EVREQ_HTTP_EOF:
		(void)not_answered(h);
		break;
	case EVREQ_HTTP_DATA_TOO_LONG:
		(void)failed(h, "the answer is larger than %d MiB", ANSWER_MAX / 1024 / 1024);
		break;
	default:
		(void)failed(h, "the answer is no HTTP that is understood");
	}
}

/* The request is NULL or has no status where there was no answer; on_error has said why unless the connect failed. */
static void on_answer(struct evhttp_request *req, void *arg)
{
	struct cli_http *h = arg;
	struct evbuffer *in;

	h->waiting = false;
	h->status = req ? evhttp_request_get_response_code(req) : 0;
	if (h->status == 0) {
		if (!h->failed)
			(void)not_answered(h);
		return;
	}
	in = evhttp_request_get_input_buffer(req);
	if (iobuf_append(&h->body, evbuffer_pullup(in, -1), evbuffer_get_length(in)) != RC_OK)
		(void)failed(h, "the answer is too large, or memory is short");
}

static enum rc connect_to(struct cli_http *h)
{
	if (h->conn)
		return RC_OK;
	h->conn = evhttp_connection_base_new(h->base, NULL, h->at.host, h->at.port);
	if (!h->conn)
		return failed(h, "out of memory");
	evhttp_connection_set_timeout(h->conn, CLI_HTTP_SECONDS);
	evhttp_connection_set_max_body_size(h->conn, ANSWER_MAX);
	return RC_OK;
}

static enum rc send_call(struct cli_http *h, enum evhttp_cmd_type method, const char *path)
{
	struct evhttp_request *req = evhttp_request_new(on_answer, h);
	struct evkeyvalq *headers = req ? evhttp_request_get_output_headers(req) : NULL;
	char bearer[1024];

	if (!req)
		return failed(h, "out of memory");
	evhttp_request_set_error_cb(req, on_error);
	(void)snprintf(bearer, sizeof(bearer), "Bearer %s", h->token);
	if (evhttp_add_header(headers, "Host", h->host_header) != 0 ||
	    (h->token[0] && evhttp_add_header(headers, "Authorization", bearer) != 0)) {
		evhttp_request_free(req);
		return failed(h, "the token cannot be sent in a header");
	}
	h->waiting = true;
	if (evhttp_make_request(h->conn, req, method, path) == 0)
		return RC_OK;
	h->waiting = false;
	return not_answered(h);
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct cli_http *h = arg;

	(void)fd, (void)what;
	too_late(h, h->limit);
	h->waiting = false;
}

/* Its own event, since libevent's limits are of each step. NULL: out of memory. */
static struct event *limit_begin(struct cli_http *h)
{
	const struct timeval tv = {.tv_sec = (time_t)h->limit};
	struct event *e = evtimer_new(h->base, on_limit, h);

	if (e && (h->limit == 0 || evtimer_add(e, &tv) == 0))
		return e;
	if (e)
		event_free(e);
	return NULL;
}

static enum rc wait_for_answer(struct cli_http *h)
{
	struct event *limit = limit_begin(h);

	while (limit && h->waiting)
		if (event_base_loop(h->base, EVLOOP_ONCE) != 0)
			break;
	if (limit)
		event_free(limit);
	if (h->waiting || h->failed) { /* nothing of it is to come */
		evhttp_connection_free(h->conn);
		h->conn = NULL;
		h->waiting = false;
		return h->failed ? RC_ERROR : failed(h, "the event loop failed");
	}
	return RC_OK;
}

/* What the instance says in its error object, faults included. */
static enum rc refused(struct cli_http *h, json_t *answer)
{
	const json_t *fault, *faults = json_object_get(answer, "faults");
	const char *error = json_string_value(json_object_get(answer, "error"));
	size_t i, n;

	(void)failed(h, "%s (HTTP %d)", error ? error : "the call was refused", h->status);
	json_array_foreach(faults, i, fault) {
		n = strlen(h->why);
		(void)snprintf(h->why + n, sizeof(h->why) - n, "\n%s", json_string_value(fault));
	}
	return RC_DECLINED;
}

static enum rc exchange(struct cli_http *h, enum evhttp_cmd_type method, const char *path)
{
	h->failed = false;
	h->why[0] = '\0';
	iobuf_consume(&h->body, iobuf_len(&h->body));
	if (connect_to(h) != RC_OK || send_call(h, method, path) != RC_OK)
		return RC_ERROR;
	return wait_for_answer(h);
}

static enum rc call(struct cli_http *h, enum evhttp_cmd_type method, const char *path, json_t **answer)
{
	json_error_t error;
	enum rc rc;

	*answer = NULL;
	if (exchange(h, method, path) != RC_OK)
		return RC_ERROR;
	*answer = json_loadb((const char *)iobuf_data(&h->body), iobuf_len(&h->body), 0, &error);
	if (h->status == 200 && *answer)
		return RC_OK;
	rc = json_is_object(*answer) ? refused(h, *answer)
				     : failed(h, "the answer to %s is not suimon's (HTTP %d)", path, h->status);
	json_decref(*answer);
	*answer = NULL;
	return rc;
}

enum rc cli_http_get(struct cli_http *h, const char *path, json_t **answer)
{
	return call(h, EVHTTP_REQ_GET, path, answer);
}

enum rc cli_http_text(struct cli_http *h, const char *path, struct span *text)
{
	if (exchange(h, EVHTTP_REQ_GET, path) != RC_OK)
		return RC_ERROR;
	*text = span_of(iobuf_data(&h->body), iobuf_len(&h->body));
	return h->status == 200 ? RC_OK : RC_DECLINED;
}

enum rc cli_http_post(struct cli_http *h, const char *path, json_t **answer)
{
	return call(h, EVHTTP_REQ_POST, path, answer);
}

void cli_http_abort(struct cli_http *h)
{
	(void)failed(h, "interrupted");
	h->waiting = false;
}
