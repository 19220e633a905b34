/*
 * queue.c - what the rest of suimon asks of the queue: see queue.h.
 */
#include "queue_impl.h"

#include <stdio.h>

#include "crc32c.h"
#include "log.h"
#include "sigthread.h"

void queue_hand_over(struct queue *q)
{
	struct queue_lane *lane = &q->lane[0];
	uint64_t until = clock_mono_ns() + QUEUE_STOP_NS;

	if (q->shared)
		return; /* both may work it at the same time */
	atomic_store(&q->handed_over, true);
	lane->engine->ops->stop(lane->engine, until);
	drain_stop(lane->drain, until);
	qdir_release(&q->dir);
	log_info("queue", "handed over", "dir=%s applied_seq=%llu last_seq=%llu", q->dir.path,
		 (unsigned long long)drain_applied(lane->drain),
		 (unsigned long long)lane->engine->ops->durable(lane->engine));
}

bool queue_is_handed_over(struct queue *q, uint64_t *last_seq)
{
	if (likely(!atomic_load_explicit(&q->handed_over, memory_order_acquire)))
		return false;
	*last_seq = q->lane[0].engine->ops->durable(q->lane[0].engine);
	return true;
}

uint64_t queue_place(const struct queue *q)
{
	struct stat st;

	return !q->shared && fstat(q->dir.fd, &st) == 0 ? qdir_place(&st) : 0;
}

uint64_t queue_place_of(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 ? qdir_place(&st) : 0;
}

void queue_follow(struct queue *q, uint64_t applied_seq)
{
	if (!q->shared)
		drain_follow(q->lane[0].drain, applied_seq);
}

void queue_reconfigure(struct queue *q, const struct queue_options *opt)
{
	for (unsigned i = 0; i < q->lanes; i++) {
		q->lane[i].engine->ops->tune(q->lane[i].engine, opt);
		drain_tune(q->lane[i].drain, opt);
	}
}

/* A table's records are all in one lane: what concerns the whole table keeps its order with what concerns a row. */
static struct queue_lane *lane_of(struct queue *q, const struct queue_record *r)
{
	size_t len = r->tables.len < r->order_key.len ? r->tables.len : r->order_key.len;

	return &q->lane[q->lanes > 1 ? crc32c(0, r->order_key.p, len) % q->lanes : 0];
}

/* What is to run beside nothing else cannot where there are several lanes. */
static const char *refusal(struct queue *q, const struct queue_record *r, struct queue_lane *lane)
{
	if (!q->shared)
		return NULL;
	if (q->lanes > 1 && r->order_key.len < r->tables.len)
		return "it reaches further tables, which other lanes may be writing to";
	drain_note_own(lane->drain, r->tables);
	return NULL;
}

static enum rc append(struct queue *q, const struct record *rec, struct queue_ticket *t, const char **why)
{
	struct queue_lane *lane = lane_of(q, &rec->r);
	enum rc rc;

	*why = refusal(q, &rec->r, lane);
	t->unfit = *why != NULL;
	rc = *why ? RC_DECLINED : lane->engine->ops->append(lane->engine, rec, t, why);
	if (rc != RC_DECLINED || !t->unfit) /* after RC_AGAIN the ticket is the engine's */
		return rc;
	pthread_mutex_lock(&q->front_lock);
	if (q->front)
		stats_count(q->front, STATS_C_QUEUE_DECLINED_NOT_ELIGIBLE, 1);
	pthread_mutex_unlock(&q->front_lock);
	return RC_DECLINED;
}

enum rc queue_append(struct queue *q, const struct queue_record *r, struct queue_ticket *t, const char **why)
{
	struct record rec = {.r = *r};

	return append(q, &rec, t, why);
}

/* Under the tally's lock: what is in it the engine knew for stored before. */
static uint64_t lane_applied(struct queue_lane *lane)
{
	uint64_t number;

	pthread_mutex_lock(&lane->tally.lock);
	number = tally_applied(&lane->tally, drain_applied(lane->drain));
	pthread_mutex_unlock(&lane->tally.lock);
	return number;
}

uint64_t queue_applied(struct queue *q)
{
	uint64_t least = UINT64_MAX;

	if (!q->shared)
		return drain_applied(q->lane[0].drain);
	for (unsigned i = 0; i < q->lanes; i++) {
		uint64_t number = lane_applied(&q->lane[i]);

		least = number < least ? number : least;
	}
	return least;
}

enum rc queue_wait(struct queue *q, struct queue_waiter *w)
{
	if (queue_applied(q) >= w->seq || waits_add(&q->waits, w) == RC_OK)
		return RC_OK;
	for (unsigned i = 0; i < q->lanes; i++)
		drain_nudge(q->lane[i].drain);
	if (q->claims)
		claims_nudge(q->claims);
	/* What moved before it was in the line did not see it. If it was seen, it may be gone: it is not touched any more. */
	waits_move(&q->waits, queue_applied(q));
	return RC_AGAIN;
}

bool queue_wait_cancel(struct queue *q, struct queue_waiter *w)
{
	return waits_cancel(&q->waits, w);
}

static void set_paused(struct queue *q, bool paused)
{
	if (q->shared)
		claims_set_paused(q->claims, paused);
	else if (qdir_set_paused(&q->dir, paused) != RC_OK)
		log_warn("queue", "whether it is paused could not be noted and will not survive a restart", "dir=%s",
			 q->dir.path);
	for (unsigned i = 0; i < q->lanes; i++)
		drain_set_paused(q->lane[i].drain, paused);
	log_info("queue", paused ? "paused" : "resumed", NULL);
}

