/*
 * request.h - one command's life: parsed, planned, run in steps, its effects applied, its reply sent in order.
 *
 *   command_begin → (facts, plan) → exec_run:
 *      WAIT_QUEUE → CACHE → QUEUE → LIMIT → ANNOUNCE → ACQUIRE → SYNC → POSITION → BEGIN → PREPARE → SEND → REPLY → AFTER → request_end
 *   A step answers RC_OK (next), RC_AGAIN (something will call exec_resume), RC_DECLINED (it has chosen another step)
 *   or RC_ERROR (it has answered the client; the request is over).
 */
#ifndef SUIMON_REQUEST_H
#define SUIMON_REQUEST_H

#include "result.h"
#include "session.h"
#include "stmt.h"

enum request_step {
	STEP_WAIT_QUEUE, /* until the session's own queued writes on these tables are applied (Q3) */
	STEP_CACHE,      /* look in the cache */
	STEP_QUEUE,      /* acknowledge from the queue */
	STEP_LIMIT,      /* until the rules of limits let it in */
	STEP_ANNOUNCE,   /* tell the other instances what it may write, should this one die over it */
	STEP_ACQUIRE,    /* a server connection */
	STEP_SYNC,       /* give it the session's state */
	STEP_POSITION,   /* a replica must have applied what the read must see */
	STEP_BEGIN,      /* a read-only transaction that was on a replica begins anew on the primary */
	STEP_PREPARE,    /* the statement must be prepared on this connection */
	STEP_SEND,
	STEP_REPLY,
	STEP_AFTER,      /* what must be asked before the connection may go */
	STEP_END,
};

enum request_refusal { /* why the server did not run it */
	REFUSED_NOT,
	REFUSED_READ_ONLY, /* it is no primary */
	REFUSED_ENDING,    /* it is going down */
	REFUSED_FULL,      /* it has no room for another prepared statement */
	REFUSED_BY_REPLICA, /* an error that the primary need not have */
};

enum request_hidden { /* what a hidden conversation on the connection is about */
	HIDDEN_NONE,
	HIDDEN_CLEARED, HIDDEN_RESET, HIDDEN_TRACKING, HIDDEN_OTHER_SCHEMA, HIDDEN_SCHEMA, HIDDEN_VARIABLES, HIDDEN_POSITION, HIDDEN_PREPARE,
	HIDDEN_CHECK_PREPARE, HIDDEN_CHECK_COLUMNS, HIDDEN_COLLATION, HIDDEN_INSERT_ID, HIDDEN_AFTERMATH, HIDDEN_OWN_TRACKING,
	HIDDEN_BEGIN, HIDDEN_EXPIRY,
};

/* A statement prepared by the client. */
struct prepared {
	struct map_node node;
	uint32_t id;             /* the client's */
	uint16_t params, columns;
	char *text;              /* owned */
	size_t text_len;
	unsigned mode;
	struct statement *st;    /* reference */
	struct sql_lexed lexed;  /* hints only: its spans are into text */
	const struct varset *env; /* schema and variables at its preparation; reference */
	uint8_t key[16];         /* names it on server connections */
	uint8_t *types;          /* 2 * params bytes, owned; NULL until executed once */
	uint64_t types_id;       /* changes with types; 0: none */
	uint8_t *places;         /* enum sql_place of each parameter, owned; NULL until asked for */
	struct statement_today today; /* of this text */
	uint64_t form;           /* sql_form(), where it was asked for; 0: it was not, or there is none */
	bool long_data;          /* data was sent ahead: the connection is pinned until it is executed or reset */
	bool cursor;             /* an open cursor pins the connection */
};

