/*
 * lease.h - a worker's connections to the servers, lent to requests and taken back.
 *
 * The limit of connections a backend (backend.pool.max) counts over all workers. A request that cannot have one waits in
 * order, at most until its deadline; so does one whose server has no connection left (1040 and its kin), where a new one
 * is tried for every now and then. An idle connection stays parked for the session it served last, so that what only
 * that connection knows (warnings and their kin) is still there when the session comes back and nobody else needed it. FOUND_ROWS() and
 * ROW_COUNT(), where nothing else tells them, it is asked before it is lent to another session, or closed for one:
 *
 *   lease_ask → "SELECT FOUND_ROWS(),ROW_COUNT(),LAST_INSERT_ID()" → lease_left_done: the session's lease_park has it; idle again, for anybody
 */
#ifndef SUIMON_LEASE_H
#define SUIMON_LEASE_H

#include "stats.h"
#include "topology.h"
#include "upstream.h"

/* Lives in a session: the connection it used last, as long as nobody else has used it since. Spares it the search. */
struct lease_park {
	struct upstream *u;
	bool sole;      /* it alone knows what the session's last statement has left */
	bool told;      /* ... and was asked: */
	uint64_t found; /* FOUND_ROWS() */
	int64_t count;  /* ROW_COUNT() */
	uint64_t insert_id; /* LAST_INSERT_ID() */
};

struct lease_request {
	/* Filled by the caller: */
	struct backend *backend;
	struct account *account;
	uint64_t wire;
	const struct varset *vars;  /* preferred state; may be NULL */
	uint64_t session;           /* id, for parking */
	struct lease_park *park;    /* the same session's; NULL: none */
	uint64_t epoch;             /* accounts_epoch of its login: no connection older than that will do */
	bool own_past;        /* it asks for what is left of the session on the connection it was parked on: that one may be older than epoch */
	uint64_t deadline_ns;
	bool plain;                 /* one on which suimon has said nothing, and its session's alone from then on */
	bool fresh;                 /* only a connection whose login is new will do: it proves the password */
	bool impatient;             /* has somewhere else to go: declined as soon as the server cannot be reached */
	bool urgent;                /* goes before all others, and beyond the pool's limit if need be */
	bool asks_first;            /* leaves FOUND_ROWS() as it is: where the connection used last is another server's, or will not do, that is asked what it alone knows first */
	bool parked_only;           /* only the connection parked for this session will do */
	/* After RC_AGAIN: RC_OK with u leased; RC_DECLINED: the server cannot be reached or none became free in time (err_code:
	 * because the server had none left); RC_ERROR: the server refused the account (err_* of the request). */
	void (*done)(struct lease_request *r, enum rc rc, struct upstream *u);
	/* For lease.c: */
	uint16_t err_code;
	char err_state[6];
	bool err_theirs;            /* in the server's words; else in suimon's, without its mark */
	uint64_t asked_ns;
	struct list_node node;
	struct upstream *opening;
	char err_text[256];         /* last: a request clears only its first byte */
};

struct lease_limits {
	uint64_t max, min_idle, idle_timeout_ns, max_age_ns, connect_timeout_ns;
	uint64_t unheard_ns; /* so long a statement waits for a server whose host acknowledges nothing */
	enum tls_mode tls_mode;
	struct tls_context *tls; /* the settings' own; NULL: disabled */
	enum settings_compress compress;
};

struct lease_backend {
	struct list idle;      /* most recently used first */
	struct list busy;      /* leased, resetting */
	struct list opening;
	struct list waiters;   /* lease_request */
	uint64_t owed_ns;      /* of this worker, for backend.owed_ns */
};

struct lease_pool {
	struct loop *loop;
	struct channel_scratch *scratch;
	struct topology *topology;
	struct accounts *accounts;
	struct stats_sink *sink;
	struct lease_limits limits;
	struct varsets varsets;
	const struct varset *empty;       /* state of nothing; reference */
	struct lease_backend *backends;   /* one a place in the topology, same order; owned */
	struct event *tick;
	struct mail serve_mail;           /* idle connections meet waiters after the turn, not deep in a call */
	bool serving;                     /* it is on its way */
	bool unopened;                    /* some of those who wait have no connection on its way yet */
	unsigned load;                    /* its place in backend.loads */
	bool closing;
	const _Atomic uint32_t *clients;  /* of all workers; NULL: not known */
};

struct lease_pool *lease_pool_new(struct loop *loop, struct channel_scratch *scratch, struct topology *t,
				  struct accounts *as, struct stats_sink *sink, const struct lease_limits *limits) must_check;
void lease_pool_close(struct lease_pool *p); /* closes every connection; the memory goes with lease_pool_free after a turn */
void lease_pool_free(struct lease_pool *p);

/* RC_OK: *u is leased. RC_AGAIN: done() will tell. RC_DECLINED: not reachable (or parked_only and not there). */
enum rc lease_acquire(struct lease_pool *p, struct lease_request *r, struct upstream **u) must_check;
void lease_cancel(struct lease_pool *p, struct lease_request *r); /* while it waits */
/* Gives it back; a dirty one is reset first, a condemned or busy one closed. */
void lease_release(struct upstream *u);
/* It is to be found again by this session: call it before lease_release. */
void lease_park(struct upstream *u, struct lease_park *park, uint64_t session);
void lease_unpark(struct upstream *u);            /* nobody's any more; harmless if it was not */
void lease_park_end(struct lease_park *park);     /* the session ends */
void lease_discard(struct upstream *u, const char *why);
/* Would it be as after a login? Not if the server's defaults have changed since, or the login asked for what a reset takes away. */
bool lease_reset_is_enough(const struct upstream *u) must_check;

/* The server has no room for another prepared statement: idle connections to it give theirs up. */
void lease_close_statements(struct lease_pool *p, const struct backend *b);

/* lease_left.c, from upstream.c: a piece of the answer in UPSTREAM_ASKED, and its end. */
void lease_left_piece(struct upstream *u, const struct track_piece *piece);
void lease_left_done(struct upstream *u);

/* lease_hold.c: u is spoken of elsewhere by its thread's number (KILL): once released it stays unlent until it is let go,
 * by that number, because it may be gone by then. */
void lease_hold(struct upstream *u);
void lease_unhold(struct lease_pool *p, const struct backend *b, uint32_t thread);
bool lease_is_held(struct upstream *u); /* from lease_release: true: it stays as it is */

/* The idle connection that is parked for the session, or NULL. It stays where it is. */
struct upstream *lease_parked(struct lease_pool *p, struct backend *b, uint64_t session) must_check;

/* From upstream.c. */
void lease_opened(struct upstream *u, bool ok, const char *why);
void lease_lost(struct upstream *u); /* takes it off its list and out of the counts */
void lease_ready(struct upstream *u); /* reset is over */

#endif
