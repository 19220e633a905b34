/*
 * drain.c - see drain.h.
 */
#include "drain_impl.h"

#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"

/* A transaction holds its rows' locks, and a replica its followers, about so long at most. */
#define BATCH_TARGET_NS (100 * NS_PER_MS)
#define LONG_NS NS_PER_SEC /* of one record: people are told */

struct drain *drain_new(const struct drain_parts *parts, const struct queue_options *opt)
{
	struct drain *d = mem_zalloc(sizeof(*d));

	if (!d || sigthread_cond_init(&d->work) != RC_OK) {
		mem_free(d);
		return NULL;
	}
	pthread_mutex_init(&d->lock, NULL);
	d->parts = *parts;
	d->paused = parts->paused;
	d->applied_seq = d->announced_seq = d->safe_seq = parts->known.applied_seq;
	d->need_seek = true;
	iobuf_init(&d->arena, 0);
	iobuf_init(&d->tables, 0);
	iobuf_init(&d->writing, 0);
	iobuf_init(&d->own, 0);
	applier_init(&d->applier, d->parts.id, 0, parts->dead);
	if (parts->table)
		applier_share(&d->applier, parts->table, parts->engine);
	d->batch_rows = opt->batch_rows;
	d->batch_wait_ns = opt->batch_wait_ns;
	d->rate = opt->rate;
	d->batch_target_ns = opt->batch_target_ns ? opt->batch_target_ns : BATCH_TARGET_NS;
	d->hooks = opt->hooks;
	if (opt->workers <= 1 || parts->table)
		return d;
	d->team = team_new(opt->workers, d->parts.id, parts->dead);
	if (d->team)
		return d;
	drain_free(d);
	return NULL;
}

enum rc drain_start(struct drain *d)
{
	enum rc rc = d->team ? team_start(d->team) : RC_OK;

	if (!d->parts.table) /* of other processes' records it is not known which there are */
		ages_note(&d->ages, d->parts.engine->ops->durable(d->parts.engine), clock_mono_ns());
	if (rc == RC_OK)
		rc = sigthread_start(&d->thread, "queue-drain", drain_loop, d);
	d->started = rc == RC_OK;
	return rc;
}

void drain_end(struct drain *d, uint64_t until_ns)
{
	pthread_mutex_lock(&d->lock);
	if (!d->stopping)
		d->stop_until_ns = until_ns;
	d->stopping = true;
	pthread_cond_broadcast(&d->work);
	pthread_mutex_unlock(&d->lock);
}

void drain_stop(struct drain *d, uint64_t until_ns)
{
	uint64_t now = clock_mono_ns(), patience = until_ns > now ? until_ns - now : 0;
	bool late;

	drain_end(d, until_ns);
	pthread_mutex_lock(&d->lock);
	/* A batch is let finish; a database that doesn't answer isn't waited for: what it did is read back next time. */
	while (d->started && !d->ended && clock_mono_ns() < d->stop_until_ns)
		sigthread_wait_until(&d->work, &d->lock, d->stop_until_ns);
	late = d->started && !d->ended;
	pthread_mutex_unlock(&d->lock);
	if (late)
		log_warn("queue", "the database does not answer in time: what a batch has done there is read back at the next start", "allowed=%lums",
			 (unsigned long)(patience / NS_PER_MS));
	dbconn_interrupt(&d->applier.conn);
	if (d->team)
		team_interrupt(d->team);
	if (d->started)
		pthread_join(d->thread, NULL);
	if (d->team)
		team_stop(d->team);
	d->started = false;
}

void drain_follow(struct drain *d, uint64_t seq)
{
	pthread_mutex_lock(&d->lock);
	d->applied_seq = seq;
	pthread_mutex_unlock(&d->lock);
	d->parts.moved(d->parts.moved_arg);
}

void drain_free(struct drain *d)
{
	if (!d)
		return;
	team_free(d->team);
	applier_reset(&d->applier);
	iobuf_reset(&d->arena);
	iobuf_reset(&d->tables);
	iobuf_reset(&d->writing);
	iobuf_reset(&d->own);
	mem_free(d->items);
	pthread_cond_destroy(&d->work);
	pthread_mutex_destroy(&d->lock);
	mem_free(d);
}

static void kick(struct drain *d)
{
	d->kicked = true;
	pthread_cond_signal(&d->work);
}

void drain_wake(void *arg)
{
	struct drain *d = arg;
	struct queue_engine *e = d->parts.engine;
	uint64_t last = d->parts.table ? e->ops->own(e) : e->ops->durable(e);

	pthread_mutex_lock(&d->lock);
	d->woken = true;
	if (last)
		ages_note(&d->ages, last, clock_mono_ns());
	/* While it gathers it looks for itself; while it is paused the oldest record is all it wants to know. */
	if (!d->gathering && !(d->paused && d->ages.known))
		pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
}