struct request {
	struct session *s;          /* gone when dead */
	struct worker *worker;
	enum command cmd;
	enum request_step step;
	struct iobuf packet;        /* the command's packets as received (a prefix of them while streaming) */
	struct track_infile infile;
	uint64_t stream_left;       /* bytes of the packet still to come from the client */
	bool stream_more;           /* and another packet follows it */
	bool streamed;              /* it was too large to be kept: it can be sent only once */
	size_t text_at;             /* COM_QUERY, COM_STMT_PREPARE: where the text begins in the packet's payload */
	struct span sql;            /* the statement's text, into packet or prepared */
	unsigned mode;
	struct statement *st;       /* reference; NULL for commands without text */
	const struct sql_lexed *lexed; /* of the text, or of the prepared statement; never NULL */
	struct plan plan;
	struct prepared *prepared;  /* not owned */
	struct stmt_execute execute;
	struct backend *backend;    /* where it runs */
	struct backend *lost_on;    /* a connection of it broke under the request: the others may have, too */
	bool leasing;
	bool primary_only;          /* a replica was tried in vain, or the primary is wanted */
	bool wants_new;             /* a connection whose login is new: what there was could not be reset */
	bool replica_last;          /* the primary was tried in vain: a replica, or nothing (R4) */
	bool checking;              /* the connection is wanted to have the statement's shape accepted for the queue */
	bool checks_patiently;      /* ... and there is one to be waited for */
	bool unchecked;             /* the primary could not be asked: an earlier acceptance counts */
	uint64_t checking_version;  /* of the catalog, when a shape was to be looked at: what has changed since may not be in the answer */
	uint64_t checking_epoch;    /* of the accounts, when that was wanted: it is to be no older */
	uint64_t defaults;          /* for the queue: columns of its list that some row of a bulk execution gives their default, a bit each */
	bool parked_tried;
	uint64_t deadline_ns;       /* of a wait that has no timer of its own */
	uint8_t attempts;
	enum request_refusal refused;
	bool not_run;               /* it was refused whole: it has written nothing */
	bool not_there;             /* its error says that the procedure which it calls is not there: nothing has run */
	bool held;                  /* waits for a primary that takes writes */
	bool hold_over;             /* has waited long enough: the server's answer counts */
	bool awaits_schema;         /* waits until it is known what its session has set on a replica (sets.c) */
	bool awaits_position;       /* waits to be told where the primary is, so that another replica can be waited for */
	uint64_t asked_ns;          /* ... since when */
	bool floor;                 /* its replica is proven by position: it must be where the primary is */
	bool proven;                /* where it runs has all that the session has seen (seen.h) */
	bool unproven;              /* its connection was too young for what is known: the primary's position is needed */
	bool begins_anew;           /* its read-only transaction has left its replica, and is not begun on the primary yet */
	uint64_t hold_until_ns;     /* when it has waited for servers long enough; 0: has not begun to */
	const struct varset *sync_to; /* state the connection is being brought to; not owned */
	const struct varset *bridge;  /* owned: what sync_to points to while a pinned connection prepares */
	bool sync_reset;
	enum request_hidden hidden;
	bool hidden_answer;         /* HIDDEN_POSITION: the replica has arrived */
	uint32_t hidden_stmt;
	bool made_room;             /* prepared_make_room */
	bool relaying;              /* the reply goes to the client */
	bool reply_started;         /* a byte of it has left */
	bool reply_settled;         /* its deltas are applied */
	bool looked_up, lookup_pending, cache_hit;
	bool showed;                /* its server's answer had rows, or may have */
	bool announced, announce_pending;
	struct iobuf key;
	uint64_t text_hash;         /* known_find's; 0: not computed */
	size_t canonical_at;        /* of a text: where its canonical form begins in the key; 0: it was known */
	unsigned ntags;
	unsigned listed;            /* which slot keeps the beginning of its reply, from 1 (listed.h); 0: none */
	uint64_t listed_serial;
	bool filling;
	bool blind;      /* a text of which only the beginning is here */
	bool blind_rows; /* ... which is that of a statement that reads or writes rows */
	bool blind_select; /* ... of a SELECT */
	enum cache_rest rest; /* memory's, where that would have been asked: it must see what a fill would */
	bool needs_all; /* what it reads is not known: it must see every write that was acknowledged here */
	uint64_t key_epoch;         /* of the session when the key was made */
	uint32_t key_head;          /* bytes of the key that other keys begin with, too */
	struct iobuf fill;
	enum cache_refusal fill_refusal;
	struct queue_ticket ticket;
	struct queue_waiter waiter;
	bool queue_waiting, ticket_pending;
	bool turn_waiting;          /* in line before a gate (limited.c) */
	bool kill_failed;           /* it has run too long, and its server could not be told so: that is logged */
	uint64_t overdue_ns;        /* sent_ns of what has run too long and whose server is told; 0: none */
	uint64_t kill_next_ns;      /* not to be tried before */
	unsigned turn_place;        /* of its rule among those of limits */
	uint64_t turn_until_ns;     /* how long it waits there */
	unsigned pieces_looked_at;  /* statements in its text that rules were asked about (denied.c) */
	uint64_t rules_left_ns;     /* processor time that rules' patterns may take yet */
	bool schema_moved, reads_anew; /* ... one of which changes the schema; or how text reads */
	uint64_t limit_digest;      /* of the statement in its text that plan.limit means; 0: of all of it */
	uint64_t time_most_ns;      /* how long it may run; 0: as long as it takes */
	struct limit_waiter turn;
	struct gtid commit;         /* position of the write, if the server said */
	bool commit_known;
	uint64_t insert_id;         /* of its last OK packet */
	bool names_rows;            /* all of its text and values are here, so that rows can be told (rows.h), in a character
	                             * set whose ASCII is ASCII */
	bool collation_unknown;
	bool may_change_procedures; /* by texts that are not known */
	uint64_t schema_version;    /* of the catalog, by which its tables were told */
	bool ddl_runs;              /* the catalog was told so */
	enum catalog_ddl called_ddl; /* may a procedure that it calls change the schema? As of when it was sent */
	enum catalog_sets sets;     /* what it sets for its session, likewise */
	uint64_t sent_at;           /* catalog_changes() by then */
	struct mail resume_mail;
	uint64_t start_ns, lease_ns, sent_ns, first_ns;
	uint64_t rows, affected, bytes_out;
	uint64_t form;              /* of what may be queued: sql_form(), with what its session reads it by */
	uint64_t rows_named;        /* by an INSERT or REPLACE that is being queued: it has affected them once it is stored */
	uint16_t error, warnings, status;
	enum stats_route route;
	struct pieces *pieces;      /* owned; the results so far, of several statements sent together (pieces.h) */
	bool tells_nothing;         /* its last packet so far is an EOF: what the statement has set is reported with a later one */
	bool own_number;            /* asks for numbers, CONNECTION_ID() or what was left elsewhere: the answer is as numbers has it */
	bool number_in_list;        /* asks for the list of connections: in this one's row, likewise: the first of numbers */
	struct iobuf number_reply;  /* ... held back until it is whole */
	struct choosing *choosing;  /* it chooses what is reported (choice.h); owned; NULL: it does not */
	bool killing;               /* other workers are asked (kill.c, numbers.c): waits for the answer */
	bool numbers_told;          /* ... and numbers.c has it */
	bool kills_itself;          /* KILL of this very session */
	bool dead;                  /* the session is gone; freed when the last callback has come */
	/* From here on nothing is cleared for a new request (request_new): written before it is read. */
	struct lease_request lease;
	struct result_numbers numbers; /* own_number */
	struct sql_lexed own_lexed; /* what lexed points to for a text */
	struct gtid_pos wanted;     /* HIDDEN_POSITION: where the replica must be */
	struct cache_lookup lookup;
	struct cache_announcement announcement; /* while announced */
	cache_tag tags[CACHE_MAX_TAGS]; /* ntags of them */
};

