/*
 * drainlane.c - a drain whose records other processes may apply: it stands by until it is wanted, connects only with the
 * lane's lock (apply.h), and gives it up when it is wanted no more. What others have applied it is told.
 *
 *   stand by → wanted → connecting → holds → (not wanted, connection lost) → stand by
 */
#include "drain_impl.h"

#include <inttypes.h>

#include "clock.h"
#include "lanelock.h"
#include "log.h"
#include "sigthread.h"

#define PING_EVERY_NS (LANELOCK_IDLE_SECONDS * NS_PER_SEC / 5)

static void set_holds(struct drain *d, bool holds)
{
	bool changed;

	pthread_mutex_lock(&d->lock);
	changed = d->holds != holds;
	d->holds = holds;
	pthread_mutex_unlock(&d->lock);
	if (!changed && holds)
		return;
	/* Also when it is not held as before: the oldest record was looked at, maybe. */
	d->parts.engine->ops->attend(d->parts.engine, holds);
	if (!changed)
		return;
	log_debug("queue", holds ? "applies a lane" : "leaves a lane to others", "id=%s epoch=%" PRIu64, d->applier.position.id_hex,
		  d->applier.position.epoch);
}

void drain_took(struct drain *d)
{
	if (!d->parts.table)
		return;
	d->ping_ns = clock_mono_ns();
	set_holds(d, true);
}

void drain_keep(struct drain *d)
{
	uint64_t now = clock_mono_ns();

	if (!d->parts.table || !d->applier.conn.my || now - d->ping_ns < PING_EVERY_NS)
		return;
	d->ping_ns = now;
	if (dbconn_exec(&d->applier.conn, "DO 0", 4) != RC_OK)
		drain_disconnect(d);
}

/* What others have applied of this process's: whoever waits for it finds the cache invalidated. */
static void take_observed(struct drain *d)
{
	struct queue_engine *e = d->parts.engine;
	uint64_t seq;
	bool ours;

	pthread_mutex_lock(&d->lock);
	seq = d->observed_seq;
	ours = seq > d->applied_seq && e->ops->own(e) > d->applied_seq;
	if (ours)
		drain_note_tables(&d->tables, span_of(iobuf_data(&d->own), iobuf_len(&d->own)));
	pthread_mutex_unlock(&d->lock);
	if (seq <= d->applied_seq)
		return;
	if (ours)
		drain_announce(d, d->announced_seq, "");
	pthread_mutex_lock(&d->lock);
	ages_unset(&d->ages);
	pthread_mutex_unlock(&d->lock);
	if (e->ops->follow)
		e->ops->follow(e, seq);
	drain_follow(d, seq);
}

void drain_stand_by(struct drain *d)
{
	if (d->applier.conn.my || d->count) {
		drain_forget_batch(d);
		drain_disconnect(d);
	}
	set_holds(d, false);
	drain_set_state(d, QUEUE_RUNNING, "");
	take_observed(d);
	pthread_mutex_lock(&d->lock);
	if (!d->stopping && !d->wanted && !d->kicked && d->observed_seq <= d->applied_seq)
		sigthread_wait_until(&d->work, &d->lock, clock_mono_ns() + NS_PER_SEC);
	d->kicked = d->woken = false;
	pthread_mutex_unlock(&d->lock);
}

void drain_want(struct drain *d, bool wanted)
{
	pthread_mutex_lock(&d->lock);
	if (d->wanted != wanted) {
		d->wanted = wanted;
		d->kicked = true;
		pthread_cond_signal(&d->work);
	}
	pthread_mutex_unlock(&d->lock);
}

bool drain_wanted(struct drain *d)
{
	bool wanted;

	pthread_mutex_lock(&d->lock);
	wanted = d->wanted;
	pthread_mutex_unlock(&d->lock);
	return wanted;
}

bool drain_holds(struct drain *d)
{
	bool holds;

	pthread_mutex_lock(&d->lock);
	holds = d->holds;
	pthread_mutex_unlock(&d->lock);
	return holds;
}

struct queue_engine *drain_engine(struct drain *d)
{
	return d->parts.engine;
}

void drain_observe(struct drain *d, uint64_t applied)
{
	pthread_mutex_lock(&d->lock);
	if (!d->holds && applied > d->observed_seq) {
		d->observed_seq = applied;
		pthread_cond_signal(&d->work);
	}
	pthread_mutex_unlock(&d->lock);
}

void drain_note_own(struct drain *d, struct span tables)
{
	pthread_mutex_lock(&d->lock);
	drain_note_tables(&d->own, tables);
	pthread_mutex_unlock(&d->lock);
}
