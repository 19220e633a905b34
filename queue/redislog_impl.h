/*
 * redislog_impl.h - a lane's state, shared by redislog.c (the engine's face), redislog_send.c (batches, on the loop's
 * thread) and redislog_ask.c (reading, trimming, looking after it, there too). Nobody else includes it.
 */
#ifndef SUIMON_REDISLOG_IMPL_H
#define SUIMON_REDISLOG_IMPL_H

#include <pthread.h>

#include "clock.h"
#include "iobuf.h"
#include "outbox.h"
#include "redislink.h"
#include "redislog.h"
#include "ticket.h"

#define REDISLOG_BATCH 256u                 /* records in one script */
#define REDISLOG_STRETCH 127u               /* records read at once: two elements each */
#define REDISLOG_BATCH_BYTES (REDISLOG_RECORD_MAX + OUTBOX_LENGTH_BYTES) /* and their lengths: the largest fits */
#define REDISLOG_KEY_MAX 96
#define REDISLOG_ID_MAX 44
#define REDISLOG_NUMBER_BITS 22
#define REDISLOG_HELD_PATIENCE_NS (5 * NS_PER_SEC) /* for the database to say whose its position is */

struct redislog_key {
	char text[REDISLOG_KEY_MAX];
};

/* Records with their lengths before them, u32. */
struct redislog_batch {
	struct iobuf bodies;
	struct ticket_line line;
	size_t n;
	uint64_t number;
	uint64_t mark;     /* of the Redis it is for: no other one takes it */
	uint64_t since_ns; /* when the first of its records was accepted, about */
	uint64_t seq;      /* of its last record, once stored; 0: not known */
	bool asked;        /* its answer is awaited */
	bool doubtful;     /* it was sent and may be stored */
	bool again;        /* so is an earlier sending of it, whose answer was lost */
};

enum redislog_fetch { FETCH_NONE, FETCH_WANTED, FETCH_ASKED, FETCH_DONE, FETCH_FAILED };

struct redislog {
	struct queue_engine engine;
	struct redishub *hub; /* not owned */
	struct queue_lane_options opt;
	struct redislog_key stream, info, producer;
	struct mail kick; /* posted to the loop while `kicked` */

	/* The loop's thread's. */
	struct redislink link;
	struct event *tick; /* owned */
	struct redislog_batch batch;
	uint64_t last_number;
	uint64_t polled_ns;
	uint64_t trimmed_seq;
	bool polling, trimming, marking;
	uint64_t marked_ns; /* when its mark was last set */
	bool warned; /* of what this Redis can lose */

	/* The drain's thread's. */
	uint64_t cursor;   /* handed out last */
	struct iobuf got;  /* fetched and not handed out: seq u64, length u32, body */
	size_t got_record; /* bytes of the record handed out last, at its start */

	pthread_mutex_t reading; /* who has it may fetch; taken before lock */
	pthread_mutex_t lock;    /* guards what follows */
	pthread_cond_t answered; /* a fetch is done; all tickets are answered */
	struct outbox box;
	bool kicked, stopping, attended;
	bool known; /* how far the stream goes: it was asked since the connection stands */
	uint64_t mark; /* of this Redis, as last heard of; 0: it has none */
	uint64_t ours; /* which the database knows it by; 0: not heard */
	bool met;      /* on this connection both were the same: it is that Redis, whatever it has lost since */
	enum queue_owner owner;
	bool unasked; /* the database could not be asked for that */
	uint64_t held_ns; /* since when nothing may be sent though it is reached; 0: it may */
	uint64_t stop_until_ns;
	uint64_t down_ns;            /* since when it is not reached; 0: it is */
	uint64_t refused_until_ns;   /* it takes nothing until then */
	const char *refused;         /* because, a literal */
	uint64_t durable, own, applied;
	uint64_t followed;           /* others have applied so much; it is theirs to remove */
	uint64_t bytes, count;       /* as last heard of */
	enum redislog_fetch fetch;
	uint64_t fetch_after;
	unsigned fetch_ignore; /* answers to come that nobody waits for any more */
	const char *fetch_why;
	struct iobuf fetched;
	uint64_t asks, ask_ns_last, ask_ns_total; /* batches acknowledged */
};

/* redislog_send.c */
void redislog_flush(struct redislog *l);
void redislog_batch_tick(struct redislog *l, uint64_t now); /* what has waited too long */
void redislog_batch_lost(struct redislog *l);               /* the connection went */

/* redislog_ask.c */
void redislog_on_tick(evutil_socket_t fd, short what, void *arg);
void redislog_ask(struct redislog *l); /* what others want of the loop's thread */
void redislog_ask_lost(struct redislog *l);
void redislog_greet(struct redislog *l);
void redislog_look(struct redislog *l); /* how far it is, now */
bool redislog_elsewhere(struct redislog *l, const struct redis_reply *reply); /* an error that another node or time mends */

/* redislog.c */
void redislog_kick(struct redislog *l);
/* It is the Redis that the database knows the queue by. lock held. */
bool redislog_is_ours(const struct redislog *l);
/* May new records be sent? Not before it is certain that no other Redis has the queue's name in the database: nobody would
 * apply them. Where the database cannot be asked, a stream that has held some before is trusted. lock held. */
bool redislog_open_to(struct redislog *l);
/* "ms-number". RC_ERROR: not an id, or none that fits a sequence. */
enum rc redislog_parse_id(struct span text, uint64_t *seq) must_check;
struct span redislog_put_id(char out[REDISLOG_ID_MAX], const char *before, uint64_t seq);
struct span redislog_number(char out[24], uint64_t v);

static inline struct span redislog_key_text(const struct redislog_key *k)
{
	return span_str(k->text);
}

#endif
