#include "settle.h"

#include <stdio.h>

#include "clock.h"
#include "random.h"

void settle_init(struct settle *s, struct versions *v, const struct rkeys *k, void (*refused)(void *arg), void *arg)
{
	s->versions = v;
	s->keys = k;
	s->refused = refused;
	s->arg = arg;
	for (unsigned i = 0; i < SETTLE_BATCHES; i++)
		s->batch[i].settle = s;
}

/* ---- marking ---- */

/* Bit before flag, and the sender takes the flag before the bits: no mark is missed. */
void settle_mark(struct settle *s, uint32_t slot)
{
	atomic_fetch_or_explicit(&s->dirty[slot / 64], UINT64_C(1) << (slot % 64), memory_order_release);
	atomic_store_explicit(&s->any, true, memory_order_release);
}

void settle_mark_all(struct settle *s, uint64_t lag_ns)
{
	uint64_t old = atomic_load_explicit(&s->all_lag_ns, memory_order_relaxed);

	while (lag_ns > old && !atomic_compare_exchange_weak_explicit(&s->all_lag_ns, &old, lag_ns, memory_order_relaxed,
								      memory_order_relaxed))
		;
	atomic_store_explicit(&s->all, true, memory_order_release);
}

void settle_mark_anew(struct settle *s, uint64_t lag_ns)
{
	atomic_store_explicit(&s->anew, true, memory_order_release);
	settle_mark_all(s, lag_ns);
}

void settle_mark_drop(struct settle *s)
{
	atomic_store_explicit(&s->drop, true, memory_order_release);
}

/* ---- the way back ---- */

static void mark_again(struct settle *s, const struct settle_batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		settle_mark(s, b->slot[i]);
	if (b->anew)
		settle_mark_anew(s, b->lag_ns);
	else if (b->all)
		settle_mark_all(s, b->lag_ns);
	if (b->drop)
		settle_mark_drop(s);
}

static void acknowledge(struct settle *s, const struct settle_batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		versions_settle(s->versions, b->slot[i], b->own[i]);
	if (b->all || b->drop)
		versions_settle_all(s->versions, b->own_all);
}

/* NULL: the connection went; what was sent may or may not have arrived, so it is sent again. */
static void on_done(void *arg, struct redis_reply *reply)
{
	struct settle_batch *b = arg;
	struct settle *s = b->settle;
	bool good = redis_reply_is(reply, REDIS_REPLY_INTEGER), refused = !good && reply;

	redis_reply_free(reply);
	b->used = false;
	if (good)
		acknowledge(s, b);
	else
		mark_again(s, b);
	if (refused || (good && settle_send(s, s->to) != RC_OK))
		s->refused(s->arg);
}

/* ---- sending ---- */

static struct settle_batch *free_batch(struct settle *s)
{
	for (unsigned i = 0; i < SETTLE_BATCHES; i++) {
		struct settle_batch *b = &s->batch[i];

		if (!b->used) {
			b->used = true;
			b->all = b->anew = b->drop = false;
			b->n = 0;
			return b;
		}
	}
	return NULL;
}

static unsigned token_names(const struct settle_batch *b, struct rkey *name)
{
	unsigned n = 0;

	for (; n < b->n; n++)
		name[n] = rkey_token(b->settle->keys, b->slot[n]);
	if (b->all || b->drop)
		name[n++] = rkey_token_all(b->settle->keys);
	return n;
}

static void compose(struct settle_batch *b, struct bus_msg *m)
{
	struct settle *s = b->settle;
	uint64_t now = clock_mono_ns();

	if (b->all || b->drop) {
		bus_msg_begin(m, b->anew ? BUS_MSG_ANEW : b->all ? BUS_MSG_ALL : BUS_MSG_DROP, s->id, b->lag_ns);
		return;
	}
	bus_msg_begin(m, BUS_MSG_WRITE, s->id, 0);
	for (unsigned i = 0; i < b->n; i++) {
		struct versions_pos pos;

		versions_read(s->versions, b->slot[i], &pos);
		(void)!bus_msg_add(m, b->slot[i], &pos, now); /* as many as a batch has slots */
	}
}

/*
 * DEL and PUBLISH as one step. A token absent makes no value good, and where memory is short DEL still works. Not one
 * after the other: another instance's look-up could come between, set a token of its own, pass its barrier before our
 * message is out, and store a replica's old answer under it. A script and not MULTI: that queues nothing where memory is short.
 */
#define SCRIPT "redis.call('DEL', unpack(KEYS)) return redis.call('PUBLISH', ARGV[1], ARGV[2])"

