/*
 * sqslog_take.c - a lane's messages in, on the hub's thread: received while the lane is applied here and the hand is empty, kept
 * while they are being applied, deleted when they are, given back when others are to apply them. And what SQS says of the queue.
 */
#include "sqslog_impl.h"

#include "clock.h"
#include "jsonw.h"
#include "log.h"

#define VISIBLE_SECONDS 10 /* so long a message stays hidden whose owner has died */
#define KEEP_EVERY_NS (3 * NS_PER_SEC)
#define WAIT_SECONDS 1 /* SQS holds a request so long if there is nothing */
#define RECEIVE_SECONDS 15L
#define DROP_SECONDS 5L
#define DROP_AGAIN_NS (NS_PER_SEC / 5)
#define DROP_FAILURES 5u
#define LOOK_SECONDS 5L
#define LOOK_EVERY_NS (10 * NS_PER_SEC)
#define LOOK_DOWN_NS (NS_PER_SEC / 2)
#define STRANGE_PAUSE_NS (VISIBLE_SECONDS * NS_PER_SEC)
#define RECEIVE_BYTES (4u << 20) /* of messages at once, about */
#define MESSAGE_LEAST 1024u
#define MESSAGE_MOST (1u << 20)
#define DAY_SECONDS 86400u
#define RETENTION_DAYS_MOST 14u

static const char not_understood[] = "an answer that was not understood";

static void begin_request(struct jsonw *w, struct sqshttp_call *c, const struct sqslog *l)
{
	iobuf_consume(&c->body, iobuf_len(&c->body));
	jsonw_init(w, &c->body);
	jsonw_open(w, NULL, '{');
	jsonw_text(w, "QueueUrl", l->url);
}

static enum rc end_request(struct jsonw *w)
{
	jsonw_close(w, '}');
	return jsonw_end(w);
}

static void put_all_attributes(struct jsonw *w)
{
	jsonw_open(w, "AttributeNames", '[');
	jsonw_text(w, NULL, "All");
	jsonw_close(w, ']');
}

/* Another status than 200. True: the same again may succeed soon. */
static bool take_fault(struct sqslog *l, const struct sqshttp_call *c, const char *doing)
{
	if (c->status && c->status < 500)
		return sqslog_fault(l, c, doing);
	sqslog_bad(l, c->status ? "it has failed inside" : c->error);
	return true;
}

/* ---- receiving ---- */

static void receive(struct sqslog *l, uint64_t now)
{
	unsigned most = (unsigned)(RECEIVE_BYTES / l->message_bytes);
	struct jsonw w;

	begin_request(&w, &l->receive, l);
	jsonw_uint(&w, "MaxNumberOfMessages", most < 1 ? 1 : most < SQSLOG_HAND_MAX ? most : SQSLOG_HAND_MAX);
	jsonw_uint(&w, "VisibilityTimeout", VISIBLE_SECONDS);
	jsonw_uint(&w, "WaitTimeSeconds", WAIT_SECONDS);
	put_all_attributes(&w);
	if (end_request(&w) != RC_OK || sqshub_ask(l->hub, &l->receive, "ReceiveMessage", RECEIVE_SECONDS) != RC_OK)
		l->receive_ns = now + backoff_failed(&l->receive_backoff, now);
}

struct taking {
	struct sqslog *l;
	const char *why; /* a message is not understood */
};

static enum rc take_message(void *arg, struct span receipt, struct span body, uint64_t stored)
{
	struct taking *t = arg;

	return sqslog_hold(t->l, receipt, body, stored, &t->why);
}

/* What came behind one that is not understood is not passed before it: it comes again. */
static void take_messages(struct sqslog *l, struct span reply, uint64_t now)
{
	struct taking t = {.l = l};
	unsigned n;
	enum rc rc;

	pthread_mutex_lock(&l->lock);
	rc = sqsreply_messages(reply, take_message, &t);
	n = l->nhand;
	l->strange = rc == RC_DECLINED ? "the queue's SQS holds a message that cannot be understood: see the log" : NULL;
	if (!n && l->messages)
		l->look_ns = 0; /* are they gone, or hidden in a hand that is no more? */
	pthread_mutex_unlock(&l->lock);
	l->keep_ns = now + KEEP_EVERY_NS;
	if (rc == RC_DECLINED) {
		log_error("queue", "SQS holds a message that cannot be understood: nothing behind it is applied until it is removed",
			  "queue=%s reason=\"%s\"", l->url, t.why);
		l->receive_ns = now + STRANGE_PAUSE_NS;
	} else if (rc == RC_ERROR) {
		sqslog_bad(l, not_understood);
		l->receive_ns = now + backoff_failed(&l->receive_backoff, now);
	} else {
		sqslog_good(l);
		backoff_good(&l->receive_backoff, now);
	}
	if (n || rc == RC_DECLINED)
		l->opt.wake(l->opt.wake_arg);
}

