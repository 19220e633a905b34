/*
 * admin.c - the HTTP server: where it listens, which call goes to which handler, and who may make it.
 */
#include "admin_impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/listener.h>

#include "admin_access.h"
#include "log.h"
#include "mem.h"

struct route {
	enum evhttp_cmd_type method; /* GET: HEAD too. POST: changes something, see access_change */
	const char *path;            /* route_match's pattern */
	call_fn run;
};

static const struct route routes[] = {
	{EVHTTP_REQ_GET, "/healthz", get_healthz},
	{EVHTTP_REQ_GET, "/readyz", get_readyz},
	{EVHTTP_REQ_GET, "/metrics", get_metrics},
	{EVHTTP_REQ_GET, "/api/overview", get_overview},
	{EVHTTP_REQ_GET, "/api/queries", get_queries},
	{EVHTTP_REQ_GET, "/api/queries/*", get_query},
	{EVHTTP_REQ_GET, "/api/findings", get_findings},
	{EVHTTP_REQ_GET, "/api/costs", get_costs},
	{EVHTTP_REQ_GET, "/api/cache", get_cache},
	{EVHTTP_REQ_POST, "/api/cache/flush", post_cache_flush},
	{EVHTTP_REQ_GET, "/api/queue", get_queue},
	{EVHTTP_REQ_GET, "/api/queue/dead", get_queue_dead},
	{EVHTTP_REQ_GET, "/api/queue/dead/*", get_queue_dead_one},
	{EVHTTP_REQ_GET, "/api/queue/pending", get_queue_pending},
	{EVHTTP_REQ_GET, "/api/queue/pending/*", get_queue_pending_one},
	{EVHTTP_REQ_POST, "/api/queue/pause", post_queue_pause},
	{EVHTTP_REQ_POST, "/api/queue/resume", post_queue_resume},
	{EVHTTP_REQ_POST, "/api/queue/drain", post_queue_drain},
	{EVHTTP_REQ_POST, "/api/queue/pending/*/bury", post_queue_bury},
	{EVHTTP_REQ_POST, "/api/queue/dead/*/retry", post_queue_retry},
	{EVHTTP_REQ_POST, "/api/queue/dead/*/discard", post_queue_discard},
	{EVHTTP_REQ_GET, "/api/backends", get_backends},
	{EVHTTP_REQ_POST, "/api/backends/*/disable", post_backend_disable},
	{EVHTTP_REQ_POST, "/api/backends/*/enable", post_backend_enable},
	{EVHTTP_REQ_GET, "/api/clients", get_clients},
	{EVHTTP_REQ_GET, "/api/config", get_config},
	{EVHTTP_REQ_POST, "/api/config/reload", post_config_reload},
};

/* ---- a call ---- */

/* What proxies say of themselves. One that says nothing cannot be told from a caller on this host. */
static bool is_forwarded(const struct evkeyvalq *headers)
{
	static const char *const names[] = {"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"};

	for (size_t i = 0; i < countof(names); i++)
		if (evhttp_find_header(headers, names[i]))
			return true;
	return false;
}

static struct access_caller caller_of(struct evhttp_request *req)
{
	struct evkeyvalq *h = evhttp_request_get_input_headers(req);
	struct evhttp_connection *conn = evhttp_request_get_connection(req);
	char *peer = NULL;
	ev_uint16_t port;

	evhttp_connection_get_peer(conn, &peer, &port);
	return (struct access_caller){
		.peer = peer ? peer : "unknown",
		.host = evhttp_find_header(h, "Host"),
		.origin = evhttp_find_header(h, "Origin"),
		.fetch_site = evhttp_find_header(h, "Sec-Fetch-Site"),
		.authorization = evhttp_find_header(h, "Authorization"),
		.token = evhttp_find_header(h, "X-Suimon-Token"),
		.forwarded = is_forwarded(h),
	};
}

static int refuse_method(struct call *c, const char *allowed)
{
	(void)evhttp_add_header(evhttp_request_get_output_headers(c->req), "Allow", allowed);
	return call_error(c, 405, "the method is not allowed here, allowed is %s", allowed);
}

