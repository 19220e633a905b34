/*
 * redislog_ask.c - what else the loop's thread does for a lane: fetches what the drain reads, removes what is applied, looks
 * how far the stream goes, and says what this Redis can lose.
 */
#include "redislog_impl.h"

#include <inttypes.h>
#include <stdlib.h>

#include "bytes.h"
#include "clock.h"
#include "log.h"
#include "random.h"

#define MARK_AGAIN_NS NS_PER_SEC
#define POLL_SELDOM_NS NS_PER_SEC /* of a lane that is drained elsewhere */
#define STRETCH_BYTES "1048576"
#define STRETCH_RECORDS "127"
#define TRIM_MOST 1024 /* as the script has it */

/* KEYS: stream. ARGV: the id to begin behind, records, bytes. A few at a time: they may be large. */
static const char read_script[] =
	"local out,size,from={},0,ARGV[1]\n"
	"repeat\n"
	" local got=redis.call('XRANGE',KEYS[1],from,'+','COUNT',16)\n"
	" for _,e in ipairs(got) do\n"
	"  if #out/2>=tonumber(ARGV[2]) or size>=tonumber(ARGV[3]) then return out end\n"
	"  out[#out+1]=e[1] out[#out+1]=e[2][2]\n"
	"  size=size+#e[2][2] from='('..e[1]\n"
	" end\n"
	"until #got<16\n"
	"return out\n";

/* KEYS: stream, info. ARGV: the id up to which all are applied, and in which Redis. Returns how many it removed: not all, if they are many. */
static const char trim_script[] =
	"if redis.call('HGET',KEYS[2],'id')~=ARGV[2] then return 0 end\n"
	"local n,size=0,0\n"
	"repeat\n"
	" local got,ids=redis.call('XRANGE',KEYS[1],'-',ARGV[1],'COUNT',16),{}\n"
	" for i,e in ipairs(got) do ids[i]=e[1] size=size+#e[2][2] end\n"
	" if #got>0 then redis.call('XDEL',KEYS[1],unpack(ids)) end\n"
	" n=n+#got\n"
	"until #got<16 or n>=1024\n"
	"if n==0 then return 0 end\n"
	"if redis.call('XLEN',KEYS[1])==0 then redis.call('HSET',KEYS[2],'bytes',0,'count',0)\n"
	"else redis.call('HINCRBY',KEYS[2],'bytes',-size) redis.call('HINCRBY',KEYS[2],'count',-n) end\n"
	"return n\n";

/* ---- errors that another node or time mends ---- */

bool redislog_elsewhere(struct redislog *l, const struct redis_reply *reply)
{
	static const char *const passing[] = {"READONLY ",    "LOADING ",    "CLUSTERDOWN ", "TRYAGAIN ", "ASK ",
					      "MASTERDOWN ", "BUSY ",       "UNBLOCKED "};
	struct span text;

	if (!redis_reply_is(reply, REDIS_REPLY_ERROR))
		return false;
	text = redis_reply_text(reply);
	if (redislink_follow(&l->link, text))
		return true;
	for (size_t i = 0; i < countof(passing); i++) {
		struct span word = span_str(passing[i]);

		if (text.len < word.len || memcmp(text.p, word.p, word.len) != 0)
			continue;
		redislink_again(&l->link, reply->str);
		return true;
	}
	return false;
}

/* ---- reading ---- */

static void fetched(struct redislog *l, enum redislog_fetch state, const char *why)
{
	pthread_mutex_lock(&l->lock);
	if (l->fetch == FETCH_ASKED) {
		l->fetch = state;
		l->fetch_why = why;
		pthread_cond_broadcast(&l->answered);
	}
	pthread_mutex_unlock(&l->lock);
}

/* One entry: its id and its record. */
static enum rc take_entry(struct iobuf *out, const struct redis_reply *id, const struct redis_reply *body, uint64_t *last)
{
	uint64_t seq;
	uint8_t *p;

