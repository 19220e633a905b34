/*
 * follow_change.c - events to transactions. MariaDB tells with a transaction's GTID whether a commit will follow; MySQL begins
 * those of several statements with BEGIN, or XA START.
 */
#include <string.h>
#include <strings.h>

#include "follow_impl.h"
#include "mem.h"

/* ---- sets ---- */

void follow_put_table(struct follow_set *s, cache_tag tag)
{
	for (uint16_t i = 0; i < s->ntables; i++)
		if (s->tables[i] == tag)
			return;
	if (s->ntables == FOLLOW_TABLES_MOST)
		s->anything = true;
	else
		s->tables[s->ntables++] = tag;
}

/* Looks at the last ones only: a statement's rows have some tags in common. */
void follow_put_tag(struct follow_set *s, const struct follow_tag *tag)
{
	for (uint16_t i = s->n, looked = 0; i > 0 && looked < 32; looked++)
		if (s->tags[--i].tag == tag->tag)
			return;
	if (s->n == FOLLOW_TAGS_MOST)
		s->by_table = true;
	else
		s->tags[s->n++] = *tag;
}

enum rc follow_put_name(void *set, struct span schema, struct span table)
{
	cache_tag tag = cache_tag_table(schema, table);

	follow_put_table(set, tag);
	follow_put_tag(set, &(struct follow_tag){tag, tag, tag});
	return RC_OK;
}

static void set_clear(struct follow_set *s)
{
	s->anything = s->by_table = s->schema = s->accounts = false;
	s->n = s->ntables = 0;
}

static void set_merge(struct follow_set *s, const struct follow_set *other)
{
	s->anything |= other->anything;
	s->by_table |= other->by_table;
	s->schema |= other->schema;
	s->accounts |= other->accounts;
	for (uint16_t i = 0; i < other->ntables; i++)
		follow_put_table(s, other->tables[i]);
	for (uint16_t i = 0; i < other->n; i++)
		follow_put_tag(s, &other->tags[i]);
}

/* ---- transactions ---- */

static void end(struct follow *f, uint32_t at)
{
	follow_settle_add(f, at);
	f->tx.open = f->tx.many = false;
	f->tx.gtid = (struct binlog_gtid){.known = false};
	set_clear(&f->tx.set);
}

/* at: where the one before has ended, should its end not have been understood. */
static void begin(struct follow *f, const struct binlog_event *e, uint32_t at)
{
	if (f->tx.open)
		end(f, at);
	f->tx.open = true;
	f->tx.many = e->gtid.known && !e->gtid.mysql && !e->gtid.standalone;
	f->tx.gtid = e->gtid;
	f->tx.server_id = e->server_id;
	f->tx.xid[0] = '\0';
	set_clear(&f->tx.set);
}

/* ---- XA: what was prepared is visible when it is committed, perhaps long after ---- */

static void forget_prepared(struct follow *f, struct follow_prepared *p)
{
	list_remove(&f->prepared, &p->node);
	mem_free(p->xid);
	mem_free(p);
}

void follow_forget_prepared(struct follow *f)
{
	while (!list_empty(&f->prepared))
		forget_prepared(f, container_of(list_first(&f->prepared), struct follow_prepared, node));
}

/* One that is not kept is not known when it is committed: then it may have changed anything. */
static void prepare(struct follow *f, uint32_t at)
{
	struct follow_prepared *p = f->tx.xid[0] ? mem_zalloc(sizeof(*p)) : NULL;

	if (p) {
		p->xid = mem_dup(f->tx.xid, strlen(f->tx.xid));
		p->set = f->tx.set;
		list_push_back(&f->prepared, &p->node);
		if (!p->xid)
			forget_prepared(f, p);
	}
	if (f->prepared.count > FOLLOW_PREPARED_MOST)
		forget_prepared(f, container_of(list_first(&f->prepared), struct follow_prepared, node));
	set_clear(&f->tx.set);
	end(f, at);
}

static struct follow_prepared *find_prepared(struct follow *f, struct span xid)
{
	list_each(&f->prepared, n) {
		struct follow_prepared *p = container_of(n, struct follow_prepared, node);

		if (span_eq(span_str(p->xid), xid))
			return p;
	}
	return NULL;
}

