/*
 * sqslog_hand.c - the records of the messages in a lane's hand: numbered, handed out, known again, applied.
 *
 * A record's sequence is made here, from SQS's number of its message and so that it grows; another owner may make another one
 * of it. What says that a record is applied is its producer's row: see producers.h.
 */
#include "sqslog_impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "failpoint.h"
#include "log.h"
#include "mem.h"

#define CR_SERVER_LOST 2013u

static uint64_t last_of(const struct sqslog_held *h)
{
	return h->first + h->m.count - 1;
}

/* Where the next one goes on. lock held. */
static void rewind_to(struct sqslog *l, unsigned at)
{
	while (at < l->nhand && l->hand[at].done)
		at++;
	l->at = at;
	l->at_place = 0;
	l->at_left = at < l->nhand ? l->hand[at].m.records : span_str("");
}

/* What SQS has lost, or hands out in another order, is to be seen. */
static void look_at_gap(const struct sqslog *l, const struct sqslog_held *h, const struct producer *p)
{
	if (p->seen && h->m.before > p->seen >> SQSMSG_ID_BITS)
		log_error("queue", "messages of the queue are missing: they were removed from SQS, or were too old for it",
			  "lane=%u producer=%016" PRIx64 " after=%" PRIu64 " next=%" PRIu64, l->opt.lane, h->m.producer,
			  p->seen >> SQSMSG_ID_BITS, h->m.number);
}

/* Its sequences, and which of its records are new. RC_ERROR: no memory. lock held. */
static enum rc number_message(struct sqslog *l, struct sqslog_held *h)
{
	struct producer *p = producers_get(&l->producers, h->m.producer);
	uint64_t least = l->last_seq + h->m.count, last = h->stored > least ? h->stored : least, id;

	if (!p)
		return RC_ERROR;
	look_at_gap(l, h, p);
	h->first = last - h->m.count + 1;
	l->last_seq = last;
	h->fresh = 0;
	if (p->seen >> SQSMSG_ID_BITS > h->m.number)
		h->fresh = h->m.count;
	else if (p->seen >> SQSMSG_ID_BITS == h->m.number)
		h->fresh = (uint32_t)(p->seen & (SQSMSG_RECORDS_MAX - 1)) + 1;
	if (h->fresh > h->m.count)
		h->fresh = h->m.count;
	id = sqsmsg_id(&h->m, h->m.count - 1);
	p->seen = id > p->seen ? id : p->seen;
	return RC_OK;
}

static void reset_held(struct sqslog_held *h)
{
	mem_free(h->receipt);
	iobuf_reset(&h->raw);
	*h = (struct sqslog_held){0};
}

enum rc sqslog_hold(struct sqslog *l, struct span receipt, struct span body, uint64_t stored, const char **why)
{
	struct sqslog_held *h = &l->hand[l->nhand];
	enum rc rc;

	if (l->nhand == SQSLOG_HAND_MAX)
		return RC_ERROR;
	*h = (struct sqslog_held){.stored = stored};
	iobuf_init(&h->raw, 0);
	rc = sqsmsg_decode(body, &h->raw, &h->m, why);
	if (rc == RC_OK && (h->m.queue != l->queue || h->m.lane != l->opt.lane)) {
		*why = "it is of another queue of suimon's";
		rc = RC_DECLINED;
	}
	h->receipt = rc == RC_OK ? mem_dup(receipt.p, receipt.len) : NULL;
	if (rc == RC_OK)
		rc = h->receipt ? number_message(l, h) : RC_ERROR;
	if (rc != RC_OK) {
		reset_held(h);
		return rc;
	}
	l->nhand++;
	if (l->at == l->nhand - 1)
		rewind_to(l, l->at);
	return RC_OK;
}

