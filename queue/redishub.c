/*
 * redishub.c - see redishub.h.
 */
#include "redishub.h"

#include <stdio.h>
#include <string.h>

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
	if (!value.len || value.len >= sizeof(h->name))
		return RC_ERROR;
	for (size_t i = 0; i < value.len; i++) {
		char c = value.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return RC_ERROR;
	}
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
		return take_number(value, 1, REDISHUB_LANES_MAX, &h->lanes);
	if (span_eq(key, span_str("wait")))
		return take_number(value, 0, WAIT_MAX, &h->wait);
	if (span_eq(key, span_str("wait_aof")))
		return take_number(value, 0, 1, &h->wait_aof);
	return RC_ERROR;
}

enum rc redishub_open(struct redishub *h, const char *url, char *err, size_t cap)
{
	char why[256];

	*h = (struct redishub){.name = "suimon", .lanes = LANES};
	if (redis_url_parse_with(url, &h->url, take_option, h, why, sizeof(why)) != RC_OK ||
	    redis_url_secure(&h->url, why, sizeof(why)) != RC_OK) {
		snprintf(err, cap,
			 "queue.url: %s; of its own the queue takes ?name=WORD (letters, digits, - and _), lanes=1 to %u, "
			 "wait=0 to %u, wait_aof=0 or 1",
			 why, REDISHUB_LANES_MAX, WAIT_MAX);
		return RC_ERROR;
	}
	h->loop = loop_new("queue-redis");
	if (h->loop)
		return RC_OK;
	snprintf(err, cap, "out of memory");
	return RC_ERROR;
}

enum rc redishub_start(struct redishub *h)
{
	h->running = loop_start(h->loop) == RC_OK;
	return h->running ? RC_OK : RC_ERROR;
}

void redishub_stop(struct redishub *h)
{
	if (!h->running)
		return;
	loop_stop(h->loop);
	loop_join(h->loop);
	h->running = false;
}

void redishub_close(struct redishub *h)
{
	redishub_stop(h);
	if (h->loop)
		loop_free(h->loop);
	h->loop = NULL;
	redis_url_reset(&h->url);
}