static void finish_prepared(struct follow *f, struct span xid, bool commits)
{
	struct follow_prepared *p = find_prepared(f, xid);

	if (commits && !p)
		f->tx.set.anything = true;
	if (commits && p)
		set_merge(&f->tx.set, &p->set);
	f->tx.gtid.xa = true;
	if (p)
		forget_prepared(f, p);
}

/* ---- statements ---- */

static bool takes(struct span *sql, const char *words)
{
	size_t len = strlen(words);

	if (sql->len < len || strncasecmp(sql->p, words, len) != 0)
		return false;
	*sql = span_of(sql->p + len, sql->len - len);
	return true;
}

static bool is_commit(struct span sql)
{
	/* Behind a ROLLBACK stands what could not be rolled back. */
	return span_ieq(sql, span_str("COMMIT")) || span_ieq(sql, span_str("ROLLBACK"));
}

/* Those of XA, by the words that the servers write. False: it is none. */
static bool take_xa(struct follow *f, struct span sql)
{
	struct span one_phase = span_str(" ONE PHASE");

	if (takes(&sql, "XA START ") || takes(&sql, "XA BEGIN ")) {
		f->tx.many = true;
	} else if (takes(&sql, "XA END ")) {
		if (sql.len < sizeof(f->tx.xid)) {
			memcpy(f->tx.xid, sql.p, sql.len);
			f->tx.xid[sql.len] = '\0';
		}
	} else if (takes(&sql, "XA COMMIT ")) {
		if (sql.len > one_phase.len &&
		    span_ieq(span_of(sql.p + sql.len - one_phase.len, one_phase.len), one_phase))
			return true; /* its rows are in this very transaction */
		finish_prepared(f, sql, true);
	} else if (takes(&sql, "XA ROLLBACK ")) {
		finish_prepared(f, sql, false);
	} else {
		return false;
	}
	return true;
}

static void statement(struct follow *f, const struct binlog_event *e, uint32_t at)
{
	struct span sql = e->query.sql;

	if (span_ieq(sql, span_str("BEGIN"))) {
		f->tx.many = true;
		return;
	}
	if (is_commit(sql)) {
		end(f, at);
		return;
	}
	if (!take_xa(f, sql))
		follow_text(f, &e->query, &f->tx.set);
	if (!f->tx.many)
		end(f, at);
}

/* ---- events ---- */

static void unreadable(struct follow *f, uint32_t at)
{
	stats_count(f->sink, STATS_C_CACHE_BINLOG_UNREADABLE, 1);
	f->tx.set.anything = true;
	if (!f->tx.open || !f->tx.many)
		end(f, at);
}

static void packed(struct follow *f, struct binlog_event *e, uint32_t at);

/* at: where it ends in the file; 0: inside of another, or nowhere. */
static void take(struct follow *f, struct binlog_event *e, uint32_t at)
{
	switch (e->kind) {
	case BINLOG_NOTHING:
	case BINLOG_FILE:
		return;
	case BINLOG_BEGIN:
		begin(f, e, at);
		return;
	case BINLOG_QUERY:
		statement(f, e, at);
		return;
	case BINLOG_ROWS:
		follow_rows(f, &e->rows, &f->tx.set);
		return;
	case BINLOG_COMMIT:
		end(f, at);
		return;
	case BINLOG_PREPARE:
		prepare(f, at);
		return;
	case BINLOG_PACKED:
		packed(f, e, at);
		return;
	case BINLOG_LOST:
	case BINLOG_UNKNOWN:
		unreadable(f, at);
		return;
	}
}

static void packed(struct follow *f, struct binlog_event *e, uint32_t at)
{
	struct binlog_event inner;
	enum rc rc;

	while ((rc = binlog_packed_next(f->binlog, &e->packed, &inner)) == RC_OK)
		take(f, &inner, at);
	if (rc == RC_ERROR)
		unreadable(f, at);
}

/* "binlog.000012": the number behind the last dot. */
uint64_t follow_file_number(struct span name)
{
	uint64_t n = 0;

	for (size_t i = 0; i < name.len; i++)
		n = name.p[i] == '.' ? 0 : n * 10 + (uint64_t)(name.p[i] >= '0' && name.p[i] <= '9' ? name.p[i] - '0' : 0);
	return n;
}

void follow_event(struct follow *f, struct binlog_event *e)
{
	if (e->kind == BINLOG_FILE)
		f->place = (struct follow_place){.file = follow_file_number(e->file), .at = e->position};
	else if (e->end > f->place.at)
		f->place.at = e->end;
	take(f, e, e->end);
}
