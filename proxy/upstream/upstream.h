/*
 * upstream.h - one connection to a server: its login, its state, the replies that come over it.
 *
 *   lease_acquire → (upstream_open → greeting → login → init) → leased to an owner
 *     owner: upstream_command / channel_push … → ops->piece for every piece of the reply → ops->done
 *   → lease_release → idle (parked for the session it served last) → leased again, reset, or closed
 *
 * Belongs to one worker. The owner is a session's request, or this layer itself (login, reset).
 */
#ifndef SUIMON_UPSTREAM_H
#define SUIMON_UPSTREAM_H

#include "account.h"
#include "backend.h"
#include "channel.h"
#include "handshake.h"
#include "list.h"
#include "map.h"
#include "track.h"
#include "varset.h"

/* The capabilities that shape what a server sends or how it reads: connections are shared only among clients that
 * agree on them, so that a reply's bytes fit without being decoded. */
/* Of these, what changes the form of packets: a server without them cannot serve such a client. */
#define UPSTREAM_FORM_CAPS (CLIENT_OPTIONAL_RESULTSET_METADATA | CLIENT_QUERY_ATTRIBUTES)
#define UPSTREAM_WIRE_CAPS                                                                                             \
	(CLIENT_FOUND_ROWS | CLIENT_LONG_FLAG | CLIENT_NO_SCHEMA | CLIENT_ODBC | CLIENT_LOCAL_FILES | CLIENT_IGNORE_SPACE | \
	 CLIENT_TRANSACTIONS | CLIENT_MULTI_STATEMENTS | CLIENT_MULTI_RESULTS | CLIENT_PS_MULTI_RESULTS |              \
	 CLIENT_DEPRECATE_EOF | CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS | UPSTREAM_FORM_CAPS | MARIADB_CLIENT_PROGRESS |       \
	 MARIADB_CLIENT_STMT_BULK_OPERATIONS | MARIADB_CLIENT_EXTENDED_METADATA)

enum upstream_state {
	UPSTREAM_CONNECTING, /* waiting for TCP */
	UPSTREAM_GREETING,   /* waiting for the server's first packet */
	UPSTREAM_SECURING,   /* TLS handshake */
	UPSTREAM_AUTH,       /* login sent */
	UPSTREAM_INIT,       /* switching session tracking on */
	UPSTREAM_IDLE,       /* nobody's: on the idle list */
	UPSTREAM_LEASED,     /* a request's */
	UPSTREAM_RESETTING,  /* COM_RESET_CONNECTION sent, then idle */
	UPSTREAM_ASKED,      /* asked what it alone knows (lease_left.c), then idle */
	UPSTREAM_CLOSED,
};

struct upstream;
struct lease_pool;
struct lease_park;

struct upstream_ops {
	void (*piece)(struct upstream *u, const struct track_piece *piece);
	void (*done)(struct upstream *u);                   /* the reply has ended; u->track says what it was */
	void (*turn)(struct upstream *u);                   /* the bytes at hand are used up: flush what points into them */
	void (*gone)(struct upstream *u, const char *why);  /* the connection is lost (already closed); why is a literal */
	void (*drained)(struct upstream *u);                /* what was kept for sending has left */
};

/* A statement prepared on this connection. */
struct upstream_stmt {
	struct map_node node;
	struct list_node lru;
	uint8_t key[16];      /* of text, schema and variables at its preparation */
	uint32_t id;          /* the server's */
	uint64_t types_of;    /* names the parameter types it was last executed with; 0 none */
	uint32_t claimed_by;  /* the client's statement whose cursor or long data it holds; 0 none: it may be shared and closed */
};
#define UPSTREAM_MOST_STMTS 256
#define UPSTREAM_ZSTD_LEVEL 3 /* with which the server packs, and we */

#define UPSTREAM_NOBODY UINT64_MAX /* is no session's id: it answers nobody what may be asked */

