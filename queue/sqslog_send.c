/*
 * sqslog_send.c - a lane's messages out, on the hub's thread: made, sent, acknowledged; sent again after a lost answer.
 *
 *   idle → sent → (200 stored) → tickets answered → idle
 *            ↑ no answer: the same message with the same MessageDeduplicationId
 *
 * One is under way at a time, so that a producer's messages stand in SQS in the order of their numbers.
 */
#include "sqslog_impl.h"

#include <inttypes.h>

#include "clock.h"
#include "failpoint.h"
#include "jsonw.h"

/* What was never sent is given back to its client early, to be written directly; of what was sent nobody knows. */
#define UNSENT_PATIENCE_NS NS_PER_SEC
#define DOUBT_PATIENCE_NS (10 * NS_PER_SEC)
#define SEND_SECONDS 5L

static const char unknown[] = "the queue's SQS did not answer: whether the write will be applied is unknown";
static const char gone[] = "the queue's SQS does not answer";
static const char refused[] = "the queue's SQS refuses to store: see the log";

/* Two neighbours become one when there is no room. lock held. */
static void add_mark(struct sqslog *l, uint64_t seq, uint64_t bytes, uint64_t records)
{
	if (l->nmarks == SQSLOG_MARKS) {
		for (unsigned i = 0; i < SQSLOG_MARKS / 2; i++) {
			struct sqslog_mark a = l->mark[2 * i];

			l->mark[i] = l->mark[2 * i + 1];
			l->mark[i].bytes += a.bytes;
			l->mark[i].records += a.records;
		}
		l->nmarks = SQSLOG_MARKS / 2;
	}
	l->mark[l->nmarks++] = (struct sqslog_mark){seq, bytes, records};
}

void sqslog_forget_marks(struct sqslog *l, uint64_t upto)
{
	unsigned n = 0;

	while (n < l->nmarks && l->mark[n].seq <= upto)
		n++;
	l->nmarks -= n;
	if (n)
		memmove(l->mark, l->mark + n, l->nmarks * sizeof(l->mark[0]));
}

/* The message's fate is known: its clients hear. seq: 0 if it is not known to be stored. */
static void finish(struct sqslog *l, enum rc rc, const char *error, uint64_t seq)
{
	struct sqslog_batch *b = &l->batch;
	uint64_t took = clock_mono_ns() - b->since_ns;
	size_t n = b->n, bytes = iobuf_len(&b->records);

	FAILPOINT("before-answer");
	if (seq) {
		l->stored_number = b->number;
		pthread_mutex_lock(&l->lock);
		l->own = seq > l->own ? seq : l->own;
		add_mark(l, seq, bytes, n);
		l->asks++;
		l->ask_ns_last = took;
		l->ask_ns_total += took;
		pthread_mutex_unlock(&l->lock);
	}
	outbox_count(l->opt.sink, rc, n, bytes, took);
	iobuf_consume(&b->records, bytes);
	b->n = 0;
	if (seq)
		l->opt.wake(l->opt.wake_arg);
	outbox_answer(&l->box, &b->line, rc, error, seq ? l->opt.number(l->opt.wake_arg, seq) : 0);
}

static void give_up(struct sqslog *l, const char *why)
{
	finish(l, l->batch.doubtful ? RC_ERROR : RC_DECLINED, l->batch.doubtful ? unknown : why, 0);
}

static void again_later(struct sqslog *l)
{
	uint64_t now = clock_mono_ns();

	l->batch.retry_ns = now + backoff_failed(&l->send_backoff, now);
}

static void on_stored(struct sqslog *l, struct span reply)
{
	uint64_t seq;

	if (sqsreply_sent(reply, &seq) != RC_OK) {
		l->batch.doubtful = true;
		sqslog_bad(l, "an answer that was not understood");
		again_later(l);
		return;
	}
	backoff_good(&l->send_backoff, clock_mono_ns());
	sqslog_good(l);
	finish(l, RC_OK, NULL, seq);
}

void sqslog_on_sent(void *arg, struct sqshttp_call *c)
{
	struct sqslog *l = arg;

	if (!l->batch.n)
		return; /* it was given up */
	if (c->status == 200) {
		on_stored(l, sqshttp_reply(c));
	} else if (!c->status || c->status >= 500) {
		l->batch.doubtful |= c->sent;
		sqslog_bad(l, c->status ? "it has failed inside" : c->error);
		again_later(l);
	} else if (sqslog_fault(l, c, "SQS does not store")) {
		again_later(l); /* it has certainly not stored it this time */
	} else {
		sqslog_refuse(l, refused);
		give_up(l, refused);
	}
}

