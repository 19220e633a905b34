/*
 * drainloop.c - the drain's thread: load a batch, apply it, tell; and what it does when it cannot.
 */
#include "drain_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"
#include "secret.h"

#define CHECKPOINT_EVERY_NS NS_PER_SEC
#define SAID_AGAIN_NS (10 * NS_PER_SEC)
#define BACKOFF_FIRST_NS (20 * NS_PER_MS)
#define BACKOFF_MAX_NS (3 * NS_PER_SEC)
#define EPOCH_CHANCE_BITS 20

/* Under lock. Every change of state is told; of a state that lasts, a new reason, but not each word a broken server finds for it. */
static bool is_news(struct drain *d, enum queue_state state, const char *reason)
{
	uint64_t now = clock_mono_ns();

	if (d->state == state && (strncmp(d->reason, reason, sizeof(d->reason) - 1) == 0 || now - d->said_ns < SAID_AGAIN_NS))
		return false;
	d->said_ns = now;
	return true;
}

void drain_set_state(struct drain *d, enum queue_state state, const char *reason)
{
	char text[256];
	bool changed;

	pthread_mutex_lock(&d->lock);
	changed = is_news(d, state, reason);
	d->state = state;
	snprintf(d->reason, sizeof(d->reason), "%.*s", (int)sizeof(d->reason) - 1, reason);
	pthread_mutex_unlock(&d->lock);
	if (!changed)
		return;
	if (state == QUEUE_RUNNING)
		log_info("queue", "applying", "applied_seq=%" PRIu64, d->applier.position.seq);
	else
		log_warn("queue", state == QUEUE_HALTED ? "applying has halted" : "applying waits", "reason=%s",
			 log_quote(text, sizeof(text), span_str(reason)));
}

void drain_nap(struct drain *d, uint64_t ns)
{
	uint64_t until = clock_mono_ns() + ns;

	pthread_mutex_lock(&d->lock);
	while (!d->stopping && !d->kicked && clock_mono_ns() < until)
		sigthread_wait_until(&d->work, &d->lock, until);
	d->kicked = false;
	pthread_mutex_unlock(&d->lock);
}

void drain_back_off(struct drain *d)
{
	uint64_t ns = BACKOFF_FIRST_NS;

	for (unsigned i = 0; i < d->failures && ns < BACKOFF_MAX_NS; i++)
		ns *= 2;
	d->failures++;
	pthread_mutex_lock(&d->lock);
	d->retries++;
	pthread_mutex_unlock(&d->lock);
	if (d->parts.sink)
		stats_count(d->parts.sink, STATS_C_QUEUE_RETRIES, 1);
	drain_nap(d, ns < BACKOFF_MAX_NS ? ns : BACKOFF_MAX_NS);
}

static void write_checkpoint(struct drain *d)
{
	struct qdir_checkpoint c = d->parts.known;

	if (!d->parts.dir)
		return;
	c.applied_seq = d->safe_seq;
	pthread_mutex_lock(&d->lock);
	c.applied_total += d->applied;
	c.dead_total += d->dead;
	pthread_mutex_unlock(&d->lock);
	c.durable_seq = d->parts.engine->ops->durable(d->parts.engine);
	d->checkpoint_ns = clock_mono_ns();
	if (qdir_checkpoint_write(d->parts.dir, &c) != RC_OK)
		log_warn("queue", "the checkpoint cannot be written", "dir=%s", d->parts.dir->path);
	if (d->parts.dead)
		dead_tidy(d->parts.dead, d->safe_seq);
}

void drain_checkpoint_if_due(struct drain *d)
{
	if (clock_mono_ns() - d->checkpoint_ns >= CHECKPOINT_EVERY_NS)
		write_checkpoint(d);
}

void drain_disconnect(struct drain *d)
{
	if (d->team)
		team_disconnect(d->team);
	applier_disconnect(&d->applier);
}

/* Records that were committed and nobody was told, because the answer to COMMIT or the process was lost. */
static enum rc announce_committed(struct drain *d, uint64_t position, char *err, size_t cap)
{
	struct queue_engine *e = d->parts.engine;
	struct span body;
	struct record rec;
	uint64_t seq = d->announced_seq;
	enum rc rc;

	if (position <= d->announced_seq)
		return RC_OK;
	rc = e->ops->seek(e, d->announced_seq, err, cap);
	if (rc == RC_AGAIN)
		return RC_DECLINED;
	while (rc != RC_ERROR && seq < position) {
		rc = e->ops->next(e, &seq, &body, err, cap);
		if (rc == RC_AGAIN)
			break;
		if (rc == RC_DECLINED)
			return rc;
		if (rc == RC_OK && record_decode(body, &rec) == RC_OK)
			drain_note_tables(&d->tables, rec.r.tables);
	}
	d->need_seek = true;
	if (rc == RC_ERROR)
		return rc;
	drain_announce(d, position, "");
	return RC_OK;
}

