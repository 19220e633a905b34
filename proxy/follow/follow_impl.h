/*
 * follow_impl.h - the follower's own room: what its files share. Others use follow.h. All of it is its thread's.
 *
 * follow.c         life, connections, when to ask
 * follow_stream.c  packets to events
 * follow_change.c  events to transactions, and what they have changed
 * follow_rows.c    rows to tags
 * follow_text.c    statements to tags
 * follow_ask.c     questions to the primary: where it is, what it lets others see
 * follow_settle.c  transactions that wait to be visible, and their invalidation
 */
#ifndef SUIMON_FOLLOW_IMPL_H
#define SUIMON_FOLLOW_IMPL_H

#include "binlog.h"
#include "cache.h"
#include "clock.h"
#include "follow.h"
#include "iobuf.h"
#include "lease.h"
#include "sqlconn.h"

#define FOLLOW_TAGS_MOST 512   /* of a transaction; more count by table */
#define FOLLOW_TABLES_MOST 64  /* more: it may have changed anything */
#define FOLLOW_PREPARED_MOST 64
#define FOLLOW_EVENT_MOST (1u << 20) /* bytes kept of an event */

/* A tag, and those whose invalidation ends what hangs on it, too (the scheme stands in cache.h): of a row its key, of both the table. */
struct follow_tag { cache_tag tag, key, table; };

/* What a transaction has changed. */
struct follow_set {
	bool anything, by_table;
	bool schema, accounts; /* the schema; who may do what */
	uint16_t n, ntables;
	struct follow_tag tags[FOLLOW_TAGS_MOST];
	cache_tag tables[FOLLOW_TABLES_MOST];
};

/* Where in the log. Files are numbered. */
struct follow_place { uint64_t file, at; };
static inline bool follow_reached(const struct follow_place *at, const struct follow_place *wanted)
{
	return at->file > wanted->file || (at->file == wanted->file && at->at >= wanted->at);
}

/* A transaction that is read and not yet invalidated. */
struct follow_change {
	struct list_node node;
	struct follow_place end;
	struct binlog_gtid gtid;
	struct cache_pos pos;    /* where gtid.known */
	bool native;             /* written on the primary itself: positions are in the order of commits */
	bool provable;           /* the primary tells when it is visible. Else it is invalidated at once, and again for a while */
	bool anything, schema, accounts;
	uint64_t due_ns, wait_ns; /* not provable: when next, and how long that was waited for */
	unsigned n;
	struct follow_tag tags[];
};

/* The transaction being read. */
struct follow_tx {
	bool open, many; /* begun; a commit will follow its statements */
	struct binlog_gtid gtid;
	uint32_t server_id;
	char xid[300]; /* of the XA END before a PREPARE */
	struct follow_set set;
};

struct follow_prepared { struct list_node node; char *xid; struct follow_set set; }; /* xid: owned */

enum follow_state {
	FOLLOW_WAITING,   /* for retry_ns */
	FOLLOW_LEASING,   /* a connection is on its way */
	FOLLOW_SETTING,   /* what the dump needs is being set */
	FOLLOW_STREAMING,
};

/* The primary's answer. */
struct follow_answer {
	struct follow_place place; /* what is before it is visible (MariaDB); the log's end (MySQL) */
	char *gtids;               /* MySQL: what is visible; owned */
	bool has_place;
};

struct follow {
	struct instance *in;
	struct loop *loop;
	struct channel_scratch *scratch;
	struct lease_pool *leases;
	struct stats_sink *sink;
	struct settings *settings; /* reference; those of the present connection */
	struct sqlconn *conn;      /* for questions; owned */
	struct event *tick, *soon;
	struct mail stop;
	bool started;
	enum follow_state state;
	uint64_t since_ns, retry_ns, heard_ns, asked_ns;
	struct backend *backend;   /* that is followed */
	struct account *account;   /* reference */
	struct lease_request request;
	struct upstream *up;       /* leased; NULL: none */
	bool mysql;                /* what the server is */
	uint32_t primary_id, own_id; /* server ids: its, ours */
	char *resume;              /* owned: the GTIDs of all that is done; NULL: begin where the primary is */
	bool anew;                 /* something may have been missed before this connection */
	struct gtid_pos done;      /* MariaDB: the same as it grows */
	bool said;                 /* the present trouble is logged */
	bool good;                 /* it is followed: that is logged when it has been read up to a goal, not when it is asked for */
	/* The stream. */
	struct binlog *binlog;
	struct iobuf event;        /* a packet's payload so far, the first FOLLOW_EVENT_MOST bytes */
	uint8_t header[4];
	unsigned nheader;
	uint32_t packet_left;      /* bytes of it to come */
	bool continued, cut;
	char error[256];           /* the server's last words */
	unsigned error_code;
	struct follow_place place; /* all before it has been read */
	struct follow_answer goal; /* an earlier answer, that is not reached yet; has_place: there is one */
	uint64_t goal_asked;       /* cache_clock; when that was asked */
	struct follow_tx tx;
	struct list prepared;      /* struct follow_prepared.node */
	struct list pending;       /* struct follow_change.node, as they came */
	size_t pending_tags;
};

/* follow.c */
void follow_drop(struct follow *f, const char *why); /* the connection; another is tried */
void follow_gap(struct follow *f, const char *why);  /* it cannot be continued behind f->resume */
void follow_soon(struct follow *f); /* something waits to be visible */

/* follow_stream.c */
void follow_stream_begin(struct follow *f);
void follow_stream_bytes(struct follow *f, const uint8_t *p, size_t len);

/* follow_change.c */
void follow_event(struct follow *f, struct binlog_event *e);
void follow_put_tag(struct follow_set *s, const struct follow_tag *tag); /* a row, or what goes with it */
void follow_put_table(struct follow_set *s, cache_tag tag); /* a table as a whole */
enum rc follow_put_name(void *set, struct span schema, struct span table); /* catalog_put_fn: the same */
void follow_forget_prepared(struct follow *f);
uint64_t follow_file_number(struct span name); /* "binlog.000012": 12 */

/* follow_rows.c, follow_text.c */
void follow_rows(struct follow *f, struct binlog_rows *rows, struct follow_set *out);
void follow_text(struct follow *f, const struct binlog_query *q, struct follow_set *out);
void follow_system_table(struct span table, struct follow_set *out); /* of the schema mysql was written to */

/* follow_ask.c. RC_ERROR: why is logged. */
enum rc follow_ask_begin(struct follow *f) must_check; /* connects, learns what the server is; resume, where there is none */
enum rc follow_ask(struct follow *f, struct follow_answer *out) must_check;
void follow_say(struct follow *f, const char *what, const char *why); /* once a trouble */

void follow_answer_forget(struct follow_answer *a);

/* follow_settle.c */
void follow_settle_add(struct follow *f, uint32_t end); /* the transaction read has ended */
void follow_settle(struct follow *f);                   /* asks, and invalidates what is visible */
void follow_settle_forget(struct follow *f);
void follow_settle_unproven(struct follow *f); /* nobody will tell any more when what waits is visible */

#endif
