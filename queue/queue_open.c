/*
 * queue_open.c - the queue put together and taken apart: directory, log and dead letters of one process; or lanes, the
 * database's letters and the claims of many.
 */
#include "queue_impl.h"

#include <linux/magic.h>
#include <mysql.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <xxhash.h>

#include "clock.h"
#include "kafkahub.h"
#include "log.h"
#include "mem.h"
#include "redishub.h"
#include "sqshub.h"

static void wake(void *arg)
{
	struct queue_lane *lane = arg;

	drain_wake(lane->drain);
}

static uint64_t number(void *arg, uint64_t seq)
{
	struct queue_lane *lane = arg;

	return tally_give(&lane->tally, &lane->q->numbers, seq);
}

static void moved(void *arg)
{
	struct queue *q = arg;

	if (waits_any(&q->waits))
		waits_move(&q->waits, queue_applied(q));
}

static struct stats_sink *new_sink(struct stats *stats)
{
	return stats ? stats_sink_new(stats, false) : NULL;
}

static enum rc make_lanes(struct queue *q, unsigned n)
{
	q->lane = mem_zalloc(n * sizeof(*q->lane));
	if (!q->lane)
		return RC_ERROR;
	q->lanes = n;
	for (unsigned i = 0; i < n; i++) {
		q->lane[i].q = q;
		iobuf_init(&q->lane[i].writing, 0);
		tally_init(&q->lane[i].tally);
	}
	return RC_OK;
}

static enum rc make_drain(struct queue_lane *lane, struct drain_parts *parts, const struct queue_options *opt,
			  struct stats *stats)
{
	parts->engine = lane->engine;
	parts->waits = &lane->q->waits;
	parts->moved = moved;
	parts->moved_arg = lane->q;
	parts->sink = new_sink(stats);
	lane->drain = drain_new(parts, opt);
	return lane->drain ? RC_OK : RC_ERROR;
}

static void close_lane(struct queue_lane *lane)
{
	drain_free(lane->drain);
	if (lane->engine)
		lane->engine->ops->close(lane->engine);
	iobuf_reset(&lane->writing);
	tally_destroy(&lane->tally);
}

static enum rc start_lane(struct queue_lane *lane)
{
	enum rc rc = drain_start(lane->drain);

	return rc == RC_OK ? lane->engine->ops->start(lane->engine) : rc;
}

/* ---- of one process ---- */

static enum rc open_log(struct queue_lane *lane, const struct queue_options *opt, const struct qdir_checkpoint *known,
			struct stats *stats, char *err, size_t cap)
{
	struct filelog_options log = {
		.max_bytes = opt->max_bytes,
		.sync_ns = opt->sync_ns,
		.segment_bytes = opt->segment_bytes,
		.known_applied = known->applied_seq,
		.known_durable = known->durable_seq,
		.sink = new_sink(stats),
		.front = new_sink(stats),
		.wake = wake,
		.wake_arg = lane,
	};

	lane->engine = filelog_open(&lane->q->dir, &log, err, cap);
	return lane->engine ? RC_OK : RC_ERROR;
}

/* What is in the directory, whose lock is held, as a lane. What was made before an error stays there. */
static enum rc open_parts(struct queue_lane *lane, struct dead **dead, const struct queue_options *opt, struct stats *stats, char *err,
			  size_t cap)
{
	struct qdir *dir = &lane->q->dir;
	struct drain_parts parts = {.dir = dir};

	if (qdir_checkpoint_read(dir, &parts.known) != RC_OK)
		parts.known = (struct qdir_checkpoint){0};
	*dead = dead_open(dir, true, parts.known.applied_seq, err, cap);
	if (!*dead)
		return RC_ERROR;
	snprintf(err, cap, "out of memory");
	if (open_log(lane, opt, &parts.known, stats, err, cap) != RC_OK)
		return RC_ERROR;
	memcpy(parts.id, dir->id, sizeof(parts.id));
	parts.dead = *dead;
	parts.paused = qdir_paused(dir);
	if (make_drain(lane, &parts, opt, stats) == RC_OK)
		return RC_OK;
	snprintf(err, cap, "out of memory");
	return RC_ERROR;
}

