/*
 * otlp_post.c - one POST to a collector, waited for on the thread that sends spans.
 */
#include "otlp_impl.h"

#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "mem.h"

#define ANSWER_MAX (64 * 1024)
#define PORT 4318 /* OTLP/HTTP's */
#define HOST_CAP 300 /* a name of DNS, its port */

struct post {
	struct event_base *base;
	int status; /* 0: no answer */
};

static void on_answer(struct evhttp_request *req, void *arg)
{
	struct post *p = arg;

	p->status = req ? evhttp_request_get_response_code(req) : 0;
	(void)event_base_loopbreak(p->base);
}

static void put_path(const struct evhttp_uri *u, char *out, size_t cap)
{
	const char *path = evhttp_uri_get_path(u), *query = evhttp_uri_get_query(u);

	(void)snprintf(out, cap, "%s%s%s", path && *path && strcmp(path, "/") != 0 ? path : "/v1/traces",
		       query ? "?" : "", query ? query : "");
}

static int port_of(const struct evhttp_uri *u)
{
	int port = evhttp_uri_get_port(u);

	return port > 0 ? port : PORT;
}

/* What is connected to: an IPv6 address stands in brackets in a URL, and nowhere else. */
static void put_peer(const struct evhttp_uri *u, char *out, size_t cap)
{
	const char *host = evhttp_uri_get_host(u);
	size_t len = host ? strlen(host) : 0;
	bool bracket = len > 2 && host[0] == '[' && host[len - 1] == ']';

	(void)snprintf(out, cap, "%.*s", (int)(bracket ? len - 2 : len), bracket ? host + 1 : host ? host : "");
}

/* The request belongs to the connection from evhttp_make_request on. */
static enum rc ask(struct post *p, struct evhttp_connection *conn, const struct evhttp_uri *u, const struct iobuf *body)
{
	struct evhttp_request *req = evhttp_request_new(on_answer, p);
	char path[1024], host[HOST_CAP];
	struct evkeyvalq *headers;

	if (!req)
		return RC_ERROR;
	put_path(u, path, sizeof(path));
	(void)snprintf(host, sizeof(host), "%s:%d", evhttp_uri_get_host(u), port_of(u));
	headers = evhttp_request_get_output_headers(req);
	if (evhttp_add_header(headers, "Host", host) != 0 ||
	    evhttp_add_header(headers, "Content-Type", "application/json") != 0 ||
	    evhttp_add_header(headers, "Connection", "close") != 0 ||
	    evbuffer_add(evhttp_request_get_output_buffer(req), iobuf_data(body), iobuf_len(body)) != 0) {
		evhttp_request_free(req);
		return RC_ERROR;
	}
	if (evhttp_make_request(conn, req, EVHTTP_REQ_POST, path) != 0)
		return RC_ERROR;
	return event_base_dispatch(p->base) < 0 ? RC_ERROR : RC_OK;
}

static enum rc exchange(const struct evhttp_uri *u, const struct iobuf *body, int timeout_s, int *status)
{
	struct post p = {.base = event_base_new()};
	struct evhttp_connection *conn = NULL;
	enum rc rc = RC_ERROR;
	char peer[HOST_CAP];

	put_peer(u, peer, sizeof(peer));
	if (p.base)
		conn = evhttp_connection_base_new(p.base, NULL, peer, (uint16_t)port_of(u));
	if (conn) {
		evhttp_connection_set_timeout(conn, timeout_s);
		evhttp_connection_set_max_body_size(conn, ANSWER_MAX);
		rc = ask(&p, conn, u, body);
		evhttp_connection_free(conn);
	}
	if (p.base)
		event_base_free(p.base);
	*status = p.status;
	return rc;
}

enum rc otlp_post(const char *url, const struct iobuf *spans, int timeout_s, char *why, size_t cap)
{
	struct evhttp_uri *u = evhttp_uri_parse(url);
	struct iobuf body;
	int status = 0;
	enum rc rc;

	if (!u) {
		(void)snprintf(why, cap, "its URL cannot be read");
		return RC_ERROR;
	}
	iobuf_init(&body, 2 * OTLP_PENDING_MAX);
	rc = otlp_put_body(spans, &body);
	if (rc == RC_OK)
		rc = exchange(u, &body, timeout_s, &status);
	if (rc == RC_OK && status / 100 != 2) {
		(void)snprintf(why, cap, status ? "it answered %d" : "no answer", status);
		rc = RC_ERROR;
	}
	iobuf_reset(&body);
	evhttp_uri_free(u);
	return rc;
}
