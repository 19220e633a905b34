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

	(void)snprintf(out, cap, "%s%s%s", path && *path ? path : "/v1/traces", query ? "?" : "", query ? query : "");
}

/* The request belongs to the connection from evhttp_make_request on. */
static enum rc ask(struct post *p, struct evhttp_connection *conn, const struct evhttp_uri *u, const struct iobuf *body)
{
	struct evhttp_request *req = evhttp_request_new(on_answer, p);
	char path[1024], host[300];
	struct evkeyvalq *headers;

	if (!req)
		return RC_ERROR;
	put_path(u, path, sizeof(path));
	(void)snprintf(host, sizeof(host), "%s", evhttp_uri_get_host(u));
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
	int port = evhttp_uri_get_port(u);
	struct evhttp_connection *conn = NULL;
	enum rc rc = RC_ERROR;

	if (p.base)
		conn = evhttp_connection_base_new(p.base, NULL, evhttp_uri_get_host(u), (uint16_t)(port > 0 ? port : PORT));
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

	if (!u) /* it was checked: memory */
		return RC_ERROR;
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
