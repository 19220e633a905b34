/*
 * redislog_send.c - a lane's batches, on the loop's thread: taken, sent, acknowledged; sent again after a lost connection.
 *
 *   idle → asked → (EVAL stored [→ WAIT confirmed]) → tickets answered → idle
 *            ↑ the connection was lost: the same batch with the same number
 */
#include "redislog_impl.h"

#include <stdlib.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"

/* What was never sent is given back to its client early, to be written directly; of what was sent nobody knows. */
#define UNSENT_PATIENCE_NS NS_PER_SEC
#define DOUBT_PATIENCE_NS (10 * NS_PER_SEC)
#define REFUSED_PAUSE_NS NS_PER_SEC
#define WAIT_MS "5000"
#define FIRST_BODY 10u /* of the script's arguments */

static const char unknown[] = "the queue's Redis did not answer: whether the write will be applied is unknown";
static const char unconfirmed[] = "too few replicas of the queue's Redis confirmed the write in time: it may be lost with "
				  "the primary, else it will be applied";
static const char full[] = "the queue is full";
static const char gone[] = "the queue's Redis does not answer";
static const char unasked[] = "the database has not said yet whether this Redis is the queue's";
static const char refused[] = "the queue's Redis refuses to store: see the log";
static const char clock_back[] = "the clock of the queue's Redis is behind its stream";

/*
 * KEYS: stream, info, producer. ARGV: the batch's number, the milliseconds the database has applied up to, most bytes, the mark of the
 * Redis that it is for, records.
 * A batch that is there already is not added again, nor is one that comes late over a connection long given up. All the same something is
 * written: WAIT and WAITAOF, which follow, wait for the last write of their own connection, and of one that is new and has
 * written nothing they would say that everybody has it. An id is never one that the database may hold for applied: a Redis that
 * has lost its data, and its clock, begins behind that.
 */
static const char append_script[] =
	"if redis.call('HGET',KEYS[2],'id')~=ARGV[4] then return redis.status_reply('mark') end\n"
	"local p=redis.call('HMGET',KEYS[3],'n','last')\n"
	"if p[1] and tonumber(p[1])>=tonumber(ARGV[1]) then\n"
	" redis.call('HSET',KEYS[3],'last',p[2])\n"
	" return p[2]\n"
	"end\n"
	"local size=0\n"
	"for i=5,#ARGV do size=size+#ARGV[i] end\n"
	"local most,have=tonumber(ARGV[3]),tonumber(redis.call('HGET',KEYS[2],'bytes') or 0)\n"
	"if most>0 and have>0 and have+size>most then return redis.status_reply('full') end\n"
	"local id,floor\n"
	"floor=tonumber(ARGV[2])\n"
	"for i=5,#ARGV do\n"
	" id=redis.call('XADD',KEYS[1],'*','r',ARGV[i])\n"
	" if i==5 and tonumber(string.match(id,'^%d+'))<=floor then\n"
	"  redis.call('XDEL',KEYS[1],id)\n"
	"  id=redis.call('XADD',KEYS[1],string.format('%.0f-0',floor+1),'r',ARGV[i])\n"
	" end\n"
	"end\n"
	"redis.call('HSET',KEYS[3],'n',ARGV[1],'last',id)\n"
	"redis.call('EXPIRE',KEYS[3],86400)\n"
	"redis.call('HSET',KEYS[2],'last',id)\n"
	"redis.call('HINCRBY',KEYS[2],'bytes',size)\n"
	"redis.call('HINCRBY',KEYS[2],'count',#ARGV-4)\n"
	"return id\n";

/* lock held. */
static void note_stored(struct redislog *l, const struct redislog_batch *b, uint64_t took)
{
	if (b->seq > l->durable)
		l->durable = b->seq;
	if (b->seq > l->own)
		l->own = b->seq;
	/* Until the stream is looked at next. */
	l->count += b->n;
	l->bytes += iobuf_len(&b->bodies);
	l->asks++;
	l->ask_ns_last = took;
	l->ask_ns_total += took;
}

/* The batch's fate is known: its clients hear, and the next one goes. */
static void finish(struct redislog *l, enum rc rc, const char *error)
{
	struct redislog_batch *b = &l->batch;
	uint64_t took = clock_mono_ns() - b->since_ns, seq = b->seq;
	size_t n = b->n;

	FAILPOINT("before-answer");
	pthread_mutex_lock(&l->lock);
	if (seq)
		note_stored(l, b, took);
	pthread_mutex_unlock(&l->lock);
	outbox_count(l->opt.sink, rc, n, iobuf_len(&b->bodies), took);
	iobuf_consume(&b->bodies, iobuf_len(&b->bodies));
	b->n = 0;
	b->asked = b->doubtful = b->again = false;
	b->seq = 0;
	if (seq)
		l->opt.wake(l->opt.wake_arg);
	outbox_answer(&l->box, &b->line, rc, error, seq ? l->opt.number(l->opt.wake_arg, seq) : 0);
	redislog_flush(l);
}