/* What the database has applied, against what the log has and what had been applied already. */
static enum rc check_position(struct drain *d, uint64_t highest, char *err, size_t cap)
{
	uint64_t durable = d->parts.engine->ops->durable(d->parts.engine);

	if (highest > durable && !d->parts.table) { /* others append and apply, too: it need not know of all */
		snprintf(err, cap,
			 "the database has applied up to %" PRIu64 ", the log ends at %" PRIu64
			 ": the directory is an older copy of itself",
			 highest, durable);
		return RC_ERROR;
	}
	/* Of several connections' shares it is known record by record: drainshare.c. */
	if (!d->team && highest < d->applied_seq)
		log_error(
			"queue",
			"the database has lost records that it had committed; those still in the log are applied again",
			"position=%" PRIu64 " was=%" PRIu64, highest, d->applied_seq);
	return RC_OK;
}

/* What the former primary would apply from now on nobody would find at the new one. An account that has been exchanged may be taken away,
 * or have been told wrong, which is to be seen now and not when the connection is lost. */
static void leave_former_login(struct drain *d)
{
	bool moved, anew;

	pthread_mutex_lock(&d->lock);
	moved = d->moved;
	anew = d->anew;
	d->anew = false;
	pthread_mutex_unlock(&d->lock);
	if (!d->applier.conn.my)
		return;
	moved = moved || !dbconn_is_there(&d->applier.conn, &d->hooks);
	if (!moved && !anew)
		return;
	log_info("queue", moved ? "leaves a server that is not the primary any more" : "logs in anew: its account, or the password, is another one",
		 "addr=%s:%u", d->applier.conn.host, d->applier.conn.port);
	drain_forget_batch(d);
	drain_disconnect(d);
}