static enum rc send_script(struct settle_batch *b, struct redis *to, const struct rkey *name, unsigned n)
{
	struct span argv[3 + BUS_MSG_WRITES + 1 + 2] = {span_str("EVAL"), span_str(SCRIPT)};
	struct bus_msg m;
	char keys[16];

	argv[2] = span_of(keys, (size_t)snprintf(keys, sizeof(keys), "%u", n));
	for (unsigned i = 0; i < n; i++)
		argv[3 + i] = rkey_span(&name[i]);
	compose(b, &m);
	argv[3 + n] = rkey_span(&b->settle->keys->bus);
	argv[4 + n] = span_of(m.bytes, m.len);
	return redis_send(to, 5 + n, argv, on_done, b);
}

/* New tokens, so that the next reader need not set them: a courtesy that may fail. */
static void send_tokens(struct redis *to, const struct rkey *name, unsigned n)
{
	struct span argv[1 + 2 * (BUS_MSG_WRITES + 1)] = {span_str("MSETNX")};
	uint8_t token[BUS_MSG_WRITES + 1][RKEY_TOKEN_LEN];

	if (random_bytes(token, n * RKEY_TOKEN_LEN) != RC_OK)
		return;
	for (unsigned i = 0; i < n; i++) {
		argv[1 + 2 * i] = rkey_span(&name[i]);
		argv[2 + 2 * i] = span_of(token[i], RKEY_TOKEN_LEN);
	}
	(void)!redis_send(to, 1 + 2 * n, argv, NULL, NULL);
}

/* RC_ERROR: the caller closes the connection; the batch has been put back. */
static enum rc send_batch(struct settle_batch *b, struct redis *to)
{
	struct rkey name[BUS_MSG_WRITES + 1];
	unsigned n = token_names(b, name);

	if (send_script(b, to, name, n) == RC_OK) {
		send_tokens(to, name, n);
		return RC_OK;
	}
	b->used = false;
	mark_again(b->settle, b);
	return RC_ERROR;
}

static enum rc send_all(struct settle *s, struct redis *to)
{
	struct settle_batch *b;

	if (!atomic_load_explicit(&s->all, memory_order_relaxed) && !atomic_load_explicit(&s->drop, memory_order_relaxed))
		return RC_OK;
	b = free_batch(s);
	if (!b)
		return RC_OK;
	b->all = atomic_exchange_explicit(&s->all, false, memory_order_acquire);
	b->anew = b->all && atomic_exchange_explicit(&s->anew, false, memory_order_acquire);
	b->drop = atomic_exchange_explicit(&s->drop, false, memory_order_acquire) && !b->all;
	b->lag_ns = atomic_exchange_explicit(&s->all_lag_ns, 0, memory_order_relaxed);
	b->own_all = versions_own_all(s->versions);
	return send_batch(b, to);
}

/* Moves dirty bits of one word into b; what does not fit is put back. */
static void take_word(struct settle *s, unsigned word, struct settle_batch *b)
{
	uint64_t bits = atomic_load_explicit(&s->dirty[word], memory_order_relaxed);

	if (!bits)
		return;
	bits = atomic_exchange_explicit(&s->dirty[word], 0, memory_order_acquire);
	for (; bits && b->n < BUS_MSG_WRITES; bits &= bits - 1) {
		uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);

		b->slot[b->n] = slot;
		b->own[b->n++] = versions_own(s->versions, slot);
	}
	if (bits) {
		atomic_fetch_or_explicit(&s->dirty[word], bits, memory_order_release);
		atomic_store_explicit(&s->any, true, memory_order_release);
	}
}

bool settle_done(const struct settle *s)
{
	for (unsigned i = 0; i < SETTLE_BATCHES; i++)
		if (s->batch[i].used)
			return false;
	return !atomic_load_explicit(&s->any, memory_order_acquire) && !atomic_load_explicit(&s->all, memory_order_acquire) &&
	       !atomic_load_explicit(&s->drop, memory_order_acquire);
}

enum rc settle_send(struct settle *s, struct redis *to)
{
	enum rc rc = send_all(s, to);

	s->to = to;
	while (rc == RC_OK && atomic_load_explicit(&s->any, memory_order_relaxed)) {
		struct settle_batch *b = free_batch(s);

		if (!b)
			return RC_OK;
		/* An exchange, not a store: the words below must not be read before it. */
		(void)atomic_exchange_explicit(&s->any, false, memory_order_acq_rel);
		for (unsigned word = 0; word < countof(s->dirty) && b->n < BUS_MSG_WRITES; word++)
			take_word(s, word, b);
		if (b->n == BUS_MSG_WRITES) /* later words were not looked at */
			atomic_store_explicit(&s->any, true, memory_order_release);
		if (b->n == 0)
			b->used = false;
		else
			rc = send_batch(b, to);
	}
	return rc;
}
