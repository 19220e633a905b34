#include "settle.h"

#include "clock.h"

void settle_init(struct settle *s, struct versions *v, void (*refused)(void *arg), void *arg)
{
	s->versions = v;
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

void settle_mark_drop(struct settle *s)
{
	atomic_store_explicit(&s->drop, true, memory_order_release);
}

/* ---- the way back ---- */

static void mark_again(struct settle *s, const struct settle_batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		settle_mark(s, b->slot[i]);
	if (b->all)
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

static void on_deleted(void *arg, struct redis_reply *reply)
{
	struct settle_batch *b = arg;

	if (!redis_reply_is(reply, REDIS_REPLY_INTEGER))
		b->failed = true;
	redis_reply_free(reply);
}

/* The batch's last reply. NULL: the connection went; what was sent may or may not have arrived, so it is sent again. */
static void on_published(void *arg, struct redis_reply *reply)
{
	struct settle_batch *b = arg;
	struct settle *s = b->settle;
	bool good = !b->failed && redis_reply_is(reply, REDIS_REPLY_INTEGER), refused = !good && reply;

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
			b->failed = b->all = b->drop = false;
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
		name[n] = rkey_token(b->slot[n]);
	if (b->all || b->drop)
		name[n++] = rkey_token_all();
	return n;
}

/* DEL, then MSET: the DEL alone is enough, for an absent token makes no value good. So the MSET may fail. */
static enum rc send_tokens(struct settle_batch *b, struct redis *to)
{
	struct rkey name[BUS_MSG_WRITES + 1];
	uint8_t token[BUS_MSG_WRITES + 1][RKEY_TOKEN_LEN];
	struct span argv[1 + 2 * (BUS_MSG_WRITES + 1)];
	unsigned n = token_names(b, name);

	argv[0] = span_str("DEL");
	for (unsigned i = 0; i < n; i++)
		argv[1 + i] = span_of(name[i].text, name[i].len);
	if (redis_send(to, 1 + n, argv, on_deleted, b) != RC_OK)
		return RC_ERROR;
	if (rkey_random(token, n * RKEY_TOKEN_LEN) != RC_OK)
		return RC_OK;
	argv[0] = span_str("MSET");
	for (unsigned i = 0; i < n; i++) {
		argv[1 + 2 * i] = span_of(name[i].text, name[i].len);
		argv[2 + 2 * i] = span_of(token[i], RKEY_TOKEN_LEN);
	}
	return redis_send(to, 1 + 2 * n, argv, NULL, NULL);
}

static void compose(struct settle_batch *b, struct bus_msg *m)
{
	struct settle *s = b->settle;
	uint64_t now = clock_mono_ns();

	if (b->all || b->drop) {
		bus_msg_begin(m, b->all ? BUS_MSG_ALL : BUS_MSG_DROP, s->id, b->lag_ns);
		return;
	}
	bus_msg_begin(m, BUS_MSG_WRITE, s->id, 0);
	for (unsigned i = 0; i < b->n; i++) {
		struct versions_pos pos;

		versions_read(s->versions, b->slot[i], &pos);
		(void)!bus_msg_add(m, b->slot[i], &pos, now); /* as many as a batch has slots */
	}
}

/* RC_ERROR: the caller closes the connection, and the batch comes back through its callbacks or was put back here. */
static enum rc send_batch(struct settle_batch *b, struct redis *to)
{
	struct span argv[3] = {span_str("PUBLISH"), span_str(RKEY_BUS)};
	struct bus_msg m;

	compose(b, &m);
	argv[2] = span_of(m.bytes, m.len);
	if (send_tokens(b, to) == RC_OK && redis_send(to, 3, argv, on_published, b) == RC_OK)
		return RC_OK;
	b->used = false; /* a reply of the DEL that may come only sets a flag */
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
