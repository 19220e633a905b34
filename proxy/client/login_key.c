#include "login_key.h"

#include "auth.h"
#include "mem.h"
#include "sigthread.h"

struct login_key {
	pthread_mutex_t lock;
	struct auth_rsa *rsa;
	struct list waits;   /* to be told when the thread is done */
	bool making;
	bool has_thread;     /* to be joined */
	pthread_t thread;
};

struct login_key *login_key_new(void)
{
	struct login_key *k = mem_zalloc(sizeof(*k));

	if (!k)
		return NULL;
	if (pthread_mutex_init(&k->lock, NULL) != 0) {
		mem_free(k);
		return NULL;
	}
	list_init(&k->waits);
	return k;
}

static void join(struct login_key *k)
{
	if (k->has_thread)
		pthread_join(k->thread, NULL);
	k->has_thread = false;
}

void login_key_free(struct login_key *k)
{
	if (!k)
		return;
	join(k);
	auth_rsa_free(k->rsa);
	pthread_mutex_destroy(&k->lock);
	mem_free(k);
}

static void on_told(struct mail *m)
{
	struct login_key_wait *w = container_of(m, struct login_key_wait, mail);

	w->waiting = false;
	w->told(w);
}

static void *make(void *arg)
{
	struct login_key *k = arg;
	struct auth_rsa *rsa = auth_rsa_new();
	struct list_node *n;

	pthread_mutex_lock(&k->lock);
	k->rsa = rsa;
	k->making = false;
	while ((n = list_first(&k->waits))) {
		struct login_key_wait *w = container_of(n, struct login_key_wait, node);

		list_remove(&k->waits, n);
		loop_post(w->loop, &w->mail);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

/* Locked. The thread before, if any, has nothing left to do but to end. */
static enum rc begin(struct login_key *k)
{
	join(k);
	if (sigthread_start(&k->thread, "login key", make, k) != RC_OK)
		return RC_ERROR;
	k->has_thread = k->making = true;
	return RC_OK;
}

enum rc login_key_get(struct login_key *k, struct login_key_wait *w, struct auth_rsa **out)
{
	enum rc rc = RC_AGAIN;

	pthread_mutex_lock(&k->lock);
	*out = k->rsa;
	if (k->rsa) {
		rc = RC_OK;
	} else if (!w->waiting) {
		if (!k->making && begin(k) != RC_OK) {
			rc = RC_ERROR;
		} else {
			w->waiting = true;
			w->mail.run = on_told;
			list_push_back(&k->waits, &w->node);
		}
	}
	pthread_mutex_unlock(&k->lock);
	return rc;
}

struct auth_rsa *login_key_made(struct login_key *k)
{
	struct auth_rsa *rsa;

	pthread_mutex_lock(&k->lock);
	rsa = k->rsa;
	pthread_mutex_unlock(&k->lock);
	return rsa;
}
