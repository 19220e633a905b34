/*
 * admin_impl.h - one HTTP call's life, and what the files of the interface share.
 *
 *   evhttp → admin.c: on_request → route_match → access_change (what changes something) → a handler of the table
 *     handler: reads call.arg and call_param, writes call.out, returns the status  → admin_reply.c: reply_send
 *     or 0: it has called call_suspend, and pending_finish sends the answer later
 *
 * All of it runs on the control loop; handlers must not block (a read of the queue's files, bounded, is the exception).
 */
#ifndef SUIMON_ADMIN_IMPL_H
#define SUIMON_ADMIN_IMPL_H

#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "admin.h"
#include "admin_conns.h"
#include "admin_route.h"
#include "iobuf.h"
#include "jsonw.h"
#include "list.h"
#include "listener.h"

#define ADMIN_HEADERS_MAX (16 * 1024)
#define ADMIN_BODY_MAX (64 * 1024)
#define ADMIN_ANSWER_MAX (64 * 1024 * 1024)
#define ADMIN_UNSENT_MAX ADMIN_ANSWER_MAX /* bytes of all answers that their callers have not taken yet ... */
#define ADMIN_SMALL_MAX (1024 * 1024) /* ... but for small ones, which are always given: health, metrics, refusals */
#define ADMIN_IDLE_SECONDS 30 /* a connection that neither asks nor takes its answer is closed */
#define ADMIN_MOST_CONNECTIONS 64

struct admin {
	struct instance *in;       /* not owned; outlives this */
	struct admin_hooks hooks;
	struct evhttp *http;       /* owned */
	struct evhttp_bound_socket *bound; /* http's */
	struct event *retry;       /* owned; out of descriptors: accept again in a while */
	struct listener_trouble trouble;
	struct conns *conns;       /* owned */
	struct stats_sink *sink;   /* stats' own; written on the control loop alone */
	struct list pending;       /* struct pending: answers to come */
	uint16_t port;
	bool loopback_only;
	bool paused;
};

struct call {
	struct admin *a;
	struct evhttp_request *req;   /* evhttp's, until the answer is sent */
	struct settings *settings;    /* a reference; put back after the handler */
	struct evkeyvalq query;       /* of the URI */
	char arg[ROUTE_ARG_MAX];      /* the path's variable part */
	bool samples;                 /* may see literal values */
	struct iobuf out;             /* the answer's body */
	const char *content_type;     /* a literal */
	struct span file;             /* the body instead of out where p is set: static bytes */
};

/* A call whose answer comes later: embedded in what works on it. */
struct pending {
	struct list_node node;        /* admin's */
	struct admin *a;              /* NULL: the interface was closed meanwhile */
	struct evhttp_request *req;   /* NULL: answered, or the caller is gone */
};

/* Each answers a call: the HTTP status, or 0 after call_suspend. */
typedef int (*call_fn)(struct call *c);

int get_healthz(struct call *c);
int get_readyz(struct call *c);
int get_metrics(struct call *c);
int get_overview(struct call *c);
int get_queries(struct call *c);
int get_query(struct call *c);
int get_findings(struct call *c);
int get_costs(struct call *c);
int get_cache(struct call *c);
int post_cache_flush(struct call *c);
int get_queue(struct call *c);
int get_queue_dead(struct call *c);
int get_queue_dead_one(struct call *c);
int get_queue_pending(struct call *c);
int get_queue_pending_one(struct call *c);
int post_queue_pause(struct call *c);
int post_queue_resume(struct call *c);
int post_queue_drain(struct call *c);
int post_queue_retry(struct call *c);
int post_queue_discard(struct call *c);
int post_queue_bury(struct call *c);
int get_backends(struct call *c);
int post_backend_disable(struct call *c);
int post_backend_enable(struct call *c);
int get_clients(struct call *c);
int get_config(struct call *c);
int post_config_reload(struct call *c);

/* ---- admin_reply.c ---- */

/* The answer is an error with this text, as JSON. Returns status. */
int call_error(struct call *c, int status, const char *fmt, ...) printf_like(3, 4);
/* 200, or 500 when memory or the answer's bound did not suffice. */
int call_done(struct call *c, enum rc rc);
/* A query parameter, decoded; NULL: not given. */
const char *call_param(struct call *c, const char *name);
/* The same as a number within min..max. RC_ERROR: it is none, and the answer (400) is in c->out. */
enum rc call_number(struct call *c, const char *name, uint64_t def, uint64_t min, uint64_t max, uint64_t *out) must_check;
/* The request's body (bytes up to ADMIN_BODY_MAX), contiguous; valid until the call is answered. */
struct span call_body(struct call *c);
void call_suspend(struct call *c, struct pending *p);
void pending_finish(struct pending *p, int status, struct iobuf *out); /* JSON; takes what is in out, which is reset */

/* Sends it and ends the request; 503 instead where the callers before it have not taken theirs. */
void reply_send(struct admin *a, struct evhttp_request *req, int status, const char *content_type, struct span body);

#endif