/* Of a file that is synced before each acknowledgement only the loss of its disk is one. */
static void say_what_may_be_lost(const struct qdir *dir, uint64_t sync_ns)
{
	struct statfs fs;

	if (sync_ns)
		log_warn("queue", "the log is synced later than writes are acknowledged: a power loss may lose the last of them", "dir=%s sync=%lums",
			 dir->path, (unsigned long)(sync_ns / NS_PER_MS));
	if (fstatfs(dir->fd, &fs) != 0)
		return;
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
		log_warn("queue", "the directory is in memory: what is acknowledged and not applied is lost with this host's power", "dir=%s", dir->path);
	if (fs.f_type == OVERLAYFS_SUPER_MAGIC)
		log_warn("queue", "the directory is in a container's own layer: what is acknowledged and not applied is lost with the container",
			 "dir=%s do=\"a volume\"", dir->path);
}

static enum rc open_dir(struct queue *q, const struct queue_options *opt, struct stats *stats, char *err, size_t cap)
{
	struct dead *dead = NULL;
	enum rc rc;

	if (qdir_open(&q->dir, opt->dir, true, opt->files ? opt->files : &file_ops_system, err, cap) != RC_OK)
		return RC_ERROR;
	snprintf(err, cap, "out of memory");
	if (make_lanes(q, 1) != RC_OK)
		return RC_ERROR;
	rc = open_parts(q->lane, &dead, opt, stats, err, cap);
	q->dead = dead;
	if (rc == RC_OK)
		say_what_may_be_lost(&q->dir, opt->sync_ns);
	return rc;
}

/* Room for what will be retired, and a lane that nobody sees yet. */
static struct queue_lane *spare_lane(struct queue *q)
{
	struct queue_retired *grown = mem_realloc(q->retired, (q->nretired + 1) * sizeof(*grown));
	struct queue_lane *lane;

	if (!grown)
		return NULL;
	q->retired = grown;
	lane = mem_zalloc(sizeof(*lane));
	if (!lane)
		return NULL;
	lane->q = q;
	iobuf_init(&lane->writing, 0);
	tally_init(&lane->tally);
	return lane;
}

enum rc queue_take_back(struct queue *q, const struct queue_options *opt, struct stats *stats, char *err, size_t err_cap)
{
	struct queue_lane *lane = NULL;
	struct dead *dead = NULL;
	enum rc rc;

	if (q->stopped) {
		snprintf(err, err_cap, "it has stopped");
		return RC_ERROR;
	}
	rc = qdir_retake(&q->dir, err, err_cap);
	if (rc == RC_OK) {
		snprintf(err, err_cap, "out of memory");
		lane = spare_lane(q);
		rc = lane ? open_parts(lane, &dead, opt, stats, err, err_cap) : RC_ERROR;
	}
	if (rc == RC_OK) {
		snprintf(err, err_cap, "its threads cannot be started");
		rc = start_lane(lane);
	}
	if (rc != RC_OK) {
		if (lane && lane->drain)
			drain_stop(lane->drain, clock_mono_ns() + QUEUE_STOP_NS);
		if (lane)
			close_lane(lane);
		mem_free(lane);
		dead_close(dead);
		qdir_release(&q->dir);
		return RC_ERROR;
	}
	q->retired[q->nretired++] = (struct queue_retired){.lane = q->lane, .dead = q->dead};
	q->dead = dead;
	q->lane = lane;
	moved(q); /* what it has applied meanwhile */
	atomic_store_explicit(&q->handed_over, false, memory_order_release);
	log_info("queue", "taken back", "dir=%s last_seq=%llu", q->dir.path, (unsigned long long)lane->engine->ops->durable(lane->engine));
	return RC_OK;
}

/* ---- of many ---- */

static enum rc on_target(void *arg, struct queue_target *out)
{
	struct queue *q = ((struct queue_lane *)arg)->q;

	return q->hooks.target ? q->hooks.target(q->hooks.arg, out) : RC_DECLINED;
}

static void on_applied(void *arg, struct span tables, struct span gtid)
{
	struct queue *q = ((struct queue_lane *)arg)->q;

	pthread_mutex_lock(&q->hooks_lock);
	if (q->hooks.on_applied)
		q->hooks.on_applied(q->hooks.arg, tables, gtid);
	pthread_mutex_unlock(&q->hooks_lock);
}