void sqslog_release(struct sqslog *l, bool all)
{
	unsigned n = 0, at = l->at;

	for (unsigned i = 0; i < l->nhand; i++) {
		if (all || l->hand[i].deleting) {
			at -= i < l->at;
			reset_held(&l->hand[i]);
			continue;
		}
		if (n != i) {
			l->hand[n] = l->hand[i];
			l->hand[i] = (struct sqslog_held){0};
		}
		n++;
	}
	l->nhand = n;
	l->at = at;
	if (all)
		rewind_to(l, 0);
}

/* All that is not applied is handed out once more, with sequences behind this one. */
enum rc sqslog_seek(struct queue_engine *e, uint64_t after_seq, char *err, size_t cap)
{
	struct sqslog *l = sqslog_self(e);
	enum rc rc = RC_OK;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < l->producers.n; i++)
		l->producers.p[i].seen = l->producers.p[i].applied;
	l->last_seq = after_seq;
	for (unsigned i = 0; rc == RC_OK && i < l->nhand; i++)
		if (!l->hand[i].done)
			rc = number_message(l, &l->hand[i]);
	rewind_to(l, 0);
	pthread_mutex_unlock(&l->lock);
	if (rc != RC_OK)
		snprintf(err, cap, "out of memory");
	return rc;
}

/* lock held. */
static enum rc hand_out(struct sqslog *l, uint64_t *seq, struct span *body)
{
	struct sqslog_held *h = &l->hand[l->at];
	struct span left = l->at_left, record;

	iobuf_consume(&l->out, iobuf_len(&l->out));
	if (sqsmsg_next(&left, &record) != RC_OK || iobuf_append(&l->out, record.p, record.len) != RC_OK)
		return RC_ERROR;
	l->at_left = left;
	*seq = h->first + l->at_place;
	*body = span_of(iobuf_data(&l->out), iobuf_len(&l->out));
	if (++l->at_place == h->m.count)
		rewind_to(l, l->at + 1);
	return RC_OK;
}

enum rc sqslog_next(struct queue_engine *e, uint64_t *seq, struct span *body, char *err, size_t cap)
{
	struct sqslog *l = sqslog_self(e);
	enum rc rc = RC_AGAIN;

	pthread_mutex_lock(&l->lock);
	if (l->at < l->nhand)
		rc = hand_out(l, seq, body);
	else if (!l->nhand && l->strange)
		rc = RC_DECLINED;
	if (rc == RC_ERROR || rc == RC_DECLINED)
		snprintf(err, cap, "%s", rc == RC_ERROR ? "out of memory" : l->strange);
	pthread_mutex_unlock(&l->lock);
	return rc == RC_ERROR ? RC_DECLINED : rc;
}

bool sqslog_stale(struct queue_engine *e, uint64_t seq)
{
	struct sqslog *l = sqslog_self(e);
	bool stale = false;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < l->nhand; i++)
		if (seq >= l->hand[i].first && seq <= last_of(&l->hand[i]))
			stale = seq - l->hand[i].first < l->hand[i].fresh;
	pthread_mutex_unlock(&l->lock);
	return stale;
}

/* ---- in the database ---- */

enum rc sqslog_begin(struct queue_engine *e, struct dbconn *c, const char *lane_hex)
{
	struct sqslog *l = sqslog_self(e);
	struct producers now = {.told = l->producers.told};
	enum rc rc = producers_read(&now, c, lane_hex);

	pthread_mutex_lock(&l->lock);
	l->noted_seq = 0;
	l->producers.told = now.told;
	if (rc == RC_OK) {
		producers_reset(&l->producers);
		l->producers = now;
	}
	pthread_mutex_unlock(&l->lock);
	if (rc != RC_OK)
		producers_reset(&now);
	return rc;
}

/* What applying up to a sequence makes of a message's producer: into all. RC_ERROR: no memory. lock held. */
static enum rc note_message(const struct sqslog_held *h, uint64_t upto, struct producers *all)
{
	struct producer *p;

	if (h->done || h->first + h->fresh > upto || h->fresh == h->m.count)
		return RC_OK;
	p = producers_get(all, h->m.producer);
	if (!p)
		return RC_ERROR;
	p->noted = sqsmsg_id(&h->m, (uint32_t)((upto < last_of(h) ? upto : last_of(h)) - h->first));
	return RC_OK;
}

