/*
 * session.h - one client's life: its socket, what it has proven, the state of its session, the request it is running.
 *
 *   worker_adopt → session_open → (login.c) → session_input → command_begin → request … → session_next → …
 *                                                                                 session_close (once, with a reason)
 */
#ifndef SUIMON_SESSION_H
#define SUIMON_SESSION_H

#include "aftermath.h"
#include "channel.h"
#include "handshake.h"
#include "plan.h"
#include "seen.h"
#include "upstream.h"
#include "worker.h"

enum session_readonly {  /* a read-only transaction on a replica (readonly.c) */
	READONLY_NOT,
	READONLY_BEGUN,   /* by START TRANSACTION */
	READONLY_IMPLIED, /* by its first read, without autocommit */
	READONLY_HELD,    /* by START TRANSACTION, on a group's: it does not leave */
};

enum session_state {
	SESSION_HEADER,    /* a PROXY header awaited, before anything is said */
	SESSION_GREETED,   /* greeting sent, login awaited */
	SESSION_AUTH,      /* more of the authentication awaited */
	SESSION_READY,     /* next command awaited */
	SESSION_RUNNING,   /* a request runs; what comes meanwhile is kept */
	SESSION_STREAMING, /* a request runs, the rest of its packet passes through */
	SESSION_INFILE,    /* LOAD DATA LOCAL: the file passes through */
	SESSION_CLOSED,
};

enum close_reason {
	CLOSE_QUIT, CLOSE_EOF, CLOSE_IO, CLOSE_AUTH, CLOSE_MALFORMED, CLOSE_TIMEOUT, CLOSE_BACKEND, CLOSE_KILLED,
	CLOSE_LIMIT, CLOSE_MEMORY, CLOSE_SHUTDOWN,
};

struct request;
struct login_state; /* login.c */
struct temps;       /* temps.c */
struct holds;       /* holds.c */
struct sets_unsure; /* sets.c */

#define SESSION_QUEUED_TAGS 8
#define SESSION_TEMPS 16 /* temporary tables known; more are taken for shared ones */
#define SESSION_WRITTEN_TAGS 512

/* Tables written in the open transaction. */
struct write_set {
	cache_tag tags[SESSION_WRITTEN_TAGS]; /* of what was written, rows where they are known */
	cache_tag tables[CACHE_MAX_TAGS];     /* the same by table */
	uint16_t n, ntables;
	uint64_t schema_version;              /* of the catalog, when it was begun */
	bool by_table; /* more rows than fit */
	bool anything;
};