/* In which the names of its statement that have none of their own are meant: a prepared one keeps that of its preparation. */
static inline struct span request_schema(const struct request *r)
{
	return r->prepared && r->st ? span_of(r->st->schema, r->st->schema_len) : r->s->vars->schema;
}

/* It goes to a group of replicas, and to nobody else. */
static inline bool request_in_lane(const struct request *r)
{
	return r->plan.group && r->plan.target == PLAN_REPLICA;
}

/* A whole command has come (or, for a large one, its beginning: left bytes follow). payload: with the command byte. */
void command_begin(struct session *s, const uint8_t *packet, size_t len, uint64_t left, bool more);
void command_again(struct request *r); /* its packet has been changed: planned anew, and run */

/* request.c */
struct request *request_new(struct session *s) must_check; /* the session's from now on; NULL: out of memory */

void request_end(struct request *r);                     /* counts it, frees it, the session goes on */
void request_abort(struct request *r);                   /* the session is closing */
void request_lists_numbers(struct request *r);           /* its answer will be the list of connections */
void request_interrupt(struct request *r);               /* KILL QUERY: ends a wait for a connection or the queue */
void login_failed(struct request *r, const struct err_packet *e); /* the request was a login; it is over */

/* lost.c: why there is no connection, as a client is told: in the server's words or in suimon's own. */
void lost_why(const struct lease_request *l, struct reply_own *why);