void sqslog_on_received(void *arg, struct sqshttp_call *c)
{
	struct sqslog *l = arg;
	uint64_t now = clock_mono_ns();

	if (c->status == 200) {
		take_messages(l, sqshttp_reply(c), now);
		iobuf_reset(&c->reply); /* it may be large */
		return;
	}
	(void)take_fault(l, c, "SQS does not hand out");
	l->receive_ns = now + backoff_failed(&l->receive_backoff, now);
}

/* ---- deleting, keeping, giving back ---- */

static const char *const drop_actions[] = {
	[SQSLOG_DROP_DELETE] = "DeleteMessageBatch",
	[SQSLOG_DROP_KEEP] = "ChangeMessageVisibilityBatch",
	[SQSLOG_DROP_GIVE] = "ChangeMessageVisibilityBatch",
};

static void put_entry(struct jsonw *w, const struct sqslog_held *h, enum sqslog_drop what, unsigned id)
{
	jsonw_open(w, NULL, '{');
	jsonw_printf(w, "Id", "%u", id);
	jsonw_text(w, "ReceiptHandle", h->receipt);
	if (what != SQSLOG_DROP_DELETE)
		jsonw_uint(w, "VisibilityTimeout", what == SQSLOG_DROP_KEEP ? VISIBLE_SECONDS : 0);
	jsonw_close(w, '}');
}

/* An entry for each message that it concerns; returns how many. What is given back is out of the hand at once, so that whoever
 * begins to apply the lane again has none of it. */
static unsigned put_entries(struct sqslog *l, struct jsonw *w, enum sqslog_drop what, bool ending)
{
	unsigned n = 0;

	jsonw_open(w, "Entries", '[');
	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < l->nhand && (what != SQSLOG_DROP_GIVE || !l->attended || ending); i++) {
		struct sqslog_held *h = &l->hand[i];

		if (h->done != (what == SQSLOG_DROP_DELETE))
			continue;
		h->deleting = what == SQSLOG_DROP_DELETE;
		put_entry(w, h, what, n++);
	}
	if (what == SQSLOG_DROP_GIVE && n)
		sqslog_release(l, true);
	pthread_mutex_unlock(&l->lock);
	jsonw_close(w, ']');
	return n;
}

/* One request for all of the hand that it concerns; RC_DECLINED: that is none. */
static enum rc drop(struct sqslog *l, enum sqslog_drop what, bool ending)
{
	struct jsonw w;

	begin_request(&w, &l->drop, l);
	if (!put_entries(l, &w, what, ending))
		return RC_DECLINED;
	l->dropping = what;
	if (end_request(&w) == RC_OK && sqshub_ask(l->hub, &l->drop, drop_actions[what], DROP_SECONDS) == RC_OK)
		return RC_OK;
	l->dropping = SQSLOG_DROP_NONE;
	return RC_ERROR;
}

/* Whatever SQS says of single ones: those that are still there come again, and are known again. */
static void forget_deleted(struct sqslog *l)
{
	l->drop_failures = 0;
	pthread_mutex_lock(&l->lock);
	sqslog_release(l, false);
	pthread_mutex_unlock(&l->lock);
}

void sqslog_on_dropped(void *arg, struct sqshttp_call *c)
{
	struct sqslog *l = arg;
	enum sqslog_drop what = l->dropping;

	l->dropping = SQSLOG_DROP_NONE;
	if (c->status == 200) {
		forget_deleted(l);
		return;
	}
	(void)take_fault(l, c, what == SQSLOG_DROP_DELETE ? "SQS does not delete what is applied" : "SQS does not keep messages");
	l->drop_ns = clock_mono_ns() + DROP_AGAIN_NS;
	if (++l->drop_failures >= DROP_FAILURES)
		forget_deleted(l);
}