struct session {
	struct channel ch;
	struct worker *worker;
	enum session_state state;
	struct list_node node;         /* worker's sessions */
	uint64_t id;
	char peer[46];                 /* the client's address as text, a PROXY header's if there was one; or "unix" */
	uint8_t peer_len;
	bool proxied;                  /* a proxy stands between: what is at the socket's other end is not the client */
	uint64_t caps;                 /* negotiated with the client */
	uint64_t wire;                 /* of them, those a server connection must share */
	uint8_t seq;                   /* of the next packet suimon sends by itself */
	uint8_t scramble[SCRAMBLE_LEN];
	struct account *account;       /* reference; NULL until logged in */
	uint64_t epoch;                /* accounts_epoch when its login began */
	uint64_t chose_epoch;          /* ... when it last chose its schema or changed a database: its connections choose it no earlier */
	struct login_state *login;     /* owned; only while logging in */
	bool expired;                  /* its password was when it logged in: nothing is answered to it but by a server */
	uint8_t refused_changes;       /* COM_CHANGE_USERs of it that were denied; see login.c */
	const struct varset *vars;     /* reference */
	unsigned pins;                 /* enum plan_pin */
	bool in_transaction;
	uint16_t told;                 /* of the server's last status: STATUS_IN_TRANS_READONLY, STATUS_ANSI_QUOTES */
	bool transaction_unsure;       /* ... or not: an error has left that open, and the server's next answer will say it */
	enum session_readonly readonly; /* its transaction runs on a replica; NOT: it has none, or on the primary */
	bool readonly_proven;          /* ... which had all that the session had seen when it began */
	bool readonly_in_lane;         /* ... and is of a group: an error there is the answer */
	struct upstream *up;           /* leased: while a request runs or a pin lasts */
	bool on_primary;               /* up was leased from the primary of then */
	struct lease_park park;        /* the connection it used last */
	struct seen seen;              /* what its reads have seen: a replica must have it, too */
	struct cache_bound *shown;     /* shown.c; owned; NULL: nothing that binds its hits */
	uint64_t shown_lost_ns;        /* ... when there was no memory for it last: all that was shown by then binds; 0: nothing is amiss */
	uint64_t shown_ns;             /* when the primary, or a hit, showed it last what replicas need not have; 0: seen has it */
	uint64_t behind_ns;            /* when no replica had caught up with that; 0: not lately */
	struct backend *last_backend;  /* where its last statement ran */
	struct request *request;
	struct gtid_pos written;       /* what its reads must see (R2) */
	uint64_t written_unknown_ns;   /* monotonic: its last write of unknown position; 0 none */
	struct write_set *transaction; /* owned; NULL: nothing written in it */
	struct temps *temps;           /* temps.c; owned; NULL: none */
	struct holds *holds;           /* holds.c; owned; NULL: nothing that is listed */
	unsigned holds_untold;         /* the pins of which more may be held than is listed */
	struct sets_unsure *unsure;    /* sets.c; owned; NULL: nothing */
	uint64_t queued_seq;           /* its last queued record */
	cache_tag queued_tags[SESSION_QUEUED_TAGS];
	uint8_t nqueued_tags;
	bool queued_anything;          /* more tables than fit */
	bool queued_eventual;          /* their rules say read: eventual */
	struct limit_gate *gate;       /* it is in, with its statement or its transaction (limited.c); NULL: in none */
	unsigned gate_place;           /* ... by which rule of limits, as they stood then */
	struct limit_gate *gate_within; /* ... its statement is in besides; NULL: in none */
	uint64_t last_insert_id;
	struct aftermath aftermath;    /* of its last statement, where no connection has it */
	const struct upstream *told_by; /* has its last warnings, or their absence: older ones elsewhere are nobody's; to compare only */
	uint16_t kills;                /* KILLs of it being judged: no further command is taken until they are */
	bool executes_anything;        /* has, or may have, PREPAREd a text that is not known, or one that changes accounts */
	bool executes_ddl;             /* ... or one that may change the schema (unread.c) */
	bool executes_delayed;         /* ... or one with the word DELAYED */
	bool own_past;           /* connections of its own that are older than epoch serve it yet */
	bool set_global;               /* has set a global variable: replicas have their own */
	struct choice *choice;         /* choice.h; what it has chosen that is reported to it; owned; NULL: nothing */
	bool tracks_itself;            /* ... so that its connection alone knows: its reports pass ... */
	bool tracks_change;            /* ... that something else has changed, too */
	struct map prepared;           /* struct prepared by the client's id */
	size_t prepared_bytes;         /* of their texts and types */
	uint32_t next_prepared;
	uint32_t last_prepared;        /* by the last COM_STMT_PREPARE; 0: it failed, or there was none */
	struct stats_nplus1 nplus1;
	uint64_t opened_ns, active_ns; /* active: when the last command began or ended */
	uint64_t discard;         /* bytes still to come of a command that has its answer: not to be taken for commands */
	struct mail free_mail;
};

/* The number its client knows a session by, as CONNECTION_ID(): within 31 bits, for clients that keep it in a signed int, and
 * above what a server will count to, so that a KILL of a server's own thread hits nobody here. */
