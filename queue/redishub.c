/*
 * redishub.c - see redishub.h.
 */
#include "redislog.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"

#define LANES 8u
#define WAIT_MAX 16u

static enum rc take_number(struct span value, unsigned least, unsigned most, unsigned *out)
{
	unsigned v = 0;

	if (!value.len || value.len > 3)
		return RC_ERROR;
	for (size_t i = 0; i < value.len; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return RC_ERROR;
		v = v * 10 + (unsigned)(value.p[i] - '0');
	}
	*out = v;
	return v >= least && v <= most ? RC_OK : RC_ERROR;
}

static enum rc take_name(struct redishub *h, struct span value)
{
	if (!urltext_is_word(value))
		return RC_ERROR;
	memcpy(h->name, value.p, value.len);
	h->name[value.len] = '\0';
	return RC_OK;
}

static enum rc take_option(void *arg, struct span key, struct span value)
{
	struct redishub *h = arg;

	if (span_eq(key, span_str("name")))
		return take_name(h, value);
	if (span_eq(key, span_str("lanes")))
		return take_number(value, 1, REDISHUB_LANES_MAX, &h->hub.lanes);
	if (span_eq(key, span_str("wait")))
		return take_number(value, 0, WAIT_MAX, &h->wait);
	if (span_eq(key, span_str("wait_aof")))
		return take_number(value, 0, 1, &h->wait_aof);
	return RC_ERROR;
}

static struct redishub *self(struct queue_hub *h)
{
	return container_of(h, struct redishub, hub);
}

static void redishub_stop(struct queue_hub *hub)
{
	struct redishub *h = self(hub);

	if (!h->running)
		return;
	loop_stop(h->loop);
	loop_join(h->loop);
	h->running = false;
}

static void redishub_close(struct queue_hub *hub)
{
	struct redishub *h = self(hub);

	redishub_stop(hub);
	if (h->loop)
		loop_free(h->loop);
	redis_url_reset(&h->url);
	mem_free(h);
}

static enum rc take_url(struct redishub *h, const char *url, char *err, size_t cap)
{
	char why[256];

	if (redis_url_parse_with(url, &h->url, take_option, h, why, sizeof(why)) == RC_OK &&
	    redis_url_secure(&h->url, why, sizeof(why)) == RC_OK)
		return RC_OK;
	snprintf(err, cap,
		 "queue.url: %s; of its own the queue takes ?name=WORD (letters, digits, - and _), lanes=1 to %u, "
		 "wait=0 to %u, wait_aof=0 or 1",
		 why, REDISHUB_LANES_MAX, WAIT_MAX);
	return RC_ERROR;
}

static struct queue_hub *redishub_open(const char *url, char *err, size_t cap)
{
	struct redishub *h = mem_zalloc(sizeof(*h));

	snprintf(err, cap, "out of memory");
	if (!h)
		return NULL;
	*h = (struct redishub){.hub = {.ops = &redishub_ops, .name = h->name, .lanes = LANES}, .name = "suimon"};
	if (take_url(h, url, err, cap) == RC_OK)
		h->loop = loop_new("queue-redis");
	/* With another number of lanes tables would be in others. */
	h->hub.seed = h->hub.lanes;
	h->hub.host = h->url.host;
	if (h->loop)
		return &h->hub;
	redishub_close(&h->hub);
	return NULL;
}

static struct queue_engine *redishub_lane(struct queue_hub *h, const struct queue_lane_options *opt)
{
	return redislog_open(self(h), opt);
}

static enum rc redishub_start(struct queue_hub *hub)
{
	struct redishub *h = self(hub);

	h->running = loop_start(h->loop) == RC_OK;
	return h->running ? RC_OK : RC_ERROR;
}

const struct queue_hub_ops redishub_ops = {
	.open = redishub_open,
	.lane = redishub_lane,
	.start = redishub_start,
	.stop = redishub_stop,
	.close = redishub_close,
};
