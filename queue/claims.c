/*
 * claims.c - see claims.h.
 */
#include "claims.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "iobuf.h"
#include "lanelock.h"
#include "log.h"
#include "marks.h"
#include "mem.h"
#include "sigthread.h"
#include "secret.h"

#define TICK_NS (NS_PER_SEC / 2)
#define WAITED_FOR_NS (20 * NS_PER_MS)
#define COUNT_EVERY_NS (2 * NS_PER_SEC)
#define EAGER_NS (5 * NS_PER_SEC)
#define SETTLE_NS (3 * NS_PER_SEC) /* a lane that is wanted and not got by then is somebody else's */
#define PAUSE_SHARD 1u
#define ER_NO_SUCH_TABLE 1146u
#define ER_BAD_DB 1049u
#define ER_TABLE_ACCESS 1142u

struct claim {
	uint64_t wanted_ns; /* since when; 0: it is not */
	bool taken;         /* its lock is held, by whomever */
};

struct claims {
	struct claims_options opt;
	pthread_t thread;
	bool started;

	/* Its thread's. */
	struct dbconn conn;
	int member; /* which of the members' locks is ours; -1: none */
	unsigned members;
	bool seen; /* another process is there, or applies a lane */
	uint64_t counted_ns, looked_ns;
	uint64_t eager_until_ns; /* it is asked again at once until it is known whose the positions are */
	bool told; /* that somebody must make the table */
	struct marks marks;
	uint64_t control; /* people's word, as last read: twice a counter, and whether it is paused */
	struct claim *lane; /* owned */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	bool stopping, nudged;
	bool tell_pause, pause; /* to be written */
	bool reached;
	char why[256];
};

void claims_lane_id(uint8_t out[QUEUE_ID_BYTES], const uint8_t queue[QUEUE_ID_BYTES], uint32_t lane)
{
	memcpy(out, queue, QUEUE_ID_BYTES - 4);
	for (unsigned i = 0; i < 4; i++)
		out[QUEUE_ID_BYTES - 4 + i] = (uint8_t)(lane >> (24 - 8 * i));
}

static void lane_hex(const struct claims *c, char out[2 * QUEUE_ID_BYTES + 1], uint32_t lane)
{
	snprintf(out, 2 * QUEUE_ID_BYTES + 1, "%.24s%08x", c->opt.id_hex, lane);
}

struct claims *claims_new(const struct claims_options *opt)
{
	struct claims *c = mem_zalloc(sizeof(*c));