/* It takes nothing for now, and has stored nothing. */
static void refuse(struct redislog *l, const char *why)
{
	pthread_mutex_lock(&l->lock);
	l->refused = why;
	l->refused_until_ns = clock_mono_ns() + REFUSED_PAUSE_NS;
	pthread_mutex_unlock(&l->lock);
}

static void on_error(struct redislog *l, const struct redis_reply *reply)
{
	/* Refused before the first of the script's commands ran: memory, disk, replicas, rights. */
	static const char *const stored_nothing[] = {"OOM ", "MISCONF ", "NOREPLICAS ", "NOPERM ", "NOAUTH "};
	struct span text = redis_reply_text(reply);
	char quoted[256];

	l->batch.asked = false;
	if (redislog_elsewhere(l, reply))
		return;
	log_error("queue", "Redis does not store", "lane=%u error=%s", l->opt.lane, log_quote(quoted, sizeof(quoted), text));
	refuse(l, refused);
	for (size_t i = 0; i < countof(stored_nothing); i++) {
		struct span word = span_str(stored_nothing[i]);

		if (text.len > word.len && memcmp(text.p, word.p, word.len) == 0 && !l->batch.again) {
			finish(l, RC_DECLINED, refused);
			return;
		}
	}
	finish(l, RC_ERROR, unknown);
}

/* The Redis that has answered is not the one the batch is for, or has lost its mark, which it is given again. */
static void not_its_mark(struct redislog *l)
{
	l->batch.asked = false;
	l->batch.doubtful = l->batch.again;
	pthread_mutex_lock(&l->lock);
	l->known = false;
	pthread_mutex_unlock(&l->lock);
	redislog_look(l);
}

static void on_stored(void *arg, struct redis_reply *reply)
{
	struct redislog *l = arg;
	struct redislog_batch *b = &l->batch;
	uint64_t seq;

	if (!reply || !b->n)
		; /* the connection went: redislog_batch_lost */
	else if (redis_reply_is(reply, REDIS_REPLY_ERROR))
		on_error(l, reply);
	else if (redis_reply_is(reply, REDIS_REPLY_STATUS) && span_eq(redis_reply_text(reply), span_str("mark")))
		not_its_mark(l);
	else if (redis_reply_is(reply, REDIS_REPLY_STATUS)) /* an earlier sending may yet arrive, when there is room again */
		finish(l, b->again ? RC_ERROR : RC_DECLINED, b->again ? unknown : full);
	else if (!redis_reply_is(reply, REDIS_REPLY_STRING) || redislog_parse_id(redis_reply_text(reply), &seq) != RC_OK)
		redislink_again(&l->link, "an answer that was not understood");
	else {
		b->seq = seq;
		/* Long before the numbers of a millisecond run out. */
		if ((seq & ((UINT64_C(1) << REDISLOG_NUMBER_BITS) - 1)) >> (REDISLOG_NUMBER_BITS - 1))
			refuse(l, clock_back);
		if (!l->hub->wait && !l->hub->wait_aof)
			finish(l, RC_OK, NULL);
	}
	redis_reply_free(reply);
}

static bool confirmed(const struct redislog *l, const struct redis_reply *reply)
{
	if (!l->hub->wait_aof)
		return redis_reply_is(reply, REDIS_REPLY_INTEGER) && reply->integer >= l->hub->wait;
	return redis_reply_is(reply, REDIS_REPLY_ARRAY) && reply->n == 2 &&
	       redis_reply_is(reply->element[0], REDIS_REPLY_INTEGER) && reply->element[0]->integer >= 1 &&
	       redis_reply_is(reply->element[1], REDIS_REPLY_INTEGER) && reply->element[1]->integer >= l->hub->wait;
}

static void on_waited(void *arg, struct redis_reply *reply)
{
	struct redislog *l = arg;
	char quoted[200];

	if (!reply || !l->batch.n || !l->batch.seq) {
		redis_reply_free(reply); /* there was nothing to wait for */
		return;
	}
	if (redis_reply_is(reply, REDIS_REPLY_ERROR))
		log_error("queue", "Redis cannot wait for its replicas or its file", "lane=%u error=%s", l->opt.lane,
			  log_quote(quoted, sizeof(quoted), redis_reply_text(reply)));
	if (confirmed(l, reply))
		finish(l, RC_OK, NULL);
	else
		finish(l, RC_ERROR, unconfirmed);
	redis_reply_free(reply);
}