/* command_plan.c */
enum rc command_plan_text(struct request *r) must_check; /* r->sql to facts to a plan; RC_ERROR: out of memory, answered */
void command_plan(struct request *r);                    /* r->st is known */
/* What the rules say of it for the session's account: st->verdict. mode: in which its text is read. */
/* What rules say of it if there is no more to it than what is known. */
void command_verdict_as_known(struct session *s, const struct statement *st, const struct sql_lexed *lexed, unsigned mode, struct plan_verdict *out);
void command_verdict(struct session *s, struct statement *st, const struct sql_lexed *lexed, unsigned mode);
/* denied.c */
enum rc command_allowed_as(struct request *r, struct span text) must_check; /* rules that deny, of a command that does what this statement does */
enum rc command_allowed_blind(struct request *r) must_check; /* the same where only the beginning is here; with the rule of limits that holds it */
enum rc command_allowed(struct request *r) must_check;   /* it is planned. RC_ERROR: a rule forbids it, or something in it, answered. Sets plan.limit by what is in it */
/* A statement of which only the beginning is here, or which could not be parsed for lack of memory: P2. */
void command_plan_blind(struct request *r);
/* Only its beginning was seen, and behind that may stand whatever changes schema, rights or the session. Once it is answered its results
 * tell more. */
bool command_may_be_anything(const struct request *r) must_check;
/* The connection that it has begins in another sql_mode, in which the text reads otherwise than it was read. */
bool command_is_misread(const struct request *r) must_check;
bool command_mode_is_old(const struct request *r) must_check; /* ... and the worker goes by that mode still */
void command_plan_misread(struct request *r);            /* what it does is not known */
void command_plan_attributes(struct request *r);         /* it bears query attributes, which functions in it may ask for */
void command_plan_alone(struct request *r);              /* neither cached nor queued, for what its command brings along */

/* command_stmt.c: the rows of command.c's table, RC_OK: run it; RC_DECLINED: answered; RC_ERROR: answered with an error,
 * or the session is closed */
enum rc command_stmt_execute(struct request *r, struct span payload) must_check;
enum rc command_stmt_bulk(struct request *r, struct span payload) must_check;
enum rc command_stmt_fetch(struct request *r, struct span payload) must_check;
enum rc command_stmt_long_data(struct request *r, struct span payload) must_check;
enum rc command_stmt_reset(struct request *r, struct span payload) must_check;
void command_stmt_close(struct session *s, struct span payload); /* has no reply */
void command_stmt_settle(struct request *r);             /* the request is over: what cursors and long data pin, counted anew */

/* exec.c */
void exec_run(struct request *r);
void exec_resume(struct request *r, enum request_step step);
void exec_replied(struct request *r);                    /* a reply, hidden or not, has ended */
void exec_tick(struct request *r, uint64_t now_ns);      /* limits of waits that have no timer */
void request_count(struct request *r, uint64_t now_ns, bool cache_refused); /* counted.c */
void request_trace(struct request *r, const struct stats_event *e); /* traced.c; where spans are wanted */

/* lost.c */
/* Its own COMMIT, or what is one to the open transaction: SET autocommit. */
bool exec_commits(const struct request *r) must_check;
void exec_lost(struct request *r, const char *why);      /* the connection went away */
bool exec_silent_tick(struct request *r, uint64_t now_ns); /* true: it waited for a server that stands still, and does no more */
/* Pinned, and the connection went away between two statements: what it held is gone, and the client is told. */
void exec_lost_between(struct session *s, const char *why);