void queue_pause(struct queue *q)
{
	set_paused(q, true);
}

void queue_resume(struct queue *q)
{
	set_paused(q, false);
}

void queue_log_in_anew(struct queue *q)
{
	for (unsigned i = 0; i < q->lanes; i++)
		drain_log_in_anew(q->lane[i].drain);
}

void queue_primary_moved(struct queue *q)
{
	for (unsigned i = 0; i < q->lanes; i++)
		drain_primary_moved(q->lane[i].drain);
}

void queue_drain_now(struct queue *q)
{
	for (unsigned i = 0; i < q->lanes; i++)
		drain_hurry(q->lane[i].drain);
}

const char *queue_state_name(enum queue_state s)
{
	static const char *const names[] = {"running", "paused", "waiting", "halted", "failed", "stopped"};

	return names[s];
}

/* Which of two is the graver? */
static bool graver(enum queue_state a, enum queue_state b)
{
	static const int order[] = {[QUEUE_RUNNING] = 0, [QUEUE_WAITING] = 1, [QUEUE_PAUSED] = 2,
				    [QUEUE_HALTED] = 3,	 [QUEUE_FAILED] = 4,  [QUEUE_STOPPED] = 5};

	return order[a] > order[b];
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void add_totals(struct queue_totals *out, const struct queue_totals *t)
{
	if (graver(t->state, out->state)) {
		out->state = t->state;
		memcpy(out->reason, t->reason, sizeof(out->reason));
	}
	out->stuck |= t->stuck;
	out->lanes += t->lanes;
	out->lanes_here += t->lanes_here;
	out->depth += t->depth;
	out->bytes += t->bytes;
	out->oldest_age_ns = larger(out->oldest_age_ns, t->oldest_age_ns);
	out->applied += t->applied;
	out->dead += t->dead;
	out->retries += t->retries;
	out->batches += t->batches;
	out->last_batch_rows = larger(out->last_batch_rows, t->last_batch_rows);
	out->batch_rows_now = larger(out->batch_rows_now, t->batch_rows_now);
	out->fsyncs += t->fsyncs;
	out->fsync_ns_last = larger(out->fsync_ns_last, t->fsync_ns_last);
	out->fsync_ns_total += t->fsync_ns_total;
	out->first_seq = larger(out->first_seq, t->first_seq);
	out->last_seq = larger(out->last_seq, t->last_seq);
	out->applied_seq = larger(out->applied_seq, t->applied_seq);
	out->waits_for = out->waits_for ? out->waits_for : t->waits_for;
	out->drain_rate += t->drain_rate;
}

static void lane_totals(const struct queue_lane *lane, struct queue_totals *t)
{
	const struct queue_engine_ops *ops = lane->engine->ops;
	const char *why;

	memset(t, 0, sizeof(*t));
	t->engine = ops->name;
	t->lanes = 1;
	t->lanes_here = !lane->q->shared || drain_holds(lane->drain);
	drain_totals(lane->drain, t);
	ops->totals(lane->engine, t);
	if (!lane->q->shared)
		t->depth = t->last_seq > t->applied_seq ? t->last_seq - t->applied_seq : 0;
	if (ops->failed(lane->engine, &why)) {
		t->state = QUEUE_FAILED;
		snprintf(t->reason, sizeof(t->reason), "%s", why);
	}
}

void queue_totals(struct queue *q, struct queue_totals *out)
{
	struct queue_totals t;

	lane_totals(&q->lane[0], out);
	for (unsigned i = 1; i < q->lanes; i++) {
		lane_totals(&q->lane[i], &t);
		add_totals(out, &t);
	}
	out->dead_waiting = q->shared ? atomic_load(&q->table.waiting) : dead_waiting(q->dead);
	if (q->claims && out->state == QUEUE_RUNNING && !claims_reached(q->claims, out->reason, sizeof(out->reason)))
		out->state = QUEUE_WAITING;
}

/* A thread that waits for its ticket. */
struct patience {
	struct queue_ticket ticket;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool answered;
};

static void on_answer(struct mail *m)
{
	struct patience *p = container_of(m, struct patience, ticket.mail);

	pthread_mutex_lock(&p->lock);
	p->answered = true;
	pthread_cond_signal(&p->done);
	pthread_mutex_unlock(&p->lock);
}

enum rc queue_append_now(struct queue *q, const struct record *rec, uint64_t *seq)
{
	struct patience p = {.ticket.mail.run = on_answer};
	const char *why = NULL;
	enum rc rc;

	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.done, NULL);
	rc = append(q, rec, &p.ticket, &why);
	if (rc == RC_AGAIN) {
		pthread_mutex_lock(&p.lock);
		while (!p.answered)
			pthread_cond_wait(&p.done, &p.lock);
		pthread_mutex_unlock(&p.lock);
		rc = p.ticket.rc;
		why = p.ticket.error;
	}
	*seq = p.ticket.seq;
	if (rc != RC_OK)
		log_warn("queue", "a dead letter is not tried again: the queue does not accept it", "why=\"%s\"", why ? why : "disk error");
	pthread_cond_destroy(&p.done);
	pthread_mutex_destroy(&p.lock);
	return rc == RC_OK ? RC_OK : RC_ERROR;
}
