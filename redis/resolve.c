#include "resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "sigthread.h"

struct resolve {
	struct mail mail;
	pthread_mutex_t lock; /* of loop: NULL once cancelled */
	struct loop *loop;
	resolve_fn done;
	void *arg;
	char *host;           /* owned */
	char port[8];
	struct resolve_address found[RESOLVE_ADDRESSES];
	unsigned n;
	const char *why;
	bool posted;          /* under lock */
};

static void resolve_end(struct resolve *r)
{
	pthread_mutex_destroy(&r->lock);
	mem_free(r->host);
	mem_free(r);
}

static void on_found(struct mail *mail)
{
	struct resolve *r = container_of(mail, struct resolve, mail);

	pthread_mutex_lock(&r->lock); /* the thread that posted may still hold it */
	pthread_mutex_unlock(&r->lock);
	r->done(r->arg, r->found, r->n, r->why);
	resolve_end(r);
}

static enum rc ask(struct resolve *r, int flags)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags}, *list = NULL;
	int err = getaddrinfo(r->host, r->port, &hints, &list);

	if (err) {
		r->why = gai_strerror(err);
		return RC_ERROR;
	}
	for (struct addrinfo *a = list; a && r->n < RESOLVE_ADDRESSES; a = a->ai_next) {
		struct resolve_address *to = &r->found[r->n];

		if (a->ai_addrlen > sizeof(to->addr))
			continue;
		memcpy(&to->addr, a->ai_addr, a->ai_addrlen);
		to->len = a->ai_addrlen;
		r->n++;
	}
	freeaddrinfo(list);
	r->why = "no address";
	return RC_OK;
}

static void *run(void *arg)
{
	struct resolve *r = arg;
	bool cancelled;

	(void)!ask(r, 0); /* r->n and r->why tell */
	pthread_mutex_lock(&r->lock);
	cancelled = !r->loop;
	if (!cancelled) {
		r->posted = true;
		loop_post(r->loop, &r->mail);
	}
	pthread_mutex_unlock(&r->lock);
	if (cancelled)
		resolve_end(r);
	return NULL;
}

static enum rc start_thread(struct resolve *r)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (pthread_attr_init(&attr) != 0)
		return RC_ERROR;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = sigthread_create(&thread, &attr, run, r);
	pthread_attr_destroy(&attr);
	return err ? RC_ERROR : RC_OK;
}

struct resolve *resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn done, void *arg)
{
	struct resolve *r = mem_zalloc(sizeof(*r));

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	r->mail.run = on_found;
	r->loop = loop;
	r->done = done;
	r->arg = arg;
	r->host = mem_strdup(host);
	snprintf(r->port, sizeof(r->port), "%u", (unsigned)port);
	if (r->host && ask(r, AI_NUMERICHOST) == RC_OK) {
		r->posted = true;
		loop_post(loop, &r->mail);
		return r;
	}
	if (!r->host || start_thread(r) != RC_OK) {
		resolve_end(r);
		return NULL;
	}
	return r;
}

void resolve_cancel(struct resolve *r)
{
	bool posted;

	pthread_mutex_lock(&r->lock);
	posted = r->posted;
	r->loop = NULL; /* if the thread is still asking, it ends r */
	pthread_mutex_unlock(&r->lock);
	if (posted)
		resolve_end(r);
}