/* What the hand is due for. */
static void drop_turn(struct sqslog *l, uint64_t now, bool wanted, bool ending)
{
	enum rc rc;

	if (l->drop.busy || now < l->drop_ns)
		return;
	rc = drop(l, SQSLOG_DROP_DELETE, ending);
	if (rc == RC_DECLINED && (!wanted || now >= l->keep_ns)) {
		rc = drop(l, wanted ? SQSLOG_DROP_KEEP : SQSLOG_DROP_GIVE, ending);
		if (rc == RC_OK)
			l->keep_ns = now + KEEP_EVERY_NS;
	}
	if (rc == RC_ERROR)
		l->drop_ns = now + DROP_AGAIN_NS;
}

/* ---- looking ---- */

static void look(struct sqslog *l, uint64_t now)
{
	struct jsonw w;

	l->look_ns = now + LOOK_EVERY_NS;
	begin_request(&w, &l->look, l);
	put_all_attributes(&w);
	if (end_request(&w) != RC_OK || sqshub_ask(l->hub, &l->look, "GetQueueAttributes", LOOK_SECONDS) != RC_OK)
		l->look_ns = now + LOOK_DOWN_NS;
}

/* What can be lost, once. */
static void greet(struct sqslog *l, const struct sqsreply_attributes *a)
{
	uint64_t most = (uint64_t)RETENTION_DAYS_MOST * DAY_SECONDS, seconds = a->retention_seconds ? a->retention_seconds : most;

	if (l->greeted)
		return;
	l->greeted = true;
	if (a->redrive)
		log_error("queue",
			  "SQS moves messages that were received often into a dead-letter queue: acknowledged writes may be lost so",
			  "queue=%s do=\"remove its RedrivePolicy\"", l->url);
	log_warn("queue", "SQS deletes what is not applied in time: acknowledged writes are lost then", "queue=%s days=%.1f do=\"%s\"", l->url,
		 (double)seconds / DAY_SECONDS,
		 seconds < most ? "MessageRetentionPeriod 1209600, and an alert on the queue's age" : "an alert on the queue's age");
}

static void take_attributes(struct sqslog *l, const struct sqsreply_attributes *a)
{
	uint64_t most = a->message_bytes;

	pthread_mutex_lock(&l->lock);
	if (most)
		l->message_bytes = (size_t)(most < MESSAGE_LEAST ? MESSAGE_LEAST : most > MESSAGE_MOST ? MESSAGE_MOST : most);
	l->messages = a->visible + a->hidden;
	l->known = true;
	pthread_mutex_unlock(&l->lock);
	greet(l, a);
	sqslog_good(l);
}

void sqslog_on_looked(void *arg, struct sqshttp_call *c)
{
	struct sqslog *l = arg;
	struct sqsreply_attributes a;

	if (c->status != 200) {
		/* Without the right to look it may be worked all the same: the other requests tell. */
		if (!take_fault(l, c, "SQS does not say how the queue is made"))
			sqslog_good(l);
	} else if (sqsreply_look(sqshttp_reply(c), &a) != RC_OK) {
		sqslog_bad(l, not_understood);
	} else if (!a.fifo) {
		sqslog_bad(l, "the queue is not a FIFO queue");
	} else {
		take_attributes(l, &a);
	}
}

bool sqslog_take_turn(struct sqslog *l, uint64_t now, bool ending)
{
	bool wanted, empty, down;

	pthread_mutex_lock(&l->lock);
	wanted = l->attended && !ending;
	empty = !l->nhand;
	down = l->down_ns != 0;
	pthread_mutex_unlock(&l->lock);
	if (!empty)
		drop_turn(l, now, wanted, ending);
	else if (wanted && !down && !l->receive.busy && !l->drop.busy && now >= l->receive_ns)
		receive(l, now);
	if (!ending && !l->look.busy && now >= l->look_ns - (down && l->look_ns ? LOOK_EVERY_NS - LOOK_DOWN_NS : 0))
		look(l, now);
	return l->receive.busy || l->drop.busy || !empty;
}
