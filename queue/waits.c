/*
 * waits.c - see waits.h.
 */
#include "waits.h"

void waits_init(struct waits *w)
{
	pthread_mutex_init(&w->lock, NULL);
	list_init(&w->list);
	w->closed = false;
	atomic_init(&w->some, false);
}

void waits_destroy(struct waits *w)
{
	pthread_mutex_destroy(&w->lock);
}

/* lock held. */
static void note_some(struct waits *w)
{
	atomic_store_explicit(&w->some, !list_empty(&w->list), memory_order_relaxed);
}

enum rc waits_add(struct waits *w, struct queue_waiter *who)
{
	enum rc rc = RC_OK;

	pthread_mutex_lock(&w->lock);
	if (!w->closed) {
		who->node = (struct list_node){0};
		list_push_back(&w->list, &who->node);
		note_some(w);
		rc = RC_AGAIN;
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

bool waits_cancel(struct waits *w, struct queue_waiter *who)
{
	bool waiting;

	pthread_mutex_lock(&w->lock);
	waiting = list_linked(&who->node);
	if (waiting)
		list_remove(&w->list, &who->node);
	note_some(w);
	pthread_mutex_unlock(&w->lock);
	return waiting;
}

void waits_move(struct waits *w, uint64_t applied)
{
	if (!waits_any(w))
		return;
	pthread_mutex_lock(&w->lock);
	list_each_safe (&w->list, n, tmp) {
		struct queue_waiter *who = container_of(n, struct queue_waiter, node);

		if (who->seq > applied)
			continue;
		list_remove(&w->list, n);
		if (who->loop)
			loop_post(who->loop, &who->mail);
		else
			who->mail.run(&who->mail);
	}
	note_some(w);
	pthread_mutex_unlock(&w->lock);
}

void waits_close(struct waits *w)
{
	pthread_mutex_lock(&w->lock);
	w->closed = true;
	pthread_mutex_unlock(&w->lock);
	waits_move(w, UINT64_MAX);
}
