/*
 * sqshub.c - see sqshub.h.
 */
#include "sqshub.h"

#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"
#include "sqslog.h"
#include "sqssign.h"

#define TURN_MS 25
#define END_PATIENCE_NS (3 * NS_PER_SEC)

static struct sqshub *self(struct queue_hub *h)
{
	return container_of(h, struct sqshub, hub);
}

/* ---- its thread ---- */

static bool is_ending(struct sqshub *h)
{
	bool ending;

	pthread_mutex_lock(&h->lock);
	ending = h->ending;
	pthread_mutex_unlock(&h->lock);
	return ending;
}

bool sqshub_running(struct sqshub *h)
{
	bool running;

	pthread_mutex_lock(&h->lock);
	running = h->running;
	pthread_mutex_unlock(&h->lock);
	return running;
}

/* False: nothing is under way. */
static bool turn_lanes(struct sqshub *h, bool ending)
{
	bool busy = false;

	sqscred_turn(&h->cred);
	for (unsigned i = 0; i < h->hub.lanes; i++)
		busy |= h->lane[i] && sqslog_turn(h->lane[i], ending);
	return busy;
}

/* At the end what was received and not applied is given back, so that others need not wait for it. */
static void *run(void *arg)
{
	struct sqshub *h = arg;
	uint64_t until;

	while (!is_ending(h)) {
		turn_lanes(h, false);
		sqshttp_turn(&h->http, TURN_MS);
	}
	until = clock_mono_ns() + END_PATIENCE_NS;
	while (turn_lanes(h, true) && clock_mono_ns() < until)
		sqshttp_turn(&h->http, TURN_MS);
	return NULL;
}

static enum rc sqshub_start(struct queue_hub *hub)
{
	struct sqshub *h = self(hub);
	enum rc rc = sigthread_start(&h->thread, "queue-sqs", run, h);

	pthread_mutex_lock(&h->lock);
	h->running = rc == RC_OK;
	pthread_mutex_unlock(&h->lock);
	if (rc == RC_OK && !h->url.tls)
		log_warn("queue", "SQS is spoken to without TLS: whoever is on the way reads and changes what is queued", "host=%s",
			 h->url.host);
	return rc;
}

static void sqshub_stop(struct queue_hub *hub)
{
	struct sqshub *h = self(hub);

	if (!sqshub_running(h))
		return;
	pthread_mutex_lock(&h->lock);
	h->ending = true;
	h->running = false;
	pthread_mutex_unlock(&h->lock);
	sqshttp_wake(&h->http);
	pthread_join(h->thread, NULL);
}

/* ---- a request ---- */

static enum rc put_headers(struct sqshub *h, struct sqshttp_call *c, const char *target, const char *time)
{
	struct span session = secret_text(h->cred.session);
	struct sqssign_header headers[] = {
		{span_str("content-type"), span_str("application/x-amz-json-1.0")},
		{span_str("host"), span_str(h->url.host)},
		{span_str("x-amz-date"), span_str(time)},
		{span_str("x-amz-security-token"), session},
		{span_str("x-amz-target"), span_str(target)},
	};
	struct sqssign_request r = {.method = span_str("POST"), .path = span_str("/"), .query = span_str(""), .headers = headers};
	struct sqssign_scope s = {.region = span_str(h->url.region), .service = span_str("sqs"), .time = time};
	struct iobuf authorization;
	enum rc rc;

	s.key_id = secret_text(h->cred.key_id);
	s.secret = secret_text(h->cred.secret);
	r.nheaders = countof(headers);
	r.body = span_of(iobuf_data(&c->body), iobuf_len(&c->body));
	if (!session.len) {
		headers[3] = headers[4];
		r.nheaders--;
	}
	iobuf_init(&authorization, 0);
	rc = sqssign_authorize(&r, &s, &authorization);
	if (rc == RC_OK)
		rc = sqshttp_header(c, "Authorization", span_of(iobuf_data(&authorization), iobuf_len(&authorization)));
	for (unsigned i = 0; rc == RC_OK && i < r.nheaders; i++)
		rc = sqshttp_header(c, headers[i].name.p, headers[i].value);
	iobuf_reset(&authorization);
	return rc == RC_OK ? sqshttp_header(c, "Expect", span_str("")) : rc;
}

enum rc sqshub_ask(struct sqshub *h, struct sqshttp_call *c, const char *action, long seconds)
{
	struct sqshttp_how how = {.url = h->url.endpoint, .seconds = seconds};
	char target[64], time[SQSSIGN_TIME_MAX];

	if (!sqscred_ready(&h->cred))
		return RC_ERROR;
	snprintf(target, sizeof(target), "AmazonSQS.%s", action);
	sqssign_time(time, clock_wall_us());
	if (put_headers(h, c, target, time) == RC_OK)
		return sqshttp_begin(c, &how);
	sqshttp_forget(c);
	return RC_ERROR;
}

/* ---- its beginning and its end ---- */

static void sqshub_close(struct queue_hub *hub)
{
	struct sqshub *h = self(hub);

	sqscred_close(&h->cred);
	sqshttp_close(&h->http);
	pthread_mutex_destroy(&h->lock);
	mem_free(h);
}

static struct queue_hub *sqshub_open(const char *url, char *err, size_t cap)
{
	struct sqshub *h = mem_zalloc(sizeof(*h));
	const char *fault;

	snprintf(err, cap, "out of memory");
	if (!h)
		return NULL;
	pthread_mutex_init(&h->lock, NULL);
	h->hub.ops = &sqshub_ops;
	fault = sqs_url_parse(url, &h->url);
	if (fault)
		snprintf(err, cap, "queue.url: %s", fault);
	h->hub.name = h->url.name;
	h->hub.host = h->url.host;
	h->hub.lanes = h->url.lanes;
	h->hub.seed = h->url.lanes; /* with another number of them tables would be in others */
	h->http.ca = h->url.ca[0] ? h->url.ca : NULL;
	if (!fault && sqshttp_open(&h->http) == RC_OK && sqscred_open(&h->cred, &h->http, err, cap) == RC_OK)
		return &h->hub;
	sqshub_close(&h->hub);
	return NULL;
}

static struct queue_engine *sqshub_lane(struct queue_hub *hub, const struct queue_lane_options *opt)
{
	struct sqshub *h = self(hub);
	char url[SQS_URL_MAX];

	sqs_url_lane(&h->url, opt->lane, url);
	h->lane[opt->lane] = sqslog_open(h, url, opt);
	return h->lane[opt->lane] ? sqslog_engine(h->lane[opt->lane]) : NULL;
}

const struct queue_hub_ops sqshub_ops = {
	.open = sqshub_open,
	.lane = sqshub_lane,
	.start = sqshub_start,
	.stop = sqshub_stop,
	.close = sqshub_close,
};
