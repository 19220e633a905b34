/*
 * queue.c - the queue put together: directory, log, dead letters, drain. See queue.h.
 */
#include "queue_impl.h"

#include <mysql.h>
#include <stdio.h>

#include "log.h"
#include "mem.h"
#include "qthread.h"

static void wake(void *arg)
{
	struct queue *q = arg;

	drain_wake(q->drain);
}

static enum rc open_log(struct queue *q, const struct queue_options *opt, const struct qdir_checkpoint *known,
			struct stats *stats, char *err, size_t cap)
{
	struct filelog_options log = {
		.max_bytes = opt->max_bytes,
		.sync_ns = opt->sync_ns,
		.segment_bytes = opt->segment_bytes,
		.known_applied = known->applied_seq,
		.known_durable = known->durable_seq,
		.sink = stats ? stats_sink_new(stats, false) : NULL,
		.front = stats ? stats_sink_new(stats, false) : NULL,
		.wake = wake,
		.wake_arg = q,
	};

	q->engine = filelog_open(&q->dir, &log, err, cap);
	return q->engine ? RC_OK : RC_ERROR;
}

static enum rc open_parts(struct queue *q, const struct queue_options *opt, struct stats *stats, char *err, size_t cap)
{
	struct drain_parts parts = {.dir = &q->dir, .sink = stats ? stats_sink_new(stats, false) : NULL};

	if (qdir_open(&q->dir, opt->dir, true, opt->files ? opt->files : &file_ops_system, err, cap) != RC_OK)
		return RC_ERROR;
	if (qdir_checkpoint_read(&q->dir, &parts.known) != RC_OK)
		parts.known = (struct qdir_checkpoint){0};
	q->dead = dead_open(&q->dir, true, parts.known.applied_seq, err, cap);
	if (!q->dead || open_log(q, opt, &parts.known, stats, err, cap) != RC_OK)
		return RC_ERROR;
	parts.engine = q->engine;
	parts.dead = q->dead;
	parts.paused = qdir_paused(&q->dir);
	q->drain = drain_new(&parts, opt);
	if (q->drain)
		return RC_OK;
	snprintf(err, cap, "out of memory");
	return RC_ERROR;
}

struct queue *queue_open(const struct queue_options *opt, struct stats *stats, char *err, size_t err_cap)
{
	struct queue *q = mem_zalloc(sizeof(*q));

	if (!q || mysql_library_init(0, NULL, NULL) != 0) {
		mem_free(q);
		snprintf(err, err_cap, "out of memory");
		return NULL;
	}
	q->dir = (struct qdir){.fd = -1, .lock_fd = -1};
	if (open_parts(q, opt, stats, err, err_cap) == RC_OK)
		return q;
	queue_close(q);
	return NULL;
}

enum rc queue_start(struct queue *q)
{
	struct queue_totals t;

	if (drain_start(q->drain) != RC_OK)
		return RC_ERROR;
	if (q->engine->ops->start(q->engine) != RC_OK) {
		drain_stop(q->drain);
		return RC_ERROR;
	}
	queue_totals(q, &t);
	log_info("queue", "open", "dir=%s engine=%s first_seq=%llu last_seq=%llu dead=%llu state=%s", q->dir.path,
		 q->engine->ops->name, (unsigned long long)t.first_seq, (unsigned long long)t.last_seq,
		 (unsigned long long)dead_waiting(q->dead), queue_state_name(t.state));
	return RC_OK;
}

void queue_stop(struct queue *q)
{
	if (q->stopped)
		return;
	q->stopped = true;
	q->engine->ops->stop(q->engine);
	drain_stop(q->drain);
}

void queue_hand_over(struct queue *q)
{
	atomic_store(&q->handed_over, true);
	q->engine->ops->stop(q->engine);
	drain_hand_over(q->drain);
	qdir_release(&q->dir);
	log_info("queue", "handed over", "dir=%s applied_seq=%llu last_seq=%llu", q->dir.path,
		 (unsigned long long)drain_applied(q->drain), (unsigned long long)q->engine->ops->durable(q->engine));
}

bool queue_is_handed_over(struct queue *q, uint64_t *last_seq)
{
	if (likely(!atomic_load_explicit(&q->handed_over, memory_order_acquire)))
		return false;
	*last_seq = q->engine->ops->durable(q->engine);
	return true;
}

void queue_follow(struct queue *q, uint64_t applied_seq)
{
	drain_follow(q->drain, applied_seq);
}

