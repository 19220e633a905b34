/*
 * admin_reply.c - what handlers read of a call, and how its answer is sent.
 */
#include "admin_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "log.h"
#include "mem.h"

/* ---- reading ---- */

const char *call_param(struct call *c, const char *name)
{
	return evhttp_find_header(&c->query, name);
}

enum rc call_number(struct call *c, const char *name, uint64_t def, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *text = call_param(c, name);
	char *end;

	*out = def;
	if (!text)
		return RC_OK;
	errno = 0;
	*out = strtoull(text, &end, 10);
	if (errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out >= min && *out <= max)
		return RC_OK;
	call_error(c, 400, "%s: not allowed, allowed is a number from %" PRIu64 " to %" PRIu64, name, min, max);
	return RC_ERROR;
}

struct span call_body(struct call *c)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(c->req);

	return span_of(evbuffer_pullup(in, -1), evbuffer_get_length(in));
}

/* ---- answering ---- */

int call_error(struct call *c, int status, const char *fmt, ...)
{
	char text[1024];
	struct jsonw w;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	iobuf_reset(&c->out);
	jsonw_init(&w, &c->out);
	jsonw_open(&w, NULL, '{');
	jsonw_text(&w, "error", text);
	jsonw_close(&w, '}');
	return status; /* without memory for it, the status alone must do */
}

int call_done(struct call *c, enum rc rc)
{
	return rc == RC_OK ? 200 : call_error(c, 500, "the answer is too large, or memory is short");
}

static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{200, "OK"},        {400, "Bad Request"},        {401, "Unauthorized"}, {403, "Forbidden"},
		{404, "Not Found"}, {405, "Method Not Allowed"}, {409, "Conflict"},     {503, "Service Unavailable"},
	};

	for (size_t i = 0; i < countof(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Internal Server Error";
}

static void add_headers(struct evkeyvalq *h, int status, const char *content_type)
{
	static const struct {
		const char *name, *value;
	} always[] = {
		{"Cache-Control", "no-store"},
		{"Content-Security-Policy",
		 "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Referrer-Policy", "no-referrer"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
	};

	for (size_t i = 0; i < countof(always); i++)
		(void)evhttp_add_header(h, always[i].name, always[i].value);
	(void)evhttp_add_header(h, "Content-Type", content_type);
	if (status == 401)
		(void)evhttp_add_header(h, "WWW-Authenticate", "Bearer realm=\"suimon\"");
}

/* ---- bodies ---- */

/* Large bodies that wait to be sent, of all connections. A process has one interface, and a buffer may be freed after it. */
static size_t unsent;

struct large {
	size_t len;
	char at[];
};

static void on_sent_or_dropped(const void *p, size_t len, void *arg)
{
	struct large *l = arg;

	unsent -= l->len;
	mem_free(l);
}

static enum rc add_large(struct evbuffer *out, struct span body)
{
	struct large *l = mem_alloc(sizeof(*l) + body.len);

	if (!l)
		return RC_ERROR;
	l->len = body.len;
	memcpy(l->at, body.p, body.len);
	if (evbuffer_add_reference(out, l->at, l->len, on_sent_or_dropped, l) != 0) {
		mem_free(l);
		mem_failed();
		return RC_ERROR;
	}
	unsent += l->len;
	return RC_OK;
}

static enum rc add_small(struct evbuffer *out, struct span body)
{
	if (evbuffer_add(out, body.p, body.len) == 0)
		return RC_OK;
	mem_failed();
	return RC_ERROR;
}

/* RC_DECLINED: too much waits already. RC_ERROR: no memory (logged). */
static enum rc add_body(struct evbuffer *out, struct span body)
{
	if (body.len > ADMIN_SMALL_MAX && body.len > ADMIN_UNSENT_MAX - unsent) {
		log_warn("admin", "callers do not take their answers: another large one is refused", "bytes=%zu unsent=%zu", body.len, unsent);
		return RC_DECLINED;
	}
	if ((body.len > ADMIN_SMALL_MAX ? add_large(out, body) : add_small(out, body)) == RC_OK)
		return RC_OK;
	log_warn("admin", "an answer was lost: out of memory", "bytes=%zu", body.len);
	return RC_ERROR;
}

/* The status that is sent. */
static int put_body(struct evkeyvalq *headers, struct evbuffer *out, int status, struct span body)
{
	static const char busy[] = "{\"error\": \"too many large answers are on their way: later\"}";
	enum rc rc = add_body(out, body);

	if (rc != RC_DECLINED)
		return rc == RC_OK ? status : 500;
	(void)evhttp_add_header(headers, "Retry-After", "5");
	return add_body(out, span_of(busy, sizeof(busy) - 1)) == RC_OK ? 503 : 500;
}

void reply_send(struct admin *a, struct evhttp_request *req, int status, const char *content_type, struct span body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evhttp_request_get_output_buffer(req);
	char length[24];

	if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD) {
		(void)snprintf(length, sizeof(length), "%zu", body.len);
		(void)evhttp_add_header(headers, "Content-Length", length);
	} else if (body.len) {
		status = put_body(headers, out, status, body);
	}
	add_headers(headers, status, content_type);
	if (status >= 400)
		stats_count(a->sink, STATS_C_HTTP_ERRORS, 1);
	evhttp_send_reply(req, status, reason_of(status), NULL);
}

/* ---- later ---- */

/* The connection is gone, and with it the request. */
static void on_gone(struct evhttp_connection *conn, void *arg)
{
	struct pending *p = arg;

	p->req = NULL;
	list_remove(&p->a->pending, &p->node);
}

void call_suspend(struct call *c, struct pending *p)
{
	p->a = c->a;
	p->req = c->req;
	list_push_back(&c->a->pending, &p->node);
	evhttp_connection_set_closecb(evhttp_request_get_connection(c->req), on_gone, p);
}

void pending_finish(struct pending *p, int status, struct iobuf *out)
{
	struct evhttp_request *req = p->req;

	if (p->a && req) {
		p->req = NULL;
		list_remove(&p->a->pending, &p->node);
		evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
		reply_send(p->a, req, status, "application/json", span_of(iobuf_data(out), iobuf_len(out)));
	}
	iobuf_reset(out);
}