static enum rc ask_to_wait(struct redislog *l)
{
	char replicas[24];
	struct span argv[4];
	unsigned n = 0;

	if (!l->hub->wait && !l->hub->wait_aof)
		return RC_OK;
	argv[n++] = span_str(l->hub->wait_aof ? "WAITAOF" : "WAIT");
	if (l->hub->wait_aof)
		argv[n++] = span_str("1");
	argv[n++] = redislog_number(replicas, l->hub->wait);
	argv[n++] = span_str(WAIT_MS);
	return redis_send(l->link.conn, n, argv, on_waited, l);
}

static void send_batch(struct redislog *l)
{
	struct redislog_batch *b = &l->batch;
	struct span argv[FIRST_BODY + REDISLOG_BATCH] = {span_str("EVAL"), span_str(append_script), span_str("3")};
	const uint8_t *p = iobuf_data(&b->bodies);
	char number[24], floor[24], most[24], mark[24];
	uint64_t applied;

	argv[3] = redislog_key_text(&l->stream);
	argv[4] = redislog_key_text(&l->info);
	argv[5] = redislog_key_text(&l->producer);
	argv[6] = redislog_number(number, b->number);
	pthread_mutex_lock(&l->lock);
	applied = l->applied > l->followed ? l->applied : l->followed;
	argv[7] = redislog_number(floor, (applied > l->own ? applied : l->own) >> REDISLOG_NUMBER_BITS);
	argv[8] = redislog_number(most, l->opt.max_bytes);
	argv[9] = redislog_number(mark, b->mark);
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < b->n; i++) {
		argv[FIRST_BODY + i] = span_of(p + OUTBOX_LENGTH_BYTES, outbox_length(p));
		p += OUTBOX_LENGTH_BYTES + outbox_length(p);
	}
	if (redis_send(l->link.conn, (unsigned)(FIRST_BODY + b->n), argv, on_stored, l) != RC_OK)
		return; /* the tick tries again */
	b->asked = b->doubtful = true;
	b->seq = 0;
	if (ask_to_wait(l) != RC_OK)
		redislink_again(&l->link, "out of memory");
}

/* What is pending becomes the batch, as much as fits. RC_AGAIN: nothing is. */
static enum rc take_batch(struct redislog *l)
{
	struct redislog_batch *b = &l->batch;

	pthread_mutex_lock(&l->lock);
	b->since_ns = l->box.since_ns;
	b->mark = l->mark;
	if (redislog_open_to(l))
		b->n = outbox_take(&l->box, REDISLOG_BATCH, REDISLOG_BATCH_BYTES, &b->bodies, &b->line);
	pthread_mutex_unlock(&l->lock);
	if (!b->n)
		return RC_AGAIN;
	b->number = ++l->last_number;
	return RC_OK;
}

/* Is this the Redis that the batch, which was sent before, is for? */
static bool may_send_again(struct redislog *l)
{
	bool may;

	pthread_mutex_lock(&l->lock);
	may = l->known && l->mark == l->batch.mark;
	pthread_mutex_unlock(&l->lock);
	return may;
}

void redislog_flush(struct redislog *l)
{
	if (l->batch.asked || !redislink_up(&l->link))
		return;
	if (l->batch.n ? may_send_again(l) : take_batch(l) == RC_OK)
		send_batch(l);
}

void redislog_batch_lost(struct redislog *l)
{
	l->batch.again |= l->batch.asked;
	l->batch.asked = false;
	l->batch.seq = 0;
}

void redislog_batch_tick(struct redislog *l, uint64_t now)
{
	struct redislog_batch *b = &l->batch;
	bool stop, stale, down;

	pthread_mutex_lock(&l->lock);
	stop = l->stopping && now > l->stop_until_ns;
	down = l->down_ns != 0;
	if (down || redislog_open_to(l))
		l->held_ns = 0;
	else if (!l->held_ns)
		l->held_ns = now;
	stale = l->box.n && ((down && now - l->box.since_ns > UNSENT_PATIENCE_NS) ||
			     (l->held_ns && (now - l->held_ns > REDISLOG_HELD_PATIENCE_NS || l->owner == QUEUE_OWNER_OTHER)));
	pthread_mutex_unlock(&l->lock);
	if (b->n && (stop || now - b->since_ns > DOUBT_PATIENCE_NS)) {
		if (b->asked)
			redislink_again(&l->link, "no answer in time");
		finish(l, b->doubtful ? RC_ERROR : RC_DECLINED, b->doubtful ? unknown : gone);
	}
	if (stop || stale)
		outbox_give_back(&l->box, l->opt.sink, down || stop ? gone : unasked);
	redislog_flush(l);
}