/* hidden.c: what suimon itself says on a session's connection before and after the client's command. */
/* It was sent, or could not be: RC_AGAIN, hidden_done follows; RC_ERROR: the request has been dealt with. */
enum rc hidden_say(struct request *r, enum request_hidden what, enum rc sent);
void login_expiry_told(struct request *r); /* login.c: HIDDEN_EXPIRY is answered */
enum rc hidden_sync(struct request *r) must_check;       /* STEP_SYNC: RC_OK when the connection has the state wanted */
enum rc hidden_position(struct request *r) must_check;   /* STEP_POSITION */
enum rc hidden_prepare(struct request *r) must_check;    /* STEP_PREPARE */
enum rc hidden_after(struct request *r) must_check;      /* STEP_AFTER */
void hidden_done(struct request *r);                     /* its reply has ended: goes on with the request */
void exec_fail(struct request *r);                       /* lost.c: answers the client with the error kept in r->lease; the request is over */
bool exec_opens_cursor(const struct request *r);
void exec_release(struct request *r);                    /* gives the connection back, unless something pins it */
void exec_give_back(struct session *s, bool keep);       /* it has one, and nothing pins it; keep: what it may ask for lies there */

/* replica.c: which replica a session reads from. */
/* RC_OK: *b is it, or NULL: none, the primary. RC_AGAIN: exec_resume(STEP_ACQUIRE) follows. */
enum rc replica_choose(struct request *r, struct backend **b) must_check;
/* Has its replica all that the session has seen? RC_OK: as soon as it has *wanted, which is advanced. RC_DECLINED: that is
 * not known; the request is to go back to STEP_ACQUIRE. RC_ERROR: nor was it before: the primary. */
enum rc replica_prove(struct request *r, struct gtid_pos *wanted) must_check;
void replica_session_begins(struct session *s);          /* it has logged in, or was reset: it sees what others have written here */
uint64_t replica_has(const struct request *r);           /* it has just been sent: its answer has all that the primary had committed by then; 0: not known */
void replica_read(struct request *r);                    /* a read meant for replicas has been answered */
void replica_wait_over(struct request *r);               /* the primary's position is known, or was waited for in vain */
void replica_position_known(struct worker *w);           /* mail of the monitor's news */
void replica_tick(struct request *r, uint64_t now_ns);

/* readonly.c: read-only transactions on a replica. */
bool readonly_may_leave(const struct request *r);        /* the primary could have it, and nobody would know */
bool readonly_must_leave(const struct request *r);       /* the replica cannot have it */
void readonly_leave(struct request *r);                  /* the replica is given back: STEP_ACQUIRE goes on to the primary */
bool readonly_strays(const struct request *r);           /* the transaction keeps to a group's replica, and this cannot run there */
void readonly_refuse(struct request *r);                 /* the client is told so */
enum rc readonly_begin(struct request *r) must_check;    /* STEP_BEGIN */
void readonly_begun(struct request *r);
void readonly_settle(struct request *r);                 /* its reply is here: where is the transaction now? */

/* failover.c */
uint64_t failover_deadline(struct request *r);           /* of its waits for a server */
bool failover_only_reads(const struct request *r);       /* it may run twice */
/* The server has refused it with e: is it to be sent again? Then the client does not get e, and failover_refused follows. */
bool failover_takes(struct request *r, const struct err_packet *e);
void failover_refused(struct request *r);
bool failover_holds(struct request *r);                  /* before it is sent: true when it must wait */
void failover_tick(struct request *r, uint64_t now_ns);
bool failover_strands(struct session *s);                /* what pins it lies on a server that was the primary */
bool failover_leaves(const struct request *r);           /* ... its transaction is over, and it may go where the primary is */
void failover_moved(struct worker *w);                   /* another server is the primary */

/* relay.c: the upstream's ops while a request holds it. */
extern const struct upstream_ops relay_ops;
/* SESSION_STREAMING and SESSION_INFILE: bytes of the client on their way to the server; returns how many were taken. */
size_t relay_from_client(struct session *s, const uint8_t *p, size_t len);
void relay_client_drained(struct session *s);