	if (!c || sigthread_cond_init(&c->work) != RC_OK) {
		mem_free(c);
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	dbconn_init(&c->conn);
	c->opt = *opt;
	c->member = -1;
	snprintf(c->why, sizeof(c->why), "the database is being asked");
	c->lane = mem_zalloc(opt->lanes * sizeof(*c->lane));
	if (marks_init(&c->marks, c->opt.id_hex, c->opt.drains, c->opt.lanes) == RC_OK && c->lane)
		return c;
	claims_free(c);
	return NULL;
}

void claims_free(struct claims *c)
{
	if (!c)
		return;
	marks_reset(&c->marks);
	mem_free(c->lane);
	dbconn_close(&c->conn);
	dbconn_destroy(&c->conn);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

void claims_nudge(struct claims *c)
{
	pthread_mutex_lock(&c->lock);
	c->nudged = true;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
}

void claims_set_paused(struct claims *c, bool paused)
{
	pthread_mutex_lock(&c->lock);
	c->tell_pause = true;
	c->pause = paused;
	c->nudged = true;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
}

bool claims_reached(struct claims *c, char *why, size_t cap)
{
	bool reached;

	pthread_mutex_lock(&c->lock);
	reached = c->reached;
	if (!reached)
		snprintf(why, cap, "%s", c->why);
	pthread_mutex_unlock(&c->lock);
	return reached;
}

static void note_reached(struct claims *c, bool reached, const char *why)
{
	pthread_mutex_lock(&c->lock);
	c->reached = reached;
	snprintf(c->why, sizeof(c->why), "%.*s", (int)sizeof(c->why) - 1, why);
	pthread_mutex_unlock(&c->lock);
}

/* ---- being there ---- */

static enum rc become_member(struct claims *c)
{
	char name[LANELOCK_NAME_MAX];
	enum rc rc = RC_DECLINED;

	for (unsigned i = 0; c->member < 0 && i < c->opt.lanes; i++) {
		lanelock_name(name, c->opt.id_hex, (int)i);
		rc = lanelock_take(&c->conn, name);
		if (rc == RC_ERROR)
			return rc;
		if (rc == RC_OK)
			c->member = (int)i;
	}
	return RC_OK; /* more processes than lanes: the others have enough to do */
}

/* Who may apply nothing is not to be counted by those who do. */
static enum rc be_no_member(struct claims *c)
{
	char name[LANELOCK_NAME_MAX];
	int member = c->member;

	c->member = -1;
	if (member < 0)
		return RC_OK;
	lanelock_name(name, c->opt.id_hex, member);
	return dbconn_execf(&c->conn, "DO RELEASE_LOCK('%s')", name);
}

static enum rc open_connection(struct claims *c)
{
	struct queue_target target;
	enum rc rc;

	memset(&target, 0, sizeof(target));
	rc = c->opt.hooks.target ? c->opt.hooks.target(c->opt.hooks.arg, &target) : RC_DECLINED;
	if (rc != RC_OK) {
		note_reached(c, false,
			     rc == RC_DECLINED ? "there is no primary just now"
					       : "there is no account to apply with: set queue.user");
		return RC_ERROR;
	}
	rc = dbconn_open(&c->conn, &target);
	secret_unref(target.password);
	if (rc == RC_OK)
		rc = lanelock_patience(&c->conn);
	if (rc == RC_OK)
		rc = deadtable_prepare(c->opt.table, &c->conn);
	if (rc != RC_OK)
		note_reached(c, false, c->conn.error);
	return rc;
}

/* ---- how far they are ---- */

static void take_control(struct claims *c, uint64_t control)
{
	if (control == c->control)
		return;
	c->control = control;
	for (unsigned i = 0; i < c->opt.lanes; i++)
		drain_set_paused(c->opt.drains[i], control & 1);
}

static bool table_missing(const struct claims *c)
{
	return c->conn.code == ER_NO_SUCH_TABLE || c->conn.code == ER_BAD_DB || c->conn.code == ER_TABLE_ACCESS;
}

static enum rc on_position(void *arg, const char *const *row, unsigned columns)
{
	struct claims *c = arg;
	unsigned long lane, shard;
	uint64_t seq;

	if (columns != 3 || !row[0] || !row[1] || !row[2] || strlen(row[0]) != 8)
		return RC_ERROR;
	lane = strtoul(row[0], NULL, 16);
	seq = strtoull(row[2], NULL, 10);
	shard = strtoul(row[1], NULL, 10);
	if (lane != CLAIMS_NO_LANE && shard == 0)
		marks_take_position(&c->marks, lane, seq);
	else if (lane == CLAIMS_NO_LANE && shard == PAUSE_SHARD)
		take_control(c, seq);
	else if (lane == CLAIMS_NO_LANE && shard >= MARK_SHARD)
		marks_take_mark(&c->marks, shard - MARK_SHARD, seq);
	return RC_OK;
}

static enum rc read_positions(struct claims *c)
{
	char first[2 * QUEUE_ID_BYTES + 1], last[2 * QUEUE_ID_BYTES + 1], sql[320];

	marks_begin(&c->marks);
	lane_hex(c, first, 0);
	lane_hex(c, last, CLAIMS_NO_LANE);
	snprintf(sql, sizeof(sql),
		 "SELECT HEX(SUBSTR(queue_id, 13)), shard, seq FROM suimon.applied WHERE queue_id>=x'%s' AND queue_id<=x'%s' "
		 "AND shard<%u",
		 first, last, MARK_SHARD + c->opt.lanes);
	if (dbconn_rows(&c->conn, sql, on_position, c) == RC_OK)
		return marks_judge(&c->marks, &c->conn, c->seen);
	if (!table_missing(c))
		return RC_ERROR;
	marks_forget(&c->marks);
	return position_make_table(&c->conn, &c->told);
}

static enum rc write_control(struct claims *c)
{
	bool tell, pause;

	pthread_mutex_lock(&c->lock);
	tell = c->tell_pause;
	pause = c->pause;
	c->tell_pause = false;
	pthread_mutex_unlock(&c->lock);
	if (!tell || (marks_any(&c->marks, QUEUE_OWNER_OTHER) && !marks_any(&c->marks, QUEUE_OWNER_US)))
		return RC_OK; /* who has no part in the queue does not pause it */
	if (dbconn_execf(&c->conn,
			 "INSERT INTO suimon.applied (queue_id, shard, seq, updated_at) VALUES (x'%.24s%08x', %u, %d, "
			 "UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE seq=(seq DIV 2)*2+2+%d, updated_at=UTC_TIMESTAMP(6)",
			 c->opt.id_hex, CLAIMS_NO_LANE, PAUSE_SHARD, pause ? 3 : 2, pause) == RC_OK)
		return RC_OK;
	pthread_mutex_lock(&c->lock);
	c->tell_pause = true; /* with what people say by then */
	pthread_mutex_unlock(&c->lock);
	return table_missing(c) ? RC_OK : RC_ERROR;
}

/* ---- sharing ---- */

/* One statement: of how many locks does which have an owner? */
static enum rc ask_locks(struct claims *c, bool members, unsigned n, dbconn_row_fn fn)
{
	struct iobuf sql;
	char name[LANELOCK_NAME_MAX], hex[2 * QUEUE_ID_BYTES + 1];
	enum rc rc;

	iobuf_init(&sql, 0);
	rc = iobuf_printf(&sql, "SELECT ");
	for (unsigned i = 0; i < n && rc == RC_OK; i++) {
		lane_hex(c, hex, i);
		lanelock_name(name, members ? c->opt.id_hex : hex, members ? (int)i : -1);
		rc = iobuf_printf(&sql, "%sIS_USED_LOCK('%s') IS NOT NULL", i ? "," : "", name);
	}
	if (rc == RC_OK)
		rc = iobuf_append(&sql, "", 1);
	if (rc == RC_OK)
		rc = dbconn_rows(&c->conn, (const char *)iobuf_data(&sql), fn, c);
	iobuf_reset(&sql);
	return rc;
}

static enum rc on_members(void *arg, const char *const *row, unsigned columns)
{
	struct claims *c = arg;

	c->members = 0;
	for (unsigned i = 0; i < columns; i++)
		c->members += row[i] && row[i][0] == '1';
	c->seen = c->members > (c->member >= 0);
	if (!c->members)
		c->members = 1;
	return RC_OK;
}

static enum rc on_lanes(void *arg, const char *const *row, unsigned columns)
{
	struct claims *c = arg;

	for (unsigned i = 0; i < columns && i < c->opt.lanes; i++) {
		c->lane[i].taken = row[i] && row[i][0] == '1';
		c->seen |= c->lane[i].taken && !drain_holds(c->opt.drains[i]);
	}
	return RC_OK;
}

/* How many are wanted here, without those that somebody else has turned out to have. */
static unsigned count_wanted(struct claims *c, uint64_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->opt.lanes; i++) {
		struct drain *d = c->opt.drains[i];
		struct claim *claim = &c->lane[i];

		if ((claim->taken && !drain_holds(d) && now - claim->wanted_ns > SETTLE_NS) || !marks_ours(&c->marks, i))
			drain_want(d, false);
		n += drain_wanted(d);
	}
	return n;
}

/* All have about as many: ceil(lanes / processes), so that none is left over. */
static void share_out(struct claims *c, uint64_t now)
{
	unsigned lanes = c->opt.lanes, n = count_wanted(c, now);
	unsigned most = c->member < 0 ? 0 : (lanes + c->members - 1) / c->members;
	unsigned first = c->member < 0 ? 0 : (unsigned)c->member * lanes / c->members;

	for (unsigned i = lanes; i > 0 && n > most; i--) {
		struct drain *d = c->opt.drains[(first + i - 1) % lanes];

		n -= drain_wanted(d);
		drain_want(d, false);
	}
	for (unsigned i = 0; i < lanes && n < most; i++) {
		unsigned at = (first + i) % lanes;

		if (drain_wanted(c->opt.drains[at]) || c->lane[at].taken || !marks_ours(&c->marks, at))
			continue;
		c->lane[at].wanted_ns = now;
		drain_want(c->opt.drains[at], true);
		n++;
	}
}

static enum rc look_around(struct claims *c, uint64_t now)
{
	c->looked_ns = now;
	c->marks.changed = false;
	if ((marks_any(&c->marks, QUEUE_OWNER_US) ? become_member : be_no_member)(c) != RC_OK || ask_locks(c, true, c->opt.lanes, on_members) != RC_OK ||
	    ask_locks(c, false, c->opt.lanes, on_lanes) != RC_OK)
		return RC_ERROR;
	share_out(c, now);
	if (now - c->counted_ns < COUNT_EVERY_NS)
		return RC_OK;
	c->counted_ns = now;
	return deadtable_count(c->opt.table, &c->conn);
}

static void turn(struct claims *c)
{
	uint64_t now = clock_mono_ns();
	enum rc rc = RC_OK;

	if (c->conn.my && !dbconn_is_there(&c->conn, &c->opt.hooks))
		dbconn_close(&c->conn);
	if (!c->conn.my) {
		c->member = -1;
		c->looked_ns = 0;
		c->eager_until_ns = now + EAGER_NS;
		rc = open_connection(c);
	}
	if (rc == RC_OK)
		rc = write_control(c);
	if (rc == RC_OK)
		rc = read_positions(c);
	if (rc == RC_OK && (c->marks.changed || now - c->looked_ns >= TICK_NS))
		rc = look_around(c, now);
	if (rc == RC_OK) {
		note_reached(c, true, "");
		return;
	}
	if (c->conn.my)
		note_reached(c, false, c->conn.error);
	dbconn_close(&c->conn);
	marks_asked_in_vain(&c->marks);
}

static bool is_eager(const struct claims *c)
{
	return c->conn.my && marks_any(&c->marks, QUEUE_OWNER_UNKNOWN) && clock_mono_ns() < c->eager_until_ns;
}

static void *run(void *arg)
{
	struct claims *c = arg;

	mysql_thread_init();
	pthread_mutex_lock(&c->lock);
	while (!c->stopping) {
		uint64_t until;

		c->nudged = false;
		pthread_mutex_unlock(&c->lock);
		turn(c);
		until = clock_mono_ns() + (waits_any(c->opt.waits) || is_eager(c) ? WAITED_FOR_NS : TICK_NS);
		pthread_mutex_lock(&c->lock);
		if (!c->stopping && !c->nudged)
			sigthread_wait_until(&c->work, &c->lock, until);
	}
	pthread_mutex_unlock(&c->lock);
	dbconn_close(&c->conn);
	mysql_thread_end();
	return NULL;
}

enum rc claims_start(struct claims *c)
{
	c->started = sigthread_start(&c->thread, "queue-claims", run, c) == RC_OK;
	return c->started ? RC_OK : RC_ERROR;
}

void claims_stop(struct claims *c)
{
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
	dbconn_interrupt(&c->conn);
	if (c->started)
		pthread_join(c->thread, NULL);
	c->started = false;
}