void drain_tune(struct drain *d, const struct queue_options *opt)
{
	pthread_mutex_lock(&d->lock);
	d->batch_rows = opt->batch_rows;
	d->batch_wait_ns = opt->batch_wait_ns;
	d->rate = opt->rate;
	kick(d);
	pthread_mutex_unlock(&d->lock);
}

void drain_set_paused(struct drain *d, bool paused)
{
	pthread_mutex_lock(&d->lock);
	d->paused = paused;
	if (!paused && d->state == QUEUE_HALTED) {
		d->state = QUEUE_RUNNING;
		d->reason[0] = '\0';
	}
	kick(d);
	pthread_mutex_unlock(&d->lock);
}

void drain_hurry(struct drain *d)
{
	pthread_mutex_lock(&d->lock);
	d->hurry = true;
	kick(d);
	pthread_mutex_unlock(&d->lock);
}

static void break_off(struct drain *d)
{
	dbconn_interrupt(&d->applier.conn);
	if (d->team)
		team_interrupt(d->team);
}

static uint64_t runs_long(const struct applier *a)
{
	uint64_t seq = atomic_load(&a->running_seq);

	return seq && clock_mono_ns() - atomic_load(&a->running_ns) > LONG_NS ? seq : 0;
}

/* That is under way, and has been for long. */
static uint64_t under_way(const struct drain *d)
{
	uint64_t seq = runs_long(&d->applier);

	for (unsigned i = 0; d->team && !seq && i < d->team->n; i++)
		seq = runs_long(&d->team->worker[i].applier);
	return seq;
}

/* lock held. */
static uint64_t waits_for(const struct drain *d)
{
	uint64_t seq = under_way(d);

	return seq || d->state == QUEUE_RUNNING ? seq : d->waited_seq;
}

enum rc drain_bury(struct drain *d, uint64_t seq)
{
	bool waited_for, running;

	pthread_mutex_lock(&d->lock);
	waited_for = seq && seq == waits_for(d);
	running = waited_for && under_way(d) == seq;
	if (waited_for) {
		d->bury_seq = seq;
		snprintf(d->bury_reason, sizeof(d->bury_reason), "%s", d->state == QUEUE_RUNNING ? "it ran long" : d->reason);
		if (d->state == QUEUE_HALTED) {
			d->state = QUEUE_RUNNING;
			d->reason[0] = '\0';
		}
		kick(d);
	}
	pthread_mutex_unlock(&d->lock);
	if (running)
		break_off(d);
	return waited_for ? RC_OK : RC_DECLINED;
}

void drain_log_in_anew(struct drain *d)
{
	pthread_mutex_lock(&d->lock);
	d->anew = true;
	kick(d);
	pthread_mutex_unlock(&d->lock);
}

void drain_primary_moved(struct drain *d)
{
	pthread_mutex_lock(&d->lock);
	d->moved = true;
	kick(d);
	pthread_mutex_unlock(&d->lock);
	break_off(d);
}

uint64_t drain_applied(struct drain *d)
{
	uint64_t own = d->parts.table ? d->parts.engine->ops->own(d->parts.engine) : UINT64_MAX, seq;

	pthread_mutex_lock(&d->lock);
	seq = d->applied_seq;
	pthread_mutex_unlock(&d->lock);
	return seq >= own ? UINT64_MAX : seq;
}

void drain_nudge(struct drain *d)
{
	pthread_mutex_lock(&d->lock);
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
}

static double recent_rate(const struct drain *d)
{
	uint64_t now = clock_mono_ns() / NS_PER_SEC, sum = 0;

	for (int i = 0; i < DRAIN_RATE_SECONDS; i++) {
		if (now - d->rate_second[i] < DRAIN_RATE_SECONDS)
			sum += d->rate_count[i];
	}
	return (double)sum / DRAIN_RATE_SECONDS;
}

void drain_totals(struct drain *d, struct queue_totals *out)
{
	pthread_mutex_lock(&d->lock);
	out->state = d->stopping ? QUEUE_STOPPED : d->paused ? QUEUE_PAUSED : d->state;
	out->stuck = out->state != QUEUE_RUNNING && out->state != QUEUE_WAITING; /* whatever the log's disk does */
	if (out->state == d->state)
		snprintf(out->reason, sizeof(out->reason), "%s", d->reason);
	out->applied_seq = d->applied_seq;
	out->waits_for = waits_for(d);
	out->applied = d->applied;
	out->dead = d->dead;
	out->retries = d->retries;
	out->batches = d->batches;
	out->last_batch_rows = d->last_batch_rows;
	out->batch_rows_now = d->rows_now ? d->rows_now : d->batch_rows;
	out->oldest_age_ns = ages_oldest(&d->ages, clock_mono_ns());
	out->drain_rate = recent_rate(d);
	pthread_mutex_unlock(&d->lock);
}