/* reported.c: what its OK and EOF packets say of the session. */
void reported_ok(struct request *r, const struct ok_packet *ok);
/* What MariaDB has not reported, though its text sets it: a statement that has the server report it, appended to sql. RC_DECLINED: nothing. */
enum rc reported_not(struct request *r, struct iobuf *sql) must_check;
void reported_not_at_error(struct request *r);
void reported_names(struct request *r); /* the collation behind a SET NAMES is known now */
void reported_eof(struct request *r, uint16_t status);

/* deltas.c: what a reply has changed. */
void deltas_pin(struct request *r, unsigned pins); /* and counts them */
void deltas_settle(struct request *r);  /* the last packet is here, the client has not got it yet: invalidate */
void deltas_partial(struct request *r); /* one of several results is here: the same for what has run so far */
void deltas_schema_sent(struct request *r); /* it is to be sent: if it may change the schema, what the catalog says is doubtful from now on */
void deltas_schema_over(struct request *r); /* ... and it has ended, or nobody waits for it any more. More than once is harmless */
/* What the open transaction has written is not known, or not any more. */
bool deltas_transaction_wrote_anything(const struct request *r) must_check;
/* By the catalog it was planned by other tables than it would be now. */
bool deltas_schema_moved(const struct request *r) must_check;
void deltas_lost(struct request *r);    /* outcome unknown */

/* unread.c: what is not understood, and the schema */
bool unread_may_change_schema(const struct request *r) must_check;
void unread_sent(struct request *r); /* it is to be sent: what it prepares may do so */

/* temps.c: the session's own temporary tables */
bool temps_named(const struct request *r);  /* it names one of them, or makes one */
bool temps_only(const struct request *r);   /* ... and writes nothing else */
void temps_targets(const struct request *r, struct write_targets *out); /* what it writes that others see */
void temps_settle(struct request *r);       /* it has run: one more, one less, or none is certain any more */
void temps_forget(struct session *s);

/* holds.c: what pins a session until its own statements give it back */
bool holds_takes_no_lock(struct request *r) must_check; /* it is about locks of GET_LOCK, and takes none */
bool holds_alters(const struct request *r) must_check;  /* it alters a temporary table that may be there, or makes it an index, and does no more */
void holds_settle(struct request *r, unsigned ran);     /* it has run, and pins as it does; ran: the pins by what it has run besides its text */
void holds_forget(struct session *s);

/* sets.c: what a statement sets for its session by what it runs */
bool sets_names_called(const struct request *r, struct span message) must_check; /* it is about the one procedure that r calls */
void sets_sent(struct request *r);         /* to be called as it is sent */
unsigned sets_pins(struct request *r);     /* of one that has been answered; remembers it where that is not known yet */
bool sets_dropped(const struct request *r); /* it has made and dropped temporary tables, and left nothing */
void sets_look_again(struct session *s);   /* by now it may be known: PIN_UNKNOWN_YET ends, perhaps for PIN_UNKNOWN */
/* It may not run on the replica that its session keeps to for what it may have set there. RC_OK: that is nothing, and the replica is given back.
 * RC_AGAIN: nobody knows yet; exec_resume(STEP_ACQUIRE) follows. RC_ERROR: it is something, or is not known in time. */
enum rc sets_await(struct request *r) must_check;
void sets_tick(struct session *s);         /* the same of one that is idle: its connection is given back */
void sets_forget(struct session *s);

/* prepared.c */
struct prepared *prepared_find(struct session *s, uint32_t id);
struct prepared *prepared_new(struct request *r, const struct stmt_prepared *p) must_check;
/* No room for another one with so much text: a session has a limit by number and by bytes. */
bool prepared_is_full(const struct session *s, size_t text_len) must_check;
void prepared_free(struct session *s, struct prepared *p);
void prepared_free_all(struct session *s);
/* The statement as it is on the request's connection; NULL: it must be prepared there first. Not another one's cursor. */
struct upstream_stmt *prepared_on(struct request *r);
void prepared_own_key(struct prepared *p); /* from now on it shares no statement of a server with its like */
/* A server refused to prepare for want of room (1461): room is made, as far as this worker can. False: it has been before. */
bool prepared_make_room(struct request *r);
void prepared_key(struct span text, const struct varset *env, uint8_t key[16]);
/* Reads an execute packet into r; keeps its types. RC_ERROR: malformed. RC_DECLINED: parameters were never typed. */
enum rc prepared_read_execute(struct request *r, struct span payload) must_check;
enum rc prepared_bind(struct request *r, struct iobuf *out) must_check; /* the text with its values as literals */

