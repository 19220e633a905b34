/*
 * fleet_store.h - the document that instances share, as it stands in Redis: one hash at the key of config.source.
 *
 *   version   a whole number, one more with every push
 *   sum       SHA-256 of that version's document, in hex
 *   doc.N     the document of version N, for the last FLEET_STORE_KEPT versions; about.N: when and by whom
 *
 * One hash is one key, so that a cluster keeps it in one place and a script writes it at once. One question is asked at a time, and
 * answered through a hook; all of it belongs to one loop's thread.
 */
#ifndef SUIMON_FLEET_STORE_H
#define SUIMON_FLEET_STORE_H

#include "conf.h"
#include "redislink.h"

#define FLEET_STORE_KEPT 10
#define FLEET_STORE_SUM 65 /* bytes of a sum as text, its end included */
#define FLEET_STORE_ANY UINT64_MAX
#define FLEET_STORE_VERSION_MAX 9007199254740991 /* what Redis' scripts count exactly */

enum fleet_store_question {
	FLEET_STORE_NOTHING,
	FLEET_STORE_HEAD,  /* version and sum */
	FLEET_STORE_SIZE,  /* a step of GET */
	FLEET_STORE_GET,   /* a version's document */
	FLEET_STORE_ABOUT, /* when a version was written, and by whom */
	FLEET_STORE_PUT,
};

struct fleet_store_answer {
	enum fleet_store_question to;
	/* RC_OK. RC_AGAIN: the connection went, or the key is on another node: ask when the store is up again; whether a PUT was
	 * done is not known where `lost` is set. RC_DECLINED: there is no such version (PUT: it is not the version that was
	 * expected). RC_ERROR: why says it (may hold bytes of the server's). */
	enum rc rc;
	bool lost;
	bool too_large;   /* RC_ERROR of a GET: it is the document's own fault, and asking again is of no use */
	uint64_t version; /* the current one; 0: nothing was ever pushed */
	struct span sum;  /* the current version's, 64 digits; empty: none, or something else stands there */
	struct span text; /* GET: the document; ABOUT */
	const char *why;
};

struct fleet_store_hooks {
	void *arg;
	void (*up)(void *arg);
	void (*down)(void *arg);
	void (*answer)(void *arg, const struct fleet_store_answer *a); /* its spans are valid until it returns */
};

struct fleet_store {
	struct redislink link;
	struct redis_url url;
	char *key; /* owned */
	const struct fleet_store_hooks *hooks;
	enum fleet_store_question asked;
	uint64_t asked_ns; /* monotonic */
	uint64_t wanted;   /* GET: the version */
};

void fleet_store_sum(struct span text, char out[FLEET_STORE_SUM]); /* empty: the library failed */
/* source: config.source. RC_ERROR: why; fleet_store_reset is due all the same. hooks outlive the store. */
enum rc fleet_store_init(struct fleet_store *st, struct loop *loop, const char *source, const struct fleet_store_hooks *hooks, char *why,
			 size_t cap) must_check;
void fleet_store_open(struct fleet_store *st); /* connects, and again whenever the connection is lost */
void fleet_store_reset(struct fleet_store *st); /* when the loop has ended */

/* Each asks one thing. RC_DECLINED: another question waits for its answer; RC_ERROR: not up, or no memory. */
enum rc fleet_store_head(struct fleet_store *st) must_check;
enum rc fleet_store_get(struct fleet_store *st, uint64_t version) must_check;
enum rc fleet_store_about(struct fleet_store *st, uint64_t version) must_check;
/* The next version; expect: what the current one must be, or FLEET_STORE_ANY. */
enum rc fleet_store_put(struct fleet_store *st, uint64_t expect, struct span text, struct span about) must_check;
/* How long the question that waits has waited, 0 where none does; too long: */
uint64_t fleet_store_waiting_ns(const struct fleet_store *st);
void fleet_store_give_up(struct fleet_store *st); /* another connection, after a while */

static inline bool fleet_store_up(const struct fleet_store *st)
{
	return redislink_up(&st->link);
}

#endif