static int run_file(struct call *c, const char *path, enum evhttp_cmd_type method)
{
	const char *type;
	struct span file = stats_web_file(path, &type);

	if (!file.p)
		return call_error(c, 404, "there is no %s", path);
	if (method != EVHTTP_REQ_GET)
		return refuse_method(c, "GET, HEAD");
	c->file = file;
	c->content_type = type;
	return 200;
}

static int run_route(struct call *c, const struct route *r)
{
	struct access_caller caller = caller_of(c->req);
	struct access_policy policy = {.token = secret_text(c->settings->admin_token).p,
				       .loopback_only = c->a->loopback_only,
				       .samples = c->settings->stats.samples};
	const char *why = "";

	if (r->method == EVHTTP_REQ_POST) {
		enum access access = access_change(&policy, &caller, &why);

		if (access != ACCESS_ALLOWED) {
			log_warn("admin", "a call was refused", "peer=%s path=%s", caller.peer, r->path);
			return call_error(c, access == ACCESS_UNKNOWN ? 401 : 403, "%s", why);
		}
		log_info("admin", "call", "peer=%s path=%s", caller.peer, r->path);
	}
	c->samples = access_samples(&policy, &caller);
	return r->run(c);
}

/* The paths that fit, whatever the method, say whether it is 404 or 405. */
static int run_call(struct call *c, const char *path)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(c->req);
	const char *allowed = NULL;

	if (method == EVHTTP_REQ_HEAD)
		method = EVHTTP_REQ_GET;
	for (size_t i = 0; i < countof(routes); i++) {
		enum rc fit = route_match(routes[i].path, path, c->arg);

		if (fit == RC_DECLINED)
			continue;
		if (fit == RC_ERROR)
			return call_error(c, 400, "the path is wrongly encoded");
		if (routes[i].method == method)
			return run_route(c, &routes[i]);
		allowed = routes[i].method == EVHTTP_REQ_GET ? "GET, HEAD" : "POST";
	}
	return allowed ? refuse_method(c, allowed) : run_file(c, path, method);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct call c = {.a = arg, .req = req, .content_type = "application/json"};
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL, *query = uri ? evhttp_uri_get_query(uri) : NULL;
	int status;

	listener_accepted(&c.a->trouble, "admin");
	stats_count(c.a->sink, STATS_C_HTTP_REQUESTS, 1);
	iobuf_init(&c.out, ADMIN_ANSWER_MAX);
	TAILQ_INIT(&c.query);
	c.settings = instance_settings(c.a->in);
	if (!path || path[0] != '/')
		status = call_error(&c, 400, "the request has no path");
	else if (query && query[0] && evhttp_parse_query_str(query, &c.query) != 0)
		status = call_error(&c, 400, "the query string is wrongly encoded");
	else
		status = run_call(&c, path);
	if (status)
		reply_send(c.a, req, status, c.content_type,
			   c.file.p ? c.file : span_of(iobuf_data(&c.out), iobuf_len(&c.out)));
	evhttp_clear_headers(&c.query);
	settings_unref(c.settings);
	iobuf_reset(&c.out);
}

/* ---- the server ---- */

/* evhttp hands its listener's error callback itself, of which nothing leads to us; a process has one interface. */
static struct admin *listening;

/* Out of descriptors: who connects waits in the backlog, and asking again at once would spin. */
static void on_accept_error(struct evconnlistener *l, void *arg)
{
	static const struct timeval later = {.tv_usec = 100000};

	if (!listening)
		return;
	listener_refused(&listening->trouble, "admin", errno);
	if (event_add(listening->retry, &later) == 0)
		(void)evconnlistener_disable(l);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct admin *a = arg;

	if (!a->paused)
		admin_pause(a, false);
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return 0;
	if (ss.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&ss)->sin_port);
	return ss.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)&ss)->sin6_port) : 0;
}