static enum rc put_request(struct sqslog *l)
{
	struct sqslog_batch *b = &l->batch;
	struct sqsmsg m = {.queue = l->queue,
			   .lane = l->opt.lane,
			   .producer = l->producer,
			   .number = b->number,
			   .before = l->stored_number,
			   .count = (uint32_t)b->n,
			   .records = span_of(iobuf_data(&b->records), iobuf_len(&b->records))};
	struct iobuf text;
	struct jsonw w;
	enum rc rc;

	iobuf_init(&text, 0);
	rc = sqsmsg_encode(&m, &text);
	iobuf_consume(&l->send.body, iobuf_len(&l->send.body));
	jsonw_init(&w, &l->send.body);
	jsonw_open(&w, NULL, '{');
	jsonw_text(&w, "QueueUrl", l->url);
	jsonw_text(&w, "MessageGroupId", l->group);
	jsonw_printf(&w, "MessageDeduplicationId", "%016" PRIx64 "-%u-%" PRIu64, l->producer, l->opt.lane, b->number);
	jsonw_str(&w, "MessageBody", span_of(iobuf_data(&text), iobuf_len(&text)));
	jsonw_close(&w, '}');
	iobuf_reset(&text);
	return rc == RC_OK ? jsonw_end(&w) : rc;
}

static void send_message(struct sqslog *l)
{
	if (put_request(l) != RC_OK || sqshub_ask(l->hub, &l->send, "SendMessage", SEND_SECONDS) != RC_OK)
		again_later(l); /* no memory, or no credentials for now */
	FAILPOINT("after-send");
}

/* The first of what is pending is alone too large, since less fits into a message than did. lock held. */
static size_t take_too_large(struct sqslog *l, struct ticket_line *line)
{
	struct iobuf body;
	size_t n;

	iobuf_init(&body, 0);
	n = outbox_take(&l->box, 1, SIZE_MAX, &body, line);
	if (n)
		container_of(line->first, struct queue_ticket, mail)->unfit = true;
	iobuf_reset(&body);
	return n;
}

/* What is pending becomes a message, as much as fits. */
static void take_batch(struct sqslog *l)
{
	struct sqslog_batch *b = &l->batch;
	struct ticket_line odd;
	size_t nodd = 0;

	ticket_line_init(&odd);
	pthread_mutex_lock(&l->lock);
	b->since_ns = l->box.since_ns;
	b->n = outbox_take(&l->box, SQSMSG_RECORDS_MAX, sqsmsg_raw_most(l->message_bytes) - SQSMSG_HEAD_BYTES, &b->records, &b->line);
	if (!b->n)
		nodd = take_too_large(l, &odd);
	pthread_mutex_unlock(&l->lock);
	if (nodd) {
		outbox_count_unfit(l->opt.sink, nodd);
		outbox_answer(&l->box, &odd, RC_DECLINED, sqslog_too_large, 0);
	}
	if (!b->n)
		return;
	b->number = ++l->last_number;
	b->retry_ns = 0;
	b->doubtful = false;
}

void sqslog_send_turn(struct sqslog *l)
{
	struct sqslog_batch *b = &l->batch;
	bool stop, down, stale, pending;
	uint64_t now;

	pthread_mutex_lock(&l->lock);
	now = clock_mono_ns();
	stop = l->stopping && now > l->stop_until_ns;
	down = l->down_ns != 0 || !sqscred_ready(&l->hub->cred);
	pending = l->box.n > 0;
	stale = pending && down && now - l->box.since_ns > UNSENT_PATIENCE_NS;
	pthread_mutex_unlock(&l->lock);
	if (b->n && (stop || now - b->since_ns > DOUBT_PATIENCE_NS ||
		     (down && !b->doubtful && !l->send.busy && now - b->since_ns > UNSENT_PATIENCE_NS)))
		give_up(l, gone);
	if (stop || stale)
		outbox_give_back(&l->box, l->opt.sink, gone);
	if (l->send.busy)
		return;
	if (!b->n && pending && !down)
		take_batch(l);
	if (b->n && now >= b->retry_ns)
		send_message(l);
}