/* cached.c */
enum rc cached_step(struct request *r) must_check;      /* STEP_CACHE */
/* What a replica must have applied so that its answer is not older than an acknowledged write, as far as that is known; false: there are
 * writes beside of which it is not known. */
bool cached_needs(struct request *r, struct gtid_pos *pos);
void cached_capture(struct request *r, const void *p, size_t len);
bool cached_finish(struct request *r);                  /* the reply has ended; true: it was meant to be stored, and is not */
void cached_cancel(struct request *r);
bool cached_rescue(struct request *r);                  /* no server could answer: a result past its time was sent (stale_if_error) */

/* shown.c */
/* What the look-up's result may not be older than. False: no memory to say it, and nothing in the cache is known to be new enough. */
bool shown_bound(struct session *s, struct cache_lookup *l) must_check;
bool shown_binds(const struct request *r);               /* after a miss: it has been shown something of what this one reads */
void shown_read(struct request *r, bool stored, uint64_t now); /* it is over; stored: its answer is what the cache has from now on */
void shown_hit(struct session *s, const struct cache_entry *e);
void shown_to_replicas(struct request *r);               /* memory does not answer it: a replica may that has what was shown */
void shown_tick(struct session *s);
void shown_forget(struct session *s);

/* announced.c */
enum rc announced_step(struct request *r) must_check;   /* STEP_ANNOUNCE */
void announced_end(struct request *r);                  /* what it wrote is invalidated, or it was never sent */

/* limited.c */
enum rc limited_step(struct request *r) must_check;     /* STEP_LIMIT */
bool limited_cancel(struct request *r) must_check;      /* true: no callback will come any more */
void limited_leave(struct session *s);                  /* its statement is over: so is its turn, unless a transaction goes on */
bool limited_tick(struct request *r, uint64_t now_ns) must_check; /* true: it is in line; it may be over */
void limited_kill_failed(struct request *r, const struct err_packet *why); /* it has run too long, and runs on */

/* queued.c */
enum rc queued_wait_step(struct request *r) must_check; /* STEP_WAIT_QUEUE */
enum rc queued_step(struct request *r) must_check;      /* STEP_QUEUE */
/* The statement that asks whether a shape leaves out a column that must be given; RC_DECLINED: it need not be asked. */
#define QUEUED_TEXT_MOST (((size_t)1 << 20) - 1024) /* of a prepared statement, with its values: a max_allowed_packet of 1 MiB holds it */
enum rc queued_columns_sql(struct request *r, struct iobuf *out) must_check;
/* Within what the write keeps its order; of rec the tables, the text and its parts are there. RC_ERROR: no memory. */
enum rc queued_order_key(const struct request *r, const struct queue_record *rec, struct iobuf *out) must_check;
/* queued_values.c: do the values, written in their places as text, mean the same there? RC_DECLINED: why not (literal). */
enum rc queued_values_look(struct request *r, const char **why) must_check;
/* queued_bulk.c: may a bulk execution be queued, as far as its packet goes? */
bool queued_bulk_fits(const struct request *r);
enum rc queued_bulk_look(struct request *r, const char **why) must_check; /* ... and its rows? Sets defaults */
/* A record's text and its parts, and how many rows it names (r->rows_named). RC_DECLINED: it is none, and why (literal). */
enum rc queued_bulk_text(struct request *r, struct iobuf *sql, struct iobuf *ends, const char **why) must_check;
void queued_checked(struct request *r, bool accepted);  /* the primary has looked at the statement's shape */
/* It refused to look. True: the session is older than what its account may do now, and the statement goes on directly. */
bool queued_check_denied(struct request *r) must_check;
/* It could not be asked. True: the shape's earlier acceptance counts, and the statement goes on to be queued. */
bool queued_check_failed(struct request *r) must_check;
bool queued_check_may_fail(const struct request *r) must_check; /* for that there is no need to wait */
void queued_wait_expired(struct request *r);
bool queued_cancel(struct request *r);                  /* true: no callback will come any more */

#endif
