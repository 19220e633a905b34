/*
 * sqslog_impl.h - a lane's state, shared by sqslog.c (the engine's face), sqslog_send.c (messages out), sqslog_take.c (messages
 * in) and sqslog_hand.c (the records of those that are in). Nobody else includes it.
 */
#ifndef SUIMON_SQSLOG_IMPL_H
#define SUIMON_SQSLOG_IMPL_H

#include <pthread.h>

#include "backoff.h"
#include "outbox.h"
#include "producers.h"
#include "sqslog.h"
#include "sqsmsg.h"
#include "sqsreply.h"

#define SQSLOG_HAND_MAX 10u /* messages: what SQS gives at once */
#define SQSLOG_MARKS 256u

/* One message under way, sent again with its number until its fate is known or it is given up. */
struct sqslog_batch {
	struct iobuf records;
	struct ticket_line line;
	size_t n;
	uint64_t number;
	uint64_t since_ns; /* when the first of its records was accepted, about */
	uint64_t retry_ns; /* not before */
	bool doubtful;     /* it was sent and may be stored */
};

/* A message in the hand. */
struct sqslog_held {
	char *receipt; /* owned */
	struct iobuf raw;
	struct sqsmsg m; /* points into raw */
	uint64_t stored; /* as SQS numbered it: sqsreply_number */
	uint64_t first;  /* the sequence of its first record */
	uint32_t fresh;  /* records before this one are applied already, or came by another message */
	bool done;       /* all are applied, and whoever is to hear of it has */
	bool deleting;   /* SQS is being asked to delete it */
};

/* What this process has had stored: as much up to a sequence. */
struct sqslog_mark {
	uint64_t seq, bytes, records;
};

enum sqslog_drop { SQSLOG_DROP_NONE, SQSLOG_DROP_DELETE, SQSLOG_DROP_KEEP, SQSLOG_DROP_GIVE };

struct sqslog {
	struct queue_engine engine;
	struct sqshub *hub; /* not owned */
	struct queue_lane_options opt;
	char url[SQS_URL_MAX];
	char group[24];
	uint64_t queue, producer; /* see sqsmsg.h */

	/* The hub's thread's. */
	struct sqshttp_call send, receive, drop, look;
	struct sqslog_batch batch;
	uint64_t last_number, stored_number;
	uint64_t receive_ns, keep_ns, drop_ns, look_ns; /* not before */
	struct backoff receive_backoff, send_backoff;
	enum sqslog_drop dropping;
	unsigned drop_failures;
	bool greeted, told;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t answered;
	struct outbox box;
	bool stopping, attended;
	uint64_t stop_until_ns;
	uint64_t down_ns;          /* since when SQS is not reached; 0: it is */
	uint64_t refused_until_ns; /* it takes nothing until then */
	const char *refused;       /* because, a literal */
	size_t message_bytes;      /* most in a message */
	struct sqslog_held hand[SQSLOG_HAND_MAX];
	unsigned nhand;
	uint64_t last_seq;   /* no record gets one up to this */
	unsigned at;         /* the next to hand out: message, */
	uint32_t at_place;   /* record, */
	struct span at_left; /* and what is behind */
	struct iobuf out;    /* the record handed out last */
	const char *strange; /* a message that is not understood holds up the lane; a literal */
	struct producers producers;
	uint64_t noted_seq; /* what the transaction under way, or just ended, applies up to; 0: none */
	uint64_t own, messages;
	bool known; /* how many messages there are */
	struct sqslog_mark mark[SQSLOG_MARKS]; /* by seq */
	unsigned nmarks;
	uint64_t asks, ask_ns_last, ask_ns_total; /* messages acknowledged */
};

static inline struct sqslog *sqslog_self(struct queue_engine *e)
{
	return container_of(e, struct sqslog, engine);
}

/* sqslog.c */
extern const char sqslog_too_large[];
void sqslog_good(struct sqslog *l);                    /* it answers */
void sqslog_bad(struct sqslog *l, const char *why);    /* it does not */
void sqslog_refuse(struct sqslog *l, const char *why); /* it takes nothing for a while; why: literal */
/* What an answer with another status than 200 says, for the log and for the credentials. True: the same again may succeed soon. */
bool sqslog_fault(struct sqslog *l, const struct sqshttp_call *c, const char *doing);

/* sqslog_send.c */
void sqslog_send_turn(struct sqslog *l);
void sqslog_on_sent(void *arg, struct sqshttp_call *c);
void sqslog_forget_marks(struct sqslog *l, uint64_t upto); /* lock held */

/* sqslog_take.c */
bool sqslog_take_turn(struct sqslog *l, uint64_t now, bool ending); /* false: nothing is under way */
void sqslog_on_received(void *arg, struct sqshttp_call *c);
void sqslog_on_dropped(void *arg, struct sqshttp_call *c);
void sqslog_on_looked(void *arg, struct sqshttp_call *c);

/* sqslog_hand.c: of the first two the lock is held */
/* Into the hand. RC_DECLINED: it is none of this lane's: *why. RC_ERROR: no memory. */
enum rc sqslog_hold(struct sqslog *l, struct span receipt, struct span body, uint64_t stored, const char **why) must_check;
void sqslog_release(struct sqslog *l, bool all); /* out of it: those that SQS was asked to delete, or all */
enum rc sqslog_seek(struct queue_engine *e, uint64_t after_seq, char *err, size_t cap);
enum rc sqslog_next(struct queue_engine *e, uint64_t *seq, struct span *body, char *err, size_t cap);
bool sqslog_stale(struct queue_engine *e, uint64_t seq);
enum rc sqslog_begin(struct queue_engine *e, struct dbconn *c, const char *lane_hex);
enum rc sqslog_note(struct queue_engine *e, struct dbconn *c, const char *lane_hex, uint64_t upto);
void sqslog_applied(struct queue_engine *e, uint64_t seq);
uint64_t sqslog_durable(struct queue_engine *e);
enum rc sqslog_peek(struct queue_engine *e, uint64_t after_seq, unsigned limit, void (*fn)(void *arg, uint64_t seq, struct span body),
		    void *arg);

#endif
