/*
 * redislink.c - see redislink.h.
 */
#include "redislink.h"

#include <stdio.h>
#include <stdlib.h>

#include "log.h"

static void connect_next(struct redislink *l)
{
	const struct resolve_address *to = &l->addr[l->next++];

	redis_open(l->conn, &to->addr, to->len, l->host);
}

static void retry_later(struct redislink *l)
{
	uint64_t ns = backoff_failed(&l->backoff, clock_mono_ns());
	struct timeval tv = {.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_usec = (suseconds_t)(ns % NS_PER_SEC / 1000)};

	if (evtimer_add(l->retry, &tv) != 0)
		log_fatal(l->area, "a timer cannot be set", NULL);
}

static void tell_down(struct redislink *l, const char *why)
{
	char text[200];

	if (!l->told)
		log_warn(l->area, "Redis does not answer", "host=%s port=%u reason=%s", l->host, l->port,
			 log_quote(text, sizeof(text), span_str(why)));
	l->told = true;
	snprintf(l->why, sizeof(l->why), "%s", why);
}

/* The name the URL has; of a cluster's, another one each time. */
static void choose_host(struct redislink *l)
{
	const char *host = l->url->host;

	l->port = l->url->port;
	if (l->url->nseeds) {
		const struct redis_seed *seed = &l->url->seeds[l->seed++ % l->url->nseeds];

		host = seed->host;
		l->port = seed->port;
	}
	snprintf(l->host, sizeof(l->host), "%s", host);
	l->moved = false;
}

static void on_resolved(void *arg, const struct resolve_address *a, unsigned n, const char *why)
{
	struct redislink *l = arg;

	l->resolve = NULL;
	l->naddr = n < RESOLVE_ADDRESSES ? n : RESOLVE_ADDRESSES;
	l->next = 0;
	for (unsigned i = 0; i < l->naddr; i++)
		l->addr[i] = a[i];
	if (l->naddr) {
		connect_next(l);
		return;
	}
	tell_down(l, why);
	choose_host(l);
	retry_later(l);
}

static void resolve(struct redislink *l)
{
	l->resolve = resolve_start(l->loop, l->host, l->port, on_resolved, l);
	if (!l->resolve)
		retry_later(l);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct redislink *l = arg;

	if (!l->resolve && redis_state(l->conn) == REDIS_CLOSED)
		resolve(l);
}

static void on_up(void *arg)
{
	struct redislink *l = arg;

	backoff_good(&l->backoff, clock_mono_ns());
	if (l->told)
		log_info(l->area, "Redis answers again", "host=%s port=%u", l->host, l->port);
	l->told = false;
	l->why[0] = '\0';
	l->ops->up(l->arg);
}

static void on_down(void *arg, const char *why)
{
	struct redislink *l = arg;
	bool was_up = l->backoff.since != 0;

	l->ops->down(l->arg);
	if (l->resolve || evtimer_pending(l->retry, NULL)) /* it was told where to go */
		return;
	tell_down(l, why);
	if (!was_up && l->next < l->naddr) {
		connect_next(l);
		return;
	}
	choose_host(l);
	retry_later(l);
}

static void on_push(void *arg, struct redis_reply *reply)
{
	redis_reply_free(reply); /* never subscribed */
}

static const struct redis_ops link_ops = {.up = on_up, .down = on_down, .push = on_push};

enum rc redislink_init(struct redislink *l, const char *area, struct loop *loop, const struct redis_url *url,
		       const struct redislink_ops *ops, void *arg, size_t reply_max, size_t output_max)
{
	struct redis_options opt = {.url = url, .ops = &link_ops, .arg = l, .reply_max = reply_max, .output_max = output_max};

	*l = (struct redislink){.area = area, .loop = loop, .url = url, .ops = ops, .arg = arg};
	choose_host(l);
	l->conn = redis_new(loop_base(loop), &opt);
	l->retry = evtimer_new(loop_base(loop), on_retry, l);
	return l->conn && l->retry ? RC_OK : RC_ERROR;
}

void redislink_open(struct redislink *l)
{
	resolve(l);
}

void redislink_again(struct redislink *l, const char *why)
{
	redis_close(l->conn, why);
}

/* "MOVED 3999 host:port"; no host: the one that said so. */
static enum rc parse_moved(struct redislink *l, struct span error)
{
	const char *host = error.len > 6 ? memchr(error.p + 6, ' ', error.len - 6) : NULL, *colon;
	size_t len;
	long port;

	if (!host)
		return RC_ERROR;
	host++;
	len = (size_t)(error.p + error.len - host);
	colon = len ? memrchr(host, ':', len) : NULL; /* an IPv6 address has colons of its own */
	if (!colon || (size_t)(colon - host) >= sizeof(l->host))
		return RC_ERROR;
	port = strtol(colon + 1, NULL, 10); /* the reply has a NUL behind it */
	if (port < 1 || port > UINT16_MAX)
		return RC_ERROR;
	if (colon > host)
		snprintf(l->host, sizeof(l->host), "%.*s", (int)(colon - host), host);
	l->port = (uint16_t)port;
	return RC_OK;
}

bool redislink_follow(struct redislink *l, struct span error)
{
	static const struct timeval at_once = {0};

	if (!l->url->nseeds || error.len < 6 || memcmp(error.p, "MOVED ", 6) != 0 || parse_moved(l, error) != RC_OK)
		return false;
	/* Two nodes that point at each other are asked no faster than a lost one. */
	if (l->moved)
		retry_later(l);
	else if (evtimer_add(l->retry, &at_once) != 0)
		log_fatal(l->area, "a timer cannot be set", NULL);
	l->moved = true;
	redis_close(l->conn, "the slot is elsewhere");
	return true;
}

void redislink_reset(struct redislink *l)
{
	if (l->resolve)
		resolve_cancel(l->resolve);
	l->resolve = NULL;
	redis_free(l->conn);
	l->conn = NULL;
	if (l->retry)
		event_free(l->retry);
	l->retry = NULL;
}