/* lock held. */
static enum rc note_hand(const struct sqslog *l, uint64_t upto, struct producers *all)
{
	enum rc rc = RC_OK;

	for (unsigned i = 0; rc == RC_OK && i < l->nhand; i++)
		rc = note_message(&l->hand[i], upto, all);
	return rc;
}

/* Nothing is applied of which nobody could note that it is. lock held. */
static bool holds(const struct sqslog *l, uint64_t seq)
{
	for (unsigned i = 0; i < l->nhand; i++)
		if (!l->hand[i].done && seq >= l->hand[i].first && seq <= last_of(&l->hand[i]))
			return true;
	return false;
}

enum rc sqslog_note(struct queue_engine *e, struct dbconn *c, const char *lane_hex, uint64_t upto)
{
	struct sqslog *l = sqslog_self(e);
	struct producers noted = {0};
	enum rc rc;

	pthread_mutex_lock(&l->lock);
	rc = holds(l, upto) ? note_hand(l, upto, &noted) : RC_ERROR;
	l->noted_seq = rc == RC_OK ? upto : 0;
	pthread_mutex_unlock(&l->lock);
	if (rc == RC_OK) {
		rc = producers_note(&noted, c, lane_hex);
	} else { /* the batch is rolled back, and what is in the hand then is handed out anew */
		c->code = CR_SERVER_LOST;
		snprintf(c->error, sizeof(c->error), "the messages of the batch are not in hand any more, or memory is short");
	}
	producers_reset(&noted);
	return rc;
}

/* lock held. */
static void take_noted(struct sqslog *l, uint64_t seq)
{
	struct producers noted = {0};

	if (note_hand(l, seq, &noted) == RC_OK) {
		for (size_t i = 0; i < noted.n; i++) {
			struct producer *p = producers_get(&l->producers, noted.p[i].id);

			if (p && noted.p[i].noted > p->applied)
				p->applied = noted.p[i].noted;
		}
		for (unsigned i = 0; i < l->nhand; i++)
			l->hand[i].done |= last_of(&l->hand[i]) <= seq;
	} /* else they stay, and are met again */
	producers_reset(&noted);
}

/* Only of what was noted: a position alone, as it is read at the beginning, says nothing of the messages in the hand. */
void sqslog_applied(struct queue_engine *e, uint64_t seq)
{
	struct sqslog *l = sqslog_self(e);

	FAILPOINT("before-delete");
	pthread_mutex_lock(&l->lock);
	l->last_seq = seq > l->last_seq ? seq : l->last_seq;
	sqslog_forget_marks(l, seq);
	if (l->noted_seq && seq == l->noted_seq)
		take_noted(l, seq);
	l->noted_seq = 0;
	pthread_mutex_unlock(&l->lock);
	sqshttp_wake(&l->hub->http);
}

uint64_t sqslog_durable(struct queue_engine *e)
{
	struct sqslog *l = sqslog_self(e);
	uint64_t seq = 0;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < l->nhand; i++)
		if (!l->hand[i].done)
			seq = last_of(&l->hand[i]);
	if (!l->nhand && l->strange)
		seq = l->last_seq + 1; /* so that somebody asks, and hears of it */
	pthread_mutex_unlock(&l->lock);
	return seq;
}

/* What is in the hand: SQS shows no more without giving it away. */
enum rc sqslog_peek(struct queue_engine *e, uint64_t after_seq, unsigned limit, void (*fn)(void *arg, uint64_t seq, struct span body),
		    void *arg)
{
	struct sqslog *l = sqslog_self(e);

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < l->nhand && limit; i++) {
		struct span left = l->hand[i].m.records, record;

		for (uint64_t seq = l->hand[i].first; limit && sqsmsg_next(&left, &record) == RC_OK; seq++) {
			if (seq <= after_seq || l->hand[i].done)
				continue;
			fn(arg, seq, record);
			limit--;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return RC_OK;
}