static void set_writing(struct iobuf *b, struct span tables)
{
	if (tables.len && iobuf_append(b, tables.p, tables.len) != RC_OK)
		log_error("queue", "out of memory: other instances may not hear of a write if this one dies", NULL);
}

/* Whoever hears of it takes what he is told for all: that is what all lanes are about to write. No two write one table. */
static void on_applying(void *arg, struct span tables)
{
	struct queue_lane *lane = arg;
	struct queue *q = lane->q;

	pthread_mutex_lock(&q->hooks_lock);
	iobuf_consume(&lane->writing, iobuf_len(&lane->writing));
	iobuf_consume(&q->writing, iobuf_len(&q->writing));
	set_writing(&lane->writing, tables);
	for (unsigned i = 0; i < q->lanes; i++)
		set_writing(&q->writing, span_of(iobuf_data(&q->lane[i].writing), iobuf_len(&q->lane[i].writing)));
	q->hooks.on_applying(q->hooks.arg, span_of(iobuf_data(&q->writing), iobuf_len(&q->writing)));
	pthread_mutex_unlock(&q->hooks_lock);
}

static void id_of(const struct queue_hub *h, uint8_t out[QUEUE_ID_BYTES])
{
	XXH128_canonical_t bytes;

	XXH128_canonicalFromHash(&bytes, XXH3_128bits_withSeed(h->name, strlen(h->name), h->seed));
	memcpy(out, bytes.digest, QUEUE_ID_BYTES);
	claims_lane_id(out, out, CLAIMS_NO_LANE);
}

static enum rc open_lane(struct queue *q, unsigned i, const uint8_t id[QUEUE_ID_BYTES], const struct queue_options *opt,
			 struct stats *stats)
{
	struct queue_lane *lane = &q->lane[i];
	struct queue_lane_options log = {
		.lane = i,
		.max_bytes = opt->max_bytes / q->lanes,
		.sink = new_sink(stats),
		.front = new_sink(stats),
		.wake = wake,
		.number = number,
		.wake_arg = lane,
	};
	struct drain_parts parts = {.table = &q->table};
	struct queue_options own = *opt;

	own.hooks = (struct queue_hooks){.arg = lane, .target = on_target, .on_applied = on_applied};
	if (q->hooks.on_applying)
		own.hooks.on_applying = on_applying;
	claims_lane_id(parts.id, id, i);
	lane->engine = q->hub->ops->lane(q->hub, &log);
	if (!lane->engine || make_drain(lane, &parts, &own, stats) != RC_OK)
		return RC_ERROR;
	q->drains[i] = lane->drain;
	return RC_OK;
}

static enum rc open_claims(struct queue *q, const char *id_hex)
{
	struct claims_options opt = {.drains = q->drains, .lanes = q->lanes, .table = &q->table, .waits = &q->waits,
				     .hooks = q->hooks};

	snprintf(opt.id_hex, sizeof(opt.id_hex), "%s", id_hex);
	q->claims = claims_new(&opt);
	return q->claims ? RC_OK : RC_ERROR;
}

static const struct queue_hub_ops *const hub_ops[] = {
	[QUEUE_ENGINE_REDIS] = &redishub_ops,
	[QUEUE_ENGINE_KAFKA] = &kafkahub_ops,
	[QUEUE_ENGINE_SQS] = &sqshub_ops,
};

static enum rc open_shared(struct queue *q, const struct queue_options *opt, struct stats *stats, char *err, size_t cap)
{
	struct position names;
	uint8_t id[QUEUE_ID_BYTES];
	enum rc rc;

	q->hooks = opt->hooks;
	q->hub = hub_ops[opt->engine]->open(opt->url ? opt->url : "", err, cap);
	if (!q->hub)
		return RC_ERROR;
	id_of(q->hub, id);
	position_init(&names, id, 0);
	deadtable_init(&q->table, names.id_hex, &q->hooks);
	q->shared = true;
	rc = make_lanes(q, q->hub->lanes);
	if (rc == RC_OK) {
		q->drains = mem_zalloc(q->lanes * sizeof(struct drain *));
		rc = q->drains ? RC_OK : RC_ERROR;
	}
	for (unsigned i = 0; rc == RC_OK && i < q->lanes; i++)
		rc = open_lane(q, i, id, opt, stats);
	if (rc == RC_OK)
		rc = open_claims(q, names.id_hex);
	if (rc != RC_OK)
		snprintf(err, cap, "out of memory");
	return rc;
}