	if (!redis_reply_is(id, REDIS_REPLY_STRING) || !redis_reply_is(body, REDIS_REPLY_STRING) ||
	    redislog_parse_id(redis_reply_text(id), &seq) != RC_OK || seq <= *last || body->len > REDISLOG_RECORD_MAX)
		return RC_DECLINED;
	p = iobuf_reserve(out, 12 + body->len);
	if (!p)
		return RC_ERROR;
	p = bytes_put(bytes_put(p, 8, seq), 4, body->len);
	if (body->len)
		memcpy(p, body->str, body->len);
	iobuf_commit(out, 12 + body->len);
	*last = seq;
	return RC_OK;
}

static const char *take_entries(struct redislog *l, const struct redis_reply *reply)
{
	uint64_t last;
	enum rc rc = RC_OK;

	if (!redis_reply_is(reply, REDIS_REPLY_ARRAY) || reply->n % 2)
		return "Redis refuses to hand out the queue's stream";
	/* Nobody else touches `fetched` while a fetch is asked for. */
	pthread_mutex_lock(&l->lock);
	last = l->fetch_after;
	iobuf_consume(&l->fetched, iobuf_len(&l->fetched));
	for (size_t i = 0; rc == RC_OK && i < reply->n; i += 2)
		rc = take_entry(&l->fetched, reply->element[i], reply->element[i + 1], &last);
	pthread_mutex_unlock(&l->lock);
	if (rc == RC_OK)
		return NULL;
	return rc == RC_ERROR ? "out of memory" : "the queue's stream in Redis holds an entry that is not suimon's";
}

static void on_fetched(void *arg, struct redis_reply *reply)
{
	struct redislog *l = arg;
	const char *why;
	bool ignore;

	pthread_mutex_lock(&l->lock);
	ignore = l->fetch_ignore > 0;
	l->fetch_ignore -= ignore;
	pthread_mutex_unlock(&l->lock);
	if (!reply || ignore) { /* redislog_ask_lost */
		redis_reply_free(reply);
		return;
	}
	if (redislog_elsewhere(l, reply)) {
		redis_reply_free(reply);
		return;
	}
	why = take_entries(l, reply);
	fetched(l, why ? FETCH_FAILED : FETCH_DONE, why);
	redis_reply_free(reply);
}

static void ask_fetch(struct redislog *l)
{
	char from[REDISLOG_ID_MAX];
	struct span argv[] = {span_str("EVAL"), span_str(read_script), span_str("1"), redislog_key_text(&l->stream), {0},
			      span_str(STRETCH_RECORDS), span_str(STRETCH_BYTES)};
	bool wanted;

	pthread_mutex_lock(&l->lock);
	wanted = l->fetch == FETCH_WANTED;
	if (wanted) {
		argv[4] = redislog_put_id(from, "(", l->fetch_after);
		l->fetch = FETCH_ASKED;
	}
	pthread_mutex_unlock(&l->lock);
	if (wanted && redis_send(l->link.conn, countof(argv), argv, on_fetched, l) != RC_OK)
		fetched(l, FETCH_FAILED, "Redis takes no more commands");
}

/* ---- removing ---- */

static void on_trimmed(void *arg, struct redis_reply *reply)
{
	struct redislog *l = arg;
	char quoted[200];

	l->trimming = false;
	if (redis_reply_is(reply, REDIS_REPLY_INTEGER) && reply->integer >= TRIM_MOST)
		l->trimmed_seq = 0; /* there is more */
	if (redis_reply_is(reply, REDIS_REPLY_ERROR) && !redislog_elsewhere(l, reply))
		log_error("queue", "Redis does not remove what is applied", "lane=%u error=%s", l->opt.lane,
			  log_quote(quoted, sizeof(quoted), redis_reply_text(reply)));
	redis_reply_free(reply);
}