#define SESSION_NUMBERS UINT32_C(0x40000000)
static inline uint32_t session_number(const struct session *s)
{
	return SESSION_NUMBERS | (uint32_t)(s->id & (SESSION_NUMBERS - 1));
}
static inline bool session_is_number(uint64_t n) { return n >= SESSION_NUMBERS && n < UINT64_C(2) * SESSION_NUMBERS; }
struct session *session_find(struct worker *w, uint64_t number); /* its own thread; also by id. NULL: none */

void session_open(struct worker *w, int fd, const char *peer);
/* The one way a session ends. Tolerates half-built ones; the memory goes after the turn. */
void session_close(struct session *s, enum close_reason reason, const char *detail);
void session_set_state(struct session *s, enum session_state state);
void session_set_vars(struct session *s, const struct varset *vars); /* takes the reference over */
/* The request is over: what the client has sent meanwhile has its turn. */
void session_next(struct session *s);
/* Ends all that pins it and gives its connection back (reset first if need be). */
void session_unpin_all(struct session *s);
void session_forget(struct session *s); /* all it has but its account and variables: a reset, another user */
uint16_t session_status(const struct session *s); /* status flags for packets suimon makes */
static inline bool session_autocommit(const struct session *s) { return !s->vars || !s->vars->autocommit_off; }

/* ---- packets suimon itself sends; they go out with the next flush ---- */
void reply_ok(struct session *s);
void reply_login(struct session *s); /* its OK, which reports the schema that was chosen with it */
void reply_failed(struct session *s); /* there is no memory for what the client waits for: its session ends, soon */
void reply_eof(struct session *s);
/* An error of suimon's own, ready to be sent. Here alone such a text gets its mark, "suimon: ": nobody else writes it. */
struct reply_own {
	struct err_packet packet; /* its message is text */
	char text[512];
};
void reply_make_own(struct reply_own *own, uint16_t code, const char *state, const char *fmt, ...) printf_like(4, 5);
void reply_error(struct session *s, uint16_t code, const char *state, const char *fmt, ...) printf_like(4, 5); /* the same, sent */
void reply_server_error(struct session *s, const struct err_packet *e); /* passed on as it is */

/* ---- entry.c ---- */
void entry_begin(struct session *s);                                  /* greets it, or waits for a PROXY header first */
size_t entry_header(struct session *s, const uint8_t *p, size_t len); /* SESSION_HEADER: returns how many bytes were taken */
void entry_tick(struct session *s, uint64_t now_ns);                  /* SESSION_HEADER: its time limit */
bool entry_is_blocked(struct session *s); /* true: too many logins from its address have failed; it is told and closed */

/* ---- login.c ---- */
enum rc login_greet(struct session *s) must_check;
/* One packet while GREETED or AUTH. */
void login_packet(struct session *s, struct span payload, uint8_t seq);
/* What came cannot be a login: the client is told 1043 as servers do, and the session ends. seq: of the packet. */
void login_malformed(struct session *s, uint8_t seq, const char *detail);
void login_change_user(struct session *s, struct span payload, uint8_t seq); /* COM_CHANGE_USER's payload behind the command */
void login_done(struct session *s, bool ok, const struct err_packet *refusal); /* the server has judged the account */
void login_free(struct login_state *l);
bool login_awaits_key(const struct session *s);
void login_tick(struct session *s, uint64_t now_ns); /* one that is running */
void login_key_told(struct login_key_wait *w); /* login_auth.c: the key that logins wait for has come, or will not */
struct account *login_account(struct session *s); /* the one being proven; of who is logged in, that one's */
struct span login_schema(struct session *s);
bool login_wants_proof(struct session *s); /* only a new login at a server proves its password */
bool login_asks_expiry(struct session *s); /* true once: the server that has let it in is to say whether its password has expired */
void login_guess_spent(struct session *s, uint16_t code); /* by what a server said of a login: 1045 counts */

#endif
