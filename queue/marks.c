/*
 * marks.c - see marks.h.
 */
#include "marks.h"

#include <inttypes.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

enum rc marks_init(struct marks *m, const char *id_hex, struct drain **drains, unsigned lanes)
{
	*m = (struct marks){.id_hex = id_hex, .drains = drains, .lanes = lanes};
	m->mark = mem_zalloc(lanes * sizeof(*m->mark));
	m->lane = mem_zalloc(lanes * sizeof(*m->lane));
	return m->mark && m->lane ? RC_OK : RC_ERROR;
}

void marks_reset(struct marks *m)
{
	mem_free(m->mark);
	mem_free(m->lane);
}

bool marks_ours(const struct marks *m, unsigned lane)
{
	return m->lane[lane].owner == QUEUE_OWNER_US;
}

bool marks_any(const struct marks *m, enum queue_owner owner)
{
	for (unsigned i = 0; i < m->lanes; i++) {
		if (m->lane[i].owner == owner)
			return true;
	}
	return false;
}

/* ---- what is read ---- */

void marks_begin(struct marks *m)
{
	m->moved = false;
	for (unsigned i = 0; i < m->lanes; i++) {
		m->mark[i].noted = 0;
		m->lane[i].observed = false;
	}
}

void marks_take_position(struct marks *m, unsigned long lane, uint64_t seq)
{
	if (lane >= m->lanes)
		return;
	m->moved |= m->lane[lane].seq && m->lane[lane].seq != seq;
	m->lane[lane].observed = true;
	m->lane[lane].seq = seq;
}

void marks_take_mark(struct marks *m, unsigned long lane, uint64_t mark)
{
	if (lane < m->lanes)
		m->mark[lane].noted = mark;
}

/* ---- whose they are ---- */

static void tell(struct marks *m, unsigned lane, enum queue_owner owner)
{
	struct queue_engine *e = drain_engine(m->drains[lane]);

	m->changed |= m->lane[lane].owner != owner;
	m->lane[lane].owner = owner;
	if (e->ops->judge)
		e->ops->judge(e, owner, m->mark[lane].store);
}

static void set_owner(struct marks *m, unsigned lane, enum queue_owner owner)
{
	if (m->lane[lane].owner != owner)
		tell(m, lane, owner);
}

static void look_at_store(struct marks *m, unsigned lane)
{
	struct queue_engine *e = drain_engine(m->drains[lane]);
	struct mark *mark = &m->mark[lane];

	if (e->ops->mark)
		mark->store = e->ops->mark(e, &mark->fresh);
	else
		set_owner(m, lane, QUEUE_OWNER_US);
}

/* Of several who are the first at the same time one is; the others read it next. */
static enum rc note_mark(struct marks *m, struct dbconn *c, unsigned lane)
{
	if (dbconn_execf(c,
			 "INSERT IGNORE INTO suimon.applied (queue_id, shard, seq, updated_at) VALUES (x'%.24sffffffff', %u, %" PRIu64
			 ", UTC_TIMESTAMP(6))",
			 m->id_hex, MARK_SHARD + lane, m->mark[lane].store) != RC_OK)
		return RC_ERROR;
	if (dbconn_affected(c) != 1)
		return RC_OK;
	m->mark[lane].ours = m->mark[lane].store;
	tell(m, lane, QUEUE_OWNER_US);
	return RC_OK;
}

/* RC_DECLINED: somebody else was first. */
static enum rc replace_mark(struct marks *m, struct dbconn *c, unsigned lane)
{
	const struct mark *mark = &m->mark[lane];

	log_warn("queue", "the queue's store does not have the mark that the database knows it by, is empty, and takes the place",
		 "lane=%u mark=%" PRIu64 " was=%" PRIu64 " applied_seq=%" PRIu64, lane, mark->store, mark->noted, m->lane[lane].seq);
	if (dbconn_execf(c,
			 "UPDATE suimon.applied SET seq=%" PRIu64 ", updated_at=UTC_TIMESTAMP(6) WHERE queue_id=x'%.24sffffffff' AND "
			 "shard=%u AND seq=%" PRIu64,
			 mark->store, m->id_hex, MARK_SHARD + lane, mark->noted) != RC_OK)
		return RC_ERROR;
	return dbconn_affected(c) == 1 ? RC_OK : RC_DECLINED;
}

/* All of them or none: a queue that is half one store's and half another's would be nobody's. They are read again next. */
static enum rc replace_marks(struct marks *m, struct dbconn *c)
{
	enum rc rc = dbconn_execf(c, "START TRANSACTION");

	for (unsigned i = 0; rc == RC_OK && i < m->lanes; i++) {
		if (mark_step(&m->view, &m->mark[i], i == 0) == MARK_REPLACE)
			rc = replace_mark(m, c, i);
	}
	if (rc == RC_DECLINED)
		return dbconn_execf(c, "ROLLBACK");
	return rc == RC_OK ? dbconn_execf(c, "COMMIT") : rc;
}

static void say_foreign(struct marks *m, unsigned lane)
{
	if (!m->said)
		log_error("queue",
			  "another store has this queue's name in the database: its positions are not of what is here; nothing is queued or applied",
			  "lane=%u mark=%" PRIu64 " noted=%" PRIu64 " id=%.24s do=\"another name in queue.url; or what docs/engines.md says of the mark\"",
			  lane, m->mark[lane].store, m->mark[lane].noted, m->id_hex);
	m->said = true;
}

static enum rc judge_one(struct marks *m, struct dbconn *c, unsigned lane, bool *replace)
{
	struct mark *mark = &m->mark[lane];

	switch (mark_step(&m->view, mark, lane == 0)) {
	case MARK_WAIT:
		break;
	case MARK_NOTE:
		return note_mark(m, c, lane);
	case MARK_OURS:
		if (mark->ours != mark->store)
			tell(m, lane, QUEUE_OWNER_US); /* the engine is to know of a new one, too */
		mark->ours = mark->store;
		set_owner(m, lane, QUEUE_OWNER_US);
		break;
	case MARK_REPLACE:
		*replace = true;
		set_owner(m, lane, QUEUE_OWNER_OTHER);
		break;
	case MARK_FOREIGN:
		set_owner(m, lane, QUEUE_OWNER_OTHER);
		say_foreign(m, lane);
		break;
	}
	return RC_OK;
}

enum rc marks_judge(struct marks *m, struct dbconn *c, bool seen)
{
	bool replace = false;
	enum rc rc = RC_OK;

	for (unsigned i = 0; i < m->lanes; i++)
		look_at_store(m, i);
	mark_look(&m->view, m->mark, m->lanes, seen || m->moved, clock_mono_ns());
	m->said &= m->view.rival;
	for (unsigned i = 0; rc == RC_OK && i < m->lanes; i++) {
		if (drain_engine(m->drains[i])->ops->mark)
			rc = judge_one(m, c, i, &replace);
		/* What others have applied is worth knowing only if it is of this store. */
		if (marks_ours(m, i) && m->lane[i].observed)
			drain_observe(m->drains[i], m->lane[i].seq);
	}
	return rc == RC_OK && replace ? replace_marks(m, c) : rc;
}

void marks_asked_in_vain(struct marks *m)
{
	for (unsigned i = 0; i < m->lanes; i++) {
		if (m->lane[i].owner == QUEUE_OWNER_UNKNOWN)
			tell(m, i, QUEUE_OWNER_UNKNOWN);
	}
}

void marks_forget(struct marks *m)
{
	for (unsigned i = 0; i < m->lanes; i++)
		tell(m, i, QUEUE_OWNER_UNKNOWN);
}