static void ask_trim(struct redislog *l)
{
	char upto[REDISLOG_ID_MAX], mark[24];
	struct span argv[] = {span_str("EVAL"), span_str(trim_script), span_str("2"), redislog_key_text(&l->stream),
			      redislog_key_text(&l->info), {0}, {0}};
	uint64_t applied;

	pthread_mutex_lock(&l->lock);
	applied = redislog_is_ours(l) ? l->applied : 0;
	argv[6] = redislog_number(mark, l->ours);
	pthread_mutex_unlock(&l->lock);
	if (l->trimming || applied <= l->trimmed_seq)
		return;
	argv[5] = redislog_put_id(upto, "", applied);
	l->trimming = redis_send(l->link.conn, countof(argv), argv, on_trimmed, l) == RC_OK;
	l->trimmed_seq = applied;
}

/* ---- looking ---- */

static uint64_t field_number(const struct redis_reply *r)
{
	return redis_reply_is(r, REDIS_REPLY_STRING) ? strtoull(r->str, NULL, 10) : 0;
}

/* What the stream holds, as those who write to it have noted. */
static void note_info(struct redislog *l, const struct redis_reply *reply)
{
	uint64_t last = 0, before;
	bool more;

	if (redis_reply_is(reply->element[0], REDIS_REPLY_STRING) &&
	    redislog_parse_id(redis_reply_text(reply->element[0]), &last) != RC_OK)
		return;
	pthread_mutex_lock(&l->lock);
	before = l->durable;
	l->durable = last;
	l->known = true;
	l->bytes = field_number(reply->element[1]);
	l->count = field_number(reply->element[2]);
	l->mark = field_number(reply->element[3]);
	l->met |= redislog_is_ours(l);
	more = l->durable > before;
	pthread_mutex_unlock(&l->lock);
	if (last < before)
		log_error("queue", "Redis has forgotten records of the queue: those not applied are lost",
			  "lane=%u last=%" PRIu64 " was=%" PRIu64, l->opt.lane, last, before);
	if (more)
		l->opt.wake(l->opt.wake_arg);
}

static void on_marked(void *arg, struct redis_reply *reply)
{
	struct redislog *l = arg;
	char quoted[200];

	l->marking = false;
	if (redis_reply_is(reply, REDIS_REPLY_INTEGER))
		redislog_look(l); /* whoever was first has given it */
	else if (redis_reply_is(reply, REDIS_REPLY_ERROR) && !redislog_elsewhere(l, reply))
		log_error("queue", "Redis does not take its mark", "lane=%u error=%s", l->opt.lane,
			  log_quote(quoted, sizeof(quoted), redis_reply_text(reply)));
	redis_reply_free(reply);
}

/* A Redis without a mark has one given: the one it had, if it is surely the same, or a new one. One that is empty when it is reached
 * again may be another: who is still at the former one must not take it for that. */
static void give_mark(struct redislog *l)
{
	struct span argv[] = {span_str("HSETNX"), redislog_key_text(&l->info), span_str("id"), {0}};
	uint64_t now = clock_mono_ns(), mark, has;
	char text[24];

	pthread_mutex_lock(&l->lock);
	has = l->mark;
	mark = l->met || l->durable ? l->ours : 0;
	pthread_mutex_unlock(&l->lock);
	if (has || l->marking || (l->marked_ns && now - l->marked_ns < MARK_AGAIN_NS))
		return;
	l->marked_ns = now;
	if (!mark && (random_bytes(&mark, sizeof(mark)) != RC_OK || !mark))
		return;
	argv[3] = redislog_number(text, mark);
	l->marking = redis_send(l->link.conn, countof(argv), argv, on_marked, l) == RC_OK;
}

static void on_info(void *arg, struct redis_reply *reply)
{
	struct redislog *l = arg;

	l->polling = false;
	if (redis_reply_is(reply, REDIS_REPLY_ARRAY) && reply->n == 4) {
		note_info(l, reply);
		give_mark(l);
		redislog_flush(l);
	} else {
		(void)redislog_elsewhere(l, reply);
	}
	redis_reply_free(reply);
}

