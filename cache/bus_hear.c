/*
 * bus_hear.c - what comes through the subscription: our own heartbeats and barriers, and what other instances tell.
 */
#include <string.h>

#include "bus_impl.h"
#include "bus_msg.h"
#include "log.h"

#define BARRIER_NS (5 * NS_PER_MS)   /* between two that were asked for */

void bus_heartbeat(struct bus *b)
{
	uint64_t now = bus_clock();
	struct bus_msg m;

	bus_msg_begin(&m, BUS_MSG_HEARTBEAT, b->settle.id, now);
	b->heartbeat_ns = now;
	if (ledger_heartbeat(b, span_of(m.bytes, m.len)) != RC_OK)
		bus_fail(b, "Redis takes no more commands");
}

static void pass_barrier(struct bus *b, uint64_t sent)
{
	if (sent <= atomic_load_explicit(&b->view.barrier, memory_order_relaxed) || b->state != BUS_LIVE)
		return;
	/* Release: who sees the barrier sees the bumps of all messages before it. */
	atomic_store_explicit(&b->view.barrier, sent, memory_order_release);
	b->opt.changed(b->opt.arg);
}

static void become_live(struct bus *b)
{
	/* What was missed is not known. The bump comes first: who finds the lease finds the new epoch. */
	versions_bump_all(b->opt.versions, clock_mono_ns(), 0, false);
	pthread_mutex_lock(&b->lock);
	b->peer.to = b->addr[b->next];
	memcpy(b->peer.host, b->asked.host, sizeof(b->peer.host));
	pthread_mutex_unlock(&b->lock);
	atomic_store_explicit(&b->view.run, redis_run(b->cmd), memory_order_release);
	bus_set_state(b, BUS_LIVE);
	b->told_why = false;
	backoff_good(&b->backoff, bus_clock());
	log_info("cache", "Redis and the invalidation bus are up", "host=%s port=%u", b->asked.host, (unsigned)b->asked.port);
	b->opt.schema(b->opt.arg); /* nor are the changes of the schema that were missed */
}

void bus_prove(struct bus *b)
{
	if (b->state != BUS_PROVING || !b->proven_ns || !b->ledger.known)
		return;
	become_live(b);
	atomic_store_explicit(&b->view.lease_until, b->proven_ns + BUS_LEASE_NS, memory_order_release);
	pass_barrier(b, b->proven_ns);
}

/* Our own heartbeat, sent at `sent`, came back through the subscription. */
static void on_heartbeat(struct bus *b, uint64_t sent)
{
	uint64_t now = bus_clock();

	if (sent > now || now - sent >= BUS_LEASE_NS || sent < b->attempt_ns)
		return; /* not one of this connection, or too old to prove anything */
	if (b->state == BUS_PROVING) {
		b->proven_ns = sent;
		bus_prove(b);
		return;
	}
	if (b->state != BUS_LIVE)
		return;
	if (sent + BUS_LEASE_NS > atomic_load_explicit(&b->view.lease_until, memory_order_relaxed))
		atomic_store_explicit(&b->view.lease_until, sent + BUS_LEASE_NS, memory_order_release);
	pass_barrier(b, sent);
}

/* A ping through the subscription: its answer comes behind all that was published before it. */
void bus_send_barrier(struct bus *b)
{
	const struct timeval soon = {.tv_usec = BARRIER_NS / 1000};
	uint8_t bytes[8];
	struct wirebuf w = {.p = bytes, .end = bytes + sizeof(bytes)};
	uint64_t now;

	if (b->state != BUS_LIVE || b->ping_open || evtimer_pending(b->barrier, NULL))
		return;
	if (!atomic_exchange_explicit(&b->want_barrier, false, memory_order_acq_rel))
		return;
	now = bus_clock();
	(void)!wirebuf_uint(&w, 8, now); /* it fits */
	b->ping_ns = now;
	b->ping_open = true;
	(void)event_add(b->barrier, &soon); /* if it cannot be added, the next may come sooner */
	if (redis_send_push(b->sub, 2, (const struct span[]){span_str("PING"), span_of(bytes, 8)}) != RC_OK)
		bus_fail(b, "Redis takes no more commands");
}

void bus_pong(struct bus *b, struct span payload)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	uint64_t sent;

	if (mbuf_u64(&m, &sent) != RC_OK || !b->ping_open || sent != b->ping_ns)
		return;
	b->ping_open = false;
	pass_barrier(b, sent);
	bus_send_barrier(b);
}

/* ---- what others tell ---- */

static void hear_writes(struct bus *b, struct bus_msg_in *in)
{
	uint64_t now = clock_mono_ns();
	struct versions_pos pos;
	uint32_t slot;
	enum rc rc;

	while ((rc = bus_msg_next(in, now, &slot, &pos)) == RC_OK) {
		versions_bump(b->opt.versions, slot, &pos, now, false);
		stats_count(b->opt.sink, STATS_C_CACHE_BUS_RECEIVED, 1);
	}
	if (rc == RC_ERROR)
		versions_bump_all(b->opt.versions, now, 0, false);
}

/* What is not understood may have been about anything. */
static void hear_nonsense(struct bus *b)
{
	stats_count(b->opt.sink, STATS_C_CACHE_REDIS_ERRORS, 1);
	log_warn("cache", "a message on the invalidation bus is not understood; everything stored is dropped", NULL);
	versions_bump_all(b->opt.versions, clock_mono_ns(), 0, false);
}

void bus_hear(struct bus *b, struct span payload)
{
	struct bus_msg_in in;

	if (bus_msg_read(payload, &in) != RC_OK) {
		hear_nonsense(b);
		return;
	}
	if (memcmp(in.id, b->settle.id, BUS_MSG_ID) == 0) {
		if (in.kind == BUS_MSG_HEARTBEAT)
			on_heartbeat(b, in.number);
		return;
	}
	ledger_heard(b, in.id);
	switch (in.kind) {
	case BUS_MSG_HEARTBEAT:
		break;
	case BUS_MSG_SCHEMA:
		stats_count(b->opt.sink, STATS_C_CACHE_BUS_RECEIVED, 1);
		b->opt.schema(b->opt.arg);
		break;
	case BUS_MSG_WRITE:
		hear_writes(b, &in);
		break;
	case BUS_MSG_ALL:
		stats_count(b->opt.sink, STATS_C_CACHE_BUS_RECEIVED, 1);
		versions_bump_all(b->opt.versions, clock_mono_ns(), in.number, false);
		break;
	case BUS_MSG_ANEW:
		stats_count(b->opt.sink, STATS_C_CACHE_BUS_RECEIVED, 1);
		versions_renumber(b->opt.versions, clock_mono_ns(), in.number, false);
		break;
	case BUS_MSG_DROP:
		stats_count(b->opt.sink, STATS_C_CACHE_BUS_RECEIVED, 1);
		versions_drop_all(b->opt.versions, false);
		break;
	}
}