struct upstream {
	struct channel ch;
	enum upstream_state state;
	struct lease_pool *pool;
	struct backend *backend;
	struct backend_load *load; /* of the backend, this worker's */
	struct account *account;   /* reference */
	uint64_t wire;             /* of UPSTREAM_WIRE_CAPS */
	uint64_t caps;             /* negotiated */
	uint16_t collation;        /* asked for at login; 0: the server's own */
	uint8_t server_collation;  /* the server's own */
	bool mariadb;
	bool tracks;               /* the server reports session state (P3) */
	const struct varset *vars; /* reference: its present state; NULL until logged in */
	bool dirty_reads;          /* its sessions begin with READ UNCOMMITTED, or the server has not said with what */
	bool mode_known;
	struct varset_mode mode;   /* how text reads in sessions that have not said */
	bool lent;                 /* has been leased before: its login is no longer news */
	bool dirty;                /* has state that no varset holds: reset before anybody else gets it */
	bool condemned;            /* close instead of idling */
	bool given;                /* its place is another worker's, as soon as it has said what it knows */
	struct map stmts;
	struct list stmts_lru;
	struct track track;
	bool tracking;             /* a reply is awaited */
	const struct upstream_ops *ops;
	void *owner;               /* of the lease */
	uint64_t insert_id_of;     /* id of the session whose LAST_INSERT_ID() it would answer; 0 none: it answers 0; or UPSTREAM_NOBODY */
	uint64_t warnings_of;      /* id of the session whose last statement left warnings here; 0 none */
	uint64_t epoch;            /* accounts_epoch when its login began */
	uint64_t chose_epoch;      /* ... when it last chose its schema, or before; 0: a reset has taken what the choice gave */
	uint64_t parked_for;       /* id of the session it served last; 0 none */
	struct lease_park *park;   /* of that session; NULL: none, or the session has another */
	bool plain;                /* nothing was said on it but what clients say; never anybody else's */
	struct iobuf answer;       /* while UPSTREAM_ASKED */
	uint64_t insert_id;        /* LAST_INSERT_ID() of insert_id_of, as far as it was told */
	bool keep;                 /* holds what that session may ask for (LAST_INSERT_ID(), SHOW WARNINGS): lent to others last */
	uint16_t holds;            /* lease_hold: nobody else gets it */
	bool let_go;               /* was released while held */
	uint64_t born_ns, since_ns; /* since: idle */
	uint64_t heard_ns;         /* when its host was last found to acknowledge what was sent */
	uint64_t looked_ns;        /* when that was looked at last */
	uint64_t ready_ns;         /* logged in: from then on it has led to one and the same process */
	struct gtid_pos reached;   /* that process has answered that it was there */
	uint32_t thread_id;
	uint8_t seq;               /* of the next packet of the login */
	uint8_t scramble[SCRAMBLE_LEN];
	char plugin[64];
	uint8_t auth_step;
	bool asked_key;
	uint16_t err_code;         /* why the login failed; 0: the network or what is no protocol */
	char err_state[6];
	bool err_theirs;           /* in the server's words; else in suimon's, without its mark */
	char err_text[256];
	struct list_node node;
	struct mail free_mail;
	struct event timer;        /* connect and login have a limit */
};

/* Opens a connection and logs in; lease_opened(u, ...) tells the outcome. NULL: not even tried (errno or address). */
struct upstream *upstream_open(struct lease_pool *pool, struct backend *b, struct account *a, uint64_t wire,
			       uint16_t collation) must_check;
/* Looks now and then whether its host acknowledges what is sent there. True: for longer than the pool's limit it has not; it
 * is lost, and its owner told. */
bool upstream_is_gone(struct upstream *u, uint64_t now_ns);
/* Closes it and frees it after the turn. Idempotent. Takes it off its list. */
void upstream_close(struct upstream *u, const char *why);

/* Sends one command packet (payload: the command byte and what follows; less than 16 MB) and awaits this reply. */
enum rc upstream_command(struct upstream *u, enum track_reply reply, const void *payload, size_t len) must_check;
struct span upstream_tracking_sql(const struct upstream *u); /* switches session tracking on; a reset takes it away */
void upstream_tracked(struct upstream *u, struct span ok); /* its answer's OK, the payload: what a session here begins with */
#define UPSTREAM_QUERY_HEAD 3
/* What stands before the text of a COM_QUERY without attributes: the command, and with CLIENT_QUERY_ATTRIBUTES their number. Returns
 * its length; head: room for UPSTREAM_QUERY_HEAD bytes. */
size_t upstream_query_head(uint64_t caps, void *head);
enum rc upstream_query(struct upstream *u, struct span sql) must_check; /* COM_QUERY */
/* The caller has pushed a command itself: await its reply. Flushes. */
enum rc upstream_await(struct upstream *u, enum track_reply reply) must_check;
/* A command without a reply. */
enum rc upstream_notify(struct upstream *u, const void *payload, size_t len);

void upstream_set_vars(struct upstream *u, const struct varset *vars); /* takes a reference of its own */
void upstream_stmt_init(struct upstream *u);
struct upstream_stmt *upstream_stmt_find(struct upstream *u, const uint8_t key[16]);
/* Remembers a prepared statement; the oldest is closed on the server when there are too many, a twin is replaced. NULL: no memory. */
struct upstream_stmt *upstream_stmt_add(struct upstream *u, const uint8_t key[16], uint32_t id);
void upstream_stmt_drop(struct upstream *u, struct upstream_stmt *s);
void upstream_stmt_forget_all(struct upstream *u);
void upstream_stmt_close_all(struct upstream *u); /* on the server too; but not those that are claimed */

/* upstream_login.c, for upstream.c: one packet of the connection phase. RC_AGAIN: more to come; RC_OK: logged in; RC_ERROR: err_* says why. */
enum rc upstream_login_packet(struct upstream *u, struct span payload, uint8_t seq) must_check;
enum rc upstream_login_secured(struct upstream *u) must_check;   /* TLS stands: RC_AGAIN, or RC_ERROR as above */
void upstream_login_unsecured(struct upstream *u);               /* its handshake failed: err_* say why */

#endif