/* ---- both ---- */

struct queue *queue_open(const struct queue_options *opt, struct stats *stats, char *err, size_t err_cap)
{
	struct queue *q = mem_zalloc(sizeof(*q));
	bool shared = opt->engine != QUEUE_ENGINE_FILE;

	if (!q || mysql_library_init(0, NULL, NULL) != 0) {
		mem_free(q);
		snprintf(err, err_cap, "out of memory");
		return NULL;
	}
	q->dir = (struct qdir){.fd = -1, .lock_fd = -1};
	pthread_mutex_init(&q->front_lock, NULL);
	pthread_mutex_init(&q->hooks_lock, NULL);
	waits_init(&q->waits);
	iobuf_init(&q->writing, 0);
	q->front = new_sink(stats);
	if ((shared ? open_shared : open_dir)(q, opt, stats, err, err_cap) == RC_OK)
		return q;
	queue_close(q);
	return NULL;
}

static enum rc start_engines(struct queue *q)
{
	enum rc rc = q->hub ? q->hub->ops->start(q->hub) : RC_OK;

	for (unsigned i = 0; rc == RC_OK && i < q->lanes; i++)
		rc = q->lane[i].engine->ops->start(q->lane[i].engine);
	return rc == RC_OK && q->claims ? claims_start(q->claims) : rc;
}

static void say_open(struct queue *q)
{
	struct queue_totals t;

	queue_totals(q, &t);
	if (q->shared)
		log_info("queue", "open", "engine=%s name=%s lanes=%u host=%s", q->lane[0].engine->ops->name, q->hub->name, q->lanes,
			 q->hub->host);
	else
		log_info("queue", "open", "dir=%s engine=%s first_seq=%llu last_seq=%llu dead=%llu state=%s", q->dir.path,
			 q->lane[0].engine->ops->name, (unsigned long long)t.first_seq, (unsigned long long)t.last_seq,
			 (unsigned long long)t.dead_waiting, queue_state_name(t.state));
}

enum rc queue_start(struct queue *q)
{
	enum rc rc = RC_OK;

	for (unsigned i = 0; rc == RC_OK && i < q->lanes; i++)
		rc = drain_start(q->lane[i].drain);
	if (rc == RC_OK)
		rc = start_engines(q);
	if (rc != RC_OK)
		queue_stop(q);
	else
		say_open(q);
	return rc;
}

void queue_stop(struct queue *q)
{
	queue_stop_by(q, clock_mono_ns() + QUEUE_STOP_NS);
}

void queue_stop_by(struct queue *q, uint64_t until_ns)
{
	if (q->stopped)
		return;
	q->stopped = true;
	for (unsigned i = 0; i < q->lanes; i++)
		q->lane[i].engine->ops->stop(q->lane[i].engine, until_ns);
	for (unsigned i = 0; i < q->lanes; i++)
		drain_end(q->lane[i].drain, until_ns);
	for (unsigned i = 0; i < q->lanes; i++)
		drain_stop(q->lane[i].drain, until_ns);
	if (q->claims)
		claims_stop(q->claims);
	waits_close(&q->waits);
}

void queue_close(struct queue *q)
{
	if (!q)
		return;
	if (q->hub)
		q->hub->ops->stop(q->hub);
	claims_free(q->claims);
	for (unsigned i = 0; i < q->lanes; i++)
		close_lane(&q->lane[i]);
	for (size_t i = 0; i < q->nretired; i++) {
		close_lane(q->retired[i].lane);
		mem_free(q->retired[i].lane);
		dead_close(q->retired[i].dead);
	}
	mem_free(q->retired);
	iobuf_reset(&q->writing);
	if (q->shared)
		deadtable_destroy(&q->table);
	if (q->hub)
		q->hub->ops->close(q->hub);
	mem_free(q->drains);
	mem_free(q->lane);
	dead_close(q->dead);
	qdir_close(&q->dir);
	waits_destroy(&q->waits);
	pthread_mutex_destroy(&q->hooks_lock);
	pthread_mutex_destroy(&q->front_lock);
	mem_free(q);
}
