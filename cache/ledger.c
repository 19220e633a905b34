#include "ledger.h"

#include <string.h>

#include "bus_impl.h"
#include "log.h"

#define FIRST_NS (500 * NS_PER_MS)
#define LAST_NS (32 * NS_PER_SEC)

/* ---- the own entry ---- */

/* Why nobody may go on with this server; NULL: no reason. A replica lags, and brings back our heartbeats whether it hears its primary or not. */
static const char *wrong_server(const struct redis_reply *reply)
{
	if (!redis_reply_is(reply, REDIS_REPLY_ERROR))
		return NULL;
	if (strncmp(reply->str, "MOVED", 5) == 0 || strncmp(reply->str, "ASK ", 4) == 0)
		return "our keys are moving to another node of the cluster";
	return strncmp(reply->str, "READONLY", 8) == 0 ? "it is a replica" : NULL;
}

static void on_entry(void *arg, struct redis_reply *reply)
{
	struct bus *b = arg;
	uint64_t number = ++b->ledger.answered;
	const char *wrong = wrong_server(reply);

	if (redis_reply_is(reply, REDIS_REPLY_INTEGER) && reply->integer >= 0) {
		announce_acknowledge(&b->announce, number);
		b->left = b->leaving;
		b->opt.changed(b->opt.arg);
	} else if (wrong) {
		redis_reply_free(reply);
		bus_fail(b, wrong);
		return;
	} else if (reply) { /* no memory, or no right to it: the writes go on without */
		atomic_store_explicit(&b->announce.late, true, memory_order_release);
		stats_count(b->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
	}
	redis_reply_free(reply);
}

/* Its number is one more than the last; a connection that takes no more is closed, and nothing on it answered. */
static struct span own_entry(struct bus *b, uint8_t bytes[ANNOUNCE_BYTES])
{
	bool settled = settle_done(&b->settle);
	uint64_t number;
	size_t len = announce_entry(&b->announce, settled, bus_clock(), bytes, &number);

	if (redis_waiting(b->cmd) == 0)
		b->ledger.answered = number - 1;
	return span_of((char *)bytes, b->leaving ? 0 : len);
}

/* Where memory is short HSET fails, and the heartbeat must go out all the same. */
#define SCRIPT                                                                                                         \
	"local e if ARGV[2] == '' then e = redis.pcall('HDEL', KEYS[1], ARGV[1]) "                                     \
	"else e = redis.pcall('HSET', KEYS[1], ARGV[1], ARGV[2]) end "                                                 \
	"redis.call('PUBLISH', ARGV[3], ARGV[4]) if type(e) == 'table' then return e end return 1"

enum rc ledger_heartbeat(struct bus *b, struct span message)
{
	uint8_t bytes[ANNOUNCE_BYTES];
	struct span entry = own_entry(b, bytes);

	return redis_send(b->cmd, 8, (const struct span[]){span_str("EVAL"), span_str(SCRIPT), span_str("1"),
			  rkey_span(&b->opt.keys->ledger), span_of((char *)b->settle.id, BUS_MSG_ID), entry, rkey_span(&b->opt.keys->bus), message},
			  on_entry, b);
}

enum rc ledger_send(struct bus *b)
{
	uint8_t bytes[ANNOUNCE_BYTES];
	struct span entry;

	if (b->leaving || !announce_wanted(&b->announce))
		return RC_OK;
	entry = own_entry(b, bytes);
	return redis_send(b->cmd, 4, (const struct span[]){span_str("HSET"), rkey_span(&b->opt.keys->ledger),
			  span_of((char *)b->settle.id, BUS_MSG_ID), entry}, on_entry, b);
}

/* ---- the others' ---- */

static struct ledger_peer *find(struct bus *b, const uint8_t *id)
{
	for (unsigned i = 0; i < LEDGER_PEERS; i++) {
		struct ledger_peer *p = &b->ledger.peers[i];

		if (p->bus && memcmp(p->id, id, BUS_MSG_ID) == 0)
			return p;
	}
	return NULL;
}

static bool gone(const struct ledger_peer *p, uint64_t now)
{
	return !p->asking && !p->dead && now - p->heard_ns > 2 * LEDGER_DEAD_NS;
}

/* NULL: there are too many. */
static struct ledger_peer *add(struct bus *b, const uint8_t *id, uint64_t now)
{
	for (unsigned i = 0; i < LEDGER_PEERS; i++) {
		struct ledger_peer *p = &b->ledger.peers[i];

		if (p->bus && !gone(p, now))
			continue;
		*p = (struct ledger_peer){.bus = b, .heard_ns = now};
		memcpy(p->id, id, BUS_MSG_ID);
		return p;
	}
	return NULL;
}

void ledger_heard(struct bus *b, const uint8_t id[BUS_MSG_ID])
{
	uint64_t now = bus_clock();
	struct ledger_peer *p = find(b, id);

	if (!p)
		p = add(b, id, now);
	if (!p)
		return;
	p->heard_ns = now;
	p->dead = false;
}

uint64_t ledger_all_heard(const struct bus *b)
{
	uint64_t now = bus_clock(), all = UINT64_MAX;

	for (unsigned i = 0; i < LEDGER_PEERS; i++) {
		const struct ledger_peer *p = &b->ledger.peers[i];
		bool buried = p->dead && !p->asking && p->wait_ns > FIRST_NS;

		if (p->bus && !buried && !gone(p, now) && p->heard_ns < all)
			all = p->heard_ns;
	}
	return all;
}

static void invalidate_anything(struct bus *b, uint64_t now)
{
	versions_bump_all(b->opt.versions, now, 0, true);
	settle_mark_all(&b->settle, 0);
}

/* As writes of our own whose position is not known: the others hear of it, and Redis is not asked before it has. */
static void invalidate(struct bus *b, struct span entry)
{
	uint64_t now = clock_mono_ns();
	struct versions_pos unknown = versions_pos_of(b->opt.versions, NULL, now, 0);

	for (size_t i = 0; i + 1 < entry.len; i += 2) {
		uint32_t slot = (uint8_t)entry.p[i] | (uint32_t)(uint8_t)entry.p[i + 1] << 8;

		if (slot >= ANNOUNCE_ALL) { /* or not of this format */
			invalidate_anything(b, now);
			break;
		}
		versions_bump(b->opt.versions, slot, &unknown, now, true);
		settle_mark(&b->settle, slot);
	}
	b->opt.schema(b->opt.arg);
}

static void all_read(struct bus *b)
{
	if (b->ledger.asking || b->ledger.known || b->state != BUS_PROVING)
		return;
	b->ledger.known = true;
	bus_send_settles(b);
	bus_prove(b);
}

static void on_peer(void *arg, struct redis_reply *reply)
{
	struct ledger_peer *p = arg;
	struct bus *b = p->bus;

	p->asking = false;
	b->ledger.asking--;
	if (redis_reply_is(reply, REDIS_REPLY_STRING)) {
		invalidate(b, redis_reply_text(reply));
		if (p->dead)
			stats_count(b->opt.sink, STATS_C_CACHE_TAKEOVERS, 1);
	}
	redis_reply_free(reply);
	if (b->state == BUS_LIVE)
		bus_send_settles(b);
	else
		all_read(b);
}

static void ask(struct bus *b, struct ledger_peer *p)
{
	if (p->asking || redis_send(b->cmd, 3, (const struct span[]){span_str("HGET"), rkey_span(&b->opt.keys->ledger),
						span_of((char *)p->id, BUS_MSG_ID)}, on_peer, p) != RC_OK)
		return; /* a connection that takes no more is noticed by the heartbeat */
	p->asking = true;
	b->ledger.asking++;
}

static void remove_entry(struct bus *b, const uint8_t *id)
{
	(void)!redis_send(b->cmd, 3, (const struct span[]){span_str("HDEL"), rkey_span(&b->opt.keys->ledger),
			  span_of((const char *)id, BUS_MSG_ID)}, NULL, NULL); /* else by the next who looks */
}

/* It stands in the ledger and was not heard of for long; who ends in order takes its entry along (bus_leave). */
static void bury(struct bus *b, struct ledger_peer *p, uint64_t now)
{
	if (!p->dead) {
		log_warn("cache", "another instance has died or lost Redis; what it was writing is invalidated for a minute", NULL);
		p->dead = true;
		p->wait_ns = FIRST_NS;
		p->next_ns = now;
	}
	if (now < p->next_ns)
		return;
	if (p->wait_ns > LAST_NS) {
		remove_entry(b, p->id);
		p->dead = false;
		return;
	}
	p->next_ns = now + p->wait_ns;
	p->wait_ns *= 2;
	ask(b, p);
}

static void take_name(struct bus *b, struct span name, uint64_t now)
{
	const uint8_t *id = (const uint8_t *)name.p;
	struct ledger_peer *p;

	if (name.len != BUS_MSG_ID || memcmp(id, b->settle.id, BUS_MSG_ID) == 0)
		return;
	p = find(b, id);
	if (!p)
		p = add(b, id, now);
	if (!p) {
		invalidate_anything(b, clock_mono_ns());
		remove_entry(b, id); /* if it lives, its next heartbeat brings it back */
		return;
	}
	if (b->state == BUS_PROVING)
		ask(b, p);
	else if (now - p->heard_ns > LEDGER_DEAD_NS)
		bury(b, p, now);
}

#define LEDGER_NAMES 199 /* a reply is bounded; the dead among them go, so that others come into sight */
#define NAMES "local k = redis.call('HKEYS', KEYS[1]) return {unpack(k, 1, math.min(#k, 200))}"

static void on_names(void *arg, struct redis_reply *reply)
{
	struct bus *b = arg;
	uint64_t now = bus_clock();

	if (redis_reply_is(reply, REDIS_REPLY_ARRAY)) {
		if (reply->n > LEDGER_NAMES && b->state == BUS_PROVING) /* there may be more */
			invalidate_anything(b, clock_mono_ns());
		for (size_t i = 0; i < reply->n; i++)
			if (redis_reply_is(reply->element[i], REDIS_REPLY_STRING))
				take_name(b, redis_reply_text(reply->element[i]), now);
	} else if (reply) { /* no right to it, or not a hash: this instance takes over from nobody */
		stats_count(b->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
	}
	redis_reply_free(reply);
	if (b->state != BUS_LIVE)
		all_read(b);
}

void ledger_read(struct bus *b)
{
	if (b->state == BUS_PROVING) { /* who was heard of before may have died while we did not listen */
		b->ledger.known = false;
		for (unsigned i = 0; i < LEDGER_PEERS; i++)
			b->ledger.peers[i].heard_ns = bus_clock();
	}
	if (redis_send(b->cmd, 4, (const struct span[]){span_str("EVAL"), span_str(NAMES), span_str("1"), rkey_span(&b->opt.keys->ledger)},
		       on_names, b) != RC_OK)
		bus_fail(b, "Redis takes no more commands");
}