static bool bound_to_loopback(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[64];

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return false;
	if (ss.ss_family == AF_INET)
		evutil_inet_ntop(AF_INET, &((const struct sockaddr_in *)&ss)->sin_addr, host, sizeof(host));
	else
		evutil_inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&ss)->sin6_addr, host, sizeof(host));
	return access_is_loopback(host);
}

static enum rc start_listening(struct admin *a, int fd, char *err, size_t err_cap)
{
	struct settings *s = instance_settings(a->in);
	const struct settings_addr *at = &s->listen.http;
	struct evhttp_bound_socket *bound;

	errno = 0;
	if (fd < 0)
		bound = evhttp_bind_socket_with_handle(a->http, at->host, at->port);
	else
		bound = evutil_make_socket_nonblocking(fd) == 0 ? evhttp_accept_socket_with_handle(a->http, fd) : NULL;
	if (bound) {
		a->bound = bound;
		listening = a;
		evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(bound), on_accept_error);
		fd = evhttp_bound_socket_get_fd(bound);
		a->port = bound_port(fd);
		a->loopback_only = bound_to_loopback(fd);
		if (!a->loopback_only && !s->admin_token)
			log_warn("admin",
				 "open to other hosts without admin_token: calls that change something are refused",
				 "addr=%s", at->text);
	} else {
		(void)snprintf(err, err_cap, "listen.http %s: %s", at->text,
			       errno ? strerror(errno) : "cannot be bound");
	}
	settings_unref(s);
	return bound ? RC_OK : RC_ERROR;
}

static void configure(struct admin *a)
{
	evhttp_set_allowed_methods(a->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
						    EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
	evhttp_set_max_headers_size(a->http, ADMIN_HEADERS_MAX);
	evhttp_set_max_body_size(a->http, ADMIN_BODY_MAX);
	evhttp_set_timeout(a->http, ADMIN_IDLE_SECONDS);
	evhttp_set_default_content_type(a->http, NULL);
	evhttp_set_gencb(a->http, on_request, a);
	conns_watch(a->conns, a->http);
}

struct admin *admin_open(struct instance *in, const struct admin_hooks *hooks, int fd, char *err, size_t err_cap)
{
	struct admin *a = mem_zalloc(sizeof(*a));

	(void)snprintf(err, err_cap, "out of memory");
	if (!a)
		return NULL;
	a->in = in;
	a->hooks = *hooks;
	list_init(&a->pending);
	a->sink = stats_sink_new(in->stats, false);
	a->conns = conns_new(in->control, ADMIN_MOST_CONNECTIONS);
	a->http = evhttp_new(loop_base(in->control));
	a->retry = evtimer_new(loop_base(in->control), on_retry, a);
	if (a->sink && a->conns && a->http && a->retry) {
		configure(a);
		if (start_listening(a, fd, err, err_cap) == RC_OK)
			return a;
	}
	admin_close(a);
	return NULL;
}

int admin_fd(const struct admin *a)
{
	return evhttp_bound_socket_get_fd(a->bound);
}

void admin_pause(struct admin *a, bool pause)
{
	struct evconnlistener *l = evhttp_bound_socket_get_listener(a->bound);

	a->paused = pause;
	if ((pause ? evconnlistener_disable(l) : evconnlistener_enable(l)) != 0)
		log_warn("admin", "the socket for HTTP cannot be switched", "on=%d", !pause);
}

uint16_t admin_port(const struct admin *a)
{
	return a->port;
}

void admin_close(struct admin *a)
{
	static const char gone[] = "{\"error\": \"suimon is stopping\"}";

	if (!a)
		return;
	list_each_safe(&a->pending, n, tmp) {
		struct pending *p = container_of(n, struct pending, node);
		struct evhttp_request *req = p->req;

		list_remove(&a->pending, n);
		p->req = NULL;
		p->a = NULL;
		evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
		reply_send(a, req, 503, "application/json", span_of(gone, sizeof(gone) - 1));
	}
	if (listening == a)
		listening = NULL;
	if (a->http)
		evhttp_free(a->http);
	if (a->retry)
		event_free(a->retry);
	conns_free(a->conns);
	mem_free(a);
}