/* A later epoch than any before. Those of two copies of a directory differ by chance. */
static uint64_t next_epoch(uint64_t before)
{
	uint64_t chance = 0;

	if (getrandom(&chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
		chance = clock_wall_us();
	return ((before >> EPOCH_CHANCE_BITS) + 1) << EPOCH_CHANCE_BITS | (chance & ((1u << EPOCH_CHANCE_BITS) - 1));
}

/* A copy of the directory has the same row. Who opens its copy last has it; the other's records would be taken for applied. */
static enum rc guard_position(struct drain *d, char *err, size_t cap)
{
	struct position *p = &d->applier.position;
	uint64_t known = d->epoch ? d->epoch : qdir_epoch(d->parts.dir);

	d->superseded = p->found > known;
	if (d->superseded) {
		snprintf(err, cap, "another copy of the queue's directory has been applied since (epoch %" PRIu64 ", here %" PRIu64
			 "): its records and these have the same numbers, and which are applied is not known", p->found, known);
		return RC_ERROR;
	}
	/* In the directory first: what the row has must be known for ours, whenever the process dies. */
	if (!d->epoch) {
		uint64_t epoch = next_epoch(known);

		if (qdir_set_epoch(d->parts.dir, epoch) != RC_OK) {
			log_warn("queue", "that the directory is in use could not be noted: of two copies of it neither is known for the later",
				 "dir=%s", d->parts.dir->path);
			epoch = p->found;
		}
		d->epoch = epoch;
	}
	if (position_guard(p, &d->applier.conn, d->epoch) == RC_OK)
		return RC_OK;
	snprintf(err, cap, "cannot mark suimon.applied: error %u: %s", d->applier.conn.code, d->applier.conn.error);
	return RC_ERROR;
}

/* The connections, and what they say is applied. RC_ERROR: err, the state is WAITING. RC_DECLINED: another process has them. */
static enum rc open_connections(struct drain *d, struct queue_target *target, char *err, size_t cap)
{
	struct applier *a = &d->applier;
	enum rc rc;

	d->superseded = false;
	rc = applier_connect(a, target, d->applied_seq);

	if (rc != RC_OK) {
		snprintf(err, cap, "%s", a->reason);
		return rc;
	}
	if (shares_read(&d->shares, &a->position, &a->conn) != RC_OK) {
		snprintf(err, cap, "cannot read suimon.applied: error %u: %s", a->conn.code, a->conn.error);
		return RC_ERROR;
	}
	if (d->parts.dir && guard_position(d, err, cap) != RC_OK)
		return RC_ERROR;
	rc = d->team ? team_connect(d->team, target, a, &d->shares, err, cap) : RC_OK;
	return rc;
}

static enum rc connect_to(struct drain *d, struct queue_target *target)
{
	char err[640] = "";
	uint64_t position, highest;
	enum rc rc = open_connections(d, target, err, sizeof(err));

	if (rc == RC_DECLINED) {
		drain_want(d, false);
		return RC_ERROR;
	}
	if (rc != RC_OK) {
		drain_set_state(d, d->superseded ? QUEUE_HALTED : QUEUE_WAITING, err);
		return RC_ERROR;
	}
	position = d->applier.position.seq;
	highest = d->shares.n ? shares_highest(&d->shares) : position;
	rc = check_position(d, highest, err, sizeof(err));
	if (rc == RC_OK)
		rc = announce_committed(d, highest, err, sizeof(err));
	if (rc != RC_OK) {
		drain_set_state(d, rc == RC_DECLINED ? QUEUE_WAITING : QUEUE_HALTED, err);
		return RC_ERROR;
	}
	drain_forget_batch(d);
	if (d->connected_once && position > d->applied_seq && !d->parts.table) {
		pthread_mutex_lock(&d->lock);
		d->applied += position - d->applied_seq; /* their COMMIT was never answered */
		pthread_mutex_unlock(&d->lock);
	}
	d->connected_once = true;
	drain_move_applied(d, position, position);
	drain_set_state(d, QUEUE_RUNNING, "");
	drain_took(d);
	return RC_OK;
}

static enum rc connect_now(struct drain *d)
{
	struct queue_target target;
	enum rc rc;

	memset(&target, 0, sizeof(target));
	pthread_mutex_lock(&d->lock);
	d->moved = false;
	pthread_mutex_unlock(&d->lock);
	rc = d->hooks.target ? d->hooks.target(d->hooks.arg, &target) : RC_DECLINED;
	if (rc == RC_OK)
		rc = connect_to(d, &target);
	else
		drain_set_state(d, QUEUE_WAITING,
				rc == RC_DECLINED ? "there is no primary just now"
						  : "there is no account to apply with: set queue.user");
	secret_unref(target.password);
	if (rc == RC_OK)
		return RC_OK;
	drain_disconnect(d);
	return RC_ERROR;
}

/* So that people see how old the oldest record is, though nothing is being applied. */
static void look_at_oldest(struct drain *d)
{
	struct queue_engine *e = d->parts.engine;
	char err[256];
	struct span body;
	struct record rec;
	uint64_t seq;
	bool known;
	enum rc rc;

	pthread_mutex_lock(&d->lock);
	known = d->ages.known;
	pthread_mutex_unlock(&d->lock);
	if (known || d->next < d->count || e->ops->durable(e) <= d->applied_seq)
		return;
	d->need_seek = true;
	rc = e->ops->seek(e, d->applied_seq, err, sizeof(err));
	if (rc == RC_ERROR || rc == RC_AGAIN ||
	    e->ops->next(e, &seq, &body, err, sizeof(err)) != RC_OK || record_decode(body, &rec) != RC_OK)
		return;
	pthread_mutex_lock(&d->lock);
	ages_set(&d->ages, seq, rec.r.time_us, clock_mono_ns(), clock_wall_us());
	pthread_mutex_unlock(&d->lock);
}

enum step { STEP_STOP, STEP_STAND_BY, STEP_IDLE, STEP_GO };

/* What to do next; sleeps when it is nothing. */
static enum step next_step(struct drain *d)
{
	bool shared = d->parts.table != NULL;
	bool more = d->next < d->count || d->parts.engine->ops->durable(d->parts.engine) > d->applied_seq ||
		    (shared && !d->applier.conn.my); /* its lock is what says that it is ours */
	enum step step = STEP_GO;

	pthread_mutex_lock(&d->lock);
	if (d->stopping)
		step = STEP_STOP;
	else if (shared && !d->wanted)
		step = STEP_STAND_BY;
	else if (d->paused || d->state == QUEUE_HALTED || !more)
		step = STEP_IDLE;
	if (step == STEP_IDLE && !more)
		d->hurry = false;
	pthread_mutex_unlock(&d->lock);
	return step;
}

static void idle(struct drain *d)
{
	drain_level(d);
	drain_keep(d);
	look_at_oldest(d);
	pthread_mutex_lock(&d->lock);
	if (!d->stopping && !d->kicked && !d->woken)
		sigthread_wait_until(&d->work, &d->lock, clock_mono_ns() + NS_PER_SEC);
	d->kicked = d->woken = false;
	pthread_mutex_unlock(&d->lock);
}

static void connect_or_wait(struct drain *d)
{
	look_at_oldest(d);
	if (connect_now(d) != RC_OK)
		drain_back_off(d);
}

void *drain_loop(void *arg)
{
	struct drain *d = arg;
	enum step step;

	mysql_thread_init();
	while ((step = next_step(d)) != STEP_STOP) {
		leave_former_login(d);
		if (step == STEP_STAND_BY)
			drain_stand_by(d);
		else if (step == STEP_IDLE)
			idle(d);
		else if (!d->applier.conn.my)
			connect_or_wait(d);
		else if (d->next == d->count)
			drain_load_batch(d);
		else if (d->team)
			drain_apply_window(d);
		else
			drain_apply_loaded(d);
	}
	drain_level(d);
	write_checkpoint(d);
	drain_forget_batch(d);
	drain_disconnect(d);
	mysql_thread_end();
	pthread_mutex_lock(&d->lock);
	d->ended = true;
	pthread_cond_broadcast(&d->work);
	pthread_mutex_unlock(&d->lock);
	return NULL;
}