void queue_close(struct queue *q)
{
	if (!q)
		return;
	drain_free(q->drain);
	if (q->engine)
		q->engine->ops->close(q->engine);
	dead_close(q->dead);
	qdir_close(&q->dir);
	mem_free(q);
}

void queue_reconfigure(struct queue *q, const struct queue_options *opt)
{
	q->engine->ops->tune(q->engine, opt);
	drain_tune(q->drain, opt);
}

enum rc queue_append(struct queue *q, const struct queue_record *r, struct queue_ticket *t, const char **why)
{
	struct record rec = {.r = *r};

	return q->engine->ops->append(q->engine, &rec, t, why);
}

uint64_t queue_applied(struct queue *q)
{
	return drain_applied(q->drain);
}

enum rc queue_wait(struct queue *q, struct queue_waiter *w)
{
	return drain_wait(q->drain, w);
}

bool queue_wait_cancel(struct queue *q, struct queue_waiter *w)
{
	return drain_wait_cancel(q->drain, w);
}

static void set_paused(struct queue *q, bool paused)
{
	if (qdir_set_paused(&q->dir, paused) != RC_OK)
		log_warn("queue", "whether it is paused could not be noted and will not survive a restart", "dir=%s",
			 q->dir.path);
	drain_set_paused(q->drain, paused);
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

void queue_drain_now(struct queue *q)
{
	drain_hurry(q->drain);
}

const char *queue_state_name(enum queue_state s)
{
	static const char *const names[] = {"running", "paused", "waiting", "halted", "failed", "stopped"};

	return names[s];
}

void queue_totals(struct queue *q, struct queue_totals *out)
{
	const char *why;

	memset(out, 0, sizeof(*out));
	drain_totals(q->drain, out);
	q->engine->ops->totals(q->engine, out);
	out->depth = out->last_seq > out->applied_seq ? out->last_seq - out->applied_seq : 0;
	out->dead_waiting = dead_waiting(q->dead);
	if (q->engine->ops->failed(q->engine, &why)) {
		out->state = QUEUE_FAILED;
		snprintf(out->reason, sizeof(out->reason), "%s", why);
	}
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

static enum rc append_and_wait(struct queue *q, const struct record *rec, uint64_t *seq)
{
	struct patience p = {.ticket.mail.run = on_answer};
	const char *why;
	enum rc rc;

	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.done, NULL);
	rc = q->engine->ops->append(q->engine, rec, &p.ticket, &why);
	if (rc == RC_AGAIN) {
		pthread_mutex_lock(&p.lock);
		while (!p.answered)
			pthread_cond_wait(&p.done, &p.lock);
		pthread_mutex_unlock(&p.lock);
		rc = p.ticket.rc;
	}
	*seq = p.ticket.seq;
	pthread_cond_destroy(&p.done);
	pthread_mutex_destroy(&p.lock);
	return rc == RC_OK ? RC_OK : RC_ERROR;
}

struct copied_letter {
	uint64_t id;
	char *body; /* owned */
	size_t len;
};

static void copy_letter(void *arg, const struct dead_letter *l)
{
	struct copied_letter *c = arg;

	c->id = l->id;
	c->len = l->body.len;
	c->body = mem_dup(l->body.p, l->body.len);
}

static enum rc retry_letter(struct queue *q, const struct copied_letter *c)
{
	struct record rec;
	enum dead_fate fate;
	uint64_t seq, by_seq;

	if (!c->body || record_decode(span_of(c->body, c->len), &rec) != RC_OK)
		return RC_ERROR;
	rec.retry_of = c->id;
	if (append_and_wait(q, &rec, &seq) != RC_OK)
		return RC_ERROR;
	/* The drain may have been faster, and somebody else's retry too: that one counts, ours will be passed over. */
	if (dead_mark(q->dead, c->id, DEAD_RETRIED, seq) == RC_ERROR)
		return RC_ERROR;
	return dead_fate_of(q->dead, c->id, &fate, &by_seq) == RC_OK && by_seq == seq ? RC_OK : RC_DECLINED;
}

enum rc queue_dead_retry(struct queue *q, uint64_t id)
{
	struct copied_letter c = {0};
	enum rc rc = dead_each(q->dead, id, 1, copy_letter, &c);

	if (rc == RC_OK)
		rc = c.id == id && id ? retry_letter(q, &c) : RC_DECLINED;
	mem_free(c.body);
	return rc;
}

enum rc queue_dead_discard(struct queue *q, uint64_t id)
{
	return dead_mark(q->dead, id, DEAD_DISCARDED, 0);
}