static void ask_info(struct redislog *l)
{
	const struct span argv[] = {span_str("HMGET"), redislog_key_text(&l->info), span_str("last"), span_str("bytes"),
				    span_str("count"), span_str("id")};
	uint64_t now = clock_mono_ns();
	bool attended;

	pthread_mutex_lock(&l->lock);
	attended = l->attended;
	pthread_mutex_unlock(&l->lock);
	if (l->polling || (!attended && now - l->polled_ns < POLL_SELDOM_NS))
		return;
	l->polled_ns = now;
	l->polling = redis_send(l->link.conn, countof(argv), argv, on_info, l) == RC_OK;
}

void redislog_ask(struct redislog *l)
{
	if (!redislink_up(&l->link))
		return;
	ask_fetch(l);
	ask_trim(l);
}

void redislog_look(struct redislog *l)
{
	l->polled_ns = 0;
	ask_info(l);
}

void redislog_ask_lost(struct redislog *l)
{
	l->polling = l->trimming = l->marking = false;
	l->marked_ns = 0;
	l->trimmed_seq = 0;
	fetched(l, FETCH_FAILED, "the connection to the queue's Redis was lost");
}

void redislog_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct redislog *l = arg;

	redislog_batch_tick(l, clock_mono_ns());
	if (!redislink_up(&l->link))
		return;
	ask_info(l);
	redislog_ask(l);
}

/* ---- what it can lose ---- */

static struct span info_field(const struct redis_reply *reply, const char *name)
{
	const char *at = redis_reply_is(reply, REDIS_REPLY_STRING) ? strstr(reply->str, name) : NULL;

	if (!at)
		return span_str("");
	at += strlen(name);
	return span_of(at, strcspn(at, "\r\n"));
}

static void on_persistence(void *arg, struct redis_reply *reply)
{
	struct span aof = info_field(reply, "\naof_enabled:");

	if (span_eq(aof, span_str("0")))
		log_warn("queue", "Redis keeps no append-only file: what is acknowledged and not applied is lost when it restarts",
			 "do=\"appendonly yes, appendfsync always\"");
	redis_reply_free(reply);
}

static void on_memory(void *arg, struct redis_reply *reply)
{
	struct span policy = info_field(reply, "\nmaxmemory_policy:");

	if (policy.len && !span_eq(policy, span_str("noeviction")))
		log_warn("queue", "Redis may evict the queue when its memory is full", "maxmemory_policy=" SPAN_FMT " do=\"maxmemory-policy noeviction\"",
			 SPAN_ARG(policy));
	redis_reply_free(reply);
}

static void on_fsync(void *arg, struct redis_reply *reply)
{
	if (redis_reply_is(reply, REDIS_REPLY_ARRAY) && reply->n == 2 && redis_reply_is(reply->element[1], REDIS_REPLY_STRING) &&
	    !span_eq(redis_reply_text(reply->element[1]), span_str("always")))
		log_warn("queue", "Redis syncs its file later than it acknowledges: a power loss there may lose up to a second or more",
			 "appendfsync=" SPAN_FMT " do=\"appendfsync always, or ?wait_aof=1 in queue.url\"",
			 SPAN_ARG(redis_reply_text(reply->element[1])));
	redis_reply_free(reply);
}

/* Once, for all lanes. */
void redislog_greet(struct redislog *l)
{
	const struct span persistence[] = {span_str("INFO"), span_str("persistence")};
	const struct span memory[] = {span_str("INFO"), span_str("memory")};
	const struct span appendfsync[] = {span_str("CONFIG"), span_str("GET"), span_str("appendfsync")};

	if (l->warned || l->opt.lane)
		return;
	l->warned = true;
	if (!l->hub->wait)
		log_warn("queue", "Redis replicates after it has acknowledged: a failover may lose the last writes",
			 "do=\"?wait=N in queue.url, N replicas\"");
	(void)!redis_send(l->link.conn, 2, persistence, on_persistence, l);
	(void)!redis_send(l->link.conn, 2, memory, on_memory, l);
	if (!l->hub->wait_aof)
		(void)!redis_send(l->link.conn, 3, appendfsync, on_fsync, l);
}
